package format

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The bounds of JSON: one record is held in memory whole, up to maxRecord; of everything around it, names only.
const (
	maxRecord = 1 << 20
	maxName   = 1 << 10
	maxDepth  = 64
)

// jsonStream walks through JSON documents, one after the other, in bounded memory: encoding/json's Decoder holds a
// string of any length whole. It looks at no more than the structure; what is kept is checked by json.Unmarshal.
// After the first error every method does nothing.
type jsonStream struct {
	r       *bufio.Reader
	newline int // the number of them so far
	last    byte
	depth   int
	err     error

	scratch []byte // of a name
	keeping bool
	kept    []byte // what was read since keep, up to maxRecord
	over    bool   // it was more
}

func (in *jsonStream) line() int { return in.newline + 1 }

func (in *jsonStream) fail(format string, arguments ...any) {
	if in.err == nil {
		in.err = fmt.Errorf("%w: line %d: %s", ErrMalformed, in.line(), fmt.Sprintf(format, arguments...))
	}
}

// next returns the next byte; 0 after an error.
func (in *jsonStream) next() byte {
	if in.err != nil {
		return 0
	}
	c, err := in.r.ReadByte()
	switch {
	case err == io.EOF:
		in.fail("it ends in the middle")
		return 0
	case err != nil:
		in.err = err
		return 0
	}
	if c == '\n' {
		in.newline++
	}
	in.last = c
	if in.keeping {
		if len(in.kept) < maxRecord {
			in.kept = append(in.kept, c)
		} else {
			in.over = true
		}
	}
	return c
}

// peek passes over space and returns the byte after it without taking it; 0 at the end.
func (in *jsonStream) peek() byte {
	for in.err == nil {
		head, err := in.r.Peek(1)
		if err == io.EOF {
			return 0
		}
		if err != nil {
			in.err = err
			return 0
		}
		switch head[0] {
		case ' ', '\t', '\r', '\n':
			in.next()
		case 0:
			in.fail("a NUL byte")
		default:
			return head[0]
		}
	}
	return 0
}

// expect takes a byte that must come next, after space.
func (in *jsonStream) expect(want byte) {
	in.peek()
	if c := in.next(); in.err == nil && c != want {
		in.fail("want %q", want)
	}
}

// object calls f with the name of each member, which holds until f reads the value, as it has to.
func (in *jsonStream) object(f func(name []byte)) {
	in.items('{', '}', func() {
		name := in.name()
		in.expect(':')
		if in.err == nil {
			f(name)
		}
	})
}

// array calls f for each element; f has to read it.
func (in *jsonStream) array(f func()) { in.items('[', ']', f) }

func (in *jsonStream) items(open, end byte, f func()) {
	in.expect(open)
	if in.depth++; in.depth > maxDepth {
		in.fail("nested more than %d deep", maxDepth)
	}
	defer func() { in.depth-- }()
	if in.peek() == end {
		in.next()
		return
	}
	for in.err == nil {
		f()
		in.peek()
		switch c := in.next(); {
		case in.err != nil || c == end:
			return
		case c != ',':
			in.fail("want %q or %q", ',', end)
		}
	}
}

// name reads the name of a member, to be used before the next one is read.
func (in *jsonStream) name() []byte {
	if in.peek() != '"' {
		in.fail("want a name")
		return nil
	}
	raw := append(in.scratch[:0], in.next())
	plain, escaped := true, false
	for in.err == nil {
		c := in.next()
		raw = append(raw, c)
		if len(raw) > maxName {
			in.fail("a name of more than %d bytes", maxName)
		}
		if c == '"' && !escaped {
			break
		}
		escaped = c == '\\' && !escaped
		plain = plain && c >= ' ' && c != '\\'
	}
	in.scratch = raw
	if in.err != nil {
		return nil
	}
	if plain {
		return raw[1 : len(raw)-1]
	}
	var name string
	if json.Unmarshal(raw, &name) != nil {
		in.fail("a name that is no string")
	}
	return []byte(name)
}

// skip passes over a value of any length.
func (in *jsonStream) skip() {
	switch c := in.peek(); {
	case c == '{':
		in.object(func([]byte) { in.skip() })
	case c == '[':
		in.array(in.skip)
	case c == '"':
		in.next()
		for escaped := false; in.err == nil; {
			c := in.next()
			if c == '"' && !escaped {
				return
			}
			escaped = c == '\\' && !escaped
		}
	default:
		in.scalar()
	}
}

// scalar passes over a number, true, false or null.
func (in *jsonStream) scalar() {
	var token [64]byte
	n := 0
	for in.err == nil {
		head, err := in.r.Peek(1)
		if err != nil || !bytes.ContainsAny(head, "+-.0123456789abcdefghijklmnopqrstuvwxyzE") {
			break
		}
		if n == len(token) {
			in.fail("a number of more than %d digits", len(token))
			return
		}
		token[n] = in.next()
		n++
	}
	if in.err == nil && !json.Valid(token[:n]) {
		in.fail("want a value")
	}
}

// keep starts to keep what is read.
func (in *jsonStream) keep() { in.keeping, in.kept, in.over = true, in.kept[:0], false }

// drop stops it.
func (in *jsonStream) drop() { in.keeping, in.kept, in.over = false, in.kept[:0], false }

// json reads a file of one of the JSON formats: one document or several, one after the other.
func (p *parser) json(lines *lines) error {
	in := &jsonStream{r: lines.r}
	j := jsonParser{parser: p, in: in}
	document := map[Format]func(){
		VICS: j.vics, ThreatExchange: j.threatExchange, StopNCII: j.stopNCII, HMA: j.hma,
	}[p.result.Format]
	for in.peek() != 0 && in.err == nil && j.err == nil {
		document()
	}
	if lines.number = in.newline; in.last != '\n' && in.last != 0 {
		lines.number++
	}
	if j.err != nil {
		return j.err
	}
	return in.err
}

// jsonParser reads the records of a JSON format.
type jsonParser struct {
	*parser
	in     *jsonStream
	err    error // that ends the reading
	number int   // of the record
}

// stopped reports whether there is no use in going on; the stream is stopped too.
func (j *jsonParser) stopped(err error) bool {
	if err != nil {
		j.err = err
		if j.in.err == nil {
			j.in.err = err
		}
	}
	return j.err != nil || j.in.err != nil
}

// records calls parse with the text of each element of an array.
func (j *jsonParser) records(parse func(raw []byte) error) {
	j.in.array(func() { j.one(parse) })
}

// one calls parse with the text of the value that comes next.
func (j *jsonParser) one(parse func(raw []byte) error) {
	j.in.peek()
	line := j.in.line()
	j.in.keep()
	j.in.skip()
	j.parse(line, parse)
}

// parse calls f with what was kept, which started on that line.
func (j *jsonParser) parse(line int, f func(raw []byte) error) {
	if j.in.err != nil {
		return
	}
	j.number++
	j.begin(line, j.number)
	raw, over := j.in.kept, j.in.over
	switch {
	case over:
		j.stopped(j.fault(fmt.Sprintf("more than %d bytes", maxRecord)))
	case !utf8.Valid(raw):
		j.stopped(j.fault("not UTF-8"))
	case raw[0] != '{':
		j.stopped(j.fault("want an object"))
	default:
		j.stopped(f(raw))
	}
	j.in.drop()
}

// unmarshal reads a record, or refuses it. The reason names the field and never its value.
func (j *jsonParser) unmarshal(raw []byte, into any) (ok bool, err error) {
	err = json.Unmarshal(raw, into)
	var mismatch *json.UnmarshalTypeError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &mismatch):
		what, _, _ := strings.Cut(mismatch.Value, " ")
		return false, j.fault(fmt.Sprintf("%s: it cannot be a JSON %s", mismatch.Field, what))
	case errors.Is(err, errNotPlain):
		return false, j.fault(errNotPlain.Error())
	}
	return false, j.fault("not JSON")
}

// page reads a small value of the page itself.
func (j *jsonParser) page(into any) {
	line := j.in.line()
	j.in.keep()
	j.in.skip()
	if j.in.err == nil && (j.in.over || json.Unmarshal(j.in.kept, into) != nil) {
		j.in.fail("a field of the page (it begins in line %d) is not what it should be", line)
	}
	j.in.drop()
}

// plain is a string, number, boolean or null: exporters do not agree on which of them a field is.
type plain string

var errNotPlain = errors.New("a list or an object where a plain value belongs")

// UnmarshalJSON takes the text of any of them; null is "".
func (t *plain) UnmarshalJSON(raw []byte) error {
	switch c := raw[0]; {
	case c == '{' || c == '[':
		return errNotPlain
	case c != '"':
		*t = plain(raw)
		if c == 'n' {
			*t = ""
		}
		return nil
	case bytes.IndexByte(raw, '\\') < 0:
		*t = plain(bytes.TrimSpace(raw[1 : len(raw)-1]))
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	*t = plain(strings.TrimSpace(text))
	return nil
}
