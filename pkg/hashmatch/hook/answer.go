package hook

import (
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// Answer is what /v1/scan says of one request. The zero Answer is a hold.
type Answer struct {
	Action  hashmatch.Action `json:"action"` // the strictest of the results'
	Item    string           `json:"item"`
	Surface string           `json:"surface"`
	Reasons []gate.Reason    `json:"reasons"` // why it is no allow; none for an allow
	// Retry says that the service could not judge now: the same request, with the same item ID, may get another answer
	// later. False wherever a result will stay what it is.
	Retry   bool     `json:"retry"`
	Results []Result `json:"results"` // one an upload, in their order; one for a body that is no multipart

	asked string // by the client: the item ID that it sent
}

// Result is what is said of one upload.
type Result struct {
	Part    int              `json:"part"` // of the multipart body, from 1; 1 for a body that is none
	Item    string           `json:"item"`
	Action  hashmatch.Action `json:"action"`
	Reasons []gate.Reason    `json:"reasons"`
	Retry   bool             `json:"retry"`
	Detail  *Detail          `json:"detail,omitempty"` // for callers with the scope lookup or admin who ask for it
}

// Detail explains a result.
type Detail struct {
	Verdict        hashmatch.Action    `json:"verdict"` // before shadow mode of the surface, and effects
	Would          hashmatch.Action    `json:"would"`   // what Verdict would be if no list were in shadow mode
	Shadow         bool                `json:"shadow"`  // the surface is in shadow mode
	Matches        []hashmatch.Match   `json:"matches"`
	MatchesOmitted int                 `json:"matches_omitted"`
	AllowedBy      *hashmatch.Match    `json:"allowed_by"` // null if no allow-list won
	Failures       []hashmatch.Failure `json:"failures"`
	Notes          []hashmatch.Note    `json:"notes"`
	Unrecorded     []string            `json:"unrecorded"` // effects that did not happen: "quarantine", "review", "audit"
	Screened       bool                `json:"screened"`   // nothing was near a reduced picture: the full one was not looked at
	Revisions      map[string]string   `json:"revisions"`
	Policy         string              `json:"policy"`
	Milliseconds   Milliseconds        `json:"ms"`
}

// Milliseconds are the times that one upload took.
type Milliseconds struct {
	Read   float64 `json:"read"`
	Decode float64 `json:"decode"`
	Hash   float64 `json:"hash"`
	Search float64 `json:"search"`
	Total  float64 `json:"total"`  // of the scan
	Waited float64 `json:"waited"` // for memory and its turn
	Took   float64 `json:"took"`   // from arrival to answer
}

func newResult(part int, o gate.Outcome, detail bool) Result {
	r := Result{
		Part: part, Item: o.Verdict.Item, Action: o.Action, Reasons: notNil(o.Reasons()),
		Retry: o.Action != hashmatch.Allow && (!o.Scanned || unrecorded(o)),
	}
	if detail {
		r.Detail = newDetail(o)
	}
	return r
}

// unrecorded says whether nothing stands in the way of an upload but that its answer could not be recorded.
func unrecorded(o gate.Outcome) bool { return len(o.Failed) > 0 && o.Verdict.Action == hashmatch.Allow }

func newDetail(o gate.Outcome) *Detail {
	v := o.Verdict
	d := &Detail{
		Verdict: v.Action, Would: v.Would, Shadow: o.Shadow, Matches: withLabels(v.Matches), MatchesOmitted: v.MatchesOmitted,
		Failures: notNil(v.Failures), Notes: notNil(v.Notes), Unrecorded: []string{}, Screened: v.Screened, Revisions: v.Revisions, Policy: v.Policy,
		Milliseconds: Milliseconds{
			Read: milliseconds(v.Timings.Read), Decode: milliseconds(v.Timings.Decode), Hash: milliseconds(v.Timings.Hash),
			Search: milliseconds(v.Timings.Search), Total: milliseconds(v.Timings.Total),
			Waited: milliseconds(o.Waited), Took: milliseconds(o.Took),
		},
	}
	if v.AllowedBy != nil {
		d.AllowedBy = &withLabels([]hashmatch.Match{*v.AllowedBy})[0]
	}
	if d.Revisions == nil {
		d.Revisions = map[string]string{}
	}
	for _, failed := range o.Failed { // the reasons are for the log: they name files
		d.Unrecorded = append(d.Unrecorded, failed.Effect)
	}
	return d
}

// newAnswer joins the results of one request.
func newAnswer(item, surface string, results []Result) Answer {
	a := Answer{Action: hashmatch.Allow, Item: item, Surface: surface, Reasons: []gate.Reason{}, Results: results}
	settled := false // a result that is no allow and will stay so
	for _, r := range results {
		a.Action = a.Action.Stricter(r.Action)
		a.Retry = a.Retry || r.Retry
		settled = settled || r.Action != hashmatch.Allow && !r.Retry
		for _, reason := range r.Reasons {
			if !slices.Contains(a.Reasons, reason) {
				a.Reasons = append(a.Reasons, reason)
			}
		}
	}
	if len(results) == 0 {
		a.Action = hashmatch.Hold
	}
	a.Retry = a.Retry && !settled
	return a
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// notNil makes JSON say [] where there is nothing.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func withLabels(matches []hashmatch.Match) []hashmatch.Match {
	out := slices.Clone(notNil(matches))
	for i := range out {
		out[i].Labels = notNil(out[i].Labels)
	}
	return out
}
