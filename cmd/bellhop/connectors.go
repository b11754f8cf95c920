package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/catalog"
)

// registry is every connector of this build.
func registry() *connectors.Registry { return catalog.Registry() }

func (a *app) connectorsCommand() *cobra.Command {
	return group("connectors", "Look at the connectors and their actions, and make one from an OpenAPI document", a.connectorsList(), a.connectorsShow(), a.connectorsImport())
}

func (a *app) connectorsList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the connectors", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			type row struct {
				ID    string `json:"id"`
				Title string `json:"title"`
			}
			all := registry().All()
			rows, lines := make([]row, 0, len(all)), make([][]string, 0, len(all))
			for _, c := range all {
				var names []string
				for i := range c.Actions {
					names = append(names, c.Actions[i].Name)
				}
				rows = append(rows, row{c.ID, c.Title})
				lines = append(lines, []string{c.ID, c.Title, strings.Join(names, " ")})
			}
			if asJSON {
				return printJSON(a.stdout, rows)
			}
			table(a.stdout, []string{"CONNECTOR", "TITLE", "ACTIONS"}, lines)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// shownAction is an action in the JSON of `connectors show`.
type shownAction struct {
	ID      string            `json:"id"`
	Title   string            `json:"title"`
	Summary string            `json:"summary"`
	Safe    bool              `json:"safe"`
	Input   connectors.Schema `json:"input"`
	Output  connectors.Schema `json:"output"`
	Sample  any               `json:"sample"`
}

func (a *app) connectorsShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show <connector>", Short: "Show what a connector can do and what it needs", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c := registry().Connector(args[0])
			if c == nil {
				return fmt.Errorf("there is no connector %q\n  bellhop connectors list shows which there are", args[0])
			}
			if asJSON {
				actions := make([]shownAction, 0, len(c.Actions))
				for i := range c.Actions {
					act := &c.Actions[i]
					actions = append(actions, shownAction{act.Name, act.Title, act.Summary, act.Safe, act.Input, act.Output, act.Sample})
				}
				return printJSON(a.stdout, map[string]any{"id": c.ID, "title": c.Title, "actions": actions, "triggers": []any{}})
			}
			a.printConnector(c)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) printConnector(c *connectors.Connector) {
	fmt.Fprintf(a.stdout, "%s: %s\n", c.ID, c.Title)
	for i := range c.Actions {
		act := &c.Actions[i]
		fmt.Fprintf(a.stdout, "\n%s.%s  %s\n", c.ID, act.Name, act.Summary)
		for _, name := range act.Input.Order {
			field := act.Input.Properties[name]
			need := ""
			for _, r := range act.Input.Required {
				if r == name {
					need = " (required)"
				}
			}
			fmt.Fprintf(a.stdout, "  %-12s %s%s  %s\n", name, field.Type, need, field.Description)
		}
	}
	for _, auth := range c.Auth {
		fmt.Fprintf(a.stdout, "\nauth %s  %s: %s\n", auth.ID, auth.Title, strings.Join(append(append([]string{}, auth.Fields...), auth.SecretNames()...), ", "))
	}
}
