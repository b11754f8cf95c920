package bolt

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

const (
	blobDir   = "blobs"
	blobAbove = 256 << 10 // bytes of a journal value, as it would be stored

	flagBlob = 8 // of a journal value: its records are in a file of their own, which the rest of the value names
)

// blobs are the files of journal values that are too large for state.db, where a commit would write them between the
// small ones and leave their pages free behind. A file is on disk before the value that names it, is never changed, and
// goes when its run has moved to the history, whose segments hold everything themselves.
type blobs struct {
	dir  string
	sync bool

	mu    sync.Mutex
	files map[engine.RunID][]blob // also such that no value names: what they were for was refused, or is being written
	total atomic.Int64            // bytes of them
}

// A blob is one file. Its name is the run's and its own.
type blob struct {
	name [8]byte
	size int64
}

func (b blob) file(id engine.RunID) string { return id.String() + "-" + hex.EncodeToString(b.name[:]) }

// parseBlobName is the inverse of blob.file.
func parseBlobName(file string) (id engine.RunID, b blob, ok bool) {
	run, own, _ := strings.Cut(file, "-")
	id, err := engine.ParseRunID(run)
	raw, hexErr := hex.DecodeString(own)
	if err != nil || hexErr != nil || len(raw) != len(b.name) {
		return id, b, false
	}
	copy(b.name[:], raw)
	return id, b, b.file(id) == file
}

// spill moves the records of a large frame to a file. It returns when that is on disk.
func (s *Store) spill(f *frame) error {
	if len(f.value) <= blobAbove {
		return nil
	}
	head := 1
	if f.value[0]&flagOrder != 0 {
		head += orderSize
	}
	id := engine.RunID(f.key[:])
	b, err := s.blobs.write(id, f.value[head:])
	if err != nil {
		if noSpace(err) {
			s.outOfSpace(err)
			return &engine.FullError{Reason: "disk", RetryAfter: diskRetry}
		}
		if path, ok := errors.AsType[*fs.PathError](err); ok && path.Op == "sync" {
			s.fail(err)
		}
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	value := make([]byte, head, head+4+len(b.name)+binary.MaxVarintLen64)
	copy(value, f.value)
	value[0] |= flagBlob
	ref := append(make([]byte, 4), b.name[:]...)
	f.value = append(value, seal(f.key[:], binary.AppendUvarint(ref, uint64(b.size)))...)
	f.blob = b
	return nil
}

// discard deletes the file of a frame that was not stored and will not be.
func (s *Store) discard(f *frame) {
	if f.blob.size > 0 {
		s.report("delete a file of "+blobDir, s.blobs.remove(engine.RunID(f.key[:]), f.blob))
	}
}

func (b *blobs) write(id engine.RunID, content []byte) (blob, error) {
	at := blob{size: int64(len(content))}
	_, _ = rand.Read(at.name[:])
	path := filepath.Join(b.dir, at.file(id))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDir(b.dir); err == nil {
			f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		}
	}
	if err != nil {
		return at, err
	}
	_, err = f.Write(content)
	if err == nil && b.sync {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil && b.sync {
		err = syncDir(b.dir)
	}
	if err != nil {
		_ = os.Remove(path)
		return at, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files[id] = append(b.files[id], at)
	b.total.Add(at.size)
	return at, nil
}

// remove deletes one file.
func (b *blobs) remove(id engine.RunID, at blob) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := b.files[id][:0]
	for _, have := range b.files[id] {
		if have.name != at.name {
			rest = append(rest, have)
			continue
		}
		b.total.Add(-have.size)
	}
	if b.files[id] = rest; len(rest) == 0 {
		delete(b.files, id)
	}
	return os.Remove(filepath.Join(b.dir, at.file(id)))
}

// forget deletes all files of a run that is in the history, or nowhere any more.
func (b *blobs) forget(id engine.RunID) (err error) {
	b.mu.Lock()
	files := b.files[id]
	delete(b.files, id)
	b.mu.Unlock()
	for _, f := range files {
		b.total.Add(-f.size)
		err = errors.Join(err, os.Remove(filepath.Join(b.dir, f.file(id))))
	}
	return err
}

// list calls visit for every file that is there.
func (b *blobs) list(visit func(id engine.RunID, f blob) error) error {
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		id, f, ok := parseBlobName(e.Name())
		if !ok {
			continue // not ours
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		f.size = info.Size()
		if err := visit(id, f); err != nil {
			return err
		}
	}
	return err
}

// open deletes what a crash left: files of runs that are not in state.db, and such that no value names.
func (b *blobs) open(s *Store) error {
	b.dir, b.sync, b.files = filepath.Join(s.dir, blobDir), !s.o.NoSync, map[engine.RunID][]blob{}
	named := map[engine.RunID]map[[8]byte]bool{}
	return view(s.db, func(tx *bbolt.Tx) error {
		return b.list(func(id engine.RunID, f blob) error {
			if named[id] == nil {
				named[id] = namedBlobs(tx.Bucket(bucketJournal).Cursor(), id)
			}
			if !named[id][f.name] {
				return os.Remove(filepath.Join(b.dir, f.file(id)))
			}
			b.files[id] = append(b.files[id], f)
			b.total.Add(f.size)
			return nil
		})
	})
}

// namedBlobs are the files that a run's journal names.
func namedBlobs(c *bbolt.Cursor, id engine.RunID) map[[8]byte]bool {
	names := map[[8]byte]bool{}
	start := journalKey(id, 0)
	for k, v := c.Seek(start[:]); len(k) == len(start) && engine.RunID(k) == id; k, v = c.Next() {
		if f, _, err := blobOf(k, v); err == nil {
			names[f.name] = true
		}
	}
	return names
}

// blobOf reads which file a journal value names, and the value without that. The zero blob: it names none.
func blobOf(key, value []byte) (b blob, head []byte, err error) {
	if len(value) == 0 || value[0]&flagBlob == 0 {
		return b, value, nil
	}
	n := 1
	if value[0]&flagOrder != 0 {
		n += orderSize
	}
	ref, err := unseal(key, value[min(n, len(value)):])
	if err != nil || len(ref) < len(b.name) {
		return b, nil, fmt.Errorf("%w: journal value of key %x", engine.ErrDamaged, key)
	}
	size, w := binary.Uvarint(ref[copy(b.name[:], ref):])
	if w <= 0 || size == 0 || size > 1<<40 {
		return b, nil, fmt.Errorf("%w: journal value of key %x", engine.ErrDamaged, key)
	}
	b.size = int64(size)
	head = append([]byte(nil), value[:n]...)
	head[0] &^= flagBlob
	return b, head, nil
}

// storedSize is how many bytes a journal entry has in the database and in its file.
func storedSize(key, value []byte) int64 {
	b, _, _ := blobOf(key, value)
	return int64(len(key)+len(value)) + b.size
}

// whole is a journal value with its records, from its file if it names one. A file that is missing or cut off is damage;
// any other error says nothing about what is stored.
func (b *blobs) whole(key, value []byte) ([]byte, error) {
	at, head, err := blobOf(key, value)
	if err != nil || at.size == 0 {
		return value, err
	}
	id := engine.RunID(key)
	content, err := os.ReadFile(filepath.Join(b.dir, at.file(id)))
	name := blobDir + "/" + at.file(id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("run %s: %w: the file %s, which holds a part of its journal, is missing", id, engine.ErrDamaged, name)
	case err != nil:
		return nil, fmt.Errorf("run %s: read a part of its journal: %w", id, err)
	case int64(len(content)) != at.size:
		return nil, fmt.Errorf("run %s: %w: the file %s, which holds a part of its journal, has %d bytes of %d", id, engine.ErrDamaged, name, len(content), at.size)
	}
	return append(head, content...), nil
}

// outOfSpace gives up the reserve.
func (s *Store) outOfSpace(err error) {
	s.log.Error("the disk takes no more", "err", err)
	s.disk.filled()
	s.wakeHousekeeping()
}

// fail ends the store: nothing is known about the disk any more.
func (s *Store) fail(err error) {
	s.broken.Store(true)
	s.queue.close(fmt.Errorf("%w: %w", engine.ErrClosed, err))
	select {
	case s.fatal <- err:
		s.log.Error("the store stops", "err", err)
	default: // it has stopped already
	}
}
