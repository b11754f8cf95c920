package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"github.com/bellhop-dev/bellhop/engine"
)

// A Finding is something wrong with a data folder.
type Finding struct {
	File    string `json:"file"` // relative to the folder
	Problem string `json:"problem"`
	Do      string `json:"do"` // what to do about it, one sentence without a period
}

// A Report is what [Check] found.
type Report struct {
	Findings []Finding `json:"findings"`
	Omitted  int       `json:"omitted,omitempty"` // findings beyond the bound of one file
	Live     int       `json:"unfinished_runs"`
	Finished int       `json:"finished_runs"`
	Values   int       `json:"values"` // stored values whose checksum was computed
	Segments int       `json:"segments"`
	Bytes    int64     `json:"bytes"`
}

// maxFindings is how many findings of one file a report holds.
const maxFindings = 100

// A checker goes through one data folder.
type checker struct {
	ctx    context.Context
	dir    string
	report Report
	file   string // that is looked at now
	count  int    // findings about it
	do     string
	plain  *zstd.Decoder
	known  map[string]*segment
	blobs  blobs
	done   map[engine.RunID]finishedRun
	parked map[engine.RunID][]byte // notes
	from   engine.RunID            // below which every unfinished run has one
}

// finishedRun is what an index says of a run whose journal is still to come.
type finishedRun struct {
	records uint32
	status  engine.Status
	pack    uint64
	flow    [16]byte
	indexed bool
	seen    bool
}

// Check goes through all that a store has on disk and changes nothing: the sidecar, every page, the checksum of every
// record and value, the indexes against the journals, and the files of the history. The folder is locked meanwhile; an
// error that is [ErrInUse] says that a server has it. What is wrong is no error but a finding. Damage does not end it,
// also where it would end a process that maps the file.
func Check(ctx context.Context, dir string) (Report, error) {
	c := &checker{
		ctx: ctx, dir: dir, known: map[string]*segment{}, done: map[engine.RunID]finishedRun{}, parked: map[engine.RunID][]byte{},
	}
	c.report.Findings, c.blobs.dir = []Finding{}, filepath.Join(dir, blobDir)
	if _, err := os.ReadDir(dir); err != nil {
		return c.report, startError(err, "name the folder that holds %s, and let this user read it", stateFile)
	}
	unlock, err := lockToRead(dir)
	if err != nil {
		return c.report, err
	}
	defer unlock()
	if c.plain, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30)); err != nil {
		return c.report, err
	}
	defer c.plain.Close()
	c.begin(stateFile, "restore a backup of the data folder")
	c.checkState()
	for _, name := range sortedNames(c.known) {
		c.begin(historyDir+"/"+name, "restore a backup of the data folder; the damaged runs show as such in lists until then")
		c.checkSegment(c.known[name])
	}
	c.begin(".", "make room: new runs are refused until then")
	if free, total, err := space(dir); err == nil && free < lowWater(total) {
		c.found("%d MB of the disk are free, fewer than the %d MB that must be", free>>20, lowWater(total)>>20)
	}
	c.begin(blobDir, "let this user read it")
	if err := c.blobs.list(func(_ engine.RunID, f blob) error { c.report.Bytes += f.size; return nil }); err != nil {
		c.foundError(err)
	}
	return c.report, ctx.Err()
}

// lockToRead keeps a server from starting. A folder without a lock file never had one.
func lockToRead(dir string) (unlock func(), err error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, startError(err, "let this user read %s", dir)
	}
	if err := waitForLock(f, dir); err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

func sortedNames(m map[string]*segment) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *checker) begin(file, do string) { c.file, c.do, c.count = file, do, 0 }

func (c *checker) found(format string, args ...any) { c.tell(fmt.Sprintf(format, args...), c.do) }

func (c *checker) tell(problem, do string) {
	if c.count++; c.count > maxFindings {
		c.report.Omitted++
		return
	}
	c.report.Findings = append(c.report.Findings, Finding{filepath.ToSlash(c.file), problem, do})
}

func (c *checker) foundError(err error) {
	if start, ok := errors.AsType[*StartError](err); ok {
		c.tell(start.Err.Error(), start.Hint)
		return
	}
	c.found("%v", err)
}

// sealed checks the checksum of a value and returns what is behind it.
func (c *checker) sealed(bucket, key, value []byte) []byte {
	c.report.Values++
	body, err := unseal(key, value)
	if err != nil {
		c.found("a value of %q fails its checksum: key %x", bucket, key)
		return nil
	}
	return body
}

// checkState goes through state.db.
func (c *checker) checkState() {
	path := filepath.Join(c.dir, stateFile)
	side, refused := checkInstance(c.dir)
	if refused != nil {
		c.foundError(refused)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return // told, or a folder that nothing was stored in yet
	}
	if err != nil {
		c.found("%v", err)
		return
	}
	c.report.Bytes += info.Size()
	t, err := openTree(path, func(problem string) { c.found("%s", problem) })
	if err != nil {
		if refused == nil {
			c.foundError(err)
		}
		return
	}
	defer t.close()
	format := c.checkMeta(t, side)
	for _, name := range stateBuckets {
		if _, ok := t.buckets[string(name)]; !ok && (format > 1 || string(name) != string(bucketParked)) {
			c.found("the list %q is missing", name)
		}
	}
	for name := range t.buckets {
		if !slices.ContainsFunc(stateBuckets, func(b []byte) bool { return string(b) == name }) {
			c.found("a list %q that this release does not know", name)
		}
	}
	t.walk(bucketDone, func(k, v []byte) {
		c.report.Values++
		if len(k) != 16 {
			c.found("a row under key %x", k)
			return
		}
		row, n, err := decodeRow(engine.RunID(k), v)
		if err != nil {
			c.found("the row of run %s: %v", engine.RunID(k), err)
			return
		}
		c.report.Finished++
		c.done[row.ID] = finishedRun{records: n, status: row.Status}
	}, nil)
	t.walk(bucketParked, func(k, v []byte) {
		if len(k) != 16 {
			c.found("a note under key %x", k)
		} else if c.sealed(bucketParked, k, v) != nil {
			c.parked[engine.RunID(k)] = bytes.Clone(v)
		}
	}, nil)
	c.checkJournals(t)
	t.walk(bucketDedup, nil, func(name, k, v []byte) {
		if body := c.sealed(bucketDedup, k, v); body != nil && (len(body) != 24 || len(name) != len(dayLayout)) {
			c.found("a dedupe key of the day %q is damaged", name)
		}
	})
	var newest uint64
	t.walk(bucketKV, func(k, v []byte) {
		if body := c.sealed(bucketKV, k, v); len(body) >= 16 {
			newest = max(newest, binary.BigEndian.Uint64(body))
		} else if body != nil {
			c.found("the value of key %q is cut off", k)
		}
	}, nil)
	if at := t.buckets[string(bucketKV)].sequence; at < newest {
		c.found("values have revisions up to %d, and %d were given out", newest, at)
	}
	for _, name := range [][]byte{bucketDeliveries, bucketKept} {
		t.walk(name, func(k, v []byte) {
			c.report.Values++
			if len(k) != 16 {
				c.found("a delivery under key %x", k)
			} else if _, err := decodeDelivery(engine.RunID(k), v); err != nil {
				c.found("delivery %s: %v", engine.RunID(k), err)
			}
		}, nil)
	}
	h := &history{dir: filepath.Join(c.dir, historyDir)}
	t.walk(bucketSegments, func(k, v []byte) {
		c.report.Values++
		g, err := h.decodeSegment(string(k), v)
		if err != nil {
			c.found("what is known of the history file %q: %v", k, err)
			return
		}
		c.known[g.name] = g
	}, nil)
	t.checkFree()
	if side == nil && refused == nil && c.report.Live+c.report.Finished+len(c.known) > 0 {
		c.tell("it holds runs, and "+instanceFile+" is missing", "put that file back beside it, or restore a backup of the data folder")
	}
}

// checkMeta compares the names and numbers of the database with the sidecar. It returns the format.
func (c *checker) checkMeta(t *tree, side *instance) (format int) {
	text := map[string]string{}
	t.walk(bucketMeta, func(k, v []byte) {
		if string(k) != string(metaFrom) {
			text[string(k)] = string(v)
			return
		}
		var err error
		if c.from, err = readMark(v); err != nil {
			c.found("%v", err)
		}
	}, nil)
	format, err := strconv.Atoi(text["format"])
	switch {
	case err != nil || format < 1:
		c.found("its format is %q, which is no number", text["format"])
	case format > formatVersion:
		c.tell(fmt.Sprintf("it has format %d and this release reads %d", format, formatVersion), "use the newer release")
	}
	if _, err := strconv.ParseUint(text["epoch"], 10, 32); err != nil {
		c.found("its count of starts is %q, which is no number", text["epoch"])
	}
	if clean, ok := text["clean"]; ok && clean != "1" {
		c.found("its mark of a clean stop is %q", clean)
	}
	for name := range text {
		if !slices.Contains([]string{"id", "format", "epoch", "clean"}, name) {
			c.found("a name %q that this release does not know", name)
		}
	}
	if side != nil && text["id"] != side.Database {
		c.found("it is database %q, and %s names %q", text["id"], instanceFile, side.Database)
	}
	return format
}

// checkJournals goes through the journals of unfinished runs and of those that were not moved yet.
func (c *checker) checkJournals(t *tree) {
	var l *loaded
	end := func() {
		if l == nil {
			return
		}
		done, isDone := c.done[l.id]
		switch {
		case l.damage != nil:
			c.found("run %s: %v", l.id, l.damage)
		case isDone && (l.last.Kind != engine.KindFinished || l.last.Status != done.status || l.run.seq != done.records):
			c.found("run %s: its row says %s after %d records, its journal %s after %d", l.id, done.status, done.records, l.last.Kind, l.run.seq)
		case !isDone && l.last.Kind == engine.KindFinished:
			c.found("run %s has finished, and its row is missing", l.id)
		}
		if !isDone {
			c.report.Live++
		}
		c.checkNote(l, isDone)
		done.seen = true
		c.done[l.id] = done
	}
	t.walk(bucketJournal, func(k, v []byte) {
		c.report.Values++
		if len(k) != 20 {
			c.found("a record under key %x", k)
			return
		}
		if id := engine.RunID(k); l == nil || l.id != id {
			end()
			l = &loaded{id: id}
		}
		err := l.add(&c.blobs, k, bytes.Clone(v))
		switch {
		case errors.Is(err, engine.ErrNewerFormat):
			c.tell(fmt.Sprintf("run %s: %v", l.id, err), "use the newer release")
		case err != nil:
			c.tell(err.Error(), "let this user read "+blobDir)
		}
	}, nil)
	end()
	for id := range c.parked {
		c.found("there is a note about run %s and no journal", id)
	}
	for id, done := range c.done {
		if !done.seen {
			c.found("run %s has a row and no journal", id)
		}
	}
}

// checkNote compares the note about a run that has parked with its journal.
func (c *checker) checkNote(l *loaded, done bool) {
	note, ok := c.parked[l.id]
	delete(c.parked, l.id)
	switch {
	case l.damage != nil:
	case done && ok:
		c.found("run %s has finished, and there is a note that it waits", l.id)
	case !done && !ok && string(l.id[:]) < string(c.from[:]):
		c.found("there is no note about run %s, and no start would look for it", l.id)
	case ok && len(note) > 4:
		p, _, err := decodeParked(l.id, note, func(b []byte) string { return string(b) })
		if err != nil {
			c.found("%v", err)
			return
		}
		r := newRun(l.id, l.head, l.run.at(), l.run.order)
		r.seq, r.bytes, r.signals, r.started, r.wake = l.run.seq, l.run.bytes, l.run.signals, l.run.started, l.run.wake
		r.urgent = p.run.urgent // also of one that a signal made urgent
		if l.last.Kind != engine.KindParked || !bytes.Equal(note, parkedRun{r, l.head.Workflow, l.lane}.encode()) {
			c.found("run %s: the note about it does not agree with its journal", l.id)
		}
	}
}

// checkSegment goes through one file of the history.
func (c *checker) checkSegment(g *segment) {
	info, err := os.Stat(g.path)
	if err != nil {
		c.found("%v", err)
		return
	}
	c.report.Segments++
	c.report.Bytes += info.Size()
	if info.Size() < g.size {
		c.found("it is cut off: %d bytes of at least %d", info.Size(), g.size)
		return
	}
	t, err := openTree(g.path, func(problem string) { c.found("%s", problem) })
	if err != nil {
		c.found("%v", err)
		return
	}
	defer t.close()
	for _, name := range [][]byte{bucketRow, bucketFlow, bucketPack} {
		if _, ok := t.buckets[string(name)]; !ok {
			c.found("the list %q is missing", name)
		}
	}
	if len(t.buckets) > 3 {
		c.found("it has %d lists, and 3 are known", len(t.buckets))
	}
	rows := map[engine.RunID]finishedRun{}
	t.walk(bucketRow, func(k, v []byte) {
		c.report.Values++
		if len(k) != 16 {
			c.found("a row under key %x", k)
			return
		}
		id := engine.RunID(k)
		number, row, records, err := decodeSegmentRow(id, v)
		if err != nil {
			c.found("the row of run %s: %v", id, err)
			return
		}
		key := flowKey(row.Workflow, id)
		rows[id] = finishedRun{records: records, status: row.Status, pack: binary.BigEndian.Uint64(number[:]), flow: [16]byte(key[:])}
		if _, waits := c.done[id]; !waits && (bytes.Compare(k, g.min[:]) < 0 || bytes.Compare(k, g.max[:]) > 0) {
			c.found("run %s is not within the bounds that %s has for this file", id, stateFile)
		}
	}, nil)
	c.report.Finished += len(rows)
	if len(rows) < g.count {
		c.found("it holds %d runs of at least %d", len(rows), g.count)
	}
	t.walk(bucketFlow, func(k, v []byte) {
		if len(k) != 32 || len(v) != 1 {
			c.found("an entry of the index under key %x", k)
			return
		}
		id := engine.RunID(k[16:])
		row, ok := rows[id]
		if !ok || row.flow != [16]byte(k[:16]) || row.status != engine.Status(v[0]) {
			c.found("the index by workflow does not agree with the row of run %s", id)
			return
		}
		row.indexed = true
		rows[id] = row
	}, nil)
	c.checkPacks(t, rows)
	for id, row := range rows {
		if !row.indexed {
			c.found("run %s is not in the index by workflow", id)
		}
		if !row.seen {
			c.found("run %s has a row and no journal", id)
		}
	}
	t.checkFree()
}

// checkPacks reads every journal of a segment.
func (c *checker) checkPacks(t *tree, rows map[engine.RunID]finishedRun) {
	h := &history{plain: c.plain}
	var last uint64
	t.walk(bucketPack, func(k, v []byte) {
		c.report.Values++
		if len(k) != 8 || c.ctx.Err() != nil {
			c.found("a pack of journals under key %x was not read", k)
			return
		}
		last = binary.BigEndian.Uint64(k)
		src, err := h.unpack(nil, k, v)
		if err == nil {
			err = eachJournal(src, func(id engine.RunID, entries []entry) bool {
				row, ok := rows[id]
				if !ok || row.pack != last {
					return true // written twice, because a crash cut off the first move
				}
				if damage := checkArchived(id, entries, row); damage != nil {
					c.found("run %s: %v", id, damage)
				}
				row.seen = true
				rows[id] = row
				return true
			})
		}
		if err != nil {
			c.found("%v", err)
		}
	}, nil)
	if at := t.buckets[string(bucketPack)].sequence; at < last {
		c.found("packs are numbered up to %d, and %d were given out", last, at)
	}
}

func checkArchived(id engine.RunID, entries []entry, row finishedRun) error {
	l := &loaded{id: id}
	for _, e := range entries {
		rec, err := engine.DecodeRecord(id, e.seq, e.record)
		if err != nil {
			return err
		}
		if e.seq != l.run.seq {
			return fmt.Errorf("%w: record %d where %d was due", engine.ErrDamaged, e.seq, l.run.seq)
		}
		l.run.seq++
		if err := l.fold(&rec, 0); err != nil {
			return err
		}
	}
	if l.run.seq != row.records || l.last.Kind != engine.KindFinished || l.last.Status != row.status {
		return fmt.Errorf("%w: its row says %s after %d records, its journal %s after %d",
			engine.ErrDamaged, row.status, row.records, l.last.Kind, l.run.seq)
	}
	return nil
}
