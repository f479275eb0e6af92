package exchange

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
)

func digestKey(key *hashmatch.EntryKey) keyDigest {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", key.Source, key.Member, key.ID))
	return keyDigest(sum[:16])
}

// readNothing reads an answer that is only asked for its clock.
func readNothing(heard func(answer)) func(answer, io.Reader) error {
	return func(a answer, body io.Reader) error {
		heard(a)
		return nil
	}
}

// maxWalks bounds the readings of a set that is not in the order of time.
const maxWalks = 8

// readSet takes everything that changed since w.through from an exchange that knows no end of a window, and moves
// w.through along. Where the set is in the order of time it does not go from page to page by the exchange's tokens,
// but asks anew from the last entry's second on: what changes meanwhile goes to the end and shifts nothing before it.
func (s *Syncer) readSet(ctx context.Context, w *work) error {
	d := stopNCII{s.client, s.config.PageSize}
	start := beginning
	if !w.through.IsZero() {
		start = later(beginning, w.through.Add(-overlap))
	}
	fail := func(err error) error {
		var failed *pageError
		if ctx.Err() != nil || !errors.As(err, &failed) {
			return err
		}
		return &GapError{From: later(w.through, start), Attempts: failed.attempts, Err: failed.err}
	}
	for checked := false; ; {
		p, err := s.fetch(ctx, d.address(start, ""), setDialect, false)
		if err != nil {
			return fail(err)
		}
		if err := s.take(w, p.entries); err != nil {
			return err
		}
		if p.next == "" {
			return s.endSet(ctx, w, p)
		}
		ordered := len(p.entries) > 0 && inOrder(start, p.entries)
		if ordered && !checked {
			second, err := s.fetch(ctx, d.address(start, p.next), setDialect, true)
			if err != nil && !errors.Is(err, errExpired) {
				return fail(err)
			}
			last := p.entries[len(p.entries)-1].Updated
			ordered, checked = err == nil && inOrder(last, second.entries), true
		}
		if !ordered {
			last, err := s.walkSet(ctx, w, d, start)
			if err != nil {
				return fail(err)
			}
			return s.endSet(ctx, w, last)
		}
		next := p.entries[len(p.entries)-1].Updated.Truncate(time.Second)
		if !next.After(start) { // more of one second than an answer holds
			if err := s.readSecond(ctx, w, d, start); err != nil {
				return fail(err)
			}
			next = start.Add(time.Second)
		}
		start = next
		if err := s.advance(ctx, w, start.Add(-time.Second)); err != nil {
			return err
		}
	}
}

var setDialect = dialect{format.StopNCII, stopNCIIEnvelope}

// inOrder reports whether no entry is older than the one before it, nor than start.
func inOrder(start time.Time, entries []hashmatch.Entry) bool {
	for i := range entries {
		if entries[i].Updated.Before(start) {
			return false
		}
		start = entries[i].Updated
	}
	return true
}

// endSet notes that everything was taken up to where the last page says that the next sync goes on, or up to now.
func (s *Syncer) endSet(ctx context.Context, w *work, last page) error {
	if err := s.flush(w); err != nil {
		return err
	}
	return s.advance(ctx, w, s.setThrough(last, w))
}

// readSecond reads a second that has more entries than one answer, at the front of a set in the order of time, until two
// readings agree.
func (s *Syncer) readSecond(ctx context.Context, w *work, d stopNCII, second time.Time) error {
	var before reading
	over := second.Add(time.Second)
	for range maxPasses {
		this := newReading()
		token := ""
		for {
			p, err := s.fetch(ctx, d.address(second, token), setDialect, token != "")
			if errors.Is(err, errExpired) {
				this = reading{}
				break
			}
			if err != nil {
				return err
			}
			if err := s.take(w, p.entries); err != nil {
				return err
			}
			within := p.entries
			for len(within) > 0 && !within[len(within)-1].Updated.Before(over) {
				within = within[:len(within)-1]
			}
			if err := this.add(within); err != nil {
				return err
			}
			if token = p.next; token == "" || len(within) < len(p.entries) {
				break
			}
		}
		if this.newest != nil && before.newest != nil && before.equal(this) {
			return nil
		}
		before = this
	}
	return &pageError{maxPasses, errors.New("no two readings of the same second agree")}
}

// walkSet reads a set from page to page, and returns the last one. A reading is complete if none of its entries moved:
// one that moves behind the others, and so lets them slip over the edge of a page, comes a second time. If entries move
// all the time, readings end when two in a row have brought nothing new.
func (s *Syncer) walkSet(ctx context.Context, w *work, d stopNCII, start time.Time) (page, error) {
	known := newReading()
	expired, quiet := 0, 0
	for range maxWalks {
		p, moved, news, err := s.readSetOnce(ctx, w, d, start, known)
		if errors.Is(err, errExpired) {
			expired++
			continue
		}
		if err != nil {
			return page{}, err
		}
		if quiet++; news > 0 {
			quiet = 0
		}
		if moved == 0 || quiet >= 2 {
			return p, nil
		}
	}
	if expired == maxWalks {
		return page{}, &pageError{expired, errExpired}
	}
	return page{}, &pageError{maxWalks, errors.New("entries move faster than they can be read")}
}

// readSetOnce reads the set once: its last page, how many entries it had at two times, and how many records were news.
func (s *Syncer) readSetOnce(ctx context.Context, w *work, d stopNCII, start time.Time, known reading) (p page, moved, news int, err error) {
	this := newReading()
	token := ""
	for {
		p, err = s.fetch(ctx, d.address(start, token), setDialect, token != "")
		if err != nil {
			return p, 0, 0, err
		}
		for i := range p.entries {
			key, at := digestKey(&p.entries[i].Key), p.entries[i].Updated.UnixMicro()
			if before, seen := this.newest[key]; seen && before != at {
				moved++
			}
			this.newest[key] = max(at, this.newest[key])
			if before, seen := known.newest[key]; !seen || at > before {
				news++
				known.newest[key] = at
			}
		}
		if len(known.newest) > maxBurst {
			return p, 0, 0, fmt.Errorf("more than %d entries in one set", maxBurst)
		}
		if err := s.take(w, p.entries); err != nil {
			return p, 0, 0, err
		}
		if p.next == "" {
			return p, moved, news, nil
		}
		if p.next == token && p.count == 0 {
			return p, 0, 0, &pageError{1, fmt.Errorf("%w: the pages go round in a circle", ErrMalformed)}
		}
		token = p.next
	}
}

// setThrough returns where the next sync goes on: what the exchange says, and never the future. If it says nothing the
// checkpoint stays: all since then comes again, which changes nothing.
func (s *Syncer) setThrough(last page, w *work) time.Time {
	now := s.now()
	if !s.date.IsZero() && s.skew < overlap/2 {
		now = s.date
	}
	through := time.Unix(last.through, 0)
	if limit := now.Add(-settled); through.After(limit) {
		through = limit
	}
	return later(later(through, w.through), beginning.Add(time.Second)).UTC().Truncate(time.Second)
}
