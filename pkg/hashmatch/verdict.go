package hashmatch

import (
	"fmt"
	"time"
)

// Action is what is to be done with an upload. The zero Action is Hold, so that a forgotten one never allows.
type Action uint8

// The actions.
const (
	Hold  Action = iota // a person decides
	Allow               // publish
	Block               // do not publish
)

var actionNames = [...]string{"hold", "allow", "block"}

// String returns "hold", "allow" or "block"; an invalid action reads "hold", which is what it means.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "hold"
}

// ParseAction reads the text form.
func ParseAction(text string) (Action, error) {
	for a, name := range actionNames {
		if name == text {
			return Action(a), nil
		}
	}
	return Hold, fmt.Errorf("unknown action %q: want allow, hold or block", text)
}

// MarshalText writes the text form.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads the text form.
func (a *Action) UnmarshalText(text []byte) error {
	parsed, err := ParseAction(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// severity orders actions: allow, hold, block.
func (a Action) severity() int {
	switch a {
	case Allow:
		return 0
	case Block:
		return 2
	}
	return 1
}

// Stricter returns the stricter of a and b: block over hold over allow.
func (a Action) Stricter(b Action) Action {
	if b.severity() > a.severity() {
		return b
	}
	return a
}

// Match is one entry of a list that an upload's hash came within reach of, with all that explains it.
type Match struct {
	List      string   `json:"list"`
	Entry     string   `json:"entry"` // EntryKey.String
	Kind      Kind     `json:"kind"`
	Distance  int      `json:"distance"`
	Threshold int      `json:"threshold"` // the one in force for this list, label and kind
	View      View     `json:"view"`
	Frame     int      `json:"frame"`
	Labels    []string `json:"labels"`
	Status    Status   `json:"status"`
	// Evidence counts the looks that found the entry: pairs of a kind and a view, turns not counted apart. It is 0 where
	// only the picture as it is was searched. Views that lie near each other are no independent witnesses.
	Evidence int `json:"evidence,omitempty"`

	Key     EntryKey      `json:"-"`
	Votes   Votes         `json:"-"` // for and against the signature that matched, as its source states them
	Quality int           `json:"-"` // of the upload's hash, 0 to 100; 100 for a digest
	Time    time.Duration `json:"-"` // of the frame
	Others  []FrameHash   `json:"-"` // other frames and views of the upload with the same hash; shared, not to be changed
	Action  Action        `json:"-"` // what the policy says of this match alone
	Shadow  bool          `json:"-"` // its list is in shadow mode: Action was recorded, not acted on
}

// Exact reports whether the match is of a digest of the file.
func (m Match) Exact() bool { return m.Kind.Digest() }

// Timings are the times one item spent in each stage.
type Timings struct {
	Read, Decode, Hash, Search, Total time.Duration
}

// Verdict is the answer for one item and everything that explains it. The zero Verdict is a hold.
type Verdict struct {
	Item    string // Item.ID
	Surface string
	Action  Action
	// Would is what Action would be if no list were in shadow mode: the same where none is.
	Would Action
	// Matches holds those that count under the policy, strictest and nearest first: at most MaxReportedMatches of
	// them. All of them were decided on; MatchesOmitted counts the rest.
	Matches        []Match
	MatchesOmitted int
	AllowedBy      *Match // the allow-list entry that won over near matches; nil if none did
	Failures       []Failure
	Notes          []Note
	Media          Media
	Screened       bool              // no perceptual hash of the full picture was taken: nothing was near the reduced one's
	Revisions      map[string]string // list name -> revision; shared between verdicts, not to be changed
	Policy         string            // the policy's revision
	Timings        Timings
}

// MaxReportedMatches bounds the matches that one verdict carries: a flooded list can hold an image a million times.
const MaxReportedMatches = 100
