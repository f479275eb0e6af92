package policy

import (
	"cmp"
	"iter"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// Decide returns the decision: the strictest action over all matches, failures and notes, allow if there are none.
//
// Would is the same with the lists counted whose rules are in shadow mode; their matches are among Matches too.
//
// Matches are those that count, one for each list, entry and kind (the nearest, of equals the one in the default
// view, then in the lowest frame), strictest action first, then exact before near, then by distance. Those with the
// action allow are there to explain: of a suspended entry, of a source with trust none, overruled by AllowedBy, or in an
// altered view with too little evidence. Entries of allow-lists are not among them. AllowedBy is nil unless it overruled a
// near match that would have been acted on.
//
// The cost is one sort of the candidates. The candidates themselves are not changed. Decide does not look at
// Match.Quality: the floor was applied by Reach, and a caller that states no quality, or no evidence, must not lose a
// match.
func (p *Policy) Decide(f hashmatch.Findings) hashmatch.Decision {
	rules := p.surface(f.Surface)
	decision := hashmatch.Decision{Action: hashmatch.Allow}
	if !f.Surface.Declared() {
		decision.Action = hashmatch.Hold
	}
	for _, failure := range f.Failures {
		decision.Action = decision.Action.Stricter(rules.failure(failure.Code))
	}
	for _, note := range f.Notes {
		decision.Action = decision.Action.Stricter(rules.note(note))
	}
	hits, allowing := p.sift(f.Matches)
	if by := overrule(hits, allowing); by != nil {
		m := by.match()
		decision.AllowedBy = &m
	}
	decision.Would = decision.Action
	for i := range hits {
		decision.Would = decision.Would.Stricter(hits[i].action)
		if !hits[i].shadow {
			decision.Action = decision.Action.Stricter(hits[i].action)
		}
	}
	decision.Matches = report(hits)
	return decision
}

// hit is a candidate that is within its threshold.
type hit struct {
	*hashmatch.Match
	threshold int
	action    hashmatch.Action
	shadow    bool
}

// match returns the match with its threshold and action.
func (h *hit) match() hashmatch.Match {
	m := *h.Match
	m.Threshold, m.Action, m.Shadow = h.threshold, h.action, h.shadow
	return m
}

// sift returns the candidates that are within their thresholds: those to act on or to report, and those of
// allow-lists. The entries of an allow-list count only if they are active.
func (p *Policy) sift(candidates []hashmatch.Match) (hits, allowing []hit) {
	name, rules := "", p.list("")
	for i := range candidates {
		m := &candidates[i]
		if m.Status == hashmatch.Withdrawn {
			continue
		}
		if m.List != name {
			name, rules = m.List, p.list(m.List)
		}
		threshold, searched := rules.threshold(m)
		if m.View.Altered() && m.Kind.Valid() {
			threshold, searched = min(threshold, rules.views.thresholds[m.Kind]), searched && rules.views.search
		}
		if m.Kind.Valid() && (!searched || m.Distance > threshold) {
			continue
		}
		switch {
		case rules.role != AllowList:
			action := rules.action(m)
			if m.View.Altered() && m.Evidence > 0 && m.Evidence < rules.views.evidence {
				action = hashmatch.Allow
			}
			hits = append(hits, hit{m, threshold, action, rules.shadow})
		case m.Kind.Valid() && m.Distance >= 0 && m.Status == hashmatch.Active:
			allowing = append(allowing, hit{m, threshold, hashmatch.Allow, false})
		}
	}
	return hits, allowing
}

// sight is what a near match was found in. Turning a picture does not make it another one; another frame, panel or trim
// of it does, and another background too, which is all that a viewer sees of some pictures. An allowed picture in one
// must not hide a listed one in another.
type sight struct {
	frame                       int
	panel, geometry, background string
}

func sightOf(frame int, v hashmatch.View) sight {
	return sight{frame, v.Panel, v.Geometry, v.Background}
}

// sights calls yield with everything that a match was found in.
func sights(m *hashmatch.Match) iter.Seq[sight] {
	return func(yield func(sight) bool) {
		if !yield(sightOf(m.Frame, m.View)) {
			return
		}
		for i := range m.Others {
			if !yield(sightOf(m.Others[i].Frame, m.Others[i].View)) {
				return
			}
		}
	}
}

// overrule sets the action of the near matches that an allow-list wins over to allow, and returns the strongest
// entry that won; nil if none did. Where an exact match is acted on, the allow-list is not believed at all.
func overrule(hits, allowing []hit) *hit {
	if len(allowing) == 0 {
		return nil
	}
	for i := range hits {
		if hits[i].Exact() && hits[i].action != hashmatch.Allow && !hits[i].shadow {
			return nil
		}
	}
	slices.SortFunc(allowing, byStrength)
	exact := allowing[0].Exact()
	seen := make(map[sight]*hit)
	for i := range allowing {
		for s := range sights(allowing[i].Match) {
			if seen[s] == nil {
				seen[s] = &allowing[i]
			}
		}
	}
	var strongest *hit
	for i := range hits {
		h := &hits[i]
		if h.action == hashmatch.Allow || h.Exact() {
			continue
		}
		by := &allowing[0]
		if !exact {
			by = nil
			for s := range sights(h.Match) { // in each of them an allowed picture
				if by = seen[s]; by == nil {
					break
				}
			}
		}
		if by == nil {
			continue
		}
		h.action = hashmatch.Allow
		if strongest == nil || byStrength(*by, *strongest) < 0 {
			strongest = by
		}
	}
	return strongest
}

// report returns the matches of hits, sorted, one for each list, entry and kind.
func report(hits []hit) []hashmatch.Match {
	if len(hits) == 0 {
		return nil
	}
	slices.SortFunc(hits, byStrength)
	type key struct {
		list, entry string
		key         hashmatch.EntryKey
		kind        hashmatch.Kind
	}
	seen := make(map[key]struct{}, len(hits))
	matches := make([]hashmatch.Match, 0, len(hits))
	for i := range hits {
		h := &hits[i]
		k := key{h.List, h.Entry, h.Key, h.Kind}
		if k.entry != "" {
			k.key = hashmatch.EntryKey{} // Entry is its text
		}
		if _, ok := seen[k]; ok {
			continue
		}
		seen[k] = struct{}{}
		matches = append(matches, h.match())
	}
	return matches
}

// byStrength orders the strictest action first, then exact before near, then by distance, list, entry and kind, then
// the default view and the lowest frame first.
func byStrength(a, b hit) int {
	if a.action != b.action {
		if a.action.Stricter(b.action) == a.action {
			return -1
		}
		return 1
	}
	if a.Exact() != b.Exact() {
		if a.Exact() {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.Distance, b.Distance),
		cmp.Compare(a.List, b.List),
		cmp.Compare(a.Entry, b.Entry),
		cmp.Compare(a.Kind, b.Kind),
		byView(a.View, b.View),
		cmp.Compare(a.Frame, b.Frame),
	)
}

// byView orders the default view first, then any fixed order.
func byView(a, b hashmatch.View) int {
	if a == b {
		return 0
	}
	var none hashmatch.View
	if a == none {
		return -1
	}
	if b == none {
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.Panel, b.Panel),
		cmp.Compare(a.Geometry, b.Geometry),
		cmp.Compare(a.Dihedral, b.Dihedral),
		cmp.Compare(a.Orientation, b.Orientation),
		cmp.Compare(a.Background, b.Background),
	)
}
