package index

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// FuzzSearch reads a list and a query from bytes: 2 bytes of kind and threshold, then hashes, the first the query.
// Hashes are given as differences from the query, so that they are near.
func FuzzSearch(f *testing.F) {
	f.Add([]byte{0, 31, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32})
	f.Add(append([]byte{1, 10, 255, 255, 255, 255, 255, 255, 255, 255}, make([]byte, 64)...))
	random := rand.New(rand.NewPCG(15, 15))
	for threshold := range byte(66) {
		data := []byte{threshold, threshold}
		for range 32 * 8 {
			data = append(data, byte(random.Uint32()&random.Uint32()&random.Uint32()))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 {
			return
		}
		kind, threshold := perceptual[data[0]%2], int(data[1])
		size := kind.Bits() / 8
		data = data[2:min(len(data), 2+64*size)]
		var query hashmatch.Hash
		var list []signature
		for i := 0; len(data) >= size; i++ {
			h, err := hashmatch.NewHash(kind, data[:size])
			if err != nil {
				t.Fatal(err)
			}
			data = data[size:]
			if i == 0 {
				query = h
				continue
			}
			for j := 0; j < size; j += 8 {
				word := binary.BigEndian.Uint64(h.Bits[j:]) ^ binary.BigEndian.Uint64(query.Bits[j:])
				binary.BigEndian.PutUint64(h.Bits[j:], word)
			}
			if !h.Zero() {
				list = append(list, signature{h, uint32(i % 5)})
			}
		}
		if len(list) == 0 {
			return
		}
		check(t, build(t, list, byTables), list, query, threshold)
	})
}
