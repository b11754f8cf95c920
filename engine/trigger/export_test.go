package trigger

import (
	"context"
	"slices"
	"strconv"
)

// FillSeen remembers n keys for a poll.
func FillSeen(ctx context.Context, s *Set, workflow, trigger string, n int) error {
	seen := &seenSet{prefix: seenPrefix(pollKey(workflow, trigger)), items: map[hash]seenItem{}}
	marks := make([]mark, n)
	for i := range marks {
		key := "order-" + strconv.Itoa(i)
		marks[i] = mark{id: digest(key), key: key, seenItem: seenItem{added: int64(i / 10), first: int64(i / 10)}}
	}
	for puts := range slices.Chunk(seen.puts(marks), seenPage) {
		if _, err := s.emit(ctx, nil, puts); err != nil {
			return err
		}
	}
	return nil
}
