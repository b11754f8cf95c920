package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/draft"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

// roots are the names that expressions of workflows may read.
var roots = []string{"trigger", "steps", "errors", "error", "item", "index", "workflow", "run"}

// evaluation is an expression or a template with the data that it is tried on.
type evaluation struct {
	Expr     *string         `json:"expr,omitempty" maxLength:"8192" doc:"An expression, as in filter."`
	Template *string         `json:"template,omitempty" maxLength:"65536" doc:"A text with ${{ }}, as in with. Exactly one of expr and template is given."`
	Sample   json.RawMessage `json:"sample,omitempty" doc:"The roots that it sees, such as {\"trigger\": {\"body\": {}}}."`
}

// evaluated is what became of one evaluation.
type evaluated struct {
	Value any              `json:"value" doc:"The result; null when there is an error."`
	Type  string           `json:"type" enum:"nothing,boolean,number,text,list,object," doc:"Of the value; empty when there is an error."`
	Error *evaluationError `json:"error,omitempty"`
	Refs  []string         `json:"refs" nullable:"false" doc:"The data that it reads, such as trigger.body.total."`
	// Missing is what is amber in a form: read, and not in this event.
	Missing []string                `json:"missing" nullable:"false" doc:"What it reads and the sample does not have."`
	Because []expression.Comparison `json:"because,omitempty" doc:"Of a condition: the comparisons that decided it, with their values."`
}

type evaluationError struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
}

type evaluatedList struct {
	Items []evaluated `json:"items" nullable:"false" doc:"One for each item of the request, in its order."`
}

func (s *Server) expressionRoutes() {
	handle(s, huma.Operation{
		OperationID: "evaluate-expressions", Method: http.MethodPost, Path: "/api/v1/expressions/evaluate", Tags: []string{"expressions"},
		Summary: "Try expressions and templates on sample data", Errors: []int{http.StatusUnprocessableEntity},
	}, s.evaluate)
	handle(s, huma.Operation{
		OperationID: "expression-rows", Method: http.MethodPost, Path: "/api/v1/expressions/rows", Tags: []string{"expressions"},
		Summary: "Show a condition as rows, or write rows as a condition", Errors: []int{http.StatusUnprocessableEntity},
	}, s.rows)
}

// rowsView is a condition both ways.
type rowsView struct {
	Expr     string            `json:"expr"`
	Rows     *expression.Rows  `json:"rows" doc:"null: rows cannot say it, so it is edited as a formula."`
	Editable bool              `json:"editable" doc:"Whether a form can edit the rows: groups stand at most one level deep."`
	Text     string            `json:"text" doc:"The condition in words, where there are rows."`
	Refs     []string          `json:"refs" nullable:"false" doc:"The data that it reads."`
	Problems []evaluationError `json:"problems" nullable:"false"`
}

func (s *Server) rows(_ context.Context, in *struct {
	Body struct {
		Expr *string          `json:"expr,omitempty" maxLength:"8192" doc:"A condition to show. Exactly one of expr and rows is given."`
		Rows *expression.Rows `json:"rows,omitempty" doc:"Rows to write."`
	}
},
) (*body[rowsView], error) {
	if (in.Body.Expr == nil) == (in.Body.Rows == nil) {
		return nil, fail(http.StatusUnprocessableEntity, "exactly one of expr and rows is needed", "")
	}
	out := rowsView{Refs: []string{}, Problems: []evaluationError{}, Rows: in.Body.Rows}
	var err error
	if in.Body.Rows != nil {
		if out.Expr, err = in.Body.Rows.Expr(); err != nil {
			return nil, err
		}
	} else {
		out.Expr = *in.Body.Expr
		out.Rows, err = expression.RowsOf(out.Expr)
	}
	var p *expression.Program
	if err == nil {
		p, err = expression.Compile(out.Expr, &expression.Scope{Roots: roots})
	}
	var x *expression.Error
	switch {
	case err == nil:
		out.Refs = pathsOf(p.Refs())
	case errors.As(err, &x):
		out.Problems = append(out.Problems, evaluationError{x.Message, x.Hint, x.Line, x.Column})
	default:
		return nil, err
	}
	if out.Rows != nil {
		out.Editable, out.Text = out.Rows.Depth() <= 1, out.Rows.Text()
	}
	return &body[rowsView]{out}, nil
}

// pathsOf writes what data is read as texts.
func pathsOf(refs []expression.Ref) []string {
	paths := make([]string, 0, len(refs))
	for _, ref := range refs {
		if ref.Path[0] != expression.ApprovalURL && ref.Path[0] != expression.CallbackURL {
			paths = append(paths, strings.Join(ref.Path, "."))
		}
	}
	return paths
}

func (s *Server) evaluate(ctx context.Context, in *struct {
	Body struct {
		Draft  string       `json:"draft,omitempty" maxLength:"512" doc:"A draft whose event and steps are the sample of the items that have none."`
		Sample string       `json:"sample,omitempty" maxLength:"100" doc:"With draft: the event; its pinned or newest one if left out."`
		Step   string       `json:"step,omitempty" maxLength:"200" doc:"With draft: the step (run_id) that the expressions stand in."`
		Items  []evaluation `json:"items" maxItems:"50" nullable:"false"`
	}
},
) (*body[evaluatedList], error) {
	out := evaluatedList{Items: []evaluated{}}
	var shared map[string]any
	if in.Body.Draft != "" {
		scene, _, err := s.scene(ctx, in.Body.Draft, in.Body.Sample, in.Body.Step)
		if err != nil {
			return nil, err
		}
		shared = scene.Roots
	}
	for i := range in.Body.Items {
		e := &in.Body.Items[i]
		if (e.Expr == nil) == (e.Template == nil) {
			return nil, fail(http.StatusUnprocessableEntity, fmt.Sprintf("items[%d]: exactly one of expr and template is needed", i), "")
		}
		sample, err := sampleOf(e.Sample)
		if len(e.Sample) == 0 && shared != nil {
			sample = shared
		}
		if err != nil {
			return nil, fail(http.StatusUnprocessableEntity, fmt.Sprintf("items[%d].sample: %v", i, err), "")
		}
		out.Items = append(out.Items, e.try(ctx, sample))
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return &body[evaluatedList]{out}, nil
}

func sampleOf(src json.RawMessage) (map[string]any, error) {
	if len(src) == 0 {
		return map[string]any{}, nil
	}
	v, err := value.DecodeJSON(src)
	if err != nil {
		return nil, err
	}
	sample, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("want an object with the roots, such as trigger")
	}
	return sample, nil
}

func (e *evaluation) try(ctx context.Context, sample map[string]any) evaluated {
	out := evaluated{Refs: []string{}, Missing: []string{}}
	scope := &expression.Scope{Roots: roots}
	env := &expression.Env{Roots: sample, Now: time.Now(), Zone: time.UTC, Seed: "sample"}
	var (
		refs []expression.Ref
		v    any
		err  error
	)
	if e.Expr != nil {
		var p *expression.Program
		if p, err = expression.Compile(*e.Expr, scope); err == nil {
			refs = p.Refs()
			v, err = p.Eval(ctx, env)
			if _, condition := v.(bool); condition || err != nil {
				out.Because = p.Explain(ctx, env)
			}
		}
	} else {
		var t *expression.Template
		if t, err = expression.CompileTemplate(*e.Template, scope); err == nil {
			refs = t.Refs()
			v, err = t.Eval(ctx, env)
		}
	}
	out.Refs = pathsOf(refs)
	for _, ref := range refs {
		if path := strings.Join(ref.Path, "."); slices.Contains(out.Refs, path) && !holds(sample, ref.Path) && !slices.Contains(out.Missing, path) {
			out.Missing = append(out.Missing, path)
		}
	}
	if err == nil {
		out.Type = draft.TypeName(v)
		out.Value = v
		return out
	}
	var x *expression.Error
	if errors.As(err, &x) {
		out.Error = &evaluationError{x.Message, x.Hint, x.Line, x.Column}
	} else {
		out.Error = &evaluationError{Message: err.Error()}
	}
	return out
}

// holds reports whether data has a value at a path.
func holds(data map[string]any, path []string) bool {
	var v any = data
	for _, name := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return v != nil // it is no object: the evaluation says so
		}
		if v, ok = object[name]; !ok || v == nil {
			return false
		}
	}
	return true
}
