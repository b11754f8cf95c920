package openapi

import (
	"strconv"
	"strings"
)

// A document is held as plain data: *object, []any, string, number, bool and nil. An object keeps the order of its
// members, because a form and a manifest show them as the document does.

// number is a number as it is written, so that no digit is lost on the way into a manifest.
type number string

// object is a mapping in the order of its document. The zero value is empty and ready; a nil *object is empty too.
type object struct {
	members []member
	index   map[string]int // only of large objects; nil until the first look
}

type member struct {
	key string
	val any
}

// indexed is the number of members from which a map is faster than looking through the list.
const indexed = 16

func (o *object) find(key string) int {
	if o == nil {
		return -1
	}
	if len(o.members) < indexed {
		for i := range o.members {
			if o.members[i].key == key {
				return i
			}
		}
		return -1
	}
	if o.index == nil {
		o.index = make(map[string]int, len(o.members))
		for i := range o.members {
			o.index[o.members[i].key] = i
		}
	}
	if i, ok := o.index[key]; ok {
		return i
	}
	return -1
}

func (o *object) has(key string) bool { return o.find(key) >= 0 }

func (o *object) value(key string) any {
	if i := o.find(key); i >= 0 {
		return o.members[i].val
	}
	return nil
}

func (o *object) object(key string) *object {
	v, _ := o.value(key).(*object)
	return v
}

func (o *object) list(key string) []any {
	v, _ := o.value(key).([]any)
	return v
}

// text returns a member as text; a number or boolean, which careless YAML gives for version: 1.0, as it is written.
func (o *object) text(key string) string {
	switch v := o.value(key).(type) {
	case string:
		return v
	case number:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// flag reads a boolean; the text "true", which some documents write, counts too.
func (o *object) flag(key string) bool {
	switch v := o.value(key).(type) {
	case bool:
		return v
	case string:
		return v == "true"
	}
	return false
}

// several is a member that should be a list of objects and may be one alone.
func (o *object) several(key string) []any {
	if one, ok := o.value(key).(*object); ok {
		return []any{one}
	}
	return o.list(key)
}

// set adds a member or replaces its value where it stands.
func (o *object) set(key string, val any) {
	if i := o.find(key); i >= 0 {
		o.members[i].val = val
		return
	}
	if o.index != nil {
		o.index[key] = len(o.members)
	}
	o.members = append(o.members, member{key, val})
}

// put is set for a value that may be empty: then nothing is added.
func (o *object) put(key string, val any) {
	switch v := val.(type) {
	case nil:
		return
	case string:
		if v == "" {
			return
		}
	case bool:
		if !v {
			return
		}
	case *object:
		if v.size() == 0 {
			return
		}
	case []any:
		if len(v) == 0 {
			return
		}
	}
	o.set(key, val)
}

func (o *object) remove(key string) {
	i := o.find(key)
	if i < 0 {
		return
	}
	o.members = append(o.members[:i:i], o.members[i+1:]...)
	o.index = nil
}

func (o *object) size() int {
	if o == nil {
		return 0
	}
	return len(o.members)
}

// all returns the members; the caller does not change them.
func (o *object) all() []member {
	if o == nil {
		return nil
	}
	return o.members
}

// clone copies the object itself, not what it holds.
func (o *object) clone() *object {
	out := &object{}
	out.members = append(out.members, o.all()...)
	return out
}

// deepCopy copies a value with all that it holds, so that one may be changed and the other not.
func deepCopy(v any) any {
	switch v := v.(type) {
	case *object:
		out := &object{members: make([]member, len(v.members))}
		for i, m := range v.members {
			out.members[i] = member{m.key, deepCopy(m.val)}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = deepCopy(item)
		}
		return out
	}
	return v
}

// equal compares two values; the order of members does not count.
func equal(a, b any) bool {
	switch a := a.(type) {
	case *object:
		b, ok := b.(*object)
		if !ok || a.size() != b.size() {
			return false
		}
		for _, m := range a.all() {
			if !b.has(m.key) || !equal(m.val, b.value(m.key)) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	}
	return a == b
}

// texts returns the texts of a list.
func texts(list []any) []string {
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// whole reads a number as an int; ok is false for a fraction or a number out of range.
func whole(v any) (n int, ok bool) {
	text, isNumber := v.(number)
	if !isNumber {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSuffix(string(text), ".0"))
	return n, err == nil
}

// describe names a value in the words of a message.
func describe(v any) string {
	switch v.(type) {
	case *object:
		return "a mapping"
	case []any:
		return "a list"
	case string:
		return "a text"
	case number:
		return "a number"
	case bool:
		return "true or false"
	}
	return "nothing"
}
