package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/bellhop-dev/bellhop/engine"
)

// The page of an approve step. Whoever has its link may answer, without an account and without JavaScript. Its GET
// changes nothing, so that mail scanners and the previews of chats do no harm; only the form's POST decides.

const (
	maxAnswer  = 16 << 10 // bytes of the form
	maxName    = 100      // characters
	maxComment = 1000
)

var approvePage = template.Must(template.New("approve").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{.Title}}</title>
<style nonce="{{.Nonce}}">
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem; color: #1d2433; background: #fff }
h1 { font-size: 1.25rem; white-space: pre-wrap; overflow-wrap: anywhere }
p { color: #4a5468 }
label { display: block; margin: 1rem 0 .25rem }
input, textarea { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; border: 1px solid #8a93a6; border-radius: .25rem }
button { font: inherit; padding: .5rem 1.25rem; margin: 1rem .5rem 0 0; border: 1px solid #1d2433; border-radius: .25rem; background: #fff; color: inherit; cursor: pointer }
button.yes { background: #1d2433; color: #fff }
@media (prefers-color-scheme: dark) {
  body { color: #e6e9f0; background: #161a23 } p { color: #aab3c5 } input, textarea, button { background: #1f2531; color: inherit; border-color: #5b6579 }
  button.yes { background: #e6e9f0; color: #161a23 }
}
</style>
</head>
<body>
<main>
<p>{{.Workflow}}</p>
<h1>{{.Heading}}</h1>
{{- if .Open}}
<form method="post">
<label for="by">Your name (optional)</label>
<input id="by" name="by" maxlength="100" autocomplete="name">
<label for="comment">Comment (optional)</label>
<textarea id="comment" name="comment" rows="3" maxlength="1000"></textarea>
<button class="yes" name="decision" value="approve">Approve</button>
<button name="decision" value="decline">Decline</button>
</form>
<p>Asked {{.Asked}}. It can be answered until {{.Until}}.</p>
{{- else}}
<p>{{.Note}}</p>
{{- end}}
</main>
</body>
</html>
`))

// approvePageData is what the page shows.
type approvePageData struct {
	Title, Workflow, Heading, Note, Asked, Until string
	Nonce                                        string
	Open                                         bool
}

func (s *Server) answerRoutes() {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		s.router.Handle(method, engine.ApprovePath+":token", s.showQuestion)
	}
	s.router.POST(engine.ApprovePath+":token", s.decide)
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		s.router.Handle(method, engine.CallbackPath+":token", s.callBack)
	}
}

// approvalItem is a question that waits for an answer.
type approvalItem struct {
	Run      string    `json:"run"`
	Step     string    `json:"step" doc:"Its path; in a loop with its round."`
	Workflow string    `json:"workflow" doc:"Its name."`
	Message  string    `json:"message"`
	Asked    time.Time `json:"asked_at"`
	Until    time.Time `json:"until" doc:"An answer after that comes too late."`
}

// maxLookedAt bounds how many waiting runs one page of approvals reads.
const maxLookedAt = 1000

// approvalRoutes are for people who may see the runs; whoever else is asked has the link of their question.
func (s *Server) approvalRoutes() {
	tags := []string{"runs"}
	handle(s, huma.Operation{
		OperationID: "list-approvals", Method: http.MethodGet, Path: "/api/v1/approvals", Tags: tags, Summary: "Questions that wait for an answer, of the newest runs first",
	}, s.listApprovals)
	handle(s, huma.Operation{
		OperationID: "answer-approval", Method: http.MethodPost, Path: "/api/v1/runs/{id}/steps/{step}/approval", Tags: tags, Summary: "Approve or decline",
		Description:   "The answer is on disk when this answers.",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.answerApproval)
}

func (s *Server) listApprovals(ctx context.Context, in *Paging) (*body[page[approvalItem]], error) {
	out := page[approvalItem]{Items: []approvalItem{}}
	q := engine.Query{Status: []engine.Status{engine.StatusWaiting}, Cursor: in.Cursor}
	for looked := 0; looked < maxLookedAt && len(out.Items) < in.Limit; {
		q.Limit = in.Limit - len(out.Items) // a run that asks twice may exceed the limit by its second question
		rows, err := s.Engine.Store.List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list approvals: %w", err)
		}
		for i := range rows.Items {
			open, err := s.Engine.Questions(ctx, rows.Items[i].ID)
			if errors.Is(err, engine.ErrNotFound) {
				continue // it, or its version, has just gone
			} else if err != nil {
				return nil, fmt.Errorf("list approvals: %w", err)
			}
			for _, question := range open {
				out.Items = append(out.Items, approvalItem{question.Run.String(), question.Step, question.Workflow, question.Message, question.Asked, question.Until})
			}
		}
		looked += len(rows.Items)
		if q.Cursor, out.Next = rows.Next, rows.Next; rows.Next == "" {
			break
		}
	}
	return &body[page[approvalItem]]{out}, nil
}

func (s *Server) answerApproval(ctx context.Context, in *struct {
	RunID
	Step string `path:"step" maxLength:"1000"`
	Body struct {
		Approve bool   `json:"approve"`
		By      string `json:"by,omitempty" maxLength:"100" doc:"Who answers; default: admin."`
		Comment string `json:"comment,omitempty" maxLength:"1000"`
	}
},
) (*struct{}, error) {
	id, err := in.parse()
	if err != nil {
		return nil, err
	}
	err = s.Engine.DecideStep(ctx, id, in.Step, in.Body.Approve, cmp.Or(shortText(in.Body.By, maxName), "admin"), shortText(in.Body.Comment, maxComment))
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return nil, fail(http.StatusNotFound, "run "+clip(in.ID)+" asks nothing at step "+clip(in.Step)+" now", "it may be answered, or too late; GET /api/v1/approvals lists what is open")
	case errors.Is(err, engine.ErrAnswered):
		return nil, fail(http.StatusConflict, err.Error(), "GET /api/v1/runs/"+clip(in.ID)+" shows whose answer counted")
	}
	return nil, err
}

func (s *Server) showQuestion(c *gin.Context) {
	q, err := s.Engine.Question(c.Request.Context(), engine.SignalApprove, c.Param("token"))
	if err != nil {
		s.noQuestion(c, err)
		return
	}
	s.showPage(c, http.StatusOK, questionPage(q))
}

func questionPage(q *engine.Question) approvePageData {
	const layout = "2 January 2006, 15:04 MST"
	page := approvePageData{Workflow: q.Workflow, Heading: q.Message, Asked: q.Asked.UTC().Format(layout), Until: q.Until.UTC().Format(layout)}
	switch q.State {
	case engine.LinkOpen:
		page.Open, page.Title = true, "Approve or decline"
	case engine.LinkEarly:
		page.Title, page.Note = "Not yet", "The question is not asked yet. Load this page again in a moment."
		page.Heading = "Not yet"
	case engine.LinkAnswered:
		page.Title = "Answered"
		page.Note = "Declined"
		if q.Approved {
			page.Note = "Approved"
		}
		if q.By != "" {
			page.Note += " by " + q.By
		}
		page.Note += " on " + q.At.UTC().Format(layout) + "."
		if q.Comment != "" {
			page.Note += " “" + q.Comment + "”"
		}
	default:
		page.Title, page.Note = "Closed", "This question cannot be answered any more."
		if page.Heading == "" {
			page.Heading = "Closed"
		}
	}
	return page
}

func (s *Server) noQuestion(c *gin.Context, err error) {
	if errors.Is(err, engine.ErrNotFound) {
		s.showPage(c, http.StatusNotFound, approvePageData{Title: "Not found", Heading: "This link is not valid", Note: "It may be cut off, or what it belongs to is gone."})
		return
	}
	s.Log.ErrorContext(c.Request.Context(), "a question cannot be read", "error", err)
	c.Header("Retry-After", "5")
	s.showPage(c, http.StatusServiceUnavailable, approvePageData{Title: "Try again", Heading: "That did not work", Note: "Load this page again in a moment."})
}

// showPage writes the page under a policy that lets it do nothing but send its own form. The address is a secret, so it
// is told to nobody and kept nowhere.
func (s *Server) showPage(c *gin.Context, status int, page approvePageData) {
	var raw [12]byte
	rand.Read(raw[:])
	page.Nonce = base64.RawURLEncoding.EncodeToString(raw[:])
	h := c.Writer.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+page.Nonce+"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Robots-Tag", "noindex")
	c.Writer.WriteHeader(status)
	if c.Request.Method == http.MethodHead {
		return
	}
	if err := approvePage.Execute(c.Writer, page); err != nil {
		s.Log.DebugContext(c.Request.Context(), "a page was not sent whole", "error", err)
	}
}

func (s *Server) decide(c *gin.Context) {
	token := c.Param("token")
	if err := s.guard.cross.Check(c.Request); err != nil {
		s.showPage(c, http.StatusForbidden, approvePageData{Title: "Refused", Heading: "Not from here", Note: "The answer was sent by a page of another site. Open the link itself."})
		return
	}
	kind, _, err := mime.ParseMediaType(c.Request.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		s.showPage(c, http.StatusUnsupportedMediaType, approvePageData{Title: "Refused", Heading: "Not a form", Note: "Use the form of this page."})
		return
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxAnswer)
	if err := c.Request.ParseForm(); err != nil {
		s.showPage(c, http.StatusBadRequest, approvePageData{Title: "Refused", Heading: "That was too much", Note: "The comment has at most 1,000 characters."})
		return
	}
	form := c.Request.PostForm
	decision := form.Get("decision")
	if decision != "approve" && decision != "decline" {
		s.showPage(c, http.StatusBadRequest, approvePageData{Title: "Refused", Heading: "Approve or decline?", Note: "Go back and use one of the two buttons."})
		return
	}
	err = s.Engine.Decide(c.Request.Context(), token, decision == "approve", shortText(form.Get("by"), maxName), shortText(form.Get("comment"), maxComment))
	if err != nil && !errors.Is(err, engine.ErrAnswered) {
		s.noQuestion(c, err)
		return
	}
	h := c.Writer.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	c.Redirect(http.StatusSeeOther, engine.ApprovePath+token) // which shows whose answer counted
}

// shortText is what a stranger wrote, without control characters, cut to a length.
func shortText(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(text), ""))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most])
	}
	return text
}
