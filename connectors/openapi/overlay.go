package openapi

import (
	"errors"
	"fmt"
	"strings"
)

// maxTargets bounds what one action of an overlay changes.
const maxTargets = 100_000

// Apply changes the document as an overlay says (Overlay Specification 1.0 and 1.1: update, remove, copy). Targets are
// written in a part of JSONPath, which jsonPath lists. A target that matches nothing is a note, not an error.
func (d *Document) Apply(src []byte) error {
	overlay, _, _, err := read(src)
	if err != nil {
		return err
	}
	version := overlay.text("overlay")
	switch {
	case version == "":
		return errors.New("this is no overlay: it does not begin with `overlay: 1.1.0`")
	case !strings.HasPrefix(version, "1."):
		return fmt.Errorf("overlay version %q is not read: 1.0 and 1.1 are", clip(version))
	}
	actions, ok := overlay.value("actions").([]any)
	if !ok {
		return errors.New("the overlay has no list of actions")
	}
	for i, raw := range actions {
		action, ok := raw.(*object)
		if !ok {
			return fmt.Errorf("actions[%d] is %s, not a mapping", i, describe(raw))
		}
		if err := d.change(action, i); err != nil {
			return fmt.Errorf("actions[%d]: %w", i, err)
		}
	}
	return d.begin()
}

func (d *Document) change(action *object, i int) error {
	for _, m := range action.all() {
		switch m.key {
		case "target", "description", "update", "remove", "copy":
		default:
			if !strings.HasPrefix(m.key, "x-") {
				return fmt.Errorf("an action has no key %q: known are target, description, update, remove, copy", clip(m.key))
			}
		}
	}
	text := action.text("target")
	if text == "" {
		return errors.New("it has no target")
	}
	path, err := compilePath(text)
	if err != nil {
		return fmt.Errorf("target %s: %w", clip(text), err)
	}
	found := path.find(d.root)
	if len(found) > maxTargets {
		return fmt.Errorf("target %s means more than %d places", clip(text), maxTargets)
	}
	if len(found) == 0 {
		d.warn(fmt.Sprintf("overlay actions[%d]", i), "target %s matches nothing", clip(text))
		return nil
	}
	if action.flag("remove") {
		return remove(found)
	}
	update, has := action.value("update"), action.has("update")
	if from := action.text("copy"); from != "" {
		if has {
			return errors.New("it has both update and copy")
		}
		source, err := compilePath(from)
		if err != nil {
			return fmt.Errorf("copy %s: %w", clip(from), err)
		}
		places := source.find(d.root)
		if len(places) != 1 {
			return fmt.Errorf("copy %s means %d places: it has to be one", clip(from), len(places))
		}
		update, has = places[0].val, true
	}
	if !has {
		return errors.New("it has none of update, remove and copy")
	}
	for _, place := range found {
		if err := place.update(deepCopy(update)); err != nil {
			return err
		}
	}
	return nil
}

// update merges a value into the place: objects member by member, lists by adding to them, anything else replaces.
func (p *found) update(val any) error {
	switch have := p.val.(type) {
	case *object:
		with, ok := val.(*object)
		if !ok {
			return fmt.Errorf("%s is a mapping and cannot be updated with %s", p.name, describe(val))
		}
		merge(have, with)
		return nil
	case []any:
		if list, ok := val.([]any); ok {
			return p.replace(append(have[:len(have):len(have)], list...))
		}
		return p.replace(append(have[:len(have):len(have)], val))
	}
	switch val.(type) {
	case *object, []any:
		return fmt.Errorf("%s is %s and cannot be updated with %s", p.name, describe(p.val), describe(val))
	}
	return p.replace(val)
}

func merge(into, with *object) {
	for _, m := range with.all() {
		have := into.value(m.key)
		switch val := m.val.(type) {
		case *object:
			if o, ok := have.(*object); ok {
				merge(o, val)
				continue
			}
		case []any:
			if list, ok := have.([]any); ok {
				into.set(m.key, append(list[:len(list):len(list)], val...))
				continue
			}
		}
		into.set(m.key, m.val)
	}
}

func (p *found) replace(val any) error {
	switch parent := p.parent.(type) {
	case *object:
		parent.set(p.key, val)
	case []any:
		parent[p.index] = val
	default:
		return errors.New("the whole document cannot be replaced")
	}
	return nil
}

// removed marks an entry of a list until all that go are known; so the others keep their places.
type removed struct{}

func remove(list []*found) error {
	var holders []*found
	for _, p := range list {
		switch parent := p.parent.(type) {
		case *object:
			parent.remove(p.key)
		case []any:
			parent[p.index] = removed{}
			holders = append(holders, p.holder)
		default:
			return errors.New("the whole document cannot be removed")
		}
	}
	for _, h := range holders {
		list := h.val.([]any)
		kept := make([]any, 0, len(list))
		for _, v := range list {
			if v != any(removed{}) {
				kept = append(kept, v)
			}
		}
		if err := h.replace(kept); err != nil {
			return err
		}
	}
	return nil
}
