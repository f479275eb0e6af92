package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Part is one part of a multipart body: valid until the next one is read.
type Part struct {
	number      int
	disposition string // "form-data", mostly; "" if it states none
	name        string
	filename    string
	named       bool // it has a file name, though that may be empty
	contentType string
	item        string // Hashmatch-Item
	start, end  int64  // of its content in the body; end is known when it was read to its end
	reader      *Parts
}

// FileName returns the file name that the part states, as it stands there: it can be a path. "" if it states none, or
// an empty one.
func (p *Part) FileName() string { return p.filename }

// set takes one header. Those that it does not know say nothing of the content.
func (p *Part) set(name, value string) error {
	switch name {
	case "content-disposition":
		return p.setDisposition(value)
	case "content-type":
		if composite(value) {
			return errors.New("parts within a part")
		}
		p.contentType = value
	case "content-transfer-encoding":
		if lower := strings.ToLower(value); lower != "binary" && lower != "8bit" && lower != "7bit" {
			return errors.New("a content transfer encoding")
		}
	case "content-encoding":
		if !strings.EqualFold(value, "identity") {
			return errors.New("a content encoding")
		}
	case "content-range":
		return errors.New("a piece of a file")
	case "hashmatch-item":
		p.item = value
	}
	return nil
}

// hiddenFileName finds what a reader that knows no quotes, or other ones, could take for a file name.
var hiddenFileName = regexp.MustCompile(`(?i)filename[*0-9]*[ \t]*=`)

// setDisposition takes a Content-Disposition. The standard library passes over parameters that it cannot decode; a file
// name among them would make a form value of an upload. So every parameter must be one that is understood here too.
func (p *Part) setDisposition(value string) error {
	unreadable := errors.New("a content disposition that cannot be read")
	disposition, parameters, err := mime.ParseMediaType(value)
	stated, ok := dispositionParameters(value)
	if err != nil || !ok || strings.Contains(disposition, "/") {
		return unreadable
	}
	p.disposition, p.name = disposition, parameters["name"]
	for _, one := range stated {
		switch {
		case !strings.HasPrefix(one.name, "filename"):
			continue
		case one.name == "filename":
			if p.named { // filename* came first, and counts
				continue
			}
			p.filename, ok = parameters["filename"]
		case one.name == "filename*":
			p.filename, ok = extendedValue(one.value)
		default: // in pieces, or misspelt
			ok = false
		}
		if p.named = true; !ok {
			return errors.New("a file name that cannot be read")
		}
	}
	if !p.named && hiddenFileName.MatchString(value) {
		return errors.New("a name that can be taken for a file name")
	}
	return nil
}

// parameter is one parameter of a Content-Disposition.
type parameter struct{ name, value string } // the name in lower case; the value without its quotes, escapes left in

// dispositionParameters splits what follows the first word. ok is false if it is anything but parameters.
func dispositionParameters(value string) (list []parameter, ok bool) {
	const blank = " \t"
	rest := strings.TrimLeft(value[len(tokenOfText(value)):], blank)
	for rest != "" {
		if rest[0] != ';' {
			return nil, false
		}
		if rest = strings.TrimLeft(rest[1:], blank); rest == "" { // some end with a semicolon
			break
		}
		name := tokenOfText(rest)
		rest = rest[len(name):]
		if name == "" || !strings.HasPrefix(rest, "=") {
			return nil, false
		}
		rest = rest[1:]
		text := tokenOfText(rest)
		if end := quotedLength(rest); end > 0 {
			text, rest = rest[1:end-1], rest[end:]
		} else {
			rest = rest[len(text):]
			if text == "" {
				return nil, false
			}
		}
		list = append(list, parameter{strings.ToLower(name), text})
		rest = strings.TrimLeft(rest, blank)
	}
	return list, true
}

// tokenOfText returns the token (RFC 9110) that a text begins with.
func tokenOfText(text string) string {
	for i := range len(text) {
		if !tokenByte(text[i]) {
			return text[:i]
		}
	}
	return text
}

// IsToken says whether a text is a token (RFC 9110): what the name of a header must be.
func IsToken(text string) bool { return text != "" && tokenOfText(text) == text }

func tokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// quotedLength returns the length of the quoted string that a text begins with, with its quotes; 0 if there is none.
func quotedLength(text string) int {
	if text == "" || text[0] != '"' {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// extendedValue decodes UTF-8”na%20me (RFC 8187).
func extendedValue(text string) (string, bool) {
	charset, rest, _ := strings.Cut(text, "'")
	_, encoded, found := strings.Cut(rest, "'")
	if !found {
		return "", false
	}
	var raw []byte
	for i := 0; i < len(encoded); i++ {
		c := encoded[i]
		if c == '%' {
			if i+2 >= len(encoded) || !hexDigit(encoded[i+1]) || !hexDigit(encoded[i+2]) {
				return "", false
			}
			c = hexValue(encoded[i+1])<<4 | hexValue(encoded[i+2])
			i += 2
		} else if !tokenByte(c) || c == '\'' || c == '*' {
			return "", false
		}
		raw = append(raw, c)
	}
	switch strings.ToLower(charset) {
	case "utf-8", "us-ascii":
		return string(raw), utf8.Valid(raw)
	case "iso-8859-1":
		runes := make([]rune, len(raw))
		for i, c := range raw {
			runes[i] = rune(c)
		}
		return string(runes), true
	}
	return "", false
}

func hexDigit(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func (p *Part) check() error {
	for _, text := range []string{p.name, p.filename} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
			return MultipartError(fmt.Sprintf("part %d: a name with control characters", p.number))
		}
	}
	return nil
}

// Open reads enough of the part to tell what it is: a form value, returned whole, or an upload, for which content is
// not nil. An error is the body's.
func (p *Part) Open() (value []byte, upload io.Reader, err error) {
	whole := content{p.reader}
	limit := 0
	switch {
	case p.named && p.filename == "":
	case p.named || p.disposition != "form-data" || !plainType(p.contentType):
		return nil, whole, nil
	default:
		limit = MaxFormValue
	}
	value, err = io.ReadAll(io.LimitReader(whole, int64(limit)+1))
	switch {
	case err != nil:
		return nil, nil, p.reader.err
	case len(value) > limit || !plainText(value):
		return nil, io.MultiReader(bytes.NewReader(value), whole), nil
	}
	return value, nil, nil
}

// plainType says whether a Content-Type is that of a text, and states no more than its charset: "name" is a file name
// to some.
func plainType(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, parameters, ok := mediaType(contentType)
	delete(parameters, "charset")
	return ok && kind == "text/plain" && len(parameters) == 0 && !strings.Contains(contentType, "*")
}

func plainText(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexFunc(b, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f
	}) < 0
}
