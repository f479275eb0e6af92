package hashlist

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"github.com/google/go-cmp/cmp"
)

// randomEntries returns entries of three sources that share some hashes, with votes, labels and ages.
func randomEntries(n int) []hashmatch.Entry {
	r := rand.New(rand.NewPCG(1, 2))
	var pool []hashmatch.Hash
	for range n {
		h := hashmatch.Hash{Kind: []hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash, hashmatch.MD5}[r.IntN(3)]}
		for i := range h.Bits[:h.Kind.Bits()/8] {
			h.Bits[i] = byte(r.Uint32())
		}
		if len(pool) > 0 && r.IntN(3) == 0 { // near another one
			h = pool[r.IntN(len(pool))]
			h.Bits[r.IntN(h.Kind.Bits()/8)] ^= 1 << r.IntN(8)
		}
		pool = append(pool, h)
	}
	entries := make([]hashmatch.Entry, n)
	for i := range entries {
		e := hashmatch.Entry{
			Key:    hashmatch.EntryKey{Source: []string{"a", "b", ""}[r.IntN(3)], Member: []string{"", "m/1", "2"}[r.IntN(3)], ID: fmt.Sprint(i)},
			Labels: [][]string{nil, {"x"}, {"x", "y"}}[r.IntN(3)], Classification: []string{"", "A1"}[r.IntN(2)],
			Added: day, Synced: day.Add(-time.Duration(r.IntN(500)) * 24 * time.Hour),
		}
		if r.IntN(2) == 0 {
			e.Updated = day.Add(-time.Duration(r.IntN(500)) * 24 * time.Hour)
		}
		if r.IntN(20) == 0 {
			e.Status, e.Labels, e.Classification = hashmatch.Withdrawn, nil, ""
		} else {
			for range 1 + r.IntN(2) {
				s := hashmatch.Signature{Hash: pool[r.IntN(len(pool))]}
				if r.IntN(3) == 0 {
					s.Votes = hashmatch.Votes{Positive: uint32(r.IntN(3)), Negative: uint32(r.IntN(2))}
				}
				e.Signatures = append(e.Signatures, s)
			}
		}
		entries[i] = e
	}
	return entries
}

// Everything that Stats counts is what counting entry by entry gives.
func TestStatsCount(t *testing.T) {
	l := mustNew(t, randomEntries(900)...)
	radius := func(kind hashmatch.Kind) int {
		return map[hashmatch.Kind]int{hashmatch.PDQ: 31, hashmatch.PHash: 6}[kind]
	}
	path := filepath.Join(t.TempDir(), "l")
	if err := WriteFile(path, l); err != nil {
		t.Fatal(err)
	}
	mapped, err := Map(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []*List{l, mapped.List()} {
		got, err := list.Stats(t.Context(), StatsOptions{Now: day, Radius: radius})
		if err != nil {
			t.Fatal(err)
		}
		want := bruteStats(list, day, radius)
		if len(want.Overlaps) < 3 || len(want.Clusters) < 10 || want.Votes.Contested < 10 || want.Updated.Unknown < 10 {
			t.Fatalf("the sample shows nothing: %+v", want)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })); diff != "" {
			t.Error(diff)
		}
	}
}

// bruteStats is Stats by the public methods and the definitions.
func bruteStats(l *List, now time.Time, radius func(hashmatch.Kind) int) *Stats {
	s := &Stats{Sources: map[string]int{}, Members: map[string]int{}, Labels: map[string]int{}, Classifications: map[string]int{}, Bits: map[hashmatch.Kind]BitStats{}}
	age := func(a *Ages, at time.Time) {
		if at.IsZero() {
			a.Unknown++
			return
		}
		days := now.Sub(at).Hours() / 24
		switch {
		case days <= 1:
			a.Counts[0]++
		case days <= 7:
			a.Counts[1]++
		case days <= 30:
			a.Counts[2]++
		case days <= 90:
			a.Counts[3]++
		case days <= 365:
			a.Counts[4]++
		default:
			a.Counts[5]++
		}
		if a.Oldest.IsZero() || at.Before(a.Oldest) {
			a.Oldest = at
		}
		if at.After(a.Newest) {
			a.Newest = at
		}
	}
	holders := map[hashmatch.Hash]map[string]bool{}
	type held struct {
		hash hashmatch.Hash
		key  hashmatch.EntryKey
	}
	hashes := map[hashmatch.Kind][]held{}
	for _, e := range l.Entries() {
		s.Sources[e.Key.Source]++
		switch {
		case e.Key.Member == "":
			s.Members[""]++
		case e.Key.Member == "m/1":
			s.Members[e.Key.Source+"/m%2F1"]++
		default:
			s.Members[e.Key.Source+"/"+e.Key.Member]++
		}
		for _, label := range e.Labels {
			s.Labels[label]++
		}
		if e.Classification != "" {
			s.Classifications[e.Classification]++
		}
		age(&s.Updated, e.Updated)
		age(&s.Synced, e.Synced)
		for _, sig := range e.Signatures {
			if v := sig.Votes; v.Positive+v.Negative > 0 {
				s.Votes.Signatures++
				if v.Positive > 0 && v.Negative > 0 {
					s.Votes.Contested++
				}
				s.Votes.Positive += uint64(v.Positive)
				s.Votes.Negative += uint64(v.Negative)
			}
			if holders[sig.Hash] == nil {
				holders[sig.Hash] = map[string]bool{}
			}
			holders[sig.Hash][e.Key.Source] = true
			if !sig.Hash.Kind.Digest() {
				hashes[sig.Hash.Kind] = append(hashes[sig.Hash.Kind], held{sig.Hash, e.Key})
			}
		}
	}
	pairs := map[[2]string]int{}
	for _, who := range holders {
		names := slices.Sorted(maps.Keys(who))
		for i, a := range names {
			for _, b := range names[i+1:] {
				pairs[[2]string{a, b}]++
			}
		}
	}
	for pair, n := range pairs {
		s.Overlaps = append(s.Overlaps, Overlap{pair, n})
	}
	slices.SortFunc(s.Overlaps, func(a, b Overlap) int { return b.Hashes - a.Hashes })
	for _, kind := range hashmatch.Kinds() {
		all := hashes[kind]
		if len(all) == 0 {
			continue
		}
		b := BitStats{Hashes: len(all), Lowest: 1}
		for i := range kind.Bits() {
			n := 0
			for _, h := range all {
				n += int(h.hash.Bits[i/8] >> (7 - i%8) & 1)
			}
			share := float64(n) / float64(len(all))
			b.Mean += share / float64(kind.Bits())
			if share < b.Lowest {
				b.Lowest, b.LowBit = share, i
			}
			if share > b.Highest {
				b.Highest, b.TopBit = share, i
			}
			if share < 0.25 || share > 0.75 {
				b.Skewed++
			}
		}
		s.Bits[kind] = b
		near := make([]int, len(all))
		order := make([]int, len(all))
		for i := range all {
			order[i] = i
			for j := range all {
				if all[i].hash.Distance(all[j].hash) <= radius(kind) {
					near[i]++
				}
			}
		}
		slices.SortStableFunc(order, func(i, j int) int { return near[j] - near[i] })
		var chosen []int
		for _, i := range order {
			far := !slices.ContainsFunc(chosen, func(j int) bool { return all[i].hash.Distance(all[j].hash) <= radius(kind) })
			if near[i] > 1 && far && len(chosen) < MaxStats {
				chosen = append(chosen, i)
				s.Clusters = append(s.Clusters, Cluster{kind, radius(kind), near[i], all[i].key})
			}
		}
	}
	slices.SortStableFunc(s.Clusters, func(a, b Cluster) int { return b.Hashes - a.Hashes })
	s.Clusters = s.Clusters[:min(len(s.Clusters), MaxStats)]
	return s
}

func TestStatsOfNothingAndCancelled(t *testing.T) {
	s, err := mustNew(t).Stats(t.Context(), StatsOptions{Now: day, Radius: func(hashmatch.Kind) int { return 1 }})
	if err != nil || len(s.Sources)+len(s.Overlaps)+len(s.Clusters)+len(s.Bits) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mustNew(t, sample()...).Stats(ctx, StatsOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestStatsNamesAreBounded(t *testing.T) {
	counts := map[string]int{"often": 3}
	for i := range MaxStatsNames + 5 {
		counts[fmt.Sprint(i)] = 1
	}
	got := capped(counts)
	if len(got) != MaxStatsNames+1 || got["often"] != 3 || got[Others] != 6 {
		t.Errorf("%d names, often %d, others %d", len(got), got["often"], got[Others])
	}
}

// What Diff finds is what a comparison of all entries finds, and making those changes to one list gives the other.
func TestDiff(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		all := randomEntries(60)
		var first, second []hashmatch.Entry
		for _, e := range all {
			other := e
			switch r.IntN(6) {
			case 0:
				first = append(first, e)
				continue
			case 1:
				second = append(second, e)
				continue
			case 2:
				other = hashmatch.Entry{Key: e.Key, Status: hashmatch.Withdrawn, Updated: e.Updated}
			case 3:
				other.Synced = day.Add(time.Hour)
				if len(e.Signatures) > 0 {
					other.Labels = []string{"new"}
				}
			case 4:
				other.Added, other.Synced = day.Add(time.Hour), day.Add(time.Hour) // no difference
			}
			first, second = append(first, e), append(second, other)
		}
		a, b := mustNew(t, first...), mustNew(t, second...)
		before, after := contents(a), contents(b)
		want := map[string]Difference{}
		bare := func(e hashmatch.Entry) hashmatch.Entry { e.Added, e.Synced = time.Time{}, time.Time{}; return e }
		for key, e := range before {
			other, ok := after[key]
			switch {
			case !ok:
				want[key] = Removed
			case cmp.Equal(bare(e), bare(other)):
			case other.Status == hashmatch.Withdrawn && e.Status != hashmatch.Withdrawn:
				want[key] = Withdrawn
			default:
				want[key] = Changed
			}
		}
		for key, e := range after {
			if _, ok := before[key]; !ok && e.Status == hashmatch.Withdrawn {
				want[key] = Withdrawn
			} else if !ok {
				want[key] = Added
			}
		}
		got := map[string]Difference{}
		for d := range Diff(a, b) {
			key := d.Key().String()
			if got[key] != 0 {
				t.Fatalf("%s twice", key)
			}
			got[key] = d.Difference
			if !cmp.Equal(d.Before, before[key]) || !cmp.Equal(d.After, after[key]) {
				t.Fatalf("%s: %+v", key, d)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) < 5 {
			t.Fatalf("%d differences, -want +got\n%s", len(want), diff)
		}
	}
	l := mustNew(t, randomEntries(50)...)
	for d := range Diff(l, l) {
		t.Errorf("a list differs from itself: %+v", d)
	}
	for range Diff(mustNew(t), l) { // stops when it is told to
		break
	}
}
