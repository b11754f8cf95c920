package bolt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// snapshotDir holds what a snapshot copied, below the data folder, for as long as it is open.
const snapshotDir = "snapshot"

// A Snapshot is the files of a store as they are at one moment: the runs that live, and the history that they ended in.
// What the store does later changes nothing in it.
type Snapshot struct {
	Database    string // its id
	Transaction uint64
	Files       []SnapshotFile // state.db first
	close       func()
}

// A SnapshotFile is one file. Read it at most to Size: it may have grown since.
type SnapshotFile struct {
	Name string // relative to the data folder, with slashes; see [IsSnapshotFile]
	Size int64
	file *os.File
	path string // of one that is opened only while it is read, because there may be thousands
}

// Content reads the file from its begin.
func (f *SnapshotFile) Content() io.Reader {
	if f.path != "" {
		return &lateReader{f: f}
	}
	return io.NewSectionReader(f.file, 0, f.Size)
}

// A lateReader opens its file at the first read and closes it at the end.
type lateReader struct {
	f    *SnapshotFile
	done int64
}

func (r *lateReader) Read(p []byte) (n int, err error) {
	if r.done >= r.f.Size {
		return 0, io.EOF
	}
	if r.f.file == nil {
		if r.f.file, err = os.Open(r.f.path); err != nil {
			return 0, err
		}
	}
	n, err = r.f.file.ReadAt(p[:min(int64(len(p)), r.f.Size-r.done)], r.done)
	if r.done += int64(n); r.done == r.f.Size {
		err = r.f.file.Close()
		r.f.file = nil
	}
	return n, err
}

// Close lets go of the files and removes the copies.
func (s *Snapshot) Close() {
	for _, f := range s.Files {
		if f.file != nil {
			_ = f.file.Close()
		}
	}
	s.close()
}

func (s *Snapshot) add(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.Files = append(s.Files, SnapshotFile{Name: name, Size: info.Size(), file: f})
	return nil
}

func (s *Snapshot) addBlob(path string, id engine.RunID, b blob) {
	s.Files = append(s.Files, SnapshotFile{Name: blobDir + "/" + b.file(id), Size: b.size, path: path})
}

var segmentName = regexp.MustCompile(`^` + historyDir + `/(0|[1-9][0-9]{0,4})/[0-9]{8}-[1-9][0-9]{0,5}\.db$`)

// IsSnapshotFile reports whether a name is one that a file of a snapshot can have.
func IsSnapshotFile(name string) bool {
	if file, ok := strings.CutPrefix(name, blobDir+"/"); ok {
		_, _, ok = parseBlobName(file)
		return ok
	}
	return name == stateFile || segmentName.MatchString(name)
}

// Snapshot copies what is still being written, and keeps the other files open, so that what retention deletes meanwhile
// stays readable. The archiver waits until it returns; accepts and runs do not. There is one snapshot at a time; a
// second one is ErrConflict. The caller closes it.
func (s *Store) Snapshot(ctx context.Context) (_ *Snapshot, err error) {
	if !s.snapMu.TryLock() {
		return nil, fmt.Errorf("take a snapshot: another one is under way: %w", engine.ErrConflict)
	}
	spool := filepath.Join(s.dir, snapshotDir)
	snap := &Snapshot{close: func() {
		_ = os.RemoveAll(spool)
		s.snapMu.Unlock()
	}}
	defer func() {
		if err != nil {
			snap.Close()
			err = fmt.Errorf("take a snapshot: %w", err)
		}
	}()
	if err := os.RemoveAll(spool); err != nil { // a crash left it
		return nil, err
	}
	if err := os.Mkdir(spool, 0o700); err != nil {
		return nil, err
	}
	s.moveMu.Lock() // nobody writes to the history, or deletes from it
	defer s.moveMu.Unlock()
	state := filepath.Join(spool, stateFile)
	err = view(s.db, func(tx *bbolt.Tx) error {
		if err := s.roomFor(tx.Size()); err != nil {
			return err
		}
		f, err := os.OpenFile(state, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = tx.WriteTo(f)
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return nil, err
	}
	known, err := snap.begin(state)
	if err != nil {
		return nil, err
	}
	for _, g := range known {
		name := historyDir + "/" + g.name
		path := filepath.Join(s.dir, historyDir, filepath.FromSlash(g.name))
		if live := s.history.find(g.name); live == nil || !s.history.closed(live, now()) {
			if path, err = s.copyFile(ctx, path, filepath.Join(spool, filepath.Base(filepath.Dir(path))+"-"+filepath.Base(path))); err != nil {
				return nil, err
			}
		}
		if err := snap.add(name, path); err != nil {
			return nil, err
		}
	}
	return snap, cmp.Or(s.linkBlobs(ctx, snap, spool), ctx.Err())
}

// linkBlobs puts the files of large journal values in, under names of their own: what their runs become meanwhile does
// not take them away. The caller holds moveMu, so none that the copied state names is gone yet.
func (s *Store) linkBlobs(ctx context.Context, snap *Snapshot, spool string) error {
	s.blobs.mu.Lock()
	files := map[engine.RunID][]blob{}
	for id, have := range s.blobs.files {
		files[id] = slices.Clone(have)
	}
	s.blobs.mu.Unlock()
	for id, have := range files {
		for _, b := range have {
			from, to := filepath.Join(s.dir, blobDir, b.file(id)), filepath.Join(spool, b.file(id))
			err := os.Link(from, to)
			if errors.Is(err, os.ErrNotExist) {
				continue // what it was for was refused
			}
			if err != nil { // a file system without links
				_, err = s.copyFile(ctx, from, to)
			}
			if err != nil {
				return err
			}
			snap.addBlob(to, id, b)
		}
	}
	return nil
}

// roomFor refuses a copy that would leave too little room for the runs.
func (s *Store) roomFor(size int64) error {
	if free, total, err := space(s.dir); err == nil && free-size < lowWater(total) {
		return &engine.FullError{Reason: "disk", RetryAfter: diskRetry}
	}
	return nil
}

func (s *Store) copyFile(ctx context.Context, from, to string) (string, error) {
	src, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer src.Close()
	info, err := src.Stat()
	if err == nil {
		err = cmp.Or(s.roomFor(info.Size()), ctx.Err())
	}
	if err != nil {
		return "", err
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(dst, src)
	return to, errors.Join(err, dst.Close())
}

// OpenSnapshot is the snapshot of a data folder that no server uses; none starts while it is open. ErrInUse: one does.
func OpenSnapshot(dir string) (_ *Snapshot, err error) {
	if _, err := os.Stat(filepath.Join(dir, stateFile)); err != nil {
		return nil, startError(err, "name the folder that holds %s, and let this user read it", stateFile)
	}
	unlock, err := lockToRead(dir)
	if err != nil {
		return nil, err
	}
	snap := &Snapshot{close: unlock}
	defer func() {
		if err != nil {
			snap.Close()
		}
	}()
	if _, err := checkInstance(dir); err != nil {
		return nil, err
	}
	known, err := snap.begin(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, err
	}
	for _, g := range known {
		if err := snap.add(historyDir+"/"+g.name, g.path); err != nil {
			return nil, startError(err, "restore an earlier backup of %s", dir)
		}
	}
	files := blobs{dir: filepath.Join(dir, blobDir)}
	return snap, files.list(func(id engine.RunID, b blob) error {
		snap.addBlob(filepath.Join(files.dir, b.file(id)), id, b)
		return nil
	})
}

// begin puts state.db in, and returns the segments that it knows of.
func (s *Snapshot) begin(path string) (known []*segment, err error) {
	if err := s.add(stateFile, path); err != nil {
		return nil, err
	}
	h := &history{dir: filepath.Join(filepath.Dir(path), historyDir)}
	s.Database, s.Transaction, err = readIndex(path, func(k, v []byte) error {
		g, err := h.decodeSegment(string(k), v)
		known = append(known, g)
		return err
	})
	return known, err
}

// readIndex reads the id of a database, and what it knows of the history.
func readIndex(path string, segment func(k, v []byte) error) (id string, txid uint64, err error) {
	var problem error
	keep := func(e error) {
		if problem == nil {
			problem = e
		}
	}
	t, err := openTree(path, func(text string) { keep(fmt.Errorf("%s: %w: %s", path, engine.ErrDamaged, text)) })
	if err != nil {
		return "", 0, err
	}
	defer t.close()
	t.walk(bucketMeta, func(k, v []byte) {
		if string(k) == "id" {
			id = string(v)
		}
	}, nil)
	t.walk(bucketSegments, func(k, v []byte) {
		if err := segment(k, v); err != nil {
			keep(err)
		}
	}, nil)
	if id == "" {
		keep(fmt.Errorf("%s: %w: it has no id", path, engine.ErrDamaged))
	}
	return id, t.meta.txid, problem
}

// Adopt makes the files of a snapshot, put into a folder of their own, a store that starts: it writes the sidecar. A
// folder that has one already is refused.
func Adopt(dir string) error {
	side, path := filepath.Join(dir, instanceFile), filepath.Join(dir, stateFile)
	if _, err := os.Lstat(side); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is there already", side)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	id, txid, err := readIndex(path, func(k, v []byte) error { return nil })
	if err != nil {
		return err
	}
	return writeSidecar(dir, instance{Format: formatVersion, Database: id, MinSize: info.Size(), Transaction: txid})
}
