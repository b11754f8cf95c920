package bolt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// probe is the rate of 4 KiB appends with fdatasync on the file system of dir.
func probe(tb testing.TB, dir string) float64 {
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	begun, n := time.Now(), 0
	for time.Since(begun) < 500*time.Millisecond {
		if _, err := f.Write(page); err != nil {
			tb.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			tb.Fatal(err)
		}
		n++
	}
	return float64(n) / time.Since(begun).Seconds()
}

// BenchmarkAccept stores 2 KB events from so many callers at a time. Aims: ops/commit at least 0.9 x callers from
// 16 on; commits/probe at least 0.35; one caller waits at most 5 probes.
func BenchmarkAccept(b *testing.B) {
	for _, keyed := range []bool{false, true} {
		for _, callers := range []int{1, 16, 64, 256} {
			name := fmt.Sprintf("callers=%d", callers)
			if keyed {
				name = "keyed/" + name
			}
			b.Run(name, func(b *testing.B) {
				dir := b.TempDir()
				rate := probe(b, dir)
				s, err := bolt.Open(dir, bolt.Options{MaxRuns: 1 << 30, MaxWorkflowRuns: 1 << 30, MaxBytes: 1 << 40})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close(context.Background())
				before, _ := s.Stats(context.Background())
				data := make([][]byte, 64)
				for i := range data {
					data[i] = event(i)
				}
				b.ReportAllocs()
				b.ResetTimer()
				begun := time.Now()
				var next atomic.Int64
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for {
							i := next.Add(1)
							if i > int64(b.N) {
								return
							}
							n := engine.NewRun{Head: engine.Head{Workflow: "orders", Version: "v", Trigger: "order"}, At: time.Now(), Data: data[i%64]}
							if keyed {
								n.Head.Key, n.Window = fmt.Sprint(i), 24*time.Hour
							}
							n.ID = engine.NewRunID(n.At, &n.Head)
							if _, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{n}}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				took := time.Since(begun)
				b.StopTimer()
				after, _ := s.Stats(context.Background())
				commits := float64(after.Commits - before.Commits)
				b.ReportMetric(float64(b.N)/commits, "ops/commit")
				b.ReportMetric(commits/took.Seconds(), "commits/s")
				b.ReportMetric(rate, "probe/s")
				b.ReportMetric(commits/took.Seconds()/rate, "commits/probe")
				b.ReportMetric(float64(b.N)/took.Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkAcceptSlowDisk is BenchmarkAccept for 64 callers on a disk that is slower than this one: every commit is held
// for longer, asleep, as if each of its two fdatasync had taken that much longer. Where the disk is fast the processor is
// the limit long before the disk; this shows what the writer makes of a disk that is the limit. The probe is that of this
// disk with the same time added. Aim: commits/probe at least 0.35.
func BenchmarkAcceptSlowDisk(b *testing.B) {
	const callers = 64
	for _, longer := range []time.Duration{0, 250 * time.Microsecond, time.Millisecond, 4 * time.Millisecond} {
		b.Run("fdatasync=+"+longer.String(), func(b *testing.B) {
			dir := b.TempDir()
			probe := 1 / (1/probe(b, dir) + longer.Seconds())
			s, err := bolt.Open(dir, bolt.Options{MaxRuns: 1 << 30, MaxWorkflowRuns: 1 << 30, MaxBytes: 1 << 40})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close(context.Background())
			if longer > 0 {
				s.SetCommit(func(tx *bbolt.Tx) error {
					err := tx.Commit()
					time.Sleep(2 * longer)
					return err
				})
			}
			before, _ := s.Stats(context.Background())
			data := event(1)
			b.ResetTimer()
			begun := time.Now()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						n := engine.NewRun{Head: engine.Head{Workflow: "orders", Version: "v", Trigger: "order"}, At: time.Now(), Data: data}
						n.ID = engine.NewRunID(n.At, &n.Head)
						if _, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{n}}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			took := time.Since(begun)
			b.StopTimer()
			after, _ := s.Stats(context.Background())
			commits := float64(after.Commits - before.Commits)
			disk := (after.DiskTime - before.DiskTime).Seconds() + commits*2*longer.Seconds()
			b.ReportMetric(float64(b.N)/commits, "ops/commit")
			b.ReportMetric(commits/took.Seconds()/probe, "commits/probe")
			b.ReportMetric(100*disk/took.Seconds(), "%disk")
			b.ReportMetric(float64(b.N)/took.Seconds(), "events/s")
		})
	}
}

// stored makes a store with so many unfinished runs of so many workflows, ready at once or later.
func stored(b *testing.B, dir string, runs, workflows int, later time.Time) *bolt.Store {
	b.Helper()
	s, err := bolt.Open(dir, bolt.Options{NoSync: true, MaxRuns: 1 << 30, MaxWorkflowRuns: 1 << 30, MaxBytes: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			data := event(w)
			for i := w; i < runs; i += 64 {
				n := engine.NewRun{Head: engine.Head{Workflow: fmt.Sprint("w", i%workflows), Version: "v", Trigger: "order"}, At: time.Now().Add(-time.Minute), Data: data, NotBefore: later}
				n.ID = engine.NewRunID(n.At, &n.Head)
				if _, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{n}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return s
}

// BenchmarkOpen opens a store with 100,000 unfinished runs: of those that wait it reads notes, of those that are ready
// their journals. Aims: 2 s, and 3 KB of memory for each.
func BenchmarkOpen(b *testing.B) {
	const runs = 100_000
	for name, later := range map[string]time.Time{"waiting": time.Now().Add(24 * time.Hour), "ready": {}} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			if err := stored(b, dir, runs, 100, later).Close(context.Background()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				begun := time.Now()
				s, err := bolt.Open(dir, bolt.Options{NoSync: true})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(begun).Milliseconds()), "ms/open")
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/runs, "B/run")
				if err := s.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// written is how many bytes this process has given to write calls.
func written(b *testing.B) (n int64) {
	b.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err == nil {
		_, err = fmt.Sscanf(string(text), "rchar: %d\nwchar: %d", new(int64), &n)
	}
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkRun takes runs through accept, claim, start, end and archive, 64 at a time, without waiting for the disk:
// what is left is the CPU that the store costs. Aim: within 20 % from 10 to 5,000 workflows.
func BenchmarkRun(b *testing.B) {
	for _, workflows := range []int{10, 5000} {
		b.Run(fmt.Sprintf("workflows=%d", workflows), func(b *testing.B) {
			s, err := bolt.Open(b.TempDir(), bolt.Options{NoSync: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close(context.Background())
			ctx := context.Background()
			data := event(1)
			var cpu, after syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &cpu)
			before := written(b)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			var next, ended atomic.Int64
			work, stop := context.WithCancel(ctx)
			defer stop()
			for range 64 {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						n := engine.NewRun{Head: engine.Head{Workflow: fmt.Sprint("w", i%int64(workflows)), Version: "v", Trigger: "order"}, At: time.Now(), Data: data}
						n.ID = engine.NewRunID(n.At, &n.Head)
						if _, err := s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{n}}); err != nil {
							b.Error(err)
						}
					}
				})
				wg.Go(func() {
					for {
						claims, err := s.Claim(work, 1)
						if err != nil {
							return
						}
						c := claims[0]
						err = s.Append(ctx, c, []engine.Record{{At: time.Now(), Kind: engine.KindStepStarted, Step: "a", Attempt: 1, Data: data[:200]}}, engine.Then{})
						if err == nil {
							err = s.Append(ctx, c, []engine.Record{
								{At: time.Now(), Kind: engine.KindStepCompleted, Step: "a", Attempt: 1, Status: engine.StatusSucceeded, Data: data[:200]},
								{At: time.Now(), Kind: engine.KindFinished, Status: engine.StatusSucceeded},
							}, engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusSucceeded}})
						}
						if err != nil {
							b.Error(err)
						}
						if ended.Add(1) == int64(b.N) {
							stop()
						}
					}
				})
			}
			wg.Wait()
			archived(b, s)
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			b.StopTimer()
			used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - cpu.Utime.Nano() - cpu.Stime.Nano())
			b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-us/run")
			b.ReportMetric(float64(written(b)-before)/float64(b.N), "written-B/run")
			st, _ := s.Stats(ctx)
			b.ReportMetric(float64(st.Bytes)/float64(b.N), "disk-B/run")
		})
	}
}

// BenchmarkList reads the newest 50 of one workflow among BELLHOP_BENCH_RUNS archived runs (default 20,000; the aim
// of 5 ms is for 1,000,000).
func BenchmarkList(b *testing.B) {
	runs := 20_000
	if n, err := strconv.Atoi(os.Getenv("BELLHOP_BENCH_RUNS")); err == nil {
		runs = n
	}
	s := stored(b, b.TempDir(), 0, 1, time.Time{})
	defer s.Close(context.Background())
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < runs; i += 64 {
				n := engine.NewRun{Head: engine.Head{Workflow: fmt.Sprint("w", i%20), Version: "v", Trigger: "order"}, At: time.Now(), Data: event(i)}
				n.ID = engine.NewRunID(n.At, &n.Head)
				if _, err := s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{n}}); err != nil {
					b.Error(err)
				}
				claims, err := s.Claim(ctx, 1)
				if err != nil {
					b.Error(err)
					return
				}
				status := engine.StatusSucceeded
				if i%1000 == 0 {
					status = engine.StatusFailed
				}
				if err := s.Append(ctx, claims[0], []engine.Record{{At: time.Now(), Kind: engine.KindFinished, Status: status}},
					engine.Then{Kind: engine.Finish, Row: engine.Row{Status: status}}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	archived(b, s)
	st, _ := s.Stats(ctx)
	b.Logf("%d runs, %d bytes each", runs, st.Bytes/int64(runs))
	for _, q := range []struct {
		name  string
		query engine.Query
	}{
		{"newest of one workflow", engine.Query{Workflow: "w7"}},
		{"newest", engine.Query{}},
		{"failed of one workflow", engine.Query{Workflow: "w0", Status: []engine.Status{engine.StatusFailed}}},
		{"failed", engine.Query{Status: []engine.Status{engine.StatusFailed}}},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.List(ctx, q.query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	// A text that is nowhere is the worst case: each page ends at its bound in time. Aim: the first page of 100,000
	// runs within 300 ms.
	b.Run("text", func(b *testing.B) {
		for b.Loop() {
			begun, scanned, pages := time.Now(), 0, 0
			for q := (engine.Query{Text: "no such text"}); pages == 0 || q.Cursor != ""; pages++ {
				at := time.Now()
				page, err := s.List(ctx, q)
				if err != nil {
					b.Fatal(err)
				}
				if pages == 0 {
					b.ReportMetric(float64(time.Since(at).Milliseconds()), "ms/first-page")
				}
				scanned += page.Scanned
				q.Cursor = page.Next
			}
			b.ReportMetric(float64(scanned)/time.Since(begun).Seconds(), "runs/s")
			b.ReportMetric(float64(pages), "pages")
		}
	})
}
