package draft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
)

// Sample is an event that a draft is tried on, with the outputs of steps where they are known.
type Sample struct {
	ID      string         `json:"id"`
	Source  string         `json:"source"` // json, delivery, run, fetch
	Label   string         `json:"label"`
	At      time.Time      `json:"at"`
	Pinned  bool           `json:"pinned"`
	Trigger map[string]any `json:"-"` // what expressions see as trigger
	Steps   map[string]any `json:"-"` // outputs by step
}

// Bounds on samples.
const (
	maxSamples   = 20
	maxSampleLen = 1 << 20 // bytes as JSON
)

// ErrSampleLarge says that a sample is larger than what is kept.
var ErrSampleLarge = fmt.Errorf("a sample has at most %d KiB", maxSampleLen>>10)

// storedSample is a sample as it lies in the store. Data is plain data, whose large numbers keep their digits.
type storedSample struct {
	Sample
	Data json.RawMessage `json:"data"`
}

func sampleKey(draft, id string) string { return samplePrefix + draft + "\x00" + id }

// AddSample keeps a sample; of more than maxSamples, the oldest that is not pinned goes.
func (s Store) AddSample(ctx context.Context, draft string, sample *Sample) error {
	sample.ID = fmt.Sprintf("s%d", time.Now().UnixNano())
	if err := s.putSample(ctx, draft, sample); err != nil {
		return err
	}
	all, err := s.Samples(ctx, draft)
	if err != nil {
		return err
	}
	for i := 0; len(all) > maxSamples && i < len(all); i++ {
		if !all[i].Pinned && all[i].ID != sample.ID {
			if err := s.DeleteSample(ctx, draft, all[i].ID); err != nil {
				return err
			}
			all = slices.Delete(all, i, i+1)
			i--
		}
	}
	return nil
}

func (s Store) putSample(ctx context.Context, draft string, sample *Sample) error {
	data, err := value.AppendJSON(nil, map[string]any{"trigger": sample.Trigger, "steps": sample.Steps})
	if err != nil {
		return fmt.Errorf("keep sample: %w", err)
	}
	if len(data) > maxSampleLen {
		return ErrSampleLarge
	}
	val, err := json.Marshal(storedSample{*sample, data})
	if err != nil {
		return fmt.Errorf("keep sample: %w", err)
	}
	return s.put(ctx, sampleKey(draft, sample.ID), val)
}

// put writes a value whatever is there.
func (s Store) put(ctx context.Context, key string, val []byte) error {
	for range 10 {
		_, rev, err := s.KV.Get(ctx, key)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return err
		}
		if _, err = s.KV.Put(ctx, key, val, rev, 0); !errors.Is(err, engine.ErrConflict) {
			return err
		}
	}
	return engine.ErrConflict
}

// Samples are those that are kept, oldest first, without their data.
func (s Store) Samples(ctx context.Context, draft string) ([]*Sample, error) {
	entries, err := s.KV.List(ctx, sampleKey(draft, ""), "", 10*maxSamples)
	if err != nil {
		return nil, fmt.Errorf("samples of %s: %w", draft, err)
	}
	var list []*Sample
	for _, e := range entries {
		sample, err := decodeSample(e.Value)
		if err != nil {
			return nil, err
		}
		list = append(list, sample)
	}
	return list, nil
}

// ReadSample returns a kept sample with its data, or ErrNone.
func (s Store) ReadSample(ctx context.Context, draft, id string) (*Sample, error) {
	val, _, err := s.KV.Get(ctx, sampleKey(draft, id))
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fmt.Errorf("sample %s: %w", id, ErrNone)
	} else if err != nil {
		return nil, err
	}
	return decodeSample(val)
}

func decodeSample(val []byte) (*Sample, error) {
	var stored storedSample
	if err := json.Unmarshal(val, &stored); err != nil {
		return nil, fmt.Errorf("%w: a sample: %w", engine.ErrDamaged, err)
	}
	data, err := value.DecodeJSON(stored.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: a sample: %w", engine.ErrDamaged, err)
	}
	object, _ := data.(map[string]any)
	stored.Trigger, _ = object["trigger"].(map[string]any)
	stored.Steps, _ = object["steps"].(map[string]any)
	return &stored.Sample, nil
}

// DeleteSample forgets a sample.
func (s Store) DeleteSample(ctx context.Context, draft, id string) error {
	_, rev, err := s.KV.Get(ctx, sampleKey(draft, id))
	if errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("sample %s: %w", id, ErrNone)
	} else if err != nil {
		return err
	}
	return s.KV.Delete(ctx, sampleKey(draft, id), rev)
}

// Pin makes a sample the one that is used where none is named; pinned false lets it go.
func (s Store) Pin(ctx context.Context, draft, id string, pinned bool) error {
	all, err := s.Samples(ctx, draft)
	if err != nil {
		return err
	}
	found := false
	for _, sample := range all {
		want := sample.ID == id && pinned
		found = found || sample.ID == id
		if sample.Pinned != want {
			sample.Pinned = want
			if err := s.putSample(ctx, draft, sample); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("sample %s: %w", id, ErrNone)
	}
	return nil
}

// Result is what a step gave when it was tried.
type Result struct {
	Step   string    `json:"step"` // its id in runs
	At     time.Time `json:"at"`
	Status string    `json:"status"` // succeeded, failed
	Input  string    `json:"input"`  // hash of what the step says, to tell that it changed since
	Output any       `json:"-"`
}

type storedResult struct {
	Result
	Data json.RawMessage `json:"data,omitempty"`
}

func resultKey(draft, step string) string { return resultPrefix + draft + "\x00" + step }

// PutResult keeps the result of a step in the place of the one before.
func (s Store) PutResult(ctx context.Context, draft string, r *Result) error {
	data, err := value.AppendJSON(nil, r.Output)
	if err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	if len(data) > maxSampleLen {
		data = nil // the status is still worth something
	}
	val, err := json.Marshal(storedResult{*r, data})
	if err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	return s.put(ctx, resultKey(draft, r.Step), val)
}

// Results are the last results of the steps of a draft.
func (s Store) Results(ctx context.Context, draft string) (map[string]*Result, error) {
	entries, err := s.KV.List(ctx, resultKey(draft, ""), "", 1000)
	if err != nil {
		return nil, fmt.Errorf("results of %s: %w", draft, err)
	}
	all := map[string]*Result{}
	for _, e := range entries {
		var stored storedResult
		if err := json.Unmarshal(e.Value, &stored); err != nil {
			return nil, fmt.Errorf("%w: a result: %w", engine.ErrDamaged, err)
		}
		if len(stored.Data) > 0 {
			if stored.Output, err = value.DecodeJSON(stored.Data); err != nil {
				return nil, fmt.Errorf("%w: a result: %w", engine.ErrDamaged, err)
			}
		}
		all[stored.Step] = &stored.Result
	}
	return all, nil
}
