package hook

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"example.org/hashmatch/pkg/hashmatch"
)

// Two programs that read the same multipart body differently are a way past any scanner: what one takes for a header,
// the other takes for an upload. So this parser is strict. It takes what browsers and upload libraries send, and
// refuses, with a reason, whatever anybody could read in another way:
//
//   - text before the first boundary or after the last one;
//   - lines of headers that do not end in CRLF, are folded, or come twice;
//   - the boundary anywhere but at the end of a part, or with something after it in its line;
//   - the boundary in a header;
//   - file names that another reader may see where this one does not;
//   - parts or messages within parts, pieces of files, and contents in an encoding (base64, quoted-printable, gzip).
//
// Every dialect that takes forms reads them with this.
//
// Each refusal is an error of type MultipartError.

// The limits of a multipart body, besides the number of parts.
const (
	DefaultMaxParts = 64
	maxPartHeader   = 8 << 10
	maxPartHeaders  = 16
	multipartBuffer = 64 << 10
	maxBoundary     = 70 // RFC 2046
)

// MaxFormValue is the length in bytes of the longest form value that is no upload. A part is a form value, and not
// scanned, if its disposition is form-data without a file name, it says no content type but text/plain, and it is UTF-8 of at most this length without
// control characters other than tab and line ends: no picture that is decoded anywhere can be that. A part with an
// empty file name and no content is what browsers send for a field in which no file was chosen; there is nothing in it
// to scan. Every other part is an upload.
const MaxFormValue = 64 << 10

// MultipartError says why a multipart body was refused: for the client, without a byte of content.
type MultipartError string

func (e MultipartError) Error() string { return "multipart: " + string(e) }

// ErrTooManyParts says that a multipart body has more parts than its reader was told to read.
var ErrTooManyParts = errors.New("multipart: more parts than the limit")

// Parts reads the parts of one body, in order. It is not safe for concurrent use.
type Parts struct {
	source    *counter
	r         *bufio.Reader // of source
	dash      []byte        // "--" and the boundary
	delimiter []byte        // CRLF before it
	max       int
	number    int   // of the part that is being read, from 1
	safe      int   // bytes at the front of r that are content for certain
	inside    bool  // a part is being read
	current   *Part // that part, or the one before
	final     bool  // the closing boundary was read
	err       error // why the body cannot be read on; nil while it can
}

// NewParts returns a reader of up to max parts of a multipart body. Boundary gives the boundary.
func NewParts(body io.Reader, boundary string, max int) *Parts {
	source := &counter{r: body}
	return &Parts{
		source: source, r: bufio.NewReaderSize(source, multipartBuffer), dash: []byte("--" + boundary), delimiter: []byte("\r\n--" + boundary), max: max,
	}
}

// counter counts the bytes that were read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// offset is where in the body the reader is.
func (p *Parts) offset() int64 { return p.source.n - int64(p.r.Buffered()) }

// Next returns the next part, after reading what is left of the one before. It returns io.EOF after the last. Other errors
// are final: a MultipartError, ErrTooManyParts, or that of the body.
func (p *Parts) Next() (*Part, error) {
	if p.err == nil {
		p.begin()
	}
	if p.err != nil {
		return nil, p.err
	}
	one, err := p.header()
	if err != nil {
		p.err = err
		return nil, err
	}
	one.start = p.offset()
	p.inside, p.current = true, one
	return one, nil
}

// begin reads up to the headers of the next part, or says in p.err why there is none.
func (p *Parts) begin() {
	if p.number == 0 {
		p.first()
	} else {
		_ = p.finish() // its error is p.err
	}
	switch {
	case p.err != nil:
	case p.final:
		p.err = p.end()
	case p.number == p.max:
		p.err = ErrTooManyParts
	default:
		p.number++
	}
}

// finish reads what is left of the part that is being read.
func (p *Parts) finish() error {
	if p.inside {
		_, _ = io.Copy(io.Discard, content{p})
	}
	return p.err
}

// first reads the first boundary. A line end before it is allowed: some libraries send one.
func (p *Parts) first() {
	if head, _ := p.r.Peek(2); string(head) == "\r\n" {
		_, _ = p.r.Discard(2)
	}
	head, err := p.r.Peek(len(p.dash) + 2)
	switch {
	case err != nil && err != io.EOF:
		p.err = err
	case !bytes.HasPrefix(head, p.dash):
		p.err = MultipartError("it does not begin with its boundary")
	default:
		p.err = p.after(head[len(p.dash):])
		_, _ = p.r.Discard(len(head))
	}
}

// after looks at the two bytes behind a boundary.
func (p *Parts) after(two []byte) error {
	switch string(two) {
	case "\r\n":
		return nil
	case "--":
		p.final = true
		return nil
	}
	return MultipartError("something follows a boundary in its line")
}

// end checks that nothing follows the closing boundary but a line end.
func (p *Parts) end() error {
	rest, err := p.r.Peek(3)
	switch {
	case err == nil:
	case err != io.EOF:
		return err
	case len(rest) == 0 || string(rest) == "\r\n":
		return io.EOF
	}
	return MultipartError("something follows its end")
}

// header reads the headers of one part.
func (p *Parts) header() (*Part, error) {
	one := &Part{number: p.number, reader: p}
	seen := make(map[string]bool)
	for length := 0; ; {
		line, err := p.r.ReadSlice('\n')
		length += len(line)
		switch {
		case length > maxPartHeader || err == bufio.ErrBufferFull:
			return nil, MultipartError(fmt.Sprintf("part %d: headers of over %d bytes", p.number, maxPartHeader))
		case err == io.EOF:
			return nil, MultipartError(fmt.Sprintf("part %d: it ends within its headers", p.number))
		case err != nil:
			return nil, err
		case len(line) == 2 && line[0] == '\r':
			return one, one.check()
		}
		name, value, ok := headerLine(line)
		ok = ok && !bytes.Contains(line, p.dash)
		switch {
		case !ok:
			return nil, MultipartError(fmt.Sprintf("part %d: a header that cannot be read", p.number))
		case seen[name]:
			return nil, MultipartError(fmt.Sprintf("part %d: a header that comes twice", p.number))
		case len(seen) == maxPartHeaders:
			return nil, MultipartError(fmt.Sprintf("part %d: more than %d headers", p.number, maxPartHeaders))
		}
		seen[name] = true
		if err := one.set(name, value); err != nil {
			return nil, MultipartError(fmt.Sprintf("part %d: %v", p.number, err))
		}
	}
}

// headerLine splits a line, ended by CRLF, into a lower-case name and a value.
func headerLine(line []byte) (name, value string, ok bool) {
	text, ended := strings.CutSuffix(string(line), "\r\n")
	name, value, found := strings.Cut(text, ":")
	if !ended || !found || !utf8.ValidString(value) {
		return "", "", false
	}
	if !IsToken(name) { // a space before the colon, for one
		return "", "", false
	}
	for i := range len(value) {
		if value[i] < ' ' && value[i] != '\t' || value[i] == 0x7f {
			return "", "", false
		}
	}
	return strings.ToLower(name), strings.Trim(value, " \t"), true
}

// content is what is left of the part that a Parts is at.
type content struct{ *Parts }

func (c content) Read(b []byte) (int, error) {
	p := c.Parts
	switch {
	case len(b) == 0:
		return 0, nil
	case !p.inside:
		return 0, io.EOF
	case p.err != nil:
		return 0, p.failure()
	case p.safe == 0:
		if p.search(); p.err != nil {
			return 0, p.failure()
		} else if !p.inside {
			return 0, io.EOF
		}
	}
	n, err := p.r.Read(b[:min(len(b), p.safe)]) // from the buffer: it does not fail
	p.safe -= n
	return n, err
}

// search finds how much of the buffer is content, or reads the boundary that ends the part.
func (p *Parts) search() {
	needed := len(p.delimiter) + 2
	if _, err := p.r.Peek(needed); err != nil {
		if p.err = err; err == io.EOF {
			p.err = MultipartError("it ends within a part")
		}
		return
	}
	buffered, _ := p.r.Peek(p.r.Buffered())
	at := bytes.Index(buffered, p.dash)
	switch {
	case at < 0: // a boundary may begin in the last bytes
		p.safe = len(buffered) - len(p.delimiter) + 1
	case at < 2 || buffered[at-2] != '\r' || buffered[at-1] != '\n':
		p.err = MultipartError("its boundary stands within a line")
	case at > 2:
		p.safe = at - 2
	default:
		p.inside, p.current.end = false, p.offset()
		p.err = p.after(buffered[len(p.delimiter):needed])
		_, _ = p.r.Discard(needed)
	}
}

// failure is what a scanner is told when a part cannot be read to its end.
func (p *Parts) failure() error {
	var failure *hashmatch.Failure
	if errors.As(p.err, &failure) {
		return p.err
	}
	return &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: "the multipart body cannot be read to the end of the part"}
}
