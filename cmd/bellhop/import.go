package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/connectors/openapi"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/outbound"
)

// importing is what the flags of `connectors import` say.
type importing struct {
	name, overlay, out, dir string
	choose                  []string
	force, asJSON           bool
}

func (a *app) connectorsImport() *cobra.Command {
	var in importing
	var dir *string
	c := &cobra.Command{
		Use:   "import <file or URL>",
		Short: "Make a connector from an OpenAPI document",
		Long: `Import reads an OpenAPI 3.0, 3.1 or Swagger 2.0 document, as JSON or YAML, and writes a connector manifest with the
operations that --choose means: an operation id, a tag, a path such as "GET /v1/things/*", or '*' for all. Without
--choose it lists the operations and writes nothing. What the document leaves open, such as its address or how to sign
in, is printed with the line of the manifest where it is to be filled in.

An overlay (Overlay Specification 1.1) changes the document before it is read. The manifest is a file of your own from
then on: the document is not needed any more.`,
		Example: `  bellhop connectors import shop.yaml
  bellhop connectors import https://example.com/openapi.json --name shop --choose createOrder --choose "GET /v1/orders*"`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in.dir = *dir
			return a.importDocument(c, args[0], in)
		},
	}
	dir = textFlag(c.Flags(), "dir", "BELLHOP_DIR", ".", "folder of bellhop.yaml and connectors/")
	f := c.Flags()
	f.StringVar(&in.name, "name", "", "id of the connector (default: from the title of the document)")
	f.StringArrayVar(&in.choose, "choose", nil, "operation id, tag, \"METHOD /path\" with *, or * for all; may be repeated")
	f.StringVar(&in.overlay, "overlay", "", "file with an overlay, applied first")
	f.StringVar(&in.out, "out", "", "file to write; - is standard output (default: connectors/<name>.yaml)")
	f.BoolVar(&in.force, "force", false, "replace the file if it exists")
	f.BoolVar(&in.asJSON, "json", false, "print JSON")
	f.String(flagName("outbound.allow"), "", folder.Keys()["outbound.allow"])
	return c
}

func (a *app) importDocument(c *cobra.Command, from string, in importing) error {
	src, address, err := a.document(c, from, in.dir)
	if err != nil {
		return err
	}
	doc, err := openapi.Parse(src)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if in.overlay != "" {
		changes, err := readBounded(in.overlay, openapi.MaxSource)
		if err != nil {
			return usagef("%w", err)
		}
		if err := doc.Apply(changes); err != nil {
			return fmt.Errorf("%s: %w", in.overlay, err)
		}
	}
	if len(in.choose) == 0 {
		return a.listOperations(doc, from, in)
	}
	source := filepath.Base(from)
	if address != "" {
		source = openapi.Address(from)
	}
	overlay := ""
	if in.overlay != "" {
		overlay = filepath.Base(in.overlay)
	}
	result, err := doc.Import(openapi.Options{Name: in.name, Choose: in.choose, Source: source, From: address, Overlay: overlay, Now: time.Now()})
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	out := in.out
	if out == "" {
		out = filepath.Join(in.dir, "connectors", result.Name+".yaml")
	}
	if out == "-" {
		if _, err := a.stdout.Write(result.Manifest); err != nil {
			return err
		}
		a.printNotes(a.stderr, result, "-")
		return nil
	}
	if err := writeManifest(out, result.Manifest, in.force); err != nil {
		return err
	}
	if in.asJSON {
		return printJSON(a.stdout, map[string]any{"file": out, "name": result.Name, "actions": result.Actions, "notes": result.Notes})
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", out, count(len(result.Actions), "action"))
	a.printNotes(a.stdout, result, out)
	return nil
}

// document reads a file, standard input or a URL. address is where a download came from in the end, else empty.
func (a *app) document(c *cobra.Command, from, dir string) (src []byte, address string, err error) {
	if from == "-" {
		src, err = io.ReadAll(io.LimitReader(a.stdin, openapi.MaxSource+1))
		return src, "", err
	}
	if !strings.HasPrefix(from, "https://") && !strings.HasPrefix(from, "http://") {
		if src, err = readBounded(from, openapi.MaxSource); err != nil {
			return nil, "", usagef("%w", err)
		}
		return src, "", nil
	}
	var settings folder.Settings
	if _, err := os.Stat(filepath.Join(dir, "bellhop.yaml")); err == nil { // else there is no folder yet
		f, err := folder.Open(dir, folder.Options{})
		if err != nil {
			return nil, "", usagef("%w", err)
		}
		settings = f.Settings()
		if err := f.Close(); err != nil {
			return nil, "", err
		}
	}
	if settings, err = mergeSettings(c.Flags(), settings); err != nil {
		return nil, "", err
	}
	client := outbound.New(outbound.Options{Allow: settings.Outbound.Allow, UserAgent: "Bellhop/" + version})
	defer client.CloseIdleConnections()
	return outbound.Fetch(c.Context(), client, from, openapi.MaxSource)
}

// readBounded reads a file of at most so many bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	src := bytes.NewBuffer(nil)
	if info.Size() <= limit {
		src.Grow(int(info.Size()) + bytes.MinRead) // once, and not in ever larger copies
		_, err = src.ReadFrom(io.LimitReader(f, limit+1))
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > limit || int64(src.Len()) > limit {
		return nil, fmt.Errorf("%s is larger than the %d MiB that are read: of a document with its references resolved, take the one with $ref; else cut out what you do not need", name, limit>>20)
	}
	return src.Bytes(), nil
}

// writeManifest writes a file that is complete or not there.
func writeManifest(name string, text []byte, force bool) error {
	if have, err := os.ReadFile(name); err == nil && !force && !bytes.Equal(have, text) {
		return fmt.Errorf("%s exists, and you may have changed it: choose another --name or --out, or replace it with --force", name)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // a folder of a project that git keeps
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".import-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}

func (a *app) listOperations(doc *openapi.Document, from string, in importing) error {
	list := doc.Operations()
	if in.asJSON {
		return printJSON(a.stdout, list)
	}
	for _, n := range doc.Notes() {
		fmt.Fprintf(a.stderr, "%s\n", cleanText(n.String()))
	}
	if len(list) == 0 {
		return fmt.Errorf("%s: %w", from, openapi.ErrNoOperations)
	}
	lines := make([][]string, len(list))
	for i, op := range list {
		operation := op.Operation
		if strings.HasPrefix(operation, op.Method+" ") {
			operation = "-"
		}
		title := op.Title
		if op.Deprecated {
			title += " (deprecated)"
		}
		lines[i] = []string{op.ID, operation, op.Method + " " + op.Path, strings.Join(op.Tags, ", "), shorten(title, 60)}
	}
	table(a.stdout, []string{"ACTION", "OPERATION ID", "PATH", "TAGS", "TITLE"}, lines)
	fmt.Fprintf(a.stdout, "\n%s. Nothing was written: choose with --choose, by operation id, tag or path, such as\n  bellhop connectors import %s --choose %s\n",
		count(len(list), "operation"), quote(from), quote(list[0].Operation))
	return nil
}

// printNotes says what to fill in, what was left out, and what was odd.
func (a *app) printNotes(w io.Writer, r *openapi.Result, file string) {
	for _, group := range []struct{ kind, title string }{
		{openapi.FillIn, "Fill in before you use it:"}, {openapi.LeftOut, "Left out:"}, {openapi.Warning, "Look at:"},
	} {
		first := true
		for _, n := range r.Notes {
			if n.Kind != group.kind {
				continue
			}
			if first {
				fmt.Fprintf(w, "\n%s\n", group.title)
				first = false
			}
			place := ""
			if line := r.Line(n.Where); line > 0 && n.Kind != openapi.LeftOut {
				place = fmt.Sprintf("%s:%d: ", file, line)
			}
			fmt.Fprintf(w, "  %s%s\n", place, cleanLine(n.String()))
		}
	}
}
