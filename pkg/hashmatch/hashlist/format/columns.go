package format

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// layout is what columns a CSV format has.
type layout struct {
	columns  []string
	required int // the first so many
}

var layouts = map[Format]layout{
	CSV:     {[]string{"kind", "hash", "entry", "list", "label", "status", "updated"}, 2},
	PytxCSV: {[]string{"signal_type", "signal_str", "collab", "category", "tags"}, 2},
}

// header says where the columns of a layout stand in a file: -1 if they do not.
type header struct {
	at     []int
	fields int
}

func parseHeader(line []byte, l layout) (header, error) {
	fields, err := splitRecord(nil, line)
	if err != nil {
		return header{}, err
	}
	h := header{at: make([]int, len(l.columns)), fields: len(fields)}
	for i := range h.at {
		h.at[i] = -1
	}
	for i, field := range fields {
		name := strings.ToLower(string(bytes.TrimSpace(field)))
		column := slices.Index(l.columns, name)
		if column < 0 {
			return header{}, fmt.Errorf("header: column %d is none of %s", i+1, strings.Join(l.columns, ", "))
		}
		if h.at[column] >= 0 {
			return header{}, fmt.Errorf("header: column %s stands there twice", name)
		}
		h.at[column] = i
	}
	for column, name := range l.columns[:l.required] {
		if h.at[column] < 0 {
			return header{}, fmt.Errorf("header: there is no column %s", name)
		}
	}
	return h, nil
}

// splitRecord appends the fields of a CSV line to dst. Fields point into the line unless it has quotes.
func splitRecord(dst [][]byte, line []byte) ([][]byte, error) {
	if bytes.IndexByte(line, '"') < 0 {
		for {
			i := bytes.IndexByte(line, ',')
			if i < 0 {
				return append(dst, line), nil
			}
			dst = append(dst, line[:i])
			line = line[i+1:]
		}
	}
	// One line at a time: a reader of the whole file would take all that follows an unclosed quote into memory.
	r := csv.NewReader(bytes.NewReader(line))
	fields, err := r.Read()
	var at *csv.ParseError
	switch {
	case err == io.EOF:
		return append(dst, nil), nil
	case errors.As(err, &at) && at.Err == csv.ErrQuote:
		return nil, fmt.Errorf("%w (a field cannot go on in the next line)", at.Err)
	case errors.As(err, &at):
		return nil, at.Err // without the position, which counts from this line
	case err != nil:
		return nil, err
	}
	for _, field := range fields {
		dst = append(dst, []byte(field))
	}
	return dst, nil
}

// columns reads a CSV file: its header, then its rows.
func (p *parser) columns(in *lines) error {
	l := layouts[p.result.Format]
	var h header
	parse := p.csvRow
	if p.result.Format == PytxCSV {
		parse = p.pytxRow
	}
	var fields, ordered [][]byte
	ordered = make([][]byte, len(l.columns))
	return p.lines(in, func(line []byte) error {
		var err error
		if h.at == nil {
			if h, err = parseHeader(line, l); err != nil {
				return fmt.Errorf("%w: line %d: %w", ErrFormat, in.number, err)
			}
			return nil
		}
		if fields, err = splitRecord(fields[:0], line); err != nil {
			return LineError{Reason: err.Error()}
		}
		if len(fields) != h.fields {
			return refused("%d fields, the header has %d", len(fields), h.fields)
		}
		for column, i := range h.at {
			ordered[column] = nil
			if i >= 0 {
				ordered[column] = bytes.TrimSpace(fields[i])
			}
		}
		if err := parse(ordered); errors.Is(err, ErrSeveralLists) {
			return fmt.Errorf("line %d: %w", in.number, err)
		} else {
			return err
		}
	})
}
