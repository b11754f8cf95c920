package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// lived makes a closed store that holds some of everything, and returns its folder.
func lived(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	ctx := context.Background()
	for i := range 40 {
		finishOne(t, s, fmt.Sprintf("done-%d", i%3))
	}
	archived(t, s)
	for i := range 150 {
		n := newRun("w")
		n.Data, n.Head.Key, n.Window, n.NotBefore = event(i), fmt.Sprint("key", i), time.Hour, time.Now().Add(time.Hour)
		n.ID = engine.NewRunID(n.At, &n.Head)
		n.Delivery = &engine.Delivery{Workflow: "w", Trigger: "hook", Outcome: engine.DeliveryAccepted, At: n.At, Method: "POST", Path: "/hooks/w"}
		accept(t, s, n)
	}
	for i := range 20 {
		if _, err := s.KV().Put(ctx, fmt.Sprint("cursor/", i), event(i), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	return dir
}

func check(t *testing.T, dir string) bolt.Report {
	t.Helper()
	r, err := bolt.Check(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckFindsNothingWhereNothingIsWrong(t *testing.T) {
	r := check(t, lived(t))
	if len(r.Findings) > 0 || r.Live != 150 || r.Finished != 40 || r.Segments != 1 {
		t.Errorf("got %+v", r)
	}
	if r := check(t, t.TempDir()); len(r.Findings) > 0 {
		t.Errorf("of an empty folder: %+v", r)
	}
}

func TestCheckLeavesAServerAlone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	if _, err := bolt.Check(context.Background(), dir); !errors.Is(err, bolt.ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
}

// TestCheckFindsDamage flips eight bytes in every page of a database and of a history file, cuts both off at many
// places and puts other files in their place. Check tells of each, unless what is stored reads as it did: a part of
// a page that nothing uses. No damage ends the process.
func TestCheckFindsDamage(t *testing.T) {
	dir := lived(t)
	for _, path := range []string{filepath.Join(dir, "state.db"), segments(t, dir)[0]} {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := bolt.Content(path)
		if err != nil || len(content) < 4096 {
			t.Fatalf("%d bytes of content and %v", len(content), err)
		}
		found, unused := 0, 0
		try := func(what string, src []byte) {
			t.Helper()
			if err := os.WriteFile(path, src, 0o600); err != nil {
				t.Fatal(err)
			}
			if len(check(t, dir).Findings) > 0 {
				found++
				return
			}
			if after, err := bolt.Content(path); err != nil || after != content {
				t.Errorf("%s: %s: nothing was found, and what is stored is another (%v)", filepath.Base(path), what, err)
			}
			unused++
		}
		random := rand.New(rand.NewPCG(1, 2))
		for page := range len(whole) / 4096 {
			for _, offset := range []int{0, 8, 16, 24, 1000, random.IntN(4088)} {
				src := append([]byte{}, whole...)
				for i := range 8 {
					src[page*4096+offset+i] ^= 0x5a
				}
				try(fmt.Sprintf("page %d, offset %d", page, offset), src)
			}
		}
		flips := found
		if unused > found {
			t.Errorf("%s: %d flips found and %d in unused parts: the test damages little", filepath.Base(path), found, unused)
		}
		for i := range 64 {
			size := len(whole) * i / 64
			try(fmt.Sprintf("cut to %d bytes", size), whole[:size])
		}
		noise := make([]byte, len(whole))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		try("noise", noise)
		if found != flips+65 {
			t.Errorf("%s: %d of 65 files that are cut off or of another kind were found", filepath.Base(path), found-flips)
		}
		t.Logf("%s: %d flips found, %d in parts that nothing uses", filepath.Base(path), flips, unused)
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := check(t, dir); len(r.Findings) > 0 {
		t.Errorf("mended: %+v", r.Findings)
	}
}

// TestFaultFilesOfLargeValues flips bytes in every page of a file that holds a part of a waiting run's journal, cuts it off
// at many places and puts another's in its place: check names the run each time, and the others are as they were.
func TestFaultFilesOfLargeValues(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	for i := range 4 {
		n := largeRun("w", 300<<10)
		if n.NotBefore = time.Now().Add(time.Hour); i > 1 {
			n.Data = event(i)
		}
		accept(t, s, n)
	}
	closeStore(t, s)
	files := blobFiles(t, dir)
	if len(files) != 2 {
		t.Fatalf("%d files, want 2", len(files))
	}
	path := filepath.Join(dir, "blobs", files[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(dir, "blobs", files[1]))
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	try := func(what string, src []byte) {
		t.Helper()
		tries++
		if err := os.WriteFile(path, src, 0o600); err != nil {
			t.Fatal(err)
		}
		r := check(t, dir)
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Problem, runOf(t, files[0]).String()) || r.Live != 4 {
			t.Errorf("%s: %d runs, findings %+v", what, r.Live, r.Findings)
		}
	}
	for page := range len(whole) / 4096 {
		src := append([]byte{}, whole...)
		for i := range 8 {
			src[page*4096+rand.IntN(4088)+i] ^= 0x5a
		}
		try(fmt.Sprint("page ", page), src)
	}
	for i := range 16 {
		try(fmt.Sprintf("cut to %d sixteenths", i), whole[:len(whole)*i/16])
	}
	try("longer", append(append([]byte{}, whole...), 0))
	try("another's", other)
	t.Logf("%d ways of damage, all found", tries)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := check(t, dir); len(r.Findings) > 0 {
		t.Errorf("mended: %+v", r.Findings)
	}
}
