package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/connectors/manifest"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/server"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// registry is every connector of this build.
func registry() *connectors.Registry { return catalog.Registry() }

// registryOf is every connector of this build and those of a folder.
func registryOf(dir string) (*connectors.Registry, error) {
	r := registry()
	f, err := folder.Open(dir, folder.Options{Connectors: r})
	if err != nil {
		return nil, usagef("%w", err)
	}
	return r, f.Close()
}

func (a *app) connectorsCommand() *cobra.Command {
	return group("connectors", "Look at the connectors, check your own, and make one from an OpenAPI document",
		a.connectorsList(), a.connectorsShow(), a.connectorsCheck(), a.connectorsImport())
}

func (a *app) connectorsList() *cobra.Command {
	var asJSON bool
	var dir *string
	c := &cobra.Command{
		Use: "list", Short: "List the connectors", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			type row struct {
				ID    string `json:"id"`
				Title string `json:"title"`
			}
			r, err := registryOf(*dir)
			if err != nil {
				return err
			}
			all := r.All()
			rows, lines := make([]row, 0, len(all)), make([][]string, 0, len(all))
			for _, c := range all {
				var names []string
				for i := range c.Actions {
					if c.Actions[i].Show != "hidden" {
						names = append(names, c.Actions[i].Name)
					}
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
	dir = textFlag(c.Flags(), "dir", "BELLHOP_DIR", ".", "folder whose connectors/ are listed too")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) connectorsShow() *cobra.Command {
	var asJSON bool
	var dir *string
	c := &cobra.Command{
		Use: "show <connector>", Short: "Show what a connector can do and what it needs", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := registryOf(*dir)
			if err != nil {
				return err
			}
			c := r.Connector(args[0])
			if c == nil {
				return fmt.Errorf("%w\n  bellhop connectors list shows which there are", r.Missing(args[0]))
			}
			if asJSON {
				return printJSON(a.stdout, server.ViewConnector(c))
			}
			a.printConnector(c)
			return nil
		},
	}
	dir = textFlag(c.Flags(), "dir", "BELLHOP_DIR", ".", "folder whose connectors/ are known too")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) printConnector(c *connectors.Connector) {
	fmt.Fprintf(a.stdout, "%s: %s %s\n", c.ID, c.Title, c.Version)
	if c.Docs != "" {
		fmt.Fprintln(a.stdout, c.Docs)
	}
	if c.Notes != "" {
		fmt.Fprintln(a.stdout, c.Notes)
	}
	for i := range c.Actions {
		act := &c.Actions[i]
		if act.Show == "hidden" {
			continue
		}
		fmt.Fprintf(a.stdout, "\n%s.%s  %s\n", c.ID, act.Name, act.Summary)
		a.printFields(c, &act.Input)
	}
	for i := range c.Triggers {
		t := &c.Triggers[i]
		if t.Show == "hidden" {
			continue
		}
		fmt.Fprintf(a.stdout, "\ntrigger %s.%s  %s\n", c.ID, t.Name, t.Summary)
		a.printFields(c, &t.Input)
	}
	for _, auth := range c.Auth {
		fmt.Fprintf(a.stdout, "\nauth %s  %s: %s\n", auth.ID, auth.Title, strings.Join(append(append([]string{}, auth.Fields...), auth.SecretNames()...), ", "))
	}
	if c.SigningSecret != nil {
		fmt.Fprintf(a.stdout, "\nfor triggers  signing_secret: %s\n", c.SigningSecret.Title)
	}
}

func (a *app) printFields(c *connectors.Connector, s *connectors.Schema) {
	for _, name := range s.Order {
		field := c.Resolve(s.Properties[name])
		need := ""
		if slices.Contains(s.Required, name) {
			need = " (required)"
		}
		text := field.Description
		if text == "" {
			text = field.Title
		}
		fmt.Fprintf(a.stdout, "  %-12s %s%s  %s\n", name, field.Type, need, cleanLine(text))
	}
}

func (a *app) connectorsCheck() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "check [paths]", Short: "Check manifests of connectors and run the tests inside",
		Long: `Check reads manifests, files or folders of them (default: connectors/ of the folder here), prints every problem as
file:line:column, and runs the tests that each file has inside: against a server on this machine, with invented secrets.
Nothing leaves the machine. The exit code is 1 when there is a problem.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"connectors"}
			}
			sum := checkedConnectors{Problems: workflow.Problems{}}
			for _, path := range args {
				if err := sum.check(cmd.Context(), path); err != nil {
					return err
				}
			}
			if asJSON {
				if err := printJSON(a.stdout, sum); err != nil {
					return err
				}
			} else {
				for _, p := range sum.Problems {
					fmt.Fprintln(a.stdout, cleanText(p.String()))
				}
				verdict := "no problems"
				if n := len(sum.Problems); n > 0 {
					fmt.Fprintln(a.stdout)
					verdict = count(n, "problem")
				}
				fmt.Fprintf(a.stdout, "%s, %s: %s\n", count(sum.Connectors, "connector"), count(sum.Tests, "test"), verdict)
			}
			if sum.Problems.Err() != nil {
				return errNo
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// checkedConnectors is what a check of manifests has seen.
type checkedConnectors struct {
	Connectors int               `json:"connectors"`
	Tests      int               `json:"tests"`
	Problems   workflow.Problems `json:"problems"`
}

func (c *checkedConnectors) check(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return usagef("%w", err)
	}
	files := []string{path}
	if info.IsDir() {
		if below := filepath.Join(path, "connectors"); filepath.Base(filepath.Clean(path)) != "connectors" && isFolder(below) {
			path = below
		}
		if files, err = filepath.Glob(filepath.Join(path, "*.y*ml")); err != nil {
			return usagef("%w", err)
		}
		if len(files) == 0 {
			return usagef("there is no manifest in %s: they are files such as connectors/acme.yaml", path)
		}
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			return usagef("%w", err)
		}
		m, problems := manifest.Parse(file, src, os.DirFS(filepath.Dir(file)))
		c.Connectors++
		c.Problems = append(c.Problems, problems...)
		if m == nil || problems.Err() != nil {
			continue
		}
		c.Tests += len(m.Tests)
		failed, err := m.Run(ctx, file)
		if err != nil {
			return err
		}
		c.Problems = append(c.Problems, failed...)
	}
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
