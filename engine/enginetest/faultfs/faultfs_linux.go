package faultfs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// The operations that Fail is asked about.
const (
	Open      = "open"
	Create    = "create"
	Write     = "write"
	Truncate  = "truncate"
	Sync      = "fsync"
	SyncNames = "fsyncdir" // fsync of a directory
	Rename    = "rename"
	Remove    = "unlink"
	Mkdir     = "mkdir"
)

// Disk is a mounted file system.
type Disk struct {
	Dir string // where it is mounted

	back, trash string
	server      *fuse.Server

	mu     sync.Mutex
	fail   func(op, path string) syscall.Errno
	liar   bool
	free   int64            // bytes that Statfs tells; 0: those of the disk below
	files  map[uint64]*file // by inode
	doomed []*file          // whose fsync failed
	names  []change
	backup int
}

// A file has what was written since its last fsync, oldest first.
type file struct {
	f      *os.File
	writes []write
}

// A write is one change of a file's content: data at off, or a new length.
type write struct {
	off     int64
	data    []byte
	old     []byte // what stood there, as far as the file reached
	oldSize int64
	size    int64 // the new length of a truncate; -1: a write
}

// A change is one of names in directories.
type change struct {
	dirs []string
	undo func() error
}

// Mount makes a disk that ends with the test. Where it cannot, without root or /dev/fuse, the test is skipped loudly, and
// fails when CI is true.
func Mount(t testing.TB) *Disk {
	t.Helper()
	base := t.TempDir()
	d := &Disk{
		Dir: filepath.Join(base, "mount"), back: filepath.Join(base, "disk"), trash: filepath.Join(base, "trash"),
		files: map[uint64]*file{},
	}
	for _, dir := range []string{d.Dir, d.back, d.trash} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.mount(); err != nil {
		Missing(t, "mount a FUSE file system", err)
	}
	t.Cleanup(func() {
		if err := d.server.Unmount(); err != nil {
			t.Error(err)
		}
		d.forget()
	})
	return d
}

func (d *Disk) mount() error {
	//nolint:staticcheck // NewNode is deprecated for NodeWrapChilder, which wraps where this replaces
	root := &fs.LoopbackRoot{Path: d.back, NewNode: func(r *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
		return &node{LoopbackNode: fs.LoopbackNode{RootData: r}, d: d}
	}}
	var st syscall.Stat_t
	if err := syscall.Stat(d.back, &st); err != nil {
		return err
	}
	root.Dev = st.Dev
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, d: d}
	root.RootNode = top
	var err error
	d.server, err = fs.Mount(d.Dir, top, &fs.Options{MountOptions: fuse.MountOptions{
		FsName: "faultfs", DirectMountStrict: true, DisableXAttrs: true, MaxWrite: 1 << 20,
	}})
	return err
}

// Fail sets what is asked before every operation, with the path below Dir; 0 lets it go on. An fsync that fails leaves
// what it should have made durable to the next Cut, whatever later ones say, as kernels do.
func (d *Disk) Fail(f func(op, path string) syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// Lie makes every fsync succeed and do nothing: the control that shows that a test of lost writes can fail.
func (d *Disk) Lie() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.liar = true
}

// Free sets how many bytes the disk says it has left.
func (d *Disk) Free(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = bytes
}

// Cut is a power cut and what follows: what was not synced is gone, and the disk is there again. No process may have a
// file of it open. With a source of chance some of the lost writes reached the disk all the same, in any order, and the
// last of them torn in the middle; without one none did.
func (d *Disk) Cut(r *rand.Rand) error {
	if err := d.server.Unmount(); err != nil {
		return fmt.Errorf("a process still uses the disk: %w", err)
	}
	d.mu.Lock()
	for _, f := range append(slices.Collect(maps.Values(d.files)), d.doomed...) {
		if err := f.cut(r); err != nil {
			d.mu.Unlock()
			return err
		}
	}
	keep := 0
	if r != nil {
		keep = r.IntN(len(d.names) + 1) // a journaled file system loses the newest names
	}
	for _, c := range slices.Backward(d.names[keep:]) {
		if err := c.undo(); err != nil {
			d.mu.Unlock()
			return err
		}
	}
	d.mu.Unlock()
	d.forget()
	return d.mount()
}

func (d *Disk) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range append(slices.Collect(maps.Values(d.files)), d.doomed...) {
		_ = f.f.Close()
	}
	clear(d.files)
	d.doomed, d.names = nil, nil
}

func (f *file) cut(r *rand.Rand) error {
	for _, w := range slices.Backward(f.writes) {
		if _, err := f.f.WriteAt(w.old, w.off); err != nil {
			return err
		}
		if err := f.f.Truncate(w.oldSize); err != nil {
			return err
		}
	}
	if r == nil || r.IntN(3) == 0 {
		return nil
	}
	const sector = 512
	for _, w := range f.writes {
		switch {
		case r.IntN(2) == 0:
			continue
		case w.size >= 0:
			if err := f.f.Truncate(w.size); err != nil {
				return err
			}
			continue
		}
		data := w.data
		if sectors := len(data) / sector; sectors > 1 && r.IntN(2) == 0 {
			data = data[:sector*(1+r.IntN(sectors-1))]
		}
		if _, err := f.f.WriteAt(data, w.off); err != nil {
			return err
		}
	}
	return nil
}

// ask reports whether an operation has to fail.
func (d *Disk) ask(op, path string) syscall.Errno {
	d.mu.Lock()
	f := d.fail
	d.mu.Unlock()
	if f == nil {
		return 0
	}
	return f(op, path)
}

// note remembers a write to f before it is made.
func (d *Disk) note(f *os.File, w write) syscall.Errno {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return fs.ToErrno(err)
	}
	w.oldSize = st.Size
	n := int64(len(w.data))
	if w.size >= 0 {
		w.off, n = w.size, st.Size-w.size
	}
	if n = min(n, st.Size-w.off); n > 0 {
		w.old = make([]byte, n)
		if _, err := f.ReadAt(w.old, w.off); err != nil {
			return fs.ToErrno(err)
		}
	}
	have := d.files[st.Ino]
	if have == nil {
		fd, err := syscall.Dup(int(f.Fd()))
		if err != nil {
			return fs.ToErrno(err)
		}
		have = &file{f: os.NewFile(uintptr(fd), f.Name())}
		d.files[st.Ino] = have
	}
	w.data = slices.Clone(w.data)
	have.writes = append(have.writes, w)
	return 0
}

// synced is the end of an fsync of f.
func (d *Disk) synced(f *os.File, failed bool) {
	var st syscall.Stat_t
	if syscall.Fstat(int(f.Fd()), &st) != nil || d.liar {
		return
	}
	have := d.files[st.Ino]
	if have == nil {
		return
	}
	delete(d.files, st.Ino)
	if failed {
		d.doomed = append(d.doomed, have)
	} else {
		_ = have.f.Close()
	}
}

// renamed remembers a change of names.
func (d *Disk) renamed(undo func() error, dirs ...string) {
	d.names = append(d.names, change{dirs, undo})
}

// save keeps what a name stands for, if anything, so that undo can bring it back.
func (d *Disk) save(path string) (restore func() error, err error) {
	d.backup++
	kept := filepath.Join(d.trash, fmt.Sprint(d.backup))
	err = os.Link(path, kept)
	if errors.Is(err, os.ErrNotExist) {
		return func() error { return nil }, nil
	}
	return func() error { return os.Rename(kept, path) }, err
}

// node is a file or directory.
type node struct {
	fs.LoopbackNode
	d *Disk
}

var (
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeCreater   = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeRenamer   = (*node)(nil)
	_ fs.NodeUnlinker  = (*node)(nil)
	_ fs.NodeMkdirer   = (*node)(nil)
	_ fs.NodeStatfser  = (*node)(nil)

	_ fs.NodeOpendirHandler = (*node)(nil)
	_ fs.FileFsyncdirer     = (*names)(nil)
)

func (n *node) path(name string) string { return filepath.Join(n.d.back, n.Path(n.Root()), name) }
func (n *node) name(name string) string { return filepath.Join(n.Path(n.Root()), name) }

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	errno := n.LoopbackNode.Statfs(ctx, out)
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	if n.d.free > 0 {
		out.Bfree = uint64(n.d.free) / uint64(out.Bsize)
		out.Bavail = out.Bfree
	}
	return errno
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.d.ask(Open, n.name("")); errno != 0 && flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, errno
	}
	access := int(flags) &^ (syscall.O_APPEND | syscall.O_CREAT | syscall.O_EXCL | syscall.O_TRUNC)
	if access&syscall.O_ACCMODE == syscall.O_WRONLY {
		access = access&^syscall.O_ACCMODE | syscall.O_RDWR // what a write covers is read before
	}
	f, err := os.OpenFile(n.path(""), access, 0)
	if err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	h := &handle{f: f, n: n}
	if flags&syscall.O_TRUNC != 0 {
		if errno := h.truncate(0); errno != 0 {
			return nil, 0, errno
		}
	}
	return h, 0, 0
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.d.ask(Create, n.name(name)); errno != 0 {
		return nil, nil, 0, errno
	}
	path := n.path(name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|int(flags&syscall.O_EXCL), os.FileMode(mode))
	if err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	n.d.mu.Lock()
	n.d.renamed(func() error { return os.Remove(path) }, n.path(""))
	n.d.mu.Unlock()
	child, errno := n.Lookup(ctx, name, out)
	if errno != 0 {
		_ = f.Close()
		return nil, nil, 0, errno
	}
	made, ok := child.Operations().(*node)
	if !ok {
		return nil, nil, 0, syscall.EIO
	}
	return child, &handle{f: f, n: made}, 0, 0
}

func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, ok := in.GetSize()
	if !ok {
		return n.LoopbackNode.Setattr(ctx, nil, in, out)
	}
	own, _ := h.(*handle)
	if own == nil {
		f, err := os.OpenFile(n.path(""), os.O_RDWR, 0)
		if err != nil {
			return fs.ToErrno(err)
		}
		defer f.Close()
		own = &handle{f: f, n: n}
	}
	if errno := own.truncate(int64(size)); errno != 0 {
		return errno
	}
	return own.Getattr(ctx, out)
}

func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := n.d.ask(Rename, n.name(newName)); errno != 0 {
		return errno
	}
	target, ok := to.(*node)
	if !ok {
		return syscall.EXDEV
	}
	from, there := n.path(name), target.path(newName)
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	restore, err := n.d.save(there)
	if err != nil {
		return fs.ToErrno(err)
	}
	if errno := n.LoopbackNode.Rename(ctx, name, to, newName, flags); errno != 0 {
		return errno
	}
	n.d.renamed(func() error { return errors.Join(os.Rename(there, from), restore()) }, n.path(""), target.path(""))
	return 0
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := n.d.ask(Remove, n.name(name)); errno != 0 {
		return errno
	}
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	restore, err := n.d.save(n.path(name))
	if err != nil {
		return fs.ToErrno(err)
	}
	if errno := n.LoopbackNode.Unlink(ctx, name); errno != 0 {
		return errno
	}
	n.d.renamed(restore, n.path(""))
	return 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.d.ask(Mkdir, n.name(name)); errno != 0 {
		return nil, errno
	}
	child, errno := n.LoopbackNode.Mkdir(ctx, name, mode, out)
	if errno == 0 {
		path := n.path(name)
		n.d.mu.Lock()
		n.d.renamed(func() error { return os.RemoveAll(path) }, n.path(""))
		n.d.mu.Unlock()
	}
	return child, errno
}

func (n *node) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	stream, errno := fs.NewLoopbackDirStream(n.path(""))
	if errno != 0 {
		return nil, 0, errno
	}
	all, ok := stream.(directory)
	if !ok {
		stream.Close()
		return nil, 0, syscall.ENOTSUP
	}
	return &names{all, n}, 0, 0
}

// directory is what an open directory can do.
type directory interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
}

// names is an open directory.
type names struct {
	directory
	n *node
}

// Fsyncdir makes the names in the directory durable.
func (h *names) Fsyncdir(context.Context, uint32) syscall.Errno {
	d := h.n.d
	if errno := d.ask(SyncNames, h.n.name("")); errno != 0 {
		return errno
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.liar {
		dir := h.n.path("")
		d.names = slices.DeleteFunc(d.names, func(c change) bool { return slices.Contains(c.dirs, dir) })
	}
	return 0
}

// handle is an open file.
type handle struct {
	f *os.File
	n *node
}

var (
	_ fs.FileReader    = (*handle)(nil)
	_ fs.FileWriter    = (*handle)(nil)
	_ fs.FileFsyncer   = (*handle)(nil)
	_ fs.FileFlusher   = (*handle)(nil)
	_ fs.FileReleaser  = (*handle)(nil)
	_ fs.FileGetattrer = (*handle)(nil)
)

func (h *handle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := h.f.ReadAt(dest, off)
	if n == 0 && err != nil && err.Error() != "EOF" {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

func (h *handle) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := h.n.d.ask(Write, h.n.name("")); errno != 0 {
		return 0, errno
	}
	d := h.n.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if errno := d.note(h.f, write{off: off, data: data, size: -1}); errno != 0 {
		return 0, errno
	}
	n, err := h.f.WriteAt(data, off)
	return uint32(n), fs.ToErrno(err)
}

func (h *handle) truncate(size int64) syscall.Errno {
	if errno := h.n.d.ask(Truncate, h.n.name("")); errno != 0 {
		return errno
	}
	d := h.n.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if errno := d.note(h.f, write{size: size}); errno != 0 {
		return errno
	}
	return fs.ToErrno(h.f.Truncate(size))
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	errno := h.n.d.ask(Sync, h.n.name(""))
	h.n.d.mu.Lock()
	defer h.n.d.mu.Unlock()
	h.n.d.synced(h.f, errno != 0)
	return errno
}

func (h *handle) Getattr(_ context.Context, out *fuse.AttrOut) syscall.Errno {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(h.f.Fd()), &st); err != nil {
		return fs.ToErrno(err)
	}
	out.FromStat(&st)
	return 0
}

func (h *handle) Flush(context.Context) syscall.Errno { return 0 }

func (h *handle) Release(context.Context) syscall.Errno { return fs.ToErrno(h.f.Close()) }
