package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Steps that touch nothing outside: they cost no durable wait, their results ride with the next append.

func (x *execution) filter(ctx context.Context, s *workflow.Step, f *workflow.Filter) error {
	env := x.seeded(s)
	ok, err := f.Condition.Bool(ctx, env)
	if err != nil {
		return x.fail(s, 0, 0, err, StatusFailed, time.Time{})
	}
	if ok {
		x.complete(s, 0, 0, StatusSucceeded, nil, nil, "")
		return nil
	}
	why, err := json.Marshal(f.Condition.Explain(ctx, env))
	if err != nil {
		why = nil
	}
	x.complete(s, 0, 0, StatusFiltered, nil, why, "")
	return nil
}

func (x *execution) set(ctx context.Context, s *workflow.Step, set *workflow.Set) error {
	out, err := set.Fields.Eval(ctx, x.seeded(s))
	if err != nil {
		return x.fail(s, 0, 0, err, StatusFailed, time.Time{})
	}
	x.complete(s, 0, 0, StatusSucceeded, out, nil, "")
	return nil
}

// respond answers the webhook at once: the event is durable already, and after a crash nobody waits any more.
func (x *execution) respond(ctx context.Context, s *workflow.Step, r *workflow.Respond) error {
	env := x.seeded(s)
	resp := &Response{Status: http.StatusOK}
	if r.Status != nil {
		v, err := r.Status.Eval(ctx, env)
		if err != nil {
			return x.fail(s, 0, 0, fmt.Errorf("status: %w", err), StatusFailed, time.Time{})
		}
		code, ok := number(v)
		if !ok || code != float64(int(code)) || code < 200 || code > 599 {
			return x.fail(s, 0, 0, fmt.Errorf("status is %q, want a whole number from 200 to 599", value.Text(v)), StatusFailed, time.Time{})
		}
		resp.Status = int(code)
	}
	if r.Headers != nil {
		v, err := r.Headers.Eval(ctx, env)
		if err != nil {
			return x.fail(s, 0, 0, fmt.Errorf("headers: %w", err), StatusFailed, time.Time{})
		}
		fields, ok := v.(map[string]any)
		if !ok {
			return x.fail(s, 0, 0, fmt.Errorf("headers must be an object"), StatusFailed, time.Time{})
		}
		resp.Headers = make(map[string]string, len(fields))
		for name, v := range fields {
			resp.Headers[http.CanonicalHeaderKey(name)] = value.Text(v)
		}
	}
	if r.Body != nil {
		v, err := r.Body.Eval(ctx, env)
		if err != nil {
			return x.fail(s, 0, 0, fmt.Errorf("body: %w", err), StatusFailed, time.Time{})
		}
		resp.Body = value.Text(v)
		if _, typed := resp.Headers["Content-Type"]; !typed {
			if resp.Headers == nil {
				resp.Headers = map[string]string{}
			}
			resp.Headers["Content-Type"] = "application/json"
			if _, text := v.(string); text {
				resp.Headers["Content-Type"] = "text/plain; charset=utf-8"
			}
		}
	}
	data, err := json.Marshal(resp)
	if err != nil {
		return x.fail(s, 0, 0, err, StatusFailed, time.Time{})
	}
	x.complete(s, 0, 0, StatusSucceeded, nil, data, reasonRespond)
	x.host.reply(x.claim.Run, Reply{Response: resp})
	return nil
}

func (x *execution) stopRun(ctx context.Context, s *workflow.Step, stop *workflow.Stop) error {
	out := map[string]any{"as": stop.As}
	if stop.Message != nil {
		v, err := stop.Message.Eval(ctx, x.seeded(s))
		if err != nil {
			return x.fail(s, 0, 0, fmt.Errorf("message: %w", err), StatusFailed, time.Time{})
		}
		out["message"] = value.Text(v)
	}
	x.complete(s, 0, 0, StatusSucceeded, out, nil, ReasonStop)
	return nil
}

func stopEnding(stop *workflow.Stop, out any) *ending {
	end := &ending{reason: ReasonStop, summary: "Stopped"}
	if fields, ok := out.(map[string]any); ok {
		if msg, _ := fields["message"].(string); msg != "" {
			end.summary = truncate(msg, maxMessage)
		}
	}
	switch stop.As {
	case "succeeded":
		end.status = StatusSucceeded
	case "filtered":
		end.status = StatusFiltered
	case "canceled":
		end.status = StatusCanceled
	default:
		end.status = StatusFailed
		end.failure = &StepError{Message: end.summary}
	}
	return end
}
