package lookup

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

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

func TestRefresh(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	list := newList(t, entry("x", hashmatch.Active, randomHash(r, hashmatch.MD5)))
	one := serve(t, "one", list)
	synced := time.Unix(1_700_000_000, 0)
	again := one.Refresh(list.WithSynced(synced))
	if again == nil || again.Index() != one.Index() || !again.List().Synced().Equal(synced) || again.Name() != "one" {
		t.Errorf("refreshed: %+v", again)
	}
	if one.Refresh(newList(t, entry("y", hashmatch.Active, randomHash(r, hashmatch.MD5)))) != nil {
		t.Error("an index was taken over for another content")
	}
}

func TestPlanted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	listed, planted := randomHash(r, hashmatch.MD5), randomHash(r, hashmatch.SHA1)
	set, err := NewSet(serve(t, "one", newList(t, entry("x", hashmatch.Active, listed))))
	if err != nil {
		t.Fatal(err)
	}
	with := set.WithPlanted(serve(t, "(canary)", newList(t, entry("c", hashmatch.Active, planted))))
	find := func(s *Set, h hashmatch.Hash) (found []string) {
		s.Search(h, func(string) int { return 0 }, func(m hashmatch.Match) { found = append(found, m.List) })
		return found
	}
	if got := find(with, planted); len(got) != 1 || got[0] != "(canary)" {
		t.Errorf("planted: %v", got)
	}
	if got := find(with, listed); len(got) != 1 || got[0] != "one" {
		t.Errorf("listed: %v", got)
	}
	if got := find(set, planted); len(got) != 0 {
		t.Errorf("the set it came from: %v", got)
	}
	if len(with.Lists()) != 1 || len(with.Revisions()) != 1 || with.Kinds() != hashmatch.SetOf(hashmatch.MD5) {
		t.Errorf("%d lists, revisions %v, kinds %v", len(with.Lists()), with.Revisions(), with.Kinds().Kinds())
	}
}
