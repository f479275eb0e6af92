package hook

import (
	"context"
	"errors"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Review is the queue of items that a person decides on, as the HTTP API shows it. It is safe for concurrent use.
type Review interface {
	// List returns the items that the filter chooses in the order in which they came, and the cursor to go on from: ""
	// after the last. A filter that it cannot serve is an error that wraps ErrReviewRefused.
	List(ctx context.Context, f ReviewFilter) (items []ReviewItem, next string, err error)
	// Show returns one item with its history, or an error that wraps ErrReviewNotFound or ErrReviewAmbiguous.
	Show(ctx context.Context, ref ReviewRef) (ReviewItem, error)
	// Decide records a decision. When it returns nil the decision is audited and on disk. The same decision again is no
	// error. Its errors wrap those below where they are the caller's to mend; after any of them nothing has changed.
	Decide(ctx context.Context, d ReviewDecision) error
}

// The errors of a Review that its caller can do something about.
var (
	ErrReviewNotFound  = errors.New("no such item in the review queue")
	ErrReviewAmbiguous = errors.New("several surfaces have an item of this ID: name the surface, and the tenant")
	ErrReviewDecided   = errors.New("the opposite was decided already: a correction says so")
	ErrReviewChanged   = errors.New("the item has changed since it was shown: look at it again")
	ErrReviewRefused   = errors.New("the request to the review queue was refused") // a filter, an actor, a reason
)

// ReviewState says how an item stands.
type ReviewState string

// The states of an item.
const (
	ReviewPending   ReviewState = "pending"   // nobody has decided
	ReviewReleased  ReviewState = "released"  // a person said that it may be published
	ReviewConfirmed ReviewState = "confirmed" // a person said that it may not
)

// ReviewFilter chooses items. Zero fields choose all.
type ReviewFilter struct {
	State   ReviewState
	Surface string
	Tenant  string
	Limit   int    // items at most; 0 means what the queue thinks right
	Cursor  string // where to go on: what List returned; "" from the start
}

// ReviewRef names an item. Surface and Tenant may be left out where the item ID alone is unique.
type ReviewRef struct{ Item, Surface, Tenant string }

// ReviewDecision is what a person decided about an item, and why.
type ReviewDecision struct {
	ReviewRef
	Release bool   // true: it may be published; false: it may not
	Actor   string // never empty
	Reason  string // never empty
	// Correct allows to replace the opposite decision.
	Correct bool
	// Version is that of the item that the person was shown: if it has changed since, the decision is refused with
	// ErrReviewChanged. 0 means whatever it is by now.
	Version int64
}

// ReviewItem is one upload in the queue: everything that explains why it is there, and nothing of its content.
type ReviewItem struct {
	Item        string           `json:"item"`
	Surface     string           `json:"surface"`
	Tenant      string           `json:"tenant"`
	Region      string           `json:"region"`
	Version     int64            `json:"version"` // grows with every change
	Dialect     string           `json:"dialect"`
	Caller      string           `json:"caller"`
	Time        time.Time        `json:"time"` // when it came
	Action      hashmatch.Action `json:"action"`
	Would       hashmatch.Action `json:"would"`
	Shadow      bool             `json:"shadow"`
	Quarantined bool             `json:"quarantined"`

	Matches        []ReviewMatch       `json:"matches"`
	MatchesOmitted int                 `json:"matches_omitted"`
	Failures       []hashmatch.Failure `json:"failures"`
	Notes          []hashmatch.Note    `json:"notes"`
	Revisions      map[string]string   `json:"revisions"`
	Policy         string              `json:"policy"`
	EffectsFailed  []string            `json:"effects_failed"`

	State   ReviewState `json:"state"`
	Actor   string      `json:"actor"`   // who decided; "" while it is pending
	Reason  string      `json:"reason"`  // why
	Decided *time.Time  `json:"decided"` // when; nil while it is pending

	History []ReviewEvent `json:"history"` // oldest first; Show only
}

// ReviewMatch is one entry of a list that the upload matched. Kind and Status are text, so that one that this version
// does not know is shown rather than refused.
type ReviewMatch struct {
	List      string           `json:"list"`
	Entry     string           `json:"entry"`
	Kind      string           `json:"kind"`
	Distance  int              `json:"distance"`
	Threshold int              `json:"threshold"`
	View      hashmatch.View   `json:"view"`
	Frame     int              `json:"frame"`
	Labels    []string         `json:"labels"`
	Status    string           `json:"status"`
	Action    hashmatch.Action `json:"action"` // what the policy says of this match alone
	Exact     bool             `json:"exact"`
	Shadow    bool             `json:"shadow"` // of a list in shadow mode
}

// ReviewEvent is one thing that happened to an item after it came.
type ReviewEvent struct {
	Event   string    `json:"event"`
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor"`
	Reason  string    `json:"reason"`
	Correct bool      `json:"correct"` // it took the place of the opposite decision
}
