package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
)

func (a *app) testCommand() *cobra.Command {
	var junit string
	c := &cobra.Command{
		Use:   "test [paths]",
		Short: "Play the tests of workflows; nothing leaves the machine",
		Long: `Test plays every test of the folders or files (default: the folder here). Calls are answered by mocks, time passes at
once, and nothing leaves the machine. The exit code is 1 when a test fails.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			var all []rehearsal.Outcome
			seen := map[string]bool{}
			for _, path := range args {
				outcomes, err := a.test(c.Context(), path, seen)
				if err != nil {
					return err
				}
				all = append(all, outcomes...)
			}
			if junit != "" {
				if err := writeJUnit(junit, all); err != nil {
					return err
				}
			}
			return a.printVerdict(all)
		},
	}
	c.Flags().StringVar(&junit, "junit", "", "also write the results to this file, in the XML that build servers read")
	return c
}

// test plays the tests at a path that were not seen under another path.
func (a *app) test(ctx context.Context, path string, seen map[string]bool) ([]rehearsal.Outcome, error) {
	registry := registry()
	f, err := folder.OpenPath(path, folder.Options{Connectors: registry})
	if err != nil {
		return nil, usagef("%w", err)
	}
	defer f.Close()
	tests, err := f.Tests()
	if err != nil {
		return nil, err
	}
	var outcomes []rehearsal.Outcome
	for _, t := range tests {
		if seen[t.Path] {
			continue
		}
		seen[t.Path] = true
		o := rehearsal.Outcome{File: t.Path}
		if t.Tests != nil {
			o.Workflow = t.Tests.Workflow
		}
		if err := t.Problems.Err(); err != nil || t.Workflow == nil {
			o.Results = []rehearsal.Result{{Name: "the test file is in order", Failures: []string{t.Problems.Error()}}}
		} else {
			o.Results = rehearsal.Suite{File: t.Tests, Workflow: t.Workflow, Connectors: registry, Open: f.Event, Zone: f.Settings().Zone()}.Run(ctx)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		a.printOutcome(&o)
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

func (a *app) printOutcome(o *rehearsal.Outcome) {
	fmt.Fprintln(a.stdout, cleanLine(o.File))
	for i := range o.Results {
		r := &o.Results[i]
		if r.Passed() {
			fmt.Fprintf(a.stdout, "  ok    %s\n", cleanLine(r.Name))
			continue
		}
		fmt.Fprintf(a.stdout, "  FAIL  %s", cleanLine(r.Name))
		if r.At.Line > 0 {
			fmt.Fprintf(a.stdout, "  (%s:%d:%d)", cleanLine(o.File), r.At.Line, r.At.Column)
		}
		fmt.Fprintln(a.stdout)
		for _, f := range r.Failures {
			fmt.Fprintln(a.stdout, "        "+strings.ReplaceAll(cleanText(f), "\n", "\n        "))
		}
	}
}

func (a *app) printVerdict(all []rehearsal.Outcome) error {
	passed, failed := 0, 0
	for _, o := range all {
		for i := range o.Results {
			if o.Results[i].Passed() {
				passed++
			} else {
				failed++
			}
		}
	}
	switch {
	case passed+failed == 0:
		fmt.Fprintln(a.stdout, "no tests: they lie beside their workflow as <name>.test.yaml")
	case failed > 0:
		fmt.Fprintf(a.stdout, "\n%d passed, %d failed\n", passed, failed)
		return errNo
	default:
		fmt.Fprintf(a.stdout, "\n%d passed\n", passed)
	}
	return nil
}

func writeJUnit(name string, outcomes []rehearsal.Outcome) error {
	file, err := os.Create(name)
	if err != nil {
		return usagef("--junit: %w", err)
	}
	if err := rehearsal.JUnit(file, outcomes); err != nil {
		_ = file.Close()
		return fmt.Errorf("write %s: %w", name, err)
	}
	return file.Close()
}
