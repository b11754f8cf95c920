package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
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

// A journal value is a flag byte, the order of acceptance where the record is the first of its run, and the
// record as the engine encodes it, which carries its own checksum.
const (
	flagS2    = 1 // the record is compressed
	flagOrder = 2 // 8 bytes of order and the 4 of its checksum stand before the record

	orderSize     = 12
	compressAbove = 1 << 10 // bytes; below it a page holds several records anyway
)

// A frame is one record ready to be put: key and value.
type frame struct {
	key   [20]byte
	value []byte
}

func journalKey(id engine.RunID, seq uint32) (key [20]byte) {
	copy(key[:], id[:])
	binary.BigEndian.PutUint32(key[16:], seq)
	return key
}

// frames encodes records under their Seq, in the caller's goroutine, into one buffer.
func frames(id engine.RunID, recs []engine.Record) []frame {
	size := 0
	for i := range recs {
		size += len(recs[i].Data) + 256
		if recs[i].Head != nil {
			size += 256
		}
	}
	buf := make([]byte, 0, size)
	out := make([]frame, len(recs))
	for i := range recs {
		r := &recs[i]
		start := len(buf)
		if r.Seq == 0 {
			buf = append(buf, flagOrder)
			buf = append(buf, make([]byte, orderSize)...)
		} else {
			buf = append(buf, 0)
		}
		head := len(buf)
		buf = r.Encode(buf, id)
		if raw := buf[head:]; len(raw) > compressAbove {
			packed := s2.Encode(nil, raw)
			if len(packed) < len(raw)-len(raw)/8 && len(raw) <= maxRatio*len(packed) {
				buf = append(buf[:head], packed...)
				buf[start] |= flagS2
			}
		}
		out[i] = frame{journalKey(id, r.Seq), buf[start:len(buf):len(buf)]}
	}
	return out
}

// setOrder fills in the order of acceptance, which the writer gives.
func (f *frame) setOrder(order uint64) {
	binary.LittleEndian.PutUint64(f.value[5:], order)
	binary.LittleEndian.PutUint32(f.value[1:], checksum(f.key[:], f.value[5:1+orderSize]))
}

// unframe returns the encoded record in a journal value, and the order if it carries one. The record points
// into value unless it was compressed.
func unframe(key, value []byte) (record []byte, order uint64, err error) {
	if len(value) < 1 || value[0]&^(flagS2|flagOrder) != 0 {
		return nil, 0, fmt.Errorf("%w: journal value of key %x", engine.ErrDamaged, key)
	}
	record = value[1:]
	if value[0]&flagOrder != 0 {
		if len(record) < orderSize || binary.LittleEndian.Uint32(record) != checksum(key, record[4:orderSize]) {
			return nil, 0, fmt.Errorf("%w: order of run %x", engine.ErrDamaged, key)
		}
		order = binary.LittleEndian.Uint64(record[4:])
		record = record[orderSize:]
	}
	if value[0]&flagS2 != 0 {
		n, err := s2.DecodedLen(record)
		if err != nil || n > maxRatio*len(record) {
			return nil, 0, fmt.Errorf("%w: journal value of key %x", engine.ErrDamaged, key)
		}
		if record, err = s2.Decode(nil, record); err != nil {
			return nil, 0, fmt.Errorf("%w: journal value of key %x: %v", engine.ErrDamaged, key, err)
		}
	}
	return record, order, nil
}

// maxRatio of a record to its compressed form bounds what a damaged length can make a reader allocate.
const maxRatio = 256

// decodeFrame reads one journal entry. The record's Data points into value unless it was compressed.
func decodeFrame(key, value []byte) (engine.Record, uint64, error) {
	id, seq := engine.RunID(key), binary.BigEndian.Uint32(key[16:])
	src, order, err := unframe(key, value)
	if err != nil {
		return engine.Record{Seq: seq}, 0, err
	}
	r, err := engine.DecodeRecord(id, seq, src)
	return r, order, err
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
