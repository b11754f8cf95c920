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

func (b *branch) filter(ctx context.Context, key string, f *workflow.Filter) error {
	env := b.env(key)
	ok, err := f.Condition.Bool(ctx, env)
	if err != nil {
		return b.fail(key, 0, 0, err, StatusFailed, time.Time{})
	}
	if ok {
		b.complete(key, 0, 0, StatusSucceeded, nil, nil, "")
		return nil
	}
	why, err := json.Marshal(f.Condition.Explain(ctx, env))
	if err != nil {
		why = nil
	}
	b.complete(key, 0, 0, StatusFiltered, nil, why, "")
	return nil
}

func (b *branch) set(ctx context.Context, key string, set *workflow.Set) error {
	out, err := set.Fields.Eval(ctx, b.env(key))
	if err != nil {
		return b.fail(key, 0, 0, err, StatusFailed, time.Time{})
	}
	b.complete(key, 0, 0, StatusSucceeded, out, nil, "")
	return nil
}

// respond answers the webhook at once: the event is durable already, and after a crash nobody waits any more.
func (b *branch) respond(ctx context.Context, key string, r *workflow.Respond) error {
	env := b.env(key)
	resp := &Response{Status: http.StatusOK}
	if r.Status != nil {
		v, err := r.Status.Eval(ctx, env)
		if err != nil {
			return b.fail(key, 0, 0, fmt.Errorf("status: %w", err), StatusFailed, time.Time{})
		}
		code, ok := number(v)
		if !ok || code != float64(int(code)) || code < 200 || code > 599 {
			return b.fail(key, 0, 0, fmt.Errorf("status is %q, want a whole number from 200 to 599", value.Text(v)), StatusFailed, time.Time{})
		}
		resp.Status = int(code)
	}
	if r.Headers != nil {
		v, err := r.Headers.Eval(ctx, env)
		if err != nil {
			return b.fail(key, 0, 0, fmt.Errorf("headers: %w", err), StatusFailed, time.Time{})
		}
		fields, ok := v.(map[string]any)
		if !ok {
			return b.fail(key, 0, 0, fmt.Errorf("headers must be an object"), StatusFailed, time.Time{})
		}
		resp.Headers = make(map[string]string, len(fields))
		for name, v := range fields {
			resp.Headers[http.CanonicalHeaderKey(name)] = value.Text(v)
		}
	}
	if r.Body != nil {
		v, err := r.Body.Eval(ctx, env)
		if err != nil {
			return b.fail(key, 0, 0, fmt.Errorf("body: %w", err), StatusFailed, time.Time{})
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
		return b.fail(key, 0, 0, err, StatusFailed, time.Time{})
	}
	b.complete(key, 0, 0, StatusSucceeded, nil, data, reasonRespond)
	b.x.host.reply(b.x.claim.Run, Reply{Response: resp})
	return nil
}

func (b *branch) stopRun(ctx context.Context, key string, stop *workflow.Stop) error {
	out := map[string]any{"as": stop.As}
	if stop.Message != nil {
		v, err := stop.Message.Eval(ctx, b.env(key))
		if err != nil {
			return b.fail(key, 0, 0, fmt.Errorf("message: %w", err), StatusFailed, time.Time{})
		}
		out["message"] = value.Text(v)
	}
	b.complete(key, 0, 0, StatusSucceeded, out, nil, ReasonStop)
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
