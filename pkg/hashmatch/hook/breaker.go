package hook

import (
	"context"
	"errors"
	"time"
)

// Breaker is what watches for floods, as the HTTP API shows it. It is safe for concurrent use.
type Breaker interface {
	// Trips returns what is tripped now, oldest first.
	Trips(ctx context.Context) ([]Trip, error)
	// Lift ends a trip. When it returns nil that is recorded. A trip that is not there is an error that wraps
	// ErrTripNotFound.
	Lift(ctx context.Context, l Lift) error
}

// ErrTripNotFound is wrapped by the refusal to lift a trip that is not there, or is lifted already.
var ErrTripNotFound = errors.New("no such trip of the breaker")

// Trip is one flood that was noticed and that no person has lifted.
type Trip struct {
	ID      string    `json:"id"`      // stable until it is lifted; may hold any printable character
	Cause   string    `json:"cause"`   // "share", "count" or "entry": what went over its bound
	Surface string    `json:"surface"` // "" if it is one of all surfaces
	Tenant  string    `json:"tenant"`
	List    string    `json:"list"`   // of the entry that floods; "" for the other causes
	Entry   string    `json:"entry"`  // the entry that floods; "" for the other causes
	Exact   bool      `json:"exact"`  // it is the entry's exact matches that flood, not the near ones
	Effect  string    `json:"effect"` // "alarm", "hold" or "suspend": what follows from it
	Since   time.Time `json:"since"`
	Count   int64     `json:"count"` // what was counted in the window when it tripped
	Bound   int64     `json:"bound"` // the bound that Count went over
}

// Lift is a person's decision that a trip is over, and why.
type Lift struct {
	Trip   string // the trip's ID
	Actor  string // never empty
	Reason string // never empty
}
