package workflow

import "strings"

// Line is one line of a difference.
type Line struct {
	Op   string `json:"op" enum:"keep,add,remove"`
	Old  int    `json:"old" doc:"Its number in the old text, from 1; 0: it is not there."`
	New  int    `json:"new" doc:"Its number in the new text."`
	Text string `json:"text"`
}

// maxLineEdits bounds the search for the shortest difference; beyond it, the changed middle is replaced as a whole.
const maxLineEdits = 500

// DiffLines compares two texts by lines, with the lines that are equal around the changes, at most context of them.
// The search is that of Myers ("An O(ND) Difference Algorithm", 1986), forward only.
func DiffLines(before, after []byte, context int) []Line {
	a, b := strings.Split(string(before), "\n"), strings.Split(string(after), "\n")
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		from++
	}
	endA, endB := len(a), len(b)
	for endA > from && endB > from && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
	}
	var all []Line
	keep := func(i, j int) { all = append(all, Line{"keep", i + 1, j + 1, strings.TrimSuffix(a[i], "\r")}) }
	for i := range from {
		keep(i, i)
	}
	for _, step := range shortest(a[from:endA], b[from:endB]) {
		switch i, j := from+step.a, from+step.b; step.op {
		case "keep":
			keep(i, j)
		case "remove":
			all = append(all, Line{"remove", i + 1, 0, strings.TrimSuffix(a[i], "\r")})
		default:
			all = append(all, Line{"add", 0, j + 1, strings.TrimSuffix(b[j], "\r")})
		}
	}
	for i := range len(a) - endA {
		keep(endA+i, endB+i)
	}
	near := make([]bool, len(all))
	for i := range all {
		if all[i].Op != "keep" {
			for k := max(0, i-context); k <= min(len(all)-1, i+context); k++ {
				near[k] = true
			}
		}
	}
	lines := []Line{}
	for i := range all {
		if near[i] {
			lines = append(lines, all[i])
		}
	}
	return lines
}

// lineStep is one line of the way from a to b.
type lineStep struct {
	op   string
	a, b int
}

// shortest is the shortest way from a to b, or one that replaces all of it.
func shortest(a, b []string) []lineStep {
	var trace []map[int]int // by number of edits: how far each diagonal came
	v := map[int]int{1: 0}
	for d := 0; d <= len(a)+len(b) && d <= maxLineEdits; d++ {
		next := map[int]int{}
		for k := -d; k <= d; k += 2 {
			x := v[k-1] + 1
			if k == -d || k != d && v[k-1] < v[k+1] {
				x = v[k+1]
			}
			for x < len(a) && x-k < len(b) && x-k >= 0 && a[x] == b[x-k] {
				x++
			}
			next[k] = x
			if x >= len(a) && x-k >= len(b) {
				return walkBack(append(trace, v), a, b, d)
			}
		}
		trace = append(trace, v)
		v = next
	}
	var steps []lineStep
	for i := range a {
		steps = append(steps, lineStep{"remove", i, 0})
	}
	for j := range b {
		steps = append(steps, lineStep{"add", len(a), j})
	}
	return steps
}

// walkBack follows the trace from the end to the beginning.
func walkBack(trace []map[int]int, a, b []string, d int) []lineStep {
	var steps []lineStep
	x, y := len(a), len(b)
	for ; d >= 0; d-- {
		v := trace[d]
		k := x - y
		from := k - 1
		if k == -d || k != d && v[k-1] < v[k+1] {
			from = k + 1
		}
		startX := v[from]
		startY := startX - from
		if d == 0 {
			startX, startY = 0, 0
		}
		for x > startX && y > startY {
			x, y = x-1, y-1
			steps = append(steps, lineStep{"keep", x, y})
		}
		if d == 0 {
			break
		}
		if from == k+1 {
			y--
			steps = append(steps, lineStep{"add", x, y})
		} else {
			x--
			steps = append(steps, lineStep{"remove", x, y})
		}
	}
	for i, j := 0, len(steps)-1; i < j; i, j = i+1, j-1 {
		steps[i], steps[j] = steps[j], steps[i]
	}
	return steps
}
