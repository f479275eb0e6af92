package hashmatch

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
)

// Hash is one hash of one kind. It is a comparable value: use it as a map key, compare with ==.
// The zero Hash is of no kind and matches nothing.
type Hash struct {
	Kind Kind
	// Bits holds the hash as its hexadecimal text reads, first digit in the high half of Bits[0].
	// Bytes past Kind.Bits()/8 are zero.
	Bits [32]byte
}

// NewHash returns the hash whose bytes are given; len(b) must be kind.Bits()/8.
func NewHash(kind Kind, b []byte) (Hash, error) {
	if !kind.Valid() {
		return Hash{}, fmt.Errorf("invalid kind of hash %d", uint8(kind))
	}
	if len(b)*8 != kind.Bits() {
		return Hash{}, fmt.Errorf("%s: %d bytes, want %d", kind, len(b), kind.Bits()/8)
	}
	h := Hash{Kind: kind}
	copy(h.Bits[:], b)
	return h, nil
}

// ParseHex reads a hash of the given kind from hexadecimal digits of either case, without a prefix.
func ParseHex(kind Kind, digits string) (Hash, error) {
	if !kind.Valid() {
		return Hash{}, fmt.Errorf("invalid kind of hash %d", uint8(kind))
	}
	if want := kind.Bits() / 4; len(digits) != want {
		return Hash{}, fmt.Errorf("%s: %d hex digits, want %d", kind, len(digits), want)
	}
	h := Hash{Kind: kind}
	if _, err := hex.Decode(h.Bits[:], []byte(digits)); err != nil {
		return Hash{}, fmt.Errorf("%s: not hexadecimal", kind)
	}
	return h, nil
}

// ParseHash reads the form KIND:HEX, as String writes it.
func ParseHash(text string) (Hash, error) {
	name, digits, found := strings.Cut(text, ":")
	if !found {
		return Hash{}, fmt.Errorf("not of the form KIND:HEX")
	}
	kind, err := ParseKind(strings.ToLower(name))
	if err != nil {
		return Hash{}, err
	}
	return ParseHex(kind, digits)
}

// Bytes returns the bytes of the hash, Kind.Bits()/8 of them.
func (h Hash) Bytes() []byte { return h.Bits[:h.Kind.Bits()/8] }

// Hex returns the hash in lower-case hexadecimal digits without its kind.
func (h Hash) Hex() string { return hex.EncodeToString(h.Bytes()) }

// String returns KIND:HEX.
func (h Hash) String() string { return h.Kind.String() + ":" + h.Hex() }

// Zero reports whether every bit is zero. Such a hash stands for a flat or unread picture: it is refused in lists
// and never searched.
func (h Hash) Zero() bool { return h.Bits == [32]byte{} }

// Distance returns the number of bits in which h and other differ, or -1 if they are of different kinds.
func (h Hash) Distance(other Hash) int {
	if h.Kind != other.Kind {
		return -1
	}
	d := 0
	for i := 0; i < len(h.Bits); i += 8 {
		d += bits.OnesCount64(binary.LittleEndian.Uint64(h.Bits[i:]) ^ binary.LittleEndian.Uint64(other.Bits[i:]))
	}
	return d
}

// MarshalText writes KIND:HEX.
func (h Hash) MarshalText() ([]byte, error) {
	if !h.Kind.Valid() {
		return nil, fmt.Errorf("hash of no kind")
	}
	return []byte(h.String()), nil
}

// UnmarshalText reads KIND:HEX.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}
