package exchange

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/exchange/fake"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// trueToCheckpoint fails if a list misses something that its exchange said before the checkpoint in the same file.
func (b *bench) trueToCheckpoint(path string) {
	b.t.Helper()
	snapshot, err := hashlist.Map(path)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		if _, there := os.Stat(path); there != nil {
			return
		}
		b.t.Fatal(err)
	}
	c, err := ReadCheckpoint(snapshot)
	if err != nil || c.Version == 0 {
		b.t.Fatalf("%s: %+v, %v", path, c, err)
	}
	if b.dialect == File { // its checkpoint is the file as a whole
		return
	}
	list := snapshot.List()
	byID := make(map[string]hashmatch.Entry, list.Len())
	for _, e := range list.Entries() {
		byID[e.Key.ID] = e
	}
	for _, r := range b.fake.Truth() {
		if r.Updated.After(c.Through) {
			continue
		}
		e, there := byID[r.ID]
		inForce := there && e.Status != hashmatch.Withdrawn
		if inForce == r.Deleted || inForce && !e.Updated.Equal(r.Updated) {
			b.t.Fatalf("%s: the checkpoint says %s, and %s of %s is in force: %t, of %s", path, c.Through, r.ID, r.Updated, inForce, e.Updated)
		}
	}
}

// TestHistories lets anything happen in any order: changes, bursts, failures, syncs that are cut short at any request.
func TestHistories(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, d Dialect) {
		for seed := range uint64(5) {
			random := rand.New(rand.NewPCG(seed, uint64(len(d))))
			b := newBenchOf(t, d, random.IntN(80), seed, 3+random.IntN(30))
			b.clock.Add(time.Hour)
			b.adjust = saveAlways
			var history []string
			for range 12 {
				what := ""
				switch random.IntN(6) {
				case 0:
					n := random.IntN(40)
					b.fake.Change(n)
					what = fmt.Sprint("change ", n)
				case 1:
					n := random.IntN(60)
					b.fake.Burst(n)
					what = fmt.Sprint("burst ", n)
				case 2:
					age := []time.Duration{time.Second, time.Minute, 3 * time.Hour, 31 * 24 * time.Hour, 90 * 24 * time.Hour}[random.IntN(5)]
					b.clock.Add(age)
					what = fmt.Sprint("wait ", age)
				case 3:
					what = manners[random.IntN(len(manners)-1)]
					m, err := fake.ParseManners(what)
					if err != nil {
						t.Fatal(err)
					}
					m.Skew, m.Date = 0, 0
					b.fake.Misbehave(m)
				default:
					ctx, cancel := context.WithCancel(t.Context())
					left := random.IntN(60)
					what = fmt.Sprint("sync, cut short after ", left)
					b.asked.Store(new(func() {
						if left--; left < 0 {
							cancel()
						}
					}))
					_, err := b.syncer().Sync(ctx)
					what += fmt.Sprint(": ", err)
					b.asked.Store(nil)
					cancel()
				}
				history = append(history, what)
				b.trueToCheckpoint(b.file)
				b.trueToCheckpoint(b.file + ".partial")
			}
			b.fake.Misbehave(fake.Manners{})
			b.clock.Add(time.Minute)
			if len(b.fake.Truth()) == 0 {
				b.fake.Burst(1)
				b.clock.Add(time.Minute)
			}
			if _, err := b.syncer().Sync(t.Context()); err != nil {
				t.Fatalf("seed %d: %v\n%q", seed, err, history)
			}
			if different := fake.Differences(b.list(), b.fake.Truth()); different != nil {
				t.Fatalf("seed %d: %q\n%q", seed, different, history)
			}
		}
	})
}
