package lookup

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// writeSnapshot writes a snapshot, with its index if that is wanted, that is old enough to be mapped at once.
func writeSnapshot(t testing.TB, l *hashlist.List, withIndex bool) string {
	t.Helper()
	var extras []hashlist.Extra
	if withIndex {
		extra, ok, err := Image(t.Context(), l)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		extras = append(extras, extra)
	}
	path := filepath.Join(t.TempDir(), "list.hml")
	if err := hashlist.WriteFile(path, l, extras...); err != nil {
		t.Fatal(err)
	}
	age(t, path)
	return path
}

func age(t testing.TB, path string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
}

// manyKinds returns n entries, each with a hash of every kind; every third shares its hashes with the one before.
func manyKinds(r *rand.Rand, n int) (entries []hashmatch.Entry) {
	var hashes []hashmatch.Hash
	for i := range n {
		if i%3 != 2 {
			hashes = nil
			for _, kind := range hashmatch.Kinds() {
				hashes = append(hashes, randomHash(r, kind))
			}
		}
		entries = append(entries, entry(string(rune('a'+i%26))+strings.Repeat("x", i/26), hashmatch.Active, hashes...))
	}
	return entries
}

// What is found in a list from its file is what is found in the list that was written: with its index from the file and
// without, of every kind, at thresholds from 0 to 64.
func TestSnapshotFindsTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	entries := manyKinds(r, 300)
	list := newList(t, entries...)
	find := func(s *Served, h hashmatch.Hash, threshold int) (found []string) {
		set, err := NewSet(s)
		if err != nil {
			t.Fatal(err)
		}
		set.Search(h, func(string) int { return threshold }, func(m hashmatch.Match) {
			found = append(found, m.Entry+strings.Join(m.Labels, ",")+" "+string(rune('0'+m.Distance)))
		})
		if near := set.Near([]hashmatch.Hash{h}, func(string) int { return threshold }); near != (len(found) > 0) {
			t.Errorf("near: %v, found %d", near, len(found))
		}
		return found
	}
	want := serve(t, "list", list)
	total := 0
	for _, withIndex := range []bool{false, true} {
		got := openServed(t, writeSnapshot(t, list, withIndex))
		if (got.Built() == "") != withIndex {
			t.Fatalf("with an index: %v, built: %q", withIndex, got.Built())
		}
		for _, kind := range hashmatch.Kinds() {
			for threshold := range 65 {
				h := entries[threshold%len(entries)].Signatures[int(kind)-1].Hash
				if h.Kind != kind {
					t.Fatal("the test looks for another kind")
				}
				for _, bit := range r.Perm(kind.Bits())[:threshold%7] {
					h.Bits[bit/8] ^= 1 << (bit % 8)
				}
				a, b := find(want, h, threshold), find(got, h, threshold)
				if !slices.Equal(a, b) {
					t.Fatalf("%s, threshold %d: %d found, want %d", kind, threshold, len(b), len(a))
				}
				total += len(a)
			}
		}
	}
	if total < 500 {
		t.Errorf("%d found: the test shows nothing", total)
	}
}

// An index that is not the list's, or not one, is not used: the list is served all the same, and the reason said.
func TestOtherIndexIsNotUsed(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	list := newList(t, manyKinds(r, 60)...)
	other := newList(t, manyKinds(r, 60)...)
	image := func(l *hashlist.List) []byte {
		extra, _, err := Image(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Join(extra.Parts, nil)
	}
	// The other list's index with this one's revision in it: well-formed, and of other hashes.
	revision := list.Revision()
	forged := image(other)
	copy(forged[16:], revision[:])
	older := image(list)
	older[8]++
	swapped := image(list)
	slices.Reverse(swapped[8:12])
	for what, c := range map[string]struct {
		image []byte
		says  string
	}{
		"another list's": {image(other), "another revision"},
		"forged":         {forged, "does not find"},
		"older":          {older, "version 2"},
		"byte order":     {swapped, "version"},
		"cut":            {image(list)[:1000], "size"},
		"empty":          {nil, "no index"},
		"garbage":        {[]byte("garbage"), "it is none"},
	} {
		path := filepath.Join(t.TempDir(), "list.hml")
		if err := hashlist.WriteFile(path, list, hashlist.Extra{Name: indexSection, Parts: [][]byte{c.image}}); err != nil {
			t.Fatal(err)
		}
		age(t, path)
		served := openServed(t, path)
		if !strings.Contains(served.Built(), c.says) {
			t.Errorf("%s: %q", what, served.Built())
		}
		if err := sample(served.Index(), list); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSnapshotWithNothingToSearch(t *testing.T) {
	list := newList(t, hashmatch.Entry{Key: hashmatch.EntryKey{ID: "x"}, Status: hashmatch.Withdrawn})
	if _, ok, err := Image(t.Context(), list); ok || err != nil {
		t.Error("an index of nothing:", ok, err)
	}
	snapshot, err := hashlist.Map(writeSnapshot(t, list, false))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ServeSnapshot(t.Context(), "x", snapshot); !errors.Is(err, ErrEmptyList) {
		t.Error(err)
	}
	snapshot, err = hashlist.Map(writeSnapshot(t, newList(t, manyKinds(rand.New(rand.NewPCG(9, 9)), 3)...), true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ServeSnapshot(ctx, "x", snapshot); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
