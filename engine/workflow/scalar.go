package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// The core schema of YAML 1.2.2, section 10.3.2. The library resolves by older rules, in which 014 is twelve.
var (
	coreInt   = regexp.MustCompile(`^[-+]?[0-9]+$`)
	coreOctal = regexp.MustCompile(`^0o[0-7]+$`)
	coreHex   = regexp.MustCompile(`^0x[0-9a-fA-F]+$`)
	coreFloat = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	coreInf   = regexp.MustCompile(`^[-+]?\.(inf|Inf|INF)$`)

	leadingZero = regexp.MustCompile(`^[-+]?0[0-9]+$`)
	underscores = regexp.MustCompile(`^[-+]?[0-9]+(_[0-9]+)+$`)
)

// isPlain reports whether a scalar stands without quotes, so that its text may mean something else.
func isPlain(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

func isNull(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || !isPlain(n) || n.Style&yaml.TaggedStyle != 0 {
		return false
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// scalar reads a scalar as plain data. hint is not empty when its text reads differently elsewhere.
func scalar(n *yaml.Node) (val any, hint string, err error) {
	if !isPlain(n) || n.Style&yaml.TaggedStyle != 0 {
		return n.Value, "", nil
	}
	if isNull(n) {
		return nil, "", nil
	}
	text := n.Value
	switch text {
	case "true", "True", "TRUE":
		return true, "", nil
	case "false", "False", "FALSE":
		return false, "", nil
	case ".nan", ".NaN", ".NAN":
		return nil, "", fmt.Errorf("%s is not a number that data can hold", text)
	}
	switch {
	case leadingZero.MatchString(text):
		return nil, fmt.Sprintf("quote it (%q) to keep it as text, or leave out the zeros", text),
			fmt.Errorf("%s is ambiguous: as a number it loses its leading zeros", text)
	case underscores.MatchString(text):
		return nil, fmt.Sprintf("quote it (%q) to keep it as text, or write %s", text, strings.ReplaceAll(text, "_", "")),
			fmt.Errorf("%s is ambiguous: it is text here and a number elsewhere", text)
	case coreInt.MatchString(text):
		return integer(text, 10), "", nil
	case coreOctal.MatchString(text):
		return integer(text[2:], 8), "", nil
	case coreHex.MatchString(text):
		return integer(text[2:], 16), "", nil
	case coreFloat.MatchString(text):
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(f, 0) {
			return nil, "", fmt.Errorf("%s is too large for a number", text)
		}
		return f, "", nil
	case coreInf.MatchString(text):
		return nil, "", fmt.Errorf("%s is not a number that data can hold", text)
	}
	return text, "", nil
}

// integer keeps every digit: as an int where it fits, else as the decimal text.
func integer(digits string, base int) any {
	if i, err := strconv.ParseInt(digits, base, 64); err == nil {
		return int(i)
	}
	var n big.Int
	n.SetString(digits, base) // the caller has seen that these are digits
	return json.Number(n.String())
}

// kindOf names the type of plain data in the words of a message.
func kindOf(val any) string {
	switch val.(type) {
	case nil:
		return "nothing"
	case bool:
		return "true or false"
	case int, float64, json.Number:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	}
	return "a mapping"
}

var durationText = regexp.MustCompile(`^(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?$`)

// maxDuration keeps a sum of times far from the end of what a time can hold.
const maxDuration = 3660 * 24 * time.Hour

// ParseDuration reads a span of time of a workflow file or of the settings, such as 30s, 5m, 2h, 3d or 1h30m. It is
// at least a second and at most ten years.
func ParseDuration(text string) (time.Duration, error) {
	parts := durationText.FindStringSubmatch(text)
	if text == "" || parts == nil {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	var sum time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.ParseInt(parts[i+1], 10, 64) // absent: 0; else at most nine digits
		if n > int64(maxDuration/unit) {
			return 0, fmt.Errorf("%q is longer than ten years", text)
		}
		sum += time.Duration(n) * unit
	}
	switch {
	case sum < time.Second:
		return 0, fmt.Errorf("%q is shorter than 1s", text)
	case sum > maxDuration:
		return 0, fmt.Errorf("%q is longer than ten years", text)
	}
	return sum, nil
}

var sizeText = regexp.MustCompile(`^([0-9]{1,12})(B|KB|KiB|MB|MiB|GB|GiB|TB|TiB)?$`)

// ParseSize reads a number of bytes, such as 512KiB, 25MiB, 2GB or 1000.
func ParseSize(text string) (int64, error) {
	parts := sizeText.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("%q is not a size", text)
	}
	unit := map[string]int64{
		"": 1, "B": 1, "KB": 1e3, "KiB": 1 << 10, "MB": 1e6, "MiB": 1 << 20, "GB": 1e9, "GiB": 1 << 30, "TB": 1e12, "TiB": 1 << 40,
	}[parts[2]]
	n, _ := strconv.ParseInt(parts[1], 10, 64) // at most twelve digits
	if n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is too large", text)
	}
	return n * unit, nil
}
