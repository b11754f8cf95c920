package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func (a *app) checkCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check [paths]",
		Short: "Check settings, workflows and tests; print every problem with its place",
		Long: `Check reads bellhop.yaml, the workflows, their tests and the own connectors of each folder or file (default: the folder here) and
prints every problem as file:line:column. Nothing is run and nothing leaves the machine. The exit code is 1 when
there is a problem; warnings alone are none.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			sum := checked{Problems: workflow.Problems{}}
			for _, path := range args {
				if err := sum.check(path); err != nil {
					return err
				}
			}
			sum.Problems = compact(sum.Problems)
			if asJSON {
				if err := printJSON(a.stdout, sum); err != nil {
					return err
				}
			} else {
				a.printChecked(sum)
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

// checked is what a check has seen.
type checked struct {
	Workflows  int               `json:"workflows"`
	Tests      int               `json:"tests"`
	Connectors int               `json:"connectors"`
	Problems   workflow.Problems `json:"problems"`
}

// check adds what lies at the path.
func (c *checked) check(path string) error {
	f, err := folder.OpenPath(path, folder.Options{Connectors: registry()})
	if err != nil {
		return usagef("%w", err)
	}
	defer f.Close()
	files, err := f.Load()
	if err != nil {
		return err
	}
	tests, err := f.Tests()
	if err != nil {
		return err
	}
	c.Workflows += len(files)
	c.Tests += len(tests)
	c.Problems = append(c.Problems, f.Problems()...)
	for _, own := range f.Connectors() {
		c.Connectors++
		c.Problems = append(c.Problems, own.Problems...)
	}
	var workflows []*workflow.Workflow
	for _, file := range files {
		c.Problems = append(c.Problems, file.Problems...)
		if file.Workflow != nil {
			workflows = append(workflows, file.Workflow)
		}
	}
	c.Problems = append(c.Problems, workflow.Clashes(workflows)...)
	for _, t := range tests {
		c.Problems = append(c.Problems, t.Problems...)
	}
	return nil
}

// compact sorts the problems and drops those that two paths have in common.
func compact(ps workflow.Problems) workflow.Problems {
	ps.Sort()
	return slices.Compact(ps)
}

func (a *app) printChecked(c checked) {
	bad := 0
	for _, p := range c.Problems {
		fmt.Fprintln(a.stdout, cleanText(p.String()))
		if !p.Warning {
			bad++
		}
	}
	if len(c.Problems) > 0 {
		fmt.Fprintln(a.stdout)
	}
	verdict := "no problems"
	switch {
	case bad > 0:
		verdict = count(bad, "problem")
	case c.Workflows+c.Tests+c.Connectors == 0:
		verdict = "nothing to check: workflows lie in workflows/*.yaml"
	}
	seen := count(c.Workflows, "workflow") + ", " + count(c.Tests, "test file")
	if c.Connectors > 0 {
		seen += ", " + count(c.Connectors, "connector")
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", seen, verdict)
}
