package trigger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
)

// Task is what the law asks of us because a system told us so: to show what we hold of a person, or to erase it.
type Task struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind" enum:"access,erase,erase_all" doc:"What is asked for."`
	Connection string    `json:"connection"`
	Connector  string    `json:"connector"`
	Trigger    string    `json:"trigger"`
	Subject    string    `json:"subject" doc:"Whose data it is about, such as an e-mail address. Empty once it is erased."`
	At         time.Time `json:"at" doc:"When it came."`
	Due        time.Time `json:"due" doc:"To be done by then."`
	Done       time.Time `json:"done,omitzero"`
	By         string    `json:"by,omitempty" doc:"Who did it; bellhop: it was done by itself."`
	Runs       int       `json:"runs" doc:"Runs that were erased."`
	Note       string    `json:"note,omitempty" doc:"What keeps it from being done by itself."`
}

const (
	taskPrefix  = "task/"
	taskKept    = 365 * 24 * time.Hour // a task that is done
	maxTasks    = 10_000               // that are listed
	leastText   = 5                    // characters of a subject that is searched for by itself
	taskPause   = time.Hour            // between two looks at what could not be erased yet
	eraseBudget = 10_000               // runs of one task
)

func taskPut(t *Task) engine.Put {
	put := statePut(taskPrefix+t.ID, t)
	if !t.Done.IsZero() {
		put.TTL = taskKept
	}
	return put
}

// tasks are those that a delivery makes, to be stored in the write that starts its runs. A delivery that is repeated
// makes none again.
func (c *endpointCall) tasks(ctx context.Context, h *happening) (puts []engine.Put, err error) {
	defer recovered(&err)
	for i := range c.connector.Triggers {
		kind := &c.connector.Triggers[i]
		if kind.Mandatory == nil || kind.Endpoint != c.endpoint.ID || !(&listener{kind: kind}).wants(h.event) {
			continue
		}
		subject, err := kind.Mandatory.Subject(ctx, connectors.Delivery{Trigger: h.root, Now: h.at})
		if err != nil {
			return nil, fmt.Errorf("subject: %w", err)
		}
		key := h.key
		if key == "" {
			key = string(c.raw)
		}
		t := &Task{
			ID:   digest(c.connection.Name + "\x00" + c.endpoint.ID + "\x00" + kind.Name + "\x00" + key).String(),
			Kind: kind.Mandatory.Kind, Connection: c.connection.Name, Connector: c.connector.ID, Trigger: kind.Name,
			Subject: subject, At: h.at, Due: h.at.Add(kind.Mandatory.Within),
		}
		if _, err := c.set.Task(ctx, t.ID); errors.Is(err, engine.ErrNotFound) {
			puts = append(puts, taskPut(t))
		} else if err != nil {
			return nil, err
		}
	}
	if len(puts) > 0 {
		defer c.set.wake()
	}
	return puts, nil
}

// wake makes Run look at tasks and subscriptions again.
func (s *Set) wake() {
	select {
	case s.relisten <- struct{}{}:
	default:
	}
}

// Task returns one task. ErrNotFound: there is none.
func (s *Set) Task(ctx context.Context, id string) (*Task, error) {
	var t Task
	if len(id) > 64 {
		return nil, fmt.Errorf("task: %w", engine.ErrNotFound)
	}
	return &t, readState(ctx, s.Store, taskPrefix+id, &t)
}

// Tasks lists all tasks: those to be done before those that are, the first deadline first.
func (s *Set) Tasks(ctx context.Context) ([]Task, error) {
	tasks := []Task{}
	for after := ""; len(tasks) < maxTasks; {
		page, err := s.Store.KV().List(ctx, taskPrefix, after, seenPage)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			after = e.Key
			var t Task
			if err := json.Unmarshal(e.Value, &t); err != nil {
				return nil, fmt.Errorf("%s: %w: %w", e.Key, engine.ErrDamaged, err)
			}
			tasks = append(tasks, t)
		}
		if len(page) < seenPage {
			break
		}
	}
	slices.SortStableFunc(tasks, func(a, b Task) int {
		if a.Done.IsZero() != b.Done.IsZero() {
			return map[bool]int{true: -1, false: 1}[a.Done.IsZero()]
		}
		return a.Due.Compare(b.Due)
	})
	return tasks, nil
}

// FinishTask notes that a person has done a task.
func (s *Set) FinishTask(ctx context.Context, id, by string) (*Task, error) {
	t, err := s.Task(ctx, id)
	if err != nil || !t.Done.IsZero() {
		return t, err
	}
	t.Done, t.By, t.Note = wallNow(), by, ""
	_, err = s.Engine.AcceptAll(ctx, nil, []engine.Put{taskPut(t)})
	return t, err
}

// Held is a run that holds the subject of a task.
type Held struct {
	ID       engine.RunID
	Workflow string
	Finished bool
	Records  []engine.Record
}

// Holding calls yield with every run of ours that holds the subject of a task as a word of its own, newest first.
func (s *Set) Holding(ctx context.Context, t *Task, yield func(Held) error) error {
	if t.Subject == "" {
		return nil
	}
	for q := (engine.Query{Text: t.Subject, Limit: 200}); ; {
		page, err := s.Store.List(ctx, q)
		if err != nil {
			return err
		}
		for _, row := range page.Items {
			records, err := s.Store.Read(ctx, row.ID, 0)
			if errors.Is(err, engine.ErrNotFound) {
				continue // its time has come meanwhile
			}
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(records, func(r engine.Record) bool { return holds(r.Data, t.Subject) }) {
				continue
			}
			if err := yield(Held{row.ID, row.Workflow, !row.Finished.IsZero(), records}); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Cursor = page.Next
	}
}

// holds reports whether data has the text as a word of its own, in either case: ann@example.com is not in
// joann@example.com.
func holds(data []byte, text string) bool {
	data, want := bytes.ToLower(data), bytes.ToLower([]byte(text))
	for from := 0; ; {
		at := bytes.Index(data[from:], want)
		if at < 0 {
			return false
		}
		at += from
		before, _ := utf8.DecodeLastRune(data[:at])
		after, _ := utf8.DecodeRune(data[at+len(want):])
		if !inWord(before, at > 0) && !inWord(after, at+len(want) < len(data)) {
			return true
		}
		from = at + 1
	}
}

func inWord(r rune, there bool) bool {
	return there && r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// ExportTask writes what our runs hold of the subject of a task, as one JSON object for each record.
func (s *Set) ExportTask(ctx context.Context, id string, write func(line []byte) error) error {
	t, err := s.Task(ctx, id)
	if err != nil {
		return err
	}
	return s.Holding(ctx, t, func(h Held) error {
		for _, r := range h.Records {
			if !holds(r.Data, t.Subject) {
				continue
			}
			line := map[string]any{"run": h.ID.String(), "workflow": h.Workflow, "step": r.Step, "at": r.At.UTC().Format(time.RFC3339Nano)}
			var data any
			if r.Kind == engine.KindAccepted {
				if ev, err := engine.DecodeEvent(r.Data); err == nil {
					data, err = ev.Root(false)
					if err != nil {
						data = string(ev.Raw)
					}
				}
			} else if data, err = value.DecodeJSON(r.Data); err != nil {
				data = string(r.Data)
			}
			line["data"] = data
			text, err := value.AppendJSON(nil, line)
			if err != nil {
				return err
			}
			if err := write(append(text, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// runTasks erases what is to be erased, and says when to look again: the runs of a person that have not ended yet are
// erased when they have. again is by task when to search the history for it next.
func (s *Set) runTasks(ctx context.Context, again map[string]time.Time) (next time.Time, err error) {
	next = wallNow().Add(24 * time.Hour)
	tasks, err := s.Tasks(ctx)
	if err != nil {
		return next, err
	}
	for i := range tasks {
		t := &tasks[i]
		if !t.Done.IsZero() {
			break // those that are done come last
		}
		if t.Kind == "access" || t.Note != "" && utf8.RuneCountInString(t.Subject) < leastText {
			continue // for a person
		}
		if !wallNow().Before(again[t.ID]) {
			if err := s.erase(ctx, t); err != nil {
				return next, fmt.Errorf("task %s: %w", t.ID, err)
			}
			again[t.ID] = wallNow().Add(taskPause)
		}
		if t.Done.IsZero() && again[t.ID].Before(next) {
			next = again[t.ID]
		}
	}
	return next, nil
}

// erase takes the runs of a subject out of the history. The task is done when nothing is left.
func (s *Set) erase(ctx context.Context, t *Task) error {
	var ids []engine.RunID
	left := 0
	if utf8.RuneCountInString(t.Subject) < leastText {
		t.Note = "The subject is too short to be searched for: look yourself."
		return s.saveTask(ctx, t)
	}
	err := s.Holding(ctx, t, func(h Held) error {
		if !h.Finished || len(ids) >= eraseBudget {
			left++
			return nil
		}
		ids = append(ids, h.ID)
		return nil
	})
	if err != nil {
		return err
	}
	n, err := s.Store.Erase(ctx, ids)
	t.Runs += n
	if err != nil {
		return errors.Join(err, s.saveTask(ctx, t))
	}
	if left += len(ids) - n; left > 0 {
		t.Note = fmt.Sprintf("%d runs that hold the subject have not ended yet.", left)
		return s.saveTask(ctx, t)
	}
	t.Subject, t.Note, t.Done, t.By = "", "", wallNow(), "bellhop" // the task itself must not hold it either
	s.Log.InfoContext(ctx, "erased what runs held of a person", "task", t.ID, "connection", t.Connection, "runs", t.Runs)
	return s.saveTask(ctx, t)
}

func (s *Set) saveTask(ctx context.Context, t *Task) error {
	_, err := s.Engine.AcceptAll(ctx, nil, []engine.Put{taskPut(t)})
	return err
}
