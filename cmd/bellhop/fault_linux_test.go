package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/enginetest/faultfs"
)

// onDisk puts the data of the server under test on a disk that fails.
func onDisk(t *testing.T, tr *trial) *faultfs.Disk {
	t.Helper()
	d := faultfs.Mount(t)
	tr.v.args = []string{"--data", filepath.Join(d.Dir, "data")}
	return d
}

// TestFaultPowerCut cuts the power under load: the server dies and the disk loses what was not synced, all of it or a
// random part, torn and in any order.
func TestFaultPowerCut(t *testing.T) {
	cuts := rounds(t, 2)
	tr := newTrial(t)
	d := onDisk(t, tr)
	stop := tr.load(8)
	for i := range cuts {
		tr.v.start()
		tr.v.ready()
		time.Sleep(time.Duration(50+rand.IntN(700)) * time.Millisecond)
		tr.v.kill()
		chance := rand.New(rand.NewPCG(uint64(i), rand.Uint64()))
		if i%4 == 0 {
			chance = nil
		}
		if err := d.Cut(chance); err != nil {
			t.Fatal(err)
		}
	}
	tr.v.start()
	defer tr.v.kill()
	tr.v.ready()
	tr.more(1)
	stop()
	tr.verdict(fmt.Sprintf("%d power cuts, opened each time", cuts))
}

// TestFaultPowerCutWithoutSync is the control: on a disk whose fsync does nothing the same cut must be seen as loss.
func TestFaultPowerCutWithoutSync(t *testing.T) {
	tr := newTrial(t)
	d := onDisk(t, tr)
	tr.v.start()
	tr.v.ready()
	stop := tr.load(4)
	tr.more(20)
	stop()
	tr.v.kill()
	if err := d.Cut(nil); err != nil { // the store as it was made is on disk, but nothing more
		t.Fatal(err)
	}
	tr.v.start()
	tr.v.ready()
	d.Lie()
	stop = tr.load(4)
	tr.more(20)
	stop()
	tr.v.kill()
	if err := d.Cut(nil); err != nil {
		t.Fatal(err)
	}
	tr.v.start()
	if !tr.v.readyWithin(time.Minute) {
		t.Log("control: the start was refused, which is right")
		return
	}
	defer tr.v.kill()
	if f := tr.judge(); f.lost == 0 {
		t.Errorf("fsync did nothing and nothing was lost: TestFaultPowerCut proves nothing (%s)", f)
	} else {
		t.Logf("control: fsync did nothing, and %d of %d acknowledged events were lost", f.lost, f.acked)
	}
}

// TestFaultSyncFails makes one fsync of the database fail. The process must end with an error: what the disk has is
// unknown. What it had acknowledged before is there after the power comes back.
func TestFaultSyncFails(t *testing.T) {
	cases := rounds(t, 2)
	tr := newTrial(t)
	d := onDisk(t, tr)
	stop := tr.load(8)
	for i := range cases {
		tr.v.start()
		tr.v.ready()
		time.Sleep(time.Duration(50+rand.IntN(300)) * time.Millisecond)
		var fired atomic.Bool
		d.Fail(func(op, path string) syscall.Errno {
			if op == faultfs.Sync && path == "data/state.db" && fired.CompareAndSwap(false, true) {
				return syscall.EIO
			}
			return 0
		})
		if code := tr.v.exit(2 * time.Minute); code <= 0 {
			t.Fatalf("case %d: fsync failed and the process ended with %d (-1: not at all), want an error", i, code)
		}
		d.Fail(nil)
		if err := d.Cut(nil); err != nil {
			t.Fatal(err)
		}
	}
	tr.v.start()
	defer tr.v.kill()
	tr.v.ready()
	tr.more(1)
	stop()
	tr.verdict(fmt.Sprintf("%d failed fsyncs", cases))
}

// TestFaultNoRoom fills the disk, and makes it read-only, under load: hooks answer 503 with Retry-After, lists still
// work, and once the disk takes writes again so do hooks, without a restart.
func TestFaultNoRoom(t *testing.T) {
	for name, errno := range map[string]syscall.Errno{"full": syscall.ENOSPC, "read-only": syscall.EROFS} {
		t.Run(name, func(t *testing.T) {
			tr := newTrial(t)
			d := onDisk(t, tr)
			tr.v.start()
			defer tr.v.kill()
			tr.v.ready()
			stop := tr.load(8)
			tr.more(20)
			d.Fail(func(op, _ string) syscall.Errno {
				switch op {
				case faultfs.Write, faultfs.Truncate, faultfs.Create, faultfs.Mkdir:
					return errno
				case faultfs.Open, faultfs.Rename, faultfs.Remove:
					if errno == syscall.EROFS {
						return errno
					}
				}
				return 0
			})
			refused := false
			for deadline := time.Now().Add(2 * time.Minute); !refused; time.Sleep(10 * time.Millisecond) {
				resp, err := http.Post("http://"+tr.v.addr+"/hooks/kill", "application/json", strings.NewReader(`{"id":"full","total":1}`))
				if err != nil {
					t.Fatalf("the server is gone: %v", err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if refused = resp.StatusCode == http.StatusServiceUnavailable; refused && resp.Header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
				if time.Now().After(deadline) {
					t.Fatalf("the disk takes no writes and hooks answer %d", resp.StatusCode)
				}
			}
			var list struct{ Items []struct{ ID string } }
			if err := tr.v.get("/api/v1/runs", &list); err != nil || len(list.Items) == 0 {
				t.Errorf("lists while the disk takes no writes: %d runs and %v", len(list.Items), err)
			}
			d.Fail(nil)
			begun := time.Now()
			for before := tr.count(); tr.count() == before; time.Sleep(10 * time.Millisecond) {
				if time.Since(begun) > time.Minute {
					t.Fatal("a minute after the disk takes writes again no hook does")
				}
			}
			recovered := time.Since(begun)
			stop()
			tr.verdict(fmt.Sprintf("disk %s, accepted again after %s", name, recovered.Round(time.Millisecond)))
		})
	}
}

// TestFaultReadOnlyStart starts on a disk that takes no writes: exit code 3 and a text that says what to do.
func TestFaultReadOnlyStart(t *testing.T) {
	tr := newTrial(t)
	d := onDisk(t, tr)
	tr.v.start()
	tr.v.ready()
	tr.v.kill()
	d.Fail(func(op, _ string) syscall.Errno {
		switch op {
		case faultfs.SyncNames, faultfs.Sync:
			return 0
		}
		return syscall.EROFS
	})
	cmd := exec.Command(tr.v.bin, append([]string{"serve", "--dir", tr.v.dir, "--listen", tr.v.addr}, tr.v.args...)...)
	cmd.Env = append(os.Environ(), "BELLHOP_ADMIN_TOKEN=")
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("exit code %d (%v), want 3\n%s", code, err, out)
	}
	if text := out.String(); !strings.Contains(text, "read-only file system") || !strings.Contains(text, "let this user") || strings.Contains(text, "goroutine ") {
		t.Errorf("the text does not say what is wrong and what to do:\n%s", text)
	}
}

// TestFaultCallN makes the first call to the disk fail, then the second, and so on until all of them have, each time from
// an empty folder: start, some events, stop. The server may refuse to start or end with an error; then the power is cut,
// and the next start, on a disk that works, must be ready and have every acknowledged event.
func TestFaultCallN(t *testing.T) {
	step := 1
	if os.Getenv("BELLHOP_KILLS") == "" {
		step = 25
	} else if rounds(t, 0) < 50 {
		step = 5
	}
	fired, tried := true, 0
	for n := 1; fired; n += step {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			tr := newTrial(t)
			d := onDisk(t, tr)
			var calls atomic.Int64
			var what atomic.Value
			d.Fail(func(op, path string) syscall.Errno {
				if calls.Add(1) != int64(n) {
					return 0
				}
				what.Store(op + " " + path)
				return syscall.EIO
			})
			tr.v.start()
			if tr.v.readyWithin(10 * time.Second) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				for i := range 3 {
					tr.send(ctx, &http.Client{Timeout: time.Second}, fmt.Sprint("e-", i))
				}
				cancel()
			}
			if err := tr.v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Logf("the server has ended: %v", err)
			}
			code := tr.v.exit(10 * time.Second)
			d.Fail(nil)
			if fired = what.Load() != nil; !fired {
				return
			}
			tried++
			if err := d.Cut(nil); err != nil {
				t.Fatal(err)
			}
			tr.v.start()
			defer tr.v.kill()
			tr.v.ready()
			if f := tr.judge(); f.bad() {
				t.Errorf("call %d, %s, failed; the server ended with %d: %s", n, what.Load(), code, f)
			}
		})
	}
	if tried < 3 {
		t.Errorf("only %d calls failed: the test proves nothing", tried)
	}
	t.Logf("%d calls failed, one in %d of a start, three events and a stop", tried, step)
}
