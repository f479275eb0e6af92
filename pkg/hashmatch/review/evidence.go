package review

import (
	"encoding/json"
	"fmt"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// The limits of what is kept of one item. The texts come from lists and decoders; none of ours is near them.
const (
	maxFailures = 100
	maxNotes    = 20
	maxLabels   = 32
	maxText     = 512 // bytes
)

// evidence is the part of an Item that is stored as JSON, in the column record.
type evidence struct {
	Region         string              `json:"region,omitempty"`
	Dialect        string              `json:"dialect,omitempty"`
	Caller         string              `json:"caller,omitempty"`
	Action         hashmatch.Action    `json:"action"`
	Would          hashmatch.Action    `json:"would"`
	Shadow         bool                `json:"shadow,omitempty"`
	Quarantined    bool                `json:"quarantined,omitempty"`
	Matches        []Match             `json:"matches,omitempty"`
	MatchesOmitted int                 `json:"matches_omitted,omitempty"`
	Failures       []hashmatch.Failure `json:"failures,omitempty"`
	Notes          []hashmatch.Note    `json:"notes,omitempty"`
	Revisions      map[string]string   `json:"revisions,omitempty"`
	Policy         string              `json:"policy,omitempty"`
	EffectsFailed  []string            `json:"effects_failed,omitempty"`
}

// newEvidence returns what is kept of a record.
func newEvidence(r gate.Record) evidence {
	e := evidence{
		Region: r.Region, Dialect: clip(r.Dialect), Caller: clip(r.Caller),
		Action: r.Action, Would: r.Verdict.Would, Shadow: r.Shadow, Quarantined: r.Quarantined,
		MatchesOmitted: r.Verdict.MatchesOmitted, Revisions: r.Verdict.Revisions, Policy: r.Verdict.Policy,
	}
	for i, m := range r.Verdict.Matches {
		if i == hashmatch.MaxReportedMatches {
			e.MatchesOmitted += len(r.Verdict.Matches) - i
			break
		}
		kept := Match{
			List: clip(m.List), Entry: clip(m.Entry), Kind: m.Kind.String(), Distance: m.Distance, Threshold: m.Threshold,
			View: m.View, Frame: m.Frame, Status: m.Status.String(), Action: m.Action, Exact: m.Exact(), Shadow: m.Shadow,
		}
		for _, label := range m.Labels[:min(len(m.Labels), maxLabels)] {
			kept.Labels = append(kept.Labels, clip(label))
		}
		e.Matches = append(e.Matches, kept)
	}
	for _, f := range r.Verdict.Failures[:min(len(r.Verdict.Failures), maxFailures)] {
		e.Failures = append(e.Failures, hashmatch.Failure{Code: f.Code, Detail: clip(f.Detail)})
	}
	e.Notes = r.Verdict.Notes[:min(len(r.Verdict.Notes), maxNotes)]
	for _, failed := range r.Failed {
		e.EffectsFailed = append(e.EffectsFailed, clip(failed.Effect)) // why is in the log: it can hold paths
	}
	return e
}

// clip returns the beginning of text that is kept.
func clip(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

func parseEvidence(text []byte) (evidence, error) {
	var e evidence
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("%w: a record: %w", ErrCorrupt, err)
	}
	return e, nil
}

// found names what a match found, however near.
type found struct {
	list, entry string
	exact       bool
}

// acted returns what the matches that are acted on have found.
func (e evidence) acted() map[found]bool {
	seen := make(map[found]bool, len(e.Matches))
	for _, m := range e.Matches {
		if m.Action != hashmatch.Allow {
			seen[found{m.List, m.Entry, m.Exact}] = true
		}
	}
	return seen
}

// goesBeyond reports whether e is a reason to ask a person again who was shown known: the action is stricter, or a
// match is acted on that was not among what was shown. Without the second, an upload that was released for one
// entry's sake would stay released when it comes again, changed, and matches another.
func (e evidence) goesBeyond(known evidence) bool {
	if e.Action.Stricter(known.Action) != known.Action || e.Would.Stricter(known.Would) != known.Would {
		return true
	}
	seen := known.acted()
	for f := range e.acted() {
		if !seen[f] {
			return true
		}
	}
	return false
}

// with returns e with what was known before and e does not have: nothing that was found is lost to the person.
func (e evidence) with(known evidence) evidence {
	e.Action, e.Would = e.Action.Stricter(known.Action), e.Would.Stricter(known.Would)
	e.Quarantined = e.Quarantined || known.Quarantined
	e.MatchesOmitted = max(e.MatchesOmitted, known.MatchesOmitted)
	seen := e.acted()
	for _, m := range known.Matches {
		switch {
		case m.Action == hashmatch.Allow || seen[found{m.List, m.Entry, m.Exact}]:
		case len(e.Matches) < hashmatch.MaxReportedMatches:
			e.Matches = append(e.Matches, m)
		default:
			e.MatchesOmitted++
		}
	}
	return e
}
