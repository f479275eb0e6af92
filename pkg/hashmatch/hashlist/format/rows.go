package format

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// photoDNA is the one opaque scheme of these formats: 144 bytes in base64.
const (
	photoDNA      = hashlist.PhotoDNA
	photoDNABytes = hashlist.PhotoDNABytes
)

// kindNames are the names that kinds go by in these formats. video_md5 is python-threatexchange's: the MD5 of a file.
var kindNames = func() map[string]hashmatch.Kind {
	names := map[string]hashmatch.Kind{"video_md5": hashmatch.MD5}
	for _, kind := range hashmatch.Kinds() {
		names[kind.String()] = kind
	}
	return names
}()

func knownKind(word []byte) bool {
	name := strings.ToLower(string(word))
	return kindNames[name] != 0 || name == photoDNA
}

// signature sets the row's entry to one with that signature, and the derived ID.
func (r *row) signature(kind, value []byte) error {
	r.entry = hashmatch.Entry{}
	s := &r.signatures[0]
	*s = hashmatch.Signature{}
	name := string(kind)
	if kindNames[name] == 0 {
		name = strings.ToLower(name)
	}
	switch k := kindNames[name]; {
	case k != 0:
		h, err := hashmatch.ParseHex(k, string(value))
		if err != nil {
			return LineError{Reason: err.Error()}
		}
		s.Hash = h
		r.entry.Key.ID = hashlist.DeriveID(h)
	case name == photoDNA:
		opaque, err := base64.StdEncoding.Strict().DecodeString(string(value))
		if err != nil {
			return refused("%s: not base64", photoDNA)
		}
		if len(opaque) != photoDNABytes {
			return refused("%s: %d bytes, want %d", photoDNA, len(opaque), photoDNABytes)
		}
		s.Scheme, s.Opaque = photoDNA, string(opaque)
		r.entry.Key.ID = hashlist.DeriveOpaqueID(photoDNA, s.Opaque)
	case name == "":
		return refused("no kind of hash")
	default:
		return refused("unknown kind of hash%s", quote(kind))
	}
	r.entry.Signatures = r.signatures[:]
	return nil
}

// takeRow adds the row's entry.
func (p *parser) takeRow() error {
	if err := p.take(&p.row.entry); err != nil {
		return LineError{Reason: err.Error()}
	}
	return nil
}

// row is a line on its way into an entry, used again for each line.
type row struct {
	entry      hashmatch.Entry
	signatures [1]hashmatch.Signature
	labels     []string
	interned   map[string]string
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

// quote returns a word for an error, with a space before it, or nothing if it is not a short plain word: it may be a
// hash in the wrong column.
func quote(word []byte) string {
	if len(word) == 0 || len(word) > 15 { // the shortest hash has 16 digits
		return ""
	}
	for _, c := range word {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	return fmt.Sprintf(" %q", word)
}

// pytxText reads a line of two columns.
func (p *parser) pytxText(line []byte) error {
	line = bytes.TrimSpace(line)
	if line[0] == '#' {
		return nil
	}
	kind, value := line, []byte(nil)
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		kind, value = line[:i], bytes.TrimLeft(line[i:], " \t")
	}
	if len(value) == 0 || bytes.ContainsAny(value, " \t") {
		return refused("%d fields, want 2: KIND HASH", len(bytes.Fields(line)))
	}
	if err := p.row.signature(kind, value); err != nil {
		return err
	}
	p.row.entry.Key.Source = p.source()
	return p.takeRow()
}

// disputedCategories are those of python-threatexchange in which someone said that the hash is of something else.
var disputedCategories = map[string]bool{"NEGATIVE_CLASS": true, "FALSE_POSITIVE": true, "DISPUTED": true}

// pytxRow reads signal_type, signal_str, collab, category, tags.
func (p *parser) pytxRow(fields [][]byte) error {
	r := &p.row
	if err := r.signature(fields[0], fields[1]); err != nil {
		return err
	}
	e := &r.entry
	e.Key.Source = r.intern(fields[2])
	r.labels = r.labels[:0]
	if len(fields[3]) > 0 {
		e.Classification = r.intern(fields[3])
		r.labels = append(r.labels, e.Classification)
		if disputedCategories[strings.ToUpper(e.Classification)] {
			e.Status = hashmatch.Disputed
		}
	}
	for tag := range bytes.FieldsSeq(fields[4]) {
		r.labels = append(r.labels, r.intern(tag))
	}
	e.Labels = r.labels
	return p.takeRow()
}

var labelUnescape = strings.NewReplacer("%25", "%", "%3B", ";", "%3b", ";")

// maxKeyText is the longest text of a key: three parts, each byte of which may be escaped.
const maxKeyText = 3*3*hashlist.MaxKeyBytes + 2

// csvRow reads kind, hash, entry, list, label, status, updated.
func (p *parser) csvRow(fields [][]byte) error {
	kind, value, entry, list, label, status, updated := fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]
	if other, err := p.otherList(list); err != nil || other {
		return err
	}
	r := &p.row
	state, err := hashmatch.ParseStatus(strings.ToLower(string(status)))
	if err != nil {
		return refused("unknown status%s", quote(status))
	}
	if state == hashmatch.Withdrawn && len(kind) == 0 && len(value) == 0 {
		if len(entry) == 0 {
			return refused("neither an entry nor a hash")
		}
		r.entry = hashmatch.Entry{}
	} else if err := r.signature(kind, value); err != nil {
		return err
	}
	e := &r.entry
	e.Status = state
	if len(updated) > 0 {
		if e.Updated, err = time.Parse(time.RFC3339, string(updated)); err != nil {
			return refused("updated: want a time as 2026-01-31T12:00:00Z") // the parser's error repeats the text
		}
	}
	if len(entry) > maxKeyText {
		return refused("entry: %d bytes", len(entry))
	}
	if len(entry) > 0 {
		if e.Key, err = hashmatch.ParseEntryKey(string(entry)); err != nil {
			return LineError{Reason: err.Error()}
		}
	}
	r.labels = r.labels[:0]
	for part := range bytes.SplitSeq(label, []byte{';'}) {
		if part = bytes.TrimSpace(part); len(part) == 0 {
			continue
		}
		text := r.intern(part)
		if strings.IndexByte(text, '%') >= 0 {
			text = labelUnescape.Replace(text)
		}
		r.labels = append(r.labels, text)
	}
	e.Labels = r.labels
	return p.takeRow()
}

// otherList reports whether a line that names that list is not to be read.
func (p *parser) otherList(name []byte) (bool, error) {
	switch {
	case p.options.List != "":
		p.result.List = p.options.List
		if len(name) == 0 || string(name) == p.options.List {
			return false, nil
		}
		p.result.OtherLists++
		return true, nil
	case len(name) == 0 || string(name) == p.result.List:
		return false, nil
	case len(name) > hashlist.MaxLabelBytes:
		return false, refused("list: %d bytes, at most %d are allowed", len(name), hashlist.MaxLabelBytes)
	case p.result.List != "":
		return false, fmt.Errorf("%w: %q and %q", ErrSeveralLists, p.result.List, name)
	}
	p.result.List = string(name)
	return false, nil
}
