package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

func (a *app) restoreCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore <file>",
		Short: "Put a backup into an empty data folder",
		Long: `Restore unpacks what bellhop backup wrote into a data folder that is empty or not there yet, and checks it. The server that
starts on it goes on with every run that was unfinished then. What happened after the backup is not known to it: stop the
old server first, or its runs go on in both.`,
		Args: cobra.ExactArgs(1),
	}
	where := addData(c.Flags())
	c.RunE = func(c *cobra.Command, args []string) error {
		data, err := where()
		if err != nil {
			return err
		}
		f, err := os.Open(args[0])
		if err != nil {
			return usagef("restore: %w", err)
		}
		defer f.Close()
		switch have, err := os.ReadDir(data); {
		case errors.Is(err, os.ErrNotExist):
			if err := os.MkdirAll(data, 0o700); err != nil {
				return cannotStart("restore: %w", err)
			}
		case err != nil:
			return cannotStart("restore: %w", err)
		case len(have) > 0:
			return cannotStart("restore: %s is not empty\n  Move what is in it away, or choose another folder with --data", data)
		}
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return err
		}
		defer z.Close()
		head, err := unpack(c.Context(), z, data)
		if err != nil {
			return fmt.Errorf("restore %s: %w", args[0], err)
		}
		report, err := bolt.Check(c.Context(), data)
		if err != nil {
			return err
		}
		a.printReport(data, &report)
		if key, err := secretKey(); head.has(secret.VaultFile) && !head.has(secret.KeyFile) && key == "" && err == nil {
			fmt.Fprintf(a.stderr, "Put the key of the sealed secrets back before the server starts: %s, or BELLHOP_SECRET_KEY.\n", secret.KeyFile)
		}
		if len(report.Findings) > 0 {
			return errNo
		}
		return nil
	}
	return c
}
