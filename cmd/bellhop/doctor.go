package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check all that is on disk, while the server is stopped",
		Long: `Doctor reads every page, record and stored value of a data folder, compares indexes with journals and files with what
is known of them, and tries whether the sealed secrets open. It changes nothing. Each finding is a line that says what to
do about it. Exit code 0: all is well, 1: something was found, 3: a server has the folder open.`,
		Args: cobra.NoArgs,
	}
	where := addData(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		data, err := where()
		if err != nil {
			return err
		}
		key, err := secretKey()
		if err != nil {
			return err
		}
		report, err := bolt.Check(c.Context(), data)
		if err != nil {
			return cannotStart("%w", err)
		}
		if err := secret.CheckVault(data, key); err != nil {
			report.Findings = append(report.Findings, bolt.Finding{
				File: secret.VaultFile, Problem: err.Error(), Do: "put the right file and key back; until then the server does not start",
			})
		}
		if asJSON {
			err = printJSON(a.stdout, report)
		} else {
			a.printReport(data, &report)
		}
		if err == nil && len(report.Findings) > 0 {
			err = errNo
		}
		return err
	}
	return c
}

func (a *app) printReport(data string, r *bolt.Report) {
	for _, f := range r.Findings {
		fmt.Fprintf(a.stdout, "%s: %s; %s\n", f.File, strings.ReplaceAll(cleanText(f.Problem), "\n", ";"), f.Do)
	}
	if r.Omitted > 0 {
		fmt.Fprintf(a.stdout, "and %s that are not shown\n", count(r.Omitted, "finding"))
	}
	verdict := "all is well"
	if n := len(r.Findings) + r.Omitted; n > 0 {
		verdict = count(n, "finding")
	}
	fmt.Fprintf(a.stdout, "%s: %s in %d MB: %s unfinished, %s finished, %s of history, %s checked\n", data, verdict, (r.Bytes+1<<20-1)>>20,
		count(r.Live, "run"), count(r.Finished, "run"), count(r.Segments, "file"), count(r.Values, "value"))
}

// addData gives a command the flags that say where the data folder is.
func addData(flags *pflag.FlagSet) (find func() (string, error)) {
	dir := textFlag(flags, "dir", "BELLHOP_DIR", ".", "folder of bellhop.yaml and workflows/")
	data := textFlag(flags, "data", folder.Variable("data"), "", "data folder; default: data in that folder, or as its bellhop.yaml says")
	return func() (string, error) {
		if *data != "" {
			return *data, nil
		}
		if _, err := os.Stat(filepath.Join(*dir, "bellhop.yaml")); err != nil {
			return filepath.Join(*dir, "data"), nil
		}
		f, err := folder.Open(*dir, folder.Options{Connectors: registry()})
		if err != nil {
			return "", cannotStart("%w", err)
		}
		defer f.Close()
		if err := f.Problems().Err(); err != nil {
			return "", cannotStart("the settings have errors\n%w", err)
		}
		return withDirs(f.Settings(), *dir).Data, nil
	}
}
