package seal

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// BenchmarkOpen opens a snapshot of a million PDQ hashes with a section of 116 bytes a hash beside it, the size of an
// index, signed, plain or encrypted; MB/s are of the whole file.
func BenchmarkOpen(b *testing.B) {
	const entries = 1_000_000
	r := rand.New(rand.NewPCG(1, 2))
	var builder hashlist.Builder
	for i := range entries {
		h := hashmatch.Hash{Kind: hashmatch.PDQ}
		for at := 0; at < len(h.Bits); at += 8 {
			binary.LittleEndian.PutUint64(h.Bits[at:], r.Uint64())
		}
		err := builder.Add(hashmatch.Entry{Key: hashmatch.EntryKey{ID: fmt.Sprint(i)}, Signatures: []hashmatch.Signature{{Hash: h}}})
		if err != nil {
			b.Fatal(err)
		}
	}
	l, err := builder.List()
	if err != nil {
		b.Fatal(err)
	}
	beside := make([]byte, 116*entries)
	for i := 0; i+8 <= len(beside); i += 8 {
		binary.LittleEndian.PutUint64(beside[i:], r.Uint64())
	}
	id := identity(b)
	for _, encrypted := range []bool{false, true} {
		b.Run(fmt.Sprintf("encrypted=%v", encrypted), func(b *testing.B) {
			w := writing(newKey(1))
			if encrypted {
				w.Recipients = []age.Recipient{id.Recipient()}
			}
			path := filepath.Join(b.TempDir(), "l")
			if err := WriteFile(path, l, w, hashlist.Extra{Name: "INDX", Parts: [][]byte{beside}}); err != nil {
				b.Fatal(err)
			}
			r := reading(newKey(1))
			r.Identities = []age.Identity{id}
			b.SetBytes(l.Bytes() + int64(len(beside)))
			for b.Loop() {
				if _, _, err := Open(path, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
