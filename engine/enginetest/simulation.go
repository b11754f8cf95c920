package enginetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	language "github.com/bellhop-dev/bellhop/engine/workflow"
)

// Simulate lets the engine work through random workflows on a store that fails and dies as the seed says, in virtual
// time, and checks what a user is promised: every accepted run ends; its journal is lawful; a completed step is never
// called again; failures are told; what may not be repeated happens once, and the rest no more often than there were crashes; lanes keep
// their order; no timer fires early.
//
// Each decision is drawn from the seed and from what it is about, not from one stream, so a seed fails in the same
// place again although goroutines of a bubble take turns as they like. Where only a certain order of turns shows a
// failure, several tries of the seed may be needed.
func Simulate(t *testing.T, open Open, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		s := &simulation{
			T: t, dice: dice(seed), open: func() engine.Store { return open(t, dir) },
			over:  make(chan struct{}),
			lanes: map[string][]*delivery{}, runs: map[engine.RunID]*delivery{}, ended: map[engine.RunID]int{},
			lost: map[engine.RunID]int{}, begun: map[string]bool{}, completed: map[string]bool{}, effects: map[string]int{},
			unknown: map[string]int{}, calls: map[string]int{}, ordinals: map[string]int{},
		}
		s.run()
		if t.Failed() {
			for _, w := range s.flows {
				t.Logf("workflow %s:\n%s", w.ID, w.Source)
			}
		}
	})
}

const (
	stormy   = 10 * time.Minute // faults come no later than this
	patience = 24 * time.Hour   // by then everything has ended
)

// dice draws from a seed and from what the draw is about.
type dice uint64

func (d dice) roll(about ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, about...)
	return rand.New(rand.NewPCG(uint64(d), h.Sum64()))
}

// simulation is one seed: the workflows, the events, the lives of the server, and what the world outside saw.
type simulation struct {
	*testing.T
	dice  dice
	open  func() engine.Store
	flows []*language.Workflow
	begin time.Time
	over  chan struct{}  // closed when all is checked
	links sync.WaitGroup // who follows them

	mu        sync.Mutex
	life      *life
	crashes   int // so far
	mayCrash  int // from now on
	lanes     map[string][]*delivery
	runs      map[engine.RunID]*delivery // accepted; nil: the child of another
	ended     map[engine.RunID]int       // writes that end it, done or about to be
	lost      map[engine.RunID]int       // claims
	begun     map[string]bool            // idempotency keys whose start is durable
	completed map[string]bool            // idempotency keys whose result is durable
	effects   map[string]int             // by idempotency key
	unknown   map[string]int             // answers that got lost on the way, by idempotency key
	calls     map[string]int             // by idempotency key
	ordinals  map[string]int             // calls of the store so far, by what they are about
}

// delivery is one event on its way in.
type delivery struct {
	number int
	lane   string
	id     engine.RunID // once it was acknowledged
}

// life is the server from one start to the next.
type life struct {
	number int
	engine *engine.Engine
	dead   chan struct{}
	die    func()
}

func (l *life) isDead() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

func (s *simulation) run() {
	r := s.dice.roll("plan")
	s.begin = time.Now()
	s.flows = randomWorkflows(s.T, s.dice)
	s.mayCrash = r.IntN(5)
	fed := make(chan struct{})
	var feeders sync.WaitGroup
	feeders.Go(func() { s.feed(); close(fed) })
	defer func() { close(s.over); feeders.Wait(); s.links.Wait() }()
	for number := 1; ; number++ {
		store := s.open()
		l := &life{number: number, dead: make(chan struct{})}
		l.die = sync.OnceFunc(func() { close(l.dead) })
		faulty := &faultyStore{Store: store, s: s, life: l, takeovers: map[engine.RunID]bool{}}
		var err error
		l.engine, err = engine.New(engine.Options{
			Store: faulty, HTTP: http.DefaultClient, Connectors: connectors.NewRegistry(s.world(l)),
			PublicURL: "https://bell.example.com", Workers: 1 + r.IntN(16),
		})
		if err != nil {
			s.Fatal(err)
		}
		if err := l.engine.Publish(s.Context(), s.flows...); err != nil {
			s.Fatal(err)
		}
		if err := l.engine.Alert(s.Context(), tellingWorkflow(s.T)); err != nil {
			s.Fatal(err)
		}
		faulty.armed.Store(true)
		s.mu.Lock()
		s.life = l
		s.mu.Unlock()
		ctx, stop := context.WithCancel(s.Context())
		ran := make(chan error, 1)
		go func() { ran <- l.engine.Run(ctx) }()
		restart := time.Time{}
		if r.IntN(4) == 0 && number < 6 {
			restart = time.Now().Add(time.Duration(r.IntN(120)) * time.Second)
		}
		over := s.watch(l, store, fed, restart)
		crashed := l.isDead()
		if crashed {
			store.(Crasher).Crash()
		}
		stop()
		if err := <-ran; err != nil && !errors.Is(err, engine.ErrClosed) {
			s.Errorf("the engine ended: %v", err)
		}
		if l.isDead() {
			if !crashed { // in the middle of the shutdown
				store.(Crasher).Crash()
			}
			continue
		}
		if over {
			s.check(store)
		}
		l.die()
		if err := store.Close(context.Background()); err != nil {
			s.Errorf("close: %v", err)
		}
		if over {
			return
		}
	}
}

// watch returns when this life is over. over: so is all work, or it should be.
func (s *simulation) watch(l *life, store engine.Store, fed chan struct{}, restart time.Time) (over bool) {
	for {
		select {
		case <-l.dead:
			return false
		case <-time.After(5 * time.Second):
		}
		if !restart.IsZero() && time.Now().After(restart) {
			return false
		}
		select {
		case <-fed:
			stats, err := store.Stats(s.Context())
			if err != nil {
				s.Fatal(err)
			}
			if stats.Live == 0 || time.Since(s.begin) > patience {
				return true
			}
		default:
			if time.Since(s.begin) > patience {
				s.Fatal("an event could not be delivered")
			}
		}
	}
}

// server is the engine that runs now.
func (s *simulation) server() *engine.Engine {
	for {
		s.mu.Lock()
		l := s.life
		s.mu.Unlock()
		if l != nil && !l.isDead() {
			return l.engine
		}
		select {
		case <-s.over:
			return l.engine
		case <-time.After(time.Second):
		}
	}
}

// feed delivers the events, some of them twice, and cancels some of their runs.
func (s *simulation) feed() {
	r := s.dice.roll("events")
	var busy sync.WaitGroup
	defer busy.Wait()
	for n := range 1 + r.IntN(10) {
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
		d := &delivery{number: n, lane: []string{"a", "b"}[r.IntN(2)]}
		w := s.flows[r.IntN(len(s.flows)-1)]
		s.mu.Lock()
		if w.Lane != nil {
			s.lanes[w.ID+d.lane] = append(s.lanes[w.ID+d.lane], d)
		}
		s.mu.Unlock()
		items := make([]any, r.IntN(6))
		for i := range items {
			items[i] = i
		}
		ev := engine.Event{
			Workflow: w.ID, Trigger: "webhook", Kind: engine.TriggerWebhook, At: time.Now(), Key: fmt.Sprint("event ", n), Window: 48 * time.Hour,
			Fields: map[string]any{"body": map[string]any{"n": n, "lane": d.lane, "items": items}},
		}
		var deliveries sync.WaitGroup
		for range 1 + r.IntN(2) {
			deliveries.Go(func() { s.deliver(ev, d) })
		}
		deliveries.Wait()
		if r.IntN(6) == 0 {
			after := time.Duration(r.IntN(60_000)) * time.Millisecond
			busy.Go(func() { s.cancel(d.id, after) })
		}
	}
}

// deliver sends an event as a careful sender does: again until it is acknowledged.
func (s *simulation) deliver(ev engine.Event, d *delivery) {
	for {
		id, _, err := s.server().Accept(s.Context(), ev)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if d.id != id && !d.id.IsZero() {
				s.Errorf("event %d became runs %s and %s", d.number, d.id, id)
			}
			d.id, s.runs[id] = id, d
			return
		}
		if !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrClosed) && !errors.Is(err, engine.ErrFull) {
			s.Errorf("accept: %v", err)
			return
		}
		time.Sleep(time.Second)
	}
}

func (s *simulation) cancel(id engine.RunID, after time.Duration) {
	time.Sleep(after)
	for {
		err := s.server().Cancel(s.Context(), id, "ada")
		if err == nil || errors.Is(err, engine.ErrNotFound) {
			return
		}
		time.Sleep(time.Second)
	}
}

// check reads every journal when all is over.
func (s *simulation) check(store engine.Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]engine.RunID, 0, len(s.runs))
	for id := range s.runs {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b engine.RunID) int { return cmp.Compare(a.String(), b.String()) })
	told := failures{failed: map[string]engine.RunID{}, told: map[string]int{}, about: map[string]int{}}
	defer told.check(s.T)
	for _, id := range ids {
		recs, err := store.Read(context.Background(), id, 0)
		if err != nil {
			s.Errorf("read run %s: %v", id, err)
			continue
		}
		before := s.Failed()
		s.checkRun(id, recs)
		told.add(s.T, id, recs)
		if s.Failed() && !before {
			s.Logf("journal of run %s:\n%s", id, s.journal(recs))
		}
	}
}

func (s *simulation) checkRun(id engine.RunID, recs []engine.Record) {
	CheckLaws(s.T, recs)
	if err := engine.CheckJournal(recs); err != nil {
		s.Errorf("run %s: %v", id, err)
	}
	last := recs[len(recs)-1]
	if last.Kind != engine.KindFinished {
		s.Errorf("run %s did not end within %s", id, patience)
	}
	if last.Reason == engine.ReasonQuarantined && s.crashes+s.lost[id] < 3 {
		s.Errorf("run %s is quarantined after %d crashes and %d lost claims: %s", id, s.crashes, s.lost[id], last.Data)
	}
	keys, due := map[string]string{}, map[string]time.Time{}
	for _, rec := range recs {
		switch rec.Kind {
		case engine.KindStepStarted, engine.KindStepFailed:
			if at := due[rec.Step]; rec.Kind == engine.KindStepStarted && rec.At.Before(at) {
				s.Errorf("run %s: step %s began again %s early", id, rec.Step, at.Sub(rec.At))
			}
			if rec.Kind == engine.KindStepStarted {
				keys[rec.Step] = rec.Key
			}
			due[rec.Step] = rec.Until
		case engine.KindStepCompleted:
			answered := slices.ContainsFunc(recs, func(r engine.Record) bool { return r.Kind == engine.KindSignal && r.Step == rec.Step })
			if at := due[rec.Step]; rec.At.Before(at) && !answered {
				s.Errorf("run %s: step %s ended %s early", id, rec.Step, at.Sub(rec.At))
			}
			if key := keys[rec.Step]; len(key) == keyLength && rec.Status == engine.StatusSucceeded && s.calls[key] > 0 && s.effects[key] == 0 {
				s.Errorf("run %s: step %s succeeded and nothing happened outside", id, rec.Step)
			}
		}
	}
}

// failures is what a user had to be told, and was.
type failures struct {
	failed map[string]engine.RunID // by workflow: one of its runs that failed
	told   map[string]int          // by workflow
	about  map[string]int          // by run
}

func (f *failures) add(t *testing.T, id engine.RunID, recs []engine.Record) {
	h, last := recs[0].Head, recs[len(recs)-1]
	if h.Workflow != engine.AlertsID {
		if last.Status == engine.StatusFailed && h.Caller.IsZero() {
			f.failed[h.Workflow] = id
		}
		return
	}
	ev, err := engine.DecodeEvent(recs[0].Data)
	if err != nil {
		t.Errorf("run %s: %v", id, err)
		return
	}
	body, _ := ev.Fields["body"].(map[string]any)
	about, _ := body["workflow"].(map[string]any)
	run, _ := body["run"].(map[string]any)
	f.told[fmt.Sprint(about["id"])]++
	f.about[fmt.Sprint(run["id"])]++
}

func (f *failures) check(t *testing.T) {
	for id, run := range f.failed {
		if f.told[id] == 0 {
			t.Errorf("run %s of workflow %s failed and nobody was told", run, id)
		}
	}
	for run, n := range f.about {
		if n > 1 {
			t.Errorf("the failure of run %s was told %d times", run, n)
		}
	}
}

// keyLength is that of an idempotency key; a call step's start has the id of a run in its place.
const keyLength = 26

func (s *simulation) journal(recs []engine.Record) string {
	var b strings.Builder
	for _, r := range recs {
		fmt.Fprintf(&b, "%3d %8.3fs %s %s attempt %d %s %s %s %.60s", r.Seq, r.At.Sub(s.begin).Seconds(), r.Kind, r.Step, r.Attempt, r.Status, r.Reason, r.Key, r.Data)
		if !r.Until.IsZero() {
			fmt.Fprintf(&b, " until %.3fs", r.Until.Sub(s.begin).Seconds())
		}
		b.WriteByte('\n')
	}
	return b.String()
}
