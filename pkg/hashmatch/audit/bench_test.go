//go:build unix

package audit

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/gate"
)

func benchmark(b *testing.B, parallel bool, record func(item string) gate.Record) {
	l := openLog(b, b.TempDir(), nil)
	var n atomic.Int64
	one := func() {
		r := record("item-" + strconv.FormatInt(n.Add(1), 10))
		if err := l.Append(context.Background(), r); err != nil {
			b.Error(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	if !parallel {
		for range b.N {
			one()
		}
		return
	}
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			one()
		}
	})
}

func BenchmarkAllow(b *testing.B)         { benchmark(b, false, allowed) }
func BenchmarkAllowParallel(b *testing.B) { benchmark(b, true, allowed) }
func BenchmarkMatch(b *testing.B)         { benchmark(b, false, matched) }
func BenchmarkMatchParallel(b *testing.B) { benchmark(b, true, matched) }

// BenchmarkMixed is one match among a hundred uploads.
func BenchmarkMixedParallel(b *testing.B) {
	var n atomic.Int64
	benchmark(b, true, func(item string) gate.Record {
		if n.Add(1)%100 == 0 {
			return matched(item)
		}
		return allowed(item)
	})
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	options := signedLog(b, dir, 0, someRecords(20_000)...)
	b.ResetTimer()
	for range b.N {
		if r := verify(b, dir, options); !r.OK() {
			b.Fatal(r.Findings)
		}
	}
	b.ReportMetric(20_001*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkOpen opens a log with full memory of items.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	signedLog(b, dir, 0, someRecords(20_000)...)
	b.ResetTimer()
	for range b.N {
		closeLog(b, openLog(b, dir, nil))
	}
}
