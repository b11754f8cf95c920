package workflow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// MaxBody is the largest limit that a workflow may set for the bodies sent to it, in bytes.
const MaxBody = 25 << 20

// reader makes a Workflow of a file.
type reader struct {
	reporter
	w          *Workflow
	all        []*Step          // depth first: steps, then on_failure; a step before those of its on_error
	named      map[string]*Step // the steps with an id of their own
	parent     *Step            // what the steps that are being read stand in; nil: the file
	branch     int              // of parent
	unread     bool             // a trigger could not be read, so what triggers give is not known
	references []reference
	compared   []comparedText
	understood map[*yaml.Node]bool // the scalars whose expressions were read

	expressions int // compiled so far
}

// Parse reads a workflow file and compiles every expression in it. name is the file's name as problems show it; the
// workflow's id is made from it: the path below the last folder named workflows, without .yaml. The problems are
// everything that is wrong, in the order of the file, warnings included. The workflow is nil when the file cannot
// be read as a mapping; else it holds what could be read, and runs only when Problems.Err is nil.
func Parse(name string, src []byte) (*Workflow, Problems) {
	return ParseAs(idOf(name), name, src)
}

// ParseAs is Parse for a workflow whose id is known.
func ParseAs(id, name string, src []byte) (*Workflow, Problems) {
	r := &reader{reporter: newReporter(name, src), named: map[string]*Step{}}
	if err := CheckID(id); err != nil {
		r.errorf(Position{}, "rename the file", "%v", err)
	}
	root := r.document(src, "workflow")
	if root == nil {
		return nil, r.finish()
	}
	r.w = &Workflow{
		ID:      id,
		Version: versionOf(src),
		Source:  src,
		file:    name,
		places:  map[*expression.Tree]Position{},
		keys:    map[*expression.Tree]Position{},
	}
	r.workflow(root)
	return r.w, r.finish()
}

// versionOf is the content hash by which the engine knows a text.
func versionOf(src []byte) string {
	sum := sha256.Sum256(src)
	return hex.EncodeToString(sum[:8])
}

func (r *reader) workflow(root *yaml.Node) {
	o := r.object(root, "a workflow")
	w := r.w
	w.Name = o.label("name")
	if w.Name == "" {
		w.Name = titleOf(w.ID)
	}
	w.Description = o.label("description")
	w.Enabled = o.boolean("enabled", true)
	w.Tags, _ = o.texts("tags")
	if n := o.need("triggers", "add triggers: with at least one entry, such as - webhook: {}"); n != nil {
		r.triggers(n)
	}
	w.Lane = r.program(o.value("lane"), "lane", scope{Scope: inTrigger})
	w.Concurrency = r.concurrency(o.value("concurrency"))
	w.Timeout = o.duration("timeout", 0)
	w.Retention = r.retention(o.value("retention"))
	w.BodyLimit = r.limits(o.value("limits"))
	if n := o.need("steps", "add steps: with at least one entry"); n != nil {
		w.Steps = r.steps(n, "steps", inStep)
		if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			r.errorf(place(n), "", "a workflow has at least one step")
		}
	}
	if n := o.value("on_failure"); n != nil {
		w.OnFailure = r.steps(n, "on_failure", inHandler)
	}
	o.done()

	r.nameSteps()
	r.resolve()
	r.defaults()
}

func (r *reader) concurrency(n *yaml.Node) Concurrency {
	if n == nil {
		return Concurrency{}
	}
	o := r.object(n, "concurrency")
	defer o.done()
	c := Concurrency{Limit: o.whole("limit", 0, 1, 10_000), WhenFull: o.word("when_full", WhenFullQueue, WhenFullQueue, WhenFullDrop, WhenFullFail)}
	if o.vals["limit"] == nil && n.Kind == yaml.MappingNode {
		r.errorf(o.at, "such as limit: 10", "concurrency needs the key limit")
	}
	return c
}

func (r *reader) retention(n *yaml.Node) Retention {
	keep := Retention{Keep: "all"}
	if n == nil {
		return keep
	}
	o := r.object(n, "retention")
	keep.Days = o.whole("days", 0, 1, 3650)
	keep.Runs = o.whole("runs", 0, 1, 1_000_000)
	keep.Keep = o.word("keep", "all", "all", "failures", "none")
	o.done()
	return keep
}

func (r *reader) limits(n *yaml.Node) int64 {
	if n == nil {
		return 0
	}
	o := r.object(n, "limits")
	defer o.done()
	body := o.value("body")
	if body == nil {
		return 0
	}
	size, err := ParseSize(body.Value)
	switch {
	case body.Kind != yaml.ScalarNode:
		r.errorf(place(body), "write it like 5MiB", "body is a size, this is %s", describe(body))
	case err != nil:
		r.errorf(place(body), "write it like 512KiB or 5MiB", "body: %v", err)
	case size < 1 || size > MaxBody:
		r.errorf(place(body), "", "body is at most 25MiB and at least 1B, not %s", body.Value)
	default:
		return size
	}
	return 0
}

// nameSteps gives ids to the steps that have none of their own.
func (r *reader) nameSteps() {
	taken := make(map[string]bool, len(r.all))
	for id := range r.named {
		taken[id] = true
	}
	for i, s := range r.all {
		if s.Named {
			continue
		}
		base := autoID(s, i+1)
		s.ID = base
		for n := 2; taken[s.ID]; n++ {
			s.ID = fmt.Sprintf("%s_%d", base, n)
		}
		taken[s.ID] = true
	}
}

// autoID is the id of the nth step of the file when it has none of its own.
func autoID(s *Step, n int) string {
	kind := s.Kind
	if use, ok := s.Do.(*Use); ok && use.Connector != "" {
		kind = use.Connector + "_" + use.Action
	}
	return fmt.Sprintf("%s_%d", kind, n)
}

// defaults fills in what depends on the whole file.
func (r *reader) defaults() {
	var respond *Step
	for _, s := range r.all {
		if s.Kind == "respond" && respond == nil {
			respond = s
		}
	}
	hooks := 0
	for _, t := range r.w.Triggers {
		if t.Listen != nil {
			hooks++ // whether somebody waits is for the connector to say
		}
		if t.Webhook == nil {
			continue
		}
		hooks++
		switch {
		case t.Webhook.Respond == "" && respond != nil:
			t.Webhook.Respond = "step"
		case t.Webhook.Respond == "":
			t.Webhook.Respond = "accepted"
		case t.Webhook.Respond == "step" && respond == nil:
			r.errorf(t.Webhook.respondAt, "add a respond step, or write accepted or finished", "respond: step waits for a respond step, and there is none")
		case t.Webhook.Respond == "accepted" && respond != nil:
			r.warnf(t.Webhook.respondAt, "write step", "with respond: accepted the webhook is answered before the respond step in line %d runs", respond.At.Line)
		}
	}
	if respond != nil && hooks == 0 && !r.unread {
		r.warnf(respond.At, "", "nobody waits for this answer: the workflow has no webhook")
	}
}

// tooLong reports a deadline that a step can never use up.
func tooLong(step, run time.Duration) bool { return run > 0 && step > run }

// splitUse takes apart the text of `use`.
func splitUse(text string) (connector, action string, ok bool) {
	connector, action, ok = strings.Cut(text, ".")
	return connector, action, ok && useName.MatchString(connector) && useName.MatchString(action)
}
