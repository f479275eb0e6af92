// Package promotion decides whether a revision of a list may take the place of the one in force, and remembers what was
// decided.
//
//	Examine   compares a revision with the one in force, by bounds: a reason for each that it trips
//	Prove     searches a list that was made ready for what it must find, and against brute force
//	Withdraw  takes from the list in force what a revision that has to wait withdraws: that never waits
//	Store     is the folder beside a list: what was accepted, what is set aside, what people decided, and the last
//	          accepted revisions themselves, for a roll-back
//
// It puts nothing in force itself: who serves lists asks it (package config).
package promotion

import (
	"errors"
	"fmt"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Guard names why a revision is set aside.
type Guard string

// The guards.
const (
	GuardShrink     Guard = "shrink"     // too many entries are no longer in force
	GuardGrowth     Guard = "growth"     // too many entries are new
	GuardSource     Guard = "source"     // too many entries of one source are new
	GuardHarmless   Guard = "harmless"   // new entries match harmless pictures
	GuardProof      Guard = "proof"      // its index does not find what it must
	GuardUnreadable Guard = "unreadable" // its file cannot be read, or may not be used
	GuardRefused    Guard = "refused"    // a person refused it
	GuardRollback   Guard = "rollback"   // a person rolled the list back, and nobody has accepted a revision since
)

// Reason is why a revision is set aside. Its text holds no hash, no key of an entry and no name of a file.
type Reason struct {
	Guard Guard  `json:"guard"`
	Text  string `json:"text"`
}

// String returns GUARD: TEXT.
func (r Reason) String() string { return string(r.Guard) + ": " + r.Text }

// acts reports whether a match of the entry can be acted on.
func acts(e *hashmatch.Entry) bool {
	return e != nil && (e.Status == hashmatch.Active || e.Status == hashmatch.Disputed)
}

// recovered is deferred to make an error of a panic: that of a mapped list whose file was changed in place, or one of an
// index that is not what it should be.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = panicked(r)
	}
}

func panicked(r any) error {
	failure, ok := r.(error)
	switch {
	case !ok:
		return fmt.Errorf("%w: reading it panics: %v", ErrProof, r)
	case errors.Is(failure, hashlist.ErrChanged):
		return hashlist.ErrChanged
	}
	return fmt.Errorf("%w: reading it panics: %w", ErrProof, failure)
}
