package format

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

const ncmecNamespace = "https://hashsharing.ncmec.org/hashsharing/v2"

// The bounds of XML. A fingerprint of a video may take hundreds of kilobytes; larger ones come as an address.
const (
	maxToken   = 1 << 20 // of a tag, a text, a comment
	maxVoters  = 10_000  // members that vote on the hashes of one entry
	maxElement = 32      // elements inside of each other
)

// meter hands a file to the XML decoder byte by byte and stops it in a token that is too long. As an io.ByteReader it
// is read without a buffer in between, so that it knows where the token began.
type meter struct {
	*bufio.Reader
	left    int
	newline int
	last    byte
}

var errToken = fmt.Errorf("a tag or a text of more than %d bytes", maxToken)

func (m *meter) ReadByte() (byte, error) {
	if m.left--; m.left < 0 {
		return 0, errToken
	}
	c, err := m.Reader.ReadByte()
	if err == nil {
		if m.last = c; c == '\n' {
			m.newline++
		}
	}
	return c, err
}

// ncmec reads answers to /v2/entries, one after the other.
func (p *parser) ncmec(lines *lines) error {
	m := &meter{Reader: lines.r}
	n := ncmecParser{parser: p, meter: m}
	d := xml.NewDecoder(m)
	err := n.run(d)
	if lines.number = m.newline; m.last != '\n' && m.last != 0 {
		lines.number++
	}
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, errToken):
		return fmt.Errorf("%w: line %d: %w", ErrMalformed, m.newline+1, errToken)
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: line %d: %s", ErrMalformed, m.newline+1, xmlReason(syntax.Msg))
	}
	return err
}

// xmlReason returns the decoder's message unless it may repeat what the file says.
func xmlReason(message string) string {
	switch {
	case strings.Contains(message, "EOF"):
		return "it ends in the middle"
	case strings.ContainsAny(message, "<&"):
		return "a tag or a character reference that is none, or an end tag that does not fit"
	}
	return message
}

// ncmecParser walks through the elements.
type ncmecParser struct {
	*parser
	meter  *meter
	path   []string // names of the open elements
	inside bool     // a record is open
	number int      // of the record

	text     []byte // of the element that is open
	href     bool   // it has an address in the place of a text
	scheme   string // the type of feedback that is open
	negative bool   // it is against
	votes    map[string]*votes
	voters   int
	stamped  bool // the record has a time
}

// votes holds the members for and against one hash, each once, however many reasons they give.
type votes struct{ positive, negative map[string]bool }

func (n *ncmecParser) run(d *xml.Decoder) error {
	for {
		n.meter.left = maxToken
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			var syntax *xml.SyntaxError
			if !errors.As(err, &syntax) && !errors.Is(err, errToken) && strings.HasPrefix(err.Error(), "xml: encoding") {
				return fmt.Errorf("%w: convert it", ErrEncoding)
			}
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			err = n.open(token)
		case xml.EndElement:
			err = n.close()
		case xml.CharData:
			if n.inside {
				if len(n.text)+len(token) > maxToken {
					return errToken
				}
				n.text = append(n.text, token...)
			}
		}
		if err != nil {
			return err
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

func (n *ncmecParser) open(e xml.StartElement) error {
	name := e.Name.Local
	if len(n.path) == 0 && (name != "queryResult" || e.Name.Space != ncmecNamespace) {
		return fmt.Errorf("%w: line %d: want <queryResult xmlns=%q>", ErrFormat, n.meter.newline+1, ncmecNamespace)
	}
	if len(n.path) >= maxElement {
		return fmt.Errorf("%w: line %d: more than %d elements inside of each other", ErrMalformed, n.meter.newline+1, maxElement)
	}
	n.path = append(n.path, name)
	n.text, n.href = n.text[:0], attribute(e, "href") != ""
	switch {
	case n.inside:
		n.openInside(name, e)
	case len(n.path) == 1:
		n.result.More = false
	case len(n.path) == 2 && name != "images" && name != "videos" && name != "paging":
		n.remark("elements of an unknown kind")
	case len(n.path) == 3 && n.path[1] == "paging" && name == "next":
		n.result.More = true
	case len(n.path) == 3 && (n.path[1] == "images" || n.path[1] == "videos"):
		switch name {
		case "image", "video", "deletedImage", "deletedVideo":
			n.start(name)
		default:
			n.remark("elements of an unknown kind")
		}
	}
	return nil
}

// start begins a record.
func (n *ncmecParser) start(name string) {
	n.number++
	entry := n.begin(n.meter.newline+1, n.number)
	n.inside, n.stamped, n.votes, n.voters, n.scheme = true, false, nil, 0, ""
	if strings.HasPrefix(name, "deleted") {
		entry.Status = hashmatch.Withdrawn
	}
	if strings.HasSuffix(strings.ToLower(name), labelVideo) {
		entry.Labels = append(entry.Labels, labelVideo)
	}
}

// openInside looks at the start of an element of a record.
func (n *ncmecParser) openInside(name string, e xml.StartElement) {
	switch {
	case len(n.path) == 4 && name == "member":
		n.record.entry.Key.Member = attribute(e, "id")
	case len(n.path) == 5 && n.path[3] == "feedback":
		n.scheme = ""
		if name == "affirmativeFeedback" || name == "negativeFeedback" {
			n.scheme, n.negative = attribute(e, "type"), name == "negativeFeedback"
		} else {
			n.remark("feedback of an unknown kind")
		}
	case len(n.path) > 5 && n.path[3] == "feedback" && name == "member" && n.scheme != "":
		n.voteOf(attribute(e, "id"))
	}
}

func (n *ncmecParser) voteOf(member string) {
	if n.voters++; n.voters > maxVoters {
		return
	}
	if len(member) > hashlist.MaxLabelBytes || len(n.scheme) > hashlist.MaxLabelBytes {
		n.voters = maxVoters + 1 // such votes cannot be kept, and the record is refused for it
		return
	}
	if n.votes == nil {
		n.votes = make(map[string]*votes)
	}
	v := n.votes[n.scheme]
	if v == nil {
		v = &votes{make(map[string]bool), make(map[string]bool)}
		n.votes[n.scheme] = v
	}
	if n.negative {
		v.negative[member] = true
	} else {
		v.positive[member] = true
	}
}

func (n *ncmecParser) close() error {
	depth, name := len(n.path), n.path[len(n.path)-1]
	parent := ""
	if depth > 1 {
		parent = n.path[depth-2]
	}
	n.path = n.path[:depth-1]
	if !n.inside {
		return nil
	}
	text := strings.TrimSpace(string(n.text))
	n.text = n.text[:0]
	entry := &n.record.entry
	switch {
	case depth == 3:
		n.inside = false
		return n.end()
	case depth == 4 && name == "id":
		entry.Key.ID = text
	case depth == 4 && name == "timestamp":
		entry.Updated, n.stamped = parseTime(text)
	case depth == 4 && name == "classification":
		return n.classify(text)
	case depth == 5 && parent == "fingerprints":
		return n.fingerprint(name, text)
	}
	return nil
}

// fingerprint adds a hash. Large ones are an address, which is not followed.
func (n *ncmecParser) fingerprint(name, text string) error {
	if n.record.entry.Status == hashmatch.Withdrawn {
		return nil
	}
	if text == "" && n.href && schemes[plainName(name)] == "" {
		text = "by reference" // not empty; it is only counted
	}
	return n.sign(name, text)
}

// end takes the record.
func (n *ncmecParser) end() error {
	entry := &n.record.entry
	switch {
	case entry.Key.Member == "":
		return n.fault("no member")
	case entry.Key.ID == "":
		return n.fault("no id")
	case !n.stamped:
		return n.fault("timestamp: want a time as 2026-01-31T12:00:00Z")
	case n.voters > maxVoters:
		return n.fault(fmt.Sprintf("more than %d votes, or votes of members without a usable ID", maxVoters))
	}
	for scheme, v := range n.votes {
		n.vote(scheme, len(v.positive), len(v.negative))
	}
	return n.finish()
}
