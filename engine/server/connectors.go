package server

import (
	"context"
	"net/http"
	"sort"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/connectors"
)

type connectorItem struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// connectorView is a connector with all that a form needs.
type connectorView struct {
	ID       string                `json:"id"`
	Title    string                `json:"title"`
	Version  string                `json:"version"`
	Auth     []authItem            `json:"auth" nullable:"false" doc:"The ways in which a connection may sign its calls; none: it needs no connection."`
	Schemas  map[string]jsonSchema `json:"schemas" nullable:"false" doc:"JSON Schemas: connection holds the plain fields of a connection, the others are named by actions."`
	Actions  []actionItem          `json:"actions" nullable:"false"`
	Triggers []connectorTrigger    `json:"triggers" nullable:"false"`
}

type authItem struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Secrets []string `json:"secrets" nullable:"false"`
	Fields  []string `json:"fields" nullable:"false"`
}

type actionItem struct {
	ID        string     `json:"id"`
	Title     string     `json:"title"`
	Summary   string     `json:"summary"`
	Operation string     `json:"operation" doc:"What it is in the description that the connector was imported from; empty: it was written by hand."`
	Show      string     `json:"show" enum:"main,more,hidden"`
	Sample    any        `json:"sample" doc:"An example of its output."`
	Input     jsonSchema `json:"input"`
	Output    jsonSchema `json:"output"`
	Safe      bool       `json:"safe" doc:"It only reads, so it may be polled."`
}

type connectorTrigger struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Sample any    `json:"sample"`
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
		OperationID: "read-connector", Method: http.MethodGet, Path: "/api/v1/connectors/{id}", Tags: tags, Summary: "One connector with its actions",
		Errors: []int{http.StatusNotFound},
	}, s.readConnector)
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

func (s *Server) listConnectors(_ context.Context, in *Paging) (*body[page[connectorItem]], error) {
	all := s.Connectors.All()
	items := make([]connectorItem, len(all))
	for i, c := range all {
		items[i] = connectorItem{c.ID, c.Title}
	}
	return &body[page[connectorItem]]{cut(items, *in, func(c connectorItem) string { return c.ID })}, nil
}

func (s *Server) readConnector(_ context.Context, in *struct {
	ID string `path:"id" maxLength:"64"`
},
) (*body[connectorView], error) {
	c := s.Connectors.Connector(in.ID)
	if c == nil {
		return nil, fail(http.StatusNotFound, "there is no connector "+clip(in.ID), "GET /api/v1/connectors lists them")
	}
	out := connectorView{
		ID: c.ID, Title: c.Title, Version: c.Version, Auth: []authItem{}, Triggers: []connectorTrigger{},
		Schemas: map[string]jsonSchema{"connection": jsonSchema(c.Fields)}, Actions: []actionItem{},
	}
	for _, a := range c.Auth {
		out.Auth = append(out.Auth, authItem{a.ID, a.Title, a.SecretNames(), append([]string{}, a.Fields...)})
	}
	for i := range c.Actions {
		a := &c.Actions[i]
		out.Actions = append(out.Actions, actionItem{
			ID: a.Name, Title: a.Title, Summary: a.Summary, Show: "main", Sample: a.Sample, Input: jsonSchema(a.Input), Output: jsonSchema(a.Output),
			Safe: a.Safe || a.SafeFor != nil,
		})
	}
	return &body[connectorView]{out}, nil
}
