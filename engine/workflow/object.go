package workflow

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// object is a mapping whose keys are taken one by one. The keys asked for are the ones it may have: what is left
// at the end is unknown.
type object struct {
	r     *reporter
	what  string // for messages: "a webhook"
	at    Position
	keys  []*yaml.Node
	vals  map[string]*yaml.Node
	asked []string
}

// object begins to read n as a mapping. Where it is none, that is reported and the object is empty.
func (r *reporter) object(n *yaml.Node, what string) *object {
	o := &object{r: r, what: what, at: place(n), vals: make(map[string]*yaml.Node, len(n.Content)/2), asked: make([]string, 0, 16)}
	if n.Kind != yaml.MappingNode {
		r.errorf(place(n), "", "%s is a mapping of keys to values, this is %s", what, describe(n))
		return o
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		o.keys = append(o.keys, n.Content[i])
		o.vals[n.Content[i].Value] = n.Content[i+1]
	}
	return o
}

// key returns the node of a key, or nil.
func (o *object) key(name string) *yaml.Node {
	i := slices.IndexFunc(o.keys, func(k *yaml.Node) bool { return k.Value == name })
	if i < 0 {
		return nil
	}
	return o.keys[i]
}

// take returns the value of a key, which may be null; nil when the key is not there.
func (o *object) take(key string) *yaml.Node {
	o.asked = append(o.asked, key)
	return o.vals[key]
}

// value is take for a key that must have a value where it stands.
func (o *object) value(key string) *yaml.Node {
	n := o.take(key)
	if n != nil && isNull(n) {
		o.r.errorf(place(o.key(key)), "give it one or remove the line", "%s has no value", key)
		return nil
	}
	return n
}

// need is value for a key that must be there.
func (o *object) need(key, hint string) *yaml.Node {
	n := o.value(key)
	if n == nil && o.vals[key] == nil {
		o.r.errorf(o.at, hint, "%s needs the key %s", o.what, key)
	}
	return n
}

// unknown returns the keys that nobody asked for.
func (o *object) unknown() []*yaml.Node {
	var rest []*yaml.Node
	for _, k := range o.keys {
		if !slices.Contains(o.asked, k.Value) {
			rest = append(rest, k)
		}
	}
	return rest
}

// elsewhere has keys that people know from other languages, with what they are looking for.
var elsewhere = map[string]string{
	"a step else":      "put the steps into paths: a path without when runs where no other does",
	"a step otherwise": "a path without when runs where no other does",
	"a path else":      "a path without when runs where no other does",
	"a path otherwise": "a path without when runs where no other does",
	"a path default":   "a path without when runs where no other does",
	"a step run":       "a step that calls another system is use: http.request, or an action of a connector",
	"a step http":      "a step that calls another system is use: http.request, or an action of a connector",
	"a step action":    "an action is named by use, such as use: http.request",
	"a trigger manual": "every workflow can be started by hand, with bellhop run or in the web UI: leave it out",
	"a trigger cron":   "write it as schedule: {cron: ...}",
	"a trigger http":   "write it as webhook: {path: ...}",
}

// done reports the keys that nobody asked for.
func (o *object) done() {
	for _, k := range o.unknown() {
		var free []string
		for _, name := range o.asked {
			if o.vals[name] == nil {
				free = append(free, name)
			}
		}
		hint := elsewhere[o.what+" "+k.Value]
		if hint == "" {
			hint = didYouMean(k.Value, free)
		}
		if hint == "" && len(o.asked) > 0 {
			known := slices.Compact(slices.Sorted(slices.Values(o.asked)))
			hint = "known here: " + strings.Join(known, ", ")
		}
		o.r.errorf(place(k), hint, "%s has no key %q", o.what, k.Value)
	}
}

// text reads a text.
func (o *object) text(key string) string {
	n := o.value(key)
	if n == nil {
		return ""
	}
	text, _ := o.r.text(n, key)
	return text
}

// label reads a text for people, which is shown as it is.
func (o *object) label(key string) string {
	text := o.text(key)
	if strings.Contains(text, "${{") {
		o.r.warnf(place(o.vals[key]), "write it as a plain text", "%s is shown as it is: an expression in it is not evaluated", key)
	}
	return text
}

// text reads n as a text; what names it in messages.
func (r *reporter) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		r.errorf(place(n), "", "%s is a text, this is %s", what, describe(n))
		return "", false
	}
	val, _, err := scalar(n)
	text, ok := val.(string)
	if err != nil || !ok {
		r.errorf(place(n), fmt.Sprintf("quote it: %q", n.Value), "%s is a text, this is %s", what, describe(n))
		return "", false
	}
	r.cut(n)
	return text, true
}

// word reads one of a few words.
func (o *object) word(key, otherwise string, words ...string) string {
	n := o.value(key)
	if n == nil {
		return otherwise
	}
	return o.r.word(n, key, otherwise, words...)
}

func (r *reporter) word(n *yaml.Node, what, otherwise string, words ...string) string {
	text, ok := r.text(n, what)
	if !ok {
		return otherwise
	}
	if !slices.Contains(words, text) {
		hint := didYouMean(text, words)
		r.errorf(place(n), hint, "%s is %s, not %q", what, oneOf(words), text)
		return otherwise
	}
	return text
}

// boolean reads true or false.
func (o *object) boolean(key string, otherwise bool) bool {
	n := o.value(key)
	if n == nil {
		return otherwise
	}
	if n.Kind == yaml.ScalarNode {
		val, _, _ := scalar(n)
		if b, ok := val.(bool); ok {
			return b
		}
	}
	hint := ""
	switch strings.ToLower(n.Value) {
	case "no", "off", "n", "false", "0":
		hint = "write false"
	case "yes", "on", "y", "true", "1":
		hint = "write true"
	}
	o.r.errorf(place(n), hint, "%s is true or false, this is %s", key, describe(n))
	return otherwise
}

// whole reads a whole number from least to most.
func (o *object) whole(key string, otherwise, least, most int) int {
	n := o.value(key)
	if n == nil {
		return otherwise
	}
	var val any
	if n.Kind == yaml.ScalarNode {
		val, _, _ = scalar(n)
	}
	i, ok := val.(int)
	if !ok {
		o.r.errorf(place(n), "", "%s is a whole number from %d to %d, this is %s", key, least, most, describe(n))
		return otherwise
	}
	if i < least || i > most {
		o.r.errorf(place(n), "", "%s is a whole number from %d to %d, not %d", key, least, most, i)
		return otherwise
	}
	return i
}

// duration reads a span of time.
func (o *object) duration(key string, otherwise time.Duration) time.Duration {
	n := o.value(key)
	if n == nil {
		return otherwise
	}
	const hint = "write it like 30s, 5m, 2h, 3d or 1h30m"
	if n.Kind == yaml.ScalarNode {
		if val, _, err := scalar(n); err == nil {
			if i, ok := val.(int); ok {
				o.r.errorf(place(n), fmt.Sprintf("write %ds for seconds", i), "%s needs a unit", key)
				return otherwise
			}
		}
		d, err := ParseDuration(n.Value)
		if err != nil {
			o.r.errorf(place(n), hint, "%s: %v", key, err)
			return otherwise
		}
		return d
	}
	o.r.errorf(place(n), hint, "%s is a duration, this is %s", key, describe(n))
	return otherwise
}

// texts reads a list of texts.
func (o *object) texts(key string) (texts []string, places []Position) {
	n := o.value(key)
	if n == nil {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		o.r.errorf(place(n), fmt.Sprintf("write [%s]", n.Value), "%s is a list, this is %s", key, describe(n))
		return nil, nil
	}
	for _, item := range n.Content {
		if text, ok := o.r.text(item, "an entry of "+key); ok {
			texts, places = append(texts, text), append(places, place(item))
		}
	}
	return texts, places
}

// list returns the entries of a list; a null or a wrong type is reported.
func (r *reporter) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.errorf(place(n), "begin each entry with a dash", "%s is a list, this is %s", what, describe(n))
		return nil
	}
	return n.Content
}

// data reads n as plain data without templates.
func (r *reporter) data(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = r.data(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		l := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			l = append(l, r.data(c))
		}
		return l
	}
	val, hint, err := scalar(n)
	if err != nil {
		r.errorf(place(n), hint, "%v", err)
	}
	return val
}
