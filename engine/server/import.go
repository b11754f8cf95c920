package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/connectors/openapi"
	"github.com/bellhop-dev/bellhop/engine/outbound"
)

// maxImport is the most bytes of the body of an import: a document of the largest size, escaped as JSON.
const maxImport = openapi.MaxSource + openapi.MaxSource/4

// imported is what became of a document. Nothing is written: the caller shows it to a person, who saves it.
type imported struct {
	Operations []openapi.Operation `json:"operations" nullable:"false" doc:"Without choose: all that can be chosen; else what was."`
	Name       string              `json:"name,omitempty" doc:"Id of the connector; its file is connectors/<name>.yaml."`
	Manifest   string              `json:"manifest,omitempty" doc:"The text of the file."`
	Notes      []importNote        `json:"notes" nullable:"false" doc:"What a person should know."`
}

type importNote struct {
	openapi.Note
	Line int `json:"line" doc:"Of the manifest, from 1; 0: of none."`
}

func (s *Server) importRoute(tags []string) {
	text := &huma.Schema{Type: huma.TypeString}
	handle(s, huma.Operation{
		OperationID: "import-connector", Method: http.MethodPost, Path: "/api/v1/connectors/import", Tags: tags, Summary: "Make a connector manifest of an OpenAPI document",
		Description: "OpenAPI 3.0, 3.1 or Swagger 2.0. Without `choose` it lists the operations. Nothing is written. " +
			"One import runs at a time; another one is 503 with Retry-After.",
		Errors: []int{http.StatusBadRequest, http.StatusUnprocessableEntity},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{
			Type: huma.TypeObject, AdditionalProperties: false,
			Properties: map[string]*huma.Schema{
				"openapi": {Description: "The document: its text as JSON or YAML, or the JSON itself. This or url."},
				"url":     {Type: huma.TypeString, Description: "Where to download it."},
				"overlay": {Type: huma.TypeString, Description: "The text of an overlay (Overlay Specification 1.1), applied first."},
				"choose":  {Type: huma.TypeArray, Items: text, Description: "Operation ids, tags, paths such as \"GET /v1/things/*\", or * for all."},
				"name":    {Type: huma.TypeString, Description: "Id of the connector; default: from the title of the document."},
			},
		}}}},
		MaxBodyBytes: maxImport, SkipValidateBody: true, // it is decoded once, not twice
	}, s.importConnector)
}

func (s *Server) importConnector(ctx context.Context, in *struct{ RawBody []byte }) (*body[imported], error) {
	if !s.importing.TryLock() { // each takes some memory for a moment
		return nil, fail(http.StatusServiceUnavailable, "another import is under way", "try again in a second").with("Retry-After", "1")
	}
	defer s.importing.Unlock()
	var ask struct {
		OpenAPI json.RawMessage `json:"openapi"`
		URL     string          `json:"url"`
		Overlay string          `json:"overlay"`
		Choose  []string        `json:"choose"`
		Name    string          `json:"name"`
	}
	if err := json.Unmarshal(in.RawBody, &ask); err != nil {
		return nil, fail(http.StatusBadRequest, "the body is not what an import takes: "+clip(err.Error()), `send {"openapi": "…"} or {"url": "…"}, with "choose": ["…"] to get a manifest`)
	}
	src, from, source := []byte(ask.OpenAPI), "", "pasted"
	switch {
	case (len(ask.OpenAPI) > 0) == (ask.URL != ""):
		return nil, fail(http.StatusBadRequest, "an import takes one document: openapi or url", `send {"openapi": "…"} or {"url": "…"}`)
	case ask.URL != "":
		if s.Outbound == nil {
			return nil, fail(http.StatusUnprocessableEntity, "this server downloads nothing", "send the document itself in openapi")
		}
		var err error
		if src, from, err = outbound.Fetch(ctx, s.Outbound, ask.URL, openapi.MaxSource); err != nil {
			return nil, fail(http.StatusUnprocessableEntity, err.Error(), "")
		}
		source = openapi.Address(ask.URL)
	case src[0] == '"':
		var text string
		if err := json.Unmarshal(src, &text); err != nil {
			return nil, err
		}
		src = []byte(text)
	}
	out, err := importDocument(src, []byte(ask.Overlay), openapi.Options{Name: ask.Name, Choose: ask.Choose, Source: source, From: from, Now: time.Now()})
	if err != nil {
		return nil, fail(http.StatusUnprocessableEntity, err.Error(), "")
	}
	return &body[imported]{*out}, nil
}

func importDocument(src, overlay []byte, o openapi.Options) (*imported, error) {
	doc, err := openapi.Parse(src)
	if err != nil {
		return nil, err
	}
	if len(overlay) > 0 {
		if err := doc.Apply(overlay); err != nil {
			return nil, fmt.Errorf("overlay: %w", err)
		}
		o.Overlay = "pasted"
	}
	out := &imported{Operations: doc.Operations(), Notes: []importNote{}}
	notes := doc.Notes()
	result := &openapi.Result{}
	if len(o.Choose) > 0 {
		if result, err = doc.Import(o); err != nil {
			return nil, err
		}
		out.Operations, out.Name, out.Manifest, notes = result.Actions, result.Name, string(result.Manifest), result.Notes
	}
	for _, n := range notes {
		out.Notes = append(out.Notes, importNote{n, result.Line(n.Where)})
	}
	return out, nil
}
