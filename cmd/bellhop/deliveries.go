package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) deliveriesCommand() *cobra.Command {
	deliveries := group("deliveries", "Look at inbound calls on a server, refused ones too, and send them again")
	open := addServer(deliveries)
	deliveries.AddCommand(a.deliveriesList(open), a.deliveriesShow(open), a.deliveriesResend(open))
	return deliveries
}

// outcomes are those of the contract.
var outcomes = []string{"accepted", "duplicate", "handshake", "kept", "dropped", "refused", "failed"}

// deliveryFilter is what list and resend have in common.
type deliveryFilter struct{ workflow, outcome, text, since, until string }

func (f *deliveryFilter) add(c *cobra.Command) {
	c.Flags().StringVar(&f.workflow, "workflow", "", "only deliveries to this workflow")
	c.Flags().StringVar(&f.outcome, "outcome", "", "only this outcome: "+strings.Join(outcomes, ", "))
	c.Flags().StringVar(&f.text, "q", "", "only deliveries that hold this text")
	c.Flags().StringVar(&f.since, "since", "", "only deliveries since: a time such as 2026-03-01T09:00:00Z, or an age such as 2h")
	c.Flags().StringVar(&f.until, "until", "", "only deliveries before: a time or an age")
}

// values is the filter as the API takes it.
func (f *deliveryFilter) values(now time.Time) (map[string]string, error) {
	if f.outcome != "" && !slices.Contains(outcomes, f.outcome) {
		return nil, usagef("--outcome: unknown outcome %q; it is one of %s", f.outcome, strings.Join(outcomes, ", "))
	}
	values := map[string]string{"workflow": f.workflow, "outcome": f.outcome, "q": f.text}
	for name, text := range map[string]string{"since": f.since, "until": f.until} {
		if text == "" {
			continue
		}
		at, err := when(text, now)
		if err != nil {
			return nil, usagef("--%s: %w", name, err)
		}
		values[name] = at.UTC().Format(time.RFC3339Nano)
	}
	maps.DeleteFunc(values, func(_, v string) bool { return v == "" })
	return values, nil
}

func (a *app) deliveriesList(open func() (*client, error)) *cobra.Command {
	var filter deliveryFilter
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List deliveries, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			if limit < 0 {
				return usagef("--limit %d is less than nothing", limit)
			}
			values, err := filter.values(time.Now())
			if err != nil {
				return err
			}
			query := url.Values{}
			for name, v := range values {
				query.Set(name, v)
			}
			items := []json.RawMessage{}
			err = each(c.Context(), server, "/deliveries", query, limit, func(d json.RawMessage) error {
				items = append(items, d)
				return nil
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, items)
			}
			return a.printDeliveries(items)
		},
	}
	filter.add(c)
	c.Flags().IntVar(&limit, "limit", 50, "how many; 0: all")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) deliveriesShow(open func() (*client, error)) *cobra.Command {
	c := &cobra.Command{
		Use: "show <delivery>", Short: "Print one delivery as JSON: what came, how it was answered, and what it started", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			var d json.RawMessage
			if err := server.call(c.Context(), http.MethodGet, "/deliveries/"+url.PathEscape(args[0]), nil, nil, &d); err != nil {
				return err
			}
			return printJSON(a.stdout, d)
		},
	}
	c.Flags().Bool("json", true, "print JSON, as it always does")
	return c
}

func (a *app) printDeliveries(items []json.RawMessage) error {
	if len(items) == 0 {
		fmt.Fprintln(a.stdout, "no deliveries")
		return nil
	}
	var rows [][]string
	for _, item := range items {
		var d struct {
			ID, Workflow, Outcome, Reason, Run string
			Status                             int
			At                                 time.Time
		}
		if err := json.Unmarshal(item, &d); err != nil {
			return fmt.Errorf("read the answer of the server: %w", err)
		}
		rows = append(rows, []string{d.ID, d.Workflow, d.Outcome, strconv.Itoa(d.Status), clock(d.At), d.Run, shorten(d.Reason, 100)})
	}
	table(a.stdout, []string{"DELIVERY", "WORKFLOW", "OUTCOME", "STATUS", "AT", "RUN", "REASON"}, rows)
	return nil
}

func (a *app) deliveriesResend(open func() (*client, error)) *cobra.Command {
	var filter deliveryFilter
	var dry, asJSON bool
	c := &cobra.Command{
		Use: "resend [delivery…]", Short: "Start runs from what was delivered, on the current version: one, several, or all that a filter selects",
		Long: `Resend starts a run with the event of a delivery, on the version that runs now. The signature is not checked again, and
what the event does may happen twice. With flags in place of ids it sends all that match, the oldest first, such as
--workflow orders --outcome kept for what came while a workflow was off; what was sent again before is left out.`,
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			values, err := filter.values(time.Now())
			switch {
			case err != nil:
				return err
			case (len(args) == 0) == (len(values) == 0):
				return usagef("name the deliveries, or select them with --workflow, --outcome, --q, --since and --until")
			case len(args) == 1 && !dry:
				var started struct {
					ID string `json:"id"`
				}
				path := "/deliveries/" + url.PathEscape(args[0]) + "/resend"
				if err := server.call(c.Context(), http.MethodPost, path, nil, nil, &started); err != nil {
					return err
				}
				return a.printStarted(started.ID, asJSON)
			}
			how := map[string]any{"dry": dry, "filter": values}
			if len(args) > 0 {
				how = map[string]any{"dry": dry, "ids": args}
			}
			return a.resendMany(c, server, how, dry, asJSON)
		},
	}
	filter.add(c)
	c.Flags().BoolVar(&dry, "dry", false, "only say how many")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// resendMany repeats the call until nothing is left.
func (a *app) resendMany(c *cobra.Command, server *client, how map[string]any, dry, asJSON bool) error {
	items := []resentItem{}
	failed, more := 0, true
	for more {
		var out struct {
			More   bool
			Failed int
			Items  []resentItem
		}
		if err := server.call(c.Context(), http.MethodPost, "/deliveries/resend", nil, how, &out); err != nil {
			return err
		}
		items, failed = append(items, out.Items...), failed+out.Failed
		more = out.More && !dry && len(out.Items) > out.Failed && how["ids"] == nil
		if dry && out.More && !asJSON {
			defer fmt.Fprintln(a.stdout, "and more")
		}
	}
	if asJSON {
		if err := printJSON(a.stdout, items); err != nil {
			return err
		}
	} else {
		verb := "sent again"
		if dry {
			verb = "would be sent again"
		}
		fmt.Fprintf(a.stdout, "%s %s\n", deliveryCount(len(items)-failed), verb)
		for _, item := range items {
			if item.Error != "" {
				fmt.Fprintln(a.stderr, cleanLine(item.Delivery+": "+item.Error))
			}
		}
	}
	if failed > 0 {
		return errNo
	}
	return nil
}

type resentItem struct {
	Delivery string `json:"delivery"`
	Run      string `json:"run,omitempty"`
	Error    string `json:"error,omitempty"`
}

func deliveryCount(n int) string {
	if n == 1 {
		return "1 delivery"
	}
	return strconv.Itoa(n) + " deliveries"
}
