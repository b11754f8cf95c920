package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine"
)

func (a *app) runsRerun(open func() (*client, error)) *cobra.Command {
	var from, at, data string
	var filter runFilter
	var rate float64
	var asJSON bool
	c := &cobra.Command{
		Use: "rerun [<run>]", Short: "Start a run again, or all that a filter finds: from the start, the failed step or any step",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			many := false
			for _, name := range []string{"workflow", "status", "q", "since", "until", "rate"} {
				many = many || c.Flags().Changed(name)
			}
			switch {
			case many && len(args) > 0:
				return usagef("name one run, or a filter such as --status failed, not both")
			case !many && len(args) == 0:
				return usagef("name a run, or a filter such as --status failed --workflow orders")
			case many:
				body, err := filter.bulk(time.Now())
				if err != nil {
					return err
				}
				if c.Flags().Changed("from") {
					body["from"] = from
				}
				body["version"], body["rate"] = at, rate
				return a.rerunMany(c.Context(), server, body, asJSON)
			}
			body := map[string]any{"from": from, "version": at}
			if c.Flags().Changed("data") {
				if !json.Valid([]byte(data)) {
					return usagef(`--data is no JSON: write it out, such as --data '{"total": 129}'`)
				}
				body["data"] = json.RawMessage(data)
			}
			var started startedAgain
			if err := server.call(c.Context(), http.MethodPost, "/runs/"+url.PathEscape(args[0])+"/rerun", nil, body, &started); err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, started)
			}
			started.warn(a)
			return a.printStarted(started.ID, false)
		},
	}
	c.Flags().StringVar(&from, "from", "start", "start, failed, or the id of a step; what came before keeps its results. Of many runs that failed: failed")
	c.Flags().StringVar(&at, "version", "then", "then: the version of that run; now: the current one")
	c.Flags().StringVar(&data, "data", "", "JSON that replaces the body of the event")
	c.Flags().Float64Var(&rate, "rate", 10, "of many runs: how many begin in a second")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	filter.add(c, 0, "")
	c.Flags().Lookup("limit").Hidden = true
	return c
}

// startedAgain is the answer of the server to a rerun.
type startedAgain struct {
	ID      string          `json:"id"`
	Repeats []engine.Repeat `json:"repeats,omitempty"`
}

// warn tells a person what is done a second time.
func (s *startedAgain) warn(a *app) {
	for _, r := range s.Repeats {
		fmt.Fprintf(a.stderr, "note: step %s (%s) changed something outside in the run before, or may have; it is done again\n", cleanLine(r.Step), cleanLine(r.Use))
	}
}

// bulk is the filter as a rerun of many runs takes it.
func (f *runFilter) bulk(now time.Time) (map[string]any, error) {
	q, err := f.query(now)
	if err != nil {
		return nil, err
	}
	body := map[string]any{}
	for _, name := range []string{"workflow", "q", "since", "until"} {
		if v := q.Get(name); v != "" {
			body[name] = v
		}
	}
	if len(f.status) > 0 {
		body["status"] = f.status
	}
	return body, nil
}

// rerunMany starts many runs again and waits until the last has begun.
func (a *app) rerunMany(ctx context.Context, server *client, body map[string]any, asJSON bool) error {
	var job engine.Bulk
	if err := server.call(ctx, http.MethodPost, "/runs/rerun", nil, body, &job); err != nil {
		return err
	}
	show := isTerminal(a.stderr)
	for !job.Done {
		if show {
			fmt.Fprintf(a.stderr, "\r%d of %d runs started again", job.Started, job.Total)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the server goes on starting them: %w", context.Cause(ctx))
		}
		if err := server.call(ctx, http.MethodGet, "/runs/rerun/"+url.PathEscape(job.ID), nil, nil, &job); err != nil {
			return err
		}
	}
	if show {
		fmt.Fprint(a.stderr, "\r\x1b[K")
	}
	if asJSON {
		if err := printJSON(a.stdout, job); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.stdout, "%d of %d runs started again\n", job.Started, job.Total)
	}
	if job.Started < job.Total {
		return fmt.Errorf("%d runs were not started again: %s", job.Total-job.Started, job.Error)
	}
	return nil
}

func (a *app) runsResolve(open func() (*client, error)) *cobra.Command {
	var as, output string
	var asJSON bool
	c := &cobra.Command{
		Use: "resolve <run>", Short: "Decide on a run that failed: mark what failed as done, try it again, or give up", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			body := map[string]any{"as": as}
			if output != "" {
				if !json.Valid([]byte(output)) {
					return usagef(`--output is no JSON: write it out, such as --output '{"id": 7}'`)
				}
				body["output"] = json.RawMessage(output)
			}
			var started startedAgain
			if err := server.call(c.Context(), http.MethodPost, "/runs/"+url.PathEscape(args[0])+"/resolve", nil, body, &started); err != nil {
				return err
			}
			if started.ID == "" && !asJSON {
				return nil
			}
			return a.printStarted(started.ID, asJSON)
		},
	}
	c.Flags().StringVar(&as, "as", "", "done: what failed counts as done, and a new run goes on behind it; again: a new run tries it again; give_up: nothing more is done")
	c.Flags().StringVar(&output, "output", "", "with --as done: the output of the step, as JSON")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	_ = c.MarkFlagRequired("as") // it exists
	return c
}
