package icap

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"strings"
)

// Limits of one part. A field of a form that is longer than maxField is scanned like a file.
const (
	partBuffer    = 32 << 10
	maxPartHeader = 8 << 10
	maxField      = 64 << 10
)

// parts reads a multipart/form-data body, one part after the other. It is stricter than RFC 2046, and than
// mime/multipart, because the application behind reads the same bytes with another parser: the boundary may stand
// nowhere but in a delimiter, with CRLF on both sides, and nothing but a CRLF may come before the first or after the
// last. It is not safe for concurrent use.
type parts struct {
	in    *bufio.Reader
	dash  []byte // "--" and the boundary
	begun bool
	first bool // nothing of the current part's content was read
	ended bool // the delimiter after the current part was read
	err   error
}

func newParts(body io.Reader, boundary string) *parts {
	return &parts{in: bufio.NewReaderSize(body, partBuffer), dash: []byte("--" + boundary), ended: true}
}

// disposition is what the header of a part says of it.
type disposition struct {
	file  bool // it is a file, or nobody can tell that it is none
	named bool // the file has a name: it is not a file input that was left empty
}

// next goes to the next part, past what was not read of the last one. It returns io.EOF after the last.
func (p *parts) next() (disposition, error) {
	if !p.ended && p.err == nil {
		_, _ = io.Copy(io.Discard, p)
	}
	if p.err != nil {
		return disposition{}, p.err
	}
	d, err := p.open()
	p.err = err
	return d, err
}

func (p *parts) open() (disposition, error) {
	if !p.begun {
		p.begun = true
		if err := p.begin(); err != nil {
			return disposition{}, err
		}
	}
	var mark [2]byte
	if _, err := io.ReadFull(p.in, mark[:]); err != nil {
		return disposition{}, incomplete(err)
	}
	switch string(mark[:]) {
	case "--":
		return disposition{}, p.end()
	case "\r\n":
		p.first, p.ended = true, false
		return p.header()
	}
	return disposition{}, unreadable("malformed delimiter of a part")
}

// begin reads the first boundary. The CRLF before it may be missing, as it is in most bodies.
func (p *parts) begin() error {
	if start, _ := p.in.Peek(2); string(start) == "\r\n" {
		_, _ = p.in.Discard(2)
	}
	got := make([]byte, len(p.dash))
	if _, err := io.ReadFull(p.in, got); err != nil {
		return incomplete(err)
	}
	if !bytes.Equal(got, p.dash) {
		return unreadable("multipart body that does not begin with its boundary")
	}
	return nil
}

// end reads what follows the last delimiter: an empty line, or nothing.
func (p *parts) end() error {
	rest, err := io.ReadAll(io.LimitReader(p.in, 3))
	switch {
	case err != nil:
		return incomplete(err)
	case len(rest) == 0 || string(rest) == "\r\n":
		return io.EOF
	}
	return unreadable("something follows the last part")
}

// header reads the header of a part.
func (p *parts) header() (disposition, error) {
	lines := &headerReader{in: p.in, left: maxPartHeader}
	fields := make(map[string]string)
	for {
		name, value, err := lines.field()
		if err != nil {
			return disposition{}, incomplete(err)
		}
		if name == "" {
			break
		}
		if _, twice := fields[name]; twice || bytes.Contains([]byte(name+value), p.dash) {
			return disposition{}, unreadable("ambiguous header of a part")
		}
		fields[name] = value
	}
	switch strings.ToLower(fields["content-transfer-encoding"]) {
	case "", "7bit", "8bit", "binary":
	default:
		return disposition{}, unreadable("encoded part")
	}
	if _, encoded := fields["content-encoding"]; encoded {
		return disposition{}, unreadable("encoded part")
	}
	if strings.HasPrefix(strings.ToLower(fields["content-type"]), "multipart") {
		return disposition{}, unreadable("parts within a part")
	}
	return dispositionOf(fields["content-disposition"]), nil
}

// dispositionOf reads a Content-Disposition. What cannot be read is a file.
func dispositionOf(value string) disposition {
	kind, parameters, err := mime.ParseMediaType(value)
	if err != nil || kind != "form-data" {
		return disposition{file: true, named: true}
	}
	name, file := parameters["filename"] // filename* too
	return disposition{file: file, named: name != ""}
}

// Read gives the content of the current part.
func (p *parts) Read(b []byte) (int, error) {
	switch {
	case p.err != nil:
		return 0, p.err
	case p.ended:
		return 0, io.EOF
	case len(b) == 0:
		return 0, nil
	}
	n, err := p.available()
	if err != nil {
		p.err = err
		return 0, err
	}
	if n == 0 {
		p.ended = true
		return 0, io.EOF
	}
	p.first = false
	return p.in.Read(b[:min(n, len(b))])
}

// available returns how many bytes of content the buffer begins with. It is 0 at the end of the part, whose delimiter
// has been read then.
func (p *parts) available() (int, error) {
	delimiter := len("\r\n") + len(p.dash)
	// One byte more than the delimiter, so that there is always something to give if it is not there.
	_, fill := p.in.Peek(delimiter + 1)
	if fill != nil && fill != io.EOF {
		return 0, fill
	}
	buffered, _ := p.in.Peek(p.in.Buffered())
	at := bytes.Index(buffered, p.dash)
	switch {
	case at == 0 && p.first: // no content, and no CRLF of its own before the delimiter
		_, err := p.in.Discard(len(p.dash))
		return 0, err
	case at == 0 || at == 1 || at > 1 && string(buffered[at-2:at]) != "\r\n":
		return 0, unreadable("boundary within a part")
	case at == 2:
		_, err := p.in.Discard(delimiter)
		return 0, err
	case at > 2:
		return at - 2, nil
	case fill != nil:
		return 0, unreadable("multipart body without its end")
	}
	return len(buffered) - delimiter + 1, nil // what is left can be the beginning of a delimiter
}

// incomplete turns the end of the body within its structure into a failure, and a header's fault too.
func incomplete(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return unreadable("multipart body without its end")
	}
	if err == bufio.ErrBufferFull {
		return unreadable("header of a part that is too long")
	}
	if fault, ok := err.(*requestError); ok && headerFault(fault) {
		return unreadable("malformed header of a part")
	}
	return err
}

// headerFault says whether the fault is of a header's text, not of the connection.
func headerFault(fault *requestError) bool {
	return fault.code == "line_end" || fault.code == "header_field" || fault.code == "header_too_long"
}
