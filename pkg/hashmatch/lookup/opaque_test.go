package lookup

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// Opaque signatures are found by the caller's own distance and exactly: all that brute force finds, and no other.
func TestOpaque(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	signature := func() string {
		b := make([]byte, 4)
		for i := range b {
			b[i] = byte(1 + r.IntN(4)) // so that there are doubles
		}
		return string(b)
	}
	var entries []hashmatch.Entry
	for i := range 400 {
		e := entry(fmt.Sprint(i), hashmatch.Status(r.IntN(4)))
		if e.Status != hashmatch.Withdrawn || r.IntN(2) == 0 {
			for range 1 + r.IntN(3) {
				e.Signatures = append(e.Signatures, hashmatch.Signature{
					Scheme: []string{"photodna", "other"}[r.IntN(2)], Opaque: signature(), Votes: hashmatch.Votes{Positive: uint32(i)},
				})
			}
		}
		if i%2 == 0 && e.Status != hashmatch.Withdrawn {
			e.Signatures = append(e.Signatures, hashmatch.Signature{Hash: randomHash(r, hashmatch.PDQ)})
		}
		entries = append(entries, e)
	}
	half := serve(t, "a", newList(t, entries[:200]...))
	set, err := NewSet(half.Refresh(half.List()), serve(t, "b", newList(t, entries[200:]...)), serve(t, "none", newList(t, entry("x", 0, randomHash(r, hashmatch.PDQ)))))
	if err != nil {
		t.Fatal(err)
	}
	apart := func(a []byte, b string) (n int) {
		for i := range a {
			n += bits.OnesCount8(a[i] ^ b[i])
		}
		return n
	}
	total := 0
	for range 200 {
		query, scheme, within := signature(), []string{"photodna", "other", "third"}[r.IntN(3)], r.IntN(4)
		brute := func(within int) (want []string) {
			for i, e := range entries {
				var seen []string
				for _, s := range e.Signatures {
					if d := apart([]byte(s.Opaque), query); s.Scheme == scheme && e.Status != hashmatch.Withdrawn && d <= within && !slices.Contains(seen, s.Opaque) {
						seen = append(seen, s.Opaque)
						want = append(want, fmt.Sprint([]string{"a", "b"}[i/200], e.Key, d, e.Status, i))
					}
				}
			}
			slices.Sort(want)
			return want
		}
		var got []string
		found := func(m hashmatch.Match) {
			if m.Kind != 0 || m.Labels[0] != "l-"+m.Key.ID {
				t.Fatalf("%+v", m)
			}
			got = append(got, fmt.Sprint(m.List, m.Key, m.Distance, m.Status, m.Votes.Positive))
		}
		set.SearchOpaque(scheme, func(s []byte) (int, bool) { d := apart(s, query); return d, d <= within }, found)
		slices.Sort(got)
		if want := brute(within); !slices.Equal(got, want) {
			t.Fatalf("within %d: %q, want %q", within, got, want)
		}
		got = nil
		set.FindOpaque(scheme, query, found)
		slices.Sort(got)
		if want := brute(0); !slices.Equal(got, want) {
			t.Fatalf("exactly: %q, want %q", got, want)
		}
		total += len(got)
	}
	if total < 50 {
		t.Fatalf("only %d found", total)
	}
}
