package format

import (
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// record collects what one record of a file says until it is an entry. It is used again for each record, and refuses
// part by part: with Options.AllowSkips a bad hash does not take the good ones of its record with it.
type record struct {
	line, number int
	entry        hashmatch.Entry
	bare         bool // it has hashes, none of which can be kept
	faults       int
}

// begin starts a record. number counts records in formats whose lines say little; 0 in formats of lines.
func (p *parser) begin(line, number int) *hashmatch.Entry {
	r := &p.record
	r.line, r.number, r.bare, r.faults = line, number, false, 0
	r.entry = hashmatch.Entry{
		Key:        hashmatch.EntryKey{Source: p.source()},
		Signatures: r.entry.Signatures[:0],
		Labels:     r.entry.Labels[:0],
	}
	return &r.entry
}

func (p *parser) source() string {
	switch {
	case p.options.Source != "":
		return p.options.Source
	case p.result.Format == Columns || p.result.Format == PytxText:
		return ""
	}
	return p.result.Format.String()
}

// fault refuses a part of the record.
func (p *parser) fault(reason string) error {
	r := &p.record
	r.faults++
	if p.refuse(LineError{Line: r.line, Record: r.number, Reason: reason}) {
		return errEnough
	}
	return nil
}

// schemes are the names that kinds go by in exchanges, in the form of plainName. A pHash or dHash is not among them:
// that of another program is of another kind than ours.
var schemes = map[string]string{
	"md5": "md5", "hashmd5": "md5", "videomd5": "md5", "hashvideomd5": "md5",
	"sha1": "sha1", "hashsha1": "sha1", "sha256": "sha256", "hashsha256": "sha256",
	"pdq": "pdq", "imagepdq": "pdq", "hashpdq": "pdq",
	"photodna": photoDNA, "pdna": photoDNA, "hashphotodna": photoDNA, "imagephotodna": photoDNA,
}

// plainName returns a name in lower case and without -, _ and spaces.
func plainName(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '-' || c == '_' || c == ' ':
			return -1
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return c
	}, name)
}

// sign adds a signature of a scheme that goes by that name in exchanges. The value is not kept if hashmatch does not
// know the scheme; then it is counted.
func (p *parser) sign(name, value string) error {
	scheme := ""
	if len(name) <= 64 {
		scheme = schemes[plainName(name)]
	}
	return p.signAs(scheme, name, value)
}

// signAs adds a signature of the given kind or scheme, "" if that is not one that is kept.
func (p *parser) signAs(scheme, name, value string) error {
	r := &p.record
	if value == "" {
		return p.fault(schemeName(name) + ": no value")
	}
	switch kind := kindNames[scheme]; {
	case kind != 0:
		h, err := hashmatch.ParseHex(kind, value)
		if err == nil {
			err = hashlist.CheckHash(h)
		}
		if err != nil {
			return p.fault(err.Error())
		}
		return p.append(hashmatch.Signature{Hash: h})
	case scheme == photoDNA:
		opaque, err := hashlist.ParsePhotoDNA(value)
		if err != nil {
			return p.fault(photoDNA + ": " + err.Error())
		}
		return p.append(hashmatch.Signature{Scheme: photoDNA, Opaque: opaque})
	}
	count(&p.result.Uncomputed, schemeName(name), 1)
	r.bare = true
	return nil
}

func (p *parser) append(s hashmatch.Signature) error {
	r := &p.record
	if len(r.entry.Signatures) >= hashlist.MaxSignatures {
		return p.fault("too many signatures")
	}
	r.entry.Signatures = append(r.entry.Signatures, s)
	return nil
}

// schemeName returns a name of a scheme for reports, "other" if it is not a short plain word: it may be a hash.
func schemeName(name string) string {
	if quote([]byte(name)) == "" {
		return "other"
	}
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}

// label adds a label; one that no list can hold is refused.
func (p *parser) label(text string) error {
	text = strings.TrimSpace(text)
	if text == "" || slices.Contains(p.record.entry.Labels, text) {
		return nil
	}
	if len(p.record.entry.Labels) >= hashlist.MaxLabels {
		return p.fault("too many labels")
	}
	if len(text) > hashlist.MaxLabelBytes {
		return p.fault("a label of more than 256 bytes")
	}
	p.record.entry.Labels = append(p.record.entry.Labels, text)
	return nil
}

// classify sets the classification, which is a label too, so that a policy can name it.
func (p *parser) classify(text string) error {
	text = strings.TrimSpace(text)
	if len(text) > hashlist.MaxLabelBytes {
		return p.fault("a classification of more than 256 bytes")
	}
	p.record.entry.Classification = text
	return p.label(text)
}

// vote sets the votes on every signature of one scheme. A vote against what its source lists makes it disputed.
func (p *parser) vote(name string, positive, negative int) {
	e := &p.record.entry
	if negative > 0 && e.Status == hashmatch.Active {
		e.Status = hashmatch.Disputed
	}
	scheme := schemes[plainName(name)]
	for i := range e.Signatures {
		s := &e.Signatures[i]
		if scheme != "" && (s.Scheme == scheme || s.Scheme == "" && s.Hash.Kind == kindNames[scheme]) {
			s.Votes = hashmatch.Votes{Positive: uint32(positive), Negative: uint32(negative)}
		}
	}
}

const remarkBare = "records left out: none of their hashes is kept"

// finish takes the record's entry, with an ID derived from its first signature if it has none: a digest if there is
// one, because pictures that look the same may share another hash.
func (p *parser) finish() error {
	r := &p.record
	e := &r.entry
	if e.Key.ID == "" {
		e.Key.ID = derivedID(e.Signatures)
	}
	if len(e.Signatures) == 0 && e.Status != hashmatch.Withdrawn {
		switch {
		case r.faults > 0:
			return nil // each was refused
		case !r.bare:
			return p.fault("no hash")
		case e.Key.ID == "" || e.Updated.IsZero():
			p.remark(remarkBare)
			return nil
		}
		// What the entry had before is no longer listed.
		p.remark("entries taken as withdrawn: none of their hashes is kept")
		e.Status = hashmatch.Withdrawn
	}
	switch {
	case e.Key.ID == "" && r.faults > 0:
		return nil // each was refused
	case e.Key.ID == "" && r.bare:
		p.remark(remarkBare)
		return nil
	case e.Key.ID == "":
		return p.fault("neither an ID nor a hash")
	}
	if err := p.take(e); err != nil {
		return p.fault(err.Error())
	}
	return p.stop
}

func derivedID(signatures []hashmatch.Signature) string {
	var best *hashmatch.Signature
	for i := range signatures {
		if s := &signatures[i]; best == nil || rank(s) < rank(best) {
			best = s
		}
	}
	switch {
	case best == nil:
		return ""
	case best.Scheme != "":
		return hashlist.DeriveOpaqueID(best.Scheme, best.Opaque)
	}
	return hashlist.DeriveID(best.Hash)
}

// rank orders signatures by how well they tell files apart.
func rank(s *hashmatch.Signature) int {
	switch {
	case s.Scheme != "":
		return 200
	case s.Hash.Kind.Digest():
		return int(s.Hash.Kind)
	}
	return 100 + int(s.Hash.Kind)
}

// times are the forms in which sources write a time; those without a zone are in UTC.
var times = []string{time.RFC3339, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05-0700", "2006-01-02 15:04:05", "2006-01-02"}

// parseTime reads a time in one of those forms, or in seconds since 1970.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range times {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return parseSeconds(text)
}

// parseSeconds reads seconds since 1970: 1 to 12 digits.
func parseSeconds(text string) (time.Time, bool) {
	if len(text) == 0 || len(text) > 12 {
		return time.Time{}, false
	}
	seconds := int64(0)
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		seconds = 10*seconds + int64(c-'0')
	}
	return time.Unix(seconds, 0).UTC(), true
}

// truth reads a yes or no as exporters write them; anything but a plain yes is no.
func truth(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "1", "yes", "y":
		return true
	}
	return false
}
