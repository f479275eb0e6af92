package readiness

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/digest"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/imagehash"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/pdq"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// rig is a scanner over lists that the tests change.
type rig struct {
	scanner *hashmatch.Scanner
	canary  *Canary
	policy  *policy.Policy
	set     *lookup.Set
	bounds  []List
	clock   time.Time
}

func newRig(t *testing.T, kinds ...hashmatch.Kind) *rig {
	t.Helper()
	p, err := policy.New(policy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{policy: p, clock: time.Now(), bounds: []List{{Name: "demo"}}}
	r.scanner, err = hashmatch.NewScanner(hashmatch.Config{
		Digester: digest.Digester{}, Decoder: media.New(media.Config{}),
		Hashers: []hashmatch.Hasher{pdq.Hasher{}, imagehash.Hasher{}},
		Rules:   func() (hashmatch.Lists, hashmatch.Policy) { return r.set, r.policy },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.canary, err = NewCanary(); err != nil {
		t.Fatal(err)
	}
	r.serve(t, randomList(t, 500, kinds...))
	return r
}

func randomList(t *testing.T, n int, kinds ...hashmatch.Kind) *hashlist.List {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var b hashlist.Builder
	for i := range n {
		e := hashmatch.Entry{Key: hashmatch.EntryKey{ID: strconv.Itoa(i)}}
		if i%5 == 4 {
			e.Status = hashmatch.Withdrawn
		} else {
			h := hashmatch.Hash{Kind: kinds[i%len(kinds)]}
			for j := range h.Kind.Bits() / 8 {
				h.Bits[j] = byte(r.Uint32())
			}
			e.Signatures = []hashmatch.Signature{{Hash: h}}
		}
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	return list.WithSynced(time.Now())
}

func (r *rig) serve(t *testing.T, list *hashlist.List) {
	t.Helper()
	served, err := lookup.Serve(t.Context(), "demo", list)
	if err != nil {
		t.Fatal(err)
	}
	set, err := lookup.NewSet(served)
	if err != nil {
		t.Fatal(err)
	}
	planted, err := r.canary.Plant(t.Context(), r.scanner, set.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	r.set = set.WithPlanted(planted)
}

func (r *rig) checker(t *testing.T) *Checker {
	t.Helper()
	c, err := New(Config{
		Canary: r.canary, Scanner: r.scanner, Lists: func() []List { return r.bounds }, Interval: 10 * time.Second,
		Rules: func() (*lookup.Set, hashmatch.Policy) { return r.set, r.policy },
		now:   func() time.Time { return r.clock },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReady(t *testing.T) {
	for name, kinds := range map[string][]hashmatch.Kind{
		"pdq":     {hashmatch.PDQ},
		"digests": {hashmatch.MD5, hashmatch.SHA256},
		"all":     hashmatch.Kinds(),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, kinds...)
			c := r.checker(t)
			if err := c.Ready(); !errors.Is(err, ErrNotChecked) {
				t.Errorf("before the first check: %v", err)
			}
			if err := c.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.Ready(); err != nil {
				t.Error(err)
			}
			s := c.Status()
			if !s.Canary || len(s.Lists) != 1 || s.Lists[0].Entries != 500 || s.Lists[0].Revision == "" || s.Lists[0].Err != nil {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Two processes have two canaries: who has seen one cannot send the other.
func TestCanariesDiffer(t *testing.T) {
	a, b := newRig(t, hashmatch.PDQ), newRig(t, hashmatch.PDQ)
	v, err := a.scanner.Scan(t.Context(), b.canary.item())
	if err != nil || len(v.Matches) > 0 {
		t.Errorf("%v, %+v", err, v.Matches)
	}
}

func TestNotReady(t *testing.T) {
	other := func(t *testing.T) *lookup.Set { return newRig(t, hashmatch.PDQ).set }
	for _, tc := range []struct {
		name, want string
		change     func(t *testing.T, r *rig)
	}{
		{"no list", "no list in force", func(t *testing.T, r *rig) { r.set = nil }},
		{"nothing configured", "no list configured", func(t *testing.T, r *rig) { r.bounds = nil }},
		{"a list is missing", `list "second": not in force`, func(t *testing.T, r *rig) { r.bounds = append(r.bounds, List{Name: "second"}) }},
		{"the canary is another's", "canary: not found by [pdq]", func(t *testing.T, r *rig) { r.set = other(t) }},
		{"too old", "its last sync was 1h0m", func(t *testing.T, r *rig) {
			r.bounds[0].MaxAge = time.Minute
			r.serve(t, randomList(t, 500, hashmatch.PDQ).WithSynced(r.clock.Add(-time.Hour)))
		}},
		{"age unknown", "age is not known", func(t *testing.T, r *rig) {
			r.bounds[0].MaxAge = time.Minute
			r.serve(t, randomList(t, 500, hashmatch.PDQ).WithSynced(time.Time{}))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, hashmatch.PDQ)
			c := r.checker(t)
			if err := c.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			tc.change(t, r)
			if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if c.Ready() == nil {
				t.Error("ready all the same")
			}
		})
	}
}

// A list whose entries stand elsewhere than its index says is noticed, although the canary is found.
func TestListThatDoesNotFindItsEntries(t *testing.T) {
	r := newRig(t, hashmatch.PDQ)
	c := r.checker(t)
	served := r.set.Lists()[0]
	other, err := lookup.Serve(t.Context(), "demo", randomList(t, 400, hashmatch.PDQ))
	if err != nil {
		t.Fatal(err)
	}
	missed := 0
	for ordinal, entry := range served.List().Entries() {
		for _, s := range entry.Signatures {
			if !finds(other, s.Hash, 31, ordinal) {
				missed++
			}
			for _, distance := range []int{0, 31} {
				if !finds(served, flipped(s.Hash, distance), 31, ordinal) {
					t.Fatalf("entry %d is not found at a distance of %d", ordinal, distance)
				}
			}
		}
	}
	if missed < 100 {
		t.Errorf("only %d entries were missed in another list's index", missed)
	}
	if err := c.sample(served, r.policy); err != nil {
		t.Error(err)
	}
	c.config.find = func(_ *lookup.Served, h hashmatch.Hash, threshold int, ordinal uint32) bool {
		return finds(other, h, threshold, ordinal)
	}
	if err := c.sample(served, r.policy); err == nil || !strings.Contains(err.Error(), "is not found at a distance of") {
		t.Errorf("a search that finds nothing: %v", err)
	}
}

func TestOverdueCheckIsNotReady(t *testing.T) {
	r := newRig(t, hashmatch.PDQ)
	c := r.checker(t)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(29 * time.Second)
	if err := c.Ready(); err != nil {
		t.Error(err)
	}
	r.clock = r.clock.Add(2 * time.Second)
	if err := c.Ready(); err == nil {
		t.Error("ready without a check for 31 seconds")
	}
}

type panicking struct{ Scanner }

func (panicking) Scan(context.Context, hashmatch.Item) (hashmatch.Verdict, error) { panic("scanner") }

func TestPanicIsNotReady(t *testing.T) {
	r := newRig(t, hashmatch.PDQ)
	c := r.checker(t)
	c.config.Scanner = panicking{}
	if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("got %v", err)
	}
}

func TestChangedIsTold(t *testing.T) {
	r := newRig(t, hashmatch.PDQ)
	c := r.checker(t)
	var told []error
	c.config.Changed = func(err error) { told = append(told, err) }
	good := r.set
	c.Check(t.Context())
	c.Check(t.Context())
	r.set = nil
	c.Check(t.Context())
	c.Check(t.Context())
	r.set = good
	c.Check(t.Context())
	if len(told) != 3 || told[0] != nil || told[1] == nil || told[2] != nil {
		t.Errorf("%v", told)
	}
}
