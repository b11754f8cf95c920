package bolt

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

const (
	stateFile    = "state.db"
	instanceFile = "instance.json"
	lockFile     = "bellhop.lock"

	// formatVersion is the newest layout of the directory that this build reads and the one that it writes. Before 2 there
	// were no bucketParked and no blobs.
	formatVersion = 2

	lockTimeout = time.Second
)

// A StartError says why a store cannot be opened and what to do about it.
type StartError struct {
	Err  error
	Hint string // what to do, one sentence without a period
}

func (e *StartError) Error() string { return fmt.Sprintf("open the store: %v; %s", e.Err, e.Hint) }
func (e *StartError) Unwrap() error { return e.Err }

func startError(err error, hint string, args ...any) error {
	return &StartError{err, fmt.Sprintf(hint, args...)}
}

// ErrInUse says that another process has the data folder open.
var ErrInUse = errors.New("the data is in use by another process")

// lockDir takes the lock file of the directory, so that the checks below do not read a file that another process
// writes. The lock ends with the process.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, startError(err, "let this user read and write %s", dir)
	}
	if err := waitForLock(f, dir); err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	_ = f.Truncate(0) // who holds it is only a help for people
	_, _ = f.WriteAt([]byte("process "+strconv.Itoa(os.Getpid())+" on "+host+"\n"), 0)
	return f, nil
}

// waitForLock closes f when somebody else keeps the lock.
func waitForLock(f *os.File, dir string) error {
	for deadline := time.Now().Add(lockTimeout); ; {
		err := tryLock(f)
		if err == nil {
			return nil
		}
		if !time.Now().Before(deadline) {
			holder, _ := io.ReadAll(io.LimitReader(f, 200))
			_ = f.Close()
			if holder = bytes.TrimSpace(holder); len(holder) == 0 {
				holder = []byte("unknown")
			}
			return startError(fmt.Errorf("%w (%s): %w", ErrInUse, holder, err), "stop that process, or choose another data folder than %s", dir)
		}
		time.Sleep(lockTimeout / 20)
	}
}

// instance is the sidecar of state.db: what the database must at least be. It catches what bbolt cannot: it takes
// an empty file for a new database, and an old copy for the truth.
type instance struct {
	Format      int    `json:"format"`
	Database    string `json:"database"`
	MinSize     int64  `json:"min_size"`    // bytes
	Transaction uint64 `json:"transaction"` // one that was committed
}

// checkInstance compares state.db with its sidecar before bbolt opens it. It returns nil when there is no sidecar.
func checkInstance(dir string) (*instance, error) {
	path, sidePath := filepath.Join(dir, stateFile), filepath.Join(dir, instanceFile)
	restore := fmt.Sprintf("restore a backup of %s; to begin anew and lose all runs, move that folder away", dir)
	src, err := os.ReadFile(sidePath)
	if errors.Is(err, fs.ErrNotExist) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
			if segments, _ := filepath.Glob(filepath.Join(dir, historyDir, "*", "*.db")); len(segments) > 0 {
				return nil, startError(fmt.Errorf("%s is missing, but there is history beside it", path), "%s", restore)
			}
			return nil, nil
		}
		if err != nil {
			return nil, startError(err, "let this user read and write %s", path)
		}
		_, err = checkPages(path)
		if err != nil {
			return nil, startError(err, "%s", restore)
		}
		return nil, nil
	}
	if err != nil {
		return nil, startError(err, "let this user read %s", sidePath)
	}
	side := &instance{}
	if err := json.Unmarshal(src, side); err != nil || side.Database == "" {
		return nil, startError(fmt.Errorf("%s: %w", sidePath, engine.ErrDamaged), "%s", restore)
	}
	if side.Format > formatVersion {
		return nil, startError(fmt.Errorf("%s has format %d and this build reads %d: %w", dir, side.Format, formatVersion, engine.ErrNewerFormat),
			"start the newer release again")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, startError(fmt.Errorf("%s is missing", path), "%s", restore)
	case err != nil:
		return nil, startError(err, "let this user read and write %s", path)
	case info.Size() == 0:
		return nil, startError(fmt.Errorf("%s is empty", path), "%s", restore)
	case info.Size() < side.MinSize:
		return nil, startError(fmt.Errorf("%s is cut off: %d bytes of at least %d", path, info.Size(), side.MinSize), "%s", restore)
	}
	meta, err := checkPages(path)
	if err != nil {
		return nil, startError(err, "%s", restore)
	}
	if meta.txid < side.Transaction {
		return nil, startError(fmt.Errorf("%s is older than %s says: an old copy stands in its place", path, instanceFile), "%s", restore)
	}
	return side, nil
}

// metaPage is what the checks need of a bbolt meta page.
type metaPage struct {
	pageSize uint32
	pages    uint64 // in use; the file must hold them, or reading its mapping kills the process
	txid     uint64
	root     uint64 // page of the list of buckets
	freelist uint64
	valid    int // how many of the two are whole
}

// checkPages reads the two meta pages of a bbolt file, without mapping it, and compares the newer valid one with
// the size of the file. The layout is that of bbolt's file format 2: a 16 byte page header, then magic, version,
// page size and flags (4 bytes each), root page, root sequence, freelist page, page count, transaction (8 bytes
// each), and FNV-1a over these, in the byte order of the machine.
func checkPages(path string) (meta metaPage, err error) {
	f, err := os.Open(path)
	if err != nil {
		return meta, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return meta, err
	}
	found, valid := false, 0
	for _, at := range []int64{0, 4096, 8192, 16384, 32768, 65536} {
		var page [80]byte
		if _, err := f.ReadAt(page[:], at); err != nil {
			break
		}
		m := page[16:]
		word, long := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
		sum := fnv.New64a()
		_, _ = sum.Write(m[:56])
		if word(m) != 0xED0CDAED || word(m[4:]) != 2 || long(m[56:]) != sum.Sum64() {
			continue
		}
		valid++
		if txid := long(m[48:]); !found || txid > meta.txid {
			meta = metaPage{pageSize: word(m[8:]), pages: long(m[40:]), txid: txid, root: long(m[16:]), freelist: long(m[32:])}
			found = true
		}
	}
	meta.valid = valid
	if !found {
		return meta, fmt.Errorf("%s is no database, or its first pages are damaged: %w", path, engine.ErrDamaged)
	}
	if need := int64(meta.pages) * int64(meta.pageSize); info.Size() < need {
		return meta, fmt.Errorf("%s is cut off: %d bytes of at least %d: %w", path, info.Size(), need, engine.ErrDamaged)
	}
	return meta, nil
}

// begin compares the opened database with the sidecar, creates what a new one needs, and counts the start.
func (s *Store) begin(side *instance) error {
	path := filepath.Join(s.dir, stateFile)
	read := func(tx *bbolt.Tx) (id, format, clean string, content bool) {
		m := tx.Bucket(bucketMeta)
		if m == nil {
			return "", "", "", false
		}
		for _, name := range [][]byte{bucketJournal, bucketDone, bucketSegments} {
			if k := tx.Bucket(name); k != nil {
				first, _ := k.Cursor().First()
				content = content || first != nil
			}
		}
		return string(m.Get([]byte("id"))), string(m.Get([]byte("format"))), string(m.Get([]byte("clean"))), content
	}
	var id, format, clean string
	var content bool
	if err := s.db.View(func(tx *bbolt.Tx) error {
		id, format, clean, content = read(tx)
		return nil
	}); err != nil {
		return err
	}
	if v, _ := strconv.Atoi(format); v > formatVersion {
		return startError(fmt.Errorf("%s has format %d and this build reads %d: %w", path, v, formatVersion, engine.ErrNewerFormat),
			"start the newer release again")
	}
	if side != nil && id != side.Database {
		return startError(fmt.Errorf("%s is another database than the one that %s names", path, instanceFile),
			"put the right one back, or restore a backup of %s", s.dir)
	}
	if side == nil && content {
		return startError(fmt.Errorf("%s holds runs, but %s is missing", path, instanceFile),
			"put %s back beside it, or restore a backup of %s", instanceFile, s.dir)
	}
	s.table.cutOff = id != "" && clean == ""
	if id == "" {
		var random [16]byte
		_, _ = rand.Read(random[:])
		id = hex.EncodeToString(random[:])
	}
	s.id = id
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, name := range stateBuckets {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	m := tx.Bucket(bucketMeta)
	starts, _ := strconv.ParseUint(string(m.Get([]byte("epoch"))), 10, 32)
	starts++
	s.epoch = starts << 32
	for name, text := range map[string]string{"id": id, "format": strconv.Itoa(formatVersion), "epoch": strconv.FormatUint(starts, 10)} {
		if err := m.Put([]byte(name), []byte(text)); err != nil {
			return err
		}
	}
	if err := m.Delete([]byte("clean")); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return startError(err, "make room and let this user write %s", path)
	}
	return syncDir(s.dir)
}

// markClean records that nothing was cut off; the next start takes that back.
func (s *Store) markClean() error {
	if s.broken.Load() {
		return nil
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		m := tx.Bucket(bucketMeta)
		s.mu.Lock()
		from, passed := s.nextMark(now(), nil)
		s.mu.Unlock()
		if passed >= markSteps {
			if err := putMark(m, from); err != nil {
				return err
			}
		}
		return m.Put([]byte("clean"), []byte("1"))
	})
	if err != nil {
		return fmt.Errorf("mark a clean stop: %w", err)
	}
	return s.writeInstance()
}

// writeInstance brings the sidecar up to what is on disk now.
func (s *Store) writeInstance() error {
	side := instance{Format: formatVersion, Database: s.id}
	if err := s.db.View(func(tx *bbolt.Tx) error {
		side.Transaction = uint64(tx.ID())
		return nil
	}); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(s.dir, stateFile))
	if err != nil {
		return err
	}
	side.MinSize = info.Size()
	return writeSidecar(s.dir, side)
}

func writeSidecar(dir string, side instance) error {
	src, err := json.MarshalIndent(side, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, instanceFile), append(src, '\n'))
}

// replaceFile writes a file so that a crash leaves the old one or the new one.
func replaceFile(path string, content []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// makeDir is os.MkdirAll whose new names are durable: a folder that a power cut takes back is an empty store, which
// nothing would tell from a new one.
func makeDir(dir string) error {
	missing := []string{}
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		missing = append(missing, at)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, made := range missing {
		if err := syncDir(filepath.Dir(made)); err != nil {
			return err
		}
	}
	return nil
}

// SyncDir makes new names in a directory durable.
func SyncDir(dir string) error { return syncDir(dir) }

// syncDir makes new names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
