package lookup

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

func randomHash(r *rand.Rand, kind hashmatch.Kind) hashmatch.Hash {
	h := hashmatch.Hash{Kind: kind}
	for i := range kind.Bits() / 8 {
		h.Bits[i] = byte(r.Uint32())
	}
	return h
}

func newList(t testing.TB, entries ...hashmatch.Entry) *hashlist.List {
	t.Helper()
	l, err := hashlist.New(slices.Values(entries))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func entry(id string, status hashmatch.Status, hashes ...hashmatch.Hash) hashmatch.Entry {
	e := hashmatch.Entry{Key: hashmatch.EntryKey{Source: "s", ID: id}, Status: status, Labels: []string{"l-" + id}}
	for _, h := range hashes {
		e.Signatures = append(e.Signatures, hashmatch.Signature{Hash: h})
	}
	return e
}

func serve(t testing.TB, name string, l *hashlist.List) *Served {
	t.Helper()
	s, err := Serve(t.Context(), name, l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every entry within reach is found, with what the list says of it, and no other: against brute force.
func TestSearchFindsEveryEntryWithinReach(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	query := randomHash(r, hashmatch.PDQ)
	var entries []hashmatch.Entry
	want := map[string]int{}
	for d := range 64 {
		h := query
		for _, bit := range r.Perm(256)[:d] {
			h.Bits[bit/8] ^= 1 << (bit % 8)
		}
		status := hashmatch.Status(d % 3)
		entries = append(entries, entry(strconv.Itoa(d), status, h, randomHash(r, hashmatch.MD5)))
		if d <= 31 {
			want["s//"+strconv.Itoa(d)] = d
		}
	}
	set, err := NewSet(serve(t, "a", newList(t, entries...)), serve(t, "b", newList(t, entries[:5]...)))
	if err != nil {
		t.Fatal(err)
	}
	got, inB := map[string]int{}, 0
	set.Search(query, func(list string) int { return map[string]int{"a": 31, "b": -1}[list] }, func(m hashmatch.Match) {
		if m.List == "b" {
			inB++
			return
		}
		got[m.Entry] = m.Distance
		if m.Kind != hashmatch.PDQ || m.Threshold != 31 || m.Key.Source != "s" || !slices.Equal(m.Labels, []string{"l-" + m.Key.ID}) ||
			m.Status != hashmatch.Status(m.Distance%3) {
			t.Errorf("%+v", m)
		}
	})
	if len(want) != 32 || len(got) != len(want) || inB != 0 {
		t.Fatalf("%d entries found, %d in the list that was not asked; want %d", len(got), inB, len(want))
	}
	for id, d := range want {
		if got[id] != d {
			t.Errorf("entry %s at distance %d, want %d", id, got[id], d)
		}
	}
	if set.Kinds() != hashmatch.SetOf(hashmatch.PDQ, hashmatch.MD5) || len(set.Revisions()) != 2 || set.Revisions()["a"] == set.Revisions()["b"] {
		t.Errorf("kinds %v, revisions %v", set.Kinds().Kinds(), set.Revisions())
	}
}

func TestNothingToSearchIsRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, l := range map[string]*hashlist.List{
		"empty":     newList(t),
		"withdrawn": newList(t, hashmatch.Entry{Key: hashmatch.EntryKey{ID: "x"}, Status: hashmatch.Withdrawn}),
		"opaque": newList(t, hashmatch.Entry{Key: hashmatch.EntryKey{ID: "x"},
			Signatures: []hashmatch.Signature{{Scheme: "photodna", Opaque: "\x01\x02"}}}),
	} {
		if _, err := Serve(t.Context(), name, l); !errors.Is(err, ErrEmptyList) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewSet(); err == nil {
		t.Error("a set of no list")
	}
	one := serve(t, "one", newList(t, entry("x", hashmatch.Active, randomHash(r, hashmatch.MD5))))
	if _, err := NewSet(one, one); err == nil {
		t.Error("two lists of one name")
	}
}

func TestLiveHoldsNoListUntilThereIsOne(t *testing.T) {
	var live Live
	if live.Lists() != nil || live.Set() != nil {
		t.Fatal("an empty Live gives lists")
	}
	r := rand.New(rand.NewPCG(1, 2))
	sets := make([]*Set, 2)
	for i := range sets {
		var err error
		if sets[i], err = NewSet(serve(t, "one", newList(t, entry("x", hashmatch.Active, randomHash(r, hashmatch.MD5))))); err != nil {
			t.Fatal(err)
		}
	}
	live.Swap(sets[0])
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 1000 {
				if live.Lists().Kinds() == 0 {
					t.Error("a swap was seen half done")
				}
			}
		})
	}
	for i := range 1000 {
		live.Swap(sets[i%2])
	}
	group.Wait()
}
