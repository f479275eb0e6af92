package promotion

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// entries makes n entries of a source with a random PDQ hash each; the same numbers give the same entries.
func entries(source string, from, n int) []hashmatch.Entry {
	var all []hashmatch.Entry
	for i := from; i < from+n; i++ {
		r := rand.New(rand.NewPCG(uint64(i), uint64(source[0])))
		all = append(all, hashmatch.Entry{
			Key:        hashmatch.EntryKey{Source: source, Member: "m", ID: fmt.Sprint("e", i)},
			Signatures: []hashmatch.Signature{{Hash: random(r, hashmatch.PDQ)}},
		})
	}
	return all
}

func random(r *rand.Rand, kind hashmatch.Kind) hashmatch.Hash {
	h := hashmatch.Hash{Kind: kind}
	for i := range kind.Bits() / 8 {
		h.Bits[i] = byte(r.Uint32())
	}
	return h
}

func listOf(t testing.TB, parts ...[]hashmatch.Entry) *hashlist.List {
	t.Helper()
	list, err := hashlist.New(func(yield func(hashmatch.Entry) bool) {
		for _, part := range parts {
			for _, e := range part {
				if !yield(e) {
					return
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func serve(t testing.TB, list *hashlist.List) *lookup.Served {
	t.Helper()
	served, err := lookup.Serve(t.Context(), "demo", list)
	if err != nil {
		t.Fatal(err)
	}
	return served
}

func withStatus(all []hashmatch.Entry, status hashmatch.Status) []hashmatch.Entry {
	out := append([]hashmatch.Entry{}, all...)
	for i := range out {
		out[i].Status = status
		if status == hashmatch.Withdrawn {
			out[i].Signatures = nil
		}
	}
	return out
}

var defaults = Bounds{
	ShrinkPercent: 20, ShrinkEntries: 10, GrowthPercent: 100, GrowthEntries: 1000, SourceGrowthPercent: 100, SourceGrowthEntries: 1000,
}
