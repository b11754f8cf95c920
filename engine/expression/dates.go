package expression

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

var dateFunctions = []Function{
	{
		Name: "now", Group: "dates", Signature: "now()", min: 0, max: 0,
		call: func(m *machine, _ *site, _ []any) (any, error) {
			return m.env.Now.In(m.zone()), nil
		},
		Summary: "Gives the date and time at which the step began.", Example: `now()`,
	},
	{
		Name: "parse_date", Group: "dates", Signature: "parse_date(value, layout?)", min: 1, max: 2, call: parseDate,
		Summary: "Reads a date: text as most systems write it, or as the layout says, or seconds since 1970. Dates compare and subtract as such, and become RFC 3339 text.",
		Example: `parse_date("2026-03-01 09:30")`, Result: `"2026-03-01T09:30:00Z"`,
	},
	{
		Name: "date", Group: "dates", Signature: "date(value, layout?)", min: 1, max: 2, call: parseDate,
		Summary: "Is another name of parse_date.", Example: `date("01.03.2026", "DD.MM.YYYY") < date("2026-03-02")`, Result: `true`,
	},
	{
		Name: "format_date", Group: "dates", Signature: "format_date(value, layout, zone?)", min: 2, max: 3, call: formatDate,
		Summary: `Writes a date: YYYY-MM-DD HH:mm:ss, MMM, MMMM, ddd, dddd, D, h, A, Z, [text], or "iso", "date", "time", "datetime", "unix".`,
		Example: `format_date("2026-03-01T09:30:00Z", "ddd D MMM YYYY, HH:mm")`, Result: `"Sun 1 Mar 2026, 09:30"`,
	},
	{
		Name: "add_duration", Group: "dates", Signature: "add_duration(date, duration)", min: 2, max: 2, call: addDuration,
		Summary: "Adds a duration such as 2d 3h, 1 month or -30m; days and months follow the calendar.",
		Example: `add_duration("2026-01-31T10:00:00Z", "1 month 2h")`, Result: `"2026-02-28T12:00:00Z"`,
	},
	{
		Name: "duration", Group: "dates", Signature: "duration(text)", min: 1, max: 1, call: duration,
		Summary: "Makes a duration, such as 1h30m, to compare or to add to a date.",
		Example: `parse_date("2026-03-02") - parse_date("2026-03-01") > duration("12h")`, Result: `true`,
	},
	{
		Name: "timezone", Group: "dates", Signature: "timezone(name)", min: 1, max: 1, call: timezone,
		Summary: "Checks the name of a time zone and gives it back.", Example: `timezone("Europe/Berlin")`, Result: `"Europe/Berlin"`,
	},
}

// A date is a time.Time and a duration a time.Duration while an expression is evaluated; its result holds them as
// text.

func isTime(v any) bool     { _, ok := v.(time.Time); return ok }
func isDuration(v any) bool { _, ok := v.(time.Duration); return ok }

func negateDuration(v any) (time.Duration, bool) {
	d, ok := v.(time.Duration)
	return -d, ok
}

// asTime reads a date, or a text with a date and a zone.
func asTime(v any) (time.Time, bool) {
	switch v := v.(type) {
	case time.Time:
		return v, true
	case string:
		t, err := readDate(v, time.UTC)
		return t, err == nil
	}
	return time.Time{}, false
}

func (m *machine) zone() *time.Location {
	if m.env.Zone == nil {
		return time.UTC
	}
	return m.env.Zone
}

// The ways of writing a date that parse_date knows, by how they begin. Those without a zone mean the zone of the
// workflow.
var (
	isoLayouts = []string{
		time.RFC3339Nano,
		"2006-01-02",
		"2006-01-02T15:04:05.999999999",
		"2006-01-02 15:04:05.999999999",
		"2006-01-02T15:04:05.999999999Z0700",
		"2006-01-02 15:04:05.999999999Z07:00",
		"2006-01-02 15:04:05.999999999 Z0700",
		"2006-01-02T15:04",
		"2006-01-02 15:04",
		"2006-01-02T15:04Z07:00",
	}
	compactLayouts = []string{
		"20060102T150405Z0700",
		"20060102",
		"2 Jan 2006 15:04:05 -0700",
		"2 Jan 2006",
	}
	nameLayouts = []string{
		"Mon, 2 Jan 2006 15:04:05 -0700",
		"Mon, 2 Jan 2006 15:04:05 MST",
		time.ANSIC,
		time.UnixDate,
		"Jan 2, 2006",
	}
)

func readDate(text string, zone *time.Location) (time.Time, error) {
	text = strings.TrimSpace(text)
	known := compactLayouts
	switch {
	case len(text) > 4 && text[4] == '-':
		known = isoLayouts
	case text != "" && text[0]|0x20 >= 'a' && text[0]|0x20 <= 'z':
		known = nameLayouts
	}
	if len(text) <= 64 {
		for _, layout := range known {
			if t, err := time.ParseInLocation(layout, text, zone); err == nil {
				return t, nil
			}
		}
	}
	f := faultf("%s is not a date", quote(text))
	f.hint = `write it as 2026-03-01T09:30:00Z, or say how it is written, as in parse_date(…, "DD.MM.YYYY")`
	return time.Time{}, f
}

// instant gives argument i as a date. A number is the seconds since 1970, or the milliseconds where seconds would be
// beyond the year 5000.
func (s *site) instant(m *machine, i int, v any) (time.Time, error) {
	switch v := v.(type) {
	case nil:
		return time.Time{}, s.missing(m, i)
	case time.Time:
		return v, nil
	case string:
		// The layouts that do not fit cost an error of Go each.
		if err := m.grow(512); err != nil {
			return time.Time{}, err
		}
		if err := m.tick(30); err != nil {
			return time.Time{}, err
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil && len(v) >= 9 {
			return unix(float64(n)).In(m.zone()), nil
		}
		return readDate(v, m.zone())
	}
	f, ok := toFloat(v)
	if !ok {
		return time.Time{}, s.wrong(i, v, "a date")
	}
	if math.Abs(f) > 253402300799e3 || f != f {
		return time.Time{}, faultf("%s is beyond the year 9999", s.arg(i))
	}
	return unix(f).In(m.zone()), nil
}

func unix(f float64) time.Time {
	if math.Abs(f) >= 1e11 {
		return time.UnixMilli(int64(f))
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(math.Round(fraction*1e6))*1000)
}

func parseDate(m *machine, s *site, args []any) (any, error) {
	if len(args) == 1 || args[0] == nil {
		return s.checkYear(s.instant(m, 0, args[0]))
	}
	text, err := s.textOf(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	layout, err := s.textOf(m, 1, args[1])
	if err != nil {
		return nil, err
	}
	if err := m.grow(512); err != nil {
		return nil, err
	}
	if err := m.tick(50); err != nil {
		return nil, err
	}
	if err := checkLayout(layout); err != nil {
		return nil, err
	}
	return s.checkYear(readLayout(text, layout, m.zone()))
}

// checkYear refuses the dates that RFC 3339 cannot write.
func (s *site) checkYear(t time.Time, err error) (any, error) {
	if err == nil && (t.Year() < 0 || t.Year() > 9999) {
		err = faultf("the date is beyond the year 9999")
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

var zones sync.Map // name -> *time.Location; the names that exist bound its size

func zoneOf(name string) (*time.Location, error) {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" {
		f := faultf("%s is not a time zone", quote(name))
		f.hint = "use a name such as Europe/Berlin or UTC"
		return nil, f
	}
	zones.Store(name, zone)
	return zone, nil
}

func timezone(m *machine, s *site, args []any) (any, error) {
	name, err := s.present(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	if err := m.tick(1000); err != nil {
		return nil, err
	}
	_, err = zoneOf(name)
	return name, err
}

func formatDate(m *machine, s *site, args []any) (any, error) {
	t, err := s.instant(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	layout, err := s.present(m, 1, args[1])
	if err != nil {
		return nil, err
	}
	zone := m.zone()
	if len(args) == 3 {
		name, err := s.present(m, 2, args[2])
		if err != nil {
			return nil, err
		}
		if err := m.tick(1000); err != nil {
			return nil, err
		}
		if zone, err = zoneOf(name); err != nil {
			return nil, err
		}
	}
	// A token of one letter gives at most nine, as D gives 31 and dddd Wednesday.
	if err := m.grow(9 * len(layout)); err != nil {
		return nil, err
	}
	if err := m.tick(len(layout)); err != nil {
		return nil, err
	}
	if err := checkLayout(layout); err != nil {
		return nil, err
	}
	return writeLayout(t.In(zone), layout), nil
}

func addDuration(m *machine, s *site, args []any) (any, error) {
	t, err := s.instant(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	if d, ok := args[1].(time.Duration); ok {
		return s.checkYear(t.Add(d), nil)
	}
	text, err := s.present(m, 1, args[1])
	if err != nil {
		return nil, err
	}
	p, err := parsePeriod(text)
	if err != nil {
		return nil, err
	}
	return s.checkYear(p.addTo(t.In(m.zone())), nil)
}

func duration(m *machine, s *site, args []any) (any, error) {
	if d, ok := args[0].(time.Duration); ok {
		return d, nil
	}
	text, err := s.present(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	p, err := parsePeriod(text)
	if err != nil {
		return nil, err
	}
	if p.months != 0 {
		return nil, faultf("months and years have no fixed length: add_duration(date, %s) follows the calendar", quote(text))
	}
	return time.Duration(p.days)*24*time.Hour + p.clock, nil
}

// period is a length of time by the calendar.
type period struct {
	months, days int
	clock        time.Duration
}

// addTo adds a period: months first, where the 31st becomes the last day of a shorter month, then days, then time.
func (p period) addTo(t time.Time) time.Time {
	if p.months != 0 {
		day := t.Day()
		first := t.AddDate(0, p.months, 1-day)
		last := first.AddDate(0, 1, -1).Day()
		t = first.AddDate(0, 0, min(day, last)-1)
	}
	return t.AddDate(0, 0, p.days).Add(p.clock)
}

var units = map[string]func(p *period, n float64){
	"y":  func(p *period, n float64) { p.months += int(math.Round(n * 12)) },
	"mo": func(p *period, n float64) { p.months += int(math.Round(n)) },
	"w":  func(p *period, n float64) { p.addDays(n * 7) },
	"d":  func(p *period, n float64) { p.addDays(n) },
	"h":  func(p *period, n float64) { p.clock += time.Duration(n * float64(time.Hour)) },
	"m":  func(p *period, n float64) { p.clock += time.Duration(n * float64(time.Minute)) },
	"s":  func(p *period, n float64) { p.clock += time.Duration(n * float64(time.Second)) },
	"ms": func(p *period, n float64) { p.clock += time.Duration(n * float64(time.Millisecond)) },
}

var unitNames = map[string]string{
	"year": "y", "month": "mo", "week": "w", "day": "d", "hour": "h", "hr": "h", "minute": "m", "min": "m", "second": "s", "sec": "s",
}

func (p *period) addDays(n float64) {
	days, fraction := math.Modf(n)
	p.days += int(days)
	p.clock += time.Duration(fraction * 24 * float64(time.Hour))
}

// parsePeriod reads numbers with units, such as 2d 3h, 1h30m, 1.5 hours or -30m. A sign in front counts for all.
func parsePeriod(text string) (period, error) {
	wrong := faultf("%s is not a duration", quote(text))
	wrong.hint = "write it as 2d 3h, 30m or 1 month"
	rest := strings.TrimSpace(text)
	sign := 1.0
	if strings.HasPrefix(rest, "-") {
		sign, rest = -1, rest[1:]
	} else {
		rest = strings.TrimPrefix(rest, "+")
	}
	var p period
	if rest == "" || len(rest) > 100 {
		return p, wrong
	}
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return p, wrong
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		letters := 0
		for letters < len(rest) && rest[letters]|0x20 >= 'a' && rest[letters]|0x20 <= 'z' {
			letters++
		}
		unit := strings.ToLower(rest[:letters])
		if short, ok := unitNames[strings.TrimSuffix(unit, "s")]; ok {
			unit = short
		}
		add, ok := units[unit]
		if !ok || n > 1e6 && unit != "s" && unit != "ms" || n > 1e11 || unit == "ms" && n > 1e13 || (unit == "h" || unit == "m") && n > 2e6 {
			return p, wrong
		}
		add(&p, sign*n)
		rest = strings.TrimLeft(rest[letters:], " ,")
	}
	if p.clock > math.MaxInt64/4 || p.clock < math.MinInt64/4 || p.days > 4e6 || p.days < -4e6 || p.months > 120000 || p.months < -120000 {
		return p, wrong
	}
	return p, nil
}

// tokens of a layout, the longer ones first.
var tokens = []string{
	"YYYY", "YY", "MMMM", "MMM", "MM", "M", "DD", "D", "dddd", "ddd", "HH", "H", "hh", "h", "mm", "m", "ss", "s", "SSS", "A", "a", "ZZ", "Z", "X",
}

var namedLayouts = map[string]string{
	"iso": "YYYY-MM-DD[T]HH:mm:ssZ", "date": "YYYY-MM-DD", "time": "HH:mm", "datetime": "YYYY-MM-DD HH:mm", "unix": "X",
}

// nextToken splits the first token, or the first literal piece, off a layout.
func nextToken(layout string) (token, literal, rest string) {
	if layout[0] == '[' {
		if inner, after, ok := strings.Cut(layout[1:], "]"); ok {
			return "", inner, after
		}
	}
	for _, t := range tokens {
		if strings.HasPrefix(layout, t) {
			return t, "", layout[len(t):]
		}
	}
	return "", layout[:1], layout[1:]
}

// foreign finds the layouts of other languages in what is left of one without [text]: %Y-%m-%d, yyyy-MM-dd and
// 2006-01-02. They would be written as they are, which nobody means.
var foreign = regexp.MustCompile(`%[A-Za-z]|yy|2006|(?:^|[^d])dd(?:[^d]|$)`)

// bracketed is text that a layout holds as it is.
var bracketed = regexp.MustCompile(`\[[^\]]*\]`)

// checkLayout refuses a layout that is written in the way of another language.
func checkLayout(layout string) error {
	if len(layout) > 100 || !foreign.MatchString(bracketed.ReplaceAllString(layout, "[]")) {
		return nil
	}
	f := faultf("%s is not how a date is laid out here", quote(layout))
	f.hint = "write it like YYYY-MM-DD HH:mm:ss, and text as [text]"
	return f
}

func writeLayout(t time.Time, layout string) string {
	if named, ok := namedLayouts[layout]; ok {
		layout = named
	}
	var b strings.Builder
	for layout != "" {
		var token, literal string
		token, literal, layout = nextToken(layout)
		switch token {
		case "":
			b.WriteString(literal)
		case "H":
			b.WriteString(strconv.Itoa(t.Hour()))
		case "SSS":
			b.WriteString(strconv.Itoa(1000 + t.Nanosecond()/1e6)[1:])
		case "X":
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		default:
			b.WriteString(t.Format(goLayouts[token]))
		}
	}
	return b.String()
}

var goLayouts = map[string]string{
	"YYYY": "2006", "YY": "06", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1", "DD": "02", "D": "2",
	"dddd": "Monday", "ddd": "Mon", "HH": "15", "hh": "03", "h": "3", "mm": "04", "m": "4", "ss": "05", "s": "5",
	"A": "PM", "a": "pm", "Z": "Z07:00", "ZZ": "-0700",
}

// readLayout reads a date that is written as a layout says. It turns both into what Go's parser takes: token by
// token with a bar between them, so that no letter of a literal is taken for a token of Go.
func readLayout(text, layout string, zone *time.Location) (time.Time, error) {
	wrong := faultf("%s is not a date written as %s", quote(text), quote(layout))
	if named, ok := namedLayouts[layout]; ok {
		layout = named
	}
	if len(layout) > 100 || len(text) > 200 {
		return time.Time{}, wrong
	}
	var goLayout, goText strings.Builder
	rest := strings.TrimSpace(text)
	for layout != "" {
		var token, literal string
		token, literal, layout = nextToken(layout)
		if token == "" {
			var ok bool
			if rest, ok = strings.CutPrefix(rest, literal); !ok {
				return time.Time{}, wrong
			}
			continue
		}
		n := tokenLength(rest, token)
		if n == 0 {
			return time.Time{}, wrong
		}
		part := rest[:n]
		rest = rest[n:]
		switch token {
		case "X":
			seconds, err := strconv.ParseFloat(part, 64)
			if err != nil {
				return time.Time{}, wrong
			}
			return unix(seconds).In(zone), nil
		case "H":
			token = "HH"
			if n == 1 {
				part = "0" + part
			}
		case "SSS":
			goLayout.WriteString("|.000")
			goText.WriteString("|." + part)
			continue
		case "a":
			part = strings.ToLower(part)
		case "A":
			part = strings.ToUpper(part)
		}
		goLayout.WriteString("|" + goLayouts[token])
		goText.WriteString("|" + part)
	}
	t, err := time.ParseInLocation(goLayout.String(), goText.String(), zone)
	if err != nil || rest != "" {
		return time.Time{}, wrong
	}
	return t, nil
}

// tokenLength tells how many bytes of text belong to a token; 0: text does not begin with it.
func tokenLength(text, token string) int {
	run := func(limit int, ok func(c byte) bool) int {
		n := 0
		for n < len(text) && n < limit && ok(text[n]) {
			n++
		}
		return n
	}
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	letter := func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
	switch token {
	case "YYYY":
		return run(4, digit)
	case "SSS":
		return run(3, digit)
	case "MMMM", "dddd":
		return run(9, letter)
	case "MMM", "ddd":
		return run(3, letter)
	case "A", "a":
		return run(2, letter)
	case "X":
		return run(20, func(c byte) bool { return digit(c) || c == '-' || c == '.' })
	case "Z", "ZZ":
		if strings.HasPrefix(text, "Z") {
			return 1
		}
		return run(6, func(c byte) bool { return digit(c) || c == '+' || c == '-' || c == ':' })
	}
	return run(2, digit)
}

// plainTime gives dates and durations as the text that they are outside of an expression.
func plainTime(v any) any {
	switch v.(type) {
	case time.Time, time.Duration:
		return value.Text(v)
	}
	return v
}
