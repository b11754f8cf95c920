package engine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine"
)

func TestTheViewIsATree(t *testing.T) {
	p := play(t, compiled(t, everyKind), everyBody, nil, engine.RunID{})
	var got []string
	for _, s := range p.View.Steps {
		line := s.Path + " in " + s.Parent
		if s.Branch != "" {
			line += ":" + s.Branch
		}
		got = append(got, line+" "+s.Status)
	}
	want := strings.Split(strings.TrimSpace(`
route in  succeeded
large in route:Large succeeded
size in route:Large succeeded
both in  succeeded
a1 in both:a succeeded
wait_7 in both:a succeeded
a2 in both:a succeeded
b1 in both:b succeeded
nap in both:b succeeded
b2 in both:b succeeded
lines in  succeeded
lines[0] in lines succeeded
lines[0].filter_13 in lines[0] succeeded
lines[0].send in lines[0] succeeded
lines[0].parts in lines[0] succeeded
lines[0].parts[0] in lines[0].parts succeeded
lines[0].parts[0].part in lines[0].parts[0] succeeded
lines[0].parts[0].set_17 in lines[0].parts[0] succeeded
lines[0].parts[1] in lines[0].parts succeeded
lines[0].parts[1].part in lines[0].parts[1] succeeded
lines[0].parts[1].set_17 in lines[0].parts[1] succeeded
lines[0].set_18 in lines[0] succeeded
lines[1] in lines filtered
lines[1].filter_13 in lines[1] filtered
lines[2] in lines succeeded
lines[2].filter_13 in lines[2] succeeded
lines[2].send in lines[2] succeeded
lines[2].parts in lines[2] succeeded
lines[2].set_18 in lines[2] succeeded
lines[3] in lines succeeded
lines[3].filter_13 in lines[3] succeeded
lines[3].send in lines[3] succeeded
lines[3].parts in lines[3] succeeded
lines[3].parts[0] in lines[3].parts succeeded
lines[3].parts[0].part in lines[3].parts[0] succeeded
lines[3].parts[0].set_17 in lines[3].parts[0] succeeded
lines[3].set_18 in lines[3] succeeded
ask in  succeeded
paid in  succeeded
child in  succeeded
end in  succeeded`), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheRoundsOfALongLoopComeInPages(t *testing.T) {
	w := compiled(t, "steps:\n  - {id: l, for_each: {in: '1..100'}, steps: [{id: x, use: other.put, with: {n: '${{ item }}'}}]}\n")
	p := play(t, w, nil, nil, engine.RunID{})
	if got := len(p.View.Steps); got != 1+2*20 {
		t.Errorf("the run shows %d steps", got)
	}
	if r := p.View.Steps[0].Rounds; r == nil || *r != (engine.RoundsView{Total: 100, Done: 100, Shown: 20}) {
		t.Errorf("rounds are %+v", r)
	}
	seen := 0
	for first := 0; first >= 0; {
		steps, next, err := engine.RoundSteps(p.ID, w, p.Records, "l", first, 30)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if s.Kind == "round" {
				if *s.Round != seen {
					t.Fatalf("round %d where %d is due", *s.Round, seen)
				}
				seen++
			}
		}
		first = next
	}
	if seen != 100 {
		t.Errorf("%d rounds", seen)
	}
	if _, _, err := engine.RoundSteps(p.ID, w, p.Records, "x", 0, 1); err == nil {
		t.Error("there are rounds of a step that is no loop")
	}
}
