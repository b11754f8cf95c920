package main

import (
	"encoding/json"
	"fmt"
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
	deliveries.AddCommand(a.deliveriesList(open), a.deliveriesResend(open))
	return deliveries
}

// outcomes are those of the contract.
var outcomes = []string{"accepted", "duplicate", "kept", "dropped", "refused", "failed"}

func (a *app) deliveriesList(open func() (*client, error)) *cobra.Command {
	var workflow, outcome string
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
			query := url.Values{}
			if workflow != "" {
				query.Set("workflow", workflow)
			}
			if outcome != "" && !slices.Contains(outcomes, outcome) {
				return usagef("--outcome: unknown outcome %q; it is one of %s", outcome, strings.Join(outcomes, ", "))
			}
			if outcome != "" {
				query.Set("outcome", outcome)
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
	c.Flags().StringVar(&workflow, "workflow", "", "only deliveries to this workflow")
	c.Flags().StringVar(&outcome, "outcome", "", "only this outcome: "+strings.Join(outcomes, ", "))
	c.Flags().IntVar(&limit, "limit", 50, "how many; 0: all")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
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
	var asJSON bool
	c := &cobra.Command{
		Use: "resend <delivery>", Short: "Start a run from what was delivered, on the current version", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			var started struct {
				ID string `json:"id"`
			}
			path := "/deliveries/" + url.PathEscape(args[0]) + "/resend"
			if err := server.call(c.Context(), http.MethodPost, path, nil, nil, &started); err != nil {
				return err
			}
			return a.printStarted(started.ID, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
