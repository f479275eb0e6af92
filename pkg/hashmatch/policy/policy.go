// Package policy decides what follows from what was found out about an upload.
//
// It promises that nothing ends in an allow unless the policy says so: a failure, a note, a list, a surface or a
// status that it does not know is a hold or is acted on in full, the strictest answer of all that apply wins, and an
// allow-list wins over near matches only.
//
//	entry     active      its list's or label's action
//	          disputed    the same, but hold at most; so with a vote against it, or fewer for it than its source needs
//	          suspended   reported with the action allow: never acted on alone
//	          withdrawn   not reported
//	allow     exact       wins over every near match of the file
//	          near        wins over near matches in the same frame, panel, geometry and background
//	                      neither wins where an exact match is acted on, nor over failures and notes
//
// Call New with a Config, hand the Policy to a Scanner.
package policy

import (
	"example.org/hashmatch/pkg/hashmatch"
)

// Policy implements hashmatch.Policy. New makes one. It is immutable and safe for concurrent use.
type Policy struct {
	defaults *listRules
	lists    map[string]*listRules
	other    surfaceRules // for a surface that is not named
	surfaces map[string]surfaceRules
	revision string
}

var _ hashmatch.Policy = (*Policy)(nil)

// slots is enough for every kind: a KindSet has 32 bits.
const slots = 32

// listRules are the rules of one list with nothing left out.
type listRules struct {
	role        Role
	shadow      bool
	kinds       hashmatch.KindSet
	floor       int
	thresholds  [slots]int // by kind; meaningful for kinds only
	exact, near hashmatch.Action
	labels      map[string]labelRules
	sources     map[string]sourceRules
	reach       [slots]int // by kind: the widest threshold of the list, its labels and its sources
	views       viewRules
}

// viewRules are the rules for matches in altered views.
type viewRules struct {
	search     bool
	thresholds [slots]int
	evidence   int
}

// labelRules are the rules of one label; what it leaves out is the list's.
type labelRules struct {
	stated      hashmatch.KindSet // the kinds whose threshold is stated
	thresholds  [slots]int
	exact, near *hashmatch.Action
}

// surfaceRules are the rules of one surface with nothing left out.
type surfaceRules struct {
	failures map[hashmatch.FailureCode]hashmatch.Action
	notes    map[hashmatch.Note]hashmatch.Action
	dihedral hashmatch.KindSet
	exact    bool
	views    hashmatch.Profile
}

func (p *Policy) list(name string) *listRules {
	if rules, ok := p.lists[name]; ok {
		return rules
	}
	return p.defaults
}

func (p *Policy) surface(s hashmatch.Surface) surfaceRules {
	if rules, ok := p.surfaces[s.Name()]; ok {
		return rules
	}
	return p.other
}

// Revision returns 16 hexadecimal digits of a digest over every rule: the same for the same rules, in whatever order
// they were stated and whether a default was stated or left out.
func (p *Policy) Revision() string { return p.revision }

// Reach returns the widest distance at which a hash of the given kind and quality is of interest in the list: the
// widest threshold of the list, its labels and its sources, 0 for a digest, -1 if the list is not searched for it at all.
// It is the same on every surface.
func (p *Policy) Reach(_ hashmatch.Surface, list string, kind hashmatch.Kind, quality int) int {
	rules := p.list(list)
	if !rules.kinds.Has(kind) || !kind.Digest() && quality < rules.floor {
		return -1
	}
	return rules.reach[kind]
}

// ViewReach returns the widest distance at which the hash of an altered view is of interest in the list: at most Reach,
// -1 if the list is not searched for it at all. It is the same on every surface.
func (p *Policy) ViewReach(surface hashmatch.Surface, list string, kind hashmatch.Kind, quality int) int {
	rules := p.list(list)
	if !rules.views.search || kind.Digest() {
		return -1
	}
	return min(p.Reach(surface, list, kind, quality), rules.views.thresholds[kind])
}

// Profile returns under which views uploads on the surface are searched.
func (p *Policy) Profile(surface hashmatch.Surface) hashmatch.Profile {
	return p.surface(surface).views
}

// Kinds returns the kinds that are searched in the list on the surface. If none of them is a kind that the list
// holds, the list can never match: do not start with it.
func (p *Policy) Kinds(_ hashmatch.Surface, list string) hashmatch.KindSet { return p.list(list).kinds }

// Role returns what the list is for. A list that the policy does not name is a BlockList.
func (p *Policy) Role(list string) Role { return p.list(list).role }

// Dihedral returns the kinds whose turned and mirrored hashes are searched too.
func (p *Policy) Dihedral(surface hashmatch.Surface) hashmatch.KindSet {
	return p.surface(surface).dihedral
}

// Exact reports whether uploads on the surface are always decided on the hashes of the full picture.
func (p *Policy) Exact(surface hashmatch.Surface) bool { return p.surface(surface).exact }

// failure returns the action for a failure; hold for one that no rule knows.
func (r surfaceRules) failure(code hashmatch.FailureCode) hashmatch.Action {
	if action, ok := r.failures[code]; ok {
		return action
	}
	return hashmatch.Hold
}

// note returns the action for a note; hold for one that no rule knows.
func (r surfaceRules) note(note hashmatch.Note) hashmatch.Action {
	if action, ok := r.notes[note]; ok {
		return action
	}
	return hashmatch.Hold
}

// threshold returns the largest distance that is a match for the entry of m, and false if the kind is not searched in the
// list. A match of an invalid kind counts whatever its distance: nothing that was found is dropped because it is not
// understood.
func (r *listRules) threshold(m *hashmatch.Match) (int, bool) {
	kind := m.Kind
	if !kind.Valid() || !r.kinds.Has(kind) {
		return 0, false
	}
	if kind.Digest() {
		return 0, true
	}
	threshold, stated := r.thresholds[kind], false
	if len(r.labels) > 0 {
		for _, label := range m.Labels {
			rules, ok := r.labels[label]
			if !ok || !rules.stated.Has(kind) {
				continue
			}
			if !stated || rules.thresholds[kind] > threshold {
				threshold, stated = rules.thresholds[kind], true
			}
		}
	}
	if len(r.sources) > 0 {
		if source, ok := r.sources[m.Key.Source]; ok && source.stated.Has(kind) {
			if !stated || source.thresholds[kind] < threshold {
				threshold = source.thresholds[kind]
			}
		}
	}
	return threshold, true
}

// action returns what is to be done about a match: its source, its votes and its status considered.
func (r *listRules) action(m *hashmatch.Match) hashmatch.Action {
	action, stated := r.near, false
	if m.Exact() {
		action = r.exact
	}
	if len(r.labels) > 0 {
		for _, label := range m.Labels {
			rules := r.labels[label]
			of := rules.of(m.Exact())
			switch {
			case of == nil:
			case !stated:
				action, stated = *of, true
			default:
				action = action.Stricter(*of)
			}
		}
	}
	var source sourceRules
	if len(r.sources) > 0 {
		source = r.sources[m.Key.Source]
		if of := source.of(m.Exact()); of != nil && !stated {
			action = *of
		} else if of != nil {
			action = milder(action, *of)
		}
	}
	if !m.Kind.Valid() {
		action = action.Stricter(hashmatch.Hold)
	}
	switch {
	case m.Status == hashmatch.Suspended, source.ignored:
		return hashmatch.Allow
	case m.Status == hashmatch.Disputed, m.Votes.Negative > 0, m.Votes.Positive < source.minVotes:
		return milder(action, hashmatch.Hold)
	}
	return action
}
