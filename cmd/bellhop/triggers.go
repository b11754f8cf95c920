package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/trigger"
)

func (a *app) triggersCommand() *cobra.Command {
	triggers := group("triggers", "Look at the triggers of a workflow on a server; poll now, and change what a poll remembers")
	open := addServer(triggers)
	triggers.AddCommand(a.triggersShow(open), a.triggersKeys(open), a.triggersPoll(open), a.triggersRewind(open))
	return triggers
}

// triggerOf is a trigger as the list of a workflow has it.
type triggerOf struct{ ID, Kind string }

// triggersOf lists the triggers of a workflow, or the one with that id.
func triggersOf(c *cobra.Command, server *client, args []string) ([]triggerOf, error) {
	var w struct{ Triggers []triggerOf }
	if err := server.call(c.Context(), http.MethodGet, "/workflows/"+url.PathEscape(args[0]), nil, nil, &w); err != nil {
		return nil, err
	}
	if len(args) == 1 {
		return w.Triggers, nil
	}
	for _, t := range w.Triggers {
		if t.ID == args[1] {
			return []triggerOf{t}, nil
		}
	}
	return nil, fmt.Errorf("%s has no trigger %s", args[0], args[1])
}

// pollPath is the address of the poll that is named, or of the only one.
func pollPath(c *cobra.Command, server *client, args []string) (string, error) {
	list, err := triggersOf(c, server, args)
	if err != nil {
		return "", err
	}
	var polls []string
	for _, t := range list {
		if t.Kind == engine.TriggerPoll || len(args) == 2 { // the server says what is wrong with another kind
			polls = append(polls, t.ID)
		}
	}
	switch len(polls) {
	case 0:
		return "", fmt.Errorf("%s has no poll", args[0])
	case 1:
		return triggerPath(args[0], polls[0]), nil
	}
	return "", usagef("%s has several polls: name one of %s", args[0], strings.Join(polls, ", "))
}

func triggerPath(workflow, id string) string {
	return "/workflows/" + url.PathEscape(workflow) + "/triggers/" + url.PathEscape(id)
}

func (a *app) triggersShow(open func() (*client, error)) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show <workflow> [trigger]", Short: "Show addresses, next times, and where polls stand", Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			list, err := triggersOf(c, server, args)
			if err != nil {
				return err
			}
			states := map[string]trigger.State{}
			for i, t := range list {
				var state trigger.State
				if err := server.call(c.Context(), http.MethodGet, triggerPath(args[0], t.ID), nil, nil, &state); err != nil {
					return err
				}
				states[t.ID] = state
				if asJSON {
					continue
				}
				if i > 0 {
					fmt.Fprintln(a.stdout)
				}
				a.printTrigger(t.ID, &state)
			}
			if asJSON {
				return printJSON(a.stdout, states)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// printTrigger draws one trigger for a person.
func (a *app) printTrigger(id string, state *trigger.State) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.stdout, "%-9s %s\n", name, cleanLine(fmt.Sprintf(format, args...)))
	}
	line("trigger", "%s (%s)", id, state.Kind)
	switch {
	case state.Webhook != nil:
		w := state.Webhook
		line("address", "%s %s", strings.Join(w.Methods, ", "), w.URL)
		var rows [][]string
		for _, d := range w.Deliveries {
			rows = append(rows, []string{d.ID, d.Outcome, strconv.Itoa(d.Status), clock(d.At), d.Run, shorten(d.Reason, 100)})
		}
		a.below([]string{"DELIVERY", "OUTCOME", "STATUS", "AT", "RUN", "REASON"}, rows)
	case state.Schedule != nil:
		s := state.Schedule
		line("times", "%s (missed: %s, overlap: %s)", s.Summary, s.Missed, s.Overlap)
		if s.Last != nil {
			line("last", "%s", s.Last.Format(time.RFC3339))
		}
		for i, at := range s.Next {
			name := ""
			if i == 0 {
				name = "next"
			}
			line(name, "%s", at.Format(time.RFC3339))
		}
		if len(s.Next) == 0 {
			line("next", "none: the workflow is disabled")
		}
		if s.NextNote != "" {
			line("note", "%s", s.NextNote)
		}
	case state.Poll != nil:
		a.printPoll(state.Poll, line)
	}
}

func (a *app) printPoll(p *trigger.PollState, line func(name, format string, args ...any)) {
	next := "none: the workflow is disabled"
	if p.NextPoll != nil {
		next = clock(*p.NextPoll)
	}
	line("next", "%s", next)
	line("seen", "%s, %s started", count(p.Seen, "key"), count(p.Started, "run"))
	if p.Error != "" {
		line("error", "%s (%s failed in a row)", p.Error, count(p.Failures, "poll"))
	}
	if p.Warning != "" {
		line("warning", "%s", p.Warning)
	}
	var rows [][]string
	for _, r := range p.Polls {
		rows = append(rows, []string{
			clock(r.At), span(time.Duration(r.MS * float64(time.Millisecond))), strconv.Itoa(r.Fetched), strconv.Itoa(r.New),
			strconv.Itoa(r.Started), shorten(pollNote(&r), 120),
		})
	}
	a.below([]string{"POLL", "TOOK", "FETCHED", "NEW", "STARTED", "NOTE"}, rows)
}

// pollNote is what there is to say of a poll besides its numbers.
func pollNote(r *trigger.PollRecord) string {
	switch {
	case r.Error != "":
		return "failed: " + r.Error
	case r.Warning != "":
		return r.Warning
	case r.Unchanged:
		return "not modified"
	case r.Baseline:
		return "baseline: remembered, nothing started"
	}
	return ""
}

// below prints a table under what came before it; none when it has no rows.
func (a *app) below(head []string, rows [][]string) {
	if len(rows) > 0 {
		fmt.Fprintln(a.stdout)
		table(a.stdout, head, rows)
	}
}

func (a *app) triggersKeys(open func() (*client, error)) *cobra.Command {
	var text string
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use: "keys <workflow> [trigger]", Short: "List the keys that a poll remembers, the latest change first", Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			if limit < 0 {
				return usagef("--limit %d is less than nothing", limit)
			}
			path, err := pollPath(c, server, args)
			if err != nil {
				return err
			}
			query := url.Values{}
			if text != "" {
				query.Set("q", text)
			}
			keys := []trigger.SeenKey{}
			err = each(c.Context(), server, path+"/keys", query, limit, func(k trigger.SeenKey) error {
				keys = append(keys, k)
				return nil
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, keys)
			}
			if len(keys) == 0 {
				fmt.Fprintln(a.stdout, "no keys")
				return nil
			}
			var rows [][]string
			for _, k := range keys {
				rows = append(rows, []string{shorten(k.Key, 60), clock(k.FirstSeen), clock(k.Changed), shorten(k.Version, 40), k.Run})
			}
			table(a.stdout, []string{"KEY", "FIRST SEEN", "CHANGED", "VERSION", "RUN"}, rows)
			return nil
		},
	}
	c.Flags().StringVar(&text, "q", "", "only keys that hold this text")
	c.Flags().IntVar(&limit, "limit", 50, "how many; 0: all")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) triggersPoll(open func() (*client, error)) *cobra.Command {
	var dry, asJSON bool
	c := &cobra.Command{
		Use: "poll <workflow> [trigger]", Short: "Poll now, or with --dry see what a poll would start", Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			path, err := pollPath(c, server, args)
			if err != nil {
				return err
			}
			var out struct {
				Poll *trigger.PollRecord `json:"poll,omitempty"`
				Dry  *trigger.DryPoll    `json:"dry,omitempty"`
			}
			if err := server.call(c.Context(), http.MethodPost, path+"/poll", nil, map[string]any{"dry": dry}, &out); err != nil {
				return err
			}
			switch {
			case asJSON && dry:
				return printJSON(a.stdout, out.Dry)
			case asJSON:
				err = printJSON(a.stdout, out.Poll)
			case dry && out.Dry != nil:
				a.printDry(out.Dry)
			case out.Poll != nil && out.Poll.Error == "":
				fmt.Fprintf(a.stdout, "fetched %s, %d new, started %s\n", count(out.Poll.Fetched, "item"), out.Poll.New, count(out.Poll.Started, "run"))
				if note := pollNote(out.Poll); note != "" {
					fmt.Fprintln(a.stdout, cleanLine(note))
				}
			}
			if err == nil && out.Poll != nil && out.Poll.Error != "" {
				return &codedError{exitNo, errors.New("the poll failed: " + out.Poll.Error)}
			}
			return err
		},
	}
	c.Flags().BoolVar(&dry, "dry", false, "only show what would start")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) printDry(d *trigger.DryPoll) {
	fmt.Fprintln(a.stdout, cleanLine(d.Message))
	if d.Warning != "" {
		fmt.Fprintln(a.stdout, cleanLine("warning: "+d.Warning))
	}
	var rows [][]string
	for _, item := range d.Items {
		rows = append(rows, []string{shorten(item.Key, 60), item.Why, shorten(item.Version, 40), shorten(string(item.Item), 120)})
	}
	a.below([]string{"KEY", "WHY", "VERSION", "ITEM"}, rows)
	if more := d.New - len(d.Items); more > 0 {
		fmt.Fprintf(a.stdout, "and %d more\n", more)
	}
}

func (a *app) triggersRewind(open func() (*client, error)) *cobra.Command {
	var to string
	var forget []string
	var allSeen, dry, asJSON bool
	c := &cobra.Command{
		Use: "rewind <workflow> [trigger]", Short: "Forget keys of a poll, so that they start runs again, or mark all as seen", Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			how := map[string]any{"dry": dry}
			if to != "" {
				at, err := when(to, time.Now())
				if err != nil {
					return usagef("--to: %w", err)
				}
				how["to"] = at.UTC().Format(time.RFC3339)
			}
			if len(forget) > 0 {
				how["forget"] = forget
			}
			if allSeen {
				how["all_seen"] = true
			}
			if len(how) != 2 {
				return usagef("say how: exactly one of --to, --forget and --all-seen; --dry shows the effect first")
			}
			path, err := pollPath(c, server, args)
			if err != nil {
				return err
			}
			var out json.RawMessage
			if err := server.call(c.Context(), http.MethodPost, path+"/rewind", nil, how, &out); err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, out)
			}
			var r trigger.Rewound
			if err := json.Unmarshal(out, &r); err != nil {
				return fmt.Errorf("read the answer of the server: %w", err)
			}
			fmt.Fprintln(a.stdout, cleanLine(r.Message))
			for _, key := range r.Unknown {
				fmt.Fprintln(a.stdout, cleanLine("not remembered: "+key))
			}
			if r.Dry {
				fmt.Fprintln(a.stdout, "Nothing was changed.")
			}
			return nil
		},
	}
	c.Flags().StringVar(&to, "to", "", "forget what was seen or changed since: a time such as 2026-03-01T09:00:00Z, or an age such as 2h")
	c.Flags().StringArrayVar(&forget, "forget", nil, "forget this key; may repeat")
	c.Flags().BoolVar(&allSeen, "all-seen", false, "poll, and remember everything without starting a run")
	c.Flags().BoolVar(&dry, "dry", false, "only show the effect")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
