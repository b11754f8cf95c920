package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

// printRun draws a run for a person: what started it, a line for each step, and below a step what decided or broke it.
func printRun(w io.Writer, run *engine.RunView) {
	title := [][2]string{{"run", run.ID}, {"workflow", run.Workflow + " (version " + run.Version + ")"}, {"status", status(run)}}
	if run.Summary != "" {
		title = append(title, [2]string{"summary", run.Summary})
	}
	if run.Parent != "" {
		title = append(title, [2]string{"repeats", run.Parent})
	}
	if run.Caller != "" {
		title = append(title, [2]string{"called by", run.CallerStep + " of " + run.Caller})
	}
	title = append(title, [2]string{"trigger", startedBy(run.Trigger)}, [2]string{"started", clock(run.StartedAt)})
	if run.FinishedAt != nil {
		title = append(title, [2]string{"took", span(run.FinishedAt.Sub(run.StartedAt))})
	}
	for _, t := range title {
		fmt.Fprintf(w, "%-9s %s\n", t[0], cleanLine(t[1]))
	}
	if len(run.Steps) == 0 {
		return
	}
	fmt.Fprintln(w)
	rows := make([][]string, 0, len(run.Steps))
	lines := treeLines(run.Steps)
	for i := range run.Steps {
		row := stepRow(&run.Steps[i])
		row[0] = lines[i] + row[0]
		rows = append(rows, row)
	}
	var text strings.Builder
	table(&text, []string{"STEP", "KIND", "STATUS", "TOOK", "TRIES", "SUMMARY"}, rows)
	head, rest, _ := strings.Cut(text.String(), "\n")
	fmt.Fprintln(w, head)
	for i, line := range strings.Split(strings.TrimRight(rest, "\n"), "\n") {
		fmt.Fprintln(w, line)
		printBecause(w, run.Steps[i].Because)
	}
}

// treeLines are the lines in front of the steps that make a tree of them: those inside a step stand behind it.
func treeLines(steps []engine.StepView) []string {
	last := map[string]int{} // by parent: its last step
	for i := range steps {
		last[steps[i].Parent] = i
	}
	lines := make([]string, len(steps))
	below := map[string]string{} // by path: what stands in front of the steps inside
	for i := range steps {
		s := &steps[i]
		indent, inside := below[s.Parent]
		if s.Parent == "" || !inside {
			below[s.Path] = "" // at the top
			continue
		}
		if last[s.Parent] == i {
			lines[i], below[s.Path] = indent+"└ ", indent+"  "
		} else {
			lines[i], below[s.Path] = indent+"├ ", indent+"│ "
		}
	}
	return lines
}

func status(run *engine.RunView) string {
	if run.Reason != "" {
		return run.Status + " (" + run.Reason + ")"
	}
	return run.Status
}

// startedBy is id and kind of what started the run.
func startedBy(root any) string {
	m, _ := root.(map[string]any)
	id, kind := value.Text(m["id"]), value.Text(m["kind"])
	if id == kind {
		return kind
	}
	return id + " (" + kind + ")"
}

func stepRow(s *engine.StepView) []string {
	name := s.ID
	if s.Name != "" {
		name += " (" + shorten(s.Name, 30) + ")"
	}
	if s.Branch != "" {
		name = s.Branch + ": " + name
	}
	if s.Kind == "round" {
		name = "round " + strconv.Itoa(*s.Round+1)
	}
	tries, summary := strconv.Itoa(s.Attempts), s.Summary
	if slices.Contains([]string{"paths", "parallel", "for_each", "wait", "approve", "call"}, s.Kind) {
		tries = ""
	}
	switch {
	case s.Carried:
		tries, summary = "", "taken over from the run before"
	case s.Attempts == 0:
		tries = ""
	}
	if r := s.Rounds; r != nil && summary == "" {
		summary = fmt.Sprintf("%d of %d rounds done", r.Done, r.Total)
		if hidden := r.Total - r.Shown; hidden > 0 {
			summary += fmt.Sprintf(", %d not shown here", hidden)
		}
	}
	if s.Run != "" {
		summary = strings.TrimSuffix("run "+s.Run+", "+summary, ", ")
	}
	if s.Until != nil {
		summary = strings.TrimSuffix("waits until "+clock(*s.Until)+", "+summary, ", ")
	}
	if s.RetryAt != nil {
		summary += ", tried again at " + clock(*s.RetryAt)
	}
	if summary == "" {
		summary = excerpt(s.Output)
	}
	took := ""
	if s.MS > 0 {
		took = span(time.Duration(s.MS * float64(time.Millisecond)))
	}
	return []string{name, s.Kind, s.Status, took, tries, shorten(summary, 200)}
}

// excerpt is the beginning of an output, for a step that says nothing else.
func excerpt(output json.RawMessage) string { return shorten(cleanLine(string(output)), 80) }

// printBecause draws the comparisons that decided a filter, with the values that they saw.
func printBecause(w io.Writer, because []expression.Comparison) {
	for _, c := range because {
		holds := "no "
		if c.Result {
			holds = "yes"
		}
		line := fmt.Sprintf("    %s  %s", holds, c.Source)
		if c.Op != "" {
			line += fmt.Sprintf("   (%s %s %s)", literal(c.Left), c.Op, literal(c.Right))
		} else {
			line += fmt.Sprintf("   (it is %s)", literal(c.Left))
		}
		fmt.Fprintln(w, shorten(cleanLine(line), 300))
	}
}

// literal is a value as an expression would write it, so that text and number are told apart.
func literal(v any) string {
	text, err := value.AppendJSON(nil, v)
	if err != nil {
		return "?"
	}
	if string(text) == "null" {
		return "nothing"
	}
	return shorten(string(text), 80)
}
