package hashmatch

import "fmt"

// Kind names what made a hash: the algorithm, its producer where producers differ, and its length.
// The zero Kind is invalid and belongs to no hash.
type Kind uint8

// The kinds that hashmatch computes. The perceptual hashes other than PDQ are those of
// github.com/corona10/goimagehash: hashes of the same name made by other programs (Python's imagehash,
// for one) differ by many bits and are not the same kind.
const (
	PDQ      Kind = iota + 1 // 256-bit PDQ, "full" mode: no resize before hashing
	PHash                    // goimagehash PerceptionHash, 64 bits
	DHash                    // goimagehash DifferenceHash, 64 bits
	AHash                    // goimagehash AverageHash, 64 bits
	PHash256                 // goimagehash ExtPerceptionHash 16 x 16, 256 bits
	DHash256                 // goimagehash ExtDifferenceHash 16 x 16, 256 bits
	AHash256                 // goimagehash ExtAverageHash 16 x 16, 256 bits
	MD5                      // digest of the file's bytes, 128 bits
	SHA1                     // digest of the file's bytes, 160 bits
	SHA256                   // digest of the file's bytes, 256 bits

	kindEnd
)

var kinds = [kindEnd]struct {
	name   string
	bits   int
	digest bool
}{
	PDQ:      {"pdq", 256, false},
	PHash:    {"phash", 64, false},
	DHash:    {"dhash", 64, false},
	AHash:    {"ahash", 64, false},
	PHash256: {"phash256", 256, false},
	DHash256: {"dhash256", 256, false},
	AHash256: {"ahash256", 256, false},
	MD5:      {"md5", 128, true},
	SHA1:     {"sha1", 160, true},
	SHA256:   {"sha256", 256, true},
}

// Kinds returns every kind, in a fixed order.
func Kinds() []Kind {
	all := make([]Kind, 0, kindEnd-1)
	for k := PDQ; k < kindEnd; k++ {
		all = append(all, k)
	}
	return all
}

// ParseKind reads a kind's text form, as String writes it: lower case, no prefix.
func ParseKind(name string) (Kind, error) {
	for k := PDQ; k < kindEnd; k++ {
		if kinds[k].name == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown kind of hash %q", name)
}

// Valid reports whether k is one of the kinds above.
func (k Kind) Valid() bool { return k > 0 && k < kindEnd }

// String returns the text form used in lists, flags and JSON ("pdq", "sha256"); "invalid" for an invalid kind.
func (k Kind) String() string {
	if !k.Valid() {
		return "invalid"
	}
	return kinds[k].name
}

// Bits returns the length of a hash of this kind in bits; 0 for an invalid kind.
func (k Kind) Bits() int {
	if !k.Valid() {
		return 0
	}
	return kinds[k].bits
}

// Digest reports whether k is a cryptographic digest of the file's bytes. Only a digest match is an exact match;
// a perceptual hash at distance 0 is still a near one.
func (k Kind) Digest() bool { return k.Valid() && kinds[k].digest }

// MarshalText writes the text form.
func (k Kind) MarshalText() ([]byte, error) {
	if !k.Valid() {
		return nil, fmt.Errorf("invalid kind of hash %d", uint8(k))
	}
	return []byte(kinds[k].name), nil
}

// UnmarshalText reads the text form.
func (k *Kind) UnmarshalText(text []byte) error {
	parsed, err := ParseKind(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// KindSet is a set of kinds. The zero KindSet is empty.
type KindSet uint32

// SetOf returns the set of the given kinds; invalid kinds are left out.
func SetOf(list ...Kind) KindSet {
	var s KindSet
	for _, k := range list {
		if k.Valid() {
			s |= 1 << k
		}
	}
	return s
}

// Has reports whether k is in the set.
func (s KindSet) Has(k Kind) bool { return k.Valid() && s&(1<<k) != 0 }

// Perceptual returns the kinds of s that need a decoded picture.
func (s KindSet) Perceptual() KindSet { return s &^ SetOf(MD5, SHA1, SHA256) }

// Digests returns the kinds of s that are digests of the file's bytes.
func (s KindSet) Digests() KindSet { return s & SetOf(MD5, SHA1, SHA256) }

// Kinds returns the members in the order of [Kinds].
func (s KindSet) Kinds() []Kind {
	var list []Kind
	for k := PDQ; k < kindEnd; k++ {
		if s.Has(k) {
			list = append(list, k)
		}
	}
	return list
}
