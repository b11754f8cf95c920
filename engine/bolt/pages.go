package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The page kinds of bbolt's file format 2, and the sizes of what stands in a page.
const (
	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageFreelist = 0x10

	pageHeader    = 16 // id8 kind2 count2 overflow4
	elementSize   = 16 // branch: pos4 keysize4 page8; leaf: flags4 pos4 keysize4 valuesize4
	bucketHeader  = 16 // root8 sequence8
	maxPageDepth  = 64
	noFreelist    = 1<<64 - 1
	maxTreeValues = 1 << 31 // bytes of one page with its overflow, as bbolt bounds a value
)

// A tree is a bbolt file read page by page, without mapping it and without bbolt: a wild page number or offset in a
// damaged file ends a process that follows it in a mapping, and bbolt's own check follows it. Every page that the tree
// reaches is compared with what its place demands, and every key with its neighbors and with the keys above it.
type tree struct {
	f        *os.File
	meta     metaPage
	order    binary.ByteOrder
	used     []bool            // pages that were reached
	buckets  map[string]bucket // of the first level
	problems func(string)
}

// A bucket is where its keys begin.
type bucket struct {
	root     uint64
	sequence uint64
	inline   []byte // the page itself, where root is 0
}

// openTree reads the head of a file and its list of buckets, and tells of every problem that it meets. An error
// means that there is nothing to read.
func openTree(path string, problems func(string)) (*tree, error) {
	meta, err := checkPages(path)
	if err != nil {
		return nil, err
	}
	t := &tree{meta: meta, order: binary.NativeEndian, buckets: map[string]bucket{}, problems: problems}
	if t.f, err = os.Open(path); err != nil {
		return nil, err
	}
	t.used = make([]bool, meta.pages) // the file holds so many
	if meta.valid < 2 {
		t.problem("one of the two first pages is damaged: the last change before it may be lost")
	}
	for id := range uint64(2) {
		t.used[id] = true
		if b, err := t.read(id, 0); err != nil || t.order.Uint64(b) != id {
			t.problem("page %d does not bear its number", id)
		}
	}
	t.walkPage(meta.root, nil, nil, 0, func(key, value []byte, isBucket bool) {
		if !isBucket {
			t.problem("a value stands where only buckets may: key %x", key)
			return
		}
		if b, ok := t.bucket(value); ok {
			t.buckets[string(key)] = b
		}
	})
	return t, nil
}

func (t *tree) close() { _ = t.f.Close() }

func (t *tree) problem(format string, args ...any) { t.problems(fmt.Sprintf(format, args...)) }

// bucket reads the value of a bucket's key.
func (t *tree) bucket(value []byte) (bucket, bool) {
	if len(value) < bucketHeader {
		t.problem("a bucket of %d bytes", len(value))
		return bucket{}, false
	}
	b := bucket{root: t.order.Uint64(value), sequence: t.order.Uint64(value[8:])}
	if b.root == 0 {
		b.inline = bytes.Clone(value[bucketHeader:])
	}
	return b, true
}

// walk visits the keys of a bucket of the first level in their order; sub visits those of a bucket inside it. Key and
// value are the visitor's for the call.
func (t *tree) walk(name []byte, visit func(key, value []byte), sub func(name, key, value []byte)) {
	b, ok := t.buckets[string(name)]
	if !ok {
		return
	}
	t.walkBucket(b, func(key, value []byte, isBucket bool) {
		switch {
		case !isBucket && visit != nil:
			visit(key, value)
		case isBucket && sub != nil:
			inner, ok := t.bucket(value)
			if !ok {
				return
			}
			name := bytes.Clone(key)
			t.walkBucket(inner, func(key, value []byte, isBucket bool) {
				if isBucket {
					t.problem("a bucket inside bucket %q", name)
					return
				}
				sub(name, key, value)
			})
		default:
			t.problem("key %x of bucket %q is of the wrong kind", key, name)
		}
	})
}

type visitor func(key, value []byte, isBucket bool)

func (t *tree) walkBucket(b bucket, visit visitor) {
	if b.root != 0 {
		t.walkPage(b.root, nil, nil, 0, visit)
		return
	}
	if len(b.inline) < pageHeader || t.order.Uint16(b.inline[8:]) != pageLeaf {
		t.problem("a small bucket is damaged")
		return
	}
	t.walkLeaf("a small bucket", b.inline, nil, nil, visit)
}

// read returns a page and the pages of its overflow.
func (t *tree) read(id uint64, overflow uint32) ([]byte, error) {
	size := (int64(overflow) + 1) * int64(t.meta.pageSize)
	if id >= t.meta.pages || uint64(overflow) >= t.meta.pages-id || size > maxTreeValues {
		return nil, fmt.Errorf("page %d and %d more are beyond the end, which is page %d", id, overflow, t.meta.pages)
	}
	b := make([]byte, size)
	_, err := t.f.ReadAt(b, int64(id)*int64(t.meta.pageSize))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// page reads one that the tree names and has not named before.
func (t *tree) page(id uint64) ([]byte, bool) {
	b, err := t.read(id, 0)
	if err == nil && t.order.Uint64(b) != id {
		err = fmt.Errorf("page %d does not bear its number", id)
	}
	if err == nil {
		if more := t.order.Uint32(b[12:]); more > 0 {
			b, err = t.read(id, more)
		}
	}
	if err != nil {
		t.problem("%v", err)
		return nil, false
	}
	for i := range uint64(len(b)) / uint64(t.meta.pageSize) {
		if t.used[id+i] {
			t.problem("page %d is used twice", id+i)
			return nil, false
		}
		t.used[id+i] = true
	}
	return b, true
}

// walkPage visits what is below a page. Its keys are from low on, and below high; nil: no bound.
func (t *tree) walkPage(id uint64, low, high []byte, depth int, visit visitor) {
	b, ok := t.page(id)
	if !ok {
		return
	}
	what := fmt.Sprintf("page %d", id)
	if depth > maxPageDepth {
		t.problem("%s lies too deep", what)
		return
	}
	switch t.order.Uint16(b[8:]) {
	case pageLeaf:
		t.walkLeaf(what, b, low, high, visit)
	case pageBranch:
		n := int(t.order.Uint16(b[10:]))
		if n == 0 || !t.fits(what, b, n) {
			return
		}
		keys, pages := make([][]byte, n), make([]uint64, n)
		for i := range n {
			e := b[pageHeader+i*elementSize:]
			if keys[i], ok = t.cut(what, b, i, t.order.Uint32(e), t.order.Uint32(e[4:])); !ok {
				return
			}
			pages[i] = t.order.Uint64(e[8:])
		}
		for i := range n {
			t.inOrder(what, keys, i, low, high)
			next := high
			if i+1 < n {
				next = keys[i+1]
			}
			t.walkPage(pages[i], keys[i], next, depth+1, visit)
		}
	default:
		t.problem("%s is of an unknown kind", what)
	}
}

func (t *tree) walkLeaf(what string, b, low, high []byte, visit visitor) {
	n := int(t.order.Uint16(b[10:]))
	if !t.fits(what, b, n) {
		return
	}
	keys := make([][]byte, n)
	for i := range n {
		e := b[pageHeader+i*elementSize:]
		flags, pos, keySize, valueSize := t.order.Uint32(e), t.order.Uint32(e[4:]), t.order.Uint32(e[8:]), t.order.Uint32(e[12:])
		var ok bool
		if keys[i], ok = t.cut(what, b, i, pos, keySize); !ok {
			return
		}
		value, ok := t.cut(what, b, i, pos+keySize, valueSize)
		if !ok {
			return
		}
		if flags > 1 {
			t.problem("%s: entry %d is of an unknown kind", what, i)
			return
		}
		t.inOrder(what, keys, i, low, high)
		visit(keys[i], value, flags == 1)
	}
}

// fits reports whether a page has room for so many entries.
func (t *tree) fits(what string, b []byte, n int) bool {
	if pageHeader+n*elementSize > len(b) {
		t.problem("%s says that it has %d entries, more than it can hold", what, n)
		return false
	}
	return true
}

// cut is size bytes of a page, pos behind the begin of an entry.
func (t *tree) cut(what string, b []byte, entry int, pos, size uint32) ([]byte, bool) {
	from := pageHeader + entry*elementSize + int(pos)
	if from > len(b) || int(size) > len(b)-from {
		t.problem("%s: entry %d points beyond its end", what, entry)
		return nil, false
	}
	return b[from : from+int(size) : from+int(size)], true
}

func (t *tree) inOrder(what string, keys [][]byte, i int, low, high []byte) {
	switch k := keys[i]; {
	case i > 0 && bytes.Compare(keys[i-1], k) >= 0,
		low != nil && bytes.Compare(k, low) < 0,
		high != nil && bytes.Compare(k, high) >= 0:
		t.problem("%s: key %x is not where it belongs", what, k)
	}
}

// checkFree compares the list of free pages with those that were reached. It comes after everything was walked.
func (t *tree) checkFree() {
	if t.meta.freelist != noFreelist {
		b, ok := t.page(t.meta.freelist)
		if !ok {
			return
		}
		n, at := uint64(t.order.Uint16(b[10:])), pageHeader
		if n == 0xffff {
			n, at = t.order.Uint64(b[at:]), at+8
		}
		if t.order.Uint16(b[8:]) != pageFreelist || n > uint64(len(b)-at)/8 {
			t.problem("the list of free pages is damaged")
			return
		}
		for i := range n {
			switch id := t.order.Uint64(b[at+int(i)*8:]); {
			case id >= t.meta.pages:
				t.problem("page %d is called free and lies beyond the end", id)
			case t.used[id]:
				t.problem("page %d is called free and is in use", id)
			default:
				t.used[id] = true
			}
		}
		for id, used := range t.used {
			if !used {
				t.problem("page %d is neither in use nor free", id)
			}
		}
	}
}
