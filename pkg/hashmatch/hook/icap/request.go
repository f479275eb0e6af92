package icap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"example.org/hashmatch/pkg/hashmatch/hook"
)

// Limits of what is read before a body, in bytes. A line of the ICAP header is bounded by the buffer that it is read
// through. Squid takes 64 KiB of request header and as much of reply header; the rest is room.
const (
	bufferSize     = 8 << 10
	maxICAPHeader  = 64 << 10
	maxHTTPHeaders = 160 << 10
)

// The ICAP methods.
const (
	options = "OPTIONS"
	reqmod  = "REQMOD"
	respmod = "RESPMOD"
)

// request is an ICAP request up to its body.
type request struct {
	method   string
	service  string
	allow204 bool // 204 may be the answer, preview or not
	preview  bool // the body begins with a preview
	close    bool // the client wants no further request answered on this connection
	trailer  bool // headers follow the body
	item     string

	httpRequest  []byte // header of the HTTP request, as sent; nil if there was none
	httpResponse []byte // of the HTTP response; nil if there was none
	body         bool   // chunks follow
}

// requestError is why a request cannot be answered. The connection is closed after it, since nobody knows where the
// next request would begin.
type requestError struct {
	status int    // ICAP's
	code   string // for X-Error-Code and the log
}

func (e *requestError) Error() string { return e.code }

func malformed(code string) error { return &requestError{400, code} }

// headerError turns the failure of a read into what the client is told.
func headerError(err error) error {
	var known *requestError
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &requestError{408, "header_timeout"}
	case errors.Is(err, bufio.ErrBufferFull):
		return malformed("line_too_long")
	}
	return malformed("header_cut_off")
}

// readRequest reads a request up to its body. Its errors are *requestError.
func readRequest(in *bufio.Reader) (*request, error) {
	header := &headerReader{in: in, left: maxICAPHeader}
	line, err := header.line()
	if err != nil {
		return nil, headerError(err)
	}
	r := new(request)
	if err := r.parseStart(line); err != nil {
		return nil, err
	}
	encapsulated := ""
	for {
		name, value, err := header.field()
		if err != nil {
			return nil, headerError(err)
		}
		if name == "" {
			break
		}
		if name == "encapsulated" {
			if encapsulated != "" {
				return nil, malformed("encapsulated_twice")
			}
			encapsulated = value
			continue
		}
		if err := r.set(name, value); err != nil {
			return nil, err
		}
	}
	sections, err := parseEncapsulated(encapsulated)
	if err != nil {
		return nil, err
	}
	if err := r.readSections(in, sections); err != nil {
		return nil, headerError(err)
	}
	return r, nil
}

// parseStart reads "REQMOD icap://host:1344/service?query ICAP/1.0".
func (r *request) parseStart(line string) error {
	words := strings.Split(line, " ")
	if len(words) != 3 {
		return malformed("start_line")
	}
	if words[2] != "ICAP/1.0" {
		if strings.HasPrefix(words[2], "ICAP/") {
			return &requestError{505, "version"}
		}
		return malformed("start_line")
	}
	r.method = words[0]
	if r.method != options && r.method != reqmod && r.method != respmod {
		return &requestError{405, "method"}
	}
	path := words[1]
	if scheme, rest, found := strings.Cut(path, "://"); found && !strings.ContainsAny(scheme, "/?") {
		_, path, _ = strings.Cut(rest, "/")
	}
	path, _, _ = strings.Cut(path, "?")
	r.service = strings.Trim(path, "/")
	return nil
}

// set takes what matters of one field of the ICAP header; name is in lower case.
func (r *request) set(name, value string) error {
	switch name {
	case "allow":
		r.allow204 = r.allow204 || hasWord(value, "204")
	case "connection":
		r.close = r.close || hasWord(value, "close")
	case "trailer":
		r.trailer = true
	case "preview":
		if _, err := strconv.ParseUint(value, 10, 31); err != nil || r.preview {
			return malformed("preview")
		}
		r.preview = true
	case "x-hashmatch-item":
		if r.item != "" && r.item != value {
			return malformed("item_twice")
		}
		r.item = value
	}
	return nil
}

// hasWord says whether a comma-separated list holds the word, in any case.
func hasWord(list, word string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(one), word) {
			return true
		}
	}
	return false
}

// section is one part of the encapsulated message: its name, and where it begins.
type section struct {
	name   string
	offset int
}

// parseEncapsulated reads "req-hdr=0, res-hdr=137, res-body=296". "" gives no section.
func parseEncapsulated(value string) ([]section, error) {
	if value == "" {
		return nil, nil
	}
	var sections []section
	for one := range strings.SplitSeq(value, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(one), "=")
		offset, err := strconv.ParseUint(number, 10, 31)
		switch {
		case err != nil:
			return nil, malformed("encapsulated")
		case offset > maxHTTPHeaders:
			return nil, &requestError{413, "http_header_too_long"}
		case len(sections) == 3:
			return nil, malformed("encapsulated")
		case len(sections) == 0 && offset != 0, len(sections) > 0 && int(offset) <= sections[len(sections)-1].offset:
			return nil, malformed("encapsulated")
		}
		sections = append(sections, section{strings.ToLower(name), int(offset)})
	}
	return sections, nil
}

// readSections reads the headers of the encapsulated message. Only what RFC 3507 allows for the method is taken: one
// body, or null-body, at the end, and the headers in their order before it.
func (r *request) readSections(in *bufio.Reader, sections []section) error {
	if r.method == options {
		r.body = len(sections) == 1 && sections[0].name == "opt-body"
		if r.body || len(sections) == 0 || len(sections) == 1 && sections[0].name == "null-body" {
			return nil
		}
		return malformed("encapsulated")
	}
	if len(sections) == 0 {
		return malformed("no_encapsulated")
	}
	last := len(sections) - 1
	bodyName := "req-body"
	if r.method == respmod {
		bodyName = "res-body"
	}
	switch sections[last].name {
	case bodyName:
		r.body = true
	case "null-body":
	default:
		return malformed("encapsulated")
	}
	for i, s := range sections[:last] {
		header, err := readSection(in, sections[i+1].offset-s.offset)
		if err != nil {
			return err
		}
		switch {
		case s.name == "req-hdr" && i == 0:
			r.httpRequest = header
		case s.name == "res-hdr" && r.method == respmod:
			r.httpResponse = header
		default:
			return malformed("encapsulated")
		}
		if r.httpResponse != nil && i != last-1 {
			return malformed("encapsulated")
		}
	}
	return nil
}

// readSection reads n bytes, n > 0. Memory is taken for what came, not for what was announced.
func readSection(in *bufio.Reader, n int) ([]byte, error) {
	var section bytes.Buffer
	_, err := io.CopyN(&section, in, int64(n))
	return section.Bytes(), err
}

// headerReader reads lines up to a limit of bytes altogether.
type headerReader struct {
	in   *bufio.Reader
	left int
}

// line returns the next line without its CRLF.
func (h *headerReader) line() (string, error) {
	line, err := h.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	if h.left -= len(line); h.left < 0 {
		return "", malformed("header_too_long")
	}
	text, ended := bytes.CutSuffix(line, []byte("\r\n"))
	if !ended || bytes.ContainsAny(text, "\r\x00") {
		return "", malformed("line_end")
	}
	return string(text), nil
}

// field returns the next field with its name in lower case; an empty name is the end of the header. Continued lines
// are refused, as RFC 7230 has it.
func (h *headerReader) field() (name, value string, err error) {
	line, err := h.line()
	if err != nil || line == "" {
		return "", "", err
	}
	name, value, found := strings.Cut(line, ":")
	if !found || !hook.IsToken(name) {
		return "", "", malformed("header_field")
	}
	return strings.ToLower(name), strings.Trim(value, " \t"), nil
}
