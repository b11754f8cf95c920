package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrTestThere says that a test file has a test of that name already.
var ErrTestThere = errors.New("there is a test of this name already")

// AddTest puts the one test of another test file behind those of a file, every byte of which stays. An empty file
// becomes the other one. The error says why the file cannot take it.
func AddTest(file, one []byte) ([]byte, error) {
	added, problems := ParseTest("the new test", one)
	if err := problems.Err(); err != nil || len(added.Tests) != 1 {
		return nil, errors.Join(errors.New("not one test"), err)
	}
	if len(bytes.TrimSpace(file)) == 0 {
		return one, nil
	}
	before, problems := ParseTest("the test file", file)
	if err := problems.Err(); err != nil {
		return nil, fmt.Errorf("the test file has mistakes: %w", err)
	}
	name := added.Tests[0].Name
	if slices.ContainsFunc(before.Tests, func(t *Test) bool { return t.Name == name }) {
		return nil, ErrTestThere
	}
	_, block, ok := bytes.Cut(one, []byte("\ntests:\n"))
	if !ok {
		return nil, errors.New("not a test file of one list")
	}
	indent, end, ok := listBelow(file, "tests")
	if !ok {
		return nil, errors.New("its tests do not stand one below the other")
	}
	var out bytes.Buffer
	out.Write(file[:end])
	if end > 0 && file[end-1] != '\n' {
		out.WriteByte('\n')
	}
	own := len(block) - len(bytes.TrimLeft(block, " "))
	for line := range bytes.Lines(block) {
		if rest := bytes.TrimLeft(line, " "); len(rest) > 1 {
			out.WriteString(indent)
			out.Write(line[min(own, len(line)-len(rest)):])
		} else {
			out.Write(line)
		}
	}
	out.Write(file[end:])
	after, problems := ParseTest("the test file", out.Bytes())
	if problems.Err() != nil || len(after.Tests) != len(before.Tests)+1 || after.Tests[len(before.Tests)].Name != name {
		return nil, errors.New("its form is not one that a test can be added to")
	}
	return out.Bytes(), nil
}

// listBelow finds the list of a top-level key whose items stand on lines of their own: how far they are indented, and
// where the list ends, before the comments of what follows.
func listBelow(src []byte, key string) (indent string, end int, ok bool) {
	at, inside, found := 0, false, false
	for line := range bytes.Lines(src) {
		text := strings.TrimRight(string(line), " \r\n")
		at += len(line)
		plain := strings.TrimLeft(text, " ")
		switch {
		case !inside:
			rest, is := strings.CutPrefix(text, key+":")
			rest = strings.TrimSpace(rest)
			inside = is && (rest == "" || strings.HasPrefix(rest, "#"))
		case plain == "" || strings.HasPrefix(plain, "#"):
		case !found && !strings.HasPrefix(plain, "-"):
			return "", 0, false
		case !found:
			indent, found, end = text[:len(text)-len(plain)], true, at
		case len(plain) == len(text) && !(indent == "" && strings.HasPrefix(plain, "-")):
			return indent, end, true // another key
		default:
			end = at
		}
	}
	return indent, end, found
}
