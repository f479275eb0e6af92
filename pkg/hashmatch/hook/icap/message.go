package icap

import (
	"bufio"
	"bytes"
	"mime"
	"net/textproto"
	"strconv"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
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
	return s, s.setBoundary(header["Content-Type"])
}

// parseHTTP splits a header into its first line and its fields. It returns false if it is malformed, or if something
// follows its empty line: that would be content that nobody looks at.
func parseHTTP(raw []byte) (line string, header textproto.MIMEHeader, ok bool) {
	first, rest, found := bytes.Cut(raw, []byte("\r\n"))
	if !found || bytes.ContainsAny(first, "\r\n\x00") {
		return "", nil, false
	}
	// An empty line alone is the end of a header without a field, and nothing else is looked for after the first.
	if end := bytes.Index(raw, []byte("\r\n\r\n")); end != len(raw)-4 {
		return "", nil, false
	}
	left := bytes.NewReader(rest)
	in := bufio.NewReader(left)
	header, err := textproto.NewReader(in).ReadMIMEHeader()
	if err != nil || in.Buffered()+left.Len() != 0 {
		return "", nil, false
	}
	return string(first), header, true
}

func (s *shape) setLength(header textproto.MIMEHeader) *hashmatch.Failure {
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
func bodyExpected(r *request, line string, header textproto.MIMEHeader, length int64) bool {
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
func part(line string, header textproto.MIMEHeader, method string) bool {
	_, ranged := header["Content-Range"]
	_, resumed := header["Upload-Offset"] // tus, and the resumable uploads of the IETF
	_, chunked := header["Oc-Chunked"]    // ownCloud's and Nextcloud's old uploads in chunks
	_, status, _ := strings.Cut(line, " ")
	return ranged || resumed || chunked || method == respmod && strings.HasPrefix(status, "206")
}

// setEncodings takes the content encodings, and refuses transfer encodings that ICAP's own chunks do not undo.
func (s *shape) setEncodings(header textproto.MIMEHeader) *hashmatch.Failure {
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

// setBoundary finds out whether the body is a form. Where two parsers could find two boundaries, or one a form and
// the other none, there is a failure: what the application takes for a picture must not be a piece of something else
// here.
func (s *shape) setBoundary(values []string) *hashmatch.Failure {
	if len(values) == 0 {
		return nil
	}
	if len(values) > 1 {
		return unreadable("more than one Content-Type")
	}
	kind := values[0]
	if !strings.Contains(strings.ToLower(kind), "multipart") {
		return nil
	}
	mediaType, parameters, err := mime.ParseMediaType(kind)
	switch {
	case err != nil || strings.Contains(kind, "*"):
		return unreadable("malformed Content-Type of a multipart body")
	case mediaType != "multipart/form-data":
		return unreadable("multipart body that is no form")
	case strings.Count(strings.ToLower(kind), "boundary") != 1:
		return unreadable("ambiguous boundary")
	}
	for name := range parameters {
		if name != "boundary" && name != "charset" {
			return unreadable("unknown parameter of a multipart body")
		}
	}
	boundary := parameters["boundary"]
	if boundary == "" || len(boundary) > maxBoundary || strings.Trim(boundary, boundaryCharacters) != "" {
		return unreadable("malformed boundary")
	}
	s.boundary = boundary
	return nil
}

// maxBoundary is the length of the longest boundary that RFC 2046 allows. Of its characters, those are left out at
// which parsers are known to end a boundary, or not.
const (
	maxBoundary        = 70
	boundaryCharacters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_./:=?-"
)
