package index

import (
	"encoding/binary"
	"math/bits"

	"example.org/hashmatch/pkg/hashmatch"
)

// key is a hash as the index keeps it: its bits in the order in which they are cut into chunks, chunk 0 in the top
// 16 bits of word 0. Words past the hash's length are zero.
type key [4]uint64

// chunk returns the 16 bits of chunk i.
func (k *key) chunk(i int) uint16 { return uint16(k[i>>2] >> (48 - 16*(i&3))) }

// Neighbouring bits of a perceptual hash are correlated: in a 16 x 16 block of DCT coefficients as much as in a grid
// of brightness. Chunks cut from bits as they stand have crowded buckets and weak filters, so the bits are put into a
// fixed order first: of a 256-bit hash, read as 16 rows of 16, the bit in row r and column c goes to chunk
// (7c + 3r) mod 16. Neighbours in a row are then 7 chunks apart, in a column 3, on the diagonals 10 and 4: never in
// the same chunk, nor in two that meet on the ring. A 64-bit hash is read as 8 rows of 8, and the bit goes to chunk
// (c + 2r) mod 4.
//
// The order belongs to the form of the index: changing it changes the order of hits, not which are found.

// permute256 returns the bits of a 256-bit hash in chunk order.
func permute256(b *[32]byte) key {
	var square key
	for r := range 16 {
		// Turning row r to the right by 5r and numbering the columns by 7 gives 7(c + 5r) = 7c + 3r mod 16.
		row := bits.RotateLeft16(binary.BigEndian.Uint16(b[2*r:]), -5*r)
		square[r>>2] |= uint64(row) << (48 - 16*(r&3))
	}
	transpose(&square)
	var k key
	for c := range 16 {
		to := 7 * c & 15
		k[to>>2] |= uint64(square.chunk(c)) << (48 - 16*(to&3))
	}
	return k
}

// restore256 undoes permute256.
func restore256(k *key) (b [32]byte) {
	var square key
	for c := range 16 {
		square[c>>2] |= uint64(k.chunk(7*c&15)) << (48 - 16*(c&3))
	}
	transpose(&square)
	for r := range 16 {
		binary.BigEndian.PutUint16(b[2*r:], bits.RotateLeft16(square.chunk(r), 5*r))
	}
	return b
}

// transpose swaps rows and columns of 16 rows of 16 bits, four rows a word, by swapping the off-diagonal quarters of
// ever smaller squares.
func transpose(a *key) {
	const eighths, quarters = 0x00ff00ff00ff00ff, 0x0f0f0f0f0f0f0f0f
	t := (a[0] ^ a[2]>>8) & eighths
	a[0] ^= t
	a[2] ^= t << 8
	t = (a[1] ^ a[3]>>8) & eighths
	a[1] ^= t
	a[3] ^= t << 8
	t = (a[0] ^ a[1]>>4) & quarters
	a[0] ^= t
	a[1] ^= t << 4
	t = (a[2] ^ a[3]>>4) & quarters
	a[2] ^= t
	a[3] ^= t << 4
	for i, x := range a {
		t = (x ^ x>>30) & 0x00000000cccccccc
		x ^= t ^ t<<30
		t = (x ^ x>>15) & 0x0000aaaa0000aaaa
		a[i] = x ^ t ^ t<<15
	}
}

// order64 holds what each value of each byte of a 64-bit hash adds to the permuted word, and the way back: 32 KB.
var order64 = func() (o struct{ permute, restore [8][256]uint64 }) {
	var filled [4]int
	for bit := range 64 {
		r, c := bit/8, bit%8
		chunk := (c + 2*r) % 4
		to := 16*chunk + filled[chunk] // counted from the top, as bit is
		filled[chunk]++
		for value := range 256 {
			if value&(0x80>>(bit%8)) != 0 {
				o.permute[bit/8][value] |= 1 << (63 - to)
			}
			if value&(0x80>>(to%8)) != 0 {
				o.restore[to/8][value] |= 1 << (63 - bit)
			}
		}
	}
	return o
}()

func permute64(word uint64) (out uint64) {
	for i := range 8 {
		out |= order64.permute[i][byte(word>>(56-8*i))]
	}
	return out
}

func restore64(word uint64) (out uint64) {
	for i := range 8 {
		out |= order64.restore[i][byte(word>>(56-8*i))]
	}
	return out
}

// toKey returns the key of h: its bits permuted for a perceptual kind, as they stand for a digest.
func toKey(h *hashmatch.Hash) (k key) {
	switch {
	case h.Kind.Digest():
		for i := range (h.Kind.Bits() + 63) / 64 {
			k[i] = binary.BigEndian.Uint64(h.Bits[8*i:])
		}
	case h.Kind.Bits() == 256:
		k = permute256(&h.Bits)
	default:
		k[0] = permute64(binary.BigEndian.Uint64(h.Bits[:]))
	}
	return k
}

// toHash undoes toKey.
func toHash(kind hashmatch.Kind, k *key) hashmatch.Hash {
	h := hashmatch.Hash{Kind: kind}
	switch {
	case kind.Digest():
		for i, word := range k {
			binary.BigEndian.PutUint64(h.Bits[8*i:], word)
		}
	case kind.Bits() == 256:
		h.Bits = restore256(k)
	default:
		binary.BigEndian.PutUint64(h.Bits[:], restore64(k[0]))
	}
	return h
}
