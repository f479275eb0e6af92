package hook

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// hashAnswer is what /v1/hash says: what hashmatch hash prints, without a path.
type hashAnswer struct {
	Format   string              `json:"format"`
	Width    int                 `json:"width"`
	Height   int                 `json:"height"`
	Frames   int                 `json:"frames"`
	Digests  map[string]string   `json:"digests"`
	Hashes   []frameHash         `json:"hashes"`
	Notes    []hashmatch.Note    `json:"notes"`
	Failures []hashmatch.Failure `json:"failures"`
}

type frameHash struct {
	Kind    hashmatch.Kind `json:"kind"`
	Hash    string         `json:"hash"`
	Quality int            `json:"quality"`
	Frame   int            `json:"frame"`
	View    hashmatch.View `json:"view"`
}

// hashWait is how long a request to hash waits for its turn.
const hashWait = 5 * time.Second

// hash computes the hashes of a body. Nothing is searched; only what is to be published on a declared surface is read.
func (a *api) hash(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "surface", "kinds", "dihedral")
	if err != nil {
		return err
	}
	name, err := stated(r, values, HeaderSurface, "surface")
	if err != nil {
		return err
	}
	surface, err := a.surface(r, name)
	if err != nil {
		return err
	}
	kinds, err := parseKinds(values.Get("kinds"))
	if err != nil {
		return err
	}
	turned, err := flag(values, "dihedral")
	if err != nil {
		return err
	}
	dihedral := hashmatch.KindSet(0)
	if turned {
		dihedral = kinds
	}
	if err := whole(r); err != nil {
		return err
	}
	if _, multipart, err := Boundary(r.Header); multipart || err != nil {
		return problemMedia.with("want the bytes of one upload, no multipart body")
	}
	if r.ContentLength > a.MaxBytes {
		return problemTooLong
	}
	timer := time.NewTimer(hashWait)
	defer timer.Stop()
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-timer.C:
		return problemOverloaded
	case <-r.Context().Done():
		return problemTimeout
	}
	body := &cappedBody{r: r.Body, left: a.MaxBytes}
	h := a.Hasher.Hash(r.Context(), hashmatch.Item{Surface: surface, Content: body, Size: r.ContentLength}, kinds, dihedral)
	_, _ = io.CopyN(io.Discard, body, drained)
	writeJSON(w, http.StatusOK, newHashAnswer(h))
	return nil
}

func newHashAnswer(h hashmatch.Hashes) hashAnswer {
	answer := hashAnswer{
		Format: h.Media.Format, Width: h.Media.Width, Height: h.Media.Height, Frames: h.Media.Frames,
		Digests: map[string]string{}, Hashes: []frameHash{}, Notes: notNil(h.Notes), Failures: notNil(h.Failures),
	}
	for _, d := range h.Digests {
		answer.Digests[d.Kind.String()] = d.Hex()
	}
	for _, f := range h.Frames {
		answer.Hashes = append(answer.Hashes, frameHash{f.Hash.Kind, f.Hash.Hex(), f.Quality, f.Frame, f.View})
	}
	return answer
}

// parseKinds reads kinds with commas between them; "" means those that lists are mostly made of.
func parseKinds(text string) (hashmatch.KindSet, error) {
	if text == "" {
		return hashmatch.SetOf(hashmatch.PDQ, hashmatch.MD5, hashmatch.SHA1, hashmatch.SHA256), nil
	}
	var set hashmatch.KindSet
	for name := range strings.SplitSeq(text, ",") {
		kind, err := hashmatch.ParseKind(name)
		if err != nil {
			return 0, problemRequest.with(fmt.Sprintf("kinds: want some of %v, with commas between them", hashmatch.Kinds()))
		}
		set |= hashmatch.SetOf(kind)
	}
	return set, nil
}

// maxQueries is how many hashes one request to match may hold: each is searched in every list.
const maxQueries = 256

type matchRequest struct {
	Surface string   `json:"surface"` // may be left out where the listener is bound to one
	Hashes  []string `json:"hashes"`  // KIND:HEX, or photodna:BASE64 or photodna:HEX
	// Thresholds are distances by kind that are narrower than the policy's; a wider one has no effect.
	Thresholds map[hashmatch.Kind]int `json:"thresholds"`
}

// MatchAnswer is what /v1/match says.
type MatchAnswer struct {
	Surface   string            `json:"surface"`
	Results   []MatchResult     `json:"results"`          // one a hash, in their order, without those of Opaque
	Opaque    []OpaqueResult    `json:"opaque,omitempty"` // one for each signature that is only compared, in their order
	Revisions map[string]string `json:"revisions"`
	Policy    string            `json:"policy"`
}

// MatchResult is what the policy says of one hash, if it were an upload's.
type MatchResult struct {
	Query hashmatch.Hash `json:"query"`
	// Action is hold if no list holds hashes of this kind: nothing was searched.
	Action         hashmatch.Action  `json:"action"`
	Searched       []string          `json:"searched"` // the lists that were
	Matches        []hashmatch.Match `json:"matches"`  // view and frame say nothing here
	MatchesOmitted int               `json:"matches_omitted"`
	AllowedBy      *hashmatch.Match  `json:"allowed_by"`
}

// match searches hashes that the caller computed, under the policy's thresholds.
func (a *api) match(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	var request matchRequest
	if err := readJSON(w, r, &request); err != nil {
		return err
	}
	surface, err := a.surface(r, request.Surface)
	if err != nil {
		return err
	}
	queries, opaque, err := request.queries()
	if err != nil {
		return err
	}
	if a.ready() != nil {
		return problemNotReady
	}
	set, policy := a.Lists(), a.Policy()
	if set == nil || policy == nil || set.Kinds() == 0 {
		return problemNotReady
	}
	answer := MatchAnswer{Surface: surface.Name(), Results: []MatchResult{}, Revisions: set.Revisions(), Policy: policy.Revision()}
	for _, q := range queries {
		if r.Context().Err() != nil {
			return problemTimeout
		}
		answer.Results = append(answer.Results, matchOne(set, policy, surface, q, request.Thresholds))
	}
	for _, q := range opaque {
		if r.Context().Err() != nil {
			return problemTimeout
		}
		answer.Opaque = append(answer.Opaque, matchOpaque(set, policy, surface, q))
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (m matchRequest) queries() (queries []hashmatch.Hash, opaque []opaqueQuery, err error) {
	if len(m.Hashes) == 0 || len(m.Hashes) > maxQueries {
		return nil, nil, problemRequest.with(fmt.Sprintf("hashes: want 1 to %d", maxQueries))
	}
	for kind, threshold := range m.Thresholds {
		if threshold < 0 {
			return nil, nil, problemRequest.with(fmt.Sprintf("thresholds: %s: want 0 or more", kind))
		}
	}
	for i, text := range m.Hashes {
		if signature, ok, err := parseOpaque(text); err != nil {
			return nil, nil, problemHash.with(fmt.Sprintf("hash %d: photodna: %v", i+1, err))
		} else if ok {
			opaque = append(opaque, opaqueQuery{i, hashlist.PhotoDNA, signature})
			continue
		}
		q, err := hashmatch.ParseHash(text)
		switch {
		case err != nil:
			return nil, nil, problemHash.with(fmt.Sprintf("hash %d: want KIND:HEX, of a kind that is computed here, or photodna:BASE64", i+1))
		case q.Zero():
			return nil, nil, problemHash.with(fmt.Sprintf("hash %d: an all-zero hash stands for no picture", i+1))
		}
		queries = append(queries, q)
	}
	return queries, opaque, nil
}

func matchOne(set *lookup.Set, policy hashmatch.Policy, surface hashmatch.Surface, q hashmatch.Hash, narrower map[hashmatch.Kind]int) MatchResult {
	result := MatchResult{Query: q, Searched: []string{}}
	for _, l := range set.Lists() {
		if l.Index().Kinds().Has(q.Kind) && policy.Reach(surface, l.Name(), q.Kind, 100) >= 0 {
			result.Searched = append(result.Searched, l.Name())
		}
	}
	var candidates []hashmatch.Match
	set.Search(q, func(list string) int {
		if !slices.Contains(result.Searched, list) {
			return -1 // what the service has planted to look for itself
		}
		reach := policy.Reach(surface, list, q.Kind, 100)
		if narrow, stated := narrower[q.Kind]; stated {
			reach = min(reach, narrow)
		}
		return reach
	}, func(m hashmatch.Match) {
		m.Quality = 100
		candidates = append(candidates, m)
	})
	decision := policy.Decide(hashmatch.Findings{Surface: surface, Matches: candidates})
	result.Action, result.Matches = decision.Action, withLabels(decision.Matches)
	if n := len(result.Matches); n > hashmatch.MaxReportedMatches {
		result.Matches, result.MatchesOmitted = result.Matches[:hashmatch.MaxReportedMatches], n-hashmatch.MaxReportedMatches
	}
	if decision.AllowedBy != nil {
		result.AllowedBy = &withLabels([]hashmatch.Match{*decision.AllowedBy})[0]
	}
	if len(result.Searched) == 0 {
		result.Action = result.Action.Stricter(hashmatch.Hold)
	}
	return result
}

// ListStatus is what /v1/lists says of one list: never a hash or an entry of it.
type ListStatus struct {
	Name       string         `json:"name"`
	Revision   string         `json:"revision"`
	Source     string         `json:"source"`
	Entries    int            `json:"entries"` // withdrawn ones included
	Statuses   map[string]int `json:"statuses"`
	Hashes     map[string]int `json:"hashes"`      // by kind: those that are searched
	Opaque     map[string]int `json:"opaque"`      // by scheme: those that are kept and not searched
	Bytes      int64          `json:"bytes"`       // of the entries, in memory
	Synced     *time.Time     `json:"synced"`      // the last successful sync; null if there was none
	AgeSeconds *int64         `json:"age_seconds"` // since then
}

func (a *api) lists(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	set := a.Lists()
	if set == nil {
		return problemNotReady
	}
	answers := []ListStatus{}
	for _, served := range set.Lists() {
		l := served.List()
		one := ListStatus{
			Name: served.Name(), Revision: l.Revision().String(), Source: l.Info().Source, Entries: l.Len(),
			Statuses: map[string]int{}, Hashes: map[string]int{}, Opaque: l.OpaqueCounts(), Bytes: l.Bytes(),
		}
		for status, n := range l.StatusCounts() {
			one.Statuses[status.String()] = n
		}
		for kind, n := range l.Counts() {
			one.Hashes[kind.String()] = n
		}
		if synced := l.Synced(); !synced.IsZero() {
			age := int64(a.now().Sub(synced) / time.Second)
			synced = synced.UTC()
			one.Synced, one.AgeSeconds = &synced, &age
		}
		answers = append(answers, one)
	}
	slices.SortFunc(answers, func(a, b ListStatus) int { return cmp.Compare(a.Name, b.Name) })
	writeJSON(w, http.StatusOK, struct {
		Lists []ListStatus `json:"lists"`
	}{answers})
	return nil
}
