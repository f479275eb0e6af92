package index

import (
	"math/rand/v2"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestPlan holds the plans to what the proof needs of them.
func TestPlan(t *testing.T) {
	for _, chunks := range []int{4, 16} {
		for threshold := range maxThreshold(chunks) + 1 {
			p, ok := planFor(chunks, threshold)
			if !ok {
				t.Fatalf("no plan for %d", threshold)
			}
			sum, lists := 0, 0
			for i := range chunks {
				if p.radius[i] < -1 || p.radius[i] > maxRadius {
					t.Fatalf("threshold %d: radius %d", threshold, p.radius[i])
				}
				sum += int(p.radius[i]) + 1
				for v := range buckets {
					if p.radius[i] < 0 {
						break
					}
					if popcount16(v) <= int(p.radius[i]) {
						lists++
					}
				}
				if p.pair[i] != p.radius[i]+p.radius[(i+1)%chunks]+1 {
					t.Fatalf("threshold %d: pair %d", threshold, p.pair[i])
				}
			}
			if sum != threshold+1 || lists != p.lists {
				t.Fatalf("threshold %d of %d chunks: sum %d, %d lists, planned %d", threshold, chunks, sum, lists, p.lists)
			}
		}
	}
	seen := map[uint16]bool{}
	for i, f := range flips {
		if seen[f] || (i > 0 && popcount16(int(f)) < popcount16(int(flips[i-1]))) {
			t.Fatalf("flip %d is out of order or a double", i)
		}
		seen[f] = true
	}
	if len(flips) != ball[maxRadius] {
		t.Fatalf("%d flips, want %d", len(flips), ball[maxRadius])
	}
}

func popcount16(v int) (n int) {
	for ; v != 0; v &= v - 1 {
		n++
	}
	return n
}

// TestPermutation wants each bit in a place of its own, in the documented chunk, and back.
func TestPermutation(t *testing.T) {
	for _, kind := range hashmatch.Kinds() {
		places := map[key]bool{}
		for bit := range kind.Bits() {
			h := hashmatch.Hash{Kind: kind}
			h.Bits[bit/8] = 0x80 >> (bit % 8)
			k := toKey(&h)
			places[k] = true
			if toHash(kind, &k) != h {
				t.Fatalf("%s: bit %d does not come back", kind, bit)
			}
			want := bit / 16 // digests are left as they are
			switch {
			case kind.Digest():
			case kind.Bits() == 256:
				want = (7*(bit%16) + 3*(bit/16)) % 16
			default:
				want = (bit%8 + 2*(bit/8)) % 4
			}
			for chunk := range 16 {
				if ones := popcount16(int(k.chunk(chunk))); ones != 0 != (chunk == want) || ones > 1 {
					t.Fatalf("%s: bit %d: %d bits in chunk %d, want chunk %d", kind, bit, ones, chunk, want)
				}
			}
		}
		if len(places) != kind.Bits() {
			t.Fatalf("%s: %d places for %d bits", kind, len(places), kind.Bits())
		}
		random := rand.New(rand.NewPCG(6, 6))
		for range 100 {
			a := randomHash(random, kind)
			if k := toKey(&a); toHash(kind, &k) != a {
				t.Fatalf("%s does not come back", a)
			}
		}
	}
}
