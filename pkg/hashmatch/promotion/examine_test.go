package promotion

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// Each guard is tripped by one revision, and not by another that is one entry nearer.
func TestGuards(t *testing.T) {
	a100, near := entries("a", 0, 100), entries("n", 0, 1)
	harmless := Harmless{Hashes: []hashmatch.Hash{near[0].Signatures[0].Hash}, Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 31}}
	at := func(distance int) []hashmatch.Entry { // an entry that far from the harmless picture
		e := entries("x", 0, 1)
		e[0].Signatures[0].Hash = Proof{}.complete().flipped(harmless.Hashes[0], distance)
		return e
	}
	many := entries("b", 0, 5000)
	for _, tc := range []struct {
		name     string
		old, new [][]hashmatch.Entry
		want     []Guard
	}{
		{"nothing changes", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{a100}, nil},
		{"20 of 100 go", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{a100[20:]}, nil},
		{"21 of 100 go", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{a100[21:]}, []Guard{GuardShrink}},
		{"10 of 13 go", [][]hashmatch.Entry{a100[:13]}, [][]hashmatch.Entry{a100[:3]}, nil},
		{"11 of 13 go", [][]hashmatch.Entry{a100[:13]}, [][]hashmatch.Entry{a100[:2]}, []Guard{GuardShrink}},
		{"12 of 13 go: a copy that was cut off", [][]hashmatch.Entry{a100[:13]}, [][]hashmatch.Entry{a100[:1]}, []Guard{GuardShrink}},
		{"21 of 100 are withdrawn", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{withStatus(a100[:21], hashmatch.Withdrawn), a100[21:]}, []Guard{GuardShrink}},
		{"21 of 100 are suspended", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{withStatus(a100[:21], hashmatch.Suspended), a100[21:]}, []Guard{GuardShrink}},
		{"21 of 100 are disputed", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{withStatus(a100[:21], hashmatch.Disputed), a100[21:]}, nil},
		{"another list of the same size", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{entries("c", 0, 100)}, []Guard{GuardShrink}},
		{"1,000 come to 100", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{a100, entries("a", 100, 1000)}, nil},
		{"1,001 come to 100", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{a100, entries("a", 100, 1001)}, []Guard{GuardGrowth, GuardSource}},
		{"5,000 come to 5,000", [][]hashmatch.Entry{many}, [][]hashmatch.Entry{many, entries("b", 5000, 5000)}, nil},
		{"5,001 come to 5,000", [][]hashmatch.Entry{many}, [][]hashmatch.Entry{many, entries("b", 5000, 5001)}, []Guard{GuardGrowth, GuardSource}},
		{"1,000 of a small source", [][]hashmatch.Entry{many, a100}, [][]hashmatch.Entry{many, a100, entries("a", 100, 1000)}, nil},
		{"1,001 of a small source", [][]hashmatch.Entry{many, a100}, [][]hashmatch.Entry{many, a100, entries("a", 100, 1001)}, []Guard{GuardSource}},
		{"1,001 of a new source", [][]hashmatch.Entry{many}, [][]hashmatch.Entry{many, entries("z", 0, 1001)}, []Guard{GuardSource}},
		{"a harmless picture at 31", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{a100, at(31)}, []Guard{GuardHarmless}},
		{"a harmless picture at 32", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{a100, at(32)}, nil},
		{"a harmless picture, suspended", [][]hashmatch.Entry{a100}, [][]hashmatch.Entry{a100, withStatus(at(0), hashmatch.Suspended)}, nil},
		{"the first revision", nil, [][]hashmatch.Entry{many}, nil},
		{"the first revision, with a harmless picture", nil, [][]hashmatch.Entry{a100, at(0)}, []Guard{GuardHarmless}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var old *hashlist.List
			if tc.old != nil {
				old = listOf(t, tc.old...)
			}
			report, err := Examine(t.Context(), old, serve(t, listOf(t, tc.new...)), defaults, harmless)
			if err != nil {
				t.Fatal(err)
			}
			var got []Guard
			for _, r := range report.Reasons {
				got = append(got, r.Guard)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %v, want %v", report.Reasons, tc.want)
			}
		})
	}
}

// An entry that matched a harmless picture and was in force already does not stop the revision after it.
func TestHarmlessEntryThatIsKnown(t *testing.T) {
	a := entries("a", 0, 50)
	harmless := Harmless{Hashes: []hashmatch.Hash{a[7].Signatures[0].Hash}}
	report, err := Examine(t.Context(), listOf(t, a), serve(t, listOf(t, a, entries("a", 50, 1))), defaults, harmless)
	if err != nil || report.Harmless != 0 {
		t.Errorf("%v, %d", err, report.Harmless)
	}
	changed := entries("a", 0, 50)
	changed[7].Signatures[0].Hash = entries("q", 0, 1)[0].Signatures[0].Hash
	report, err = Examine(t.Context(), listOf(t, changed), serve(t, listOf(t, a)), defaults, harmless)
	if err != nil || report.Harmless != 1 || len(report.Matching) != 1 {
		t.Errorf("an entry whose hash is new: %v, %d, %v", err, report.Harmless, report.Matching)
	}
}

// A hash that is an entry's name does not get out by it.
func TestMatchingIsMasked(t *testing.T) {
	h := entries("a", 0, 1)[0].Signatures[0].Hash
	for _, id := range []string{hashlist.DeriveID(h), strings.ToUpper(h.Hex())} {
		e := hashmatch.Entry{Key: hashmatch.EntryKey{ID: id}, Signatures: []hashmatch.Signature{{Hash: h}}}
		report, err := Examine(t.Context(), nil, serve(t, listOf(t, []hashmatch.Entry{e})), defaults, Harmless{Hashes: []hashmatch.Hash{h}})
		if err != nil || len(report.Matching) != 1 || strings.Contains(strings.ToLower(report.Matching[0]), h.Hex()[:16]) {
			t.Errorf("%v, %q", err, report.Matching)
		}
	}
}

func TestOverlapIsReported(t *testing.T) {
	a, both := entries("a", 0, 100), entries("b", 0, 40)
	for i := range 30 {
		both[i].Signatures = a[i].Signatures
	}
	report, err := Examine(t.Context(), listOf(t, a), serve(t, listOf(t, a, both)), defaults, Harmless{})
	if err != nil || report.Looked != 40 || report.Overlapping != 30 || report.Reasons != nil {
		t.Errorf("%v, %d of %d, %v", err, report.Overlapping, report.Looked, report.Reasons)
	}
}

// TestCompare compares with maps, on random pairs of lists.
func TestCompare(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	few := 0
	for range 60 {
		pool := entries("a", 0, 1+r.IntN(3000))
		draw := func() []hashmatch.Entry {
			var some []hashmatch.Entry
			share := r.IntN(11)
			for _, e := range pool {
				if r.IntN(10) >= share {
					continue
				}
				switch r.IntN(10) {
				case 0:
					e = withStatus([]hashmatch.Entry{e}, hashmatch.Status(1+r.IntN(3)))[0]
				case 1:
					e.Labels = []string{"other"}
				}
				some = append(some, e)
			}
			return some
		}
		before, after := draw(), draw()
		got, err := Compare(t.Context(), listOf(t, before), listOf(t, after))
		if err != nil {
			t.Fatal(err)
		}
		want, changes := byMaps(before, after)
		if got.Before != want.Before || got.After != want.After || got.Added != want.Added || got.Gone != want.Gone ||
			got.Withdrawn != want.Withdrawn || got.Changed != want.Changed {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if changes <= MaxFew {
			few++
			if len(got.Few) != changes {
				t.Fatalf("%d changes, want %d", len(got.Few), changes)
			}
		} else if got.Few != nil {
			t.Fatalf("%d changes are few", changes)
		}
	}
	if few == 0 || few == 60 {
		t.Errorf("%d of 60 pairs have few changes: the other case was not tried", few)
	}
}

// Since has what brute force has: entries in force that were not, or have another hash.
func TestSince(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	some := 0
	for range 30 {
		var before, after []hashmatch.Entry
		want := make(map[hashmatch.EntryKey]bool)
		for i, e := range entries("a", 0, 200) {
			was, is := e, e
			was.Status, is.Status = hashmatch.Status(r.IntN(3)), hashmatch.Status(r.IntN(3))
			if r.IntN(5) == 0 {
				is.Signatures = entries("q", i, 1)[0].Signatures
			}
			there, still := r.IntN(4) > 0, r.IntN(4) > 0
			if there {
				before = append(before, was)
			}
			if still {
				after = append(after, is)
			}
			in := there && was.Status < hashmatch.Suspended
			if still && is.Status < hashmatch.Suspended && (!in || is.Signatures[0] != was.Signatures[0]) {
				want[e.Key] = true
			}
		}
		got, err := Since(t.Context(), listOf(t, before), listOf(t, after))
		if err != nil || got.Len() != len(want) {
			t.Fatalf("%v, %d entries, want %d", err, got.Len(), len(want))
		}
		for _, e := range got.Entries() {
			if !want[e.Key] {
				t.Fatalf("%s is not new", e.Key)
			}
			some++
		}
	}
	if some == 0 {
		t.Error("nothing was new in any of them")
	}
}

func byMaps(before, after []hashmatch.Entry) (d Difference, changes int) {
	olds, news := make(map[hashmatch.EntryKey]hashmatch.Entry), make(map[hashmatch.EntryKey]hashmatch.Entry)
	for _, e := range before {
		olds[e.Key] = e
	}
	for _, e := range after {
		news[e.Key] = e
	}
	in := func(e hashmatch.Entry, there bool) bool { return there && e.Status < hashmatch.Suspended }
	for key, o := range olds {
		n, there := news[key]
		same := there && n.Status == o.Status && len(n.Labels) == len(o.Labels)
		if !same {
			changes++
		}
		if in(o, true) {
			d.Before++
			switch {
			case !in(n, there):
				d.Gone++
				if there {
					d.Withdrawn++
				}
			case !same:
				d.Changed++
			}
		}
	}
	for key, n := range news {
		o, there := olds[key]
		if !there {
			changes++
		}
		if in(n, true) {
			d.After++
			if !in(o, there) {
				d.Added++
			}
		}
	}
	return d, changes
}

// The pictures of Common differ from one another and, hashed, mostly tell something: a set of equal ones would look for
// nothing.
func TestCommonPictures(t *testing.T) {
	distinct, n := make(map[hashmatch.Hash]bool), 0
	for name, picture := range Common() {
		n++
		found, err := pdq.Hasher{}.Hash(nil, &hashmatch.Frame{Image: picture}, hashmatch.SetOf(hashmatch.PDQ), 0)
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v, %d hashes", name, err, len(found))
		}
		distinct[found[0].Hash] = true
	}
	if n < 80 || len(distinct) < n/2 {
		t.Errorf("%d pictures, %d hashes", n, len(distinct))
	}
}
