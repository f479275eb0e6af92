package policy

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// BreakerAction is what becomes of an entry that floods, for near matches only.
type BreakerAction string

// The actions of a breaker.
const (
	BreakerAlarm   BreakerAction = "alarm"   // a person is told, nothing else changes
	BreakerHold    BreakerAction = "hold"    // near matches of the entry hold at most, as if it were disputed
	BreakerSuspend BreakerAction = "suspend" // near matches of the entry are recorded and never acted on alone
)

// BreakerConfig says what a flood is. One of MaxShare, MaxCount and EntryFactor at least must be stated.
type BreakerConfig struct {
	// Window is the time over which uploads are counted, to a twentieth of it; 0 means DefaultBreakerWindow.
	Window time.Duration

	MaxShare   float64 // of the uploads to a surface that are held or blocked, 0 to 1; 0 means any share is fine
	MinUploads int     // in the window, before their share means anything; 0 means DefaultMinUploads
	MaxCount   int     // of the uploads to a surface that are held or blocked; 0 means any number is fine

	// EntryFactor says how many times as often as ever before in a window one entry may match; 0 means any number of
	// times is fine, otherwise it is 1 or more. Ever before ends one window ago: a flood is not measured by itself.
	EntryFactor float64
	EntryMin    int           // matches of an entry in the window, below which it never floods; 0 means DefaultEntryMin
	Entry       BreakerAction // what becomes of it; "" means BreakerAlarm

	// File keeps what is tripped, and how often entries have matched, through a restart: mode 0600. "" means that
	// a restart forgets.
	File string
	// OnTrip is told of each trip once, in a goroutine of its own; the next trip waits until it returns. nil: nobody.
	OnTrip func(Trip)
	Logger *slog.Logger // told of trips, lifts and a File that cannot be written; nil means silence

	now func() time.Time
}

// The defaults of BreakerConfig.
const (
	DefaultBreakerWindow = 10 * time.Minute
	DefaultMinUploads    = 200
	DefaultEntryMin      = 20
)

// The bounds of what a Breaker remembers. An entry takes some 300 bytes and its name, which is cut at maxEntryName: 40 MB
// for all at the most. Beyond the bound the entry that has matched the longest ago is forgotten; one that floods has
// just matched.
const (
	MaxBreakerEntries  = 1 << 16
	MaxBreakerSurfaces = 1 << 12
	// MaxTrips bounds what is tripped at once. A flood beyond it changes nothing: its matches are acted on in full.
	MaxTrips = 1 << 10
	maxLifts = 100
	// The longest actor and reason of a lift, in bytes.
	maxActor, maxReason = 256, 4096
)

// Cause says what went over its bound.
type Cause string

// The causes of a trip.
const (
	CauseShare Cause = "share" // MaxShare, on a surface
	CauseCount Cause = "count" // MaxCount, on a surface
	CauseEntry Cause = "entry" // EntryFactor, of an entry
)

// Trip is one flood that no person has lifted.
type Trip struct {
	ID      string        `json:"id"`
	Cause   Cause         `json:"cause"`
	Surface string        `json:"surface"` // "" where an entry floods
	Tenant  string        `json:"tenant"`
	List    string        `json:"list"` // "" where a surface is flooded
	Entry   string        `json:"entry"`
	Exact   bool          `json:"exact"`  // it is the entry's exact matches that flood: never more than an alarm
	Effect  BreakerAction `json:"effect"` // what follows from it
	Since   time.Time     `json:"since"`
	Count   int64         `json:"count"`   // held and blocked uploads, or matches, in the window when it tripped
	Uploads int64         `json:"uploads"` // all uploads in the window; 0 where an entry floods
	Bound   int64         `json:"bound"`   // the largest Count that would not have tripped
}

// Lift is a person's word that a trip is over.
type Lift struct {
	Trip   Trip      `json:"trip"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// The errors of Breaker.Lift.
var (
	ErrTripNotFound = errors.New("no such trip of the breaker")
	ErrLift         = errors.New("lifting a trip needs an actor and a reason, neither of them endless")
)

// Breaker watches verdicts for floods: of held and blocked uploads on a surface, and of matches of one entry. It trips
// once for each and stays tripped until a person lifts it.
//
// What it changes are near matches of an entry that floods with them, if the operator has chosen so; never an exact
// match, never what follows from a failure, and never anything for a surface: those trips are alarms.
//
// It implements gate.Breaker. Hand it every verdict, and put Wrap around every policy that is served. It is safe for
// concurrent use.
type Breaker struct {
	config  BreakerConfig
	effects atomic.Pointer[effects]

	saving sync.Mutex // held while File is written; taken before mu
	mu     sync.Mutex
	clock  clock
	saved  time.Duration // on clock, when File was written last

	surfaces map[surfaceKey]*surfaceCount
	entries  map[entryKey]*entryCount
	recent   *list.List // of *entryCount that are not tripped, the last to match first
	trips    []*Trip    // oldest first
	lifts    []Lift     // the last ones
	evicted  int64
	refused  int64
	unsaved  error // why File could not be written the last time

	untold  []Trip // trips that OnTrip was not told of yet
	dirty   bool   // File is not what it should be
	working bool
	workers sync.WaitGroup
}

type surfaceKey struct{ tenant, name string }

type surfaceCount struct {
	uploads, stopped window
	trip             *Trip
}

type entryKey struct {
	list, entry string
	exact       bool
}

type entryCount struct {
	key     entryKey
	matches window
	peaks   peaks
	trip    *Trip
	element *list.Element // in recent; nil while it is tripped
}

// NewBreaker returns a Breaker that goes on where File says, or an error that names what is wrong with config or File:
// ErrBreakerFile for the latter.
func NewBreaker(config BreakerConfig) (*Breaker, error) {
	if err := config.complete(); err != nil {
		return nil, fmt.Errorf("breaker: %w", err)
	}
	b := &Breaker{
		config:   config,
		clock:    newClock(config.Window, config.now()),
		surfaces: make(map[surfaceKey]*surfaceCount),
		entries:  make(map[entryKey]*entryCount),
		recent:   list.New(),
	}
	if config.File != "" {
		if err := b.load(); err != nil {
			return nil, fmt.Errorf("breaker: %w", err)
		}
	}
	b.takeEffect()
	return b, nil
}

func (c *BreakerConfig) complete() error {
	switch {
	case c.Window != 0 && c.Window < time.Second:
		return fmt.Errorf("a window of %s: want a second at least", c.Window)
	case !(c.MaxShare >= 0 && c.MaxShare <= 1):
		return fmt.Errorf("a share of %g: want 0 to 1", c.MaxShare)
	case c.MinUploads < 0 || c.MaxCount < 0 || c.EntryMin < 0:
		return errors.New("a number below 0")
	case c.EntryFactor != 0 && !(c.EntryFactor >= 1 && c.EntryFactor <= 1e9):
		return fmt.Errorf("an entry factor of %g: want 0, or 1 or more", c.EntryFactor)
	case c.MaxShare == 0 && c.MaxCount == 0 && c.EntryFactor == 0:
		return errors.New("nothing to watch for: state a share, a count or an entry factor")
	}
	switch c.Entry {
	case "":
		c.Entry = BreakerAlarm
	case BreakerAlarm, BreakerHold, BreakerSuspend:
	default:
		return fmt.Errorf("%q: want alarm, hold or suspend", c.Entry)
	}
	if c.Window == 0 {
		c.Window = DefaultBreakerWindow
	}
	if c.MinUploads == 0 {
		c.MinUploads = DefaultMinUploads
	}
	if c.EntryMin == 0 {
		c.EntryMin = DefaultEntryMin
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	return nil
}

// Observe counts one verdict. It never waits for the disk or for OnTrip.
func (b *Breaker) Observe(surface hashmatch.Surface, v hashmatch.Verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock.tick(b.config.now())
	b.countSurface(surfaceKey{surface.Tenant(), surface.Name()}, v.Action != hashmatch.Allow)
	if b.config.EntryFactor > 0 {
		b.countMatches(v.Matches)
	}
	if len(b.untold) > 0 || b.dirty && b.clock.elapsed-b.saved >= saveEvery {
		b.work()
	}
}

// countSurface counts an upload to a surface, and whether it was stopped: held or blocked.
func (b *Breaker) countSurface(key surfaceKey, stopped bool) {
	s := b.surfaces[key]
	if s == nil {
		b.makeRoomForSurface()
		s = new(surfaceCount)
		b.surfaces[key] = s
	}
	bucket := b.clock.bucket()
	s.uploads.add(bucket, 1)
	if stopped {
		s.stopped.add(bucket, 1)
	} else {
		s.stopped.add(bucket, 0)
	}
	if s.trip != nil {
		return
	}
	trip := Trip{Surface: key.name, Tenant: key.tenant, Effect: BreakerAlarm, Count: s.stopped.sum, Uploads: s.uploads.sum}
	switch share := int64(b.config.MaxShare * float64(s.uploads.sum)); {
	case b.config.MaxCount > 0 && trip.Count > int64(b.config.MaxCount):
		trip.Cause, trip.Bound = CauseCount, int64(b.config.MaxCount)
	case b.config.MaxShare > 0 && trip.Uploads >= int64(b.config.MinUploads) && trip.Count > share:
		trip.Cause, trip.Bound = CauseShare, share
	default:
		return
	}
	s.trip = b.trip(trip)
}

// makeRoomForSurface forgets surfaces that had no upload for a window if there are too many, and any that is not
// tripped if that is not enough. Surfaces are declared: only reloads of the configuration can lead here.
func (b *Breaker) makeRoomForSurface() {
	if len(b.surfaces) < MaxBreakerSurfaces {
		return
	}
	bucket := b.clock.bucket()
	for key, s := range b.surfaces {
		if s.trip == nil && s.uploads.newest+buckets <= bucket {
			delete(b.surfaces, key)
		}
	}
	for key, s := range b.surfaces {
		if len(b.surfaces) < MaxBreakerSurfaces {
			return
		}
		if s.trip == nil {
			delete(b.surfaces, key)
		}
	}
}

// countMatches counts the entries that one upload matched, each once for near and once for exact matches.
func (b *Breaker) countMatches(matches []hashmatch.Match) {
	var seen map[entryKey]bool
	if len(matches) > 1 {
		seen = make(map[entryKey]bool, len(matches))
	}
	for i := range matches {
		m := &matches[i]
		key := entryKey{m.List, entryOf(m), m.Exact()}
		if m.Action == hashmatch.Allow && !b.effective(m) {
			continue // of a suspended entry, or overruled by an allow-list
		}
		if seen[key] {
			continue
		}
		if seen != nil {
			seen[key] = true
		}
		b.countEntry(key)
	}
}

// maxEntryName is the length of the longest name of an entry that is kept as it is, in bytes.
const maxEntryName = 256

// entryOf returns the name of the match's entry; of one that is too long its beginning and a digest, so that a list of
// long names cannot fill the memory.
func entryOf(m *hashmatch.Match) string {
	name := m.Entry
	if name == "" {
		name = m.Key.String()
	}
	if len(name) <= maxEntryName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:maxEntryName-35], "") + "..." + hex.EncodeToString(sum[:16])
}

// countEntry counts a match of an entry.
func (b *Breaker) countEntry(key entryKey) {
	e := b.entries[key]
	if e == nil {
		if b.recent.Len() >= MaxBreakerEntries {
			oldest := b.recent.Back()
			delete(b.entries, b.recent.Remove(oldest).(*entryCount).key)
			b.evicted++
		}
		// The strings can be parts of a whole list, which they must not keep in memory.
		key.list, key.entry = strings.Clone(key.list), strings.Clone(key.entry)
		e = &entryCount{key: key}
		e.element = b.recent.PushFront(e)
		b.entries[key] = e
	}
	if e.element != nil {
		b.recent.MoveToFront(e.element)
	}
	e.peaks.roll(b.clock.epoch())
	e.matches.add(b.clock.bucket(), 1)
	before := e.peaks.past
	if e.peaks.see(e.matches.sum) {
		b.dirty = true
	}
	bound := max(int64(b.config.EntryMin)-1, bounded(b.config.EntryFactor*float64(before)))
	if e.trip != nil || e.matches.sum <= bound {
		return
	}
	effect := b.config.Entry
	if key.exact {
		effect = BreakerAlarm
	}
	e.trip = b.trip(Trip{
		Cause: CauseEntry, List: key.list, Entry: key.entry, Exact: key.exact, Effect: effect, Count: e.matches.sum, Bound: bound,
	})
	if e.trip != nil {
		b.recent.Remove(e.element)
		e.element = nil
		b.takeEffect()
	}
}

// bounded returns f as a whole number that is no larger than any count.
func bounded(f float64) int64 { return int64(min(f, 1<<62)) }

// trip records a trip and returns it; nil if there are too many.
func (b *Breaker) trip(t Trip) *Trip {
	if len(b.trips) >= MaxTrips {
		b.refused++
		return nil
	}
	t.ID, t.Since = rand.Text()[:tripIDLength], b.config.now().UTC().Round(0)
	b.trips = append(b.trips, &t)
	b.untold = append(b.untold, t)
	b.dirty = true
	return &t
}

// tripIDLength letters of five bits each tell a thousand trips apart.
const tripIDLength = 12

// Trips returns what is tripped, oldest first.
func (b *Breaker) Trips() []Trip {
	b.mu.Lock()
	defer b.mu.Unlock()
	trips := make([]Trip, 0, len(b.trips))
	for _, t := range b.trips {
		trips = append(trips, *t)
	}
	return trips
}

// Lifts returns the last hundred lifts, oldest first.
func (b *Breaker) Lifts() []Lift {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lifts)
}

// Lift ends a trip on a person's word. When it returns nil that is in File; after an error the trip stands. The
// surface is counted from zero again. What the entry has matched until now is taken for its usual: it trips again when
// it exceeds that by the factor.
func (b *Breaker) Lift(id, actor, reason string) error {
	if strings.TrimSpace(actor) == "" || strings.TrimSpace(reason) == "" || len(actor) > maxActor || len(reason) > maxReason {
		return fmt.Errorf("breaker: %w", ErrLift)
	}
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	i := slices.IndexFunc(b.trips, func(t *Trip) bool { return t.ID == id })
	if i < 0 {
		b.mu.Unlock()
		return fmt.Errorf("breaker: %w", ErrTripNotFound)
	}
	trip := b.trips[i]
	lift := Lift{*trip, actor, reason, b.config.now().UTC().Round(0)}
	state := b.state()
	state.Trips = slices.DeleteFunc(state.Trips, func(t Trip) bool { return t.ID == id })
	state.Lifts = lastLifts(append(state.Lifts, lift))
	b.mu.Unlock()

	err := b.write(state) // before it counts
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsaved = err
	if err != nil {
		return fmt.Errorf("breaker: the lift could not be recorded: %w", err)
	}
	b.lifts = state.Lifts
	b.end(trip)
	b.config.Logger.Warn("breaker: lifted", "trip", id, "actor", actor)
	return nil
}

func lastLifts(lifts []Lift) []Lift { return lifts[max(0, len(lifts)-maxLifts):] }

// end takes a trip out of force.
func (b *Breaker) end(trip *Trip) {
	b.trips = slices.DeleteFunc(b.trips, func(t *Trip) bool { return t == trip })
	b.dirty = true
	if trip.Cause != CauseEntry {
		if s := b.surfaces[surfaceKey{trip.Tenant, trip.Surface}]; s != nil && s.trip == trip {
			*s = surfaceCount{}
		}
		return
	}
	if e := b.entries[entryKey{trip.List, trip.Entry, trip.Exact}]; e != nil && e.trip == trip {
		e.trip = nil
		e.peaks.accept()
		e.element = b.recent.PushFront(e)
	}
	b.takeEffect()
}

// BreakerStats are the numbers of the moment.
type BreakerStats struct {
	Trips    int   // that no person has lifted
	Effects  int   // of these, those that change what becomes of near matches
	Entries  int   // that are counted
	Surfaces int   // that are counted
	Evicted  int64 // entries forgotten so far because there were MaxBreakerEntries others
	Refused  int64 // times that something would have tripped if MaxTrips others had not
	Unsaved  bool  // File could not be written the last time
}

// Stats returns the numbers of the moment.
func (b *Breaker) Stats() BreakerStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BreakerStats{
		Trips: len(b.trips), Effects: len(b.effects.Load().by), Entries: len(b.entries), Surfaces: len(b.surfaces),
		Evicted: b.evicted, Refused: b.refused, Unsaved: b.unsaved != nil,
	}
}
