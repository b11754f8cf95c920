package openapi

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// readYAML reads YAML into the plain data of this package. Scalars are read by the core schema of YAML 1.2, so a
// date stays a text and `no` is no boolean, whatever the library thinks of them.
func readYAML(src string, b *budget) (any, error) {
	// The library knows the directive of YAML 1.1 only.
	if rest, ok := strings.CutPrefix(src, "%YAML 1.2"); ok {
		src = "%YAML 1.1" + rest
	}
	limits := loaderlimits.New(loaderlimits.DepthFunc(func(depth int, _ *loaderlimits.DepthContext) error {
		if depth > maxDepth {
			return errDeep
		}
		return nil
	}))
	loader, err := yaml.NewLoader(strings.NewReader(src), yaml.WithPlugin(limits))
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		if errors.Is(err, errDeep) {
			return nil, errDeep
		}
		return nil, notYAML(src, err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	r := &yamlReader{budget: b, keys: map[string]string{}, shared: map[*yaml.Node]any{}, open: map[*yaml.Node]bool{}}
	return r.value(doc.Content[0], 0)
}

// loaderPlace is where the library's messages have the place: "… at L2.C7-L3.C6: text".
var loaderPlace = regexp.MustCompile(`(?s)^.* at (?:L[0-9]+\.C[0-9]+-)?L([0-9]+)\.C([0-9]+): (.*)$`)

// notYAML says where and why a text cannot be read, as the reader of JSON does.
func notYAML(src string, err error) error {
	m := loaderPlace.FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Errorf("this is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	why := m[3]
	if n, err := strconv.Atoi(m[1]); err == nil {
		if lines := strings.SplitN(src, "\n", n+1); len(lines) >= n && strings.HasPrefix(lines[n-1], "\t") {
			why = "the line begins with a tab: YAML is indented with blanks"
		}
	}
	return fmt.Errorf("%s:%s: this is not YAML: %s", m[1], m[2], why)
}

type yamlReader struct {
	budget *budget
	keys   map[string]string
	shared map[*yaml.Node]any  // what an anchor was read as; its aliases share it
	open   map[*yaml.Node]bool // anchors being read: an alias to one of them never ends
}

func (r *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	if err := r.budget.spend(depth); err != nil {
		return nil, err
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
		if n == nil || r.open[n] {
			return nil, errors.New("an alias (*) stands inside its own anchor (&)")
		}
		if v, ok := r.shared[n]; ok {
			return v, nil
		}
	}
	if n.Anchor != "" {
		r.open[n] = true
		defer delete(r.open, n)
	}
	v, err := r.content(n, depth)
	if err == nil && n.Anchor != "" {
		r.shared[n] = v
	}
	return v, err
}

func (r *yamlReader) content(n *yaml.Node, depth int) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		members := make([]member, 0, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind == yaml.AliasNode && key.Alias != nil {
				key = key.Alias
			}
			if key.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("%d:%d: a key is a text", key.Line, key.Column)
			}
			val, err := r.value(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			if key.Value == "<<" && key.Style == 0 {
				members = merged(members, val)
				continue
			}
			name, known := r.keys[key.Value]
			if !known {
				name = key.Value
				r.keys[name] = name
			}
			members = append(members, member{name, val})
		}
		return r.budget.object(members), nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			val, err := r.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, val)
		}
		return list, nil
	case yaml.ScalarNode:
		return scalar(n), nil
	}
	return nil, fmt.Errorf("%d:%d: this cannot be read", n.Line, n.Column)
}

// merged puts the members of a merge key before the others, so that the mapping's own win.
func merged(members []member, val any) []member {
	var from []member
	switch v := val.(type) {
	case *object:
		from = v.all()
	case []any:
		for i := len(v) - 1; i >= 0; i-- { // the first of them wins
			if o, ok := v[i].(*object); ok {
				from = append(from, o.all()...)
			}
		}
	}
	return append(append([]member(nil), from...), members...)
}

var (
	coreInt   = regexp.MustCompile(`^[-+]?[0-9]+$`)
	coreFloat = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	coreBase  = regexp.MustCompile(`^0(o[0-7]+|x[0-9a-fA-F]+)$`)
)

// scalar reads a plain scalar by the core schema (YAML 1.2.2, section 10.3.2); every other one is a text.
func scalar(n *yaml.Node) any {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Style&yaml.TaggedStyle != 0 && n.Tag == "!!str" {
		return strings.Clone(n.Value)
	}
	switch text := n.Value; text {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	default:
		if c := text[0]; c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
			return text
		}
		if num, ok := plainNumber(text); ok && !beyond(num) {
			return num
		}
		return text
	}
}

// beyond reports a number that no float64 holds, which a manifest cannot have: it stays text.
func beyond(n number) bool {
	_, err := strconv.ParseFloat(string(n), 64)
	return err != nil
}

// plainNumber writes a number of the core schema, of which the numbers of JSON are a part, the way JSON does.
func plainNumber(text string) (number, bool) {
	switch {
	case coreInt.MatchString(text):
		sign, digits := "", strings.TrimLeft(text, "+-")
		if text[0] == '-' {
			sign = "-"
		}
		if digits = strings.TrimLeft(digits, "0"); digits == "" {
			return "0", true
		}
		return number(sign + digits), true
	case coreBase.MatchString(text):
		i, ok := new(big.Int).SetString(text, 0)
		if !ok || len(text) > 40 {
			return "", false
		}
		return number(i.String()), true
	case coreFloat.MatchString(text):
		text = strings.TrimPrefix(text, "+")
		sign := ""
		if strings.HasPrefix(text, "-") {
			sign, text = "-", text[1:]
		}
		mantissa, exponent := text, ""
		if i := strings.IndexAny(text, "eE"); i >= 0 {
			mantissa, exponent = text[:i], "e"+strings.TrimPrefix(text[i+1:], "+")
		}
		before, after, _ := strings.Cut(mantissa, ".")
		if before = strings.TrimLeft(before, "0"); before == "" {
			before = "0"
		}
		if after != "" {
			after = "." + after
		}
		return number(sign + before + after + exponent), true
	}
	return "", false
}
