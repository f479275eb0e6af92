package icap

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// shape is how the body of an HTTP message is to be read.
type shape struct {
	length    int64    // Content-Length; -1 if there is none
	encodings []string // to be undone, first one first
	boundary  string   // of a multipart/form-data body; "" for any other body
}

// unreadable is the failure of a message, or of a part of it, that cannot be read in one way only. The code is not
// Unsupported or Truncated, which a policy may well allow: nothing of the content was looked at.
func unreadable(why string) *hashmatch.Failure {
	return &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: why}
}

// shapeOf reads the HTTP headers of a request. It returns why the body cannot be scanned as one upload or more, if so.
func shapeOf(r *request) (shape, *hashmatch.Failure) {
	s := shape{length: -1}
	raw := r.httpRequest
	if r.method == respmod {
		raw = r.httpResponse
		if _, _, ok := parseHTTP(r.httpRequest); r.httpRequest != nil && !ok {
			return s, unreadable("malformed HTTP header")
		}
	}
	if raw == nil {
		return s, nil // nothing but a body: as it is
	}
	line, header, ok := parseHTTP(raw)
	if !ok {
		return s, unreadable("malformed HTTP header")
	}
	if failure := s.setLength(header); failure != nil {
		return s, failure
	}
	if !r.body {
		if bodyExpected(r, line, header, s.length) {
			return s, unreadable("a body was announced and not sent")
		}
		return s, nil
	}
	if part(line, header, r.method) {
		return s, unreadable("a part of a file")
	}
	if failure := s.setEncodings(header); failure != nil {
		return s, failure
	}
	return s, s.setBoundary(header)
}

// parseHTTP splits a header into its first line and its fields. It returns false if it is malformed, or if something
// follows its empty line: that would be content that nobody looks at. A name that is no token, a continued line and a line
// that does not end in CRLF are malformed: one program takes them for a field that another passes over.
func parseHTTP(raw []byte) (line string, header http.Header, ok bool) {
	first, rest, found := bytes.Cut(raw, []byte("\r\n"))
	if !found || bytes.ContainsAny(first, "\r\n\x00") {
		return "", nil, false
	}
	// An empty line alone is the end of a header without a field, and nothing else is looked for after the first.
	if end := bytes.Index(raw, []byte("\r\n\r\n")); end != len(raw)-4 {
		return "", nil, false
	}
	header = make(http.Header)
	for len(rest) > len("\r\n") {
		var field []byte
		field, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, found := strings.Cut(string(field), ":")
		if !found || !hook.IsToken(name) || strings.ContainsAny(value, "\r\n\x00") {
			return "", nil, false
		}
		header.Add(name, strings.Trim(value, " \t"))
	}
	return string(first), header, true
}

func (s *shape) setLength(header http.Header) *hashmatch.Failure {
	for _, value := range header["Content-Length"] {
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || s.length >= 0 && s.length != int64(n) {
			return unreadable("malformed Content-Length")
		}
		s.length = int64(n)
	}
	return nil
}

// bodyExpected says whether a message without a body should have one.
func bodyExpected(r *request, line string, header http.Header, length int64) bool {
	if length <= 0 && len(header["Transfer-Encoding"]) == 0 {
		return false
	}
	if r.method == reqmod {
		return true
	}
	// The answer to a HEAD, and these statuses, have a length and no body.
	if bytes.HasPrefix(r.httpRequest, []byte("HEAD ")) {
		return false
	}
	_, status, _ := strings.Cut(line, " ")
	return !strings.HasPrefix(status, "1") && !strings.HasPrefix(status, "204") && !strings.HasPrefix(status, "304")
}

// part says whether the body is a part of a file: of an upload in parts, of one that is resumed, or of a download.
func part(line string, header http.Header, method string) bool {
	_, ranged := header["Content-Range"]
	_, resumed := header["Upload-Offset"] // tus, and the resumable uploads of the IETF
	_, chunked := header["Oc-Chunked"]    // ownCloud's and Nextcloud's old uploads in chunks
	_, status, _ := strings.Cut(line, " ")
	return ranged || resumed || chunked || method == respmod && strings.HasPrefix(status, "206")
}

// setEncodings takes the content encodings, and refuses transfer encodings that ICAP's own chunks do not undo.
func (s *shape) setEncodings(header http.Header) *hashmatch.Failure {
	for _, coding := range words(header["Transfer-Encoding"]) {
		if coding != "chunked" && coding != "identity" {
			return unreadable("unknown transfer encoding")
		}
	}
	for _, coding := range words(header["Content-Encoding"]) {
		switch coding {
		case "identity":
		case "gzip", "x-gzip", "deflate":
			s.encodings = append([]string{coding}, s.encodings...) // the last one applied is undone first
		default:
			return unreadable("unknown content encoding")
		}
	}
	if len(s.encodings) > 1 { // nobody does, but those who have something to hide
		return unreadable("more than one content encoding")
	}
	return nil
}

// words returns the elements of comma-separated lists in lower case, empty ones left out.
func words(values []string) []string {
	var all []string
	for _, value := range values {
		for word := range strings.SplitSeq(value, ",") {
			if word = strings.ToLower(strings.TrimSpace(word)); word != "" {
				all = append(all, word)
			}
		}
	}
	return all
}

// setBoundary finds out whether the body is a form.
func (s *shape) setBoundary(header http.Header) *hashmatch.Failure {
	boundary, form, err := hook.Boundary(header)
	switch {
	case err != nil:
		return unreadable(err.Error())
	case form && !strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "multipart/form-data"):
		return unreadable("multipart body that is no form")
	}
	s.boundary = boundary
	return nil
}
