package review

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// near returns the record of an upload that came near to an entry and was held.
func near(item, entry string) gate.Record {
	return gate.Record{
		Item: item, Surface: "posts", Tenant: "t1", Region: "eu", Dialect: "http", Caller: "app", Time: noon,
		Action: hashmatch.Hold, Quarantined: true,
		Verdict: hashmatch.Verdict{
			Item: item, Surface: "posts", Action: hashmatch.Hold, Would: hashmatch.Hold, Policy: "p1",
			Matches: []hashmatch.Match{{
				List: "demo", Entry: entry, Kind: hashmatch.PDQ, Distance: 12, Threshold: 31, Frame: 2,
				View: hashmatch.View{Dihedral: hashmatch.FlipY}, Labels: []string{"synthetic"}, Status: hashmatch.Active, Action: hashmatch.Hold,
			}},
			Failures:  []hashmatch.Failure{{Code: hashmatch.Truncated, Detail: "cut off"}},
			Notes:     []hashmatch.Note{hashmatch.LowQuality},
			Revisions: map[string]string{"demo": "r1"},
		},
	}
}

// exact returns the record of an upload that is a listed file and was blocked.
func exact(item, entry string) gate.Record {
	r := near(item, entry)
	r.Action, r.Verdict.Action, r.Verdict.Would = hashmatch.Block, hashmatch.Block, hashmatch.Block
	m := &r.Verdict.Matches[0]
	m.Kind, m.Distance, m.Threshold, m.Action = hashmatch.SHA256, 0, 0, hashmatch.Block
	return r
}

// file returns the path of a database that is not there yet.
func file(t testing.TB) string { return filepath.Join(t.TempDir(), "review.db") }

// openTest opens a queue that is closed when the test ends.
func openTest(t testing.TB, config Config) *Queue {
	t.Helper()
	if config.File == "" {
		config.File = file(t)
	}
	q, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func submit(t testing.TB, q *Queue, records ...gate.Record) {
	t.Helper()
	for _, r := range records {
		if err := q.Submit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func mustShow(t testing.TB, q *Queue, item string) Item {
	t.Helper()
	shown, err := q.Show(t.Context(), Ref{Item: item})
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

var byAnn = By{Actor: "ann", Reason: "seen: harmless"}

func TestEverythingThatExplainsIsKept(t *testing.T) {
	path := file(t)
	q := openTest(t, Config{File: path})
	r := near("item-1", "e1")
	r.Failed = []gate.EffectError{{Effect: "quarantine", Err: errors.New("/secret/path")}}
	submit(t, q, r)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	got := mustShow(t, openTest(t, Config{File: path}), "item-1")
	want := Item{
		Item: "item-1", Surface: "posts", Tenant: "t1", Region: "eu", Version: 1, Dialect: "http", Caller: "app", Time: noon,
		Action: hashmatch.Hold, Would: hashmatch.Hold, Quarantined: true,
		Matches: []Match{{
			List: "demo", Entry: "e1", Kind: "pdq", Distance: 12, Threshold: 31, View: hashmatch.View{Dihedral: hashmatch.FlipY}, Frame: 2,
			Labels: []string{"synthetic"}, Status: "active", Action: hashmatch.Hold,
		}},
		Failures:  []hashmatch.Failure{{Code: hashmatch.Truncated, Detail: "cut off"}},
		Notes:     []hashmatch.Note{hashmatch.LowQuality},
		Revisions: map[string]string{"demo": "r1"}, Policy: "p1", EffectsFailed: []string{"quarantine"},
		State: Pending,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSubmitIsIdempotent(t *testing.T) {
	q := openTest(t, Config{})
	submit(t, q, near("a", "e1"))
	before := mustShow(t, q, "a")
	later := near("a", "e1")
	later.Time = noon.Add(time.Hour)
	submit(t, q, later, later)
	if diff := cmp.Diff(before, mustShow(t, q, "a")); diff != "" {
		t.Error(diff)
	}
	items, next, err := q.List(t.Context(), Filter{})
	if err != nil || len(items) != 1 || next != "" {
		t.Fatal(items, next, err)
	}
}

func TestDecidedStaysDecidedUnlessMoreIsFound(t *testing.T) {
	noMatch := near("a", "e1")
	noMatch.Verdict.Matches = nil
	suspended := near("a", "e9")
	suspended.Verdict.Matches[0].Action = hashmatch.Allow
	exactOfTheSame := near("a", "e1")
	exactOfTheSame.Verdict.Matches[0].Kind = hashmatch.MD5
	for name, c := range map[string]struct {
		again   gate.Record
		reopens bool
	}{
		"the same":              {near("a", "e1"), false},
		"less":                  {noMatch, false},
		"an entry not acted on": {suspended, false},
		"stricter":              {exact("a", "e1"), true},
		"another entry":         {near("a", "e2"), true},
		"exact now":             {exactOfTheSame, true},
	} {
		t.Run(name, func(t *testing.T) {
			q := openTest(t, Config{})
			submit(t, q, near("a", "e1"))
			if err := q.Release(t.Context(), Ref{Item: "a"}, byAnn); err != nil {
				t.Fatal(err)
			}
			submit(t, q, c.again)
			got := mustShow(t, q, "a")
			if !c.reopens {
				if got.State != Released || got.Actor != "ann" || got.Decided == nil || len(got.History) != 1 {
					t.Fatalf("%+v", got)
				}
				return
			}
			if got.State != Pending || got.Actor != "" || got.Decided != nil || got.Version != 3 {
				t.Fatalf("%+v", got)
			}
			if len(got.History) != 2 || got.History[0].Event != "released" || got.History[0].Reason != byAnn.Reason || got.History[1].Event != "reopened" {
				t.Fatalf("history: %+v", got.History)
			}
		})
	}
}

// What was found before is still shown when an item comes again with something else.
func TestNothingFoundIsLost(t *testing.T) {
	q := openTest(t, Config{})
	submit(t, q, exact("a", "e1"), near("a", "e2"))
	got := mustShow(t, q, "a")
	if got.Action != hashmatch.Block || len(got.Matches) != 2 || got.Matches[0].Entry != "e2" || got.Matches[1].Entry != "e1" {
		t.Fatalf("%+v", got)
	}
	many := near("a", "x")
	many.Verdict.Matches = nil
	for i := range 150 {
		many.Verdict.Matches = append(many.Verdict.Matches, near("a", fmt.Sprint("many", i)).Verdict.Matches...)
	}
	submit(t, q, many)
	if got = mustShow(t, q, "a"); len(got.Matches) != hashmatch.MaxReportedMatches || got.MatchesOmitted != 52 {
		t.Fatalf("%d matches, %d omitted", len(got.Matches), got.MatchesOmitted)
	}
}

func TestSameItemIDOnTwoSurfaces(t *testing.T) {
	q := openTest(t, Config{})
	other, bare := near("a", "e1"), near("a", "e1")
	other.Surface, bare.Tenant = "avatars", ""
	submit(t, q, near("a", "e1"), other, bare)
	for _, c := range []struct {
		ref    Ref
		tenant string
		err    error
	}{
		{Ref{Item: "a"}, "", ErrAmbiguous},
		{Ref{Item: "a", Tenant: "t1"}, "", ErrAmbiguous},
		{Ref{Item: "a", Surface: "posts"}, "", nil},
		{Ref{Item: "a", Surface: "posts", Tenant: "t1"}, "t1", nil},
		{Ref{Item: "a", Surface: "avatars"}, "t1", nil},
		{Ref{Item: "b"}, "", ErrNotFound},
		{Ref{Item: "a", Surface: "nowhere"}, "", ErrNotFound},
	} {
		got, err := q.Show(t.Context(), c.ref)
		if !errors.Is(err, c.err) || got.Tenant != c.tenant {
			t.Errorf("%+v: tenant %q, %v", c.ref, got.Tenant, err)
		}
	}
	if err := q.Release(t.Context(), Ref{Item: "a"}, byAnn); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("released one of several: %v", err)
	}
}

func TestSubmitRefuses(t *testing.T) {
	q := openTest(t, Config{})
	for _, id := range []string{"", "a\x1b[2J", "a\x00", string([]byte{0xff}), string(make([]byte, 300))} {
		r := near("a", "e1")
		r.Item = id
		if err := q.Submit(t.Context(), r); !errors.Is(err, gate.ErrItemID) {
			t.Errorf("%q: %v", id, err)
		}
	}
	r := near("a", "e1")
	r.Surface = ""
	if err := q.Submit(t.Context(), r); err == nil {
		t.Error("an item without a surface")
	}
}

// Odd values of a verdict must not keep an item from being recorded.
func TestSubmitTakesOddVerdicts(t *testing.T) {
	q := openTest(t, Config{})
	odd := near("odd", "e\xff\x00\x1b")
	m := &odd.Verdict.Matches[0]
	m.Kind, m.Status, m.Action = 200, 77, 9
	odd.Verdict.Failures = append(odd.Verdict.Failures, hashmatch.Failure{Code: "new", Detail: string(make([]byte, 1<<20))})
	odd.Time = time.Time{}
	odd.Action = 99 // reads as hold
	submit(t, q, odd, gate.Record{Item: "bare", Surface: "posts"})
	got := mustShow(t, q, "odd")
	if got.Matches[0].Kind != "invalid" || got.Action != hashmatch.Hold || len(got.Failures[1].Detail) > maxText {
		t.Fatalf("%+v", got)
	}
	if got = mustShow(t, q, "bare"); got.State != Pending || got.Action != hashmatch.Hold {
		t.Fatalf("%+v", got)
	}
}

func TestDatabaseMode(t *testing.T) {
	path := file(t)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	q := openTest(t, Config{File: path})
	submit(t, q, near("a", "e1"))
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	var sync int
	if err := q.db.QueryRow("PRAGMA synchronous").Scan(&sync); err != nil || sync != 2 {
		t.Errorf("synchronous %d, %v", sync, err)
	}
}

// A path with the characters that mean something in a URL.
func TestPathsAreTakenLiterally(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?mode=memory&b#c%41 d.db")
	submit(t, openTest(t, Config{File: path}), near("a", "e1"))
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
}

func TestFileReplacedWhileOpen(t *testing.T) {
	path := file(t)
	q := openTest(t, Config{File: path})
	submit(t, q, near("a", "e1"))
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := q.Submit(t.Context(), near("b", "e1")); !errors.Is(err, ErrReplaced) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := q.Submit(t.Context(), near("b", "e1")); !errors.Is(err, ErrReplaced) {
		t.Fatal(err)
	}
}

func TestListFiltersAndPages(t *testing.T) {
	q := openTest(t, Config{})
	for i := range 25 {
		r := near(fmt.Sprintf("n%02d", i), "e1")
		if i%5 == 0 {
			r = exact(r.Item, "e1")
		}
		if i%2 == 0 {
			r.Surface = "avatars"
		}
		r.Time = noon.Add(time.Duration(i) * time.Minute)
		submit(t, q, r)
	}
	if err := q.Confirm(t.Context(), Ref{Item: "n03"}, byAnn); err != nil {
		t.Fatal(err)
	}
	names := func(f Filter) (all []string) {
		t.Helper()
		for range 100 {
			items, next, err := q.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range items {
				all = append(all, i.Item)
			}
			if f.Cursor = next; next == "" {
				return all
			}
		}
		t.Fatal("no end")
		return nil
	}
	all := names(Filter{})
	if len(all) != 25 || all[0] != "n00" || all[24] != "n24" {
		t.Fatal(all)
	}
	for limit := 1; limit < 27; limit++ {
		if diff := cmp.Diff(all, names(Filter{Limit: limit})); diff != "" {
			t.Fatal(limit, diff)
		}
	}
	block := hashmatch.Block
	for _, c := range []struct {
		f    Filter
		want []string
	}{
		{Filter{State: Confirmed}, []string{"n03"}},
		{Filter{Action: &block, Surface: "posts", Limit: 1}, []string{"n05", "n15"}},
		{Filter{After: noon.Add(22 * time.Minute), Before: noon.Add(24 * time.Minute)}, []string{"n22", "n23"}},
		{Filter{Tenant: "nobody"}, nil},
	} {
		if diff := cmp.Diff(c.want, names(c.f)); diff != "" {
			t.Errorf("%+v: %s", c.f, diff)
		}
	}
	for _, f := range []Filter{{State: "gone"}, {Cursor: "x"}, {Cursor: "s"}, {Cursor: "s-1x'"}, {Cursor: "s01"}, {Limit: -1}} {
		if _, _, err := q.List(t.Context(), f); !errors.Is(err, ErrFilter) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

func TestStats(t *testing.T) {
	now := noon
	q := openTest(t, Config{now: func() time.Time { return now }, Callback: &Callback{URL: "http://127.0.0.1:1/", Secret: make([]byte, 16)}})
	if s := q.Stats(); s != (Stats{}) {
		t.Errorf("%+v", s)
	}
	older := near("old", "e1")
	older.Time = noon.Add(-time.Hour)
	shadow := near("shadow", "e1")
	shadow.Action = hashmatch.Allow
	submit(t, q, near("a", "e1"), exact("b", "e1"), older, shadow, near("c", "e1"))
	if err := q.Release(t.Context(), Ref{Item: "c"}, byAnn); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); s != (Stats{}) {
		t.Errorf("counted too soon: %+v", s)
	}
	now = now.Add(3 * time.Second)
	want := Stats{Pending: 4, Held: 2, Blocked: 1, Oldest: older.Time, Undelivered: 1}
	if s := q.Stats(); s != want {
		t.Errorf("%+v", s)
	}
}

// Submissions and decisions from many sides at once: each item is there once, and every decision that returned nil
// stands.
func TestConcurrent(t *testing.T) {
	q := openTest(t, Config{Audit: func(context.Context, Decision) error { return nil }})
	const workers, each = 16, 20
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", w/2, i) // two workers on each item
				if err := q.Submit(t.Context(), near(id, "e1")); err != nil {
					t.Error(err)
				}
				decide := q.Release
				if i%2 == 0 {
					decide = q.Confirm
				}
				if err := decide(t.Context(), Ref{Item: id}, byAnn); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	items, _, err := q.List(t.Context(), Filter{Limit: MaxLimit})
	if err != nil || len(items) != workers/2*each {
		t.Fatal(len(items), err)
	}
	for _, i := range items {
		if i.State == Pending {
			t.Errorf("%s is pending", i.Item)
		}
	}
	if len(q.waiting) != 0 {
		t.Errorf("%d submissions left", len(q.waiting))
	}
}

// A caller that goes away while another writes leaves nothing behind that grows.
func TestSubmitGivesUpInTime(t *testing.T) {
	q := openTest(t, Config{})
	q.submissions <- struct{}{} // somebody writes, and does not come to an end
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := q.Submit(ctx, near("a", "e1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if len(q.waiting) != 0 {
		t.Fatalf("%d submissions left", len(q.waiting))
	}
	<-q.submissions
	submit(t, q, near("a", "e1"))
}

// One that cannot be written must not fail those that came at the same time.
func TestGroupWithABadOne(t *testing.T) {
	q := openTest(t, Config{})
	submit(t, q, near("bad", "e1"))
	if _, err := q.db.Exec("UPDATE items SET record = '{' WHERE item = 'bad'"); err != nil {
		t.Fatal(err)
	}
	q.submissions <- struct{}{}
	var all sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		id := fmt.Sprint(i)
		if i == 3 {
			id = "bad"
		}
		all.Go(func() { errs[i] = q.Submit(t.Context(), exact(id, "e1")) })
	}
	for {
		q.mu.Lock()
		n := len(q.waiting)
		q.mu.Unlock()
		if n == len(errs) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	<-q.submissions
	all.Wait()
	for i, err := range errs {
		if (i == 3) != errors.Is(err, ErrCorrupt) || (i != 3) != (err == nil) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
