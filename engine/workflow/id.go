package workflow

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	idSegment = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	localID   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// maxID bounds a workflow id, so that it fits a key of the store and a file name of an export.
const maxID = 250

// reservedNames cannot be file names on Windows, whatever follows the dot.
var reservedNames = []string{
	"con", "prn", "aux", "nul",
	"com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
	"lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
}

// IDFromPath returns the id of the workflow whose file is at rel, a path below workflows/ such as
// billing/invoice.yaml. The error says what is wrong with the name.
func IDFromPath(rel string) (id string, err error) {
	rel = filepath.ToSlash(rel)
	if strings.HasSuffix(rel, ".test.yaml") {
		return "", errors.New("a name that ends in .test.yaml is that of a test file")
	}
	id, ok := strings.CutSuffix(rel, ".yaml")
	if !ok {
		return "", fmt.Errorf("the file name %q must end in .yaml", rel)
	}
	return id, CheckID(id)
}

// CheckID reports what keeps id from being the id of a workflow.
func CheckID(id string) error {
	if len(id) > maxID {
		return fmt.Errorf("the workflow id is longer than %d characters", maxID)
	}
	for segment := range strings.SplitSeq(id, "/") {
		switch {
		case !idSegment.MatchString(segment):
			return fmt.Errorf("%q cannot be part of a workflow id: use a-z, 0-9, _ and -, begin with a letter or a digit, "+
				"at most 63 characters", segment)
		case slices.Contains(reservedNames, segment):
			return fmt.Errorf("%q cannot be part of a workflow id: some systems have no file of that name", segment)
		}
	}
	return nil
}

// idOf guesses the id from the name under which a file is known: what follows the last folder named workflows,
// else the path itself, or its last part when it leads elsewhere.
func idOf(name string) string {
	id := strings.TrimSuffix(filepath.ToSlash(name), ".yaml")
	if i := strings.LastIndex("/"+id, "/workflows/"); i >= 0 {
		return id[i+len("workflows/"):]
	}
	if !filepath.IsLocal(name) {
		return id[strings.LastIndex(id, "/")+1:]
	}
	return strings.TrimPrefix(id, "./")
}

// titleOf makes a name for people from an id: billing/late-invoices is "Late invoices".
func titleOf(id string) string {
	last := id[strings.LastIndex(id, "/")+1:]
	words := strings.TrimSpace(strings.NewReplacer("-", " ", "_", " ").Replace(last))
	first, size := utf8.DecodeRuneInString(words)
	if size == 0 {
		return id
	}
	return string(unicode.ToUpper(first)) + words[size:]
}
