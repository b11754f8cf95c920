package rehearsal

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// compare says in sentences what is not as the test expects.
func compare(t *workflow.Test, out *engine.Simulated, calls []call) []string {
	var fs []string
	e := &t.Expect
	if e.Status != "" && e.Status != out.View.Status {
		f := fmt.Sprintf("the run ended as %s, want %s", ended(out.View), e.Status)
		fs = append(fs, f)
	}
	if e.Reason != "" && !strings.Contains(out.View.Reason+" "+out.View.Summary, e.Reason) {
		fs = append(fs, fmt.Sprintf("the reason is %q, want %q in it", cmp.Or(out.View.Summary, out.View.Reason), e.Reason))
	}
	steps := map[string]engine.StepView{}
	for _, s := range out.View.Steps {
		steps[s.ID] = s
	}
	for _, want := range e.Steps {
		s, ran := steps[want.ID]
		if !ran {
			fs = append(fs, fmt.Sprintf("step %s was not reached", want.ID))
			continue
		}
		var got any
		if len(s.Output) > 0 {
			got, _ = value.DecodeJSON(s.Output)
		}
		if s.Status != "succeeded" && want.Want != nil {
			fs = append(fs, fmt.Sprintf("step %s is %s%s", want.ID, s.Status, because(s.Summary)))
			continue
		}
		fs = append(fs, differences("steps."+want.ID, want.Want, got)...)
	}
	for _, want := range e.Errors {
		s := steps[want.ID]
		if s.Error == nil {
			fs = append(fs, fmt.Sprintf("step %s did not fail", want.ID))
			continue
		}
		got := map[string]any{"message": s.Error.Message, "attempts": s.Attempts}
		if s.Error.Status != 0 {
			got["status"] = s.Error.Status
		}
		fs = append(fs, differences("errors."+want.ID, want.Want, got)...)
	}
	if want := e.Respond; want != nil {
		fs = append(fs, compareResponse(want, out.Response)...)
	}
	if e.Calls != nil {
		fs = append(fs, compareCalls(e.Calls, calls)...)
	}
	return fs
}

func ended(v *engine.RunView) string {
	return v.Status + because(v.Summary)
}

func because(summary string) string {
	if summary == "" {
		return ""
	}
	return " (" + summary + ")"
}

func compareResponse(want *workflow.ExpectedResponse, got *engine.Response) []string {
	if got == nil {
		return []string{"no respond step answered"}
	}
	var fs []string
	if want.Status != 0 && want.Status != got.Status {
		fs = append(fs, fmt.Sprintf("the answer has status %d, want %d", got.Status, want.Status))
	}
	for name, text := range want.Headers {
		if have := got.Headers[http.CanonicalHeaderKey(name)]; have != text {
			fs = append(fs, fmt.Sprintf("the answer's header %s is %q, want %q", name, have, text))
		}
	}
	if want.Body != nil {
		var body any = got.Body
		if _, text := want.Body.Value.(string); !text {
			if decoded, err := value.DecodeJSON([]byte(got.Body)); err == nil {
				body = decoded
			}
		}
		fs = append(fs, differences("the answer's body", want.Body.Value, body)...)
	}
	return fs
}

// compareCalls finds a call for each that is expected; what is left was not expected. Calls that stay inside
// Bellhop count only where the test names their action.
func compareCalls(want []*workflow.ExpectedCall, calls []call) []string {
	var fs []string
	left := slices.DeleteFunc(slices.Clone(calls), func(c call) bool {
		return c.local && !slices.ContainsFunc(want, func(w *workflow.ExpectedCall) bool { return w.Use == c.use })
	})
	for _, w := range want {
		for n := range w.Times {
			i := slices.IndexFunc(left, func(c call) bool {
				return c.use == w.Use && (w.Step == "" || w.Step == c.step) && (w.With == nil || len(differences("", w.With, c.input)) == 0)
			})
			if i >= 0 {
				left = slices.Delete(left, i, i+1)
				continue
			}
			near := slices.IndexFunc(left, func(c call) bool { return c.use == w.Use && (w.Step == "" || w.Step == c.step) })
			if near < 0 {
				f := fmt.Sprintf("%s was not called", w.Use)
				if n > 0 {
					f = fmt.Sprintf("%s was called %d times, want %d", w.Use, n, w.Times)
				}
				fs = append(fs, f)
				break
			}
			fs = append(fs, differences(w.Use+" was called, but", w.With, left[near].input)...)
			left = slices.Delete(left, near, near+1)
		}
	}
	for _, c := range left {
		fs = append(fs, fmt.Sprintf("step %s called %s, which the test does not expect, with %s", c.step, c.use, short(c.input)))
	}
	return fs
}

// differences says where got lacks what want names. Objects are compared as subsets, lists entry by entry.
func differences(path string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		var fs []string
		for _, k := range slices.Sorted(maps.Keys(w)) {
			have, there := g[k]
			if !there && w[k] != nil {
				fs = append(fs, fmt.Sprintf("%s is missing, want %s", join(path, k), short(w[k])))
				continue
			}
			fs = append(fs, differences(join(path, k), w[k], have)...)
		}
		return fs
	case []any:
		g, ok := got.([]any)
		if !ok {
			break
		}
		if len(w) != len(g) {
			return []string{fmt.Sprintf("%s has %d entries, want %d: %s", path, len(g), len(w), short(g))}
		}
		var fs []string
		for i := range w {
			fs = append(fs, differences(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])...)
		}
		return fs
	}
	if value.Equal(want, got) {
		return nil
	}
	if value.Text(want) == value.Text(got) && want != nil && got != nil { // such as 2 and "2"
		return []string{fmt.Sprintf("%s is %s (%s), want %s (%s)", path, short(got), kind(got), short(want), kind(want))}
	}
	return []string{fmt.Sprintf("%s is %s, want %s", path, short(got), short(want))}
}

// kind is the sort of a value in a word.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	return "a number"
}

func join(path, key string) string {
	if path == "" || strings.HasSuffix(path, "but") {
		return strings.TrimSpace(path + " " + key)
	}
	return path + "." + key
}

// short is a value as JSON, cut to a readable length.
func short(v any) string {
	data, err := value.AppendJSON(nil, v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 200
	if len(data) > most {
		return strings.ToValidUTF8(string(data[:most]), "") + "…"
	}
	return string(data)
}
