package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
)

// windowed is a dialect that is asked for a window of time.
type windowed interface {
	status() *url.URL // an address that costs little
	first(from, to time.Time) *url.URL
	next(reference string) (*url.URL, error)
}

const (
	settled = 2 * time.Second // after which nothing more gets the time of a second that is over
	overlap = time.Hour       // that each sync reads again
	// maxPasses bounds the readings of a second that has more entries than one answer.
	maxPasses = 20
	// maxBurst bounds the entries of one second: 32 bytes each are remembered while it is read.
	maxBurst = 20_000_000
)

// beginning is before every entry of every exchange.
var beginning = time.Unix(0, 0).UTC()

func (s *Syncer) windowed() (windowed, dialect) {
	if s.config.Dialect == NCMEC {
		return ncmec{s.client}, dialect{format.NCMEC, ncmecEnvelope}
	}
	return threatExchange{s.client, s.config.Group, s.config.PageSize}, dialect{format.ThreatExchange, threatExchangeEnvelope}
}

// readWindows takes everything up to now, one window after the other, and moves w.through along.
func (s *Syncer) readWindows(ctx context.Context, w *work) error {
	d, form := s.windowed()
	start := beginning
	if !w.through.IsZero() {
		start = later(beginning, w.through.Add(-overlap))
	}
	gap := func(to time.Time, err error) error {
		var failed *pageError
		if ctx.Err() != nil || !errors.As(err, &failed) {
			return err
		}
		return &GapError{From: later(w.through, start), To: to, Attempts: failed.attempts, Err: failed.err}
	}
	end, err := s.clock(ctx, d)
	if err != nil {
		return gap(time.Time{}, err)
	}
	for span := end.Sub(start); start.Before(end); {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := start.Add(span)
		if to.After(end) {
			to = end
		}
		// A second early, so that it does not matter which of its ends the exchange counts in.
		from := later(beginning, start.Add(-time.Second))
		p, err := s.fetch(ctx, d.first(from, to), form, false)
		if err != nil {
			return gap(to, err)
		}
		if p.next != "" {
			full := 2*p.count >= s.full
			s.full = max(s.full, p.count)
			if full && to.Sub(start) > time.Second {
				if elsewhere(p.entries, from, to) {
					return gap(to, &pageError{1, fmt.Errorf("%w: none of its entries is of the time that was asked for", ErrMalformed)})
				}
				span = shorter(p.entries, start, to)
				continue
			}
			if err := s.readBurst(ctx, w, d, form, from, to, p); err != nil {
				return gap(to, err)
			}
		} else if err := s.take(w, p.entries); err != nil {
			return err
		}
		start = to
		if err := s.advance(ctx, w, to); err != nil {
			return err
		}
		span = longer(span, p.count, s.full)
	}
	return s.flush(w)
}

// shorter returns a shorter window from start on than that up to to, of which p is the first answer: one that ends before
// the last of its entries where they come in the order of time, else before most of them. It is at most three quarters
// as long, so that a second is reached in 80 steps whatever comes.
func shorter(entries []hashmatch.Entry, start, to time.Time) time.Duration {
	var times []time.Time
	for i := range entries {
		if at := entries[i].Updated; at.After(start) && !at.After(to) {
			times = append(times, at)
		}
	}
	span := (to.Sub(start) / 4 * 3).Truncate(time.Second)
	if n := len(times); n > 0 {
		cut := times[n-1]
		if !slices.IsSortedFunc(times, time.Time.Compare) {
			slices.SortFunc(times, time.Time.Compare)
			cut = times[n/4]
		}
		span = min(span, cut.Add(-time.Millisecond).Truncate(time.Second).Sub(start))
	}
	return max(time.Second, span)
}

// elsewhere reports whether no entry is of a window: an exchange that does not look at what it is asked for would be
// asked for ever smaller ones.
func elsewhere(entries []hashmatch.Entry, from, to time.Time) bool {
	return len(entries) > 0 && !slices.ContainsFunc(entries, func(e hashmatch.Entry) bool {
		return !e.Updated.Before(from.Add(-time.Second)) && !e.Updated.After(to.Add(time.Second))
	})
}

// longer returns the window that would have filled half an answer, at most 16 times the last one.
func longer(span time.Duration, count, full int) time.Duration {
	if full == 0 {
		full = 1000
	}
	factor := 0.5 * float64(full) / max(float64(count), 0.5)
	const longest = 200 * 365 * 24 * time.Hour
	return max(time.Second, time.Duration(min(float64(longest), min(16, factor)*float64(span))).Truncate(time.Second))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// clock returns the last second that is over by the exchange's clock. Should that one be so far ahead of the clock here
// that reading the overlap again would not make up for it, or not be told, it is the clock here: the newest entries may
// then have to wait, but none is passed by.
func (s *Syncer) clock(ctx context.Context, d windowed) (time.Time, error) {
	attempts, err := s.client.get(ctx, d.status(), nil, s.config.MaxPageBytes, readNothing(s.heard))
	s.requests++
	s.retries += attempts - 1
	if err != nil {
		return time.Time{}, &pageError{attempts, err}
	}
	now := s.now()
	if skew := s.skew; !s.date.IsZero() && skew < overlap/2 {
		now = s.date
	}
	if skew := s.skew.Abs(); skew > time.Minute {
		s.log.Warn("the clock here and that of the exchange differ", "by", skew)
	}
	return now.Add(-settled).UTC().Truncate(time.Second), nil
}

// readBurst reads a second that has more entries than one answer, until two readings agree. p is its first answer.
func (s *Syncer) readBurst(ctx context.Context, w *work, d windowed, form dialect, from, to time.Time, p page) error {
	var before reading
	expired := 0
	for pass := 0; pass < maxPasses; pass++ {
		if pass > 0 || expired > 0 {
			var err error
			if p, err = s.fetch(ctx, d.first(from, to), form, false); err != nil {
				return err
			}
		}
		this := newReading()
		for {
			if err := s.take(w, p.entries); err != nil {
				return err
			}
			if err := this.add(p.entries); err != nil {
				return err
			}
			if p.next == "" {
				break
			}
			u, err := d.next(p.next)
			if err == nil {
				p, err = s.fetch(ctx, u, form, true)
			}
			if errors.Is(err, errExpired) {
				if expired++; expired > maxPasses {
					return &pageError{expired, err}
				}
				this = reading{}
				break
			}
			if err != nil {
				return err
			}
		}
		if this.newest == nil { // it was cut short: it agrees with nothing
			before = reading{}
			continue
		}
		if before.newest != nil && before.equal(this) {
			return nil
		}
		before = this
	}
	return &pageError{maxPasses, fmt.Errorf("no two readings of the same second agree")}
}

// reading is what one reading of a window found: the newest time of each entry.
type reading struct{ newest map[keyDigest]int64 }

type keyDigest [16]byte

func newReading() reading { return reading{make(map[keyDigest]int64)} }

func (r reading) add(entries []hashmatch.Entry) error {
	for i := range entries {
		key := digestKey(&entries[i].Key)
		if at, known := r.newest[key]; !known || entries[i].Updated.UnixMicro() > at {
			r.newest[key] = entries[i].Updated.UnixMicro()
		}
	}
	if len(r.newest) > maxBurst {
		return fmt.Errorf("more than %d entries in one window", maxBurst)
	}
	return nil
}

func (r reading) equal(other reading) bool {
	if len(r.newest) != len(other.newest) {
		return false
	}
	for key, at := range r.newest {
		if found, ok := other.newest[key]; !ok || found != at {
			return false
		}
	}
	return true
}
