package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// textBody is the text of a workflow file.
type textBody struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Text    string `json:"text"`
}

// textSaved is the answer to a text that is live now.
type textSaved struct {
	ID       string            `json:"id"`
	Version  string            `json:"version"`
	Problems workflow.Problems `json:"problems" nullable:"false" doc:"Warnings; the workflow runs in spite of them."`
}

type textAnswer struct {
	ETag        string `header:"ETag" doc:"The version, for If-Match."`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *Server) textRoutes(tags []string) {
	text := huma.SchemaFromType(s.api.OpenAPI().Components.Schemas, typeOf[textBody]())
	yaml := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	answer := map[string]*huma.Response{"200": {
		Description: "The text, as JSON or, where Accept asks for it, as the YAML itself",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: text}, "application/yaml": yaml},
	}}
	handle(s, huma.Operation{
		OperationID: "read-text", Method: http.MethodGet, Path: "/api/v1/workflows/{id}/text", Tags: tags, Summary: "The text of a workflow file",
		Errors: []int{http.StatusNotFound}, Responses: answer,
	}, s.readText)
	handle(s, huma.Operation{
		OperationID: "write-text", Method: http.MethodPut, Path: "/api/v1/workflows/{id}/text", Tags: tags, Summary: "Write a workflow file",
		Description: "The text is checked, written and live when this answers. An existing file needs If-Match with the version that was read.",
		Errors: []int{
			http.StatusBadRequest, http.StatusNotFound, http.StatusPreconditionFailed, http.StatusPreconditionRequired,
			http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{
				Type: huma.TypeObject, Required: []string{"text"},
				Properties: map[string]*huma.Schema{"text": {Type: huma.TypeString}},
			}},
			"application/yaml": yaml,
		}},
		SkipValidateBody: true, // it may be YAML
	}, s.writeText)
	if put := s.api.OpenAPI().Paths["/api/v1/workflows/{id}/text"].Put; put != nil {
		put.Responses["201"] = put.Responses["200"] // created: the same answer
	}
	handle(s, huma.Operation{
		OperationID: "read-version", Method: http.MethodGet, Path: "/api/v1/workflows/{id}/versions/{version}", Tags: tags,
		Summary: "The text of a stored version, such as the one that a run names", Errors: []int{http.StatusNotFound}, Responses: answer,
	}, s.readVersion)
}

func (s *Server) readText(_ context.Context, in *struct {
	WorkflowID
	Accept string `header:"Accept" hidden:"true"`
},
) (*textAnswer, error) {
	text, err := s.text(in.ID)
	if err != nil {
		return nil, err
	}
	return newTextAnswer(in.ID, text, in.Accept)
}

func (s *Server) readVersion(ctx context.Context, in *struct {
	WorkflowID
	Version string `path:"version" maxLength:"64"`
	Accept  string `header:"Accept" hidden:"true"`
},
) (*textAnswer, error) {
	w, err := s.Engine.Version(ctx, in.ID, in.Version)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fail(http.StatusNotFound, "no version "+clip(in.Version)+" of "+clip(in.ID)+" is stored", "")
	} else if err != nil {
		return nil, err
	}
	return newTextAnswer(in.ID, w.Source, in.Accept)
}

func newTextAnswer(id string, text []byte, accept string) (*textAnswer, error) {
	version := engine.VersionOf(text)
	out := &textAnswer{ETag: `"` + version + `"`}
	for part := range strings.SplitSeq(accept, ",") {
		if kind, _, err := mime.ParseMediaType(part); err == nil && isYAML(kind) {
			out.ContentType, out.Body = kind+"; charset=utf-8", text
			return out, nil
		}
	}
	data, err := json.Marshal(textBody{id, version, string(text)})
	if err != nil {
		return nil, err
	}
	out.ContentType, out.Body = "application/json", data
	return out, nil
}

type saved struct {
	Status int
	ETag   string `header:"ETag" doc:"The version, for the next If-Match."`
	Body   textSaved
}

func (s *Server) writeText(ctx context.Context, in *struct {
	WorkflowID
	IfMatch     string `header:"If-Match" doc:"The version that the change was made on."`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"Only create: 412 when there is a file already."`
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte
},
) (*saved, error) {
	if err := workflow.CheckID(in.ID); err != nil {
		return nil, fail(http.StatusUnprocessableEntity, clip(in.ID)+" cannot be the id of a workflow: "+err.Error(), "")
	}
	text, err := textOf(in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	ifVersion, status, err := s.precondition(in.ID, in.IfMatch, in.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	checked := s.Folder.Check(in.ID, text)
	if !checked.Good() {
		return nil, brokenText(checked.Problems)
	}
	s.Engine.Sign(in.ID, engine.VersionOf(text), engine.Note{By: s.actor(ctx)})
	version, err := s.write(ctx, in.ID, text, ifVersion)
	if errors.Is(err, folder.ErrChanged) {
		current, _ := s.Folder.Read(in.ID) // changed between the check and the write
		return nil, stale(in.ID, current)
	} else if err != nil {
		return nil, err
	}
	return &saved{status, `"` + version + `"`, textSaved{in.ID, version, some(checked.Problems)}}, nil
}

// precondition decides whether a write may go on: it returns the version that the file must have (empty: there is
// no file) and the status of success.
func (s *Server) precondition(id, ifMatch, ifNoneMatch string) (version string, status int, err error) {
	current, err := s.Folder.Read(id)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", 0, err
	}
	switch {
	case !exists && ifMatch != "":
		return "", 0, fail(http.StatusPreconditionFailed, "there is no workflow "+clip(id)+" any more", "leave If-Match out to create it")
	case !exists:
		return "", http.StatusCreated, nil
	case ifNoneMatch == "*":
		return "", 0, stale(id, current)
	case ifMatch == "":
		p := fail(http.StatusPreconditionRequired, "the workflow "+id+" exists: say which version the change was made on",
			"send its ETag in the header If-Match")
		p.Version = engine.VersionOf(current)
		return "", 0, p.with("ETag", `"`+p.Version+`"`)
	}
	version = engine.VersionOf(current)
	for part := range strings.SplitSeq(ifMatch, ",") {
		if part = strings.Trim(strings.TrimSpace(part), `"`); part == version || part == "*" {
			return version, http.StatusOK, nil
		}
	}
	return "", 0, stale(id, current)
}

// stale is the answer to a change that was made on another text than the current one.
func stale(id string, current []byte) *failure {
	p := fail(http.StatusPreconditionFailed, "the workflow "+id+" has another text by now",
		"make the change on the current text and send it with the current version in If-Match")
	p.Version, p.Text = engine.VersionOf(current), string(current)
	return p.with("ETag", `"`+p.Version+`"`)
}

// textOf takes the text of a workflow file out of a request body.
func textOf(contentType string, body []byte) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(contentType); err == nil && isYAML(kind) {
		return body, nil
	}
	var in struct {
		Text *string `json:"text"`
	}
	decode := json.NewDecoder(bytes.NewReader(body))
	decode.DisallowUnknownFields()
	if err := decode.Decode(&in); err != nil || in.Text == nil {
		return nil, fail(http.StatusBadRequest, "the body is not a JSON object with the workflow file in `text`",
			`send {"text": "…"}, or the file itself with the header `+"`Content-Type: application/yaml`")
	}
	return []byte(*in.Text), nil
}
