package server

import (
	"context"
	"net/http"
	"sort"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

// connectorItem is a connector as a tile shows it.
type connectorItem struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Version  string `json:"version"`
	Icon     string `json:"icon,omitempty" doc:"Where its drawing is; empty: draw the first letter of the title."`
	Own      bool   `json:"own" doc:"It is one of the folder's own, from connectors/."`
	Actions  int    `json:"actions" doc:"How many actions a person may choose from."`
	Triggers int    `json:"triggers"`
	Account  bool   `json:"account" doc:"It needs a connection."`

	Does   []namedItem `json:"does" nullable:"false" doc:"Its actions by name, without their forms."`
	Starts []namedItem `json:"starts" nullable:"false" doc:"Its triggers by name."`
}

// namedItem is an action or a trigger of a connector by name.
type namedItem struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Summary string `json:"summary"`
}

// ConnectorView is a connector with all that a form needs.
type ConnectorView struct {
	ID            string                 `json:"id"`
	Title         string                 `json:"title"`
	Version       string                 `json:"version"`
	Docs          string                 `json:"docs,omitempty" doc:"The system's own documentation."`
	Icon          string                 `json:"icon,omitempty"`
	Auth          []authItem             `json:"auth" nullable:"false" doc:"The ways in which a connection may sign its calls; none: it needs no connection."`
	SigningSecret *secretItem            `json:"signing_secret,omitempty" doc:"What a connection needs beside its auth for triggers."`
	Hosts         []string               `json:"hosts" nullable:"false" doc:"Where its secrets may go."`
	Test          bool                   `json:"test" doc:"A connection can be tried."`
	Schemas       map[string]jsonSchema  `json:"schemas" nullable:"false" doc:"JSON Schemas: connection holds the plain fields of a connection, the others are named by actions."`
	Actions       []actionItem           `json:"actions" nullable:"false"`
	Triggers      []connectorTriggerItem `json:"triggers" nullable:"false"`
	Endpoints     []endpointItem         `json:"endpoints" nullable:"false"`
}

type authItem struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Title   string       `json:"title"`
	Help    string       `json:"help,omitempty"`
	Secrets []secretItem `json:"secrets" nullable:"false"`
	Fields  []string     `json:"fields" nullable:"false"`
	Scopes  *scopesItem  `json:"scopes,omitempty" doc:"Of OAuth2: what is asked for."`
	SignIn  bool         `json:"sign_in" doc:"A person has to sign in at the system: POST /api/v1/oauth."`
}

type secretItem struct {
	Name      string `json:"name"`
	Title     string `json:"title"`
	Help      string `json:"help,omitempty"`
	Pattern   string `json:"pattern,omitempty"`
	Multiline bool   `json:"multiline,omitempty"`
	Optional  bool   `json:"optional,omitempty"`
}

type scopesItem struct {
	Default  []string `json:"default" nullable:"false"`
	Optional []string `json:"optional" nullable:"false"`
}

type actionItem struct {
	ID         string     `json:"id"`
	Title      string     `json:"title"`
	Summary    string     `json:"summary"`
	Operation  string     `json:"operation" doc:"What it is in the description that the connector was imported from; empty: it was written by hand."`
	Show       string     `json:"show" enum:"main,more,hidden"`
	Deprecated string     `json:"deprecated,omitempty" doc:"The action to use instead."`
	Sample     any        `json:"sample" doc:"An example of its output."`
	Input      jsonSchema `json:"input"`
	Output     jsonSchema `json:"output"`
	Safe       bool       `json:"safe" doc:"It only reads, so it may be polled; with by_input: it may."`
	ByInput    bool       `json:"by_input" doc:"Whether a call only reads depends on its input, as on the method of an HTTP request."`
	Idempotent bool       `json:"idempotent" doc:"Doing it twice with one key does no harm."`
}

type connectorTriggerItem struct {
	ID         string     `json:"id"`
	Title      string     `json:"title"`
	Summary    string     `json:"summary"`
	Kind       string     `json:"kind" enum:"webhook,poll,stream"`
	Endpoint   string     `json:"endpoint,omitempty"`
	Show       string     `json:"show" enum:"main,more,hidden"`
	Deprecated string     `json:"deprecated,omitempty"`
	Every      string     `json:"every,omitempty" doc:"Of a poll: how often it asks, unless the workflow says otherwise."`
	Sample     any        `json:"sample" doc:"An example of trigger.body."`
	Input      jsonSchema `json:"input"`
	Output     jsonSchema `json:"output"`
}

type endpointItem struct {
	ID     string `json:"id"`
	Setup  string `json:"setup" enum:"manual,subscribe"`
	Help   string `json:"help,omitempty" doc:"Where a person enters the address."`
	Scheme string `json:"scheme" doc:"How its deliveries are verified."`
}

// jsonSchema is a schema in an answer. What describes the API says only that it is one.
type jsonSchema connectors.Schema

// MarshalJSON writes JSON Schema 2020-12.
func (s jsonSchema) MarshalJSON() ([]byte, error) { return connectors.Schema(s).MarshalJSON() }

// Schema describes a schema.
func (jsonSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Description: "A JSON Schema 2020-12. Keys that begin with x- are for forms; \"$ref\": \"#/schemas/name\" means an entry of schemas.",
	}
}

func (s *Server) connectorRoutes() {
	tags := []string{"connectors"}
	handle(s, huma.Operation{
		OperationID: "list-connectors", Method: http.MethodGet, Path: "/api/v1/connectors", Tags: tags, Summary: "List connectors by id",
	}, s.listConnectors)
	handle(s, huma.Operation{
		OperationID: "write-connector", Method: http.MethodPut, Path: "/api/v1/connectors/{id}/text", Tags: tags, Summary: "Write the manifest of a connector of your own",
		Description: "It stands in connectors/<id>.yaml and is live when this answers. A manifest with errors is refused.",
		Errors:      []int{http.StatusConflict},
	}, s.adoptConnector)
	handle(s, huma.Operation{
		OperationID: "read-connector", Method: http.MethodGet, Path: "/api/v1/connectors/{id}", Tags: tags, Summary: "One connector with its actions",
		Errors: []int{http.StatusNotFound},
	}, s.readConnector)
	handle(s, huma.Operation{
		OperationID: "connector-icon", Method: http.MethodGet, Path: "/api/v1/connectors/{id}/icon", Tags: tags, Summary: "The drawing of a connector",
		Errors: []int{http.StatusNotFound},
	}, s.connectorIcon)
	handle(s, huma.Operation{
		OperationID: "list-options", Method: http.MethodGet, Path: "/api/v1/connectors/{id}/options", Tags: tags, Summary: "What a person may pick for a field",
		Description: "For a field whose schema has x-options. It calls the system with the connection.",
		Errors:      []int{http.StatusNotFound, http.StatusBadGateway},
	}, s.listOptions)
	handle(s, huma.Operation{
		OperationID: "list-fields", Method: http.MethodGet, Path: "/api/v1/connectors/{id}/fields", Tags: tags, Summary: "The fields that an account adds to a field",
		Description: "For a field whose schema has x-fields-from. It calls the system with the connection.",
		Errors:      []int{http.StatusNotFound, http.StatusBadGateway},
	}, s.listFields)
	s.importRoute(tags)
}

// cut returns the items after the cursor, at most limit of them, and the next cursor. The list is in the order of key.
func cut[T any](list []T, in Paging, key func(T) string) page[T] {
	first := sort.Search(len(list), func(i int) bool { return key(list[i]) > in.Cursor })
	out := page[T]{Items: append([]T{}, list[first:min(first+in.Limit, len(list))]...)}
	if first+in.Limit < len(list) {
		out.Next = key(out.Items[in.Limit-1])
	}
	return out
}

func iconPath(c *connectors.Connector) string {
	if len(c.Icon) == 0 {
		return ""
	}
	return "/api/v1/connectors/" + c.ID + "/icon?v=" + c.Version
}

func (s *Server) listConnectors(_ context.Context, in *Paging) (*body[page[connectorItem]], error) {
	all := s.Connectors.All()
	items := make([]connectorItem, len(all))
	for i, c := range all {
		items[i] = connectorItem{
			ID: c.ID, Title: c.Title, Version: c.Version, Icon: iconPath(c), Own: s.Connectors.IsOwn(c.ID), Triggers: len(c.Triggers), Account: len(c.Auth) > 0,
			Does: []namedItem{}, Starts: []namedItem{},
		}
		for j := range c.Actions {
			if c.Actions[j].Show != "hidden" {
				items[i].Actions++
				items[i].Does = append(items[i].Does, namedItem{c.Actions[j].Name, c.Actions[j].Title, c.Actions[j].Summary})
			}
		}
	}
	for i, c := range all {
		for j := range c.Triggers {
			if c.Triggers[j].Show != "hidden" {
				items[i].Starts = append(items[i].Starts, namedItem{c.Triggers[j].Name, c.Triggers[j].Title, c.Triggers[j].Summary})
			}
		}
	}
	return &body[page[connectorItem]]{cut(items, *in, func(c connectorItem) string { return c.ID })}, nil
}

// ConnectorID is the path of a route about one connector.
type ConnectorID struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Server) connector(id string) (*connectors.Connector, error) {
	c := s.Connectors.Connector(id)
	if c == nil {
		return nil, fail(http.StatusNotFound, "there is no connector "+clip(id), "GET /api/v1/connectors lists them")
	}
	return c, nil
}

func (s *Server) readConnector(_ context.Context, in *ConnectorID) (*body[ConnectorView], error) {
	c, err := s.connector(in.ID)
	if err != nil {
		return nil, err
	}
	return &body[ConnectorView]{ViewConnector(c)}, nil
}

// ViewConnector is a connector as the API and the command line show it.
func ViewConnector(c *connectors.Connector) ConnectorView {
	out := ConnectorView{
		ID: c.ID, Title: c.Title, Version: c.Version, Docs: c.Docs, Icon: iconPath(c), Auth: []authItem{}, Hosts: append([]string{}, c.Hosts...), Test: c.Test != nil,
		Schemas: map[string]jsonSchema{"connection": jsonSchema(c.Fields)}, Actions: []actionItem{}, Triggers: []connectorTriggerItem{}, Endpoints: []endpointItem{},
	}
	if c.SigningSecret != nil {
		out.SigningSecret = (*secretItem)(c.SigningSecret)
	}
	for name, schema := range c.Schemas {
		out.Schemas[name] = jsonSchema(schema)
	}
	for i := range c.Auth {
		a := &c.Auth[i]
		item := authItem{ID: a.ID, Type: a.Type, Title: a.Title, Help: a.Help, Secrets: []secretItem{}, Fields: append([]string{}, a.Fields...)}
		for _, x := range a.Secrets {
			item.Secrets = append(item.Secrets, secretItem(x))
		}
		if a.OAuth2 != nil {
			item.SignIn = a.Obtain == nil
			item.Scopes = &scopesItem{append([]string{}, a.OAuth2.Scopes...), append([]string{}, a.OAuth2.OptionalScopes...)}
		}
		out.Auth = append(out.Auth, item)
	}
	for i := range c.Actions {
		a := &c.Actions[i]
		out.Actions = append(out.Actions, actionItem{
			ID: a.Name, Title: a.Title, Summary: a.Summary, Operation: a.Operation, Show: shown(a.Show), Deprecated: a.Deprecated, Sample: a.Sample,
			Input: jsonSchema(a.Input), Output: jsonSchema(a.Output), Safe: a.Safe || a.SafeFor != nil, ByInput: a.SafeFor != nil, Idempotent: a.Idempotent,
		})
	}
	for i := range c.Triggers {
		t := &c.Triggers[i]
		item := connectorTriggerItem{
			ID: t.Name, Title: t.Title, Summary: t.Summary, Kind: "webhook", Endpoint: t.Endpoint, Show: shown(t.Show), Deprecated: t.Deprecated,
			Sample: t.Sample, Input: jsonSchema(t.Input), Output: jsonSchema(t.Output),
		}
		switch {
		case t.Poll != nil:
			item.Kind, item.Every = "poll", t.Poll.Every.String()
		case t.Run != nil:
			item.Kind = "stream"
		}
		out.Triggers = append(out.Triggers, item)
	}
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		item := endpointItem{ID: e.ID, Setup: "manual", Help: e.Help, Scheme: e.Verify.Scheme}
		if e.Subscribe != nil {
			item.Setup = "subscribe"
		}
		out.Endpoints = append(out.Endpoints, item)
	}
	return out
}

func shown(show string) string {
	if show == "" {
		return "main"
	}
	return show
}

// drawing is an icon. It is shown by itself too, so it may do nothing there.
type drawing struct {
	ContentType string `header:"Content-Type"`
	Policy      string `header:"Content-Security-Policy"`
	NoSniff     string `header:"X-Content-Type-Options"`
	Cache       string `header:"Cache-Control"`
	Body        []byte
}

func (s *Server) connectorIcon(_ context.Context, in *struct {
	ConnectorID
	Version string `query:"v" maxLength:"64" doc:"Of the connector: another one is another address, so that a cached drawing is not an old one."`
},
) (*drawing, error) {
	c, err := s.connector(in.ID)
	if err != nil {
		return nil, err
	}
	if len(c.Icon) == 0 {
		return nil, fail(http.StatusNotFound, "the connector "+clip(in.ID)+" has no icon", "")
	}
	return &drawing{"image/svg+xml", "default-src 'none'; sandbox", "nosniff", "max-age=3600", c.Icon}, nil
}

// FieldQuery names a field of an action that an account fills.
type FieldQuery struct {
	ConnectorID
	Action     string `query:"action" maxLength:"40" required:"true"`
	Field      string `query:"field" maxLength:"200" required:"true"`
	Connection string `query:"connection" maxLength:"63" doc:"Whose account it is."`
	With       string `query:"with" maxLength:"16384" doc:"The form as far as it is filled in, as JSON."`
}

// ask prepares the call for a field.
func (s *Server) ask(in *FieldQuery) (*connectors.Action, *connectors.Call, error) {
	c, err := s.connector(in.ID)
	if err != nil {
		return nil, nil, err
	}
	a := c.Action(in.Action)
	if a == nil {
		return nil, nil, fail(http.StatusNotFound, "the connector "+c.ID+" has no action "+clip(in.Action), "")
	}
	input := map[string]any{}
	if in.With != "" {
		v, err := value.DecodeJSON([]byte(in.With))
		object, ok := v.(map[string]any)
		if err != nil || !ok {
			return nil, nil, fail(http.StatusBadRequest, "with is no JSON object", "")
		}
		input = object
	}
	call, err := s.Engine.NewCall(in.Connection, input)
	if err != nil {
		return nil, nil, fail(http.StatusBadRequest, err.Error(), "")
	}
	if in.Connection != "" && call.Connection.Connector != c.ID {
		return nil, nil, fail(http.StatusBadRequest, "the connection "+clip(in.Connection)+" belongs to another connector", "")
	}
	return a, call, nil
}

// refused is an error of a system that was asked.
func (s *Server) refused(err error) error {
	return fail(http.StatusBadGateway, string(s.Engine.Redact([]byte(err.Error()))), "")
}

func (s *Server) listOptions(ctx context.Context, in *struct {
	FieldQuery
	Search string `query:"search" maxLength:"200"`
},
) (*body[page[connectors.Choice]], error) {
	a, call, err := s.ask(&in.FieldQuery)
	if err != nil {
		return nil, err
	}
	if a.Choices == nil || a.Input.Properties[in.Field].Options == nil {
		return nil, fail(http.StatusNotFound, "the field "+clip(in.Field)+" has no list of options", "")
	}
	list, err := a.Choices(ctx, call, in.Field, in.Search)
	if err != nil {
		return nil, s.refused(err)
	}
	return &body[page[connectors.Choice]]{page[connectors.Choice]{Items: append([]connectors.Choice{}, list...)}}, nil
}

func (s *Server) listFields(ctx context.Context, in *FieldQuery) (*body[jsonSchema], error) {
	a, call, err := s.ask(in)
	if err != nil {
		return nil, err
	}
	if a.Further == nil || a.Input.Properties[in.Field].FieldsFrom == nil {
		return nil, fail(http.StatusNotFound, "the field "+clip(in.Field)+" gets no further fields", "")
	}
	schema, err := a.Further(ctx, call, in.Field)
	if err != nil {
		return nil, s.refused(err)
	}
	return &body[jsonSchema]{jsonSchema(schema)}, nil
}
