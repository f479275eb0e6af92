package hashlist

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"example.org/hashmatch/pkg/hashmatch"
)

// The bounds of an entry. They are far above what exchanges send and keep one record from costing the memory of many.
const (
	MaxKeyBytes    = 1 << 10 // of each of source, member and ID
	MaxLabelBytes  = 256     // of a label, of the classification and of the name of an opaque scheme
	MaxLabels      = 100
	MaxSignatures  = 1000
	MaxOpaqueBytes = 4 << 10 // of an opaque signature; PhotoDNA has 144
)

// Validate says why the entry cannot be in a list, or returns nil. It refuses an empty ID, text that is too long, not
// UTF-8, with control characters or with surrounding space, hashes of no kind, all-zero hashes, the digests of the
// empty file, and an entry without a signature unless it is withdrawn. No error repeats a hash.
func Validate(entry hashmatch.Entry) error { return validate(&entry) }

func validate(e *hashmatch.Entry) error {
	if e.Key.ID == "" {
		return errors.New("the entry's ID is empty")
	}
	if err := checkText("source", e.Key.Source, MaxKeyBytes); err != nil {
		return err
	}
	if err := checkText("member", e.Key.Member, MaxKeyBytes); err != nil {
		return err
	}
	if err := checkText("ID", e.Key.ID, MaxKeyBytes); err != nil {
		return err
	}
	if err := checkText("classification", e.Classification, MaxLabelBytes); err != nil {
		return err
	}
	if e.Status > hashmatch.Withdrawn {
		return fmt.Errorf("invalid status %d", uint8(e.Status))
	}
	if len(e.Labels) > MaxLabels {
		return fmt.Errorf("%d labels, at most %d are allowed", len(e.Labels), MaxLabels)
	}
	for _, label := range e.Labels {
		if label == "" {
			return errors.New("a label is empty")
		}
		if err := checkText("label", label, MaxLabelBytes); err != nil {
			return err
		}
	}
	if len(e.Signatures) == 0 && e.Status != hashmatch.Withdrawn {
		return errors.New("no signature")
	}
	if len(e.Signatures) > MaxSignatures {
		return fmt.Errorf("%d signatures, at most %d are allowed", len(e.Signatures), MaxSignatures)
	}
	for i := range e.Signatures {
		if err := checkSignature(&e.Signatures[i]); err != nil {
			return err
		}
	}
	for _, t := range [...]time.Time{e.Added, e.Updated, e.Synced} {
		if !t.IsZero() && (t.Unix() <= zeroSeconds || t.Unix() > maxSeconds) {
			return fmt.Errorf("a time is outside of the years 1 to 9999")
		}
	}
	return nil
}

// The range of times that a record can hold: the zero time.Time, and the last second of the year 9999.
const (
	zeroSeconds = -62135596800
	maxSeconds  = 253402300799
)

func checkText(what, text string, limit int) error {
	if len(text) > limit {
		return fmt.Errorf("%s: %d bytes, at most %d are allowed", what, len(text), limit)
	}
	plain := true
	for i := 0; i < len(text); i++ {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return nil
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s: not UTF-8", what)
	}
	if strings.ContainsFunc(text, forbidden) {
		return fmt.Errorf("%s: a control character", what)
	}
	if strings.TrimSpace(text) != text {
		return fmt.Errorf("%s: space before or after it", what)
	}
	return nil
}

// forbidden reports control characters, line separators, and those that reverse how a terminal shows a line.
func forbidden(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

func checkSignature(s *hashmatch.Signature) error {
	if s.Scheme == "" {
		switch {
		case s.Opaque != "":
			return errors.New("an opaque signature without the name of its scheme")
		case !s.Hash.Kind.Valid():
			return errors.New("a hash of no kind")
		}
		var past [32]byte
		if n := s.Hash.Kind.Bits() / 8; !bytes.Equal(s.Hash.Bits[n:], past[n:]) {
			return fmt.Errorf("%s: bytes past the end of the hash", s.Hash.Kind)
		}
		return CheckHash(s.Hash)
	}
	switch {
	case s.Hash != hashmatch.Hash{}:
		return fmt.Errorf("%s: both a hash and an opaque signature", s.Scheme)
	case s.Opaque == "":
		return fmt.Errorf("%s: the signature is empty", s.Scheme)
	case len(s.Opaque) > MaxOpaqueBytes:
		return fmt.Errorf("%s: %d bytes, at most %d are allowed", s.Scheme, len(s.Opaque), MaxOpaqueBytes)
	case strings.Trim(s.Opaque, "\x00") == "":
		return fmt.Errorf("%s: all zero", s.Scheme)
	}
	if _, err := hashmatch.ParseKind(s.Scheme); err == nil {
		return fmt.Errorf("%s: a kind that is computed cannot be opaque", s.Scheme)
	}
	return checkText("scheme", s.Scheme, MaxLabelBytes)
}

// emptyFile holds the digests of no bytes at all: the most common wrong entry of real lists, which every failed
// upload would match.
var emptyFile = func() map[hashmatch.Kind][32]byte {
	digests := make(map[hashmatch.Kind][32]byte)
	var md, sha [32]byte
	m, s := md5.Sum(nil), sha1.Sum(nil)
	copy(md[:], m[:])
	copy(sha[:], s[:])
	digests[hashmatch.MD5], digests[hashmatch.SHA1], digests[hashmatch.SHA256] = md, sha, sha256.Sum256(nil)
	return digests
}()

// CheckHash refuses the hashes that no list may hold: all-zero ones, which stand for flat or unread pictures, and the
// digests of the empty file.
func CheckHash(h hashmatch.Hash) error {
	if h.Zero() {
		return fmt.Errorf("%s: all zero", h.Kind)
	}
	if h.Kind.Digest() && emptyFile[h.Kind] == h.Bits {
		return fmt.Errorf("%s: the digest of the empty file", h.Kind)
	}
	return nil
}

// DeriveID returns the ID of an entry that came without one: stable for a hash, and silent about it.
func DeriveID(h hashmatch.Hash) string {
	var id [34]byte
	return string(deriveID(id[:0], h.Kind.String(), h.Bytes()))
}

// DeriveOpaqueID is DeriveID for an opaque signature.
func DeriveOpaqueID(scheme, opaque string) string {
	return string(deriveID(nil, scheme, []byte(opaque)))
}

func deriveID(dst []byte, kind string, value []byte) []byte {
	var buffer [128]byte
	text := append(buffer[:0], "hashmatch entry\n"...)
	text = append(text, kind...)
	text = append(text, ':')
	text = hex.AppendEncode(text, value)
	sum := sha256.Sum256(text)
	return hex.AppendEncode(append(dst, "h-"...), sum[:16])
}

// derivedIDLength is the length of "h-" and 32 digits.
const derivedIDLength = 34

// normalise brings a valid entry into the one form that a record has: signatures and labels sorted and without
// doubles (of a double signature the greater votes), times in the precision that is kept, and nothing but key, status
// and times in a tombstone. It does not write to the slices that it is given.
func normalise(e *hashmatch.Entry) {
	e.Updated = normalUpdated(e.Updated)
	e.Added, e.Synced = normalLocal(e.Added), normalLocal(e.Synced)
	if e.Status == hashmatch.Withdrawn {
		e.Signatures, e.Labels, e.Classification = nil, nil, ""
		return
	}
	if !ascending(e.Labels, strings.Compare) {
		e.Labels = slices.Clone(e.Labels)
		slices.Sort(e.Labels)
		e.Labels = slices.Compact(e.Labels)
	}
	compare := func(a, b hashmatch.Signature) int { return compareSignatures(&a, &b) }
	if !ascending(e.Signatures, compare) {
		sorted := slices.Clone(e.Signatures)
		slices.SortStableFunc(sorted, compare)
		out := sorted[:1]
		for _, s := range sorted[1:] {
			if last := &out[len(out)-1]; compareSignatures(last, &s) == 0 {
				last.Votes.Positive = max(last.Votes.Positive, s.Votes.Positive)
				last.Votes.Negative = max(last.Votes.Negative, s.Votes.Negative)
				continue
			}
			out = append(out, s)
		}
		e.Signatures = out
	}
}

// normalUpdated keeps microseconds: no exchange states more.
func normalUpdated(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// normalLocal keeps seconds.
func normalLocal(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.Unix(t.Unix(), 0).UTC()
}

// ascending reports whether each element is greater than the one before it.
func ascending[T any](list []T, compare func(a, b T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}

// compareSignatures orders hashes by code and bytes, and opaque signatures after them by scheme and bytes. Votes play
// no part.
func compareSignatures(a, b *hashmatch.Signature) int {
	if c := cmp.Compare(signatureCode(a), signatureCode(b)); c != 0 {
		return c
	}
	if a.Scheme == "" {
		return bytes.Compare(a.Hash.Bits[:], b.Hash.Bits[:])
	}
	if c := strings.Compare(a.Scheme, b.Scheme); c != 0 {
		return c
	}
	return strings.Compare(a.Opaque, b.Opaque)
}
