package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

// Effective returns the policy as a Config in which nothing is left out: New of it has the same revision. The caller
// may change it.
func (p *Policy) Effective() Config {
	failures := maps.Clone(p.other.failures)
	delete(failures, hashmatch.NotImage) // stated by each surface
	config := Config{
		Defaults: p.defaults.effective(),
		Lists:    make(map[string]List, len(p.lists)),
		Failures: failures,
		Notes:    maps.Clone(p.other.notes),
		Dihedral: new(p.other.dihedral),
		Exact:    new(p.other.exact),
		Views:    p.other.views,
		Surfaces: make(map[string]Surface, len(p.surfaces)),
	}
	for name, rules := range p.lists {
		config.Lists[name] = rules.effective()
	}
	for name, rules := range p.surfaces {
		failures := maps.Clone(rules.failures)
		delete(failures, hashmatch.NotImage)
		config.Surfaces[name] = Surface{
			NotImage: new(rules.failures[hashmatch.NotImage]),
			Failures: failures,
			Notes:    maps.Clone(rules.notes),
			Dihedral: new(rules.dihedral),
			Exact:    new(rules.exact),
			Views:    rules.views,
		}
	}
	return config
}

func (r *listRules) effective() List {
	list := List{
		Role:         r.role,
		Shadow:       r.shadow,
		Kinds:        r.kinds,
		Thresholds:   stated(r.kinds.Perceptual(), &r.thresholds),
		QualityFloor: new(r.floor),
	}
	if r.role == AllowList {
		return list
	}
	list.Exact, list.Near = new(r.exact), new(r.near)
	list.Views = Views{
		Search: new(r.views.search), Evidence: r.views.evidence,
		Thresholds: stated(r.kinds.Perceptual(), &r.views.thresholds),
	}
	list.Labels = make(map[string]Label, len(r.labels))
	for name, rules := range r.labels {
		label := Label{Thresholds: stated(rules.stated&r.kinds, &rules.thresholds)}
		if rules.exact != nil {
			label.Exact = new(*rules.exact)
		}
		if rules.near != nil {
			label.Near = new(*rules.near)
		}
		list.Labels[name] = label
	}
	list.Sources = make(map[string]Source, len(r.sources))
	for name, rules := range r.sources {
		list.Sources[name] = rules.effective(r.kinds)
	}
	return list
}

func stated(kinds hashmatch.KindSet, thresholds *[slots]int) map[hashmatch.Kind]int {
	m := make(map[hashmatch.Kind]int)
	for _, kind := range kinds.Kinds() {
		m[kind] = thresholds[kind]
	}
	return m
}

// digest returns the revision: a digest over one canonical text of every rule. The first line names the meaning of
// the rules: it changes when the same rules come to decide otherwise.
func (p *Policy) digest() string {
	var text strings.Builder
	config := p.Effective()
	text.WriteString("hashmatch policy 1\n")
	writeList(&text, "defaults", config.Defaults)
	for _, name := range slices.Sorted(maps.Keys(config.Lists)) {
		writeList(&text, fmt.Sprintf("list %q", name), config.Lists[name])
	}
	writeSurface(&text, "surfaces", Surface{Failures: config.Failures, Notes: config.Notes, Dihedral: config.Dihedral, Exact: config.Exact, Views: config.Views})
	for _, name := range slices.Sorted(maps.Keys(config.Surfaces)) {
		writeSurface(&text, fmt.Sprintf("surface %q", name), config.Surfaces[name])
	}
	sum := sha256.Sum256([]byte(text.String()))
	return hex.EncodeToString(sum[:8])
}

func writeList(text *strings.Builder, title string, list List) {
	fmt.Fprintf(text, "%s: role %s kinds %v floor %d\n", title, list.Role, list.Kinds.Kinds(), *list.QualityFloor)
	if list.Shadow {
		text.WriteString("shadow\n")
	}
	writeRules(text, Label{list.Thresholds, list.Exact, list.Near})
	if v := list.Views; v.Search != nil {
		fmt.Fprintf(text, "views %t evidence %d\n", *v.Search, v.Evidence)
		writeRules(text, Label{Thresholds: v.Thresholds})
	}
	for _, name := range slices.Sorted(maps.Keys(list.Labels)) {
		fmt.Fprintf(text, "label %q\n", name)
		writeRules(text, list.Labels[name])
	}
	for _, name := range slices.Sorted(maps.Keys(list.Sources)) {
		source := list.Sources[name]
		fmt.Fprintf(text, "source %q trust %s votes %d\n", name, source.Trust, source.MinVotes)
		writeRules(text, Label{source.Thresholds, source.Exact, source.Near})
	}
}

func writeRules(text *strings.Builder, rules Label) {
	for _, kind := range slices.Sorted(maps.Keys(rules.Thresholds)) {
		fmt.Fprintf(text, "threshold %s %d\n", kind, rules.Thresholds[kind])
	}
	if rules.Exact != nil {
		fmt.Fprintf(text, "exact %s\n", *rules.Exact)
	}
	if rules.Near != nil {
		fmt.Fprintf(text, "near %s\n", *rules.Near)
	}
}

func writeSurface(text *strings.Builder, title string, surface Surface) {
	fmt.Fprintf(text, "%s: dihedral %v\n", title, surface.Dihedral.Kinds())
	if *surface.Exact {
		text.WriteString("full pictures only\n")
	}
	if surface.Views != hashmatch.Plain {
		fmt.Fprintf(text, "views %s\n", surface.Views)
	}
	if surface.NotImage != nil {
		fmt.Fprintf(text, "not_image %s\n", *surface.NotImage)
	}
	for _, code := range slices.Sorted(maps.Keys(surface.Failures)) {
		fmt.Fprintf(text, "failure %s %s\n", code, surface.Failures[code])
	}
	for _, note := range slices.Sorted(maps.Keys(surface.Notes)) {
		fmt.Fprintf(text, "note %s %s\n", note, surface.Notes[note])
	}
}
