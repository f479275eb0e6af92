package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

// effects is what follows from the trips of one moment. It is immutable.
type effects struct {
	by     map[entryName]hashmatch.Status // the status that the entry's near matches are decided on with
	suffix string                         // of the policy's revision; "" without effects
}

type entryName struct{ list, entry string }

// takeEffect brings effects up to date with the trips.
func (b *Breaker) takeEffect() {
	now := &effects{by: make(map[entryName]hashmatch.Status)}
	var lines []string
	for _, t := range b.trips {
		if t.Cause != CauseEntry || t.Exact {
			continue
		}
		switch t.Effect {
		case BreakerHold:
			now.by[entryName{t.List, t.Entry}] = hashmatch.Disputed
		case BreakerSuspend:
			now.by[entryName{t.List, t.Entry}] = hashmatch.Suspended
		default:
			continue
		}
		lines = append(lines, fmt.Sprintf("%q %q %s\n", t.List, t.Entry, t.Effect))
	}
	if len(lines) > 0 {
		slices.Sort(lines)
		sum := sha256.Sum256([]byte(strings.Join(lines, "")))
		now.suffix = "+breaker-" + hex.EncodeToString(sum[:4])
	}
	b.effects.Store(now)
}

// effective reports whether a trip changes what becomes of the match.
func (b *Breaker) effective(m *hashmatch.Match) bool {
	_, ok := b.effects.Load().of(m)
	return ok
}

// of returns the status that a match is decided on with, and false where that is its own. A match of an unknown kind
// is left alone: what is not understood is not made harmless.
func (e *effects) of(m *hashmatch.Match) (hashmatch.Status, bool) {
	if len(e.by) == 0 || m.Exact() || !m.Kind.Valid() {
		return 0, false
	}
	status, ok := e.by[entryName{m.List, entryOf(m)}]
	return status, ok
}

// Wrap returns a policy that decides as p does, but on near matches of entries that have tripped with an effect as if
// the entry were disputed (hold) or suspended (suspend). Those matches are reported with that status, and while there
// are any such entries the revision names them: p's own, "+breaker-" and eight hexadecimal digits of a digest over them.
//
// It always follows the trips of the moment. A verdict that is decided in the very moment of a trip or a lift can
// name the revision of the moment after; the statuses of its matches are those it was decided on.
func (b *Breaker) Wrap(p hashmatch.Policy) hashmatch.Policy { return &broken{p, b} }

// broken is a policy under a breaker.
type broken struct {
	hashmatch.Policy
	breaker *Breaker
}

// Revision returns the policy's revision and, while there are effects, which.
func (p *broken) Revision() string { return p.Policy.Revision() + p.breaker.effects.Load().suffix }

// Decide returns the decision on findings in which the statuses are what the trips make of them. An entry that is
// withdrawn or suspended already stays so.
func (p *broken) Decide(f hashmatch.Findings) hashmatch.Decision {
	now := p.breaker.effects.Load()
	copied := false
	for i := range f.Matches {
		status, ok := now.of(&f.Matches[i])
		own := f.Matches[i].Status
		if !ok || own != hashmatch.Active && !(own == hashmatch.Disputed && status == hashmatch.Suspended) {
			continue
		}
		if !copied { // the candidates are the caller's
			f.Matches, copied = slices.Clone(f.Matches), true
		}
		f.Matches[i].Status = status
	}
	return p.Policy.Decide(f)
}
