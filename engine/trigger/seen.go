package trigger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
)

const (
	// maxSeen is how many keys a poll remembers; the oldest go first, but never one of the latest answer.
	maxSeen  = 100_000
	seenPage = 1000 // keys read or written at once
	// seenBytes is what a stored item begins with: its version, the count of changes, and the time of the last.
	seenBytes = 16 + 4 + 8
	// What people are shown of a key and of a version, in bytes.
	maxShownKey, maxShownVersion = 512, 200
	// maxRunKey is the longest item key, in bytes, that stands readable in the key of its run.
	maxRunKey = 200
)

// hash is the name of a key or of a version: enough of SHA-256 that two never meet.
type hash [16]byte

var hashText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

func (h hash) String() string { return hashText.EncodeToString(h[:]) }

func digest(text string) (h hash) {
	sum := sha256.Sum256([]byte(text))
	copy(h[:], sum[:])
	return h
}

func digestValue(v any) hash {
	data, err := value.AppendJSON(nil, v)
	if err != nil { // not plain data: its text has to do
		data = []byte(value.Text(v))
	}
	return digest(string(data))
}

// seenItem is what the poll itself needs of an item.
type seenItem struct {
	version hash
	changes uint32 // how often its version has changed
	added   int64  // Unix time of its last change, in seconds
	first   int64  // Unix time when it was first seen, in seconds
}

// mark is an item to be remembered, with what people are shown of it.
type mark struct {
	id  hash
	key string
	seenItem
	versionText string
	run         engine.RunID // that it started; zero: none, or not known yet
}

// runKey is the dedupe key of the run that an item starts: equal when the same change is emitted again.
func (m mark) runKey() string {
	key := m.key
	if len(key) > maxRunKey {
		key = m.id.String()
	}
	if m.changes > 0 {
		key += "/" + strconv.FormatUint(uint64(m.changes), 10)
	}
	return key
}

// seenSet is what a poll remembers, in memory for as long as the poll runs and in the store for good. Who holds the
// cursor uses it.
type seenSet struct {
	prefix string
	items  map[hash]seenItem
}

func seenPrefix(pollKey string) string { return pollKey + ":" }

func loadSeen(ctx context.Context, kv engine.KV, pollKey string) (*seenSet, error) {
	s := &seenSet{prefix: seenPrefix(pollKey), items: map[hash]seenItem{}}
	err := eachSeen(ctx, kv, s.prefix, func(m mark) { s.items[m.id] = m.seenItem })
	return s, err
}

// eachSeen reads all that is remembered under a prefix.
func eachSeen(ctx context.Context, kv engine.KV, prefix string, f func(mark)) error {
	for after := ""; ; {
		page, err := kv.List(ctx, prefix, after, seenPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			m, err := decodeSeen(e.Key[len(prefix):], e.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", e.Key, err)
			}
			f(m)
			after = e.Key
		}
		if len(page) < seenPage {
			return nil
		}
	}
}

// encodeSeen is the stored form of a mark: the fixed part, then the time when it was first seen, the run, and key and
// version as people are shown them.
func encodeSeen(m mark) []byte {
	key, version := cut(m.key, maxShownKey), cut(m.versionText, maxShownVersion)
	data := make([]byte, 0, seenBytes+8+len(m.run)+2+len(key)+len(version))
	data = append(data, m.version[:]...)
	data = binary.BigEndian.AppendUint32(data, m.changes)
	data = binary.BigEndian.AppendUint64(data, uint64(m.added))
	data = binary.BigEndian.AppendUint64(data, uint64(m.first))
	data = append(data, m.run[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(key)))
	data = append(data, key...)
	return append(data, version...)
}

func decodeSeen(name string, data []byte) (m mark, err error) {
	if len(name) != hashText.EncodedLen(len(m.id)) || len(data) < seenBytes {
		return m, engine.ErrDamaged
	}
	if _, err := hashText.Decode(m.id[:], []byte(name)); err != nil {
		return m, fmt.Errorf("%w: %w", engine.ErrDamaged, err)
	}
	copy(m.version[:], data)
	m.changes = binary.BigEndian.Uint32(data[16:])
	m.added = int64(binary.BigEndian.Uint64(data[20:]))
	m.first, m.key = m.added, name
	if data = data[seenBytes:]; len(data) == 0 { // written before keys were kept readable
		return m, nil
	}
	const fixed = 8 + len(engine.RunID{}) + 2
	if len(data) < fixed {
		return m, engine.ErrDamaged
	}
	m.first = int64(binary.BigEndian.Uint64(data))
	copy(m.run[:], data[8:])
	length := int(binary.BigEndian.Uint16(data[fixed-2:]))
	if data = data[fixed:]; len(data) < length {
		return m, engine.ErrDamaged
	}
	m.key, m.versionText = string(data[:length]), string(data[length:])
	return m, nil
}

// cut keeps at most n bytes of a text.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const mark = "…"
	return strings.ToValidUTF8(text[:n-len(mark)], "") + mark
}

func (s *seenSet) len() int { return len(s.items) }

// compare reports whether the item is new or has another version, and what to remember of it then.
func (s *seenSet) compare(m mark) (mark, bool) {
	old, known := s.items[m.id]
	if known && old.version == m.version {
		return mark{}, false
	}
	m.added = time.Now().Unix()
	m.first = m.added
	if known {
		m.changes, m.first = old.changes+1, old.first
	}
	return m, true
}

// puts returns the writes that remember marks.
func (s *seenSet) puts(marks []mark) []engine.Put {
	puts := make([]engine.Put, len(marks))
	for i, m := range marks {
		puts[i] = engine.Put{Key: s.prefix + m.id.String(), Value: encodeSeen(m), AnyRev: true}
	}
	return puts
}

// remember adds marks whose puts are stored.
func (s *seenSet) remember(marks []mark) {
	for _, m := range marks {
		s.items[m.id] = m.seenItem
	}
}

// trim forgets the oldest items beyond maxSeen that are not in the latest answer.
func (s *seenSet) trim(latest map[hash]bool) []engine.Put {
	if len(s.items) <= maxSeen {
		return nil
	}
	type candidate struct {
		id    hash
		added int64
	}
	var old []candidate
	for id, item := range s.items {
		if !latest[id] {
			old = append(old, candidate{id, item.added})
		}
	}
	slices.SortFunc(old, func(a, b candidate) int { return cmp.Compare(a.added, b.added) })
	var ids []hash
	for _, c := range old[:min(len(old), len(s.items)-maxSeen)] {
		ids = append(ids, c.id)
	}
	return s.forget(slices.Values(ids))
}

// clear forgets everything.
func (s *seenSet) clear() []engine.Put { return s.forget(maps.Keys(s.items)) }

// forget forgets items and returns the writes that do so for good.
func (s *seenSet) forget(ids iter.Seq[hash]) []engine.Put {
	var puts []engine.Put
	for id := range ids {
		delete(s.items, id)
		puts = append(puts, engine.Put{Key: s.prefix + id.String(), AnyRev: true})
	}
	return puts
}
