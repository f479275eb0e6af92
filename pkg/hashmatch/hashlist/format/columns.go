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

// layout is what columns a CSV format has. Names are in lower case; a file may write them in any.
type layout struct {
	columns   []string
	required  int // the first so many
	delimiter byte
}

var layouts = map[Format]layout{
	CSV:     {[]string{"kind", "hash", "entry", "list", "label", "status", "updated"}, 2, ','},
	PytxCSV: {[]string{"signal_type", "signal_str", "collab", "category", "tags"}, 2, ','},
	ICSE: {[]string{"md5", "image id", "sha1", "photodna", "is distributed", "victim identified", "offender identified",
		"series name", "number of submissions", "file available", "media type", "baseline", "sha256", "pdq"}, 2, ';'},
	NSRL: {[]string{"sha-1", "md5", "crc32", "filename", "filesize", "productcode", "opsystemcode", "specialcode"}, 8, ','},
}

// header says where the columns of a layout stand in a file: -1 if they do not.
type header struct {
	at     []int
	fields int
}

func parseHeader(line []byte, l layout) (header, error) {
	fields, err := splitRecord(nil, line, l.delimiter)
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

// splitRecord appends the fields of a CSV line to dst. Fields point into the line, but for those of a line with quotes
// inside of quotes.
func splitRecord(dst [][]byte, line []byte, delimiter byte) ([][]byte, error) {
	start := len(dst)
	for rest := line; ; {
		field, end := rest, -1
		if len(rest) > 0 && rest[0] == '"' {
			field = rest[1:]
			n := bytes.IndexByte(field, '"')
			if n < 0 || n+1 < len(field) && field[n+1] != delimiter {
				return splitQuoted(dst[:start], line, delimiter)
			}
			field, rest = field[:n], field[n+1:]
			if len(rest) > 0 {
				end = 0
			}
		} else {
			if end = bytes.IndexByte(rest, delimiter); end >= 0 {
				field = rest[:end]
			}
			if bytes.IndexByte(field, '"') >= 0 {
				return splitQuoted(dst[:start], line, delimiter)
			}
		}
		dst = append(dst, field)
		if end < 0 {
			return dst, nil
		}
		rest = rest[end+1:]
	}
}

// splitQuoted is splitRecord for a line in which quotes are not just around whole fields.
func splitQuoted(dst [][]byte, line []byte, delimiter byte) ([][]byte, error) {
	// One line at a time: a reader of the whole file would take all that follows an unclosed quote into memory.
	r := csv.NewReader(bytes.NewReader(line))
	r.Comma = rune(delimiter)
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
	if p.result.Format == Columns {
		l.delimiter = p.options.Columns.delimiter()
	}
	parse := map[Format]func([][]byte) error{
		CSV: p.csvRow, PytxCSV: p.pytxRow, ICSE: p.icseRow, NSRL: p.nsrlRow, Columns: p.namedRow,
	}[p.result.Format]
	var h header
	var fields, ordered [][]byte
	return p.lines(in, func(line []byte) error {
		var err error
		if h.at == nil {
			if p.result.Format == Columns {
				h, err = p.namedHeader(line, l.delimiter)
			} else {
				h, err = parseHeader(line, l)
			}
			if err != nil {
				return fmt.Errorf("%w: line %d: %w", ErrFormat, in.number, err)
			}
			ordered = make([][]byte, len(h.at))
			return nil
		}
		if fields, err = splitRecord(fields[:0], line, l.delimiter); err != nil {
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
		p.begin(in.number, 0)
		if err := parse(ordered); errors.Is(err, ErrSeveralLists) {
			return fmt.Errorf("line %d: %w", in.number, err)
		} else {
			return err
		}
	})
}
