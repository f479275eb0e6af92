// Package format reads and writes hash lists as files of other programs have them: pure parsing, no network.
//
// [Import] reads a file into a List; [Parse] hands out entry by entry; [Export] writes a List. Memory is bounded by
// one line, and for Import by the List that comes out.
//
// # Text and lines
//
// Files are UTF-8, with or without a byte order mark; lines end in LF or CRLF. UTF-16 and NUL bytes are refused, and
// so is a line of more than 1 MiB. Hexadecimal digits may be of either case. A line that cannot be read is refused
// with its number and the reason. One refused line fails the import, unless Options.AllowSkips says that it be left
// out; then it is counted and reported. All-zero hashes and the digests of the empty file are refused lines. A line's
// text is never repeated in an error: it may be a hash.
//
// # pytx text
//
// What python-threatexchange reads as a local file: a kind and a hash on a line, between them spaces or tabs.
//
//	# a comment; blank lines are allowed too
//	pdq 0123456789abcdef…
//
// Every kind that hashmatch computes is allowed, video_md5 as another name of md5, and photodna with its value in
// base64. The ID of an entry is derived from the hash (hashlist.DeriveID), so that a hash that comes twice is one entry.
//
// # pytx CSV
//
// What python-threatexchange prints: a header line and the columns signal_type, signal_str, collab, category, tags, in
// any order, of which the first two are required. The collab becomes the source of the entry's key, the ID is derived
// from the hash. The category becomes the classification, and a label as well, so that a policy can name it. The
// categories NEGATIVE_CLASS, FALSE_POSITIVE and DISPUTED make the entry disputed. Tags are labels, between spaces.
//
// # CSV
//
// The project's own: a header line and the columns entry, kind, hash, list, label, status, updated, in any order, of
// which kind and hash are required.
//
//		entry,kind,hash,list,label,status,updated
//		img-1,pdq,0123456789abcdef…,national,A1;synthetic,active,2026-01-31T12:00:00Z
//		img-1,sha256,…,national,,,2026-01-31T12:00:00Z
//		exchange/42/img-2,,,national,,withdrawn,
//
//	  - entry is an ID, or source/member/ID with % and / inside a part written as %25 and %2F; where it is empty, the ID
//	    is derived from the hash. Lines with the same entry are one entry with several signatures; they need not stand
//	    together.
//	  - kind and hash are as in pytx text. Both are empty in the line of a withdrawn entry, and only there.
//	  - list names the list that the line belongs to. If Options.List is set, lines of other lists are left out and
//	    counted, and those that name none belong to it. If it is not, a file with more than one list is refused: what
//	    is to be done with a match depends on the list.
//	  - label holds labels, with ; between them, and % and ; inside a label written as %25 and %3B. Labels of several
//	    lines of an entry add up.
//	  - status is active (or empty), disputed, suspended or withdrawn. If lines of an entry differ, the last of these
//	    in that order holds.
//	  - updated is when the source last changed the entry, as RFC 3339 has it, or empty. Only the lines of an entry that
//	    state the latest time of all are taken, those without one being the oldest: state it in every line of an entry
//	    or in none. Result.Superseded counts the others.
//
// A quoted field cannot hold a line break. What this format does not carry: votes, classification, and the times at
// which an entry was added and confirmed here.
package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Format is a file format. The zero Format is unknown.
type Format uint8

// The formats.
const (
	Unknown  Format = iota
	CSV             // the project's own
	PytxText        // two columns
	PytxCSV         // five columns
	formatEnd
)

var formatNames = [formatEnd]string{"unknown", "csv", "pytx-text", "pytx-csv"}

// String returns the name that ParseFormat reads.
func (f Format) String() string {
	if f >= formatEnd {
		return formatNames[Unknown]
	}
	return formatNames[f]
}

// ParseFormat reads a format's name: csv, pytx-text or pytx-csv.
func ParseFormat(name string) (Format, error) {
	for f := CSV; f < formatEnd; f++ {
		if formatNames[f] == name {
			return f, nil
		}
	}
	return Unknown, fmt.Errorf("unknown list format %q: want %s", name, strings.Join(formatNames[CSV:], ", "))
}

// HeadBytes is how much of a file's beginning Detect needs to see at most.
const HeadBytes = 64 << 10

// Detect tells the format of a file from its beginning, never from its name. Unknown means that no line of it is a
// known header or starts with a known kind of hash.
func Detect(head []byte) Format {
	head = head[:min(len(head), HeadBytes)]
	head = bytes.TrimPrefix(head, byteOrderMark)
	first := true
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if first {
			for _, f := range []Format{CSV, PytxCSV} {
				if _, err := parseHeader(line, layouts[f]); err == nil {
					return f
				}
			}
			first = false
		}
		if fields := bytes.Fields(line); len(fields) == 2 && knownKind(fields[0]) {
			return PytxText
		}
	}
	return Unknown
}

// Options says how to read a file. The zero Options detects the format and refuses every file with a bad line.
type Options struct {
	Format     Format          // Unknown: detect it
	List       string          // CSV: the list whose lines are read; "" for a file of one list
	AllowSkips bool            // leave refused lines out instead of failing
	Report     func(LineError) // called with each refused line, in order; may be nil
	Now        time.Time       // the entries' Added and Synced; may be zero
}

// LineError is a refused line.
type LineError struct {
	Line   int // 1 is the first
	Reason string
}

// Error returns "line 42: REASON".
func (e LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Result counts what was read.
type Result struct {
	Format     Format
	List       string // CSV: the list that the lines are of; "" if they name none
	Lines      int    // of the file, blank ones, comments and headers too
	Rows       int    // lines taken
	Opaque     int    // of these, with a signature that hashmatch does not compute
	Skipped    int    // refused lines
	OtherLists int    // CSV: lines of other lists than Options.List
	Superseded int    // Import: lines that a later one of the same entry took the place of
	Entries    int    // Import: entries of the list
}

// Errors of reading a file.
var (
	ErrEmpty        = errors.New("no entry in it")
	ErrFormat       = errors.New("not a list format that is known here")
	ErrEncoding     = errors.New("not UTF-8 text")
	ErrSeveralLists = errors.New("it holds several lists: say which one to read")
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
	p.result.Entries, p.result.Superseded = l.Len(), b.Superseded()
	info := hashlist.Info{Name: p.result.List, Source: p.result.Format.String(), Created: options.Now, Synced: options.Now}
	return l.WithInfo(info), p.result, nil
}

// Parse calls yield with the entry of each line, in the order of the file: one signature, or none for a withdrawal.
// Several may have the same key; a hashlist.Builder joins them. The entry's slices are used again for the next line.
// An error of yield ends the reading and is returned as it is.
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
	options Options
	add     func(hashmatch.Entry) error // its error is the reason to refuse the line
	stop    error                       // ends the reading
	result  Result
	first   []LineError
	row     row
}

// row is a line on its way into an entry, used again for each line.
type row struct {
	entry      hashmatch.Entry
	signatures [1]hashmatch.Signature
	labels     []string
	interned   map[string]string
}

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
			return fmt.Errorf("%w: neither a known header line nor KIND HASH", ErrFormat)
		}
	}
	if p.result.Format >= formatEnd {
		return fmt.Errorf("%w: format %d", ErrFormat, p.result.Format)
	}
	p.row.interned = make(map[string]string)
	if p.result.Format == PytxText {
		err = p.lines(in, p.pytxText)
	} else {
		err = p.columns(in)
	}
	p.result.Lines = in.number
	switch {
	case err != nil:
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
				return nil
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

// take adds the row's entry.
func (p *parser) take() error {
	e := &p.row.entry
	e.Added, e.Synced = p.options.Now, p.options.Now
	opaque := len(e.Signatures) > 0 && e.Signatures[0].Scheme != ""
	if err := p.add(*e); err != nil {
		return LineError{Reason: err.Error()}
	}
	p.result.Rows++
	if opaque {
		p.result.Opaque++
	}
	return nil
}

// intern returns text as a string, the same one for a text that comes often (a source, a label).
func (r *row) intern(text []byte) string {
	if s, known := r.interned[string(text)]; known {
		return s
	}
	s := string(text)
	if len(r.interned) < 1<<12 && len(s) <= hashlist.MaxKeyBytes {
		r.interned[s] = s
	}
	return s
}
