// Command bellhop is the whole product: the server, the checker and test runner for a folder of workflows, and the
// client that scripts use to look at runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	_ "time/tzdata" // schedules name time zones, and a container may have none

	"github.com/spf13/cobra"
)

// Exit codes of the contract.
const (
	exitDone  = 0
	exitNo    = 1 // a problem was found, a test failed, a run failed
	exitUsage = 2
	exitStart = 3 // data in use, damaged store, port taken
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// app is what every command works with.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the program as a function: it does what args say and returns the exit code. The first SIGINT or SIGTERM
// ends ctx, so that the command can finish in order; the second ends the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	started := false
	root := a.rootCommand()
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	code := exitNo
	var coded *codedError
	if errors.As(err, &coded) {
		code = coded.code
	} else if !started {
		code = exitUsage // cobra refused the command line before any command began
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(stderr, "bellhop: %s\n", cleanText(text))
	}
	if code == exitUsage {
		fmt.Fprintln(stderr, "Run bellhop --help, or bellhop <command> --help, to see what there is.")
	}
	return code
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "bellhop",
		Short: "Workflow automation that you host yourself, in one program",
		Long: `Bellhop runs workflows from a folder of YAML files: a webhook, a schedule or a poll starts a run, and every
run is on disk before its sender gets an answer.

Start with:  bellhop init my-folder && bellhop serve --dir my-folder`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddCommand(
		a.initCommand(), a.serveCommand(), a.checkCommand(), a.testCommand(), a.runCommand(), a.runsCommand(),
		a.deliveriesCommand(), a.triggersCommand(), a.replayCommand(), a.connectorsCommand(), a.connectionsCommand(), a.doctorCommand(), a.backupCommand(), a.restoreCommand(), a.schemaCommand(), a.versionCommand(), a.completionCommand(root),
	)
	root.CompletionOptions.DisableDefaultCmd = true // ours refuses a shell that it does not know
	return root
}

// group is a command that only has subcommands. A word that names none of them is wrong usage.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
			}
			var names []string
			for _, sub := range c.Commands() {
				names = append(names, sub.Name())
			}
			return fmt.Errorf("%s what? Say one of: %s", c.CommandPath(), strings.Join(names, ", "))
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	g.AddCommand(commands...)
	return g
}

// codedError is an error with an exit code of its own. An empty text says nothing: the command did already.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e *codedError) Unwrap() error { return e.err }

// errNo is the answer no, already printed.
var errNo = &codedError{code: exitNo}

func usagef(format string, args ...any) error {
	return &codedError{exitUsage, fmt.Errorf(format, args...)}
}

func cannotStart(format string, args ...any) error {
	return &codedError{exitStart, fmt.Errorf(format, args...)}
}
