package hook

import (
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// OpaqueResult is what the policy says of one opaque signature, if it were an upload's. The signature is not repeated.
type OpaqueResult struct {
	Hash   int              `json:"hash"` // which of the request's hashes it is, from 0
	Scheme string           `json:"scheme"`
	Action hashmatch.Action `json:"action"` // hold if no list holds signatures of the scheme: nothing was searched
	// Searched names the lists that hold signatures of the scheme; allow-lists are not among them.
	Searched       []string      `json:"searched"`
	Matches        []OpaqueMatch `json:"matches"`
	MatchesOmitted int           `json:"matches_omitted"`
}

// OpaqueMatch is an entry that has exactly the signature that was asked for.
type OpaqueMatch struct {
	List   string           `json:"list"`
	Entry  string           `json:"entry"`
	Labels []string         `json:"labels"`
	Status hashmatch.Status `json:"status"`
}

// opaqueQuery is a signature that is only compared, and where it stands in the request.
type opaqueQuery struct {
	at                int
	scheme, signature string
}

// parseOpaque reads a text of the form photodna:BASE64 or photodna:HEX; ok is false if it is of another form.
func parseOpaque(text string) (signature string, ok bool, err error) {
	value, ok := strings.CutPrefix(text, hashlist.PhotoDNA+":")
	if !ok {
		return "", false, nil
	}
	signature, err = hashlist.ParsePhotoDNA(value)
	return signature, true, err
}

// countsIn reports whether anything that is found in the list counts: not so in an allow-list, which wins by digests and
// by distances that it states, and holds no opaque signature to any purpose.
func countsIn(policy hashmatch.Policy, surface hashmatch.Surface, list string) bool {
	return len(policy.Decide(hashmatch.Findings{Surface: surface, Matches: []hashmatch.Match{{List: list}}}).Matches) > 0
}

// matchOpaque searches one signature. A match is a near one to the policy: equal signatures are not equal files.
func matchOpaque(set *lookup.Set, policy hashmatch.Policy, surface hashmatch.Surface, q opaqueQuery) OpaqueResult {
	result := OpaqueResult{Hash: q.at, Scheme: q.scheme, Searched: []string{}, Matches: []OpaqueMatch{}}
	for _, l := range set.Lists() {
		if l.HoldsOpaque(q.scheme) && countsIn(policy, surface, l.Name()) {
			result.Searched = append(result.Searched, l.Name())
		}
	}
	var candidates []hashmatch.Match
	set.FindOpaque(q.scheme, q.signature, func(m hashmatch.Match) { candidates = append(candidates, m) })
	decision := policy.Decide(hashmatch.Findings{Surface: surface, Matches: candidates})
	result.Action = decision.Action
	for _, m := range withLabels(decision.Matches) {
		if len(result.Matches) == hashmatch.MaxReportedMatches {
			result.MatchesOmitted = len(decision.Matches) - hashmatch.MaxReportedMatches
			break
		}
		result.Matches = append(result.Matches, OpaqueMatch{m.List, m.Entry, m.Labels, m.Status})
	}
	if len(result.Searched) == 0 {
		result.Action = result.Action.Stricter(hashmatch.Hold)
	}
	return result
}
