package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/workflows"
)

// first are the examples that a new folder begins with: they do the main job without an account anywhere.
var first = []string{"big-orders", "demo", "chat"}

func (a *app) initCommand() *cobra.Command {
	var quiet, all bool
	c := &cobra.Command{
		Use:   "init [dir]",
		Short: "Make a folder to start from: settings, an example workflow and its test",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			var files fs.FS = examples{workflows.Files}
			if all {
				files = workflows.Files
			}
			made, kept, err := folder.Init(dir, files)
			if err != nil {
				return cannotStart("%w", err)
			}
			if quiet {
				return nil
			}
			for _, name := range made {
				fmt.Fprintln(a.stdout, "made", name)
			}
			for _, name := range kept {
				fmt.Fprintln(a.stdout, "kept", name)
			}
			fmt.Fprintf(a.stdout, "\nNext:\n  bellhop check %[1]s\n  bellhop test %[1]s\n  bellhop serve --dir %[1]s\n", filepath.Clean(dir))
			return nil
		},
	}
	c.Flags().BoolVar(&all, "examples", false, "write every example, most of them turned off, not only the first")
	c.Flags().BoolVar(&quiet, "quiet", false, "print nothing")
	return c
}

// examples narrows the examples that ship to the first ones and their tests.
type examples struct{ fs.FS }

func (e examples) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(e.FS, name)
	var few []fs.DirEntry
	for _, entry := range all {
		if id, _, _ := strings.Cut(entry.Name(), "."); slices.Contains(first, id) {
			few = append(few, entry)
		}
	}
	return few, err
}
