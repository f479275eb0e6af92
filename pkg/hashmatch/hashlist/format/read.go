package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Options says how to read a file. The zero Options detects the format and refuses every file with a bad line.
type Options struct {
	Format     Format          // Unknown: detect it
	List       string          // CSV: the list whose lines are read; "" for a file of one list
	AllowSkips bool            // leave refused lines out instead of failing
	Report     func(LineError) // called with each refused line, in order; may be nil
	Now        time.Time       // the entries' Added and Synced; may be zero

	// Source is the source in the entries' keys, for the formats that do not state one: all but CSV and PytxCSV. ""
	// means the name of the format, and none for PytxText and Columns.
	Source string
	// AllowList says that the list is to be an allow-list. Without it NSRL is refused.
	AllowList bool
	// Map says what values stand for, by FIELD:VALUE. VICS needs it: "category:1" holds the label of category 1. For
	// Columns, FIELD is kind, labels, classification or status. "-" means that a record with that value is left out.
	Map map[string]string
	// Columns says of Columns which column holds what; it needs a column with a hash.
	Columns ColumnNames
}

// Leave is the value in Options.Map by which records are left out.
const Leave = "-"

// LineError is a refused line, or a refused part of a record.
type LineError struct {
	Line   int // 1 is the first
	Reason string
	Record int // XML and JSON: the number of the record in the file, 1 is the first; else 0
}

// Error returns "line 42: REASON" or "line 42: record 7: REASON".
func (e LineError) Error() string {
	if e.Record > 0 {
		return fmt.Sprintf("line %d: record %d: %s", e.Line, e.Record, e.Reason)
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

// Result counts what was read.
type Result struct {
	Format     Format
	List       string // CSV: the list that the lines are of; "" if they name none
	Lines      int    // of the file, blank ones, comments and headers too
	Rows       int    // lines or records taken
	Opaque     int    // of these, with a signature that hashmatch does not compute
	Skipped    int    // refused lines and parts of records
	OtherLists int    // CSV: lines of other lists than Options.List
	Superseded int    // Import: records that a later one of the same entry took the place of
	Entries    int    // Import: entries of the list
	// More is set if the last page in the file says that others follow: the file is not the whole list.
	More bool
	// Uncomputed counts by scheme the hashes that hashmatch does not compute and that were not kept. Those that are
	// kept (PhotoDNA) are counted by List.OpaqueCounts.
	Uncomputed map[string]int
	// Remarks counts whatever else was left out or taken otherwise than it stands in the file, by a short text.
	Remarks map[string]int
}

// Errors of reading a file.
var (
	ErrEmpty        = errors.New("no entry in it")
	ErrFormat       = errors.New("not a list format that is known here")
	ErrEncoding     = errors.New("not UTF-8 text")
	ErrSeveralLists = errors.New("it holds several lists: say which one to read")
	ErrMalformed    = errors.New("cut off, or not well-formed")
	ErrAllowList    = errors.New("a list of known files, which is read for an allow-list only")
	ErrOptions      = errors.New("the options do not fit the format")
)

// maxRefused is the number of refused lines after which an import that will fail anyway reads no further.
const maxRefused = 1000

// RefusedError fails an import because of refused lines.
type RefusedError struct {
	Refused int         // how many
	More    bool        // the file was not read further, there may be more
	First   []LineError // the first ten
}

// Error tells the number and the first few.
func (e *RefusedError) Error() string {
	var b strings.Builder
	switch {
	case e.Refused == 1:
		b.WriteString(e.First[0].Error())
		return b.String()
	case e.More:
		fmt.Fprintf(&b, "%d or more lines refused: ", e.Refused)
	default:
		fmt.Fprintf(&b, "%d lines refused: ", e.Refused)
	}
	for i, line := range e.First[:min(len(e.First), 3)] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(line.Error())
	}
	if e.Refused > 3 {
		b.WriteString("; …")
	}
	return b.String()
}

// Import reads a whole file into a list. Without an error, the list has an entry at least. The Result is filled in as
// far as the file was read, with an error too.
func Import(r io.Reader, options Options) (*hashlist.List, Result, error) {
	var b hashlist.Builder
	p := parser{options: options, add: b.Add}
	if err := p.run(r); err != nil {
		return nil, p.result, err
	}
	l, err := b.List()
	if err != nil {
		return nil, p.result, err
	}
	p.result.Superseded = b.Superseded()
	if l, err = p.constants.strip(l, &p); err != nil {
		return nil, p.result, err
	}
	if p.result.Entries = l.Len(); p.result.Entries == 0 {
		return nil, p.result, ErrEmpty
	}
	info := hashlist.Info{Name: p.result.List, Source: p.result.Format.String(), Created: options.Now, Synced: options.Now}
	return l.WithInfo(info), p.result, nil
}

// Parse calls yield with the entry of each record, in the order of the file: in formats of lines, one signature a
// line, or none for a withdrawal. Several may have the same key; a hashlist.Builder joins them. The entry's slices are
// used again for the next record. An error of yield ends the reading and is returned as it is. PhotoDNA values that
// Import finds to be the same throughout a VICS file are handed out up to that point.
func Parse(r io.Reader, options Options, yield func(hashmatch.Entry) error) (Result, error) {
	p := parser{options: options}
	p.add = func(e hashmatch.Entry) error {
		if err := hashlist.Validate(e); err != nil {
			return err
		}
		p.stop = yield(e)
		return nil
	}
	err := p.run(r)
	return p.result, err
}

// parser reads one file.
type parser struct {
	options   Options
	add       func(hashmatch.Entry) error // its error is the reason to refuse the line
	stop      error                       // ends the reading
	result    Result
	first     []LineError
	row       row
	record    record
	constants constants
	previous  [3]string // NSRL: SHA-1, MD5 and special code of the last line
}

// errEnough ends the reading of a file that has too many refused lines.
var errEnough = errors.New("too many refused lines")

func (p *parser) run(r io.Reader) error {
	in := newLines(r)
	head, err := in.head()
	if err != nil {
		return err
	}
	p.result.Format = p.options.Format
	if p.result.Format == Unknown {
		if len(bytes.TrimSpace(head)) == 0 {
			return ErrEmpty
		}
		if p.result.Format = Detect(head); p.result.Format == Unknown {
			return fmt.Errorf("%w: neither a known header line, nor KIND HASH, nor XML or JSON of an exchange", ErrFormat)
		}
	}
	if err := p.checkOptions(); err != nil {
		return err
	}
	p.row.interned = make(map[string]string)
	switch p.result.Format {
	case PytxText:
		err = p.lines(in, p.pytxText)
	case CSV, PytxCSV, ICSE, NSRL, Columns:
		err = p.columns(in)
	case NCMEC:
		err = p.ncmec(in)
	default:
		err = p.json(in)
	}
	p.result.Lines = in.number
	switch {
	case p.stop != nil:
		return p.stop
	case err != nil && err != errEnough:
		return err
	case p.result.Skipped > 0 && !p.options.AllowSkips:
		return &RefusedError{Refused: p.result.Skipped, More: p.result.Skipped >= maxRefused, First: p.first}
	case p.result.Rows == 0 && p.result.OtherLists > 0:
		return fmt.Errorf("%w: %d lines of other lists than %q", ErrEmpty, p.result.OtherLists, p.options.List)
	case p.result.Rows == 0:
		return ErrEmpty
	}
	return nil
}

// checkOptions refuses options that the format has no use for: what the caller thinks that they do is not done.
func (p *parser) checkOptions() error {
	f := p.result.Format
	if f >= formatEnd {
		return fmt.Errorf("%w: format %d", ErrFormat, f)
	}
	if f == NSRL && !p.options.AllowList {
		return fmt.Errorf("nsrl: %w", ErrAllowList)
	}
	if p.options.Source != "" && (f == CSV || f == PytxCSV) {
		return fmt.Errorf("%w: %s states the source of its entries itself", ErrOptions, f)
	}
	if f != Columns && !p.options.Columns.empty() {
		return fmt.Errorf("%w: %s has columns of its own", ErrOptions, f)
	}
	fields := mapFields[f]
	mapped := false
	for key := range p.options.Map {
		field, value, found := strings.Cut(key, ":")
		if !found || !slices.Contains(fields, field) {
			return fmt.Errorf("%w: %s maps %s, not %q", ErrOptions, f, mappable(fields), field)
		}
		if p.options.Map[key] == "" || value == "" && field == "category" {
			return fmt.Errorf("%w: the mapping of %q is empty: to leave such records out, map it to %q", ErrOptions, key, Leave)
		}
		mapped = mapped || field == "category"
	}
	if f == VICS && !mapped {
		return fmt.Errorf("%w: vics: what a category number means differs by country: map each, as in category:1=A1, or to %q to leave it out",
			ErrOptions, Leave)
	}
	if f == Columns {
		return p.options.Columns.check()
	}
	return nil
}

// lines calls parse with each line that is not blank, until an error that is not about the line.
func (p *parser) lines(in *lines, parse func(line []byte) error) error {
	for {
		line, err := in.next()
		if err == io.EOF {
			return nil
		}
		var reason LineError
		if err == nil && len(bytes.TrimSpace(line)) > 0 {
			err = parse(line)
		}
		switch {
		case p.stop != nil:
			return p.stop
		case err == nil:
		case errors.As(err, &reason):
			reason.Line = in.number
			if p.refuse(reason) {
				return errEnough
			}
		default:
			return err
		}
	}
}

// refuse counts and reports a line; true if there is no use in going on.
func (p *parser) refuse(line LineError) bool {
	p.result.Skipped++
	if len(p.first) < 10 {
		p.first = append(p.first, line)
	}
	if p.options.Report != nil {
		p.options.Report(line)
	}
	return !p.options.AllowSkips && p.result.Skipped >= maxRefused
}

// refused makes an error about the line; lines fills in its number.
func refused(format string, arguments ...any) error {
	return LineError{Reason: fmt.Sprintf(format, arguments...)}
}

// take adds an entry. An error is the reason why it cannot be in a list.
func (p *parser) take(e *hashmatch.Entry) error {
	e.Added, e.Synced = p.options.Now, p.options.Now
	if err := p.add(*e); err != nil {
		return err
	}
	p.result.Rows++
	for i := range e.Signatures {
		if e.Signatures[i].Scheme != "" {
			p.result.Opaque++
			break
		}
	}
	return nil
}

// maxCounted bounds the names that Uncomputed and Remarks hold: they come from the file.
const maxCounted = 100

func count(m *map[string]int, name string, n int) {
	if *m == nil {
		*m = make(map[string]int)
	}
	if _, known := (*m)[name]; !known && len(*m) >= maxCounted {
		name = "others"
	}
	(*m)[name] += n
}

func (p *parser) remark(text string) { count(&p.result.Remarks, text, 1) }
