package openapi

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// externalError is a `$ref` that leads out of the document. Nothing is fetched: it could be a file of this machine
// or an address inside the network.
type externalError struct{ ref string }

func (e *externalError) Error() string {
	return fmt.Sprintf("$ref %q leads out of the document, where nothing is read: bundle the documents into one first", clip(e.ref))
}

// lookup finds what a `$ref` names; nil when there is nothing.
func (d *Document) lookup(ref string) (any, error) {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		if v := d.sloppy(ref); v != nil {
			return v, nil
		}
		return nil, &externalError{ref}
	}
	if plain, err := url.PathUnescape(pointer); err == nil {
		pointer = plain
	}
	if pointer == "" {
		return d.root, nil
	}
	if pointer[0] != '/' {
		return d.sloppy(ref), nil // an anchor, if not
	}
	if v := d.at(pointer); v != nil {
		return v, nil
	}
	return d.sloppy(ref), nil
}

// sloppy finds what a `$ref` means that is none by the letter: the bare name of a schema, as Swagger 1 had it, or a
// pointer without its #. It looks into this document only.
func (d *Document) sloppy(ref string) any {
	name := strings.TrimLeft(ref, "#/")
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	for _, group := range []string{"components/schemas/", "definitions/"} {
		name = strings.TrimPrefix(name, group)
	}
	for _, group := range []string{"components/schemas/", "definitions/"} {
		if v := d.at("/" + group + strings.ReplaceAll(name, "/", "~1")); v != nil {
			d.warn("", "$ref %q is read as the schema of this name", clip(ref))
			return v
		}
	}
	return nil
}

// at is what a JSON pointer (RFC 6901) leads to; nil when there is nothing.
func (d *Document) at(pointer string) any {
	var v any = d.root
	for part := range strings.SplitSeq(pointer[1:], "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		switch at := v.(type) {
		case *object:
			v = at.value(part)
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

// resolve follows references until it has the thing itself. What cannot be found is nil, with a note.
func (d *Document) resolve(v any) (*object, error) {
	for range maxRefs {
		o, _ := v.(*object)
		ref, isRef := o.value("$ref").(string)
		if !isRef {
			return o, nil
		}
		target, err := d.lookup(ref)
		if err != nil {
			return nil, err
		}
		if target == nil {
			d.warn("", "$ref %q leads to nothing: what it stands for may be anything", clip(ref))
			return nil, nil
		}
		v = target
	}
	return nil, fmt.Errorf("a chain of more than %d references", maxRefs)
}
