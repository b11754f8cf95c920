package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

// A backup is a tar file: backup.json, which lists the files with their sizes, the files in that order, and checksums.json
// with the SHA-256 of each. One that lacks its end is no backup.
const (
	archiveFormat = 1
	headName      = "backup.json"
	sumsName      = "checksums.json"

	maxArchiveFiles = 20_000
	maxHead         = 4 << 20 // bytes of backup.json, and of checksums.json
	maxSecretFile   = 1 << 30
)

var errBrokenArchive = errors.New("it is no backup, or damaged")

// archiveHead is backup.json.
type archiveHead struct {
	Format      int           `json:"format"`
	MadeAt      time.Time     `json:"made_at"`
	By          string        `json:"by"` // release
	Database    string        `json:"database"`
	Transaction uint64        `json:"transaction"`
	Files       []archiveFile `json:"files"`
}

type archiveFile struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	content io.Reader
}

func (h *archiveHead) has(name string) bool {
	for i := range h.Files {
		if h.Files[i].Name == name {
			return true
		}
	}
	return false
}

// newHead lists the files of a snapshot and the sealed secrets beside them.
func newHead(snap *bolt.Snapshot, data string) (*archiveHead, error) {
	h := &archiveHead{Format: archiveFormat, MadeAt: time.Now().UTC(), By: version, Database: snap.Database, Transaction: snap.Transaction}
	for i := range snap.Files {
		f := &snap.Files[i]
		h.Files = append(h.Files, archiveFile{f.Name, f.Size, f.Content()})
	}
	return h, h.add(data, secret.VaultFile)
}

// add puts in a file of the data folder, if it is there.
func (h *archiveHead) add(data, name string) error {
	text, err := os.ReadFile(filepath.Join(data, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	h.Files = append(h.Files, archiveFile{name, int64(len(text)), bytes.NewReader(text)})
	return err
}

// archiveWriter writes a backup entry by entry.
type archiveWriter struct {
	tar  *tar.Writer
	made time.Time
	sums map[string]string
}

func newArchiveWriter(w io.Writer, h *archiveHead) (*archiveWriter, error) {
	a := &archiveWriter{tar: tar.NewWriter(w), made: h.MadeAt, sums: map[string]string{}}
	return a, a.json(headName, h)
}

func (a *archiveWriter) json(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return a.entry(name, int64(len(text)), bytes.NewReader(text))
}

func (a *archiveWriter) entry(name string, size int64, r io.Reader) error {
	if err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: a.made.Truncate(time.Second)}); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(a.tar, sum), io.LimitReader(r, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%s: after %d of %d bytes: %w", name, n, size, err)
	}
	a.sums[name] = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (a *archiveWriter) end() error {
	return errors.Join(a.json(sumsName, a.sums), a.tar.Close())
}

// writeArchive writes a whole backup.
func writeArchive(ctx context.Context, w io.Writer, h *archiveHead) error {
	a, err := newArchiveWriter(w, h)
	for i := 0; err == nil && i < len(h.Files); i++ {
		f := &h.Files[i]
		if err = ctx.Err(); err == nil {
			err = a.entry(f.Name, f.Size, f.content)
		}
	}
	if err != nil {
		return err
	}
	return a.end()
}

// readArchive reads a backup that somebody may have tampered with: it takes plain files under the names that a backup can
// have, each once, in the order and with the sizes that backup.json says, and in all at most limit bytes. Whoever got
// files from it must forget them when it returns an error.
func readArchive(r io.Reader, limit int64, begin func(*archiveHead) error, file func(f *archiveFile) error) error {
	broken := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", errBrokenArchive, fmt.Sprintf(format, args...))
	}
	t := tar.NewReader(r)
	sums := map[string]string{}
	next := func(name string, size int64) (int64, error) {
		e, err := t.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return 0, broken("it ends before %s", name)
		case err != nil:
			return 0, broken("%v", err)
		case e.Typeflag != tar.TypeReg || e.Name != name:
			return 0, broken("%q of kind %q stands where the file %s is due", cleanLine(shorten(e.Name, 100)), e.Typeflag, name)
		case size >= 0 && e.Size != size || e.Size > limit:
			return 0, broken("%s has %d bytes", name, e.Size)
		}
		return e.Size, nil
	}
	text := func(name string, v any) error {
		size, err := next(name, -1)
		if err != nil {
			return err
		}
		if size > maxHead {
			return broken("%s has %d bytes", name, size)
		}
		b, err := io.ReadAll(t)
		if err == nil {
			err = json.Unmarshal(b, v)
		}
		if err != nil {
			return broken("%s: %v", name, err)
		}
		sum := sha256.Sum256(b)
		sums[name] = hex.EncodeToString(sum[:])
		return nil
	}
	h := &archiveHead{}
	if err := text(headName, h); err != nil {
		return err
	}
	if h.Format > archiveFormat {
		return fmt.Errorf("a newer release made it (format %d, this one reads %d)", h.Format, archiveFormat)
	}
	if err := h.check(limit); err != nil {
		return broken("%s: %v", headName, err)
	}
	if err := begin(h); err != nil {
		return err
	}
	for i := range h.Files {
		f := h.Files[i]
		if _, err := next(f.Name, f.Size); err != nil {
			return err
		}
		sum, left := sha256.New(), &countReader{r: t}
		f.content = io.TeeReader(left, sum)
		if err := file(&f); err != nil {
			if left.err != nil && !errors.Is(left.err, io.EOF) {
				return broken("%s: %v", f.Name, left.err)
			}
			return err
		}
		if left.n != f.Size {
			return broken("%s has %d bytes of %d", f.Name, left.n, f.Size)
		}
		sums[f.Name] = hex.EncodeToString(sum.Sum(nil))
	}
	var want map[string]string
	if err := text(sumsName, &want); err != nil {
		return err
	}
	delete(sums, sumsName)
	if len(want) != len(sums) {
		return broken("%s lists %d files of %d", sumsName, len(want), len(sums))
	}
	for name, sum := range sums {
		if want[name] != sum {
			return broken("%s does not have the checksum that %s says", name, sumsName)
		}
	}
	if _, err := t.Next(); !errors.Is(err, io.EOF) {
		return broken("something follows its end (%v)", err)
	}
	return nil
}

// check holds the list of files to what a backup can be.
func (h *archiveHead) check(limit int64) error {
	if len(h.Files) > maxArchiveFiles || len(h.Files) == 0 {
		return fmt.Errorf("%d files", len(h.Files))
	}
	seen, total := map[string]bool{}, int64(0)
	for _, f := range h.Files {
		sealed := f.Name == secret.VaultFile || f.Name == secret.KeyFile
		switch {
		case !sealed && !bolt.IsSnapshotFile(f.Name):
			return fmt.Errorf("no backup has a file %q", cleanLine(shorten(f.Name, 100)))
		case seen[f.Name]:
			return fmt.Errorf("%s is listed twice", f.Name)
		case f.Size < 0 || f.Size > limit-total:
			return fmt.Errorf("its files are larger than %d bytes, which is all the room that there is", limit)
		case sealed && f.Size > maxSecretFile:
			return fmt.Errorf("%s has %d bytes", f.Name, f.Size)
		}
		seen[f.Name], total = true, total+f.Size
	}
	return nil
}

// countReader counts what was read and keeps the error.
type countReader struct {
	r   io.Reader
	n   int64
	err error
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.err = err
	return n, err
}

// unpack writes the files of a backup to a folder, and makes it one that a server starts with. The sidecar comes last:
// without it no server starts on what a crash left half done. After an error nothing of it is left.
func unpack(ctx context.Context, r io.Reader, dir string) (head *archiveHead, err error) {
	limit := int64(math.MaxInt64)
	if free, err := bolt.Free(dir); err == nil {
		limit = free
	}
	var made []string
	defer func() {
		if err != nil {
			for i := len(made) - 1; i >= 0; i-- {
				_ = os.Remove(made[i])
			}
		}
	}()
	err = readArchive(r, limit, func(h *archiveHead) error { head = h; return nil }, func(f *archiveFile) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(f.Name)) // the name is one of the few that a backup can have
		for _, parent := range []string{filepath.Dir(filepath.Dir(path)), filepath.Dir(path)} {
			if len(parent) <= len(dir) {
				continue
			}
			if err := os.Mkdir(parent, 0o700); err == nil {
				made = append(made, parent)
			} else if !errors.Is(err, os.ErrExist) {
				return err
			}
		}
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		made = append(made, path)
		_, err = io.Copy(out, f.content)
		if err == nil {
			err = out.Sync()
		}
		return errors.Join(err, out.Close())
	})
	if err != nil {
		return nil, err
	}
	for _, path := range made { // their names too, before the sidecar's
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if err := bolt.SyncDir(path); err != nil {
				return nil, err
			}
		}
	}
	return head, bolt.Adopt(dir)
}
