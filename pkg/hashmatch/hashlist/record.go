package hashlist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// A record is the one canonical encoding of what an entry says: equal entries have equal bytes. It has two parts, so
// that the one that entries share is stored once. Numbers are unsigned varints in their shortest form, text is its
// length and its bytes.
//
//	descriptor  status (1 byte), source, member, classification, number of labels, labels in ascending order
//	content     flags (1 byte), ID unless derived, update time if stated, number of signatures, signatures in
//	            ascending order: code (1 byte), then the hash's bytes, or the scheme and the bytes of an opaque one;
//	            then, if the flags say so, its positive and negative votes
//
// The times added and synced are kept beside the record: they are local, no part of it.
//
// What is written here is what a Revision is a digest of. A change of it makes a new generation of revisions (see
// revision.go) and a new version of the snapshot file.
const (
	flagDerived = 1 << iota // the ID is derived from the first signature, and left out
	flagUpdated             // an update time is stated
	flagMicros              // it is in microseconds since 1970, else in seconds; zigzag
	flagVotes               // each signature carries its votes

	flagsEnd
)

// codes are the stable numbers of the kinds in records. A number is never used again.
var codes = [...]hashmatch.Kind{
	1: hashmatch.PDQ, 2: hashmatch.PHash, 3: hashmatch.DHash, 4: hashmatch.AHash,
	5: hashmatch.PHash256, 6: hashmatch.DHash256, 7: hashmatch.AHash256,
	8: hashmatch.MD5, 9: hashmatch.SHA1, 10: hashmatch.SHA256,
}

// codeOpaque stands for a signature of any scheme.
const codeOpaque = 0x80

// codeOf is codes, turned round; 0 for a kind without a number.
var codeOf = func() (table [256]byte) {
	for code, kind := range codes {
		table[kind] = byte(code)
	}
	table[0] = 0
	return table
}()

func signatureCode(s *hashmatch.Signature) byte {
	if s.Scheme != "" {
		return codeOpaque
	}
	return codeOf[s.Hash.Kind]
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

func appendDescriptor(dst []byte, e *hashmatch.Entry) []byte {
	dst = append(dst, byte(e.Status))
	dst = appendText(dst, e.Key.Source)
	dst = appendText(dst, e.Key.Member)
	dst = appendText(dst, e.Classification)
	dst = binary.AppendUvarint(dst, uint64(len(e.Labels)))
	for _, label := range e.Labels {
		dst = appendText(dst, label)
	}
	return dst
}

func appendContent(dst []byte, e *hashmatch.Entry) []byte {
	var flags byte
	if len(e.Signatures) > 0 && len(e.Key.ID) == derivedIDLength && e.Key.ID[:2] == "h-" {
		var id [derivedIDLength]byte
		if s := &e.Signatures[0]; s.Scheme == "" {
			if string(deriveID(id[:0], s.Hash.Kind.String(), s.Hash.Bytes())) == e.Key.ID {
				flags |= flagDerived
			}
		} else if DeriveOpaqueID(s.Scheme, s.Opaque) == e.Key.ID {
			flags |= flagDerived
		}
	}
	if !e.Updated.IsZero() {
		flags |= flagUpdated
		if e.Updated.Nanosecond() != 0 {
			flags |= flagMicros
		}
	}
	for i := range e.Signatures {
		if e.Signatures[i].Votes != (hashmatch.Votes{}) {
			flags |= flagVotes
		}
	}
	dst = append(dst, flags)
	if flags&flagDerived == 0 {
		dst = appendText(dst, e.Key.ID)
	}
	switch {
	case flags&flagMicros != 0:
		dst = binary.AppendVarint(dst, e.Updated.UnixMicro())
	case flags&flagUpdated != 0:
		dst = binary.AppendVarint(dst, e.Updated.Unix())
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Signatures)))
	for i := range e.Signatures {
		s := &e.Signatures[i]
		dst = append(dst, signatureCode(s))
		if s.Scheme == "" {
			dst = append(dst, s.Hash.Bytes()...)
		} else {
			dst = appendText(dst, s.Scheme)
			dst = appendText(dst, s.Opaque)
		}
		if flags&flagVotes != 0 {
			dst = binary.AppendUvarint(dst, uint64(s.Votes.Positive))
			dst = binary.AppendUvarint(dst, uint64(s.Votes.Negative))
		}
	}
	return dst
}

// cursor reads an encoding from front to back. After the first fault it is bad and gives zeros.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) fail() { c.rest, c.bad = nil, true }

func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.rest)) {
		c.fail()
		return nil
	}
	out := c.rest[:n:n]
	c.rest = c.rest[n:]
	return out
}

func (c *cursor) byte() byte {
	if len(c.rest) == 0 {
		c.fail()
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 || n > 1 && c.rest[n-1] == 0 { // too short, too large, or not the shortest form
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) varint() int64 {
	v := c.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (c *cursor) text() []byte { return c.take(c.uvarint()) }

// decodeDescriptor sets what a descriptor holds in e.
func decodeDescriptor(descriptor []byte, e *hashmatch.Entry) error {
	c := cursor{rest: descriptor}
	e.Status = hashmatch.Status(c.byte())
	e.Key.Source, e.Key.Member = string(c.text()), string(c.text())
	e.Classification = string(c.text())
	n := c.uvarint()
	if n > MaxLabels {
		return fmt.Errorf("%w: a descriptor with too many labels", ErrCorrupt)
	}
	e.Labels = nil
	if n > 0 {
		e.Labels = make([]string, n)
	}
	for i := range e.Labels {
		e.Labels[i] = string(c.text())
	}
	if c.bad || len(c.rest) > 0 {
		return fmt.Errorf("%w: a descriptor has the wrong length", ErrCorrupt)
	}
	return nil
}

// content is a view of the second part of a record. It points into the record.
type content struct {
	flags   byte
	id      []byte // nil if derived
	updated int64  // microseconds since 1970, if stated
	count   int    // signatures left to be read
	cursor
}

// signature is a view of one signature. It points into the record.
type signature struct {
	code   byte
	scheme []byte // of an opaque signature
	value  []byte
	votes  hashmatch.Votes
}

// readContent starts to read a content. The caller checks bad.
func readContent(encoded []byte) content {
	c := content{cursor: cursor{rest: encoded}}
	c.flags = c.byte()
	if c.flags&flagDerived == 0 {
		c.id = c.text()
	}
	switch {
	case c.flags&flagMicros != 0:
		c.updated = c.varint()
	case c.flags&flagUpdated != 0:
		seconds := c.varint()
		if seconds <= zeroSeconds || seconds > maxSeconds {
			c.fail()
			seconds = 0
		}
		c.updated = seconds * 1e6
	}
	n := c.uvarint()
	if n > MaxSignatures {
		c.fail()
		n = 0
	}
	c.count = int(n)
	return c
}

// next reads a signature; false at the end or at a fault.
func (c *content) next() (s signature, ok bool) {
	if c.count == 0 || c.bad {
		return signature{}, false
	}
	c.count--
	s.code = c.byte()
	switch {
	case s.code == codeOpaque:
		s.scheme, s.value = c.text(), c.text()
	case s.code > 0 && int(s.code) < len(codes):
		s.value = c.take(uint64(codes[s.code].Bits() / 8))
	default:
		c.fail()
	}
	if c.flags&flagVotes != 0 {
		positive, negative := c.uvarint(), c.uvarint()
		if positive > 1<<32-1 || negative > 1<<32-1 {
			c.fail()
		}
		s.votes = hashmatch.Votes{Positive: uint32(positive), Negative: uint32(negative)}
	}
	return s, !c.bad
}

// hash returns the signature as a Hash; it must not be opaque.
func (s *signature) hash() hashmatch.Hash {
	h := hashmatch.Hash{Kind: codes[s.code]}
	copy(h.Bits[:], s.value)
	return h
}

// listable is CheckHash for a hash in a record, without a copy of it.
func (s *signature) listable() bool {
	any := uint32(0)
	for rest := s.value; len(rest) >= 4; rest = rest[4:] { // no hash has a length between
		any |= binary.LittleEndian.Uint32(rest)
	}
	if kind := codes[s.code]; kind.Digest() {
		empty := emptyFile[kind]
		return any != 0 && !bytes.Equal(empty[:len(s.value)], s.value)
	}
	return any != 0
}

func (s *signature) name() string {
	if s.code == codeOpaque {
		return string(s.scheme)
	}
	return codes[s.code].String()
}

// compare orders signatures as compareSignatures does.
func (s *signature) compare(other *signature) int {
	if s.code != other.code {
		return int(s.code) - int(other.code)
	}
	if c := bytes.Compare(s.scheme, other.scheme); c != 0 {
		return c
	}
	return bytes.Compare(s.value, other.value)
}

// entryID returns the ID of the entry with this content, derived ones too, in a buffer of the caller's.
func entryID(dst, encoded []byte) []byte {
	c := readContent(encoded)
	if c.flags&flagDerived == 0 {
		return append(dst, c.id...)
	}
	s, ok := c.next()
	if !ok {
		return dst
	}
	return deriveID(dst, s.name(), s.value)
}

func (c *content) updatedTime() time.Time {
	if c.flags&flagUpdated == 0 {
		return time.Time{}
	}
	return time.UnixMicro(c.updated).UTC()
}

// decodeContent sets what a content holds in e.
func decodeContent(encoded []byte, e *hashmatch.Entry) error {
	c := readContent(encoded)
	e.Updated = c.updatedTime()
	e.Signatures = nil
	if c.count > 0 {
		e.Signatures = make([]hashmatch.Signature, 0, min(c.count, len(encoded)))
	}
	for s, ok := c.next(); ok; s, ok = c.next() {
		if s.code == codeOpaque {
			e.Signatures = append(e.Signatures,
				hashmatch.Signature{Scheme: string(s.scheme), Opaque: string(s.value), Votes: s.votes})
		} else {
			e.Signatures = append(e.Signatures, hashmatch.Signature{Hash: s.hash(), Votes: s.votes})
		}
	}
	if c.bad || len(c.rest) > 0 {
		return fmt.Errorf("%w: a record has the wrong length", ErrCorrupt)
	}
	var id [derivedIDLength]byte
	e.Key.ID = string(entryID(id[:0], encoded))
	return nil
}

// checkDescriptor refuses a descriptor that appendDescriptor would not have written. It returns its status.
func checkDescriptor(descriptor []byte) (hashmatch.Status, error) {
	var e hashmatch.Entry
	if err := decodeDescriptor(descriptor, &e); err != nil {
		return 0, err
	}
	probe := e
	probe.Key.ID = "x"
	probe.Signatures = []hashmatch.Signature{{Scheme: "x", Opaque: "x"}}
	if err := validate(&probe); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	normalise(&e)
	if !bytes.Equal(appendDescriptor(nil, &e), descriptor) {
		return 0, fmt.Errorf("%w: a descriptor is not in its canonical form", ErrCorrupt)
	}
	return e.Status, nil
}

// checkContent refuses a content that appendContent would not have written, without building an Entry: it runs for
// each record of a file that is loaded. It counts the record in counts unless that is nil.
func checkContent(encoded []byte, status hashmatch.Status, counts *counts) error {
	c := readContent(encoded)
	if c.bad || c.flags >= flagsEnd || c.flags&flagMicros != 0 && c.flags&flagUpdated == 0 {
		return fmt.Errorf("%w: the head of a record", ErrCorrupt)
	}
	if (c.count == 0) != (status == hashmatch.Withdrawn) || c.count == 0 && c.flags&(flagDerived|flagVotes) != 0 {
		return fmt.Errorf("%w: a record's status and signatures do not agree", ErrCorrupt)
	}
	if c.flags&flagUpdated != 0 {
		const micros = 1e6
		if c.updated <= zeroSeconds*micros || c.updated > maxSeconds*micros+micros-1 ||
			(c.flags&flagMicros != 0) != (c.updated%micros != 0) {
			return fmt.Errorf("%w: a record's time", ErrCorrupt)
		}
	}
	if c.flags&flagDerived == 0 {
		if len(c.id) == 0 {
			return fmt.Errorf("%w: a record without an ID", ErrCorrupt)
		}
		if err := checkText("ID", string(c.id), MaxKeyBytes); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	if counts != nil {
		counts.status[status]++
	}
	id := c.id
	var previous signature
	voted := false
	for s, ok := c.next(); ok; s, ok = c.next() {
		if previous.code == 0 && len(id) == derivedIDLength && id[0] == 'h' {
			var derived [derivedIDLength]byte
			if bytes.Equal(deriveID(derived[:0], s.name(), s.value), id) {
				return fmt.Errorf("%w: a derived ID is written out", ErrCorrupt)
			}
		}
		if previous.code != 0 && previous.compare(&s) >= 0 {
			return fmt.Errorf("%w: signatures are not in order", ErrCorrupt)
		}
		if counts != nil {
			counts.add(&s)
		}
		if s.code == codeOpaque {
			opaque := hashmatch.Signature{Scheme: string(s.scheme), Opaque: string(s.value)}
			if err := checkSignature(&opaque); err != nil || opaque.Scheme == "" {
				return fmt.Errorf("%w: an opaque signature", ErrCorrupt)
			}
		} else if !s.listable() {
			return fmt.Errorf("%w: %w", ErrCorrupt, CheckHash(s.hash()))
		}
		voted = voted || s.votes != hashmatch.Votes{}
		if c.count > 0 {
			previous = s
		}
	}
	if c.bad || len(c.rest) > 0 || voted != (c.flags&flagVotes != 0) {
		return fmt.Errorf("%w: a record has the wrong length", ErrCorrupt)
	}
	return nil
}
