package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bellhop-dev/bellhop/engine"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is CRC-32C over the key and the value: a value that is read under another key is damaged too.
func checksum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

// seal puts the checksum in the first four bytes of value, which the caller left free.
func seal(key, value []byte) []byte {
	binary.LittleEndian.PutUint32(value, checksum(key, value[4:]))
	return value
}

// unseal checks what seal wrote and returns the value behind the checksum.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < 4 || binary.LittleEndian.Uint32(value) != checksum(key, value[4:]) {
		return nil, fmt.Errorf("%w: value of key %x", engine.ErrDamaged, key)
	}
	return value[4:], nil
}

// A journal value holds the records of one write: what was appended together is read together, and one entry costs
// the writer a third of three. It is a flag byte, the order of acceptance where the first record is the first of its
// run, and the records as the engine encodes them, each with its own checksum. The key has the Seq of the first.
const (
	flagS2    = 1 // the records are compressed
	flagOrder = 2 // 8 bytes of order and the 4 of its checksum stand before the records
	flagMany  = 4 // there are several records, each behind its length as a varint

	orderSize     = 12
	compressAbove = 1 << 10 // bytes; below it a page holds several values anyway
)

// A frame is a journal value ready to be put. The zero frame holds nothing.
type frame struct {
	key   [20]byte
	value []byte
	blob  blob // the file that value names
}

func journalKey(id engine.RunID, seq uint32) (key [20]byte) {
	copy(key[:], id[:])
	binary.BigEndian.PutUint32(key[16:], seq)
	return key
}

// A workbench is where frames are made; only the finished value is allocated.
type workbench struct{ raw, packed []byte }

// maxBench bounds what a workbench keeps between two frames.
const maxBench = 64 << 10

var workbenches = sync.Pool{New: func() any { return new(workbench) }}

// newFrame encodes records under their Seq, in the caller's goroutine.
func newFrame(id engine.RunID, recs []engine.Record) frame {
	if len(recs) == 0 {
		return frame{}
	}
	w := workbenches.Get().(*workbench)
	buf := append(w.raw[:0], 0)
	if recs[0].Seq == 0 {
		buf[0] = flagOrder
		buf = append(buf, make([]byte, orderSize)...)
	}
	head := len(buf)
	if len(recs) == 1 {
		buf = recs[0].Encode(buf, id)
	} else {
		buf[0] |= flagMany
		for i := range recs {
			// The length goes before the record and is known after it: leave room for one of two bytes, which
			// serves records below 16 KiB, and move the others.
			start := len(buf)
			buf = append(buf, 0, 0)
			buf = recs[i].Encode(buf, id)
			n := uint64(len(buf) - start - 2)
			if size := protowire.SizeVarint(n); size > 2 {
				buf = append(buf, make([]byte, size-2)...)
				copy(buf[start+size:], buf[start+2:])
			}
			if n < 1<<7 {
				buf[start], buf[start+1] = byte(n)|1<<7, 0 // two bytes all the same: a varint may be padded
			} else {
				protowire.AppendVarint(buf[:start], n)
			}
		}
	}
	body := buf[head:]
	if len(body) > compressAbove {
		packed := s2.Encode(w.packed[:cap(w.packed)], body)
		if cap(packed) <= maxBench {
			w.packed = packed
		}
		if len(packed) < len(body)-len(body)/8 && len(body) <= maxRatio*len(packed) {
			buf[0] |= flagS2
			body = packed
		}
	}
	value := make([]byte, head+len(body))
	copy(value[copy(value, buf[:head]):], body)
	if cap(buf) <= maxBench {
		w.raw = buf
	}
	workbenches.Put(w)
	return frame{key: journalKey(id, recs[0].Seq), value: value}
}

// setOrder fills in the order of acceptance, which the writer gives.
func (f *frame) setOrder(order uint64) {
	binary.LittleEndian.PutUint64(f.value[5:], order)
	binary.LittleEndian.PutUint32(f.value[1:], checksum(f.key[:], f.value[5:1+orderSize]))
}

// maxRatio of records to their compressed form bounds what a damaged length can make a reader allocate.
const maxRatio = 256

// eachRecord calls f with every encoded record in a journal value and gives the order, if the value carries one. The
// records point into value unless it was compressed. A value that names a file must be made whole before. On damage f has seen what stands before it.
func eachRecord(key, value []byte, f func(seq uint32, record []byte)) (order uint64, err error) {
	damaged := func(what string) error {
		return fmt.Errorf("%w: %s of key %x", engine.ErrDamaged, what, key)
	}
	if len(value) < 1 || value[0]&^(flagS2|flagOrder|flagMany) != 0 {
		return 0, damaged("journal value")
	}
	body := value[1:]
	if value[0]&flagOrder != 0 {
		if len(body) < orderSize || binary.LittleEndian.Uint32(body) != checksum(key, body[4:orderSize]) {
			return 0, damaged("order")
		}
		order = binary.LittleEndian.Uint64(body[4:])
		body = body[orderSize:]
	}
	if value[0]&flagS2 != 0 {
		n, err := s2.DecodedLen(body)
		if err != nil || n > maxRatio*len(body) {
			return 0, damaged("journal value")
		}
		if body, err = s2.Decode(nil, body); err != nil {
			return 0, damaged("journal value")
		}
	}
	seq := binary.BigEndian.Uint32(key[16:])
	if value[0]&flagMany == 0 {
		f(seq, body)
		return order, nil
	}
	for ; len(body) > 0; seq++ {
		record, n := protowire.ConsumeBytes(body)
		if n < 0 {
			return order, damaged("journal value")
		}
		f(seq, record)
		body = body[n:]
	}
	return order, nil
}

// decodeFrame reads the records of a journal value. Their Data points into value unless it was compressed. A record
// that is damaged is left out, and the error tells of the first.
func decodeFrame(key, value []byte) (recs []engine.Record, order uint64, err error) {
	id := engine.RunID(key)
	order, framing := eachRecord(key, value, func(seq uint32, record []byte) {
		r, e := engine.DecodeRecord(id, seq, record)
		if e != nil {
			if err == nil {
				err = e
			}
			return
		}
		recs = append(recs, r)
	})
	if err == nil {
		err = framing
	}
	return recs, order, err
}

// A stored row: the row, and how long the run's journal is in state.db.
func encodeRow(row *engine.Row, records uint32) []byte {
	dst := make([]byte, 4, 160+len(row.Summary))
	dst = appendUint(dst, 1, uint64(records))
	if !row.Parent.IsZero() {
		dst = appendText(dst, 2, string(row.Parent[:]))
	}
	dst = appendText(dst, 3, row.Workflow)
	dst = appendText(dst, 4, row.Version)
	dst = appendText(dst, 5, row.Trigger)
	dst = appendUint(dst, 6, uint64(row.Status))
	dst = appendText(dst, 7, row.Reason)
	dst = appendText(dst, 8, row.Summary)
	dst = appendTime(dst, 9, row.Accepted)
	dst = appendTime(dst, 10, row.Finished)
	return seal(row.ID[:], dst)
}

func decodeRow(id engine.RunID, value []byte) (row engine.Row, records uint32, err error) {
	row.ID = id
	body, err := unseal(id[:], value)
	if err != nil {
		return row, 0, err
	}
	err = eachField(body, func(num protowire.Number, v uint64) {
		switch num {
		case 1:
			records = uint32(v)
		case 6:
			row.Status = engine.Status(v)
		case 9:
			row.Accepted = time.Unix(0, int64(v)).UTC()
		case 10:
			row.Finished = time.Unix(0, int64(v)).UTC()
		}
	}, func(num protowire.Number, v []byte) {
		switch num {
		case 2:
			copy(row.Parent[:], v)
		case 3:
			row.Workflow = string(v)
		case 4:
			row.Version = string(v)
		case 5:
			row.Trigger = string(v)
		case 7:
			row.Reason = string(v)
		case 8:
			row.Summary = string(v)
		}
	})
	return row, records, err
}

func encodeDelivery(d *engine.Delivery) []byte {
	dst := make([]byte, 4, 160+len(d.Path)+len(d.Reason)+len(d.Data))
	dst = appendText(dst, 1, d.Workflow)
	dst = appendText(dst, 2, d.Trigger)
	dst = appendText(dst, 3, d.Outcome)
	dst = appendUint(dst, 4, uint64(d.Status))
	dst = appendText(dst, 5, d.Reason)
	if !d.Run.IsZero() {
		dst = appendText(dst, 6, string(d.Run[:]))
	}
	dst = appendTime(dst, 7, d.At)
	dst = appendText(dst, 8, d.Method)
	dst = appendText(dst, 9, d.Path)
	dst = appendText(dst, 10, d.Remote)
	dst = appendUint(dst, 11, uint64(d.Size))
	if !d.ResendOf.IsZero() {
		dst = appendText(dst, 12, string(d.ResendOf[:]))
	}
	if !d.ResentAs.IsZero() {
		dst = appendText(dst, 13, string(d.ResentAs[:]))
	}
	if len(d.Data) > 0 {
		dst = protowire.AppendTag(dst, 15, protowire.BytesType)
		dst = protowire.AppendBytes(dst, d.Data)
	}
	return seal(d.ID[:], dst)
}

// decodeDelivery reads what encodeDelivery wrote. Data points into value.
func decodeDelivery(id engine.RunID, value []byte) (d engine.Delivery, err error) {
	d.ID = id
	body, err := unseal(id[:], value)
	if err != nil {
		return d, err
	}
	err = eachField(body, func(num protowire.Number, v uint64) {
		switch num {
		case 4:
			d.Status = int(v)
		case 7:
			d.At = time.Unix(0, int64(v)).UTC()
		case 11:
			d.Size = int(v)
		}
	}, func(num protowire.Number, v []byte) {
		switch num {
		case 1:
			d.Workflow = string(v)
		case 2:
			d.Trigger = string(v)
		case 3:
			d.Outcome = string(v)
		case 5:
			d.Reason = string(v)
		case 6:
			copy(d.Run[:], v)
		case 8:
			d.Method = string(v)
		case 9:
			d.Path = string(v)
		case 10:
			d.Remote = string(v)
		case 12:
			copy(d.ResendOf[:], v)
		case 13:
			copy(d.ResentAs[:], v)
		case 15:
			d.Data = v
		}
	})
	return d, err
}

// eachField walks fields in protobuf wire format and passes over types that it does not know.
func eachField(src []byte, number func(protowire.Number, uint64), text func(protowire.Number, []byte)) error {
	for len(src) > 0 {
		num, typ, n := protowire.ConsumeTag(src)
		if n < 0 {
			return fmt.Errorf("%w: %w", engine.ErrDamaged, protowire.ParseError(n))
		}
		src = src[n:]
		switch typ {
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(src); n >= 0 {
				number(num, v)
			}
		case protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(src); n >= 0 {
				text(num, v)
			}
		default:
			n = protowire.ConsumeFieldValue(num, typ, src)
		}
		if n < 0 {
			return fmt.Errorf("%w: field %d: %w", engine.ErrDamaged, num, protowire.ParseError(n))
		}
		src = src[n:]
	}
	return nil
}

func appendUint(dst []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), v)
}

func appendTime(dst []byte, num protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return appendUint(dst, num, uint64(t.UnixNano()))
}

func appendText(dst []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, num, protowire.BytesType), s)
}
