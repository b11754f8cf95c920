// Command bench measures Bellhop against probes that run beside it in the same minute, because absolute times say
// little on shared machines. Traffic goes to loopback only.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	flag.StringVar(&o.bellhop, "bellhop", "bin/bellhop", "the binary to measure")
	flag.StringVar(&o.dir, "dir", "", "where to put databases (default: a temporary folder beside the binary, so that fsync is real)")
	flag.IntVar(&o.events, "events", 20000, "events of one round of the whole job")
	flag.IntVar(&o.callers, "callers", 64, "concurrent callers of the whole job")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the median counts")
	flag.StringVar(&o.only, "only", "", "one part: accept, job, fair, start, waiting, history, workflows")
	flag.IntVar(&o.stored, "stored", 1_000_000, "stored runs of the history part")
	flag.IntVar(&o.parked, "parked", 100_000, "runs of the waiting part")
	flag.IntVar(&o.flood, "flood", 50_000, "events of the flood of the fair part; at most 5,000 where its calls are slow")
	bare := flag.Bool("bare", false, "be the bare program that the whole job is compared with")
	folder := flag.String("fill", "", "put -stored finished runs of 10 workflows into the store at this folder, and do nothing else")
	sink := flag.String("sink", "", "with -bare: where to POST")
	flooder := flag.Bool("flooder", false, "be the sender and the sink of the flood of the fair part; its calls are answered after -slow")
	slow := flag.Duration("slow", 0, "with -flooder")
	flag.Parse()
	var err error
	switch {
	case *bare:
		err = runBare(ctx, o.dir, *sink)
	case *flooder:
		err = runFlooder(ctx, *slow, o.callers, o.flood)
	case *folder != "":
		err = fillOnly(ctx, *folder, o.stored)
	default:
		err = o.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	bellhop, dir, only string
	events, callers    int
	rounds, stored     int
	parked, flood      int
}

func (o *options) run(ctx context.Context) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("bin", "bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	parts := []struct {
		name string
		run  func(context.Context) error
	}{
		{"accept", o.accept},
		{"job", o.job},
		{"fair", o.fair},
		{"start", o.start},
		{"waiting", o.waiting},
		{"history", o.history},
		{"workflows", o.workflows},
	}
	for _, p := range parts {
		if o.only != "" && o.only != p.name {
			continue
		}
		if err := p.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}
