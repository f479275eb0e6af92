package policy

import (
	"fmt"
	"maps"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// everyKind is the set of all kinds.
func everyKind() hashmatch.KindSet { return hashmatch.SetOf(hashmatch.Kinds()...) }

// New returns the policy that config states, or an *Error that names the first rule that is wrong.
func New(config Config) (*Policy, error) {
	defaults, err := newDefaults(config.Defaults)
	if err != nil {
		err.Defaults = true
		return nil, err
	}
	p := &Policy{
		defaults: defaults,
		lists:    make(map[string]*listRules, len(config.Lists)),
		surfaces: make(map[string]surfaceRules, len(config.Surfaces)),
	}
	for _, name := range slices.Sorted(maps.Keys(config.Lists)) {
		if name == "" {
			return nil, &Error{Key: "lists", Reason: "a list without a name"}
		}
		rules, err := newList(config.Lists[name], defaults)
		if err != nil {
			err.List = name
			return nil, err
		}
		p.lists[name] = rules
	}
	if err := p.newSurfaces(config); err != nil {
		return nil, err
	}
	p.revision = p.digest()
	return p, nil
}

// newDefaults returns the rules for lists that are not named.
func newDefaults(list List) (*listRules, *Error) {
	if list.Role == AllowList {
		return nil, &Error{Key: "role", Reason: "a list that is not named cannot be an allow-list"}
	}
	if list.Shadow {
		return nil, &Error{Key: "shadow", Reason: "stated for each list, not for those that are not named"}
	}
	builtin := &listRules{
		role: BlockList, kinds: everyKind(), floor: DefaultQualityFloor, exact: DefaultExact, near: DefaultNear,
	}
	for _, kind := range hashmatch.Kinds() {
		builtin.thresholds[kind] = DefaultThreshold(kind)
		builtin.views.thresholds[kind] = MaxThreshold(kind)
	}
	builtin.views.search, builtin.views.evidence = true, 1
	return newList(list, builtin)
}

// newList returns the rules of one list; what it leaves out is taken from defaults.
func newList(list List, defaults *listRules) (*listRules, *Error) {
	rules := *defaults
	switch list.Role {
	case "", BlockList:
		rules.role = BlockList
	case AllowList:
		rules.role = AllowList
	default:
		return nil, &Error{Key: "role", Reason: fmt.Sprintf("%q: want block or allow", list.Role)}
	}
	rules.shadow = list.Shadow
	if list.Shadow && rules.role == AllowList {
		return nil, &Error{Key: "shadow", Reason: "an allow-list has no shadow mode"}
	}
	if list.Kinds&^everyKind() != 0 {
		return nil, &Error{Key: "kinds", Reason: "an invalid kind"}
	}
	if list.Kinds != 0 {
		rules.kinds = list.Kinds
	}
	if rules.role == AllowList {
		if err := allowOnly(list, &rules); err != nil {
			return nil, err
		}
	}
	if err := thresholds("thresholds", list.Thresholds, rules.kinds, &rules.thresholds); err != nil {
		return nil, err
	}
	if err := rules.views.state(list.Views, rules.kinds); err != nil {
		return nil, err
	}
	if list.QualityFloor != nil {
		rules.floor = *list.QualityFloor
		if rules.floor < 0 || rules.floor > 100 {
			return nil, &Error{Key: "quality_floor", Reason: fmt.Sprintf("%d: want 0 to 100", rules.floor)}
		}
	}
	if err := actions("actions", list.Exact, list.Near); err != nil {
		return nil, err
	}
	if list.Exact != nil {
		rules.exact = *list.Exact
	}
	if list.Near != nil {
		rules.near = *list.Near
	}
	rules.labels = make(map[string]labelRules, len(defaults.labels)+len(list.Labels))
	if rules.role == BlockList {
		maps.Copy(rules.labels, defaults.labels)
	}
	for _, name := range slices.Sorted(maps.Keys(list.Labels)) {
		label, err := newLabel(name, list.Labels[name], rules.kinds)
		if err != nil {
			return nil, err
		}
		rules.labels[name] = label
	}
	var inherited map[string]sourceRules
	if rules.role == BlockList {
		inherited = defaults.sources
	}
	var err *Error
	if rules.sources, err = newSources(list.Sources, inherited, rules.kinds); err != nil {
		return nil, err
	}
	rules.widen()
	return &rules, nil
}

// allowOnly checks what may not be stated for an allow-list, and leaves only the kinds in rules that it is searched
// for.
func allowOnly(list List, rules *listRules) *Error {
	switch {
	case list.Exact != nil || list.Near != nil:
		return &Error{Key: "actions", Reason: "an allow-list has none: it wins over near matches or it does not"}
	case len(list.Labels) > 0:
		return &Error{Key: "labels", Reason: "an allow-list has no rules for labels"}
	case len(list.Sources) > 0:
		return &Error{Key: "sources", Reason: "an allow-list has no rules for sources"}
	}
	if v := list.Views; v.Search != nil && *v.Search || len(v.Thresholds) > 0 || v.Evidence != 0 {
		return &Error{Key: "views", Reason: "an allow-list is searched for pictures as they are only"}
	}
	rules.views.search = false
	stated := hashmatch.SetOf(slices.Collect(maps.Keys(list.Thresholds))...)
	if list.Kinds == 0 {
		rules.kinds = everyKind().Digests() | stated
	}
	if silent := rules.kinds.Perceptual() &^ stated; silent != 0 {
		kind := silent.Kinds()[0]
		return &Error{Key: "kinds", Reason: fmt.Sprintf("%s: an allow-list needs thresholds.%s stated too", kind, kind)}
	}
	return nil
}

// state puts what is stated in its place.
func (r *viewRules) state(v Views, kinds hashmatch.KindSet) *Error {
	if v.Search != nil {
		r.search = *v.Search
	}
	if v.Evidence < 0 || v.Evidence > MaxEvidence {
		return &Error{Key: "views.evidence", Reason: fmt.Sprintf("%d: want 1 to %d", v.Evidence, MaxEvidence)}
	}
	if v.Evidence > 0 {
		r.evidence = v.Evidence
	}
	return thresholds("views.thresholds", v.Thresholds, kinds, &r.thresholds)
}

// newLabel returns the rules of one label.
func newLabel(name string, label Label, kinds hashmatch.KindSet) (labelRules, *Error) {
	if name == "" {
		return labelRules{}, &Error{Key: "labels", Reason: "a label without a name"}
	}
	return newRules("labels."+name, label, kinds)
}

// newRules returns rules that stand at key.
func newRules(key string, label Label, kinds hashmatch.KindSet) (labelRules, *Error) {
	rules := labelRules{stated: hashmatch.SetOf(slices.Collect(maps.Keys(label.Thresholds))...)}
	if err := thresholds(key+".thresholds", label.Thresholds, kinds, &rules.thresholds); err != nil {
		return rules, err
	}
	if err := actions(key+".actions", label.Exact, label.Near); err != nil {
		return rules, err
	}
	if label.Exact != nil {
		rules.exact = new(*label.Exact)
	}
	if label.Near != nil {
		rules.near = new(*label.Near)
	}
	return rules, nil
}

// thresholds checks stated thresholds and copies them to into.
func thresholds(key string, stated map[hashmatch.Kind]int, kinds hashmatch.KindSet, into *[slots]int) *Error {
	for _, kind := range slices.Sorted(maps.Keys(stated)) {
		distance, limit := stated[kind], MaxThreshold(kind)
		err := &Error{Key: fmt.Sprintf("%s.%s", key, kind)}
		switch {
		case !kind.Valid():
			err.Reason = "an invalid kind"
		case kind.Digest():
			err.Reason = "a digest matches whole or not at all: it has no threshold"
		case distance < 0 || distance > limit:
			err.Reason = fmt.Sprintf("%d: want 0 to %d", distance, limit)
		case !kinds.Has(kind):
			err.Reason = fmt.Sprintf("%d: stated for a kind that is not among the list's kinds", distance)
		default:
			into[kind] = distance
			continue
		}
		return err
	}
	return nil
}

// actions checks stated actions.
func actions(key string, exact, near *hashmatch.Action) *Error {
	if exact != nil && !valid(*exact) {
		return &Error{Key: key + ".exact", Reason: "want allow, hold or block"}
	}
	if near != nil && !valid(*near) {
		return &Error{Key: key + ".near", Reason: "want allow, hold or block"}
	}
	return nil
}

func valid(action hashmatch.Action) bool {
	return action == hashmatch.Allow || action == hashmatch.Hold || action == hashmatch.Block
}

// widen sets reach to the widest threshold of the list, its labels and its sources.
func (r *listRules) widen() {
	r.reach = r.thresholds
	for _, label := range r.labels {
		for _, kind := range label.stated.Kinds() {
			r.reach[kind] = max(r.reach[kind], label.thresholds[kind])
		}
	}
	for _, source := range r.sources {
		for _, kind := range source.stated.Kinds() {
			r.reach[kind] = max(r.reach[kind], source.thresholds[kind])
		}
	}
}

// newSurfaces fills the rules of surfaces.
func (p *Policy) newSurfaces(config Config) error {
	base := surfaceRules{
		failures: make(map[hashmatch.FailureCode]hashmatch.Action),
		notes:    make(map[hashmatch.Note]hashmatch.Action),
		dihedral: hashmatch.SetOf(hashmatch.PDQ),
		views:    hashmatch.Plain,
	}
	for _, code := range hashmatch.FailureCodes() {
		base.failures[code] = hashmatch.Hold
	}
	for _, note := range Notes() {
		base.notes[note] = DefaultNote(note)
	}
	var err *Error
	p.other, err = base.with(config.Failures, config.Notes, config.Dihedral, config.Exact, config.Views)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(config.Surfaces)) {
		surface := config.Surfaces[name]
		if name == "" {
			return &Error{Key: "surfaces", Reason: "a surface without a name"}
		}
		rules, err := p.other.with(surface.Failures, surface.Notes, surface.Dihedral, surface.Exact, surface.Views)
		switch {
		case err != nil:
			err.Surface = name
			return err
		case surface.NotImage == nil:
			return &Error{Surface: name, Key: "not_image", Reason: "must be stated: allow, hold or block"}
		case !valid(*surface.NotImage):
			return &Error{Surface: name, Key: "not_image", Reason: "want allow, hold or block"}
		}
		rules.failures[hashmatch.NotImage] = *surface.NotImage
		p.surfaces[name] = rules
	}
	return nil
}

// with returns a copy of the rules with the stated ones in their places.
func (r surfaceRules) with(failures map[hashmatch.FailureCode]hashmatch.Action,
	notes map[hashmatch.Note]hashmatch.Action, dihedral *hashmatch.KindSet, exact *bool, views hashmatch.Profile) (surfaceRules, *Error) {
	r.failures, r.notes = maps.Clone(r.failures), maps.Clone(r.notes)
	for _, code := range slices.Sorted(maps.Keys(failures)) {
		action, err := failures[code], &Error{Key: "failures." + string(code)}
		switch {
		case code == hashmatch.NotImage:
			err.Reason = "each surface states its own answer, as not_image"
		case !slices.Contains(hashmatch.FailureCodes(), code):
			err.Reason = "unknown failure code"
		case !valid(action):
			err.Reason = "want allow, hold or block"
		default:
			r.failures[code] = action
			continue
		}
		return r, err
	}
	for _, note := range slices.Sorted(maps.Keys(notes)) {
		action, err := notes[note], &Error{Key: "notes." + string(note)}
		switch {
		case !slices.Contains(Notes(), note):
			err.Reason = "unknown note"
		case !valid(action):
			err.Reason = "want allow, hold or block"
		case action == hashmatch.Allow && note != hashmatch.LowQuality:
			err.Reason = "allow: want hold or block, for nothing was searched"
		default:
			r.notes[note] = action
			continue
		}
		return r, err
	}
	if dihedral != nil {
		if wrong := *dihedral &^ everyKind().Perceptual(); wrong != 0 {
			return r, &Error{Key: "dihedral", Reason: "only perceptual kinds are taken of turned pictures"}
		}
		r.dihedral = *dihedral
	}
	if exact != nil {
		r.exact = *exact
	}
	if views != "" {
		if !views.Valid() {
			return r, &Error{Key: "views", Reason: fmt.Sprintf("%q: want one of %v", views, hashmatch.Profiles())}
		}
		r.views = views
	}
	return r, nil
}
