package hashmatch

// wantsViews reports whether the picture is searched under altered views too.
func (s *scan) wantsViews() bool {
	return s.config.Viewer != nil && s.profile != "" && s.profile != Plain
}

// nearView reports whether the lists hold anything near one of the altered views. All are searched at once, which
// costs less than one after the other, and nearly always that is all.
func (s *scan) nearView() bool {
	byKind := make(map[Kind][]Hash)
	for _, h := range s.views {
		if !h.Hash.Zero() && s.fits(h) {
			byKind[h.Hash.Kind] = append(byKind[h.Hash.Kind], h.Hash)
		}
	}
	for kind, queries := range byKind {
		if s.lists.Near(queries, func(list string) int { return s.policy.ViewReach(s.item.Surface, list, kind, 100) }) {
			return true
		}
	}
	return false
}

// fits reports whether the hash of an altered view is searched in any list: whether its quality is enough.
func (s *scan) fits(h FrameHash) bool {
	for list := range s.lists.Revisions() {
		if s.reach(list, h, h.Quality) >= 0 {
			return true
		}
	}
	return false
}

// weigh sets the Evidence of the matches, where altered views were searched.
func (s *scan) weigh() {
	if !s.wantsViews() {
		return
	}
	type entry struct {
		list string
		key  EntryKey
		text string
	}
	type look struct {
		kind            Kind
		panel, geometry string
	}
	of := func(m *Match) entry { return entry{m.List, m.Key, m.Entry} }
	looks := make(map[entry]map[look]struct{})
	for i := range s.matches {
		m := &s.matches[i]
		if looks[of(m)] == nil {
			looks[of(m)] = make(map[look]struct{})
		}
		add := func(v View) { looks[of(m)][look{m.Kind, v.Panel, v.Geometry}] = struct{}{} }
		add(m.View)
		for _, other := range m.Others {
			add(other.View)
		}
	}
	for i := range s.matches {
		s.matches[i].Evidence = len(looks[of(&s.matches[i])])
	}
}
