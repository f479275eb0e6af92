package policy

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// Trust says whether what a source lists is acted on. The zero Trust is Full.
type Trust string

// The levels of trust.
const (
	Full Trust = "full" // as the rules say
	None Trust = "none" // matches are reported with the action allow, and nothing follows from them
)

// Source states the rules for entries of one source, named as in EntryKey.Source. What it leaves out is the list's. Where
// a label of the entry states an action or a threshold too, the more careful of the two holds: the milder action, the
// narrower threshold. What a source is not trusted with, no label gives it.
type Source struct {
	Trust Trust // "" means Full
	// MinVotes is how many positive votes the signature that matches must have: with fewer the match is held at most. It
	// is found all the same: a hash with few votes may be right, so a person looks. Votes are those that the exchange
	// states; an entry of a source that states none has none. 0 means that none are needed.
	MinVotes    int
	Thresholds  map[hashmatch.Kind]int
	Exact, Near *hashmatch.Action
}

// sourceRules are the rules of one source; what it leaves out is the list's.
type sourceRules struct {
	labelRules
	ignored  bool
	minVotes uint32
}

// newSources returns the rules of sources, with those of the defaults for sources that are not named.
func newSources(sources map[string]Source, defaults map[string]sourceRules, kinds hashmatch.KindSet) (map[string]sourceRules, *Error) {
	all := maps.Clone(defaults)
	if all == nil {
		all = make(map[string]sourceRules, len(sources))
	}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		rules, err := newSource(name, sources[name], kinds)
		if err != nil {
			return nil, err
		}
		all[name] = rules
	}
	return all, nil
}

func newSource(name string, source Source, kinds hashmatch.KindSet) (sourceRules, *Error) {
	key := "sources." + name
	if name == "" {
		return sourceRules{}, &Error{Key: "sources", Reason: "a source without a name"}
	}
	switch {
	case source.Trust != "" && source.Trust != Full && source.Trust != None:
		return sourceRules{}, &Error{Key: key + ".trust", Reason: fmt.Sprintf("%q: want full or none", source.Trust)}
	case source.MinVotes < 0 || source.MinVotes > math.MaxInt32:
		return sourceRules{}, &Error{Key: key + ".min_votes", Reason: fmt.Sprintf("%d: want 0 to %d", source.MinVotes, math.MaxInt32)}
	}
	label, err := newRules(key, Label{source.Thresholds, source.Exact, source.Near}, kinds)
	return sourceRules{labelRules: label, ignored: source.Trust == None, minVotes: uint32(source.MinVotes)}, err
}

// of returns the action that is stated for an exact or a near match; nil if none is.
func (r *labelRules) of(exact bool) *hashmatch.Action {
	if exact {
		return r.exact
	}
	return r.near
}

// milder returns the milder of a and b.
func milder(a, b hashmatch.Action) hashmatch.Action {
	if a.Stricter(b) == a {
		return b
	}
	return a
}

// Ignored says whether the policy acts on nothing that a source lists in a list.
func (p *Policy) Ignored(list, source string) bool { return p.list(list).sources[source].ignored }

// IgnoresAny says whether there is a source of which the policy acts on nothing in a list.
func (p *Policy) IgnoresAny(list string) bool {
	for _, rules := range p.list(list).sources {
		if rules.ignored {
			return true
		}
	}
	return false
}

func (r *sourceRules) effective(kinds hashmatch.KindSet) Source {
	source := Source{Trust: Full, MinVotes: int(r.minVotes), Thresholds: stated(r.stated&kinds, &r.thresholds)}
	if r.ignored {
		source.Trust = None
	}
	if r.exact != nil {
		source.Exact = new(*r.exact)
	}
	if r.near != nil {
		source.Near = new(*r.near)
	}
	return source
}
