package hma

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

// signalTypes are HMA's names for kinds where they are not ours. HMA has the digests of videos only; here a digest is
// of any file.
var signalTypes = map[string]hashmatch.Kind{"video_md5": hashmatch.MD5, "video_sha256": hashmatch.SHA256}

// parseType returns the kind of a signal type.
func parseType(name string) (hashmatch.Kind, error) {
	if kind, ok := signalTypes[name]; ok {
		return kind, nil
	}
	kind, err := hashmatch.ParseKind(name)
	if err != nil {
		return 0, bad("no such signal type")
	}
	return kind, nil
}

// parseSignal returns the hash that a request names.
func parseSignal(query url.Values) (hashmatch.Hash, error) {
	if query.Get("signal_type") == "" || query.Get("signal") == "" {
		return hashmatch.Hash{}, bad("signal and signal_type are required")
	}
	kind, err := parseType(query.Get("signal_type"))
	if err != nil {
		return hashmatch.Hash{}, err
	}
	return parseHash(kind, query.Get("signal"))
}

func parseHash(kind hashmatch.Kind, text string) (hashmatch.Hash, error) {
	hash, err := hashmatch.ParseHex(kind, strings.TrimSpace(text))
	if err != nil {
		return hashmatch.Hash{}, bad(fmt.Sprintf("invalid signal: want %d hex digits", kind.Bits()/4))
	}
	if hash.Zero() { // it would be looked up in vain
		return hashmatch.Hash{}, bad("invalid signal: a hash of zeros stands for a flat picture, or none, and is not searched")
	}
	return hash, nil
}

// parseBanks returns the lists that the answer is to name; nil means all. A list that there is not is refused: "clean"
// would be said of nothing.
func (r *request) parseBanks() (map[string]bool, error) {
	text := r.query.Get("banks")
	if text == "" {
		return nil, nil
	}
	banks := make(map[string]bool)
	for name := range strings.SplitSeq(text, ",") {
		if _, known := r.lists.Revisions()[name]; !known {
			return nil, bad("no such bank")
		}
		banks[name] = true
	}
	return banks, nil
}

// parseBool reads a truth value as HMA does; "" is false.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "", "0", "f", "false", "n", "no", "off":
		return false, nil
	case "1", "t", "true", "y", "yes", "on":
		return true, nil
	}
	return false, bad("want true or false")
}

// match is one match in HMA's form.
type match struct {
	ID       int64  `json:"bank_content_id"`
	Distance string `json:"distance"`
}

// bankMatches is the answer to a lookup of one hash: matches by list.
type bankMatches map[string][]match

// MaxMatches is the number of matches that one answer names for one signal type at most, the nearest ones: a flooded
// list can hold a picture a million times.
const MaxMatches = 1000

// ContentID returns what HMA calls bank_content_id: an integer that stands for an entry of a list for as long as list
// and entry keep their names. It is made of their digest and fits into the 53 bits that JavaScript reads whole: among a
// million entries two share one with a probability of 1 in 18,000.
func ContentID(list string, key hashmatch.EntryKey) int64 {
	sum := sha256.Sum256([]byte(list + "\x00" + key.String()))
	return max(1, int64(binary.BigEndian.Uint64(sum[:8])>>11))
}

func toMatch(m hashmatch.Match) match {
	distance := "-" // as HMA writes it where a kind has none
	if !m.Kind.Digest() {
		distance = strconv.Itoa(m.Distance)
	}
	return match{ContentID(m.List, m.Key), distance}
}

// search returns every entry within reach of the hash. It refuses a hash for which no list is searched.
func (r *request) search(hash hashmatch.Hash) ([]hashmatch.Match, error) {
	searched := false
	var found []hashmatch.Match
	r.lists.Search(hash, func(list string) int {
		if _, listed := r.lists.Revisions()[list]; !listed {
			return -1 // the service's own canary
		}
		reach := r.policy.Reach(r.surface, list, hash.Kind, 100)
		searched = searched || reach >= 0
		return reach
	}, func(m hashmatch.Match) {
		m.Quality = 100 // the caller's affair
		found = append(found, m)
	})
	if !searched {
		return nil, bad("the signal type is not enabled: no list is searched for it")
	}
	return found, nil
}

// nearest sorts matches, leaves out further ones of the same entry, and cuts off what is too much.
func nearest(matches []hashmatch.Match) []hashmatch.Match {
	matches = slices.Clone(matches)
	slices.SortStableFunc(matches, func(a, b hashmatch.Match) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.List, b.List), cmp.Compare(a.Entry, b.Entry))
	})
	type entry struct {
		list string
		key  hashmatch.EntryKey
		kind hashmatch.Kind
	}
	seen := make(map[entry]bool)
	matches = slices.DeleteFunc(matches, func(m hashmatch.Match) bool {
		e := entry{m.List, m.Key, m.Kind}
		twice := seen[e]
		seen[e] = true
		return twice
	})
	return matches[:min(len(matches), MaxMatches)]
}

// actedOn reports whether a match is one that HMA's callers are to act on: not of a suspended entry, an allow-list, or
// a list in shadow mode.
func actedOn(m hashmatch.Match) bool { return m.Action != hashmatch.Allow && !m.Shadow }

// rawLookup answers with every entry within reach, acted on or not.
func (h *Handler) rawLookup(r *request) (any, error) {
	hash, err := parseSignal(r.query)
	if err != nil {
		return nil, err
	}
	banks, err := r.parseBanks()
	if err != nil {
		return nil, err
	}
	withDistance, err := parseBool(r.query.Get("include_distance"))
	if err != nil {
		return nil, err
	}
	found, err := r.search(hash)
	if err != nil {
		return nil, err
	}
	matches := []any{}
	for _, m := range nearest(found) {
		switch one := toMatch(m); {
		case banks != nil && !banks[m.List]:
		case withDistance:
			matches = append(matches, one)
		default:
			matches = append(matches, one.ID)
		}
	}
	return map[string]any{"matches": matches}, nil
}

// lookup answers for a hash, or for a file that url names.
func (h *Handler) lookup(r *request) (any, error) {
	if r.query.Get("url") != "" {
		return h.lookupURL(r)
	}
	hash, err := parseSignal(r.query)
	if err != nil {
		return nil, err
	}
	banks, err := r.parseBanks()
	if err != nil {
		return nil, err
	}
	found, err := r.search(hash)
	if err != nil {
		return nil, err
	}
	decision := r.policy.Decide(hashmatch.Findings{Surface: r.surface, Matches: found})
	out := bankMatches{}
	if decision.Action == hashmatch.Allow { // nothing, or what is only recorded
		return out, nil
	}
	for _, m := range nearest(decision.Matches) {
		if actedOn(m) && (banks == nil || banks[m.List]) {
			out[m.List] = append(out[m.List], toMatch(m))
		}
	}
	return out, nil
}

// maxCompare is the length of the longest body of a comparison.
const maxCompare = 64 << 10

// compare answers how far two hashes of each kind are apart, and whether the widest threshold in force covers it.
func (h *Handler) compare(r *request) (any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxCompare+1))
	if err != nil || len(body) > maxCompare {
		return nil, &refusal{http.StatusRequestEntityTooLarge, "the body is too long, or did not arrive"}
	}
	pairs, err := parsePairs(body)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any)
	for name, pair := range pairs {
		reach := -1
		for list := range r.lists.Revisions() {
			reach = max(reach, r.policy.Reach(r.surface, list, pair[0].Kind, 100))
		}
		if reach < 0 {
			return nil, bad("a signal type is not enabled: no list is searched for it")
		}
		distance := pair[0].Distance(pair[1])
		if pair[0].Kind.Digest() {
			out[name] = []any{distance == 0, struct{}{}}
			continue
		}
		out[name] = []any{distance <= reach, map[string]int{"distance": distance}}
	}
	return out, nil
}

// parsePairs reads {"pdq": ["HEX", "HEX"], …}, and nothing else.
func parsePairs(body []byte) (map[string][2]hashmatch.Hash, error) {
	d := json.NewDecoder(strings.NewReader(string(body)))
	var broken error
	token := func() json.Token {
		t, err := d.Token()
		if err != nil {
			broken = bad("want a JSON object of signal types with two hashes each")
		}
		return t
	}
	want := func(t json.Token) {
		if got := token(); got != t && broken == nil {
			broken = bad("want a JSON object of signal types with two hashes each")
		}
	}
	out := make(map[string][2]hashmatch.Hash)
	want(json.Delim('{'))
	for broken == nil && d.More() {
		name, _ := token().(string)
		want(json.Delim('['))
		first, ok1 := token().(string)
		second, ok2 := token().(string)
		want(json.Delim(']'))
		kind, err := parseType(name)
		switch _, twice := out[name]; {
		case broken != nil:
			return nil, broken
		case err != nil:
			return nil, err
		case !ok1 || !ok2 || twice:
			return nil, bad("want two hashes for each signal type")
		}
		a, err := hashmatch.ParseHex(kind, strings.TrimSpace(first))
		b, err2 := hashmatch.ParseHex(kind, strings.TrimSpace(second))
		if err != nil || err2 != nil {
			return nil, bad(fmt.Sprintf("invalid hash: want %d hex digits", kind.Bits()/4))
		}
		out[name] = [2]hashmatch.Hash{a, b}
	}
	want(json.Delim('}'))
	if broken != nil {
		return nil, broken
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad("something follows the JSON object")
	}
	if len(out) == 0 {
		return nil, bad("nothing to compare")
	}
	return out, nil
}
