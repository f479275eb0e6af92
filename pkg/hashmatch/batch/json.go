package batch

import (
	"encoding/json"
	"math"
	"time"
	"unicode/utf8"

	"example.org/hashmatch/pkg/hashmatch"
)

// JSON writes one object a line. Its fields are stable; arrays and maps are never null.
//
// The path is a JSON string with JSON's own escapes for control characters. A path that is not UTF-8 cannot stand in
// JSON: each byte of it that is none is replaced by U+FFFD, and the field path_base64, which other paths do not have,
// gives the bytes as they are.
func JSON(o *Output) Results {
	encoder := json.NewEncoder(o)
	encoder.SetEscapeHTML(false)
	return &jsonResults{Output: o, encoder: encoder}
}

type jsonResults struct {
	*Output
	encoder *json.Encoder
}

type jsonResult struct {
	Path           string              `json:"path"`
	PathBase64     []byte              `json:"path_base64,omitempty"`
	Surface        string              `json:"surface"`
	Verdict        hashmatch.Action    `json:"verdict"`
	Matches        []hashmatch.Match   `json:"matches"`
	MatchesOmitted int                 `json:"matches_omitted,omitempty"`
	Failures       []hashmatch.Failure `json:"failures"`
	Notes          []hashmatch.Note    `json:"notes"`
	AllowedBy      *jsonAllowedBy      `json:"allowed_by"`
	Screened       bool                `json:"screened,omitempty"`
	Revisions      map[string]string   `json:"revisions"`
	Policy         string              `json:"policy"`
	Milliseconds   jsonTimings         `json:"ms"`
}

type jsonAllowedBy struct {
	List  string         `json:"list"`
	Entry string         `json:"entry"`
	Kind  hashmatch.Kind `json:"kind"`
}

type jsonTimings struct {
	Read   float64 `json:"read"`
	Decode float64 `json:"decode"`
	Hash   float64 `json:"hash"`
	Search float64 `json:"search"`
	Total  float64 `json:"total"`
}

// milliseconds has three decimals.
func milliseconds(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }

// filled returns s, or an empty slice in place of nil.
func filled[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Write writes one line.
func (j *jsonResults) Write(r Result) error {
	v := r.Verdict
	line := jsonResult{
		Path: r.Path, Surface: v.Surface, Verdict: v.Action,
		MatchesOmitted: v.MatchesOmitted, Failures: filled(v.Failures), Notes: filled(v.Notes),
		Screened: v.Screened, Revisions: v.Revisions, Policy: v.Policy,
		Milliseconds: jsonTimings{
			Read: milliseconds(v.Timings.Read), Decode: milliseconds(v.Timings.Decode),
			Hash: milliseconds(v.Timings.Hash), Search: milliseconds(v.Timings.Search),
			Total: milliseconds(v.Timings.Total),
		},
	}
	if !utf8.ValidString(r.Path) {
		line.PathBase64 = []byte(r.Path)
	}
	line.Matches = make([]hashmatch.Match, len(v.Matches))
	for i, m := range v.Matches {
		m.Labels = filled(m.Labels)
		line.Matches[i] = m
	}
	if a := v.AllowedBy; a != nil {
		line.AllowedBy = &jsonAllowedBy{List: a.List, Entry: a.Entry, Kind: a.Kind}
	}
	if line.Revisions == nil {
		line.Revisions = map[string]string{}
	}
	return j.encoder.Encode(line)
}
