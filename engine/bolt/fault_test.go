package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/enginetest"
)

func TestFailedSyncEndsTheStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	first := accept(t, s, newRun("w"))[0].ID
	s.SetCommit(func(tx *bbolt.Tx) error { return syscall.EIO })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{newRun("w")}})
			if !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrClosed) {
				t.Errorf("accept: got %v, want ErrUnavailable or ErrClosed", err)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-s.Fatal():
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("fatal: got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("no fatal error came")
	}
	if _, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{newRun("w")}}); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("accept after it: got %v, want ErrClosed", err)
	}
	if _, err := s.Read(context.Background(), first, 0); err != nil {
		t.Errorf("reading ends with it: %v", err)
	}
	closeStore(t, s)
	s = open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	if c := claim(t, s); c.Run != first || c.Takeovers != 1 {
		t.Errorf("after a restart: got run %s with %d takeovers, want %s with 1", c.Run, c.Takeovers, first)
	}
}

func TestARunThatWaitsForARetryIsNotBlamedForACrash(t *testing.T) {
	for name, tt := range map[string]struct {
		until time.Duration
		want  int
	}{"waiting": {time.Hour, 0}, "due": {-time.Second, 1}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, bolt.Options{})
			accept(t, s, newRun("w"))
			c, at := claim(t, s), time.Now()
			err := s.Append(context.Background(), c, []engine.Record{
				{Seq: c.Seq, At: at, Kind: engine.KindStepStarted, Step: "a", Attempt: 1, Status: engine.StatusRunning},
				{Seq: c.Seq + 1, At: at, Kind: engine.KindStepFailed, Step: "a", Attempt: 1, Status: engine.StatusFailed, Until: at.Add(tt.until)},
			}, engine.Then{Kind: engine.Continue})
			if err != nil {
				t.Fatal(err)
			}
			s.SetCommit(func(tx *bbolt.Tx) error { return syscall.EIO })
			if _, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{newRun("w")}}); err == nil {
				t.Fatal("accepted without a commit")
			}
			closeStore(t, s)
			s = open(t, dir, bolt.Options{})
			defer closeStore(t, s)
			if c := claim(t, s); c.Takeovers != tt.want {
				t.Errorf("%d takeovers, want %d", c.Takeovers, tt.want)
			}
		})
	}
}

// A short wait is held in memory, and its journal ends with its start, or with the note of an earlier crash.
func TestARunInAShortWaitIsNotBlamedForACrash(t *testing.T) {
	for name, tt := range map[string]struct {
		until time.Duration
		more  []engine.Record
		want  int
	}{
		"waiting":                     {time.Hour, nil, 0},
		"waiting since before":        {time.Hour, []engine.Record{{Kind: engine.KindClaimed, Attempt: 1}}, 0},
		"due":                         {-time.Second, nil, 1},
		"beside a step that is begun": {time.Hour, []engine.Record{{Kind: engine.KindStepStarted, Step: "b", Attempt: 1}}, 1},
		"behind it": {time.Hour, []engine.Record{
			{Kind: engine.KindStepCompleted, Step: "a", Attempt: 1, Status: engine.StatusSucceeded}, {Kind: engine.KindStepStarted, Step: "b", Attempt: 1},
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, bolt.Options{})
			accept(t, s, newRun("w"))
			c, at := claim(t, s), time.Now()
			recs := append([]engine.Record{{Kind: engine.KindStepStarted, Step: "a", Attempt: 1, Until: at.Add(tt.until)}}, tt.more...)
			for i := range recs {
				recs[i].Seq, recs[i].At = c.Seq+uint32(i), at
			}
			if err := s.Append(context.Background(), c, recs, engine.Then{Kind: engine.Continue}); err != nil {
				t.Fatal(err)
			}
			s.Crash()
			s = open(t, dir, bolt.Options{})
			defer closeStore(t, s)
			if c := claim(t, s); c.Takeovers != tt.want {
				t.Errorf("%d takeovers, want %d", c.Takeovers, tt.want)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	for name, err := range map[string]error{
		"a page has no room":            &fs.PathError{Op: "write", Path: "state.db", Err: syscall.ENOSPC},
		"the file cannot become longer": fmt.Errorf("file resize error: %s", &fs.PathError{Op: "truncate", Path: "state.db", Err: syscall.ENOSPC}), // as bbolt says it
	} {
		t.Run(name, func(t *testing.T) { testFullDisk(t, err) })
	}
}

func testFullDisk(t *testing.T, noRoom error) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	ctx := context.Background()
	id := accept(t, s, newRun("w"))[0].ID
	c := claim(t, s)
	wantFull := func(what string, err error) {
		t.Helper()
		var full *engine.FullError
		if !errors.As(err, &full) || full.Reason != "disk" || full.RetryAfter < time.Second {
			t.Errorf("%s: got %v, want a FullError of the disk", what, err)
		}
	}
	var fails atomic.Bool
	fails.Store(true)
	s.SetCommit(func(tx *bbolt.Tx) error {
		if fails.Load() {
			return noRoom
		}
		return tx.Commit()
	})
	_, err := s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{newRun("w")}})
	wantFull("accept", err)
	recs := []engine.Record{{At: time.Now(), Kind: engine.KindStepStarted, Step: "a", Attempt: 1}}
	wantFull("append", s.Append(ctx, c, recs, engine.Then{}))
	if _, err := s.Read(ctx, id, 0); err != nil {
		t.Errorf("read: %v", err)
	}
	fails.Store(false)
	if err := s.Append(ctx, c, recs, engine.Then{}); err != nil {
		t.Errorf("the reserve is free, a run that is under way goes on: %v", err)
	}
	for deadline := time.Now().Add(patience); ; { // until the reserve is back
		_, err := s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{newRun("w")}})
		if err == nil {
			break
		}
		wantFull("accept", err)
		if time.Now().After(deadline) {
			t.Fatal("nothing is accepted after room came back")
		}
		<-time.After(20 * time.Millisecond)
	}
	s.SetSpace(1<<30, 100<<30)
	if _, err := s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{newRun("w")}}); err != nil {
		t.Errorf("a gigabyte is enough: %v", err)
	}
	if !s.Accepting() {
		t.Error("with room, the store says that it takes no runs")
	}
	s.SetSpace(1<<30-1, 100<<30)
	if s.Accepting() {
		t.Error("without room, the store says that it takes runs")
	}
	_, err = s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{newRun("w")}})
	wantFull("accept on a nearly full disk", err)
	finish(t, s, c, engine.StatusSucceeded)
	select {
	case err := <-s.Fatal():
		t.Errorf("a full disk is no fatal error: %v", err)
	default:
	}
}

// child is what the test binary does when BELLHOP_BOLT_CHILD names a directory. It accepts and works until it is killed,
// and writes each run that was acknowledged, and each step that is stored, to standard output.
func child(dir string) {
	s, err := bolt.Open(dir, bolt.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	ctx := context.Background()
	var mu sync.Mutex
	say := func(word string, id engine.RunID) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(word, id)
	}
	fmt.Println("ready")
	for range 16 {
		go func() {
			for {
				n := newRun("w")
				if n.Data = event(rand.Int()); rand.IntN(8) == 0 {
					n.Data = noise(300 << 10)
				}
				if acc, err := s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{n}}); err == nil {
					say("acked", acc[0].ID)
				}
			}
		}()
	}
	for {
		claims, err := s.Claim(ctx, 8)
		if err != nil {
			os.Exit(4)
		}
		for _, c := range claims {
			go func() {
				attempt := 1
				for _, r := range c.Journal {
					if r.Kind == engine.KindStepStarted {
						attempt++
					}
				}
				start := []engine.Record{{At: time.Now(), Kind: engine.KindStepStarted, Step: "a", Attempt: attempt}}
				if err := s.Append(ctx, c, start, engine.Then{}); err != nil {
					return
				}
				var output []byte
				if rand.IntN(8) == 0 {
					output = noise(400 << 10)
				}
				end := []engine.Record{
					{At: time.Now(), Kind: engine.KindStepCompleted, Step: "a", Attempt: attempt, Status: engine.StatusSucceeded, Data: output},
					{At: time.Now(), Kind: engine.KindFinished, Status: engine.StatusSucceeded},
				}
				if s.Append(ctx, c, end, engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusSucceeded}}) == nil {
					say("finished", c.Run)
				}
			}()
		}
	}
}

// TestKill kills a child under load, as often as BELLHOP_KILLS says, 5 times by default, and checks that every
// acknowledged run is there, that no finished one is ready again, that all journals keep the laws, and that every file of
// a large value is that of a run.
func TestKill(t *testing.T) {
	kills := 5
	if n, err := strconv.Atoi(os.Getenv("BELLHOP_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	acked, done := map[engine.RunID]bool{}, map[engine.RunID]bool{}
	for range kills {
		runChild(t, dir, acked, done)
		for _, f := range check(t, dir).Findings {
			t.Errorf("%s: %s", f.File, f.Problem)
		}
	}
	s, err := bolt.Open(dir, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	for _, name := range blobFiles(t, dir) {
		if _, err := s.Read(context.Background(), runOf(t, name), 0); err != nil {
			t.Errorf("the file %s is left behind: %v", name, err)
		}
	}
	ctx := context.Background()
	for id := range acked {
		recs, err := s.Read(ctx, id, 0)
		if err != nil {
			t.Fatalf("acknowledged run %s: %v", id, err)
		}
		enginetest.CheckLaws(t, recs)
		if last := recs[len(recs)-1]; done[id] && last.Kind != engine.KindFinished {
			t.Fatalf("run %s was finished, its journal ends with %s", id, last.Kind)
		}
	}
	st, err := s.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range st.Ready {
		if c := claim(t, s); done[c.Run] {
			t.Fatalf("run %s was finished and is claimed again", c.Run)
		}
	}
	if err := s.DB().View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		return nil
	}); err != nil {
		t.Errorf("the file is inconsistent: %v", err)
	}
	if len(acked) < 20*kills || len(done) == 0 {
		t.Errorf("%d acknowledged and %d finished: too little load to prove anything", len(acked), len(done))
	}
	t.Logf("%d kills, %d acknowledged, %d finished, %d left ready, 0 lost", kills, len(acked), len(done), st.Ready)
}

func runChild(t *testing.T, dir string, acked, done map[engine.RunID]bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "BELLHOP_BOLT_CHILD="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It dies some time after it has done enough for the kill to prove something, however slow the machine is.
	const enough = 20
	before, ends, dies := len(acked), len(done), false
	r := bufio.NewReader(out)
	for {
		if !dies && len(acked)-before >= enough && len(done) > ends {
			dies = true
			time.AfterFunc(time.Duration(rand.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		line, err := r.ReadString('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) || line != "" && strings.HasSuffix(line, "\n") {
				t.Error(err)
			}
			break
		}
		word, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "ready" {
			continue
		}
		id, err := engine.ParseRunID(text)
		if err != nil {
			t.Fatal(err)
		}
		switch word {
		case "acked":
			acked[id] = true
		case "finished":
			done[id] = true
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() > 0 {
		t.Fatalf("the child ended by itself: %v", err)
	}
}
