package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// maxKeySize is the longest key of the KV in bytes.
const maxKeySize = 4096

// KV implements engine.Store.
func (s *Store) KV() engine.KV { return kv{s} }

type kv struct{ s *Store }

func checkKey(key string) error {
	if key == "" || len(key) > maxKeySize {
		return fmt.Errorf("a key has 1 to %d bytes, this one has %d", maxKeySize, len(key))
	}
	return nil
}

// liveValue returns what is stored under key, and rev 0 when there is nothing or it has expired.
func liveValue(k *bbolt.Bucket, key []byte, at time.Time) (val []byte, rev uint64, err error) {
	v := k.Get(key)
	if v == nil {
		return nil, 0, nil
	}
	return decodeValue(key, v, at)
}

func decodeValue(key, v []byte, at time.Time) (val []byte, rev uint64, err error) {
	body, err := unseal(key, v)
	if err != nil {
		return nil, 0, err
	}
	if len(body) < 16 {
		return nil, 0, fmt.Errorf("%w: value of key %q", engine.ErrDamaged, key)
	}
	if expiry := int64(binary.BigEndian.Uint64(body[8:])); expiry != 0 && expiry <= at.UnixNano() {
		return nil, 0, nil
	}
	return body[16:], binary.BigEndian.Uint64(body), nil
}

// checkPut decides whether a put may be written.
func checkPut(b *batch, p *engine.Put) error {
	if p.AnyRev {
		return nil
	}
	_, rev, err := liveValue(b.bucket(bucketKV), []byte(p.Key), b.now)
	if err != nil {
		return err
	}
	if rev != p.Rev {
		return fmt.Errorf("key %q: %w", p.Key, engine.ErrConflict)
	}
	return nil
}

// putValue writes a put that was checked. Revisions count over the whole store, so that a key that is deleted and
// written again never gets one back.
func putValue(b *batch, p *engine.Put) (rev uint64, err error) {
	k := b.bucket(bucketKV)
	if p.Value == nil {
		return 0, k.Delete([]byte(p.Key))
	}
	if rev, err = k.NextSequence(); err != nil {
		return 0, err
	}
	var expiry int64
	if p.TTL > 0 {
		expiry = b.now.Add(p.TTL).UnixNano()
	}
	value := make([]byte, 4, 20+len(p.Value))
	value = binary.BigEndian.AppendUint64(value, rev)
	value = binary.BigEndian.AppendUint64(value, uint64(expiry))
	value = append(value, p.Value...)
	return rev, k.Put([]byte(p.Key), seal([]byte(p.Key), value))
}

// putOp is a KV.Put, or a KV.Delete where must is set.
type putOp struct {
	put  engine.Put
	must bool // the key must be there
	rev  uint64
}

func (o *putOp) write(b *batch) error {
	if o.must {
		_, rev, err := liveValue(b.bucket(bucketKV), []byte(o.put.Key), b.now)
		if err != nil {
			return err
		}
		if rev == 0 {
			return engine.ErrNotFound
		}
	}
	if err := checkPut(b, &o.put); err != nil {
		return err
	}
	var err error
	o.rev, err = putValue(b, &o.put)
	return storageError(err)
}

func (o *putOp) apply(*Store) {}

func (k kv) Get(ctx context.Context, key string) (val []byte, rev uint64, err error) {
	err = view(k.s.db, func(tx *bbolt.Tx) error {
		v, r, err := liveValue(tx.Bucket(bucketKV), []byte(key), now())
		if err == nil && r == 0 {
			err = engine.ErrNotFound
		}
		val, rev = bytes.Clone(v), r
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("get %q: %w", key, err)
	}
	return val, rev, ctx.Err()
}

func (k kv) Put(ctx context.Context, key string, val []byte, rev uint64, ttl time.Duration) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, fmt.Errorf("put: %w", err)
	}
	o := &putOp{put: engine.Put{Key: key, Value: append([]byte{}, val...), Rev: rev, TTL: ttl}}
	if err := k.s.do(ctx, o, len(val), second); err != nil {
		return 0, fmt.Errorf("put %q: %w", key, err)
	}
	return o.rev, nil
}

func (k kv) Delete(ctx context.Context, key string, rev uint64) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if err := k.s.do(ctx, &putOp{put: engine.Put{Key: key, Rev: rev}, must: true}, 0, second); err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	return nil
}

// maxEntries bounds one KV.List.
const maxEntries = 10_000

func (k kv) List(ctx context.Context, prefix, after string, limit int) (entries []engine.Entry, err error) {
	limit = min(limit, maxEntries)
	err = view(k.s.db, func(tx *bbolt.Tx) error {
		entries = nil
		c, at := tx.Bucket(bucketKV).Cursor(), now()
		name, v := c.Seek([]byte(max(prefix, after)))
		for ; name != nil && bytes.HasPrefix(name, []byte(prefix)) && len(entries) < limit; name, v = c.Next() {
			if string(name) <= after {
				continue
			}
			val, rev, err := decodeValue(name, v, at)
			if err != nil {
				return err
			}
			if rev != 0 {
				entries = append(entries, engine.Entry{Key: string(name), Value: bytes.Clone(val), Rev: rev})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return entries, ctx.Err()
}

// sweepOp deletes expired values; it looks again, because they may have been written since.
type sweepOp struct{ keys [][]byte }

func (o *sweepOp) write(b *batch) error {
	k := b.bucket(bucketKV)
	for _, key := range o.keys {
		if v := k.Get(key); v != nil {
			if _, rev, err := decodeValue(key, v, b.now); err == nil && rev == 0 {
				if err := k.Delete(key); err != nil {
					return storageError(err)
				}
			}
		}
	}
	return nil
}

func (o *sweepOp) apply(*Store) {}

// sweep deletes expired values among the next keys behind after, and returns the last that it looked at; empty
// at the end.
func (s *Store) sweep(after []byte) (last []byte, err error) {
	o := &sweepOp{}
	err = view(s.db, func(tx *bbolt.Tx) error {
		c, at := tx.Bucket(bucketKV).Cursor(), now()
		o.keys, last = nil, nil
		k, v := c.Seek(after)
		for n := 0; k != nil; k, v = c.Next() {
			if n++; n > 2000 || len(o.keys) >= 500 {
				last = bytes.Clone(k)
				return nil
			}
			if _, rev, err := decodeValue(k, v, at); err == nil && rev == 0 {
				o.keys = append(o.keys, slices.Clone(k))
			}
		}
		return nil
	})
	if err == nil && len(o.keys) > 0 {
		err = s.doBack(o)
	}
	return last, err
}
