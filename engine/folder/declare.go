package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strconv"
	"strings"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Declare adds a connection to bellhop.yaml, so that workflows may name it wherever the folder lies. raw must hold no
// secret. Every other line of the file stays as it is. A name that is declared already is an error.
func (f *Folder) Declare(name string, raw map[string]any) error {
	return f.changeSettings("declare connection "+name, func(was Settings) (workflow.Op, error) {
		if _, ok := was.Connections[name]; ok {
			return nil, errors.New("it is declared already")
		}
		return workflow.Put{Path: workflow.Path("connections." + name), Value: raw}, nil
	}, func(was, now Settings) bool {
		return len(now.Connections) == len(was.Connections)+1 && reflect.DeepEqual(now.Connections[name], raw)
	}, true)
}

// Undeclare takes out what Declare added. A declaration that holds more than raw is left alone.
func (f *Folder) Undeclare(name string, raw map[string]any) error {
	return f.changeSettings("remove connection "+name, func(was Settings) (workflow.Op, error) {
		if !reflect.DeepEqual(was.Connections[name], raw) {
			return nil, nil
		}
		if len(was.Connections) == 1 {
			if reflect.DeepEqual(was, Settings{Connections: was.Connections}) { // a file keeps its last field
				return workflow.Put{Path: "connections", Value: map[string]any{}}, nil
			}
			return workflow.Delete{Path: "connections"}, nil
		}
		return workflow.Delete{Path: workflow.Path("connections." + name)}, nil
	}, func(was, now Settings) bool { return len(now.Connections) == len(was.Connections)-1 }, true)
}

// SetAlerts says in bellhop.yaml who is told of failures; nil: nobody. The error says what is wrong with it.
func (f *Folder) SetAlerts(a *Alert) error {
	if a != nil {
		settings := f.Settings()
		if _, problems := a.Workflow(f.opts.Connectors, settings.ConnectorOf()); problems.Err() != nil {
			return fmt.Errorf("set alerts: %s", problems[0].Message)
		}
	}
	return f.changeSettings("set alerts", func(was Settings) (workflow.Op, error) {
		switch {
		case reflect.DeepEqual(was.Alerts, a):
			return nil, nil
		case a == nil && reflect.DeepEqual(was, Settings{Alerts: was.Alerts}): // a file keeps its last field
			return workflow.Put{Path: "alerts", Value: nil}, nil
		case a == nil:
			return workflow.Delete{Path: "alerts"}, nil
		}
		value := map[string]any{"use": a.Use}
		if a.Connection != "" {
			value["connection"] = a.Connection
		}
		if len(a.With) > 0 {
			value["with"] = a.With
		}
		return workflow.Put{Path: "alerts", Value: value}, nil
	}, func(was, now Settings) bool {
		want := was
		want.Alerts = a
		return reflect.DeepEqual(want, now)
	}, false)
}

// changeSettings edits bellhop.yaml and sees that the settings changed as meant and in nothing else.
func (f *Folder) changeSettings(what string, op func(was Settings) (workflow.Op, error), meant func(was, now Settings) bool, connections bool) error {
	f.write.Lock()
	defer f.write.Unlock()
	src, err := f.readFile(settingsFile, maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", what, err)
	}
	was, problems := ParseSettings(settingsFile, src, nil)
	if err := problems.Err(); err != nil {
		return fmt.Errorf("%s: bellhop.yaml has errors; mend it first: %w", what, err)
	}
	change, err := op(was)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if change == nil {
		return nil
	}
	out, err := editSettings(src, change)
	if err != nil {
		return fmt.Errorf("%s: bellhop.yaml cannot be changed: %w", what, err)
	}
	now, problems := ParseSettings(settingsFile, out, nil)
	if problems.Err() != nil || !meant(was, now) || connections && !sameApart(was, now) {
		return fmt.Errorf("%s: bellhop.yaml cannot be changed without changing more than this; edit it by hand", what)
	}
	if err := f.put(settingsFile, out); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// setOne changes one setting that is a single value.
func (f *Folder) setOne(key, text string) error {
	return f.changeSettings("set "+key, func(was Settings) (workflow.Op, error) {
		now := was
		if text == "" {
			clearSetting(&now, key)
		} else if err := now.Set(key, text); err != nil {
			return nil, err
		}
		if reflect.DeepEqual(was, now) {
			return nil, nil
		}
		if text == "" {
			return workflow.Delete{Path: workflow.Path(key)}, nil
		}
		return workflow.Put{Path: workflow.Path(key), Value: plainSetting(key, text)}, nil
	}, func(was, now Settings) bool {
		want := was
		if text == "" {
			clearSetting(&want, key)
		} else if want.Set(key, text) != nil {
			return false
		}
		return reflect.DeepEqual(want, now)
	}, false)
}

// clearSetting makes a setting what it is in an empty file.
func clearSetting(s *Settings, key string) {
	var none Settings
	switch key {
	case "public_url":
		s.PublicURL = none.PublicURL
	case "timezone":
		s.Timezone = none.Timezone
	case "listen":
		s.Listen = none.Listen
	case "data":
		s.Data = none.Data
	case "storage.max":
		s.Storage.Max = none.Storage.Max
	case "storage.days":
		s.Storage.Days = none.Storage.Days
	case "outbound.allow":
		s.Outbound.Allow = none.Outbound.Allow
	}
}

// plainSetting is how a setting stands in the file.
func plainSetting(key, text string) any {
	switch key {
	case "storage.days":
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	case "outbound.allow":
		var list []any
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		return list
	}
	return text
}

func sameApart(a, b Settings) bool {
	a.Connections, b.Connections = nil, nil
	return reflect.DeepEqual(a, b)
}

// editSettings is workflow.Edit, also for a file that holds nothing yet.
func editSettings(src []byte, op workflow.Op) ([]byte, error) {
	const seed = "timezone: UTC\n"
	if !onlyComments(src) {
		return workflow.Edit(src, op)
	}
	head := append([]byte{}, src...)
	if n := len(head); n > 0 && head[n-1] != '\n' {
		head = append(head, '\n')
	}
	out, err := workflow.Edit([]byte(seed), op)
	if err != nil {
		return nil, err
	}
	return append(head, bytes.TrimPrefix(out, []byte(seed))...), nil
}

// onlyComments reports whether a file has no line with anything but a comment.
func onlyComments(src []byte) bool {
	for line := range bytes.Lines(src) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}
