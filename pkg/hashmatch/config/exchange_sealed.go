package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
)

// sealed is how the snapshot of a list that an exchange fills is opened and written, where keys are configured. It is safe
// for concurrent use. The keys are read anew each time, so that a rotation needs no restart.
type sealed struct {
	c    *Config
	list List
	now  func() time.Time

	mu   sync.Mutex
	last map[bool]seal.Serial // of what was opened or written last: of the list, and of a fetch under way (true)
}

// sealing returns the hooks of a list that an exchange fills; nil if no key is configured for it.
func (c *Config) sealing(l List) (*sealed, error) {
	if len(l.Verify) == 0 && (c.Keys == nil || c.Keys.Sign == "" && len(c.Keys.Recipients) == 0 && len(c.Keys.Identities) == 0) {
		return nil, nil
	}
	if err := c.canSeal(l, time.Now()); err != nil {
		return nil, err
	}
	return &sealed{c: c, list: l, now: time.Now, last: make(map[bool]seal.Serial)}, nil
}

// canSeal says what would keep the snapshot that an exchange's list is written to from being read again.
func (c *Config) canSeal(l List, now time.Time) error {
	writing, err := c.Writing(l.Name, now)
	if err != nil {
		return err
	}
	reading, err := c.Reading(l, now)
	if err != nil {
		return err
	}
	if len(reading.Trust) > 0 {
		if writing.Key == nil {
			return errors.New("verify: an exchange fills the list, so keys.sign must be stated: else it would always be refused")
		}
		if !accepts(reading.Trust, writing.Key.Public(), now) {
			return fmt.Errorf("verify: keys.sign is key %s, which it does not accept: what the exchange fills would always be refused", writing.Key.Public().ID())
		}
	}
	if err := seal.CanDecrypt(writing.Recipients, reading.Identities); err != nil {
		return fmt.Errorf("keys.identities: each sync goes on from the snapshot, so what is encrypted to keys.recipients must be decrypted: %w", err)
	}
	return nil
}

// accepts says whether a snapshot that is signed now with that key is accepted.
func accepts(trust seal.Trust, key seal.PublicKey, now time.Time) bool {
	valid := false
	for _, a := range trust {
		if a.Key == key {
			if !a.Revoked.IsZero() {
				return false
			}
			valid = valid || !now.Before(a.From) && (a.Until.IsZero() || !now.After(a.Until))
		}
	}
	return valid
}

// name is what a snapshot is signed for. No list has a name with a slash, so half a list, of a fetch under way, can never be
// put in the place of the whole.
func (s *sealed) name(partial bool) string {
	if !partial {
		return s.list.Name
	}
	return "/partial of " + s.list.Name
}

// written remembers the serials of what a sync wrote, beside those of what was in force.
func (c *Config) written() (seal.Seen, bool) {
	seen, ok := c.Seen()
	return seal.Seen{Folder: filepath.Join(seen.Folder, "synced")}, ok
}

// Open opens what Write wrote. A snapshot that nobody signed, where it should be, is exchange.ErrUnvouched.
func (s *sealed) Open(path string, partial bool) (*hashlist.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	reading, err := s.c.Reading(s.list, now)
	if err != nil {
		return nil, err
	}
	writing, err := s.c.Writing(s.name(partial), now)
	if err != nil {
		return nil, err
	}
	if len(reading.Trust) == 0 && writing.Key != nil { // it vouches for what it goes on from: only for its own then
		reading.Trust = seal.Trust{{Key: writing.Key.Public()}}
	}
	reading.List, reading.Now = s.name(partial), now
	if partial {
		reading.Last = seal.Serial{}
	} else if written, ok := s.c.written(); ok && len(reading.Trust) > 0 {
		last, err := written.Last(s.list.Name)
		if err != nil {
			return nil, err
		}
		reading.Last = later(reading.Last, last)
	}
	snapshot, statement, err := seal.Open(path, reading)
	if errors.Is(err, seal.ErrUnsigned) {
		return nil, fmt.Errorf("%w: %w", exchange.ErrUnvouched, err)
	}
	if err != nil {
		return nil, err
	}
	s.last[partial] = seal.Serial{Serial: statement.Serial}
	return snapshot, nil
}

// Write writes a snapshot as the keys say, with a serial after all that were.
func (s *sealed) Write(path string, partial bool, list *hashlist.List, extras ...hashlist.Extra) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	writing, err := s.c.Writing(s.name(partial), s.now())
	if err != nil {
		return err
	}
	if writing.Key == nil {
		return seal.WriteFile(path, list, writing, extras...)
	}
	previous := s.last[partial]
	written, remembers := s.c.written()
	remembers = remembers && !partial
	if remembers {
		inForce, err := seal.Seen{Folder: s.c.Keys.Seen}.Last(s.list.Name)
		if err != nil {
			return err
		}
		last, err := written.Last(s.list.Name)
		if err != nil {
			return err
		}
		previous = later(later(previous, last), inForce)
	}
	writing.Previous = previous.Serial
	statement := seal.Statement{List: writing.List, Revision: list.Revision(), Serial: seal.NextSerial(writing.Previous, writing.Now), Signed: writing.Now, Key: writing.Key.Public().ID()}
	if err := seal.WriteFile(path, list, writing, extras...); err != nil {
		return err
	}
	s.last[partial] = seal.Serial{Serial: statement.Serial}
	if remembers {
		return written.Record(statement)
	}
	return nil
}

// later returns the serial that is the higher one.
func later(a, b seal.Serial) seal.Serial {
	if b.Serial > a.Serial {
		return b
	}
	return a
}

// Lower remembers an older snapshot of a list in the place of what was in force, and of what a sync wrote: see
// seal.Seen.Lower.
func (c *Config) Lower(statement seal.Statement) error {
	seen, ok := c.Seen()
	if !ok {
		return errors.New("keys.seen is not stated")
	}
	if err := seen.Lower(statement); err != nil {
		return err
	}
	filled := slices.ContainsFunc(c.Exchanges, func(e Exchange) bool { return e.List == statement.List })
	if written, ok := c.written(); ok && filled {
		return written.Lower(statement)
	}
	return nil
}
