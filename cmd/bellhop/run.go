package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/outbound"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
	"github.com/bellhop-dev/bellhop/engine/secret"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// maxEvent is the most bytes of an event file, as large as a body may be.
const maxEvent = 25 << 20

func (a *app) runCommand() *cobra.Command {
	var event string
	var pretend, asJSON bool
	var dir *string
	c := &cobra.Command{
		Use:   "run <workflow>",
		Short: "Run a workflow once, here and now, without a server",
		Long: `Run plays a workflow once with the event of a file, which is the value of "trigger", such as {"body": {"total": 129}}.
Calls are real, unless --pretend is given: then only calls that read go out, and the others are printed. Nothing is
kept: the run is in no history, and "store" begins empty. The exit code is 1 when the run fails.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			root, err := a.readEvent(event)
			if err != nil {
				return err
			}
			registry, redactor := registry(), &secret.Redactor{}
			f, w, err := a.openWorkflow(*dir, args[0], registry)
			if err != nil {
				return err
			}
			defer f.Close()
			settings, err := mergeSettings(c.Flags(), f.Settings())
			if err != nil {
				return err
			}
			way := outbound.Options{Allow: settings.Outbound.Allow, UserAgent: "Bellhop/" + version}
			client, dial := outbound.New(way), outbound.Dialer(way)
			connections := secret.New(settings.Connections, registry, secret.Options{Dir: f.Dir(), Redactor: redactor, HTTP: client, Dial: dial})
			out, pretended, err := rehearsal.Once{
				Workflow: w, Event: root, Connectors: registry, Connections: connections.Connection, Pretend: pretend, PublicURL: settings.PublicURL, Zone: settings.Zone(),
				Tokens: connections.Tokens, HTTP: client, Dial: dial,
			}.Run(c.Context())
			if err != nil {
				return errors.New(redactor.Text(err.Error()))
			}
			return a.printOnce(out, pretended, redactor, asJSON)
		},
	}
	dir = textFlag(c.Flags(), "dir", "BELLHOP_DIR", ".", "folder of bellhop.yaml and workflows/")
	c.Flags().StringVar(&event, "event", "", "JSON file with the value of trigger; - reads standard input")
	c.Flags().BoolVar(&pretend, "pretend", false, "make only calls that read; print the others")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().String(flagName("outbound.allow"), "", folder.Keys()["outbound.allow"])
	return c
}

// openWorkflow finds a workflow by its id in the folder, or by the path of its file. The folder's own connectors come
// to the registry.
func (a *app) openWorkflow(dir, name string, registry *connectors.Registry) (*folder.Folder, *workflow.Workflow, error) {
	o := folder.Options{Connectors: registry}
	var f *folder.Folder
	var err error
	if strings.HasSuffix(name, ".yaml") {
		f, err = folder.OpenPath(name, o)
	} else {
		f, err = folder.Open(dir, o)
	}
	if err != nil {
		return nil, nil, usagef("%w", err)
	}
	w, err := a.pick(f, name)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, w, nil
}

// pick reads the workflow and prints what is wrong with it.
func (a *app) pick(f *folder.Folder, name string) (*workflow.Workflow, error) {
	var file folder.File
	if strings.HasSuffix(name, ".yaml") {
		files, err := f.Load()
		if err != nil {
			return nil, err
		}
		if len(files) != 1 {
			return nil, usagef("%s is no workflow file", name)
		}
		file = files[0]
	} else {
		text, err := f.Read(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("there is no workflow %s in %s", name, f.Dir())
		} else if err != nil {
			return nil, usagef("%w", err)
		}
		file = f.Check(name, text)
	}
	problems := append(f.Problems(), file.Problems...)
	if problems.Err() != nil {
		for _, p := range problems {
			fmt.Fprintln(a.stderr, cleanText(p.String()))
		}
		return nil, &codedError{exitNo, errors.New("the workflow has errors, so it cannot run")}
	}
	return file.Workflow, nil
}

// readEvent reads the value of trigger.
func (a *app) readEvent(name string) (map[string]any, error) {
	if name == "" {
		return map[string]any{}, nil
	}
	in := a.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, usagef("--event: %w", err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxEvent+1))
	if err != nil {
		return nil, usagef("--event: %w", err)
	}
	if len(text) > maxEvent {
		return nil, usagef("--event: %s is larger than %d MiB", name, maxEvent>>20)
	}
	decoded, err := value.DecodeJSON(text)
	if err != nil {
		return nil, usagef("--event: %s is not JSON: %w", name, err)
	}
	root, ok := decoded.(map[string]any)
	if !ok {
		return nil, usagef("--event: %s is no object: it holds the value of trigger, such as {\"body\": {…}}", name)
	}
	return root, nil
}

// printOnce shows the run and says by its error whether it failed. Secrets that came back in an answer are taken out.
func (a *app) printOnce(out *engine.Simulated, pretended []rehearsal.Pretended, redactor *secret.Redactor, asJSON bool) error {
	text, err := json.Marshal(out.View)
	if err != nil {
		return fmt.Errorf("print the run: %w", err)
	}
	text = redactor.Bytes(text)
	if asJSON {
		err = printJSON(a.stdout, json.RawMessage(text))
	} else {
		var view engine.RunView
		if err = json.Unmarshal(text, &view); err == nil {
			printRun(a.stdout, &view)
		}
	}
	if err != nil {
		return fmt.Errorf("print the run: %w", err)
	}
	for _, p := range pretended {
		input, err := value.AppendJSON(nil, p.Input)
		if err != nil {
			return fmt.Errorf("print the run: %w", err)
		}
		fmt.Fprintf(a.stderr, "not made: step %s would call %s with %s\n", p.Step, p.Use, cleanLine(redactor.Text(string(input))))
	}
	if out.View.Status == engine.StatusFailed.String() || out.View.Status == engine.StatusCanceled.String() {
		return errNo
	}
	return nil
}
