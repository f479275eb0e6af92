package lookup

import (
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// writeRandom writes the snapshot of a list of n random PDQ hashes with its index, and returns its path and some of the
// hashes.
func writeRandom(t testing.TB, n int) (string, []hashmatch.Hash) {
	t.Helper()
	random := rand.New(rand.NewPCG(3, uint64(n)))
	var b hashlist.Builder
	var some []hashmatch.Hash
	for i := range n {
		h := hashmatch.Hash{Kind: hashmatch.PDQ}
		for j := 0; j < 32; j += 8 {
			binary.LittleEndian.PutUint64(h.Bits[j:], random.Uint64())
		}
		e := hashmatch.Entry{Key: hashmatch.EntryKey{Source: "s", ID: hashlist.DeriveID(h)}, Signatures: []hashmatch.Signature{{Hash: h}}}
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
		if i%(n/100) == 0 {
			some = append(some, h)
		}
	}
	l, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "list.hml")
	image, ok, err := Image(t.Context(), l)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := hashlist.WriteFile(path, l, image); err != nil {
		t.Fatal(err)
	}
	return path, some
}

func openServed(t testing.TB, path string) *Served {
	t.Helper()
	snapshot, err := hashlist.Map(path)
	if err != nil {
		t.Fatal(err)
	}
	served, err := ServeSnapshot(t.Context(), "list", snapshot)
	if err != nil {
		t.Fatal(err)
	}
	return served
}

// BenchmarkOpen measures how a large list comes to be searched: mapped with its index, mapped and the index built, and
// read as a whole; and a search of either. Run it with -benchtime 1x; -short leaves 10 million out.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"1M", 1e6}, {"10M", 1e7}} {
		if testing.Short() && size.n > 1e6 {
			continue
		}
		b.Run(size.name, func(b *testing.B) {
			path, some := writeRandom(b, size.n)
			heap := func(b *testing.B, keep any) {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
				runtime.KeepAlive(keep)
			}
			search := func(b *testing.B, served *Served) {
				set, err := NewSet(served)
				if err != nil {
					b.Fatal(err)
				}
				found := 0
				started, n := time.Now(), 0
				for b.Loop() {
					n++
					set.Search(some[n%len(some)], func(string) int { return 31 }, func(hashmatch.Match) { found++ })
				}
				b.ReportMetric(float64(time.Since(started).Microseconds())/float64(n), "µs/search")
				if found < n {
					b.Fatalf("%d of %d found", found, n)
				}
			}
			var mapped, built *Served
			b.Run("Map", func(b *testing.B) {
				for b.Loop() {
					if _, err := hashlist.Map(path); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("Map+ServeSnapshot", func(b *testing.B) {
				for b.Loop() {
					if mapped = openServed(b, path); mapped.Built() != "" {
						b.Fatal(mapped.Built())
					}
				}
				heap(b, mapped)
			})
			b.Run("SearchMapped", func(b *testing.B) { search(b, mapped) })
			mapped = nil
			b.Run("Open+Serve", func(b *testing.B) {
				for b.Loop() {
					list, err := hashlist.Open(path)
					if err != nil {
						b.Fatal(err)
					}
					built = serve(b, "list", list)
				}
				heap(b, built)
			})
			b.Run("SearchBuilt", func(b *testing.B) { search(b, built) })
		})
	}
}
