package trigger

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// hook is one webhook trigger as requests find it.
type hook struct {
	workflow *workflow.Workflow
	trigger  *workflow.Trigger
	webhook  *workflow.Webhook
	params   []string // names of the {param} segments, in order
	limit    int64    // bytes of a body

	verifier     *signature.Verifier // nil: anyone may call, or, with Verify set, nobody
	unverifiable string              // why nobody may call
}

// window is how long a dedupe key is held.
func (h *hook) window() time.Duration {
	switch {
	case h.webhook.Window > 0:
		return h.webhook.Window
	case h.verifier != nil:
		return h.verifier.Window()
	}
	return defaultWindow
}

const defaultWindow = 24 * time.Hour

// routes is the table of all hooks. It is made anew at each change and never changed.
type routes struct {
	root   segment
	owners map[address]string // the enabled workflow that has it
}

// address is what one hook has to itself; {param} segments are equal whatever their names.
type address struct{ method, path string }

var param = regexp.MustCompile(`\{[^/]*\}`)

// addresses are those that a webhook asks for.
func addresses(w *workflow.Webhook) []address {
	methods := w.Methods
	if len(methods) == 0 {
		methods = []string{"POST"}
	}
	path := param.ReplaceAllString(w.Path, "{}")
	list := make([]address, len(methods))
	for i, m := range methods {
		list[i] = address{m, path}
	}
	return list
}

// segment is one level of the paths. A hook's own methods stand at the segment where its path ends.
type segment struct {
	static map[string]*segment
	param  *segment
	hooks  map[string]*hook // by method
}

// newRoutes gives each path and method to one hook. Where two want the same, an enabled workflow that has it in before
// keeps it, so that no new file takes the calls of a running one; else enabled workflows go before disabled ones, and
// then the smaller id wins, and a file before its draft, which stands behind it in ws.
func newRoutes(ws []*workflow.Workflow, keys *signature.Keys, before *routes) *routes {
	r := &routes{owners: map[address]string{}}
	ws = slices.Clone(ws)
	slices.SortStableFunc(ws, func(a, b *workflow.Workflow) int {
		if a.Enabled != b.Enabled {
			if a.Enabled {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	held := map[address]string{}
	for _, w := range ws {
		for _, t := range w.Triggers {
			if !w.Enabled || t.Kind != engine.TriggerWebhook || before == nil {
				continue
			}
			for _, a := range addresses(t.Webhook) {
				if before.owners[a] == w.ID {
					held[a] = w.ID
				}
			}
		}
	}
	for _, w := range ws {
		for _, t := range w.Triggers {
			if t.Kind == engine.TriggerWebhook {
				r.add(w, t, keys, held)
			}
		}
	}
	return r
}

func (r *routes) add(w *workflow.Workflow, t *workflow.Trigger, keys *signature.Keys, held map[address]string) {
	h := &hook{workflow: w, trigger: t, webhook: t.Webhook, limit: defaultBody}
	if w.BodyLimit > 0 {
		h.limit = min(w.BodyLimit, maxBody)
	}
	if v := t.Webhook.Verify; v != nil {
		var err error
		if h.verifier, err = signature.New(v.Verify, keys); err != nil {
			h.verifier, h.unverifiable = nil, err.Error()
		}
	}
	at := &r.root
	for part := range strings.SplitSeq(t.Webhook.Path, "/") {
		if len(part) > 2 && part[0] == '{' && part[len(part)-1] == '}' {
			h.params = append(h.params, part[1:len(part)-1])
			if at.param == nil {
				at.param = &segment{}
			}
			at = at.param
			continue
		}
		if at.static[part] == nil {
			if at.static == nil {
				at.static = map[string]*segment{}
			}
			at.static[part] = &segment{}
		}
		at = at.static[part]
	}
	for _, a := range addresses(t.Webhook) {
		owner := held[a]
		if owner == "" || owner == w.ID {
			owner = ""
			if other := at.hooks[a.method]; other != nil {
				if !other.workflow.Enabled {
					continue // enabling this workflow would give it the path
				}
				owner = other.workflow.ID
			}
		}
		if owner != "" {
			continue
		}
		if at.hooks == nil {
			at.hooks = map[string]*hook{}
		}
		at.hooks[a.method] = h
		if w.Enabled {
			r.owners[a] = w.ID
		}
	}
}

// taken says which other workflow has an address that a webhook asks for; empty: none has.
func (r *routes) taken(w *workflow.Workflow, h *workflow.Webhook) string {
	for _, a := range addresses(h) {
		if owner := r.owners[a]; owner != "" && owner != w.ID {
			return fmt.Sprintf("%s /hooks/%s belongs to workflow %s", a.method, h.Path, owner)
		}
	}
	return ""
}

// maxSegments bounds the path of a call; longer ones are unknown.
const maxSegments = 64

// match is what a path leads to.
type match struct {
	end    *segment // has the hooks by method
	params []string // values of the {param} segments, decoded
}

// find looks up the path of a call below /hooks/, still escaped. A fixed segment goes before a {param}.
func (r *routes) find(escaped string) (match, bool) {
	if strings.Count(escaped, "/") >= maxSegments {
		return match{}, false
	}
	var buf [8]string
	parts := buf[:0]
	for part := range strings.SplitSeq(escaped, "/") {
		if strings.IndexByte(part, '%') >= 0 {
			decoded, err := url.PathUnescape(part)
			if err != nil {
				return match{}, false
			}
			part = decoded
		}
		parts = append(parts, part)
	}
	var m match
	m.end = r.root.find(parts, &m.params)
	return m, m.end != nil
}

// find visits each segment of the table at most once, for each is reached by one path only.
func (s *segment) find(parts []string, params *[]string) *segment {
	if len(parts) == 0 {
		if len(s.hooks) == 0 {
			return nil
		}
		return s
	}
	if next := s.static[parts[0]]; next != nil {
		if end := next.find(parts[1:], params); end != nil {
			return end
		}
	}
	if s.param != nil && parts[0] != "" {
		n := len(*params)
		*params = append(*params, parts[0])
		if end := s.param.find(parts[1:], params); end != nil {
			return end
		}
		*params = (*params)[:n]
	}
	return nil
}

// answering is a hook whose provider looks at the address in ways of its own, whatever methods the hook takes.
func (s *segment) answering() *hook {
	for _, method := range slices.Sorted(maps.Keys(s.hooks)) {
		if h := s.hooks[method]; h.verifier != nil && h.verifier.Answers() {
			return h
		}
	}
	return nil
}

// allow is the value of the Allow header.
func (s *segment) allow() string {
	methods := make([]string, 0, len(s.hooks))
	for m := range s.hooks {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
