package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

// connectionItem is a connection as the API shows it, without its secrets.
type connectionItem struct {
	Name      string             `json:"name"`
	Connector string             `json:"connector"`
	Auth      string             `json:"auth"`
	OK        bool               `json:"ok" doc:"Whether its fields and secrets are complete and nobody has to sign in. Nobody was called to find out."`
	State     string             `json:"state" enum:"incomplete,sign_in,failing,untested,working"`
	Reason    string             `json:"reason,omitempty" doc:"Why it is not working."`
	Label     string             `json:"label,omitempty" doc:"Whose account it is, from the last test that worked."`
	Declared  bool               `json:"declared" doc:"bellhop.yaml has it. What it sets there can only be changed there."`
	Entered   bool               `json:"entered" doc:"Something of it was entered here."`
	Fields    map[string]any     `json:"fields"`
	Secrets   []connectionSecret `json:"secrets" nullable:"false"`
	Hosts     []string           `json:"hosts" nullable:"false" doc:"Where its secrets may go; empty: as the connector says."`
	Scopes    []string           `json:"scopes,omitempty"`
	CanTest   bool               `json:"can_test"`
	CanSignIn bool               `json:"can_sign_in" doc:"A person signs in to it: POST /api/v1/oauth."`
	CheckedAt *time.Time         `json:"checked_at,omitempty" doc:"When it was tested last."`
	Since     *time.Time         `json:"since,omitempty" doc:"When its state became what it is."`
	ExpiresAt *time.Time         `json:"expires_at,omitempty" doc:"When it stops to work unless somebody signs in again."`
	UsedBy    []string           `json:"used_by" nullable:"false" doc:"The workflows that depend on it."`
	Calls     int                `json:"calls_today"`
	Refused   int                `json:"refused_today" doc:"Calls that the other side answered 401 or 403."`
	Days      []secret.Day       `json:"days,omitempty" doc:"Its tests of the last 30 days, oldest first."`
}

type connectionSecret struct {
	Name      string     `json:"name"`
	Title     string     `json:"title"`
	Help      string     `json:"help,omitempty"`
	Set       bool       `json:"set"`
	Optional  bool       `json:"optional,omitempty"`
	Multiline bool       `json:"multiline,omitempty"`
	From      string     `json:"from,omitempty" example:"the environment variable SLACK_BOT_TOKEN" doc:"Where it comes from, when it is not entered here."`
	By        string     `json:"by,omitempty"`
	At        *time.Time `json:"at,omitempty"`
}

// ConnectionName is the path of a route about one connection.
type ConnectionName struct {
	Name string `path:"name" maxLength:"63"`
}

// ConnectionValues is what a person enters.
type ConnectionValues struct {
	Values map[string]any `json:"values,omitempty" doc:"Its fields and secrets by the keys that they would have in bellhop.yaml. null takes one away; what is not named stays. A secret is never shown again."`
}

func (s *Server) connectionRoutes() {
	tags := []string{"connections"}
	handle(s, huma.Operation{
		OperationID: "list-connections", Method: http.MethodGet, Path: "/api/v1/connections", Tags: tags, Summary: "List connections by name, without secrets",
	}, s.listConnections)
	handle(s, huma.Operation{
		OperationID: "create-connection", Method: http.MethodPost, Path: "/api/v1/connections", Tags: tags, Summary: "Make a connection",
		Description:   "Its secrets are sealed in the data directory; the rest is declared in bellhop.yaml too, so that workflows may name it.",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusConflict},
	}, s.createConnection)
	handle(s, huma.Operation{
		OperationID: "read-connection", Method: http.MethodGet, Path: "/api/v1/connections/{name}", Tags: tags, Summary: "One connection and how it is doing",
		Errors: []int{http.StatusNotFound},
	}, s.readConnection)
	handle(s, huma.Operation{
		OperationID: "change-connection", Method: http.MethodPatch, Path: "/api/v1/connections/{name}", Tags: tags, Summary: "Change values of a connection",
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.changeConnection)
	handle(s, huma.Operation{
		OperationID: "delete-connection", Method: http.MethodDelete, Path: "/api/v1/connections/{name}", Tags: tags, Summary: "Forget a connection and its secrets",
		Description: "used_by of the connection names the workflows that stop to work. What bellhop.yaml declares by hand stays there.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.deleteConnection)
	handle(s, huma.Operation{
		OperationID: "test-connection", Method: http.MethodPost, Path: "/api/v1/connections/{name}/test", Tags: tags, Summary: "Try a connection with a real call that only reads",
		Errors: []int{http.StatusNotFound},
	}, s.testConnection)
	handle(s, huma.Operation{
		OperationID: "start-sign-in", Method: http.MethodPost, Path: "/api/v1/oauth", Tags: tags, Summary: "Begin to sign in to a system (OAuth2)",
		Description: "Send the person to url. The connection is made or changed when they come back; ask /api/v1/oauth/{state} how it goes.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.startSignIn)
	handle(s, huma.Operation{
		OperationID: "read-sign-in", Method: http.MethodGet, Path: "/api/v1/oauth/{state}", Tags: tags, Summary: "How a sign-in goes",
		Errors: []int{http.StatusNotFound},
	}, s.readSignIn)
	handle(s, huma.Operation{
		OperationID: "rotate-secret-key", Method: http.MethodPost, Path: "/api/v1/secrets/rotate", Tags: tags, Summary: "Seal all secrets with a new key",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusConflict},
	}, s.rotateKey)
	s.router.GET(secret.CallbackPath, s.finishSignIn)
	s.router.GET(signedInScript, func(c *gin.Context) {
		c.Data(http.StatusOK, "text/javascript; charset=utf-8", []byte(tellOpener))
	})
}

// sealed is the connections of a server that has some.
func (s *Server) sealed() (*secret.Connections, error) {
	if s.Connections == nil {
		return nil, fail(http.StatusNotFound, "this server has no connections", "")
	}
	return s.Connections, nil
}

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *Server) connectionItem(i *secret.Info) connectionItem {
	item := connectionItem{
		Name: i.Name, Connector: i.Connector, Auth: i.Auth, State: string(i.State), Reason: i.Reason, Label: i.Label,
		OK:       i.State != secret.StateIncomplete && i.State != secret.StateSignIn,
		Declared: i.Declared, Entered: i.Entered, Fields: i.Fields, Secrets: []connectionSecret{}, Hosts: append([]string{}, i.Hosts...),
		Scopes: i.Scopes, CanTest: i.CanTest, CanSignIn: i.CanSignIn, CheckedAt: at(i.Checked), Since: at(i.Since), ExpiresAt: at(i.Expires),
		UsedBy: []string{}, Calls: i.Calls, Refused: i.Refused, Days: i.Days,
	}
	for _, x := range i.Secrets {
		item.Secrets = append(item.Secrets, connectionSecret{
			Name: x.Name, Title: x.Title, Help: x.Help, Set: x.Set, Optional: x.Optional, Multiline: x.Multiline, From: x.From, By: x.By, At: at(x.At),
		})
	}
	for _, w := range s.Engine.Workflows() {
		if slices.Contains(w.Connections(), i.Name) {
			item.UsedBy = append(item.UsedBy, w.ID)
		}
	}
	return item
}

func (s *Server) listConnections(_ context.Context, in *Paging) (*body[page[connectionItem]], error) {
	var list []secret.Info
	if s.Connections != nil {
		list = s.Connections.List()
	}
	infos := cut(list, *in, func(i secret.Info) string { return i.Name })
	out := page[connectionItem]{Items: make([]connectionItem, len(infos.Items)), Next: infos.Next}
	for i := range infos.Items {
		out.Items[i] = s.connectionItem(&infos.Items[i])
	}
	return &body[page[connectionItem]]{out}, nil
}

func (s *Server) readConnection(_ context.Context, in *ConnectionName) (*body[connectionItem], error) {
	c, err := s.sealed()
	if err != nil {
		return nil, err
	}
	i, err := c.Info(in.Name)
	if err != nil {
		return nil, err
	}
	return &body[connectionItem]{s.connectionItem(&i)}, nil
}

// entry makes plain data of what a person entered.
func entryOf(connector, auth string, values map[string]any) (secret.Entry, error) {
	plain, err := value.Normalize(values)
	if err != nil {
		return secret.Entry{}, fail(http.StatusBadRequest, "values: "+err.Error(), "")
	}
	e := secret.Entry{Values: map[string]any{}, By: "admin"}
	if m, ok := plain.(map[string]any); ok {
		e.Values = m
	}
	if connector != "" {
		e.Values["connector"] = connector
	}
	if auth != "" {
		e.Values["auth"] = auth
	}
	return e, nil
}

func (s *Server) createConnection(ctx context.Context, in *struct {
	Body struct {
		Name      string `json:"name" maxLength:"63" example:"team-slack"`
		Connector string `json:"connector" maxLength:"64" example:"slack"`
		Auth      string `json:"auth,omitempty" maxLength:"64" doc:"One of the connector's ways to prove who it is; empty: its only one."`
		ConnectionValues
	}
},
) (*body[connectionItem], error) {
	c, err := s.sealed()
	if err != nil {
		return nil, err
	}
	e, err := entryOf(in.Body.Connector, in.Body.Auth, in.Body.Values)
	if err != nil {
		return nil, err
	}
	if err := c.Enter(in.Body.Name, e, true); err != nil {
		return nil, err
	}
	if err := s.declare(ctx, in.Body.Name, e.Values); err != nil {
		return nil, errors.Join(err, c.Remove(in.Body.Name))
	}
	return s.readConnection(ctx, &ConnectionName{in.Body.Name})
}

// declare writes a new connection into bellhop.yaml, without its secrets, and makes it known.
func (s *Server) declare(ctx context.Context, name string, values map[string]any) error {
	if err := s.Folder.Declare(name, s.Connections.Public(name, values)); err != nil {
		s.Log.WarnContext(ctx, "a connection could not be declared", "connection", name, "error", err)
		return fail(http.StatusConflict, "bellhop.yaml must name the connection, and it cannot be changed: "+err.Error(),
			fmt.Sprintf("add `%s: {connector: %s}` to its connections by hand; then only the secrets are entered here", name, values["connector"]))
	}
	return s.Reload(ctx)
}

func (s *Server) changeConnection(ctx context.Context, in *struct {
	ConnectionName
	Body ConnectionValues
},
) (*body[connectionItem], error) {
	c, err := s.sealed()
	if err != nil {
		return nil, err
	}
	e, err := entryOf("", "", in.Body.Values)
	if err != nil {
		return nil, err
	}
	if err := c.Enter(in.Name, e, false); err != nil {
		return nil, err
	}
	return s.readConnection(ctx, &in.ConnectionName)
}

func (s *Server) deleteConnection(ctx context.Context, in *ConnectionName) (*struct{}, error) {
	c, err := s.sealed()
	if err != nil {
		return nil, err
	}
	i, err := c.Info(in.Name)
	if err != nil {
		return nil, err
	}
	if !i.Entered {
		return nil, fail(http.StatusConflict, "connection "+in.Name+" is declared in bellhop.yaml, and nothing of it was entered here", "take it out of the file")
	}
	if err := c.Remove(in.Name); err != nil {
		return nil, err
	}
	if i.Declared {
		public := map[string]any{"connector": i.Connector}
		if i.Auth != "" {
			public["auth"] = i.Auth
		}
		for key, v := range i.Fields {
			public[key] = v
		}
		if err := s.Folder.Undeclare(in.Name, public); err != nil {
			s.Log.WarnContext(ctx, "a connection stays declared", "connection", in.Name, "error", err)
		}
	}
	return nil, s.Reload(ctx)
}

// tested is what a test of a connection found.
type tested struct {
	OK     bool   `json:"ok"`
	Label  string `json:"label,omitempty" example:"signed in as ada@example.com"`
	Reason string `json:"reason,omitempty" doc:"Why it does not work."`
}

func (s *Server) testConnection(ctx context.Context, in *ConnectionName) (*body[tested], error) {
	c, err := s.sealed()
	if err != nil {
		return nil, err
	}
	if _, err := c.Info(in.Name); err != nil {
		return nil, err
	}
	label, err := c.Test(ctx, in.Name)
	if input, ok := errors.AsType[*secret.InputError](err); ok {
		return nil, input
	}
	if err != nil {
		return &body[tested]{tested{Reason: err.Error()}}, nil
	}
	return &body[tested]{tested{OK: true, Label: label}}, nil
}

// browserCookie ties a sign-in to the browser that began it.
const browserCookie = "bellhop_sign_in"

type signingIn struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      struct {
		State     string    `json:"state"`
		URL       string    `json:"url" doc:"Where the person goes."`
		Code      string    `json:"code,omitempty" doc:"What the person enters there (device flow)."`
		ExpiresAt time.Time `json:"expires_at"`
	}
}

func (s *Server) startSignIn(ctx context.Context, in *struct {
	Host string `header:"Host" maxLength:"300"`
	Site string `header:"Sec-Fetch-Site" maxLength:"40"`
	Body struct {
		Name      string `json:"name" maxLength:"63"`
		Connector string `json:"connector,omitempty" maxLength:"64" doc:"Of a new connection; empty: the connection exists."`
		Auth      string `json:"auth,omitempty" maxLength:"64"`
		ConnectionValues
	}
},
) (*signingIn, error) {
	c, err := s.sealed()
	if err != nil {
		return nil, err
	}
	e, err := entryOf(in.Body.Connector, in.Body.Auth, in.Body.Values)
	if err != nil {
		return nil, err
	}
	start := secret.SignIn{Name: in.Body.Name, Entry: e, IsNew: in.Body.Connector != ""}
	out := &signingIn{}
	// A browser that will come back to the address that it is on can prove that it began.
	if public, err := url.Parse(s.Engine.PublicURL); err == nil && in.Site != "" && strings.EqualFold(public.Host, in.Host) {
		start.Browser = rand.Text()
		out.SetCookie = http.Cookie{
			Name: browserCookie, Value: start.Browser, Path: secret.CallbackPath, MaxAge: 600,
			HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: public.Scheme == "https",
		}
	}
	started, err := c.StartSignIn(ctx, start)
	if err != nil {
		return nil, err
	}
	out.Body.State, out.Body.URL, out.Body.Code, out.Body.ExpiresAt = started.State, started.URL, started.Code, started.Expires
	return out, nil
}

type signedIn struct {
	Connection string `json:"connection"`
	Done       bool   `json:"done"`
	OK         bool   `json:"ok"`
	Reason     string `json:"reason,omitempty" doc:"Why it failed."`
}

func (s *Server) readSignIn(ctx context.Context, in *struct {
	State string `path:"state" maxLength:"200"`
},
) (*body[signedIn], error) {
	c, err := s.sealed()
	if err != nil {
		return nil, err
	}
	state, err := c.SignInState(ctx, in.State)
	if err != nil {
		return nil, fail(http.StatusNotFound, err.Error(), "")
	}
	if state.Done && state.Reason == "" {
		if err := s.declareSignedIn(ctx, state.Connection); err != nil {
			return nil, err
		}
	}
	return &body[signedIn]{signedIn{state.Connection, state.Done, state.Done && state.Reason == "", state.Reason}}, nil
}

// declareSignedIn writes a connection that a sign-in made into bellhop.yaml.
func (s *Server) declareSignedIn(ctx context.Context, name string) error {
	i, err := s.Connections.Info(name)
	if err != nil || i.Declared {
		return err
	}
	values := map[string]any{"connector": i.Connector, "auth": i.Auth}
	for key, v := range i.Fields {
		values[key] = v
	}
	return s.declare(ctx, name, values)
}

// finishSignIn is where a provider sends people back to. Whoever knows the state may come: it is 256 random bits and
// serves once.
func (s *Server) finishSignIn(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), 35*time.Second)
	defer cancel()
	browser, _ := c.Cookie(browserCookie)
	title, text, name, ok := "Signed in", "You can close this window.", "", false
	err := error(secret.ErrNoFlow)
	if s.Connections != nil && len(c.Request.URL.RawQuery) < 16<<10 {
		name, err = s.Connections.FinishSignIn(ctx, c.Request.URL.Query(), browser)
		if err == nil {
			err = s.declareSignedIn(ctx, name)
		}
	}
	status := http.StatusOK
	if ok = err == nil; !ok {
		status, title, text = http.StatusBadRequest, "The sign-in did not work", err.Error()
	}
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	http.SetCookie(c.Writer, &http.Cookie{Name: browserCookie, Path: secret.CallbackPath, MaxAge: -1})
	c.Data(status, "text/html; charset=utf-8", fmt.Appendf(nil,
		"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>%[1]s</title>"+
			"<body data-connection=\"%[3]s\" data-ok=\"%[4]t\"><main><h1>%[1]s</h1><p>%[2]s</p><p><a href=\"/connections\">Back to Bellhop</a></p></main><script src=\"%[5]s\"></script>",
		html.EscapeString(title), html.EscapeString(text), html.EscapeString(name), ok, signedInScript))
}

// signedInScript tells the window that opened the sign-in, if it is one of ours, how it went.
const (
	signedInScript = "/oauth/signed-in.js"
	tellOpener     = `const { connection, ok } = document.body.dataset;
if (window.opener) {
  window.opener.postMessage({ type: 'bellhop.signed-in', connection, ok: ok === 'true' }, window.location.origin);
  if (ok === 'true') window.close();
}
`
)

func (s *Server) rotateKey(context.Context, *struct{}) (*struct{}, error) {
	c, err := s.sealed()
	if err != nil {
		return nil, err
	}
	if err := c.RotateKey(); err != nil {
		return nil, fail(http.StatusConflict, err.Error(), "")
	}
	return nil, nil
}

// ConnectionChanged tells readers of the stream that a connection is doing better or worse.
func (s *Server) ConnectionChanged(name string) {
	state := ""
	if s.Connections != nil {
		if i, err := s.Connections.Info(name); err == nil {
			state = string(i.State)
		}
	}
	s.hub.publish(notice{kind: eventConnection, text: name, status: state})
}
