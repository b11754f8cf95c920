package trigger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
)

const (
	// maxSeen is how many keys a poll remembers; the oldest go first, but never one of the latest answer.
	maxSeen  = 100_000
	seenPage = 1000 // keys read or written at once
	// seenBytes is the size of a stored item: its version, the count of changes, the time of the last.
	seenBytes = 16 + 4 + 8
	// maxRunKey is the longest item key, in bytes, that stands readable in the key of its run.
	maxRunKey = 200
)

// hash is the name of a key or of a version: enough of SHA-256 that two never meet.
type hash [16]byte

var hashText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

func (h hash) String() string { return hashText.EncodeToString(h[:]) }

func digest(text string) (h hash) {
	sum := sha256.Sum256([]byte(text))
	copy(h[:], sum[:])
	return h
}

func digestValue(v any) hash {
	data, err := value.AppendJSON(nil, v)
	if err != nil { // not plain data: its text has to do
		data = []byte(value.Text(v))
	}
	return digest(string(data))
}

// seenItem is what is remembered of an item.
type seenItem struct {
	version hash
	changes uint32 // how often its version has changed
	added   int64  // Unix time of its last change, in seconds
}

// mark is an item to be remembered.
type mark struct {
	id  hash
	key string
	seenItem
}

// runKey is the dedupe key of the run that an item starts: equal when the same change is emitted again.
func (m mark) runKey() string {
	key := m.key
	if len(key) > maxRunKey {
		key = m.id.String()
	}
	if m.changes > 0 {
		key += "/" + strconv.FormatUint(uint64(m.changes), 10)
	}
	return key
}

// seenSet is what a poll remembers, in memory for as long as the poll runs and in the store for good. Only the
// poll's own goroutine uses it.
type seenSet struct {
	prefix string
	items  map[hash]seenItem
}

func loadSeen(ctx context.Context, kv engine.KV, pollKey string) (*seenSet, error) {
	s := &seenSet{prefix: pollKey + ":", items: map[hash]seenItem{}}
	for after := ""; ; {
		page, err := kv.List(ctx, s.prefix, after, seenPage)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			after = e.Key
			var id hash
			name := e.Key[len(s.prefix):]
			if len(name) != hashText.EncodedLen(len(id)) || len(e.Value) != seenBytes {
				return nil, fmt.Errorf("%s: %w", e.Key, engine.ErrDamaged)
			}
			if _, err := hashText.Decode(id[:], []byte(name)); err != nil {
				return nil, fmt.Errorf("%s: %w: %w", e.Key, engine.ErrDamaged, err)
			}
			item := seenItem{
				changes: binary.BigEndian.Uint32(e.Value[16:]),
				added:   int64(binary.BigEndian.Uint64(e.Value[20:])),
			}
			copy(item.version[:], e.Value)
			s.items[id] = item
		}
		if len(page) < seenPage {
			return s, nil
		}
	}
}

func (s *seenSet) len() int { return len(s.items) }

// compare reports whether the item is new or has another version, and what to remember of it then.
func (s *seenSet) compare(id hash, key string, version hash) (mark, bool) {
	old, known := s.items[id]
	if known && old.version == version {
		return mark{}, false
	}
	m := mark{id: id, key: key, seenItem: seenItem{version: version, added: time.Now().Unix()}}
	if known {
		m.changes = old.changes + 1
	}
	return m, true
}

// puts returns the writes that remember marks.
func (s *seenSet) puts(marks []mark) []engine.Put {
	puts := make([]engine.Put, len(marks))
	for i, m := range marks {
		data := make([]byte, 0, seenBytes)
		data = append(data, m.version[:]...)
		data = binary.BigEndian.AppendUint32(data, m.changes)
		data = binary.BigEndian.AppendUint64(data, uint64(m.added))
		puts[i] = engine.Put{Key: s.prefix + m.id.String(), Value: data, AnyRev: true}
	}
	return puts
}

// remember adds marks whose puts are stored.
func (s *seenSet) remember(marks []mark) {
	for _, m := range marks {
		s.items[m.id] = m.seenItem
	}
}

// trim forgets the oldest items beyond maxSeen that are not in the latest answer.
func (s *seenSet) trim(latest map[hash]bool) []engine.Put {
	if len(s.items) <= maxSeen {
		return nil
	}
	type candidate struct {
		id    hash
		added int64
	}
	var old []candidate
	for id, item := range s.items {
		if !latest[id] {
			old = append(old, candidate{id, item.added})
		}
	}
	slices.SortFunc(old, func(a, b candidate) int { return cmp.Compare(a.added, b.added) })
	return s.forget(func(yield func(hash) bool) {
		for _, c := range old[:min(len(old), len(s.items)-maxSeen)] {
			if !yield(c.id) {
				return
			}
		}
	})
}

// clear forgets everything.
func (s *seenSet) clear() []engine.Put {
	return s.forget(func(yield func(hash) bool) {
		for id := range s.items {
			if !yield(id) {
				return
			}
		}
	})
}

func (s *seenSet) forget(ids func(yield func(hash) bool)) []engine.Put {
	var puts []engine.Put
	ids(func(id hash) bool {
		delete(s.items, id)
		puts = append(puts, engine.Put{Key: s.prefix + id.String(), AnyRev: true})
		return true
	})
	return puts
}
