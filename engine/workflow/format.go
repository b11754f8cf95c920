package workflow

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// Entry is one key of a mapping whose keys [Format] writes in this order.
type Entry struct {
	Key   string
	Value any // plain data, []Entry, or a list of such
}

// Format writes a mapping as YAML that reads back as the same data.
func Format(entries []Entry) (string, error) {
	d, err := formatted(entries, 0)
	if err != nil {
		return "", err
	}
	var lines []string
	l := layout{step: 2, list: 2}
	for i, key := range d.keys {
		lines = append(lines, l.entry(stringText(key, 0, false)+":", d.items[i], 0)...)
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// formatted is valueOf for values that hold entries.
func formatted(v any, depth int) (*datum, error) {
	switch v := v.(type) {
	case []Entry:
		d := &datum{kind: yaml.MappingNode}
		for _, e := range v {
			item, err := formatted(e.Value, depth+1)
			if err != nil {
				return nil, err
			}
			d.keys, d.items = append(d.keys, e.Key), append(d.items, item)
		}
		return d, nil
	case [][]Entry:
		d := &datum{kind: yaml.SequenceNode}
		for _, e := range v {
			item, err := formatted(e, depth+1)
			if err != nil {
				return nil, err
			}
			d.items = append(d.items, item)
		}
		return d, nil
	}
	return valueOf(v, depth)
}
