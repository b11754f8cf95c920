package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine/rehearsal"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func (a *app) replayCommand() *cobra.Command {
	var file, since, until string
	var last int
	var runs []string
	var reads, details, asJSON bool
	var open func() (*client, error)
	c := &cobra.Command{
		Use:   "replay <workflow>",
		Short: "Show what would have happened to past events with another text of a workflow",
		Long: `Replay plays past events, those of finished runs and of deliveries that were kept, through the file of --file, or
through the version that runs now, and compares with what happened then. Nothing is sent and nothing is stored: a call
whose input is what it was gets the recorded answer, any other gets the example of its action and is marked as
guessed. It prints one line for each outcome.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			how := map[string]any{}
			if file != "" {
				text, err := readDraft(a.stdin, file)
				if err != nil {
					return usagef("--file: %w", err)
				}
				how["text"] = string(text)
			}
			if c.Flags().Changed("last") {
				if last < 1 || last > 500 {
					return usagef("--last %d: at least 1 and at most 500 events are replayed", last)
				}
				how["last"] = last
			}
			if len(runs) > 0 {
				how["runs"] = runs
			}
			if reads {
				how["reads"] = true
			}
			for name, text := range map[string]string{"since": since, "until": until} {
				if text == "" {
					continue
				}
				at, err := when(text, time.Now())
				if err != nil {
					return usagef("--%s: %w", name, err)
				}
				how[name] = at.UTC().Format(time.RFC3339Nano)
			}
			server, err := open()
			if err != nil {
				return err
			}
			err = a.replay(c, server, args[0], how, details, asJSON)
			var broken *brokenFile
			if file == "" || !errors.As(err, &broken) {
				return err
			}
			name := file
			if name == "-" {
				name = "standard input"
			}
			for _, p := range broken.problems {
				p.File = name
				fmt.Fprintln(a.stderr, cleanText(p.String()))
			}
			return fmt.Errorf("%s: nothing was replayed: mend the text first", name)
		},
	}
	open = addServer(c)
	c.Flags().StringVar(&file, "file", "", "the workflow file to try; - reads standard input; default: the version that runs")
	c.Flags().IntVar(&last, "last", 50, "how many of the newest events, at most 500")
	c.Flags().StringArrayVar(&runs, "run", nil, "replay this run; may repeat")
	c.Flags().StringVar(&since, "since", "", "only events since: a time such as 2026-03-01T09:00:00Z, or an age such as 2h")
	c.Flags().StringVar(&until, "until", "", "only events before: a time or an age")
	c.Flags().BoolVar(&reads, "reads", false, "make calls that only read for real, where no answer was recorded")
	c.Flags().BoolVar(&details, "details", false, "also print a line for each event that is not the same")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, event by event")
	return c
}

// readDraft reads a workflow file.
func readDraft(stdin io.Reader, name string) ([]byte, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, workflow.MaxSource+1))
	if err == nil && len(text) > workflow.MaxSource {
		err = fmt.Errorf("%s is larger than %d KiB", name, workflow.MaxSource>>10)
	}
	return text, err
}

func (a *app) replay(c *cobra.Command, server *client, id string, how map[string]any, details, asJSON bool) error {
	var out json.RawMessage
	if err := server.call(c.Context(), http.MethodPost, "/workflows/"+url.PathEscape(id)+"/replay", nil, how, &out); err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, out)
	}
	var got struct {
		Totals []rehearsal.Total
		Items  []rehearsal.Replayed
	}
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("read the answer of the server: %w", err)
	}
	if len(got.Items) == 0 {
		fmt.Fprintln(a.stdout, "no events")
		return nil
	}
	guessed := 0
	for _, t := range got.Totals {
		fmt.Fprintf(a.stdout, "%d %s\n", t.Count, cleanLine(t.Text))
	}
	var rows [][]string
	for i := range got.Items {
		e := &got.Items[i]
		if len(e.Guessed) > 0 {
			guessed++
		}
		if e.Outcome != rehearsal.Same {
			rows = append(rows, []string{e.ID, clock(e.At), e.Text(), ended(e.Then), ended(e.Now), cmp.Or(e.Error, strings.Join(e.Guessed, " "))})
		}
	}
	if guessed > 0 {
		fmt.Fprintf(a.stdout, "In %s a call has an input that was never sent: its answer was guessed.\n", count(guessed, "event"))
	}
	if details {
		a.below([]string{"RUN", "AT", "OUTCOME", "THEN", "NOW", "GUESSED OR ERROR"}, rows)
	}
	return nil
}

func ended(e rehearsal.Ended) string {
	if e.Summary == "" {
		return e.Status
	}
	return e.Status + ": " + shorten(cleanLine(e.Summary), 60)
}
