package hashlist

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

var benchTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// benchEntries yields n PDQ entries, with IDs of 8 characters or derived ones.
func benchEntries(n int, derived bool) iter.Seq[hashmatch.Entry] {
	return func(yield func(hashmatch.Entry) bool) {
		random := rand.New(rand.NewPCG(1, 2))
		signatures := make([]hashmatch.Signature, 1)
		labels := []string{"synthetic"}
		for i := range n {
			h := hashmatch.Hash{Kind: hashmatch.PDQ}
			for j := 0; j < 32; j += 8 {
				binary.LittleEndian.PutUint64(h.Bits[j:], random.Uint64())
			}
			signatures[0] = hashmatch.Signature{Hash: h}
			e := hashmatch.Entry{Signatures: signatures, Labels: labels, Added: benchTime, Synced: benchTime}
			if e.Key.ID = fmt.Sprintf("%08x", i); derived {
				e.Key.ID = DeriveID(h)
			}
			if !yield(e) {
				return
			}
		}
	}
}

func heapNow() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkList measures each step in the life of a list. Run it with -benchtime 1x; -short leaves 10 million out.
func BenchmarkList(b *testing.B) {
	for _, size := range []struct {
		name    string
		n       int
		derived bool
	}{{"1M", 1e6, false}, {"1M-derived", 1e6, true}, {"10M", 1e7, false}} {
		if testing.Short() && size.n > 1e6 {
			continue
		}
		b.Run(size.name, func(b *testing.B) {
			before := heapNow()
			var l *List
			b.Run("New", func(b *testing.B) {
				for b.Loop() {
					var err error
					if l, err = New(benchEntries(size.n, size.derived)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric((heapNow()-before)/float64(size.n), "heap-B/entry")
				b.ReportMetric(float64(l.Bytes())/float64(size.n), "B/entry")
			})
			if l == nil {
				b.Skip("New was filtered out")
			}
			path := filepath.Join(b.TempDir(), "list")
			if err := WriteFile(path, l); err != nil {
				b.Fatal(err)
			}
			b.Run("WriteFile", func(b *testing.B) {
				for b.Loop() {
					if err := WriteFile(path, l); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("Open", func(b *testing.B) {
				for b.Loop() {
					opened, err := Open(path)
					if err != nil || opened.Revision() != l.Revision() {
						b.Fatal(err)
					}
				}
			})
			b.Run("Signatures", func(b *testing.B) {
				for b.Loop() {
					n := 0
					for range l.Signatures() {
						n++
					}
					if n != size.n {
						b.Fatal(n)
					}
				}
			})
			b.Run("Apply-1", func(b *testing.B) {
				e := l.Entry(0)
				for b.Loop() {
					e.Labels = []string{"other"}
					next, summary, err := l.Apply([]Change{{Upsert, e}}, benchTime)
					if err != nil || summary.Changed != 1 || next.Revision() == l.Revision() {
						b.Fatal(err, summary)
					}
				}
			})
			b.Run("Merge-same", func(b *testing.B) {
				for b.Loop() {
					next, summary, err := l.Merge(l, benchTime.Add(time.Hour))
					if err != nil || summary.Unchanged != size.n || next.Revision() != l.Revision() {
						b.Fatal(err, summary)
					}
				}
			})
			b.Run("Find", func(b *testing.B) {
				key := l.Key(uint32(size.n / 2))
				for b.Loop() {
					if i, found := l.Find(key); !found || int(i) != size.n/2 {
						b.Fatal(i)
					}
				}
			})
			b.Run("Entry", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					l.Entry(uint32(size.n / 3))
				}
			})
		})
	}
}
