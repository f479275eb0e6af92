package hashlist

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"example.org/hashmatch/pkg/hashmatch"
)

// Revision identifies the content of a list: two lists with the same entries have the same Revision, however they
// were reached. Every field of an Entry counts, but for the times Added and Synced, which are local. It is comparable.
// The zero Revision is that of no list; an empty list has one that is not zero.
//
// It is the SHA-256 of "hashmatch list 1\n" and, for each bucket that is not empty, in ascending order, its number (2
// bytes, big-endian) and its digest; that is the SHA-256 of "hashmatch bucket 1\n" and, for each entry in ascending
// order of its key's digest, the two parts of its record (record.go), each after its length as an unsigned varint.
// The "1" is the generation: it changes when the encoding of records does.
type Revision [32]byte

// String returns 64 lower-case hexadecimal digits.
func (r Revision) String() string { return hex.EncodeToString(r[:]) }

// Short returns the first 12 digits, enough for a person to tell two revisions apart.
func (r Revision) Short() string { return hex.EncodeToString(r[:6]) }

// IsZero reports whether r is the revision of no list.
func (r Revision) IsZero() bool { return r == Revision{} }

// MarshalText writes what String returns.
func (r Revision) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what String returns.
func (r *Revision) UnmarshalText(text []byte) error {
	parsed, err := ParseRevision(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// ParseRevision reads 64 lower-case hexadecimal digits.
func ParseRevision(text string) (Revision, error) {
	var r Revision
	if len(text) != 2*len(r) {
		return Revision{}, fmt.Errorf("revision: %d digits, want %d", len(text), 2*len(r))
	}
	if _, err := hex.Decode(r[:], []byte(text)); err != nil || r.String() != text {
		return Revision{}, fmt.Errorf("revision: not lower-case hexadecimal")
	}
	return r, nil
}

const (
	listDomain   = "hashmatch list 1\n"
	bucketDomain = "hashmatch bucket 1\n"
	keyDomain    = "hashmatch key 1\n"
)

// bucketBits is part of what a revision is: it cannot change within a generation. 4,096 buckets balance the two costs
// of one change: digesting its bucket (n / 4,096 records) and digesting the bucket digests (34 bytes each).
const (
	bucketBits = 12
	buckets    = 1 << bucketBits
)

// keyDigest places an entry: bucket from the first 12 bits, order within it from the whole.
type keyDigest [32]byte

func (d *keyDigest) bucket() int { return int(binary.BigEndian.Uint16(d[:])) >> (16 - bucketBits) }

// prefix returns the 32 bits after the bucket.
func (d *keyDigest) prefix() uint32 {
	return uint32(binary.BigEndian.Uint64(d[:]) << bucketBits >> 32)
}

func digestKey(key *hashmatch.EntryKey) keyDigest {
	var buffer [192]byte
	text := append(buffer[:0], keyDomain...)
	text = appendText(text, key.Source)
	text = appendText(text, key.Member)
	text = appendText(text, key.ID)
	return sha256.Sum256(text)
}

// digestRecord is digestKey for a record that is known to be sound.
func digestRecord(descriptor, encoded []byte) keyDigest {
	var buffer [192]byte
	var id [derivedIDLength]byte
	text := append(buffer[:0], keyDomain...)
	c := cursor{rest: descriptor}
	c.byte()
	c.text()
	c.text()
	text = append(text, descriptor[1:len(descriptor)-len(c.rest)]...) // source and member with their lengths
	name := entryID(id[:0], encoded)
	text = binary.AppendUvarint(text, uint64(len(name)))
	text = append(text, name...)
	return sha256.Sum256(text)
}

// listRevision digests the digests of the segments.
func listRevision(segments []*segment) Revision {
	h := sha256.New()
	h.Write([]byte(listDomain))
	for bucket, s := range segments {
		if s == nil {
			continue
		}
		var number [2]byte
		binary.BigEndian.PutUint16(number[:], uint16(bucket))
		h.Write(number[:])
		h.Write(s.digest[:])
	}
	return Revision(h.Sum(nil))
}
