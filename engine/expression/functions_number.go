package expression

import (
	"math"
	"sort"
	"strconv"
	"strings"
)

var numberFunctions = []Function{
	{
		Name: "round", Group: "numbers", Signature: "round(number, digits?)", min: 1, max: 2, call: round,
		Summary: "Rounds to a whole number, or to so many digits after the point; halves go away from 0.",
		Example: `round(12.345, 2)`, Result: `12.35`,
	},
	{
		Name: "ceil", Group: "numbers", Signature: "ceil(number)", min: 1, max: 1, call: toWhole(math.Ceil),
		Summary: "Rounds up to a whole number.", Example: `ceil(1.2)`, Result: `2`,
	},
	{
		Name: "floor", Group: "numbers", Signature: "floor(number)", min: 1, max: 1, call: toWhole(math.Floor),
		Summary: "Rounds down to a whole number.", Example: `floor(1.8)`, Result: `1`,
	},
	{
		Name: "abs", Group: "numbers", Signature: "abs(number)", min: 1, max: 1, call: abs,
		Summary: "Gives a number without its sign.", Example: `abs(-3)`, Result: `3`,
	},
	{
		Name: "min", Group: "numbers", Signature: "min(number, number, …) or min(list)", min: 1, max: -1, call: extreme(-1),
		Summary: "Gives the smallest number.", Example: `min(3, 1, 2)`, Result: `1`,
	},
	{
		Name: "max", Group: "numbers", Signature: "max(number, number, …) or max(list)", min: 1, max: -1, call: extreme(1),
		Summary: "Gives the largest number.", Example: `max([3, 1, 2])`, Result: `3`,
	},
	{
		Name: "mean", Group: "numbers", Signature: "mean(list)", min: 1, max: -1, call: mean,
		Summary: "Gives the average, 0 of an empty list.", Example: `mean([1, 2, 6])`, Result: `3`,
	},
	{
		Name: "median", Group: "numbers", Signature: "median(list)", min: 1, max: -1, call: median,
		Summary: "Gives the number in the middle, 0 of an empty list.", Example: `median([1, 9, 2])`, Result: `2`,
	},
	{
		Name: "int", Group: "numbers", Signature: "int(value)", min: 1, max: 1, call: toInt,
		Summary: "Makes a whole number of a number or a text; a fraction is cut off.", Example: `int("42")`, Result: `42`,
	},
	{
		Name: "float", Group: "numbers", Signature: "float(value)", min: 1, max: 1, call: toNumber,
		Summary: "Makes a number of a text.", Example: `float("12.5") * 2`, Result: `25`,
	},
	{
		Name: "money", Group: "numbers", Signature: "money(amount, currency?)", min: 1, max: 2, call: money,
		Summary: "Writes an amount with the digits that its currency has.", Example: `money(1290.5, "EUR")`, Result: `"€1,290.50"`,
	},
	{
		Name: "bitand", Group: "numbers", Signature: "bitand(a, b)", min: 2, max: 2, call: bits(func(a, b int) int { return a & b }),
		Summary: "Gives the bits that are in both numbers.", Example: `bitand(6, 3)`, Result: `2`,
	},
	{
		Name: "bitor", Group: "numbers", Signature: "bitor(a, b)", min: 2, max: 2, call: bits(func(a, b int) int { return a | b }),
		Summary: "Gives the bits that are in one of the numbers or in both.", Example: `bitor(6, 3)`, Result: `7`,
	},
	{
		Name: "bitxor", Group: "numbers", Signature: "bitxor(a, b)", min: 2, max: 2, call: bits(func(a, b int) int { return a ^ b }),
		Summary: "Gives the bits that are in exactly one of the numbers.", Example: `bitxor(6, 3)`, Result: `5`,
	},
	{
		Name: "bitnand", Group: "numbers", Signature: "bitnand(a, b)", min: 2, max: 2, call: bits(func(a, b int) int { return a &^ b }),
		Summary: "Gives the bits of a that are not in b.", Example: `bitnand(6, 3)`, Result: `4`,
	},
	{
		Name: "bitnot", Group: "numbers", Signature: "bitnot(a)", min: 1, max: 1,
		call: func(m *machine, s *site, args []any) (any, error) {
			n, err := s.integer(m, 0, args[0])
			return ^n, err
		},
		Summary: "Turns every bit around.", Example: `bitnot(6)`, Result: `-7`,
	},
	{
		Name: "bitshl", Group: "numbers", Signature: "bitshl(a, n)", min: 2, max: 2, call: bits(func(a, n int) int { return a << (uint(n) & 63) }),
		Summary: "Moves the bits n places (0 to 63) to the left.", Example: `bitshl(3, 2)`, Result: `12`,
	},
	{
		Name: "bitshr", Group: "numbers", Signature: "bitshr(a, n)", min: 2, max: 2, call: bits(func(a, n int) int { return a >> (uint(n) & 63) }),
		Summary: "Moves the bits n places (0 to 63) to the right and keeps the sign.", Example: `bitshr(-8, 2)`, Result: `-2`,
	},
	{
		Name: "bitushr", Group: "numbers", Signature: "bitushr(a, n)", min: 2, max: 2,
		call:    bits(func(a, n int) int { return int(uint(a) >> (uint(n) & 63)) }),
		Summary: "Moves the bits n places (0 to 63) to the right and fills with 0.", Example: `bitushr(8, 2)`, Result: `2`,
	},
}

// asInt gives a float as an int where nothing is lost.
func asInt(f float64) any {
	if n, ok := whole(f); ok && math.Abs(f) < 1<<53 {
		return n
	}
	return f
}

func round(m *machine, s *site, args []any) (any, error) {
	f, err := s.number(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		if _, ok := args[0].(int); ok {
			return args[0], nil
		}
		return asInt(math.Round(f)), nil
	}
	digits, err := s.integer(m, 1, args[1])
	if err != nil {
		return nil, err
	}
	if digits < 0 || digits > 15 {
		return nil, faultf("round takes 0 to 15 digits, not %d", digits)
	}
	rounded, err := strconv.ParseFloat(decimal(f, digits), 64)
	if err != nil {
		return f, nil //nolint:nilerr // infinite: there is nothing to round
	}
	return asInt(rounded), nil
}

// decimal writes f with so many digits after the point. It rounds the digits that a person sees, so that 1.005 with
// two digits is 1.01, although the nearest float64 is a little less.
func decimal(f float64, digits int) string {
	text := strconv.FormatFloat(math.Abs(f), 'f', -1, 64)
	before, after, _ := strings.Cut(text, ".")
	up := len(after) > digits && after[digits] >= '5'
	if len(after) > digits {
		after = after[:digits]
	}
	all := []byte(before + after + strings.Repeat("0", digits-len(after)))
	for i := len(all) - 1; up && i >= 0; i-- {
		if all[i] != '9' {
			all[i]++
			up = false
			break
		}
		all[i] = '0'
	}
	if up {
		all = append([]byte{'1'}, all...)
	}
	out := string(all[:len(all)-digits])
	if digits > 0 {
		out += "." + string(all[len(all)-digits:])
	}
	if f < 0 && strings.ContainsAny(out, "123456789") {
		out = "-" + out
	}
	return out
}

func toWhole(f func(float64) float64) func(*machine, *site, []any) (any, error) {
	return func(m *machine, s *site, args []any) (any, error) {
		if _, ok := args[0].(int); ok {
			return args[0], nil
		}
		x, err := s.number(m, 0, args[0])
		return asInt(f(x)), err
	}
}

func abs(m *machine, s *site, args []any) (any, error) {
	if n, ok := args[0].(int); ok && n >= 0 {
		return n, nil
	}
	if n, ok := args[0].(int); ok && n != math.MinInt {
		return -n, nil
	}
	f, err := s.number(m, 0, args[0])
	return math.Abs(f), err
}

// operands gives the numbers that are written one by one or stand in lists.
func (s *site) operands(m *machine, args []any) ([]any, error) {
	var all []any
	for i, v := range args {
		list, ok := v.([]any)
		if !ok {
			if _, err := s.number(m, i, v); err != nil {
				return nil, err
			}
			all = append(all, v)
			continue
		}
		if err := m.grow(len(list) * sizeOfItem); err != nil {
			return nil, err
		}
		item := &site{at: s.at, name: s.name, args: []string{"an item of " + s.arg(i)}}
		for _, v := range list {
			if _, err := item.number(m, 0, v); err != nil {
				return nil, err
			}
		}
		if err := m.tick(len(list)); err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func extreme(sign int) func(*machine, *site, []any) (any, error) {
	return func(m *machine, s *site, args []any) (any, error) {
		list, err := s.operands(m, args)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, nil
		}
		best := list[0]
		for _, v := range list[1:] {
			o, err := order(m, s, v, best)
			if err != nil {
				return nil, err
			}
			if o == sign {
				best = v
			}
		}
		return best, nil
	}
}

func mean(m *machine, s *site, args []any) (any, error) {
	list, err := s.operands(m, args)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	sum := 0.0
	for _, v := range list {
		f, _ := toFloat(v)
		sum += f
	}
	return sum / float64(len(list)), nil
}

func median(m *machine, s *site, args []any) (any, error) {
	list, err := s.operands(m, args)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	if err := m.grow(8 * len(list)); err != nil {
		return nil, err
	}
	floats := make([]float64, len(list))
	for i, v := range list {
		floats[i], _ = toFloat(v)
	}
	sort.Float64s(floats)
	middle := len(floats) / 2
	if len(floats)%2 == 1 {
		return floats[middle], m.tick(4 * len(list))
	}
	return (floats[middle-1] + floats[middle]) / 2, m.tick(4 * len(list))
}

func toNumber(m *machine, s *site, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return parseNumber(v)
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	}
	_, err := s.number(m, 0, args[0])
	return args[0], err
}

func toInt(m *machine, s *site, args []any) (any, error) {
	v, err := toNumber(m, s, args)
	if err != nil {
		return nil, err
	}
	if f, ok := v.(float64); ok {
		if n, ok := whole(math.Trunc(f)); ok {
			return n, nil
		}
		return nil, faultf("%s is too large for a whole number", s.arg(0))
	}
	return v, nil
}

func bits(f func(a, b int) int) func(*machine, *site, []any) (any, error) {
	return func(m *machine, s *site, args []any) (any, error) {
		a, err := s.integer(m, 0, args[0])
		if err != nil {
			return nil, err
		}
		b, err := s.integer(m, 1, args[1])
		if err != nil {
			return nil, err
		}
		return f(a, b), nil
	}
}

// Currencies without two digits after the point (ISO 4217), and the signs of those that most people know.
var (
	minorDigits = map[string]int{
		"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
		"VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
		"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	}
	currencySigns = map[string]string{"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩"}
)

func money(m *machine, s *site, args []any) (any, error) {
	amount := args[0]
	if text, ok := amount.(string); ok {
		var err error
		if amount, err = parseNumber(text); err != nil {
			return nil, err
		}
	}
	f, err := s.number(m, 0, amount)
	if err != nil {
		return nil, err
	}
	if math.Abs(f) >= 1e15 || f != f {
		return nil, faultf("money writes amounts below 10^15")
	}
	currency := ""
	if len(args) == 2 {
		if currency, err = s.textOf(m, 1, args[1]); err != nil {
			return nil, err
		}
		if currency = strings.ToUpper(currency); currency != "" && (len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
			return nil, faultf("a currency has three letters, such as EUR, not %s", quote(args[1]))
		}
	}
	digits, ok := minorDigits[currency]
	if !ok {
		digits = 2
	}
	before, after, _ := strings.Cut(decimal(math.Abs(f), digits), ".")
	for i := len(before) - 3; i > 0; i -= 3 {
		before = before[:i] + "," + before[i:]
	}
	out := before
	if after != "" {
		out += "." + after
	}
	switch sign, ok := currencySigns[currency]; {
	case ok:
		out = sign + out
	case currency != "":
		out = currency + " " + out
	}
	if f < 0 && strings.ContainsAny(out, "123456789") {
		out = "-" + out
	}
	return out, nil
}
