package value

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"
)

// DecodeCSV reads a table (RFC 4180, with any separator) whose first line names the columns, and gives a list with an
// object for each line below. All values are texts; a line may be shorter than the first, but not longer. Errors are
// a *SyntaxError.
func DecodeCSV(src []byte, separator rune) ([]any, error) {
	src = bytes.TrimPrefix(src, []byte("\uFEFF"))
	if !utf8.Valid(src) {
		return nil, errorAt("CSV", src, invalidAt(src), "the text is not valid UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(src))
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = separator, -1, true
	rows := []any{}
	var columns []string
	for cells := 0; ; {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, csvError(err)
		}
		if cells += len(record); cells > MaxElements {
			return nil, &SyntaxError{Format: "CSV", Message: fmt.Sprintf("more than %d cells", MaxElements)}
		}
		if columns == nil {
			columns = slices.Clone(record)
			for i, name := range columns {
				if slices.Contains(columns[:i], name) {
					return nil, &SyntaxError{Format: "CSV", Line: 1, Column: 1, Message: fmt.Sprintf("the column %q is there twice", name)}
				}
				if i >= maxColumns {
					return nil, &SyntaxError{Format: "CSV", Line: 1, Column: 1, Message: fmt.Sprintf("more than %d columns", maxColumns)}
				}
			}
			continue
		}
		if len(record) > len(columns) {
			line, column := r.FieldPos(len(columns))
			return nil, &SyntaxError{
				Format: "CSV", Line: line, Column: column,
				Message: fmt.Sprintf("%d cells, but the first line names %d columns", len(record), len(columns)),
			}
		}
		row := make(map[string]any, len(record))
		for i, cell := range record {
			row[columns[i]] = cell
		}
		rows = append(rows, row)
	}
}

// maxColumns is how many columns a table may have.
const maxColumns = 1000

func csvError(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return &SyntaxError{Format: "CSV", Line: parse.Line, Column: parse.Column, Message: parse.Err.Error()}
	}
	return &SyntaxError{Format: "CSV", Message: err.Error()}
}

// AppendCSV appends a table. The rows are objects or lists. For objects the first line names the columns: the given
// ones, or where there are none all that occur, in the order of their names. Cells are written as Text renders them.
func AppendCSV(dst []byte, rows []any, columns []string, separator rune) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Comma = separator
	if columns == nil {
		var err error
		if columns, err = columnsOf(rows); err != nil {
			return dst, fmt.Errorf("write CSV: %w", err)
		}
	}
	if columns != nil {
		if err := w.Write(columns); err != nil {
			return dst, fmt.Errorf("write CSV: %w", err)
		}
	}
	var cells []string
	for i, row := range rows {
		cells = cells[:0]
		switch row := row.(type) {
		case map[string]any:
			for _, column := range columns {
				cells = append(cells, Text(row[column]))
			}
		case []any:
			for _, cell := range row {
				cells = append(cells, Text(cell))
			}
		default:
			return dst, fmt.Errorf("write CSV: row %d is neither an object nor a list", i+1)
		}
		if err := w.Write(cells); err != nil {
			return dst, fmt.Errorf("write CSV: %w", err)
		}
	}
	w.Flush()
	return append(dst, b.Bytes()...), nil
}

// columnsOf gives the names of all fields of the rows that are objects, sorted; nil: no row is one.
func columnsOf(rows []any) ([]string, error) {
	seen := map[string]bool{}
	objects := false
	for _, row := range rows {
		object, ok := row.(map[string]any)
		if !ok {
			continue
		}
		objects = true
		for key := range object {
			seen[key] = true
		}
	}
	if len(seen) > maxColumns {
		return nil, fmt.Errorf("more than %d columns", maxColumns)
	}
	if !objects {
		return nil, nil
	}
	columns := slices.Sorted(maps.Keys(seen))
	if columns == nil {
		columns = []string{}
	}
	return columns, nil
}
