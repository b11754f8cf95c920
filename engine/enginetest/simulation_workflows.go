package enginetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	language "github.com/bellhop-dev/bellhop/engine/workflow"
)

// randomWorkflows are two that events start and a last one that only they call.
func randomWorkflows(t *testing.T, d dice) (list []*language.Workflow) {
	for _, id := range []string{"one", "two", "child"} {
		g := generator{Rand: d.roll("workflow", id), id: id}
		g.left = 1 + g.IntN(12)
		doc := map[string]any{"triggers": []any{map[string]any{"webhook": map[string]any{}}}}
		if id != "child" && g.IntN(2) == 0 {
			doc["lane"], g.lane = "trigger.body.lane", true
		}
		if id != "child" && g.IntN(4) == 0 {
			doc["concurrency"] = map[string]any{"limit": 1 + g.IntN(3), "when_full": "queue"}
		}
		if g.IntN(8) == 0 {
			doc["timeout"] = fmt.Sprintf("%dm", 1+g.IntN(5))
		}
		doc["steps"] = g.steps(0)
		if g.IntN(3) == 0 {
			doc["on_failure"] = []any{g.use()}
		}
		src, err := json.Marshal(doc) // which is YAML
		if err != nil {
			t.Fatal(err)
		}
		w, problems := language.Parse("workflows/"+id+".yaml", src)
		if err := problems.Err(); err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		w.ID = id
		list = append(list, w)
	}
	return list
}

// tellingWorkflow tells the world of failures.
func tellingWorkflow(t *testing.T) *language.Workflow {
	w, problems := language.Parse("workflows/alerts.yaml", []byte(`
triggers: [{webhook: {}}]
steps:
  - {id: tell, use: world.put, with: {again: false, event: 0, lane: "", run: "${{ run.id }}", step: tell}}
`))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return w
}

type generator struct {
	*rand.Rand
	id   string
	lane bool
	left int // steps
	last int // number of the last one
}

func (g *generator) name() string {
	g.last++
	return fmt.Sprint("s", g.last)
}

// steps is a list of at least one.
func (g *generator) steps(depth int) (list []any) {
	for n := 1 + g.IntN(4); n > 0 || depth == 0 && g.left > 0; n-- {
		g.left--
		list = append(list, g.step(depth))
		if g.left <= 0 {
			break
		}
	}
	return list
}

func (g *generator) step(depth int) map[string]any {
	id := g.name()
	kind := g.IntN(24)
	if depth > 2 && kind >= 18 {
		kind = 0
	}
	var s map[string]any
	switch kind {
	case 9:
		s = map[string]any{"set": map[string]any{"twice": "${{ (trigger.body.n ?? 1) * 2 }}", "at": "${{ now() }}"}}
	case 10:
		s = map[string]any{"filter": fmt.Sprintf("(trigger.body.n ?? 0) != %d", g.IntN(12))}
	case 11, 12:
		s = map[string]any{"wait": map[string]any{"for": fmt.Sprintf("%ds", 1+g.IntN(40))}}
	case 13:
		s = map[string]any{"wait": map[string]any{"callback": map[string]any{"timeout": fmt.Sprintf("%ds", 1+g.IntN(120))}}, "on_error": "continue"}
	case 14, 15:
		if g.id == "child" {
			return g.use()
		}
		s = map[string]any{"call": map[string]any{"workflow": "child", "with": map[string]any{"n": g.IntN(10), "items": []any{1, 2}}}}
		if g.IntN(2) == 0 {
			s["on_error"] = "continue"
		}
	case 16:
		ask := g.use()
		ask["with"].(map[string]any)["link"] = fmt.Sprintf("${{ approval_url(%q) }}", id)
		return map[string]any{"parallel": []any{
			map[string]any{"name": "tell", "steps": []any{ask}},
			map[string]any{"name": "ask", "steps": []any{map[string]any{
				"id": id, "approve": map[string]any{"message": "Go on?", "timeout": fmt.Sprintf("%ds", 1+g.IntN(180))}, "on_error": "continue",
			}}},
		}}
	case 17:
		if g.IntN(4) > 0 {
			return g.use()
		}
		s = map[string]any{"stop": map[string]any{"as": []string{"succeeded", "failed", "filtered", "canceled"}[g.IntN(4)], "message": "enough"}}
	case 18, 19:
		s = map[string]any{"paths": []any{
			map[string]any{"name": "even", "when": "(trigger.body.n ?? 0) % 2 == 0", "steps": g.steps(depth + 1)},
			map[string]any{"name": "else", "steps": g.steps(depth + 1)},
		}}
		if g.IntN(3) == 0 {
			s["match"] = "all"
		}
	case 20, 21:
		s = map[string]any{"parallel": []any{
			map[string]any{"name": "a", "steps": g.steps(depth + 1)},
			map[string]any{"name": "b", "steps": g.steps(depth + 1)},
			map[string]any{"name": "c", "steps": g.steps(depth + 1)},
		}}
	case 22, 23:
		s = map[string]any{
			"for_each": map[string]any{"in": "trigger.body.items", "concurrency": 1 + g.IntN(4)},
			"steps":    g.steps(depth + 1),
		}
		if g.IntN(3) == 0 {
			s["on_error"] = "continue"
		}
	default:
		return g.use()
	}
	s["id"] = id
	return s
}

func (g *generator) use() map[string]any {
	id, again := g.name(), g.IntN(5) == 0
	lane := ""
	if g.lane {
		lane = g.id + "${{ trigger.body.lane }}"
	}
	s := map[string]any{
		"id": id, "use": []string{"world.put", "world.send"}[g.IntN(2)], "timeout": "30s",
		"with": map[string]any{"run": "${{ run.id }}", "step": id, "event": "${{ trigger.body.n }}", "lane": lane, "again": again},
	}
	if again || g.IntN(2) == 0 {
		s["retry"] = map[string]any{"attempts": 1 + g.IntN(5), "initial": fmt.Sprintf("%ds", 1+g.IntN(5)), "max": fmt.Sprintf("%ds", 5+g.IntN(30)), "unknown": again}
	}
	switch g.IntN(6) {
	case 0, 1, 2:
		s["on_error"] = "continue"
	case 3:
		s["on_error"] = []any{map[string]any{"id": g.name(), "set": map[string]any{"why": "${{ error.message }}"}}}
	}
	return s
}
