package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

const zstdWindow = 8 << 20 // bytes; what a reader must have

func (a *app) backupCommand() *cobra.Command {
	var withKey bool
	c := &cobra.Command{
		Use:   "backup <file>",
		Short: "Write all that is stored to one file, while the server runs or not",
		Long: `Backup writes a snapshot of unfinished runs, history and sealed secrets to one file (tar, zstd), and unpacks and checks it
before it gets its name. A running server is asked through its API and goes on working. Workflows and bellhop.yaml are not
in it: they belong in git. The key of the secrets is not in it either, so that the file alone opens nothing: keep a copy of
data/secret.key in another place, or say --with-key.`,
		Args: cobra.ExactArgs(1),
	}
	where, open := addData(c.Flags()), addServer(c)
	c.Flags().BoolVar(&withKey, "with-key", false, "put the key of the secrets in too: whoever has the file has the secrets")
	c.RunE = func(c *cobra.Command, args []string) error {
		data, err := where()
		if err != nil {
			return err
		}
		server, err := open()
		if err != nil {
			return err
		}
		if _, err := os.Stat(args[0]); err == nil {
			return usagef("%s is there already: choose another name", args[0])
		}
		return a.backup(c.Context(), args[0], data, server, withKey)
	}
	return c
}

func (a *app) backup(ctx context.Context, path, data string, server *client, withKey bool) (err error) {
	f, err := os.OpenFile(path+".partial", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow))
	if err != nil {
		return err
	}
	if err := writeBackup(ctx, z, data, server, withKey); err != nil {
		return errors.Join(err, z.Close())
	}
	if err := errors.Join(z.Close(), f.Sync()); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	report, head, err := tryBackup(ctx, f, filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("backup: what was written cannot be restored: %w", err)
	}
	if n := len(report.Findings); n > 0 {
		return fmt.Errorf("backup: what is stored is damaged (%s, the first: %s: %s)\n  Stop the server and run `bellhop doctor`",
			count(n, "finding"), report.Findings[0].File, report.Findings[0].Problem)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := bolt.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	fmt.Fprintf(a.stdout, "%s: %s unfinished, %s finished; tried and whole\n", path, count(report.Live, "run"), count(report.Finished, "run"))
	if head.has(secret.VaultFile) && !head.has(secret.KeyFile) {
		fmt.Fprintln(a.stderr, "The key of the sealed secrets is not in it: keep a copy of "+filepath.Join(data, secret.KeyFile)+" in another place.")
	}
	return nil
}

// writeBackup writes the backup of a folder that no server uses, else what the server sends.
func writeBackup(ctx context.Context, w io.Writer, data string, server *client, withKey bool) error {
	snap, err := bolt.OpenSnapshot(data)
	if errors.Is(err, bolt.ErrInUse) || errors.Is(err, os.ErrNotExist) {
		return relay(ctx, w, data, server, withKey)
	}
	if err != nil {
		return cannotStart("%w", err)
	}
	defer snap.Close()
	head, err := newHead(snap, data)
	if err == nil && withKey {
		err = head.add(data, secret.KeyFile)
	}
	if err == nil {
		err = writeArchive(ctx, w, head)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// relay writes what the server sends. The key never comes from there: it is read from the folder.
func relay(ctx context.Context, w io.Writer, data string, server *client, withKey bool) error {
	in, err := server.stream(ctx, "/backup", nil)
	if err != nil {
		return err
	}
	defer in.Close()
	var key archiveHead
	if withKey {
		if err := key.add(data, secret.KeyFile); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
	}
	var out *archiveWriter
	err = readArchive(in, 1<<60, func(h *archiveHead) error {
		h2 := *h
		h2.Files = append(h.Files[:len(h.Files):len(h.Files)], key.Files...)
		out, err = newArchiveWriter(w, &h2)
		return err
	}, func(f *archiveFile) error { return out.entry(f.Name, f.Size, f.content) })
	if err != nil {
		return fmt.Errorf("backup: what the server sent: %w", err)
	}
	for _, f := range key.Files {
		if err := out.entry(f.Name, f.Size, f.content); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
	}
	return out.end()
}

// tryBackup restores a backup to a folder beside it, checks that and removes it: a backup that nobody has restored is none.
func tryBackup(ctx context.Context, f *os.File, beside string) (report bolt.Report, head *archiveHead, err error) {
	dir, err := os.MkdirTemp(beside, ".bellhop-try-*")
	if err != nil {
		return report, nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is in the way of nothing
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return report, nil, err
	}
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return report, nil, err
	}
	defer z.Close()
	if head, err = unpack(ctx, z, dir); err != nil {
		return report, nil, err
	}
	report, err = bolt.Check(ctx, dir)
	return report, head, err
}

// snapshot is what the API sends as a backup.
func snapshot(store *bolt.Store, data string) func(context.Context) (func(context.Context, io.Writer) error, error) {
	return func(ctx context.Context) (func(context.Context, io.Writer) error, error) {
		snap, err := store.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		head, err := newHead(snap, data)
		if err != nil {
			snap.Close()
			return nil, err
		}
		return func(ctx context.Context, w io.Writer) error {
			defer snap.Close()
			return writeArchive(ctx, w, head)
		}, nil
	}
}
