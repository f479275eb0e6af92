package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// vicsMedia is one file of a VICS list. What exporters write as booleans and numbers may be strings too.
type vicsMedia struct {
	Category                        plain
	MD5, SHA1, SHA256, PhotoDNA     plain
	DateUpdated                     plain
	IsPrecategorized, IsDistributed plain
	VictimIdentified                plain
	OffenderIdentified              plain
	Series                          plain
	Tags                            json.RawMessage
	AlternativeHashes               []struct{ HashName, HashValue plain }
}

// The labels of what VICS and ICSE state of a file.
const (
	labelDistributed = "distributed"
	labelVictim      = "victim-identified"
	labelOffender    = "offender-identified"
	labelBaseline    = "baseline"
	labelVideo       = "video"
	labelSeries      = "series:"
)

// vics reads a document: {"value": [MEDIA…]}, {"value": [{"Media": [MEDIA…]}…]} of a file of cases, or [MEDIA…].
func (j *jsonParser) vics() {
	if j.in.peek() == '[' {
		j.in.array(j.vicsElement)
		return
	}
	j.in.object(func(name []byte) {
		if bytes.EqualFold(name, []byte("value")) && j.in.peek() == '[' {
			j.in.array(j.vicsElement)
			return
		}
		j.in.skip()
	})
}

// vicsElement reads a file, or the files of a case, which may be as many as in the whole list.
func (j *jsonParser) vicsElement() {
	if j.in.peek() != '{' {
		j.one(j.vicsMedia)
		return
	}
	line, isCase := j.in.line(), false
	j.in.keep()
	j.in.object(func(name []byte) {
		if bytes.EqualFold(name, []byte("Media")) && j.in.peek() == '[' {
			isCase = true
			j.in.drop()
			j.in.array(j.vicsElement)
			return
		}
		j.in.skip()
	})
	if isCase {
		j.in.drop()
		return
	}
	j.parse(line, j.vicsMedia)
}

func (j *jsonParser) vicsMedia(raw []byte) error {
	var m vicsMedia
	if ok, err := j.unmarshal(raw, &m); !ok {
		return err
	}
	category, mapped := j.options.Map["category:"+string(m.Category)]
	switch {
	case m.Category == "":
		return j.fault("no category")
	case !mapped && len(m.Category) > 10:
		return j.fault("a category that is not mapped")
	case !mapped:
		return j.fault(fmt.Sprintf("category %s is not mapped", strings.TrimSpace(quote([]byte(m.Category)))))
	case category == Leave:
		j.remark("records left out by the mapping")
		return nil
	}
	e := &j.record.entry
	if m.DateUpdated != "" {
		updated, ok := parseTime(string(m.DateUpdated))
		if !ok {
			return j.fault("DateUpdated: want a time as 2026-01-31T12:00:00Z")
		}
		e.Updated = updated
	}
	if err := j.classify(category); err != nil {
		return err
	}
	for _, hash := range []struct{ name, value plain }{{"MD5", m.MD5}, {"SHA1", m.SHA1}, {"SHA256", m.SHA256}, {"PhotoDNA", m.PhotoDNA}} {
		if err := j.vicsHash(hash.name, hash.value); err != nil {
			return err
		}
	}
	for _, hash := range m.AlternativeHashes {
		if err := j.vicsHash(hash.HashName, hash.HashValue); err != nil {
			return err
		}
	}
	labels := vicsTags(m.Tags)
	for _, flag := range []struct {
		is    plain
		label string
	}{
		{m.IsDistributed, labelDistributed}, {m.VictimIdentified, labelVictim}, {m.OffenderIdentified, labelOffender},
	} {
		if truth(string(flag.is)) {
			labels = append(labels, flag.label)
		}
	}
	if m.Series != "" {
		labels = append(labels, labelSeries+string(m.Series))
	}
	for _, label := range labels {
		if err := j.label(label); err != nil {
			return err
		}
	}
	return j.finish()
}

// vicsTags reads tags: a text with , or ; between them, or a list of texts.
func vicsTags(raw json.RawMessage) []string {
	var list []plain
	if len(raw) > 0 && raw[0] == '[' {
		_ = json.Unmarshal(raw, &list)
	} else if len(raw) > 0 {
		list = make([]plain, 1)
		_ = json.Unmarshal(raw, &list[0])
	}
	var tags []string
	for _, text := range list {
		tags = append(tags, splitLabels(string(text))...)
	}
	return tags
}

func splitLabels(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r == '|' })
}

// vicsHash adds a hash; an empty one is none.
func (j *jsonParser) vicsHash(name, value plain) error {
	if value == "" {
		return nil
	}
	if schemes[plainName(string(name))] == photoDNA {
		opaque, err := hashlist.ParsePhotoDNA(string(value))
		if err != nil {
			return j.fault(photoDNA + ": " + err.Error())
		}
		if j.constants.seen(opaque) {
			j.remark(constantRemark)
			j.record.bare = true
			return nil
		}
	}
	return j.sign(string(name), string(value))
}

const constantRemark = "PhotoDNA values left out: many files have the same"

// Some exporters write one PhotoDNA value, of no picture at all, into every file of a list. A value is taken for that
// if more than constantLimit files have it, or at least constantLeast that are a tenth of all; and one whose bytes are
// all the same is of a flat picture or of none.
const (
	constantLimit = 1000
	constantLeast = 8
	constantShare = 10
	constantSlots = 256
)

// constants finds values that come again and again, with a fixed number of counters: a value that makes up a tenth
// of all always has one of them (Misra and Gries).
type constants struct {
	counts  map[string]int
	dropped map[string]bool
}

// seen counts a value and reports whether it is to be left out.
func (c *constants) seen(value string) bool {
	if c.dropped[value] || strings.Trim(value, value[:1]) == "" {
		return true
	}
	if c.counts == nil {
		c.counts, c.dropped = make(map[string]int), make(map[string]bool)
	}
	n, counted := c.counts[value]
	switch {
	case counted || len(c.counts) < constantSlots:
		c.counts[value] = n + 1
	default:
		maps.DeleteFunc(c.counts, func(v string, n int) bool {
			c.counts[v] = n - 1
			return n <= 1
		})
	}
	if n+1 > constantLimit {
		c.dropped[value] = true
		return true
	}
	return false
}

// strip takes the constant values out of a list again that came into it before they were known for what they are.
func (c *constants) strip(l *hashlist.List, p *parser) (*hashlist.List, error) {
	if len(c.counts) == 0 {
		return l, nil
	}
	total, counts := 0, make(map[string]int)
	for s := range l.OpaqueSignatures() {
		total++
		if _, counted := c.counts[s.Opaque]; counted || c.dropped[s.Opaque] {
			counts[s.Opaque]++
		}
	}
	constant := func(s hashmatch.Signature) bool {
		n := counts[s.Opaque]
		return s.Scheme != "" && (c.dropped[s.Opaque] || n >= constantLeast && n*constantShare >= total)
	}
	var changes []hashlist.Change
	for s, i := range l.OpaqueSignatures() {
		if !constant(s) {
			continue
		}
		p.remark(constantRemark)
		e := l.Entry(i)
		e.Signatures = slices.DeleteFunc(e.Signatures, constant)
		op := hashlist.Upsert
		if len(e.Signatures) == 0 {
			op = hashlist.Remove
		}
		changes = append(changes, hashlist.Change{Op: op, Entry: e})
	}
	if len(changes) == 0 {
		return l, nil
	}
	now := p.options.Now
	if now.IsZero() {
		now = time.Now()
	}
	l, _, err := l.Apply(changes, now)
	return l, err
}
