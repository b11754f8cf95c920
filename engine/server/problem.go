package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/secret"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// failure is an error answer as RFC 9457 has it: what went wrong and where (detail), and what to do (hint).
type failure struct {
	Type     string              `json:"type" doc:"about:blank where status alone says what kind of problem it is, else urn:bellhop: and the code." example:"about:blank"`
	Title    string              `json:"title" doc:"What went wrong in the words of a user; the name of the status where there is no code." example:"Not Found"`
	Status   int                 `json:"status" example:"404"`
	Detail   string              `json:"detail" doc:"What went wrong, and where."`
	Hint     string              `json:"hint,omitempty" doc:"What to do about it."`
	Errors   []*huma.ErrorDetail `json:"errors,omitempty" doc:"What is wrong with the request, one by one."`
	Problems workflow.Problems   `json:"problems,omitempty" doc:"What is wrong with the workflow file, one by one."`
	Version  string              `json:"version,omitempty" doc:"409, 412 and 428: the version that the file, or the revision that the draft has now."`
	Text     string              `json:"text,omitempty" doc:"409 and 412: the text that it has now."`
	Code     string              `json:"code,omitempty" doc:"What happened, for programs and translation." example:"file_changed"`
	Effect   string              `json:"effect,omitempty" doc:"What did and did not happen."`
	Fixes    []fixItem           `json:"fixes,omitempty" doc:"What can be done about it, as buttons."`
	Raw      string              `json:"raw,omitempty" doc:"What the other side answered."`

	header http.Header
}

func (p *failure) Error() string { return p.Detail }

// GetStatus, GetHeaders and ContentType are what huma asks of an error.
func (p *failure) GetStatus() int { return p.Status }

// GetHeaders returns the headers that go with the answer.
func (p *failure) GetHeaders() http.Header { return p.header }

// ContentType names the media type of RFC 9457.
func (p *failure) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

func fail(status int, detail, hint string) *failure {
	return &failure{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Hint: hint}
}

// fixItem is a button that mends a failure.
type fixItem struct {
	Label  string `json:"label"`
	Action string `json:"action" doc:"What the button does, such as reload, undo or resolve:theirs."`
}

func fix(label, action string) fixItem { return fixItem{label, action} }

// coded gives a failure a name, a title for people and what it means for them.
func (p *failure) coded(code, title, effect string, fixes ...fixItem) *failure {
	p.Type, p.Code, p.Title, p.Effect, p.Fixes = "urn:bellhop:"+code, code, title, effect, fixes
	return p
}

func (p *failure) with(key, value string) *failure {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(key, value)
	return p
}

// The libraries keep these in globals: the shape of huma's own errors, and gin's chatter on standard output.
func init() {
	gin.SetMode(gin.ReleaseMode)
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		p := fail(status, detail, "")
		for _, err := range errs {
			var d huma.ErrorDetailer
			switch {
			case err == nil:
			case errors.As(err, &d):
				detail := *d.ErrorDetail()
				detail.Value = nil // what was sent may hold a secret
				p.Errors = append(p.Errors, &detail)
			default:
				p.Errors = append(p.Errors, &huma.ErrorDetail{Message: err.Error()})
			}
		}
		if len(p.Errors) > 0 { // the first one says more than "validation failed"
			p.Detail = strings.TrimPrefix(p.Errors[0].Location+": "+p.Errors[0].Message, ": ")
		}
		return p
	}
}

func writeFailure(c *gin.Context, p *failure) {
	for key, values := range p.header {
		c.Writer.Header()[key] = values
	}
	text, err := json.Marshal(p)
	if err != nil {
		text = []byte(`{}`)
	}
	c.Abort()
	c.Data(p.Status, problemType, text)
}

// explain is the one place where an error becomes a status.
func (s *Server) explain(ctx context.Context, operation string, err error) error {
	var (
		p        *failure
		full     *engine.FullError
		input    *engine.InputError
		problems workflow.Problems
		expr     *expression.Error
		entered  *secret.InputError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &full):
		status := http.StatusServiceUnavailable
		if full.Workflow != "" {
			status = http.StatusTooManyRequests
		}
		return fail(status, err.Error(), "nothing was stored; repeat the call").with("Retry-After", seconds(full.RetryAfter))
	case errors.Is(err, engine.ErrDropped):
		return fail(http.StatusTooManyRequests, err.Error(), "nothing was started; repeat the call when a run has ended").with("Retry-After", "1")
	case errors.Is(err, engine.ErrDecided):
		return fail(http.StatusConflict, err.Error(), "nothing was started; to run it again all the same: POST /api/v1/runs/{id}/rerun")
	case errors.As(err, &input):
		return fail(http.StatusBadRequest, input.Message, "")
	case errors.As(err, &entered):
		p := fail(http.StatusUnprocessableEntity, entered.Message, "")
		if entered.Key != "" {
			p.Errors = []*huma.ErrorDetail{{Message: entered.Message, Location: entered.Key}}
		}
		return p
	case errors.Is(err, secret.ErrUnknown):
		return fail(http.StatusNotFound, err.Error(), "GET /api/v1/connections lists them")
	case errors.Is(err, secret.ErrChanged):
		return fail(http.StatusConflict, err.Error(), "read it again and repeat the call")
	case errors.As(err, &problems):
		return brokenText(problems)
	case errors.As(err, &expr):
		return fail(http.StatusUnprocessableEntity, expr.Message, expr.Hint)
	case errors.Is(err, engine.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return fail(http.StatusNotFound, err.Error(), "")
	case errors.Is(err, engine.ErrConflict), errors.Is(err, engine.ErrLost), errors.Is(err, folder.ErrChanged):
		return fail(http.StatusConflict, err.Error(), "read it again and repeat the call")
	case errors.Is(err, engine.ErrClosed):
		return fail(http.StatusServiceUnavailable, "the server is stopping", "repeat the call").with("Retry-After", "2")
	case errors.Is(err, engine.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return fail(http.StatusServiceUnavailable, "the answer took too long: the outcome is unknown",
			"look whether it happened, then repeat the call").with("Retry-After", "1")
	case errors.Is(err, context.Canceled):
		return fail(http.StatusServiceUnavailable, "the caller went away", "")
	case errors.Is(err, engine.ErrDamaged), errors.Is(err, engine.ErrNewerFormat):
		s.Log.ErrorContext(ctx, "stored data cannot be read", "operation", operation, "error", err)
		return fail(http.StatusInternalServerError, err.Error(), "run `bellhop doctor`")
	}
	s.Log.ErrorContext(ctx, "an API call failed", "operation", operation, "error", err)
	return fail(http.StatusInternalServerError, operation+" failed", "the server's log says why")
}

// brokenText is the answer to a workflow file with errors.
func brokenText(problems workflow.Problems) *failure {
	p := fail(http.StatusUnprocessableEntity, "", "nothing was changed; mend the text and send it again")
	p.Problems = problems
	n := 0
	for _, q := range p.Problems {
		if q.Warning {
			continue
		}
		if n++; n == 1 {
			p.Detail = fmt.Sprintf("%s:%d:%d: %s", q.File, q.Line, q.Column, q.Message)
		}
	}
	if n > 1 {
		p.Detail += fmt.Sprintf(" (and %d more)", n-1)
	}
	return p
}

// seconds renders d for Retry-After: whole seconds, at least one.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// clip keeps what strangers send short in messages.
func clip(s string) string {
	if len(s) > 100 {
		return strconv.QuoteToASCII(s[:100]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
