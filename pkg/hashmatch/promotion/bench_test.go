package promotion

import (
	"testing"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// benchEntries is the size of the lists that are measured.
const benchEntries = 200_000

func benchLists(b *testing.B) (old, next *hashlist.List) {
	all := entries("a", 0, benchEntries+100)
	return listOf(b, all[:benchEntries]), listOf(b, all[100:])
}

func BenchmarkCompare(b *testing.B) {
	old, next := benchLists(b)
	for b.Loop() {
		if _, err := Compare(b.Context(), old, next); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEntries, "ns/entry")
}

func BenchmarkProve(b *testing.B) {
	_, next := benchLists(b)
	served := serve(b, next)
	for b.Loop() {
		if err := pdqAt31.Prove(b.Context(), served); err != nil {
			b.Fatal(err)
		}
	}
}
