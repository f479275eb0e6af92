// Package readiness says whether uploads can be judged: whether what is in force is what the operator configured, and
// still finds what it must. A service that is not ready holds everything.
//
//	Canary   a synthetic picture goes through the whole scanner and must match its planted entry
//	lists    each is loaded, holds something to search and to act on, is not older than its bound, and finds a few of
//	         its own entries, picked at random, as they are and with bits changed up to the threshold
//
// Call New, then Check once before the first upload, and Run beside the service; Ready answers at once.
package readiness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// List is what must be true of one list.
type List struct {
	Name   string
	MaxAge time.Duration // since its last successful sync; 0 means any
	Allows bool          // it is an allow-list: none of its entries need be one to act on
}

// Config is what a Checker is made of. Canary, Scanner, Rules and Lists are required.
type Config struct {
	Canary  *Canary
	Scanner Scanner
	// Rules returns the lists and the policy in force; Lists what the configuration in force says of them.
	Rules func() (*lookup.Set, hashmatch.Policy)
	Lists func() []List
	// Interval is the time between two checks; 0 means 5 seconds. A check that is overdue by twice as much again, or
	// that takes as long, makes the service not ready.
	Interval time.Duration
	Sample   int // entries of each list that are looked for at each check; 0 means 3
	// Changed is called when the service becomes ready (nil) or not ready. It must not block. nil: nobody is told.
	Changed func(err error)
	Logger  *slog.Logger // of lists that say that they are from the future; nil means silence
	now     func() time.Time
	find    func(served *lookup.Served, h hashmatch.Hash, threshold int, ordinal uint32) bool
}

// ErrNotChecked is the reason before the first check.
var ErrNotChecked = errors.New("not checked yet")

// Status is the result of the last check.
type Status struct {
	Err     error // nil: ready
	Checked time.Time
	Took    time.Duration
	Canary  bool // the canary was found
	Lists   []ListStatus
}

// ListStatus is the state of one list at the last check.
type ListStatus struct {
	Name     string
	Revision string
	Entries  int
	Synced   time.Time
	Age      time.Duration // at the time of the check; 0 where the clock was set back
	Err      error
}

// Checker checks. It is safe for concurrent use.
type Checker struct {
	config Config
	last   atomic.Pointer[Status]

	mu    sync.Mutex
	known map[string]known // by the names of lists
}

// known is what was found out about a list, for as long as it is the same.
type known struct {
	revision   string
	actionable bool // an entry of it can be acted on

	ahead time.Time // its last sync, if it was in the future; else zero
	seen  time.Time // when that was noticed
}

// New returns a Checker that is not ready until Check was called.
func New(config Config) (*Checker, error) {
	if config.Canary == nil || config.Scanner == nil || config.Rules == nil || config.Lists == nil {
		return nil, errors.New("readiness: canary, scanner, rules and lists are required")
	}
	if config.Interval <= 0 {
		config.Interval = 5 * time.Second
	}
	if config.Sample <= 0 {
		config.Sample = 3
	}
	if config.now == nil {
		config.now = time.Now
	}
	if config.find == nil {
		config.find = finds
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Checker{config: config, known: make(map[string]known)}
	c.last.Store(&Status{Err: ErrNotChecked})
	return c, nil
}

// Ready returns why uploads cannot be judged, by the last check; nil if they can. It does not block.
func (c *Checker) Ready() error {
	s := c.last.Load()
	if s.Err != nil {
		return s.Err
	}
	// The times of one process are told by a clock that nobody sets back.
	if overdue := c.config.now().Sub(s.Checked); overdue > 3*c.config.Interval {
		return fmt.Errorf("the last check is %s old", overdue.Round(time.Second))
	}
	return nil
}

// Status returns the last check.
func (c *Checker) Status() Status { return *c.last.Load() }

// Run checks at every interval until ctx is done.
func (c *Checker) Run(ctx context.Context) error {
	ticker := time.NewTicker(c.config.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.Check(ctx)
		}
	}
}

// Check checks now and returns what Ready will.
func (c *Checker) Check(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, 2*c.config.Interval)
	defer cancel()
	s := c.check(bounded)
	if ctx.Err() != nil {
		return ctx.Err() // the service ends: this says nothing about the lists
	}
	before := c.last.Swap(&s)
	if c.config.Changed != nil && (before.Err == nil) != (s.Err == nil) {
		c.config.Changed(s.Err)
	}
	return s.Err
}

func (c *Checker) check(ctx context.Context) (s Status) {
	started := c.config.now()
	defer func() {
		if r := recover(); r != nil {
			s.Err = fmt.Errorf("the check panicked: %v", r)
		}
		s.Checked, s.Took = c.config.now(), c.config.now().Sub(started)
	}()
	set, policy := c.config.Rules()
	bounds := c.config.Lists()
	switch {
	case set == nil:
		s.Err = errors.New("no list in force")
		return s
	case len(bounds) == 0:
		s.Err = errors.New("no list configured")
		return s
	}
	for _, bound := range bounds {
		status := c.list(set, policy, bound)
		if status.Err != nil && s.Err == nil {
			s.Err = fmt.Errorf("list %q: %w", bound.Name, status.Err)
		}
		s.Lists = append(s.Lists, status)
	}
	err := c.config.Canary.check(ctx, c.config.Scanner, set.Kinds(), policy)
	s.Canary = err == nil
	if err != nil && s.Err == nil {
		s.Err = err
	}
	return s
}

// list checks one list.
func (c *Checker) list(set *lookup.Set, policy hashmatch.Policy, bound List) ListStatus {
	status := ListStatus{Name: bound.Name}
	at := slices.IndexFunc(set.Lists(), func(l *lookup.Served) bool { return l.Name() == bound.Name })
	if at < 0 {
		status.Err = errors.New("not in force")
		return status
	}
	served := set.Lists()[at]
	list := served.List()
	status.Revision, status.Entries, status.Synced = list.Revision().String(), list.Len(), list.Synced()
	status.Age = c.age(bound.Name, status.Synced)
	switch {
	case list.Len() == 0 || served.Index().Kinds() == 0:
		status.Err = errors.New("nothing to search in it")
	case !bound.Allows && !c.actionable(bound.Name, status.Revision, served):
		status.Err = errors.New("every entry of it is suspended: whatever it finds would be allowed")
	case bound.MaxAge > 0 && status.Synced.IsZero():
		status.Err = errors.New("its age is not known")
	case bound.MaxAge > 0 && status.Age > bound.MaxAge:
		status.Err = fmt.Errorf("its last sync was %s ago: want %s at most", status.Age.Round(time.Second), bound.MaxAge)
	default:
		status.Err = c.sample(served, policy)
	}
	return status
}

// age returns the time since the last sync of a list. One that says that it is from the future ages from when it was first
// seen: it would never be too old else.
func (c *Checker) age(name string, synced time.Time) time.Duration {
	const tolerance = time.Minute // between the clocks of two machines
	now := c.config.now().Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.known[name]
	switch {
	case !k.ahead.IsZero() && k.ahead.Equal(synced): // noticed before
	case synced.After(now.Add(tolerance)):
		k.ahead, k.seen = synced, now
		c.known[name] = k
		c.config.Logger.Warn("a list says that its last sync was in the future: it ages from now", "list", name, "synced", synced)
	default:
		return max(0, now.Sub(synced))
	}
	return max(0, now.Sub(k.seen))
}

// actionable says whether a match of some entry of the list can be acted on. It looks once at each revision, and mostly at
// one entry: suspended ones alone would leave the list searched, and everything in it allowed.
func (c *Checker) actionable(name, revision string, served *lookup.Served) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.known[name]
	if k.revision == revision {
		return k.actionable
	}
	k.revision, k.actionable = revision, false
	kinds := served.Index().Kinds()
	for _, entry := range served.List().Entries() {
		if entry.Status != hashmatch.Active && entry.Status != hashmatch.Disputed {
			continue
		}
		if slices.ContainsFunc(entry.Signatures, func(s hashmatch.Signature) bool { return kinds.Has(s.Hash.Kind) }) {
			k.actionable = true
			break
		}
	}
	c.known[name] = k
	return k.actionable
}

// sample looks for a few entries of the list in the index that is in force.
func (c *Checker) sample(served *lookup.Served, policy hashmatch.Policy) error {
	list := served.List()
	looked := 0
	for range 16 * c.config.Sample { // tombstones and opaque signatures have nothing to look for
		ordinal := uint32(rand.IntN(list.Len()))
		entry := list.Entry(ordinal)
		if entry.Status == hashmatch.Withdrawn {
			continue
		}
		for _, signature := range entry.Signatures {
			h := signature.Hash
			if !served.Index().Kinds().Has(h.Kind) {
				continue
			}
			threshold := max(0, policy.Reach(c.config.Canary.surface, served.Name(), h.Kind, 100))
			for _, distance := range []int{0, threshold} {
				if !c.config.find(served, flipped(h, distance), threshold, ordinal) {
					return fmt.Errorf("one of its entries is not found at a distance of %d", distance)
				}
			}
			looked++
		}
		if looked >= c.config.Sample {
			break
		}
	}
	return nil
}

func finds(served *lookup.Served, h hashmatch.Hash, threshold int, ordinal uint32) bool {
	for _, hit := range served.Index().Search(nil, h, threshold) {
		if slices.Contains(hit.Entries, ordinal) {
			return true
		}
	}
	return false
}

// flipped returns h with n of its bits changed, picked at random.
func flipped(h hashmatch.Hash, n int) hashmatch.Hash {
	for _, bit := range rand.Perm(h.Kind.Bits())[:n] {
		h.Bits[bit/8] ^= 1 << (bit % 8)
	}
	return h
}
