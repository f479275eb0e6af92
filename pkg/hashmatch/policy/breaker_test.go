package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

var _ gate.Breaker = (*Breaker)(nil)

// hand is a clock that a test moves.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func newHand() *hand { return &hand{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (h *hand) read() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func tenanted(t testing.TB, name string) hashmatch.Surface {
	s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{Name: name, Tenant: "t", Visibility: hashmatch.Public, Encrypted: new(bool)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newTestBreaker(t testing.TB, c BreakerConfig, h *hand) *Breaker {
	t.Helper()
	c.now = h.read
	b, err := NewBreaker(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.workers.Wait() })
	return b
}

// floodMatch is a match of an entry of the list l, near unless kind is a digest.
func floodMatch(entry string, kind hashmatch.Kind) hashmatch.Match {
	return hashmatch.Match{List: "l", Entry: entry, Kind: kind, Action: hashmatch.Block}
}

func verdictOf(action hashmatch.Action, matches ...hashmatch.Match) hashmatch.Verdict {
	return hashmatch.Verdict{Action: action, Would: action, Matches: matches}
}

func observe(b *Breaker, s hashmatch.Surface, n int, v hashmatch.Verdict) {
	for range n {
		b.Observe(s, v)
	}
}

func TestBreakerConfig(t *testing.T) {
	for _, c := range []BreakerConfig{
		{}, {MaxShare: -0.1}, {MaxShare: 1.1}, {MaxShare: math.NaN()}, {MaxCount: -1}, {MaxCount: 1, MinUploads: -1}, {MaxCount: 1, EntryMin: -1},
		{EntryFactor: 0.5}, {EntryFactor: math.NaN()}, {EntryFactor: math.Inf(1)}, {EntryFactor: -2}, {MaxCount: 1, Entry: "allow"},
		{MaxCount: 1, Window: time.Millisecond}, {MaxCount: 1, Window: -time.Hour}, {MinUploads: 5},
		{MaxCount: 1, File: filepath.Join(t.TempDir(), "no", "folder")},
	} {
		if _, err := NewBreaker(c); err == nil {
			t.Errorf("%+v", c)
		}
	}
}

func TestSurfaceTripsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		config   BreakerConfig
		ok       func(b *Breaker, s hashmatch.Surface) // as much as does not trip
		want     Trip
		anyOther hashmatch.Action
	}{
		"count": {
			BreakerConfig{MaxCount: 10},
			func(b *Breaker, s hashmatch.Surface) { observe(b, s, 10, verdictOf(hashmatch.Hold)) },
			Trip{Cause: CauseCount, Count: 11, Uploads: 11, Bound: 10}, hashmatch.Hold,
		},
		"share": {
			BreakerConfig{MaxShare: 0.25, MinUploads: 40},
			func(b *Breaker, s hashmatch.Surface) {
				observe(b, s, 28, verdictOf(hashmatch.Allow))
				observe(b, s, 11, verdictOf(hashmatch.Block))
			},
			Trip{Cause: CauseShare, Count: 12, Uploads: 40, Bound: 10}, hashmatch.Block,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, alarms := newHand(), make(chan Trip, 9)
			c.config.OnTrip = func(t Trip) { alarms <- t }
			b := newTestBreaker(t, c.config, h)
			s, other := tenanted(t, "posts"), tenanted(t, "avatars")
			c.ok(b, s)
			if trips := b.Trips(); len(trips) != 0 {
				t.Fatalf("too soon: %+v", trips)
			}
			observe(b, other, 3, verdictOf(hashmatch.Block))
			observe(b, s, 5, verdictOf(c.anyOther))
			c.want.Surface, c.want.Tenant, c.want.Effect, c.want.Since = "posts", "t", BreakerAlarm, h.now
			got := <-alarms
			c.want.ID = got.ID
			if diff := cmp.Diff(c.want, got); diff != "" || got.ID == "" {
				t.Error(diff)
			}
			b.workers.Wait()
			h.move(1000 * time.Hour)
			b.Observe(s, verdictOf(hashmatch.Allow))
			if trips := b.Trips(); len(trips) != 1 || len(alarms) != 0 {
				t.Errorf("it lifted itself, or rose twice: %+v, %d alarms", trips, len(alarms))
			}
			if err := b.Lift(got.ID, "ann", "a game's launch"); err != nil {
				t.Fatal(err)
			}
			if err := b.Lift(got.ID, "ann", "again"); !errors.Is(err, ErrTripNotFound) {
				t.Error(err)
			}
			if lifts := b.Lifts(); len(lifts) != 1 || lifts[0].Actor != "ann" || lifts[0].Trip.ID != got.ID {
				t.Errorf("%+v", lifts)
			}
			c.ok(b, s)
			if trips := b.Trips(); len(trips) != 0 {
				t.Errorf("what was lifted counts again: %+v", trips)
			}
			observe(b, s, 5, verdictOf(c.anyOther))
			if second := <-alarms; second.ID == got.ID {
				t.Error("the same ID twice")
			}
		})
	}
}

func TestOldUploadsDoNotCount(t *testing.T) {
	h := newHand()
	b := newTestBreaker(t, BreakerConfig{MaxCount: 10, Window: time.Hour}, h)
	s := tenanted(t, "posts")
	for range 100 {
		observe(b, s, 2, verdictOf(hashmatch.Hold))
		h.move(12 * time.Minute)
	}
	if trips := b.Trips(); len(trips) != 0 {
		t.Errorf("%+v", trips)
	}
}

func TestEntryTrips(t *testing.T) {
	h := newHand()
	b := newTestBreaker(t, BreakerConfig{EntryFactor: 3, EntryMin: 5, Window: time.Hour, Entry: BreakerSuspend}, h)
	s := tenanted(t, "posts")
	near := verdictOf(hashmatch.Block, floodMatch("e", hashmatch.PDQ), floodMatch("e", hashmatch.PHash)) // one entry, counted once
	for range 4 {
		observe(b, s, 4, near)
		h.move(time.Hour)
	}
	observe(b, s, 12, near) // three times as often: not more
	if trips := b.Trips(); len(trips) != 0 {
		t.Fatalf("too soon: %+v", trips)
	}
	b.Observe(s, near)
	trips := b.Trips()
	if len(trips) != 1 || trips[0].Count != 13 || trips[0].Bound != 12 || trips[0].Effect != BreakerSuspend || trips[0].Exact {
		t.Fatalf("%+v", trips)
	}
	// A person lifts it: what came until now is its usual.
	if err := b.Lift(trips[0].ID, "ann", "a meme"); err != nil {
		t.Fatal(err)
	}
	observe(b, s, 26, near)
	if trips := b.Trips(); len(trips) != 0 {
		t.Fatalf("too soon after the lift: %+v", trips)
	}
	b.Observe(s, near)
	if trips := b.Trips(); len(trips) != 1 {
		t.Fatal("it never trips again")
	}
	// Exact matches that flood are an alarm, whatever was chosen for near ones.
	observe(b, s, 5, verdictOf(hashmatch.Block, floodMatch("e", hashmatch.MD5)))
	if trips = b.Trips(); len(trips) != 2 || !trips[1].Exact || trips[1].Effect != BreakerAlarm || b.Stats().Effects != 1 {
		t.Fatalf("%+v", trips)
	}
	// What is not acted on does not count.
	ignored := floodMatch("quiet", hashmatch.PDQ)
	ignored.Action = hashmatch.Allow
	observe(b, s, 100, verdictOf(hashmatch.Allow, ignored))
	if trips = b.Trips(); len(trips) != 2 {
		t.Errorf("%+v", trips)
	}
}

func TestWrap(t *testing.T) {
	p, err := New(Config{Surfaces: map[string]Surface{"posts": {NotImage: new(hashmatch.Hold)}}, Defaults: List{Near: new(hashmatch.Block)}})
	if err != nil {
		t.Fatal(err)
	}
	s := tenanted(t, "posts")
	for effect, want := range map[BreakerAction]hashmatch.Action{
		BreakerAlarm: hashmatch.Block, BreakerHold: hashmatch.Hold, BreakerSuspend: hashmatch.Allow,
	} {
		h := newHand()
		b := newTestBreaker(t, BreakerConfig{EntryFactor: 2, EntryMin: 3, Entry: effect}, h)
		wrapped := b.Wrap(p)
		near := hashmatch.Match{List: "l", Entry: "e", Kind: hashmatch.PDQ, Distance: 4}
		other, exact := near, near
		other.Entry, exact.Kind, exact.Distance = "other", hashmatch.SHA256, 0
		decide := func(matches ...hashmatch.Match) hashmatch.Decision {
			return wrapped.Decide(hashmatch.Findings{Surface: s, Matches: matches})
		}
		if d := decide(near); d.Action != hashmatch.Block || wrapped.Revision() != p.Revision() {
			t.Fatalf("%s: before it trips: %v, %s", effect, d.Action, wrapped.Revision())
		}
		observe(b, s, 3, verdictOf(hashmatch.Block, decide(near).Matches...))
		candidates := []hashmatch.Match{near}
		d := decide(candidates...)
		if d.Action != want || d.Would != want || len(d.Matches) != 1 {
			t.Errorf("%s: %+v", effect, d)
		}
		if candidates[0].Status != hashmatch.Active {
			t.Error("the caller's candidates were changed")
		}
		if (wrapped.Revision() != p.Revision()) != (effect != BreakerAlarm) {
			t.Errorf("%s: revision %s of %s", effect, wrapped.Revision(), p.Revision())
		}
		for name, matches := range map[string][]hashmatch.Match{"another entry": {near, other}, "exact": {near, exact}, "exact first": {exact, near}} {
			if d := decide(matches...); d.Action != hashmatch.Block {
				t.Errorf("%s: %s: %v", effect, name, d.Action)
			}
		}
		failed := wrapped.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{near}, Failures: []hashmatch.Failure{{Code: hashmatch.Corrupt}}})
		if failed.Action == hashmatch.Allow {
			t.Errorf("%s: a failure is allowed", effect)
		}
		if err := b.Lift(b.Trips()[0].ID, "ann", "fine"); err != nil {
			t.Fatal(err)
		}
		if d := decide(near); d.Action != hashmatch.Block || wrapped.Revision() != p.Revision() {
			t.Errorf("%s: after the lift: %v, %s", effect, d.Action, wrapped.Revision())
		}
	}
}

// Whatever is found and whatever has tripped: the decision is the policy's own on the same findings with the tripped
// near matches taken out (suspend) or disputed (hold), so that no exact match, no failure and no other entry is less
// acted on.
func TestWrapProperty(t *testing.T) {
	p, err := New(Config{
		Lists:    map[string]List{"a": {Role: AllowList, Thresholds: map[hashmatch.Kind]int{hashmatch.PDQ: 10}}, "l": {Near: new(hashmatch.Block)}, "q": {Shadow: true}},
		Surfaces: map[string]Surface{"posts": {NotImage: new(hashmatch.Allow)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := tenanted(t, "posts")
	match := rapid.Custom(func(t *rapid.T) hashmatch.Match {
		m := hashmatch.Match{
			List: rapid.SampledFrom([]string{"l", "q", "x", "a"}).Draw(t, "list"), Entry: rapid.SampledFrom([]string{"e1", "e2", "e3"}).Draw(t, "entry"),
			Kind: rapid.SampledFrom([]hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash, hashmatch.MD5, hashmatch.SHA256, 0, 77}).Draw(t, "kind"), Frame: rapid.IntRange(0, 1).Draw(t, "frame"),
			Status: rapid.SampledFrom([]hashmatch.Status{hashmatch.Active, hashmatch.Active, hashmatch.Disputed, hashmatch.Suspended, hashmatch.Withdrawn, 9}).Draw(t, "status"),
		}
		if !m.Kind.Digest() {
			m.Distance = rapid.IntRange(0, 12).Draw(t, "distance")
		}
		return m
	})
	rapid.Check(t, func(t *rapid.T) {
		effect := rapid.SampledFrom([]BreakerAction{BreakerHold, BreakerSuspend}).Draw(t, "effect")
		b, err := NewBreaker(BreakerConfig{EntryFactor: 1, EntryMin: 1, Entry: effect, now: newHand().read})
		if err != nil {
			t.Fatal(err)
		}
		defer b.workers.Wait()
		tripped := map[entryName]bool{}
		for _, list := range []string{"l", "q", "x"} {
			for _, entry := range []string{"e1", "e2", "e3"} {
				if rapid.Bool().Draw(t, list+entry) {
					tripped[entryName{list, entry}] = true
					b.Observe(s, verdictOf(hashmatch.Hold, hashmatch.Match{List: list, Entry: entry, Kind: hashmatch.PDQ}))
				}
			}
		}
		f := hashmatch.Findings{Surface: s, Matches: rapid.SliceOfN(match, 0, 8).Draw(t, "matches")}
		for _, code := range rapid.SliceOfN(rapid.SampledFrom(append(hashmatch.FailureCodes(), "unknown")), 0, 2).Draw(t, "failures") {
			f.Failures = append(f.Failures, hashmatch.Failure{Code: code})
		}
		reduced := f
		reduced.Matches = nil
		for _, m := range f.Matches {
			if near := m.Kind.Valid() && !m.Kind.Digest(); near && tripped[entryName{m.List, m.Entry}] && (m.Status == hashmatch.Active || m.Status == hashmatch.Disputed) {
				if effect == BreakerSuspend {
					continue
				}
				m.Status = hashmatch.Disputed
			}
			reduced.Matches = append(reduced.Matches, m)
		}
		got, want := b.Wrap(p).Decide(f), p.Decide(reduced)
		if got.Action != want.Action || got.Would != want.Would {
			t.Fatalf("%v, want %v", got, want)
		}
		if plain := p.Decide(f); plain.Action.Stricter(got.Action) != plain.Action && plain.AllowedBy == nil {
			t.Fatalf("stricter than without the breaker: %v, %v", got, plain)
		}
	})
}

// naive is a breaker that remembers every match and looks at all of them each time.
type naive struct {
	window, elapsed time.Duration
	stopped, all    map[string][]int64 // bucket numbers by surface
	matched         map[string][]int64 // by entry
	peaks           map[string]map[int64]int64
	accepted        map[string]int64
	tripped         map[string]bool
}

func (n *naive) bucket() int64 { return int64(n.elapsed / (n.window / buckets)) }

func (n *naive) within(at []int64) (count int64) {
	for _, bucket := range at {
		if bucket > n.bucket()-buckets {
			count++
		}
	}
	return count
}

func (n *naive) observe(c BreakerConfig, surface string, stopped bool, entries []string) {
	n.all[surface] = append(n.all[surface], n.bucket())
	if stopped {
		n.stopped[surface] = append(n.stopped[surface], n.bucket())
	}
	count, all := n.within(n.stopped[surface]), n.within(n.all[surface])
	if count > int64(c.MaxCount) || all >= int64(c.MinUploads) && float64(count) > c.MaxShare*float64(all) {
		n.tripped["surface "+surface] = true
	}
	for _, e := range entries {
		n.matched[e] = append(n.matched[e], n.bucket())
		count, epoch := n.within(n.matched[e]), n.bucket()/buckets
		past := n.accepted[e]
		for at, peak := range n.peaks[e] {
			if at <= epoch-2 {
				past = max(past, peak)
			}
		}
		if n.peaks[e] == nil {
			n.peaks[e] = map[int64]int64{}
		}
		n.peaks[e][epoch] = max(n.peaks[e][epoch], count)
		if count >= int64(c.EntryMin) && float64(count) > c.EntryFactor*float64(past) {
			n.tripped["entry "+e] = true
		}
	}
}

func (n *naive) lift(subject string) {
	delete(n.tripped, subject)
	if surface, ok := strings.CutPrefix(subject, "surface "); ok {
		delete(n.all, surface)
		delete(n.stopped, surface)
		return
	}
	entry := strings.TrimPrefix(subject, "entry ")
	for _, peak := range n.peaks[entry] {
		n.accepted[entry] = max(n.accepted[entry], peak)
	}
}

func TestBreakerAgainstNaive(t *testing.T) {
	surfaces := []hashmatch.Surface{tenanted(t, "s1"), tenanted(t, "s2")}
	rapid.Check(t, func(t *rapid.T) {
		h := newHand()
		c := BreakerConfig{
			Window: time.Minute, MaxShare: 0.5, MinUploads: 12, MaxCount: 25, EntryMin: 4, now: h.read,
			EntryFactor: rapid.SampledFrom([]float64{1, 1.5, 3}).Draw(t, "factor"),
		}
		b, err := NewBreaker(c)
		if err != nil {
			t.Fatal(err)
		}
		defer b.workers.Wait()
		n := &naive{window: c.Window, elapsed: c.Window, stopped: map[string][]int64{}, all: map[string][]int64{}, matched: map[string][]int64{},
			peaks: map[string]map[int64]int64{}, accepted: map[string]int64{}, tripped: map[string]bool{}}
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "pass") == 0 {
				d := time.Duration(rapid.IntRange(-90, 90).Draw(t, "seconds")) * time.Second
				h.move(d)
				n.elapsed += max(d, 0)
			}
			surface := rapid.SampledFrom(surfaces).Draw(t, "surface")
			var entries []string
			var matches []hashmatch.Match
			for _, e := range []string{"e1", "e2"} {
				if rapid.Bool().Draw(t, e) {
					entries, matches = append(entries, e), append(matches, floodMatch(e, hashmatch.PDQ))
				}
			}
			action := rapid.SampledFrom([]hashmatch.Action{hashmatch.Allow, hashmatch.Hold, hashmatch.Block}).Draw(t, "action")
			b.Observe(surface, verdictOf(action, matches...))
			n.observe(c, surface.Name(), action != hashmatch.Allow, entries)
			got := map[string]bool{}
			ids := map[string]string{}
			for _, trip := range b.Trips() {
				subject := "entry " + trip.Entry
				if trip.Entry == "" {
					subject = "surface " + trip.Surface
				}
				got[subject], ids[subject] = true, trip.ID
			}
			if diff := cmp.Diff(n.tripped, got); diff != "" {
				t.Fatal(diff)
			}
			if len(ids) > 0 && rapid.IntRange(0, 4).Draw(t, "lift") == 0 {
				var subjects []string
				for subject := range ids {
					subjects = append(subjects, subject)
				}
				slices.Sort(subjects)
				subject := rapid.SampledFrom(subjects).Draw(t, "subject")
				if err := b.Lift(ids[subject], "ann", "r"); err != nil {
					t.Fatal(err)
				}
				n.lift(subject)
			}
		}
	})
}

func TestBreakerSurvivesARestart(t *testing.T) {
	h := newHand()
	path := filepath.Join(t.TempDir(), "breaker")
	c := BreakerConfig{MaxCount: 50, EntryFactor: 2, EntryMin: 10, Entry: BreakerHold, File: path}
	b := newTestBreaker(t, c, h)
	s := tenanted(t, "posts")
	observe(b, s, 12, verdictOf(hashmatch.Hold, floodMatch("e", hashmatch.PDQ))) // trips at 10
	observe(b, s, 50, verdictOf(hashmatch.Hold, floodMatch("calm", hashmatch.MD5)))
	h.move(time.Hour)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	before := b.Trips()
	b = newTestBreaker(t, c, h)
	if diff := cmp.Diff(before, b.Trips()); diff != "" || len(before) != 3 {
		t.Fatalf("%d trips: %s", len(before), diff)
	}
	if b.Stats().Effects != 1 {
		t.Errorf("%+v", b.Stats())
	}
	for _, trip := range before {
		if err := b.Lift(trip.ID, "ann", "r"); err != nil {
			t.Fatal(err)
		}
	}
	b = newTestBreaker(t, c, h) // as after kill -9: what was lifted is lifted
	if trips, lifts := b.Trips(), b.Lifts(); len(trips) != 0 || len(lifts) != 3 {
		t.Fatalf("%+v %+v", trips, lifts)
	}
	observe(b, s, 24, verdictOf(hashmatch.Hold, floodMatch("e", hashmatch.PDQ))) // its usual is remembered: 12
	if trips := b.Trips(); len(trips) != 0 {
		t.Fatalf("%+v", trips)
	}
	observe(b, s, 1, verdictOf(hashmatch.Hold, floodMatch("e", hashmatch.PDQ)))
	if trips := b.Trips(); len(trips) != 1 {
		t.Fatalf("%+v", trips)
	}
}

// A lift that cannot be recorded has not happened.
func TestLiftNeedsTheDisk(t *testing.T) {
	h := newHand()
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b := newTestBreaker(t, BreakerConfig{MaxCount: 1, EntryFactor: 2, EntryMin: 2, Entry: BreakerSuspend, File: filepath.Join(dir, "f")}, h)
	observe(b, tenanted(t, "posts"), 2, verdictOf(hashmatch.Hold, floodMatch("e", hashmatch.PDQ)))
	b.workers.Wait()
	for _, who := range [][2]string{{"", "r"}, {"a", " "}, {strings.Repeat("a", maxActor+1), "r"}, {"a", strings.Repeat("a", maxReason+1)}} {
		if err := b.Lift(b.Trips()[0].ID, who[0], who[1]); !errors.Is(err, ErrLift) {
			t.Error(err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, trip := range b.Trips() {
		if err := b.Lift(trip.ID, "ann", "r"); err == nil {
			t.Error("lifted")
		}
	}
	if s := b.Stats(); s.Trips != 2 || s.Effects != 1 || !s.Unsaved || len(b.Lifts()) != 0 {
		t.Errorf("%+v", s)
	}
	if err := b.Close(); err == nil {
		t.Error("closed without an error")
	}
}

func TestBreakerMemoryIsBounded(t *testing.T) {
	h := newHand()
	b := newTestBreaker(t, BreakerConfig{MaxShare: 1, EntryFactor: 2, EntryMin: 3, Entry: BreakerSuspend}, h)
	s := tenanted(t, "posts")
	long := strings.Repeat("x", 300)
	for i := range MaxBreakerEntries + 1000 {
		m := floodMatch(fmt.Sprint(i, long), hashmatch.PDQ)
		if i%10 == 0 { // an entry that floods among them is not forgotten
			b.Observe(s, verdictOf(hashmatch.Hold, m, floodMatch("flood", hashmatch.PDQ)))
		} else {
			b.Observe(s, verdictOf(hashmatch.Hold, m))
		}
	}
	if got := b.Stats(); got.Entries > MaxBreakerEntries+1 || got.Evicted < 1000 || got.Trips != 1 || b.Trips()[0].Entry != "flood" {
		t.Errorf("%+v", got)
	}
	for key := range b.entries {
		if len(key.entry) > maxEntryName {
			t.Fatalf("a name of %d bytes is kept", len(key.entry))
		}
	}
	for i := range MaxTrips + 10 {
		observe(b, s, 3, verdictOf(hashmatch.Hold, floodMatch(fmt.Sprint("t", i), hashmatch.PDQ)))
	}
	if got := b.Stats(); got.Trips != MaxTrips || got.Refused == 0 || got.Effects != MaxTrips {
		t.Errorf("%+v", got)
	}
	for i := range MaxBreakerSurfaces + 100 {
		b.Observe(tenanted(t, fmt.Sprint("s", i)), verdictOf(hashmatch.Allow))
	}
	if got := b.Stats(); got.Surfaces > MaxBreakerSurfaces {
		t.Errorf("%+v", got)
	}
}

// A long name is one entry, told apart from others with the same beginning, and takes effect.
func TestLongNames(t *testing.T) {
	b := newTestBreaker(t, BreakerConfig{EntryFactor: 2, EntryMin: 2, Entry: BreakerSuspend}, newHand())
	one, other := floodMatch(strings.Repeat("é", 1000)+"1", hashmatch.PDQ), floodMatch(strings.Repeat("é", 1000)+"2", hashmatch.PDQ)
	s := tenanted(t, "posts")
	b.Observe(s, verdictOf(hashmatch.Hold, one))
	b.Observe(s, verdictOf(hashmatch.Hold, other))
	if trips := b.Trips(); len(trips) != 0 {
		t.Fatalf("%+v", trips)
	}
	b.Observe(s, verdictOf(hashmatch.Hold, one))
	if !b.effective(&one) || b.effective(&other) {
		t.Error("the wrong one takes effect")
	}
}

func TestBreakerClockSetBack(t *testing.T) {
	h := newHand()
	b := newTestBreaker(t, BreakerConfig{MaxCount: 10, Window: time.Hour}, h)
	s := tenanted(t, "posts")
	observe(b, s, 8, verdictOf(hashmatch.Hold))
	h.move(-24 * time.Hour)
	observe(b, s, 2, verdictOf(hashmatch.Hold))
	h.move(2 * time.Hour) // still earlier than at first: the window goes on nonetheless
	observe(b, s, 8, verdictOf(hashmatch.Hold))
	if trips := b.Trips(); len(trips) != 0 {
		t.Fatalf("%+v", trips)
	}
	observe(b, s, 3, verdictOf(hashmatch.Hold))
	if trips := b.Trips(); len(trips) != 1 {
		t.Fatal("it does not count any more")
	}
}

// OnTrip may block or panic: Observe goes on.
func TestOnTripThatBlocks(t *testing.T) {
	release, called := make(chan struct{}), make(chan Trip, 9)
	b := newTestBreaker(t, BreakerConfig{MaxCount: 1, Logger: slog.New(slog.DiscardHandler), OnTrip: func(t Trip) {
		called <- t
		<-release
		panic("no")
	}}, newHand())
	for i := range 4 {
		observe(b, tenanted(t, fmt.Sprint(i)), 100, verdictOf(hashmatch.Block))
	}
	<-called
	if n := len(b.Trips()); n != 4 {
		t.Errorf("%d trips", n)
	}
	close(release)
	b.workers.Wait()
	if len(called) != 3 {
		t.Errorf("%d more alarms", len(called))
	}
}

func TestBreakerConcurrent(t *testing.T) {
	h := newHand()
	path := filepath.Join(t.TempDir(), "f")
	b := newTestBreaker(t, BreakerConfig{MaxCount: 50, EntryFactor: 2, EntryMin: 5, Entry: BreakerHold, File: path, OnTrip: func(Trip) {}}, h)
	p, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	wrapped, s := b.Wrap(p), tenanted(t, "posts")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				m := floodMatch(fmt.Sprint(w, i%50), hashmatch.PDQ)
				b.Observe(s, verdictOf(hashmatch.Hold, m))
				wrapped.Decide(hashmatch.Findings{Surface: s, Matches: []hashmatch.Match{m}})
				if wrapped.Revision() == "" {
					t.Error("no revision")
				}
				h.move(time.Second)
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			for _, trip := range b.Trips() {
				if err := b.Lift(trip.ID, "ann", "r"); err != nil {
					t.Error(err)
				}
			}
			b.Stats()
			b.Lifts()
		}
	})
	all.Wait()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b.recent.Len()+len(b.Trips()) < len(b.entries) {
		t.Errorf("%d entries, %d recent, %d trips", len(b.entries), b.recent.Len(), len(b.Trips()))
	}
}

func TestBreakerFileRefused(t *testing.T) {
	trip := Trip{ID: "i", Cause: CauseEntry, List: "l", Entry: "e", Effect: BreakerHold}
	exact, shares := trip, trip
	exact.Exact, shares.Cause = true, CauseShare
	other := trip
	other.ID = "j"
	for name, state := range map[string]breakerState{
		"an exact match suspended": {Trips: []Trip{exact}}, "a surface with an effect": {Trips: []Trip{shares}}, "one trip twice": {Trips: []Trip{trip, trip}},
		"one entry twice": {Trips: []Trip{trip, other}}, "a count below 0": {Entries: []entryState{{Most: -1}}}, "too many": {Trips: make([]Trip, MaxTrips+1)},
	} {
		content, err := encodeState(state, maxBreakerFile)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(content); !errors.Is(err, ErrBreakerFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good, err := encodeState(breakerState{Trips: []Trip{trip}}, maxBreakerFile)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if _, err := decodeState(bad); !errors.Is(err, ErrBreakerFile) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	path := filepath.Join(t.TempDir(), "f")
	for _, content := range []string{"", "x", string(good[:len(good)-1])} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewBreaker(BreakerConfig{MaxCount: 1, File: path}); !errors.Is(err, ErrBreakerFile) {
			t.Errorf("%.10q: %v", content, err)
		}
	}
	if _, err := NewBreaker(BreakerConfig{MaxCount: 1, File: t.TempDir()}); !errors.Is(err, ErrBreakerFile) {
		t.Error(err)
	}
}

// A state that is too long is written without the entries that have matched the longest ago, rather than not at all.
func TestEncodeStateThatIsTooLong(t *testing.T) {
	var state breakerState
	const limit, n = 1 << 18, 3000
	for i := range n {
		state.Entries = append(state.Entries, entryState{"l", fmt.Sprint(strings.Repeat("<", maxEntryName-6), i), false, int64(i)})
	}
	content, err := encodeState(state, limit)
	if err != nil || len(content) > limit {
		t.Fatal(len(content), err)
	}
	got, err := decodeState(content)
	if err != nil || len(got.Entries) < 50 || got.Entries[len(got.Entries)-1].Most != n-1 {
		t.Fatal(len(got.Entries), err)
	}
}

func FuzzBreakerFile(f *testing.F) {
	for _, state := range []breakerState{
		{}, {Trips: []Trip{{ID: "i", Cause: CauseShare, Surface: "s", Effect: BreakerAlarm}}, Entries: []entryState{{"l", "e", true, 4}}},
		{Trips: []Trip{{ID: "i", Cause: CauseEntry, List: "l", Entry: "e", Effect: BreakerSuspend}}, Lifts: make([]Lift, 120)},
	} {
		text, err := json.Marshal(state)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := decodeState(text); err == nil {
			t.Skip("whole as it is")
		}
		content := append(fmt.Appendf(nil, breakerMagic, checksum(text)), text...) // the checksum would keep the fuzzer out
		state, err := decodeState(content)
		if err != nil {
			if !errors.Is(err, ErrBreakerFile) {
				t.Error(err)
			}
			return
		}
		b, err := NewBreaker(BreakerConfig{MaxCount: 1, EntryFactor: 2, EntryMin: 1, now: newHand().read})
		if err != nil {
			t.Fatal(err)
		}
		b.restore(state)
		b.takeEffect()
		s := tenanted(t, "posts")
		b.Observe(s, verdictOf(hashmatch.Hold, floodMatch("e", hashmatch.PDQ)))
		for _, trip := range b.Trips() {
			if err := b.Lift(trip.ID, "ann", "r"); err != nil {
				t.Fatal(err)
			}
		}
		b.workers.Wait()
		if got := b.Stats(); got.Trips != 0 || got.Effects != 0 {
			t.Errorf("%+v", got)
		}
		if b.recent.Len() != len(b.entries) {
			t.Errorf("%d entries, %d of them recent", len(b.entries), b.recent.Len())
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	breaker := newTestBreaker(b, BreakerConfig{MaxShare: 1, EntryFactor: 10}, newHand())
	s, v := tenanted(b, "posts"), verdictOf(hashmatch.Hold, floodMatch("e", hashmatch.PDQ))
	for b.Loop() {
		breaker.Observe(s, v)
	}
}
