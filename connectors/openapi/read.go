package openapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// read decodes a document or an overlay, whose top is a mapping.
func read(src []byte) (root *object, sum string, notes []Note, err error) {
	if len(src) > MaxSource {
		return nil, "", nil, fmt.Errorf("the document has %d MiB, more than the %d MiB that are read", len(src)>>20, MaxSource>>20)
	}
	hash := sha256.Sum256(src)
	text := strings.TrimPrefix(fromUTF16(src), "\ufeff")
	if !utf8.ValidString(text) {
		if strings.Contains(text[:min(len(text), 64)], "\x00") {
			return nil, "", nil, errors.New("this is no text: give the JSON or YAML of the document, as UTF-8")
		}
		text = strings.ToValidUTF8(text, "\ufffd")
		notes = append(notes, Note{Warning, "", "the document is not UTF-8 everywhere: what could not be read is shown as \ufffd"})
	}
	b := &budget{}
	var v any
	switch start := strings.TrimLeft(text, " \t\r\n"); {
	case start == "":
		return nil, "", nil, errors.New("the document is empty")
	case start[0] == '{' || start[0] == '[':
		v, err = readJSON(text, b)
	case start[0] == '<':
		return nil, "", nil, errors.New("this is HTML or XML, not an OpenAPI document: give the address of the JSON or YAML itself")
	default:
		v, err = readYAML(text, b)
	}
	if err != nil {
		return nil, "", nil, err
	}
	root, ok := v.(*object)
	if !ok {
		return nil, "", nil, fmt.Errorf("the top of the document is %s, not a mapping", describe(v))
	}
	if b.duplicate != "" {
		notes = append(notes, Note{Warning, "", fmt.Sprintf("the document has the key %q twice in one mapping: the last one counts", clip(b.duplicate))})
	}
	return root, hex.EncodeToString(hash[:]), notes, nil
}

// fromUTF16 reads what begins with a byte order mark of UTF-16, as some editors save a file; all else is returned as it is.
func fromUTF16(src []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(src, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(src, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return string(src)
	}
	units := make([]uint16, len(src)/2)
	for i := range units {
		units[i] = order.Uint16(src[2*i:])
	}
	return string(utf16.Decode(units))
}
