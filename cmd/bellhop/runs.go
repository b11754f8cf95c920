package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
)

func (a *app) runsCommand() *cobra.Command {
	runs := group("runs", "Look at runs on a server, repeat and cancel them")
	open := addServer(runs)
	runs.AddCommand(a.runsList(open), a.runsShow(open), a.runsRerun(open), a.runsResolve(open), a.runsCancel(open), a.runsExport(open))
	return runs
}

// runRow is one line of the list.
type runRow struct {
	ID         string     `json:"id"`
	Workflow   string     `json:"workflow"`
	Status     string     `json:"status"`
	Reason     string     `json:"reason"`
	Summary    string     `json:"summary"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// runFilter is what list and export have in common.
type runFilter struct {
	workflow, text, since, until string
	status                       []string
	limit                        int
}

func (f *runFilter) add(c *cobra.Command, limit int, help string) {
	c.Flags().StringVar(&f.workflow, "workflow", "", "only runs of this workflow")
	c.Flags().StringArrayVar(&f.status, "status", nil, "only runs of this status; may repeat")
	c.Flags().StringVar(&f.text, "q", "", "only runs that hold this text")
	c.Flags().StringVar(&f.since, "since", "", "only runs accepted since: a time such as 2026-03-01T09:00:00Z, or an age such as 2h")
	c.Flags().StringVar(&f.until, "until", "", "only runs accepted before: a time or an age")
	c.Flags().IntVar(&f.limit, "limit", limit, help)
}

func (f *runFilter) query(now time.Time) (url.Values, error) {
	if f.limit < 0 {
		return nil, usagef("--limit %d is less than nothing", f.limit)
	}
	q := url.Values{}
	if f.workflow != "" {
		q.Set("workflow", f.workflow)
	}
	if f.text != "" {
		q.Set("q", f.text)
	}
	for _, s := range f.status {
		if _, err := engine.ParseStatus(s); err != nil {
			return nil, usagef("--status: %w", err)
		}
		q.Add("status", s)
	}
	for name, text := range map[string]string{"since": f.since, "until": f.until} {
		if text == "" {
			continue
		}
		at, err := when(text, now)
		if err != nil {
			return nil, usagef("--%s: %w", name, err)
		}
		q.Set(name, at.UTC().Format(time.RFC3339Nano))
	}
	return q, nil
}

// when reads a time, a date, or an age.
func when(text string, now time.Time) (time.Time, error) {
	if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		return now.Add(-age), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return at, nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-03-01T09:00:00Z, nor a date, nor an age such as 2h", text)
}

func (a *app) runsList(open func() (*client, error)) *cobra.Command {
	var filter runFilter
	var asJSON, undecided bool
	c := &cobra.Command{
		Use: "list", Short: "List runs, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			query, err := filter.query(time.Now())
			if err != nil {
				return err
			}
			if undecided {
				query.Set("needs", "decision")
			}
			if asJSON {
				items := []json.RawMessage{}
				err := each(c.Context(), server, "/runs", query, filter.limit, func(r json.RawMessage) error {
					items = append(items, r)
					return nil
				})
				if err != nil {
					return err
				}
				return printJSON(a.stdout, items)
			}
			var rows [][]string
			err = each(c.Context(), server, "/runs", query, filter.limit, func(r runRow) error {
				took := ""
				if r.FinishedAt != nil {
					took = span(r.FinishedAt.Sub(r.StartedAt))
				}
				rows = append(rows, []string{r.ID, r.Workflow, r.Status, clock(r.StartedAt), took, shorten(r.Summary, 100)})
				return nil
			})
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				fmt.Fprintln(a.stdout, "no runs")
				return nil
			}
			table(a.stdout, []string{"RUN", "WORKFLOW", "STATUS", "STARTED", "TOOK", "SUMMARY"}, rows)
			return nil
		},
	}
	filter.add(c, 50, "how many; 0: all")
	c.Flags().BoolVar(&undecided, "needs-decision", false, "only runs that failed and on which nobody has decided; see runs resolve")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) runsShow(open func() (*client, error)) *cobra.Command {
	var asJSON, asTest bool
	c := &cobra.Command{
		Use: "show <run>", Short: "Show one run: every step with what went in, what came out, and why", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			if asTest {
				return a.showAsTest(c, server, args[0], asJSON)
			}
			var text json.RawMessage
			if err := server.call(c.Context(), http.MethodGet, "/runs/"+url.PathEscape(args[0]), nil, nil, &text); err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, text)
			}
			var run engine.RunView
			if err := json.Unmarshal(text, &run); err != nil {
				return fmt.Errorf("read the answer of the server: %w", err)
			}
			printRun(a.stdout, &run)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&asTest, "as-test", false, "print the run as a test file, without secrets: its event, its answers as mocks, what came of it")
	return c
}

// showAsTest prints a test file; what keeps it from passing, mostly nothing, is said beside it.
func (a *app) showAsTest(c *cobra.Command, server *client, id string, asJSON bool) error {
	var out rehearsal.TestText
	if err := server.call(c.Context(), http.MethodGet, "/runs/"+url.PathEscape(id)+"/as-test", nil, nil, &out); err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, &out)
	}
	fmt.Fprint(a.stdout, cleanText(out.Text))
	for _, f := range out.Failures {
		fmt.Fprintln(a.stderr, cleanLine("it does not pass as it is: "+f))
	}
	return nil
}

// printStarted tells the id of a new run; alone on its line, so that a script can take it.
func (a *app) printStarted(id string, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, map[string]string{"id": id})
	}
	_, err := fmt.Fprintln(a.stdout, cleanLine(id))
	return err
}

func (a *app) runsCancel(open func() (*client, error)) *cobra.Command {
	return &cobra.Command{
		Use: "cancel <run>...", Short: "End runs: the call in flight is stopped, and the run ends as canceled", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			for _, id := range args {
				if err := server.call(c.Context(), http.MethodPost, "/runs/"+url.PathEscape(id)+"/cancel", nil, nil, nil); err != nil {
					return fmt.Errorf("cancel %s: %w", id, err)
				}
			}
			return nil
		},
	}
}

func (a *app) runsExport(open func() (*client, error)) *cobra.Command {
	var filter runFilter
	c := &cobra.Command{
		Use: "export", Short: "Print whole runs as JSON, one per line, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			query, err := filter.query(time.Now())
			if err != nil {
				return err
			}
			query.Set("limit", fmt.Sprint(filter.limit))
			answer, err := server.stream(c.Context(), "/runs/export", query)
			if err != nil {
				return err
			}
			defer answer.Close()
			return exportLines(a.stdout, answer)
		},
	}
	filter.add(c, 0, "how many; 0: all")
	return c
}

// exportLines copies runs, one a line, up to the line that says that they are complete.
func exportLines(w io.Writer, answer io.Reader) error {
	lines := bufio.NewReader(answer)
	for {
		line, err := lines.ReadBytes('\n')
		var last struct{ End bool }
		if len(line) < 100 && json.Unmarshal(line, &last) == nil && last.End {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the export broke off and is not complete: %w", err)
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
}
