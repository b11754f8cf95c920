package workflow

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// KindConnector is the kind of a trigger that a connector defines.
const KindConnector = "connector"

// triggerKinds are the kinds of this version, by the key that names them.
var triggerKinds = []string{"webhook", "schedule", "poll"}

// triggers reads the list of triggers.
func (r *reader) triggers(n *yaml.Node) {
	entries := r.list(n, "triggers")
	if n.Kind == yaml.SequenceNode && len(entries) == 0 {
		r.errorf(place(n), "", "a workflow has at least one trigger")
	}
	for _, entry := range entries {
		before := r.count()
		t := r.trigger(entry)
		if t == nil {
			r.unread = true
			if r.count() == before {
				r.errorf(place(entry), "", "this entry of triggers is empty")
			}
			continue
		}
		for _, other := range r.w.Triggers {
			if other.ID == t.ID {
				r.errorf(t.At, "give each an id of its own", "the trigger id %q is given twice: it is that of the trigger in line %d, too",
					t.ID, other.At.Line)
				break
			}
		}
		r.samePath(t)
		r.w.Triggers = append(r.w.Triggers, t)
	}
}

// samePath reports a webhook that takes the calls of another one of the file.
func (r *reader) samePath(t *Trigger) {
	if t.Webhook == nil {
		return
	}
	for _, other := range r.w.Triggers {
		if other.Webhook == nil || param.ReplaceAllString(other.Webhook.Path, "{}") != param.ReplaceAllString(t.Webhook.Path, "{}") {
			continue
		}
		for _, m := range t.Webhook.Methods {
			if slices.Contains(other.Webhook.Methods, m) {
				r.errorf(t.Webhook.PathAt, "give one of them another path", "%s /hooks/%s reaches the trigger %s already", m, t.Webhook.Path, other.ID)
				return
			}
		}
	}
}

var param = regexp.MustCompile(`\{[^{}/]*\}`)

// trigger reads one trigger; nil when its kind cannot be told.
func (r *reader) trigger(n *yaml.Node) *Trigger {
	if isNull(n) {
		return nil
	}
	o := r.object(n, "a trigger")
	if n.Kind != yaml.MappingNode {
		return nil
	}
	t := &Trigger{At: place(n)}
	id := o.value("id")
	if id != nil {
		t.At = place(id)
	}
	t.ID, _ = r.id(id)

	var found []*yaml.Node
	for _, k := range o.keys {
		if slices.Contains(triggerKinds, k.Value) || k.Value == "use" {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		rest := len(o.unknown())
		o.asked = append(append(o.asked, triggerKinds...), "use")
		if rest > 0 {
			o.done()
		} else {
			r.errorf(o.at, "give it one of "+strings.Join(triggerKinds, ", ")+", or use", "this trigger starts nothing")
		}
		return nil
	}
	for _, extra := range found[1:] {
		r.errorf(place(extra), "make two triggers of it", "a trigger is of one kind, this one has %s and %s", found[0].Value, extra.Value)
		o.take(extra.Value)
	}
	t.Kind = found[0].Value
	if t.Kind == "use" {
		t.Kind, t.Listen = KindConnector, r.listen(o)
		if t.ID == "" {
			t.ID = t.Listen.Use.Connector + "_" + t.Listen.Use.Action
		}
		r.beside(o, t.Kind)
		o.done()
		return t
	}
	if t.ID == "" {
		t.ID = t.Kind
	}
	val := o.take(t.Kind)
	switch t.Kind {
	case "webhook":
		t.Webhook = r.webhook(val)
	case "schedule":
		t.Schedule = r.schedule(val)
	case "poll":
		t.Poll = r.poll(val)
	}
	r.beside(o, t.Kind)
	o.done()
	return t
}

// beside reports keys that stand beside the kind of a trigger and belong below it.
func (r *reader) beside(o *object, kind string) {
	inside := map[string][]string{
		"webhook":  {"path", "methods", "verify", "dedupe", "window", "respond"},
		"schedule": {"cron", "every", "timezone", "missed", "overlap"},
		"poll":     {"cron", "every", "timezone", "with", "connection", "items", "key", "version", "emit", "first"},
	}[kind]
	for _, k := range o.unknown() {
		if slices.Contains(inside, k.Value) {
			r.errorf(place(k), "indent it", "%s belongs below %s", k.Value, kind)
			o.take(k.Value)
		}
	}
}

// webhookMethods are the methods that a webhook may take.
var webhookMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

func (r *reader) webhook(n *yaml.Node) *Webhook {
	hook := &Webhook{Path: r.w.ID, Methods: []string{"POST"}, PathAt: place(n), respondAt: place(n)}
	if isNull(n) {
		return hook
	}
	o := r.object(n, "a webhook")
	if path := o.value("path"); path != nil {
		hook.PathAt = place(path)
		if text, ok := r.text(path, "path"); ok && r.path(path, text) {
			hook.Path = text
		}
	}
	if methods, places := o.texts("methods"); methods != nil {
		hook.Methods = r.methods(methods, places)
	} else if list := o.vals["methods"]; list != nil && list.Kind == yaml.SequenceNode && len(list.Content) == 0 {
		r.errorf(place(list), "write [POST]", "methods is empty: no call could reach the webhook")
	}
	if verify := o.value("verify"); verify != nil {
		hook.VerifyAt = place(verify)
		hook.Verify = r.verify(verify)
	}
	hook.Dedupe = r.program(o.value("dedupe"), "dedupe", scope{Scope: inTrigger, kind: "webhook"})
	hook.Window = o.duration("window", 0)
	if o.vals["window"] != nil && o.vals["dedupe"] == nil && !hook.Verify.givesKey() {
		r.warnf(place(o.key("window")), "add dedupe", "window has no effect: the webhook has no dedupe key")
	}
	hook.Respond = o.word("respond", "", "accepted", "step", "finished")
	if respond := o.vals["respond"]; respond != nil {
		hook.respondAt = place(respond)
	}
	o.done()
	return hook
}

func (r *reader) methods(methods []string, places []Position) []string {
	var unique []string
	for i, m := range methods {
		switch {
		case !slices.Contains(webhookMethods, m):
			r.errorf(places[i], didYouMean(m, webhookMethods), "%q is not a method that a webhook can take", m)
		case slices.Contains(unique, m):
			r.errorf(places[i], "", "the method %s is given twice", m)
		default:
			unique = append(unique, m)
		}
	}
	return unique
}

// maxPath bounds a webhook's path, in bytes.
const maxPath = 500

// path checks the path of a webhook: segments of unreserved characters or {param}.
func (r *reader) path(n *yaml.Node, path string) bool {
	before := r.count()
	at := place(n)
	switch {
	case path == "":
		r.errorf(at, "leave path out to use the workflow's id", "the path is empty")
		return false
	case len(path) > maxPath:
		r.errorf(at, "", "the path is longer than %d characters", maxPath)
		return false
	case strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/"):
		r.errorf(at, "write "+strings.Trim(path, "/"), "a path neither begins nor ends with /")
		return false
	case strings.HasPrefix(path, "_"):
		r.errorf(at, "", "a path may not begin with _: such paths belong to connectors")
		return false
	}
	params := map[string]bool{}
	for segment := range strings.SplitSeq(path, "/") {
		name, param := strings.CutPrefix(segment, "{")
		name, closed := strings.CutSuffix(name, "}")
		switch {
		case param && closed && localID.MatchString(name):
			if params[name] {
				r.errorf(at, "", "the path has the parameter {%s} twice", name)
			}
			params[name] = true
		case strings.ContainsAny(segment, "{}"):
			r.errorf(at, "a parameter is a whole part of the path, such as orders/{id}", "%q is not a parameter of a path", segment)
		case segment == "":
			r.errorf(at, "", "the path has // in it")
		case segment == "." || segment == "..":
			r.errorf(at, "", "a path cannot have %q as a part", segment)
		case strings.ContainsFunc(segment, func(c rune) bool { return !unreserved(c) }):
			r.errorf(at, "use letters, digits, - . _ and ~", "%q cannot be a part of a path", segment)
		}
	}
	return r.count() == before
}

// unreserved reports the characters that a URL never encodes (RFC 3986, section 2.3).
func unreserved(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._~", c)
}

func (r *reader) schedule(n *yaml.Node) *Schedule {
	s := &Schedule{Missed: "last", Overlap: "queue", CronAt: place(n)}
	o := r.object(n, "a schedule")
	if n.Kind != yaml.MappingNode {
		return s
	}
	r.when(s, o)
	s.Missed = o.word("missed", "last", "none", "last", "all")
	s.Overlap = o.word("overlap", "queue", "queue", "skip", "allow")
	o.done()
	return s
}

// when reads the keys that say when: every, or cron with timezone.
func (r *reader) when(s *Schedule, o *object) {
	cron, every, zone := o.value("cron"), o.vals["every"], o.value("timezone")
	s.Every = o.duration("every", 0)
	switch {
	case o.vals["cron"] == nil && every == nil:
		r.errorf(o.at, "such as every: 15m", "%s needs every, or cron with timezone", o.what)
	case o.vals["cron"] != nil && every != nil:
		r.errorf(place(o.key("cron")), "remove one of them", "%s has either every or cron", o.what)
	}
	if cron != nil {
		s.CronAt = place(cron)
		if text, ok := r.text(cron, "cron"); ok {
			if err := checkCron(text); err != nil {
				r.errorf(place(cron), err.Hint, "cron: %s", err.Message)
			}
			s.Cron = text
		}
		if o.vals["timezone"] == nil {
			r.errorf(place(o.key("cron")), "such as timezone: Europe/Berlin", "cron needs timezone")
		}
	}
	if zone == nil {
		return
	}
	text, ok := r.text(zone, "timezone")
	if !ok {
		return
	}
	location, err := LoadZone(text)
	if err != nil {
		r.errorf(place(zone), "an IANA name, such as Europe/Berlin or UTC", "%v", err)
		return
	}
	s.Timezone, s.Zone = text, location
	if cron == nil && o.vals["cron"] == nil {
		r.warnf(place(o.key("timezone")), "", "timezone has no effect without cron")
	}
}

// LoadZone returns the time zone with this IANA name. The zone of the machine has no name here: a workflow means the
// same everywhere.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is not a time zone", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time zone", name)
	}
	return zone, nil
}

// listen reads `use: connector.trigger` with the keys beside it.
func (r *reader) listen(o *object) *Listen {
	use := o.value("use")
	if use == nil {
		o.take("with")
		o.take("connection")
		return &Listen{Use: emptyUse(o.key("use"))}
	}
	l := &Listen{Use: r.call(use, o, scope{Scope: inPoll, kind: KindConnector})}
	if o.vals["every"] != nil || o.vals["cron"] != nil || o.vals["timezone"] != nil {
		l.Schedule = &Schedule{CronAt: place(use)}
		r.when(l.Schedule, o)
	} else {
		for _, key := range []string{"every", "cron", "timezone"} {
			o.take(key)
		}
	}
	return l
}

func (r *reader) poll(n *yaml.Node) *Poll {
	p := &Poll{Use: emptyUse(n)}
	o := r.object(n, "a poll")
	if n.Kind != yaml.MappingNode {
		return p
	}
	p.Schedule.CronAt = place(n)
	r.when(&p.Schedule, o)
	if use := o.need("use", "such as use: http.request"); use != nil {
		p.Use = r.call(use, o, scope{Scope: inPoll, kind: "poll"})
	} else {
		o.take("with")
		o.take("connection")
	}
	p.Items = r.program(o.value("items"), "items", scope{Scope: inItems})
	if next := o.value("next"); next != nil {
		p.Next, p.NextAt = r.program(next, "next", scope{Scope: inItems}), place(next)
	}
	p.Key = r.program(o.need("key", "the part of an item that is never the same for two, such as key: item.id"), "key", scope{Scope: inItem})
	p.Version = r.program(o.value("version"), "version", scope{Scope: inItem})
	p.Emit = o.word("emit", "each", "each", "batch")
	p.First = o.word("first", "baseline", "baseline", "emit")
	o.done()
	return p
}
