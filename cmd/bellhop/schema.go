package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/connectors/manifest"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func (a *app) schemaCommand() *cobra.Command {
	kinds := []string{"workflow", "test", "connector", "settings"}
	return &cobra.Command{
		Use:       "schema [" + strings.Join(kinds, "|") + "]",
		Short:     "Print the JSON Schema of a file format, for editors",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: kinds,
		RunE: func(_ *cobra.Command, args []string) error {
			kind := kinds[0]
			if len(args) == 1 {
				kind = args[0]
			}
			if kind == "connector" {
				_, err := a.stdout.Write(manifest.Schema())
				return err
			}
			text, err := workflow.Schema(kind)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}
