package hashlist

import (
	"slices"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func mustApply(t testing.TB, l *List, want Summary, changes ...Change) *List {
	t.Helper()
	next, summary, err := l.Apply(changes, day.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if summary != want {
		t.Errorf("summary %+v, want %+v", summary, want)
	}
	return next
}

func TestApply(t *testing.T) {
	e := simple("x", hashmatch.PDQ, 1)
	e.Updated = day
	key := hashmatch.Entry{Key: e.Key}
	l := mustApply(t, mustNew(t), Summary{Added: 1}, Change{Upsert, e})
	now := day.Add(24 * time.Hour)
	if got := l.Entry(0); !got.Added.Equal(now) || !got.Synced.Equal(now) {
		t.Errorf("added %v, synced %v, want the time of the change", got.Added, got.Synced)
	}
	if !l.Info().Created.Equal(now) {
		t.Error("the new revision does not say when it came to be")
	}
	same := mustApply(t, l, Summary{Unchanged: 1}, Change{Upsert, e})
	if same.Revision() != l.Revision() {
		t.Error("an entry that is there already changes the revision")
	}
	older, newer := e, e
	older.Updated, older.Labels = day.Add(-1e9), []string{"older"}
	newer.Updated, newer.Labels = day.Add(1e9), []string{"newer"}
	if next := mustApply(t, l, Summary{Stale: 1}, Change{Upsert, older}); next.Revision() != l.Revision() {
		t.Error("an older record was taken")
	}
	changed := mustApply(t, l, Summary{Changed: 1}, Change{Upsert, newer})
	if got := changed.Entry(0); !slices.Equal(got.Labels, newer.Labels) || !got.Added.Equal(now) {
		t.Errorf("%+v", got)
	}
	unstated := e
	unstated.Updated = time.Time{}
	mustApply(t, l, Summary{Stale: 1}, Change{Upsert, unstated})

	gone := mustApply(t, l, Summary{Withdrawn: 1}, Change{Withdraw, key})
	if gone.Len() != 1 || gone.Status(0) != hashmatch.Withdrawn || gone.Kinds() != 0 || !gone.Entry(0).Updated.Equal(day) {
		t.Errorf("tombstone: %+v", gone.Entry(0))
	}
	mustApply(t, gone, Summary{Stale: 1}, Change{Upsert, e})
	mustApply(t, gone, Summary{Unchanged: 1}, Change{Withdraw, key})
	mustApply(t, gone, Summary{Changed: 1}, Change{Upsert, newer})
	mustApply(t, changed, Summary{Stale: 1}, Change{Withdraw, e}) // withdrawn before it changed
	mustApply(t, gone, Summary{Removed: 1}, Change{Remove, key})
	mustApply(t, gone, Summary{Removed: 1, Added: 1}, Change{Remove, key}, Change{Upsert, older})
	mustApply(t, mustNew(t), Summary{Unchanged: 1}, Change{Remove, key})
	mustApply(t, mustNew(t), Summary{Withdrawn: 1, Stale: 1}, Change{Withdraw, e}, Change{Upsert, e})
	if next := mustApply(t, l, Summary{Removed: 1}, Change{Remove, key}); next.Revision() != mustNew(t).Revision() {
		t.Error("a list whose entries are gone is not the empty list")
	}
	if l.Len() != 1 || l.Status(0) != hashmatch.Active {
		t.Error("the list that changes were applied to has changed")
	}
}

func TestApplyRefuses(t *testing.T) {
	l := mustNew(t, sample()...)
	bad := simple("x", hashmatch.PDQ, 0)
	for _, c := range []Change{{}, {9, simple("x", hashmatch.PDQ, 1)}, {Upsert, bad}, {Withdraw, hashmatch.Entry{}}, {Remove, hashmatch.Entry{}}} {
		if next, _, err := l.Apply([]Change{{Upsert, simple("y", hashmatch.PDQ, 1)}, c}, day); err == nil || next != nil {
			t.Errorf("%+v was taken", c)
		}
	}
	if _, _, err := l.Apply(nil, time.Time{}); err == nil {
		t.Error("the zero time was taken")
	}
}

func TestApplySharesSegments(t *testing.T) {
	entries := slices.Collect(benchEntries(20000, true))
	l := mustNew(t, entries...)
	next := mustApply(t, l, Summary{Added: 1}, Change{Upsert, simple("x", hashmatch.PDQ, 1)})
	different := 0
	for i := range l.segments {
		if l.segments[i] != next.segments[i] {
			different++
		}
	}
	if different != 1 {
		t.Errorf("%d segments were rewritten, want 1", different)
	}
}

func TestImportTwiceChangesNothing(t *testing.T) {
	imported := mustNew(t, sample()...)
	once, summary, err := mustNew(t).Merge(imported, day)
	if err != nil || summary != (Summary{Added: 5, Withdrawn: 1}) {
		t.Fatal(summary, err)
	}
	twice, summary, err := once.Merge(imported, day)
	if err != nil || summary != (Summary{Unchanged: 6}) {
		t.Fatal(summary, err)
	}
	if twice.Revision() != imported.Revision() || string(snapshot(t, once)) != string(snapshot(t, twice)) {
		t.Error("the second import changed something")
	}
	later, _, err := twice.Merge(imported, day.Add(time.Hour))
	if err != nil || later.Revision() != once.Revision() {
		t.Fatal(err)
	}
	for i, e := range later.Entries() {
		if old := once.Entry(i); !e.Added.Equal(old.Added) || !e.Synced.Equal(day.Add(time.Hour)) {
			t.Errorf("added %v, synced %v", e.Added, e.Synced)
		}
	}
}

func TestReplace(t *testing.T) {
	l := mustNew(t, sample()...)
	only := mustNew(t, simple("plain", hashmatch.SHA1, 200), simple("new", hashmatch.PDQ, 3))
	next, summary, err := l.Replace(only, day)
	if err != nil || summary != (Summary{Added: 1, Unchanged: 1, Removed: 4}) {
		t.Fatal(summary, err)
	}
	if _, kept := next.Find(hashmatch.EntryKey{Source: "exchange", ID: "gone"}); !kept || next.Len() != 3 {
		t.Error("the tombstone is gone")
	}
}

// The model: a map, and the rule of the package documentation written down once more.
func TestApplyIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := make(map[hashmatch.EntryKey]hashmatch.Entry)
		l, _ := New(slices.Values([]hashmatch.Entry(nil)))
		for round := range rapid.IntRange(1, 5).Draw(t, "rounds") {
			var changes []Change
			for range rapid.IntRange(0, 8).Draw(t, "changes") {
				c := Change{rapid.SampledFrom([]Op{Upsert, Upsert, Upsert, Withdraw, Remove}).Draw(t, "op"), drawEntry(t)}
				changes = append(changes, c)
				e := c.Entry
				old, known := model[e.Key]
				if c.Op == Remove {
					delete(model, e.Key)
					continue
				}
				if c.Op == Withdraw {
					e.Status = hashmatch.Withdrawn
					if e.Updated.IsZero() {
						e.Updated = old.Updated
					}
				}
				undo := old.Status == hashmatch.Withdrawn && e.Status != hashmatch.Withdrawn
				if known && (e.Updated.Before(old.Updated) || e.Updated.Equal(old.Updated) && undo) {
					continue
				}
				model[e.Key] = e
			}
			next, summary, err := l.Apply(changes, day.Add(time.Duration(round)*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			s := summary
			if s.Added+s.Changed+s.Unchanged+s.Withdrawn+s.Removed+s.Stale != len(changes) {
				t.Fatalf("%+v does not count %d changes", summary, len(changes))
			}
			l = next
		}
		var final []hashmatch.Entry
		for _, e := range model {
			final = append(final, e)
		}
		want, err := New(slices.Values(final))
		if err != nil {
			t.Fatal(err)
		}
		if l.Revision() != want.Revision() {
			t.Fatal(cmp.Diff(contents(want), contents(l)))
		}
		if diff := cmp.Diff(want.Counts(), l.Counts()); diff != "" {
			t.Fatal(diff)
		}
		for _, e := range want.Entries() {
			if _, found := l.Find(e.Key); !found {
				t.Fatalf("%s is not found", e.Key)
			}
		}
	})
}

// Records that state different times give the same list in whichever order, and in however many steps, they arrive.
func TestApplyInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.SliceOfN(rapid.Custom(drawEntry), 0, 20).Draw(t, "entries")
		changes := make([]Change, len(drawn))
		for i, e := range drawn {
			e.Updated = day.Add(time.Duration(i) * time.Second)
			changes[i] = Change{rapid.SampledFrom([]Op{Upsert, Withdraw}).Draw(t, "op"), e}
		}
		permuted := rapid.Permutation(changes).Draw(t, "permuted")
		empty, _ := New(slices.Values([]hashmatch.Entry(nil)))
		one, _, err := empty.Apply(changes, day)
		if err != nil {
			t.Fatal(err)
		}
		two := empty
		for step := range slices.Chunk(permuted, rapid.IntRange(1, 20).Draw(t, "step")) {
			if two, _, err = two.Apply(step, day); err != nil {
				t.Fatal(err)
			}
		}
		if one.Revision() != two.Revision() {
			t.Fatal(cmp.Diff(contents(one), contents(two)))
		}
	})
}

// A List is read while others are made of it; the race detector looks on.
func TestConcurrentUse(t *testing.T) {
	l := mustNew(t, slices.Collect(benchEntries(500, true))...)
	want := l.Revision()
	var users sync.WaitGroup
	for u := range 4 {
		users.Go(func() {
			for i := range 20 {
				ordinal := uint32(u*100 + i)
				if found, ok := l.Find(l.Key(ordinal)); !ok || found != ordinal {
					t.Errorf("entry %d is not found", ordinal)
				}
				next, summary, err := l.Apply([]Change{{Withdraw, l.Entry(ordinal)}}, day)
				if err != nil || summary.Withdrawn != 1 || next.Status(ordinal) != hashmatch.Withdrawn {
					t.Errorf("%+v %v", summary, err)
				}
			}
		})
	}
	users.Wait()
	if l.Revision() != want || l.StatusCounts()[hashmatch.Active] != 500 {
		t.Error("the list has changed")
	}
}
