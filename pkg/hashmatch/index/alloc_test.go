//go:build !race

package index

import (
	"math/rand/v2"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestAllocates wants a search to take no memory of its own. Not under the race detector: there a sync.Pool forgets at
// random.
func TestAllocates(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 14))
	var list []signature
	for i := range 20_000 {
		for _, kind := range []hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash, hashmatch.SHA1} {
			list = append(list, signature{randomHash(random, kind), uint32(i)})
		}
	}
	x := build(t, list, Options{})
	dst := make([]Hit, 0, 10)
	for _, s := range list[:3] {
		allocations := testing.AllocsPerRun(100, func() { dst = x.Search(dst[:0], s.hash, 6) })
		if allocations > 0 {
			t.Errorf("%s: %v allocations", s.hash.Kind, allocations)
		}
		if len(dst) == 0 {
			t.Errorf("%s: not found", s.hash.Kind)
		}
	}
}
