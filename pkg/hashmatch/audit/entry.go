package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// The types of records that the log itself writes. All others come from Event.
const (
	TypeUpload  = "upload"  // one answer
	TypeSegment = "segment" // the first record of each segment file
	TypeTorn    = "torn"    // what a crash had left of a record was cut off
)

// Entry is one record of the log. Which fields it has depends on its type; those that are not there are zero.
type Entry struct {
	Seq  uint64    `json:"-"`
	Hash string    `json:"-"`
	Raw  []byte    `json:"-"` // the line as it is in the file, without its end
	Time time.Time `json:"time"`
	Type string    `json:"type"`

	// Of uploads and, in part, of events.
	Item    string `json:"item,omitempty"`
	Surface string `json:"surface,omitempty"`
	Tenant  string `json:"tenant,omitempty"`
	Region  string `json:"region,omitempty"`

	// Of uploads.
	Dialect        string            `json:"dialect,omitempty"`
	Caller         string            `json:"caller,omitempty"`
	Action         string            `json:"action,omitempty"`  // what the caller was told
	Verdict        string            `json:"verdict,omitempty"` // what the scan came to
	Would          string            `json:"would,omitempty"`   // and what without lists in shadow mode
	Shadow         bool              `json:"shadow,omitempty"`  // the surface was in shadow mode
	Quarantined    bool              `json:"quarantined,omitempty"`
	Reasons        []string          `json:"reasons,omitempty"`
	Matches        []Match           `json:"matches,omitempty"`
	MatchesOmitted int               `json:"matches_omitted,omitempty"`
	AllowedBy      *Match            `json:"allowed_by,omitempty"`
	Failures       []string          `json:"failures,omitempty"` // codes
	Notes          []string          `json:"notes,omitempty"`
	Revisions      map[string]string `json:"revisions,omitempty"`
	Policy         string            `json:"policy,omitempty"`
	EffectsFailed  []string          `json:"effects_failed,omitempty"`

	// Of events.
	Actor  string            `json:"actor,omitempty"`
	Reason string            `json:"reason,omitempty"`
	Detail map[string]string `json:"detail,omitempty"`

	// Of the first record of a segment.
	Log    string `json:"log,omitempty"`
	Format int    `json:"format,omitempty"`
}

// Match is one match of an upload.
type Match struct {
	List      string         `json:"list"`
	Entry     string         `json:"entry"`
	Kind      string         `json:"kind"`
	Distance  int            `json:"distance"`
	Threshold int            `json:"threshold"`
	View      hashmatch.View `json:"view,omitzero"`
	Frame     int            `json:"frame"`
	Status    string         `json:"status"`
	Action    string         `json:"action"`           // what the policy says of this match alone
	Shadow    bool           `json:"shadow,omitempty"` // its list was in shadow mode
}

// Event is anything but an upload that must be on record: a decision of a person, a breaker that tripped, a reload.
type Event struct {
	Type    string    // lower-case letters, digits, "_", "." and "-", 64 at most; not one of the log's own
	Time    time.Time // zero means now
	Actor   string    // who; "" if it was the service itself
	Reason  string
	Item    string // what it is about; "" if it is no upload
	Surface string
	Tenant  string
	Region  string
	Detail  map[string]string // whatever else explains it: no hash, name or content of an upload
}

// The limits of a record. Nothing that the scanner says comes near them.
const (
	maxLine     = 1 << 20 // bytes
	maxText     = 512     // bytes of one text of an upload's record; the rest is left out
	maxFailures = 100
	maxNotes    = 20
	maxType     = 64
)

// The errors of Append and Event, besides those of the disk and of the context.
var (
	ErrClosed  = errors.New("the log is closed")
	ErrBusy    = errors.New("too many records wait to be written")
	ErrTooLong = fmt.Errorf("the record is longer than %d bytes", maxLine)
	ErrNoItem  = errors.New("the record has no item ID")
	ErrType    = errors.New("type of event refused")
	ErrLost    = errors.New("the segment file was removed, replaced, cut off or written to by someone else")
)

// newUpload returns what is recorded of an answer.
func newUpload(r gate.Record) Entry {
	v := r.Verdict
	e := Entry{
		Time: r.Time, Type: TypeUpload,
		Item: valid(r.Item), Surface: valid(r.Surface), Tenant: valid(r.Tenant), Region: valid(r.Region),
		Dialect: clip(r.Dialect), Caller: clip(r.Caller),
		Action: r.Action.String(), Verdict: v.Action.String(), Would: v.Would.String(),
		Shadow: r.Shadow, Quarantined: r.Quarantined, MatchesOmitted: v.MatchesOmitted,
		Revisions: v.Revisions, Policy: clip(v.Policy),
	}
	for _, reason := range (gate.Outcome{Action: r.Action, Verdict: v, Failed: r.Failed}).Reasons() {
		e.Reasons = append(e.Reasons, string(reason))
	}
	for i, m := range v.Matches {
		if i == hashmatch.MaxReportedMatches {
			e.MatchesOmitted += len(v.Matches) - i
			break
		}
		e.Matches = append(e.Matches, newMatch(m))
	}
	if v.AllowedBy != nil {
		m := newMatch(*v.AllowedBy)
		e.AllowedBy = &m
	}
	for _, f := range v.Failures[:min(len(v.Failures), maxFailures)] {
		// The detail stays out: it says more than a record of an upload that matched nothing needs.
		if code := clip(string(f.Code)); !slices.Contains(e.Failures, code) {
			e.Failures = append(e.Failures, code)
		}
	}
	for _, note := range v.Notes[:min(len(v.Notes), maxNotes)] {
		e.Notes = append(e.Notes, clip(string(note)))
	}
	for _, failed := range r.Failed {
		e.EffectsFailed = append(e.EffectsFailed, clip(failed.Effect)) // why is in the service's log: it can hold paths
	}
	return e
}

func newMatch(m hashmatch.Match) Match {
	return Match{
		List: clip(m.List), Entry: clip(m.Entry), Kind: m.Kind.String(), Distance: m.Distance, Threshold: m.Threshold,
		View: m.View, Frame: m.Frame, Status: m.Status.String(), Action: m.Action.String(), Shadow: m.Shadow,
	}
}

// plain says that an answer is an allow that nothing speaks against.
func plain(r gate.Record) bool {
	v := r.Verdict
	return r.Action == hashmatch.Allow && v.Action == hashmatch.Allow && v.Would == hashmatch.Allow && !r.Shadow &&
		len(v.Matches) == 0 && v.MatchesOmitted == 0 && v.AllowedBy == nil && len(v.Failures) == 0 && len(r.Failed) == 0
}

func newEvent(e Event) (Entry, error) {
	if err := checkType(e.Type); err != nil {
		return Entry{}, err
	}
	return Entry{
		Time: e.Time, Type: e.Type, Item: e.Item, Surface: e.Surface, Tenant: e.Tenant, Region: e.Region,
		Actor: e.Actor, Reason: e.Reason, Detail: maps.Clone(e.Detail),
	}, nil
}

func checkType(name string) error {
	switch {
	case name == "" || len(name) > maxType:
		return fmt.Errorf("%w: want 1 to %d characters", ErrType, maxType)
	case name == TypeUpload || name == TypeSegment || name == TypeTorn:
		return fmt.Errorf("%w: %q is the log's own", ErrType, name)
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "":
		return fmt.Errorf("%w: want lower-case letters, digits, and _ . -", ErrType)
	}
	return nil
}

// fields returns the members of the JSON object that are the entry's own, without the braces. The time comes first.
func (e Entry) fields() ([]byte, error) {
	e.Time = e.Time.UTC()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil, err
	}
	b := text.Bytes()
	return b[1 : len(b)-len("}\n")], nil
}

// clip returns the beginning of a text that is kept.
func clip(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return valid(text)
}

// valid returns text as it is read back.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
