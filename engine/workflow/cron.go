package workflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// cronField is one of the five fields of a cron expression.
type cronField struct {
	name     string
	min, max int
	names    []string // of min, min+1, …
}

var cronFields = []cronField{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of month", 1, 31, nil},
	{"month", 1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{"day of week", 0, 6, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
}

// cronShorts are names that other tools know, in five fields.
var cronShorts = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// maxCron bounds a cron expression, in bytes.
const maxCron = 500

// CheckCron checks a cron expression: minute, hour, day of month, month, day of week, each *, a number, a range, a
// list of these, with a step such as */15. It refuses what parsers take and nobody means: a zone or a pause inside,
// a step that leaves its range, a range that runs backward, a day that no month has.
func CheckCron(text string) error {
	if err := checkCron(text); err != nil {
		return err
	}
	return nil
}

func checkCron(text string) *expression.Error {
	fail := func(hint, format string, args ...any) *expression.Error {
		return &expression.Error{Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	switch {
	case len(text) > maxCron:
		return fail("", "the expression is longer than %d characters", maxCron)
	case strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ="):
		return fail("use the key timezone", "a time zone cannot stand in the expression")
	case strings.HasPrefix(text, "@every"):
		return fail("use the key every", "@every cannot stand in the expression")
	case strings.HasPrefix(text, "@"):
		if fields, ok := cronShorts[strings.ToLower(strings.TrimSpace(text))]; ok {
			return fail(fmt.Sprintf("write %q", fields), "%s is not used here", text)
		}
		return fail(`such as "0 9 * * MON-FRI"`, "%q is not a cron expression", text)
	}
	fields := strings.Fields(text)
	switch {
	case len(fields) == 6:
		return fail("remove the first field if it is the seconds", "it has 6 fields, not 5: minute, hour, day of month, month, day of week")
	case len(fields) != len(cronFields):
		return fail(`such as "0 9 * * MON-FRI"`, "it has %d fields, not 5: minute, hour, day of month, month, day of week", len(fields))
	}
	var values [5][]int
	for i, field := range cronFields {
		for item := range strings.SplitSeq(fields[i], ",") {
			list, err := field.read(item)
			if err != nil {
				return err
			}
			values[i] = append(values[i], list...)
		}
	}
	if (fields[4] == "*" || fields[4] == "?") && !anyDay(values[2], values[3]) {
		return fail("", "no month in it has such a day, so it would never come")
	}
	return nil
}

// anyDay reports whether one of the months has one of the days in some year.
func anyDay(days, months []int) bool {
	longest := []int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for _, m := range months {
		if slices.Min(days) <= longest[m-1] {
			return true
		}
	}
	return false
}

// read gives the values of one item of a field, such as 5, MON-FRI, */15 or 10-50/20.
func (f cronField) read(item string) ([]int, *expression.Error) {
	fail := func(hint, format string, args ...any) ([]int, *expression.Error) {
		return nil, &expression.Error{Message: f.name + ": " + fmt.Sprintf(format, args...), Hint: hint}
	}
	base, stepText, stepped := strings.Cut(item, "/")
	low, high := f.min, f.max
	first, last, ranged := strings.Cut(base, "-")
	switch {
	case base == "*" || base == "?" && strings.HasPrefix(f.name, "day"):
	case base == "":
		return fail("", "%q is empty before the /", item)
	default:
		var bad *expression.Error
		if low, bad = f.number(first); bad != nil {
			return nil, bad
		}
		if ranged {
			if high, bad = f.number(last); bad != nil {
				return nil, bad
			}
		} else if !stepped {
			high = low
		}
		if low > high {
			return fail(fmt.Sprintf("write %s-%d,%d-%s", first, f.max, f.min, last), "the range %s runs backward", base)
		}
	}
	step := 1
	if stepped {
		n, err := strconv.Atoi(stepText)
		if err != nil || n < 1 || !digits(stepText) {
			return fail("", "the step %q is not a whole number above 0", stepText)
		}
		if n > high-low {
			return fail(fmt.Sprintf("the range has %d values", high-low+1), "the step %d leaves the range at once", n)
		}
		step = n
	}
	var values []int
	for v := low; v <= high; v += step {
		values = append(values, v)
	}
	return values, nil
}

// number reads a number or a name of the field.
func (f cronField) number(text string) (int, *expression.Error) {
	if i := slices.Index(f.names, strings.ToUpper(text)); i >= 0 {
		return f.min + i, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || !digits(text) || len(text) > 2 {
		hint := didYouMean(text, f.names)
		if strings.ContainsAny(text, "LW#") && hint == "" {
			hint = "L, W and # are not known here"
		}
		return 0, &expression.Error{Message: fmt.Sprintf("%s: %q is not a number from %d to %d", f.name, text, f.min, f.max), Hint: hint}
	}
	if n < f.min || n > f.max {
		hint := ""
		if n == 7 && f.max == 6 {
			hint = "Sunday is 0 or SUN"
		}
		return 0, &expression.Error{Message: fmt.Sprintf("%s: %d is not from %d to %d", f.name, n, f.min, f.max), Hint: hint}
	}
	return n, nil
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}
