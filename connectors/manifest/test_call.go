package manifest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Run runs the tests, one after another, against a server on this machine, with invented secrets. The problems say which
// failed and why; file is the name of the manifest as they show it.
func (m *Manifest) Run(ctx context.Context, file string) (workflow.Problems, error) {
	stage, err := newStage(ctx)
	if err != nil {
		return nil, err
	}
	defer stage.close()
	var problems workflow.Problems
	for _, t := range m.Tests {
		for _, message := range m.run(ctx, stage, t) {
			problems = append(problems, workflow.Problem{File: file, Line: t.Line, Column: t.column, Message: fmt.Sprintf("test %q: %s", t.Name, message)})
		}
	}
	return problems, nil
}

// run runs one test and says what is wrong.
func (m *Manifest) run(ctx context.Context, s *stage, t *Test) []string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := m.invent(t)
	if err != nil {
		return []string{err.Error()}
	}
	call := &connectors.Call{
		Key: "01JINVENTEDINVENTEDINVENTE", Workflow: "test", Input: t.with, Connection: conn,
		HTTP: &http.Client{Transport: s}, Now: time.Now(),
	}
	if call.Input == nil {
		call.Input = map[string]any{}
	}
	m.inventToken(call, t)
	s.begin(t.http)
	var wrong []string
	switch {
	case t.Action != "":
		out, err := m.Connector.Action(t.Action).Do(ctx, call)
		wrong = t.judge(out, err)
		wrong = append(wrong, leaks(conn, out, err)...)
	case t.delivery != nil:
		wrong = m.deliver(ctx, t, conn)
	default:
		wrong = m.poll(ctx, t, call)
	}
	return append(wrong, s.end()...)
}

// judge compares what came of an action.
func (t *Test) judge(out any, err error) []string {
	if t.fails == nil {
		switch {
		case err != nil:
			return []string{"it failed: " + err.Error()}
		case t.hasReturns:
			if d := difference(t.returns, out); d != "" {
				return []string{"what it returns" + d}
			}
		}
		return nil
	}
	if err == nil {
		return []string{"it did not fail; it returned " + shown(out)}
	}
	var wrong []string
	if t.fails.permanent != nil && *t.fails.permanent != connectors.IsPermanent(err) {
		wrong = append(wrong, fmt.Sprintf("the failure is permanent: %t, want %t (%v)", connectors.IsPermanent(err), *t.fails.permanent, err))
	}
	if t.fails.message != "" && !strings.Contains(err.Error(), t.fails.message) {
		wrong = append(wrong, fmt.Sprintf("the message is %q, want %q", err.Error(), t.fails.message))
	}
	if t.fails.retryAfter > 0 {
		if d, ok := connectors.Delay(err); !ok || d != t.fails.retryAfter {
			wrong = append(wrong, fmt.Sprintf("it asks to wait for %s, want %s (%v)", d, t.fails.retryAfter, err))
		}
	}
	if t.fails.status != 0 {
		var status *connectors.StatusError
		if !errors.As(err, &status) || status.Status != t.fails.status {
			wrong = append(wrong, fmt.Sprintf("the failure has not the status %d: %v", t.fails.status, err))
		}
	}
	if t.fails.unknown && !connectors.IsUnknown(err) {
		wrong = append(wrong, fmt.Sprintf("the outcome is known: %v", err))
	}
	return wrong
}

// leaks looks for the invented secrets in what a person will read.
func leaks(conn connectors.Connection, out any, err error) []string {
	text := shown(out)
	if err != nil {
		text += err.Error()
	}
	for _, name := range keysOf(conn.Secrets) {
		if v := conn.Secrets[name]; strings.HasPrefix(v, invented) && strings.Contains(text, v) {
			return []string{"the secret " + name + " shows in its result"}
		}
	}
	return nil
}
