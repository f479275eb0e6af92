package review

import (
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// State says how an item stands.
type State string

// The states of an item.
const (
	Pending   State = "pending"   // nobody has decided
	Released  State = "released"  // a person said that it may be published
	Confirmed State = "confirmed" // a person said that it may not
)

// States returns every state, in a fixed order.
func States() []State { return []State{Pending, Released, Confirmed} }

// Item is one upload in the queue: everything that explains why it is there, and nothing of its content.
type Item struct {
	Item    string `json:"item"` // the upload's item ID; unique on one surface
	Surface string `json:"surface"`
	Tenant  string `json:"tenant"`
	Region  string `json:"region"`
	// Version grows with every change: state it in By to decide on what was shown only.
	Version int64     `json:"version"`
	Dialect string    `json:"dialect"`
	Caller  string    `json:"caller"`
	Time    time.Time `json:"time"` // when it came, the last time that something new was found out about it

	// Action is what the caller was told: hold, block (the item is here for appeals) or, in shadow mode, allow.
	Action      hashmatch.Action `json:"action"`
	Would       hashmatch.Action `json:"would"`
	Shadow      bool             `json:"shadow"`
	Quarantined bool             `json:"quarantined"` // the quarantine has its content

	Matches        []Match             `json:"matches"`
	MatchesOmitted int                 `json:"matches_omitted"`
	Failures       []hashmatch.Failure `json:"failures"`
	Notes          []hashmatch.Note    `json:"notes"`
	Revisions      map[string]string   `json:"revisions"`
	Policy         string              `json:"policy"`
	EffectsFailed  []string            `json:"effects_failed"` // "quarantine", where its content could not be kept

	State   State      `json:"state"`
	Actor   string     `json:"actor"`   // who decided; "" while it is pending
	Reason  string     `json:"reason"`  // why
	Decided *time.Time `json:"decided"` // when; nil while it is pending

	History []Event `json:"history,omitempty"` // oldest first; Show only
}

// Match is one entry of a list that the upload matched. Kind and Status are text, so that one that this version does
// not know is shown rather than refused.
type Match struct {
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

// Event is one thing that happened to an item after it came.
type Event struct {
	Event   string    `json:"event"` // "released", "confirmed" or "reopened": it came again and more was found
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor"`   // "" for reopened
	Reason  string    `json:"reason"`  // "" for reopened
	Correct bool      `json:"correct"` // it took the place of the opposite decision
}

// Decision is what Config.Audit is told before it counts.
type Decision struct {
	Item, Surface, Tenant, Region string

	State    State // Released or Confirmed
	Previous State // Pending, or what is corrected
	Actor    string
	Reason   string
	Time     time.Time
	Action   hashmatch.Action // what the caller was told when the upload came
	Policy   string
}

// Ref names an item. Surface and Tenant may be left out where the item ID alone is unique.
type Ref struct{ Item, Surface, Tenant string }

// By is who decides, and why. Actor and Reason are required.
type By struct {
	Actor  string // up to MaxActor bytes
	Reason string // up to MaxReason bytes
	// Correct allows to replace the opposite decision. Both stay in the history.
	Correct bool
	// Version is that of the Item that the person was shown: if the item has changed since, ErrChanged is returned.
	// 0 means whatever it is by now.
	Version int64
}

// The lengths of the longest actor and reason, in bytes.
const (
	MaxActor  = 256
	MaxReason = 4096
)

// Filter chooses the items that List returns. Zero fields choose all.
type Filter struct {
	State   State
	Surface string
	Tenant  string
	Action  *hashmatch.Action
	After   time.Time // that came at this time or later
	Before  time.Time // that came earlier than this
	Cursor  string    // where to go on: what List returned as next; "" from the start
	Limit   int       // items at most; 0 means DefaultLimit, more than MaxLimit means MaxLimit
}

// The limits of one List.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Stats are the numbers of the moment, a few seconds old at most.
type Stats struct {
	Pending     int64     // items that nobody has decided on
	Held        int64     // of these, those that were held
	Blocked     int64     // of these, those that were blocked: they wait only if the uploader appeals
	Oldest      time.Time // when the oldest held item came; zero if there is none
	Undelivered int64     // decisions that the caller has not been told of yet
	Unaudited   int64     // decisions made beside the service that are not audited yet
}
