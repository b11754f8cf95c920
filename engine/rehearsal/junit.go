package rehearsal

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Outcome is the results of one test file.
type Outcome struct {
	File     string
	Workflow string
	Results  []Result
}

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	File     string      `xml:"file,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"` // seconds
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes outcomes in the XML that build servers read.
func JUnit(w io.Writer, outcomes []Outcome) error {
	var all junitSuites
	for _, o := range outcomes {
		s := junitSuite{Name: o.Workflow, File: o.File, Tests: len(o.Results)}
		total := 0.0
		for i := range o.Results {
			r := &o.Results[i]
			c := junitCase{Name: r.Name, Class: o.Workflow, File: o.File, Line: r.At.Line, Time: fmt.Sprintf("%.3f", r.Took.Seconds())}
			total += r.Took.Seconds()
			if !r.Passed() {
				s.Failures++
				c.Failure = &junitFailure{Message: r.Failures[0], Text: strings.Join(r.Failures, "\n")}
			}
			s.Cases = append(s.Cases, c)
		}
		s.Time = fmt.Sprintf("%.3f", total)
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}
