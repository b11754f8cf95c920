package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func (a *app) connectionsCommand() *cobra.Command {
	connections := group("connections", "Look at the connections of a server, enter their secrets, sign in, and try them")
	open := addServer(connections)
	connections.AddCommand(a.connectionsList(open), a.connectionsSet(open), a.connectionsSignIn(open), a.connectionsTest(open), a.connectionsRemove(open), a.connectionsRotate(open))
	return connections
}

// connectionRow is what the lists show of a connection.
type connectionRow struct {
	Name, Connector, Auth, State, Reason, Label string
	Entered, Declared                           bool
	UsedBy                                      []string `json:"used_by"`
}

func (a *app) connectionsList(open func() (*client, error)) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List connections, by name, and how they are doing", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			items := []json.RawMessage{}
			err = each(c.Context(), server, "/connections", url.Values{}, 0, func(i json.RawMessage) error {
				items = append(items, i)
				return nil
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, items)
			}
			if len(items) == 0 {
				fmt.Fprintln(a.stdout, "no connections")
				return nil
			}
			var rows [][]string
			for _, item := range items {
				var r connectionRow
				if err := json.Unmarshal(item, &r); err != nil {
					return fmt.Errorf("read the answer of the server: %w", err)
				}
				what := r.Reason
				if what == "" {
					what = r.Label
				}
				rows = append(rows, []string{r.Name, r.Connector, r.State, count(len(r.UsedBy), "workflow"), shorten(what, 100)})
			}
			table(a.stdout, []string{"CONNECTION", "CONNECTOR", "STATE", "USED BY", ""}, rows)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// entered are the flags by which values come in. A secret is never an argument: others on the machine can see those.
type entered struct {
	connector, auth       string
	fields, secrets, envs []string
}

func (e *entered) flags(c *cobra.Command) {
	c.Flags().StringVar(&e.connector, "connector", "", "makes a new connection of this connector")
	c.Flags().StringVar(&e.auth, "auth", "", "how it proves who it is; one of those that bellhop connectors show lists")
	c.Flags().StringArrayVar(&e.fields, "field", nil, "name=value of a plain field; may be given several times")
	c.Flags().StringArrayVar(&e.secrets, "secret", nil, "name of a secret, which is asked for, or read as one line of standard input; may be given several times")
	c.Flags().StringArrayVar(&e.envs, "secret-env", nil, "name=VARIABLE: a secret out of a variable of this command; may be given several times")
}

// values reads them.
func (e *entered) values(a *app) (map[string]any, error) {
	out := map[string]any{}
	for _, f := range e.fields {
		name, text, ok := strings.Cut(f, "=")
		if !ok || name == "" {
			return nil, usagef("--field %q: write name=value", f)
		}
		out[name] = text
	}
	for _, f := range e.envs {
		name, variable, ok := strings.Cut(f, "=")
		if !ok || name == "" || variable == "" {
			return nil, usagef("--secret-env %q: write name=VARIABLE", f)
		}
		text := os.Getenv(variable)
		if text == "" {
			return nil, usagef("--secret-env: the variable %s is not set", variable)
		}
		out[name] = text
	}
	in := bufio.NewReader(io.LimitReader(a.stdin, 1<<20))
	for _, name := range e.secrets {
		text, err := a.askSecret(in, name)
		if err != nil {
			return nil, err
		}
		out[name] = text
	}
	return out, nil
}

// askSecret asks a person without showing what is typed, or reads a line where nobody sits.
func (a *app) askSecret(in *bufio.Reader, name string) (string, error) {
	if f, ok := a.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(a.stderr, "%s: ", name)
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.stderr)
		if err == nil && len(text) == 0 {
			err = errors.New("nothing was typed")
		}
		if err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		return string(text), nil
	}
	line, err := in.ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("standard input has no line for it")
		}
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return line, nil
}

func (a *app) connectionsSet(open func() (*client, error)) *cobra.Command {
	var e entered
	c := &cobra.Command{
		Use: "set <name>", Short: "Make a connection, or change values of one", Args: cobra.ExactArgs(1),
		Example: "  bellhop connections set my-shop --connector stripe --auth key --secret token",
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			values, err := e.values(a)
			if err != nil {
				return err
			}
			method, path, body := http.MethodPost, "/connections", map[string]any{"name": args[0], "connector": e.connector, "auth": e.auth, "values": values}
			if e.connector == "" {
				method, path = http.MethodPatch, "/connections/"+url.PathEscape(args[0])
				if e.auth != "" {
					values["auth"] = e.auth
				}
				body = map[string]any{"values": values}
			}
			var r connectionRow
			if err := server.call(c.Context(), method, path, nil, body, &r); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s: %s\n", cleanLine(r.Name), cleanLine(r.State))
			if r.Reason != "" {
				fmt.Fprintln(a.stdout, "  "+cleanLine(r.Reason))
			}
			return nil
		},
	}
	e.flags(c)
	return c
}

func (a *app) connectionsSignIn(open func() (*client, error)) *cobra.Command {
	var e entered
	c := &cobra.Command{
		Use: "sign-in <name>", Short: "Sign in to a system in the browser (OAuth2), for a new connection or again", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			values, err := e.values(a)
			if err != nil {
				return err
			}
			var started struct {
				State, URL, Code string
				ExpiresAt        time.Time `json:"expires_at"`
			}
			body := map[string]any{"name": args[0], "values": values}
			if e.connector != "" {
				body["connector"] = e.connector
			}
			if e.auth != "" {
				body["auth"] = e.auth
			}
			if err := server.call(c.Context(), http.MethodPost, "/oauth", nil, body, &started); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "Open this address in a browser:\n\n  %s\n\n", cleanLine(started.URL))
			if started.Code != "" {
				fmt.Fprintf(a.stdout, "and enter the code %s\n\n", cleanLine(started.Code))
			}
			for time.Now().Before(started.ExpiresAt) {
				select {
				case <-c.Context().Done():
					return c.Context().Err()
				case <-time.After(2 * time.Second):
				}
				var now struct {
					Done, OK bool
					Reason   string
				}
				if err := server.call(c.Context(), http.MethodGet, "/oauth/"+url.PathEscape(started.State), nil, nil, &now); err != nil {
					return err
				}
				if now.OK {
					fmt.Fprintf(a.stdout, "%s: signed in\n", args[0])
					return nil
				}
				if now.Done {
					return errors.New(cleanLine(now.Reason))
				}
			}
			return errors.New("nobody signed in in time; begin again")
		},
	}
	e.flags(c)
	return c
}

func (a *app) connectionsTest(open func() (*client, error)) *cobra.Command {
	return &cobra.Command{
		Use: "test <name>", Short: "Try a connection with a real call that only reads", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			var got struct {
				OK            bool
				Label, Reason string
			}
			if err := server.call(c.Context(), http.MethodPost, "/connections/"+url.PathEscape(args[0])+"/test", nil, nil, &got); err != nil {
				return err
			}
			if !got.OK {
				return fmt.Errorf("connection %s does not work: %s", args[0], cleanLine(got.Reason))
			}
			text := "works"
			if got.Label != "" {
				text += ": " + cleanLine(got.Label)
			}
			fmt.Fprintf(a.stdout, "%s %s\n", args[0], text)
			return nil
		},
	}
}

func (a *app) connectionsRemove(open func() (*client, error)) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "rm <name>", Short: "Forget a connection and its secrets", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			path := "/connections/" + url.PathEscape(args[0])
			var r connectionRow
			if err := server.call(c.Context(), http.MethodGet, path, nil, nil, &r); err != nil {
				return err
			}
			if len(r.UsedBy) > 0 && !yes {
				return fmt.Errorf("%s stops to work without it: %s\n  Say --yes if that is meant", count(len(r.UsedBy), "workflow"), cleanLine(strings.Join(r.UsedBy, ", ")))
			}
			if err := server.call(c.Context(), http.MethodDelete, path, nil, nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s is forgotten\n", args[0])
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "also when workflows use it")
	return c
}

func (a *app) connectionsRotate(open func() (*client, error)) *cobra.Command {
	return &cobra.Command{
		Use: "rotate-key", Short: "Seal all secrets of the server with a new key", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := open()
			if err != nil {
				return err
			}
			if err := server.call(c.Context(), http.MethodPost, "/secrets/rotate", nil, nil, nil); err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, "all secrets are sealed with a new key")
			return nil
		},
	}
}
