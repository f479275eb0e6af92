package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// Policy returns the policy that the configuration states.
func (c *Config) Policy() (*policy.Policy, error) {
	p, failure := c.policy()
	if failure != nil {
		return nil, failure
	}
	return p, nil
}

// Surface returns the surface of that name, or an error that wraps hashmatch.ErrSurfaceRefused if it is not declared
// or not declared public and unencrypted.
func (c *Config) Surface(name string) (hashmatch.Surface, error) {
	for i := range c.Declarations {
		if c.Declarations[i].Name == name {
			s, failure := c.surface(i)
			if failure != nil {
				return s, failure
			}
			return s, nil
		}
	}
	return hashmatch.Surface{}, fmt.Errorf("%w: %q is not declared in the configuration", hashmatch.ErrSurfaceRefused, name)
}

// Surfaces returns every declared surface, in the order of the file, or an error as Surface does.
func (c *Config) Surfaces() ([]hashmatch.Surface, error) {
	surfaces := make([]hashmatch.Surface, len(c.Declarations))
	for i := range c.Declarations {
		s, failure := c.surface(i)
		if failure != nil {
			return nil, failure
		}
		surfaces[i] = s
	}
	return surfaces, nil
}

// failAt returns an error for the value at a path, its surface or list named.
func (c *Config) failAt(path, name, format string, values ...any) *Error {
	return &Error{path: path, Where: where(path, name), Reason: fmt.Sprintf(format, values...)}
}

func (c *Config) surface(i int) (hashmatch.Surface, *Error) {
	d := c.Declarations[i]
	s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{
		Name: d.Name, Tenant: d.Tenant, Region: d.Region, Visibility: d.Visibility, Encrypted: d.Encrypted,
	})
	if err != nil {
		failure := c.failAt(fmt.Sprintf("surfaces[%d]", i), d.Name, "%v", err)
		failure.cause = err
		return s, failure
	}
	return s, nil
}

// complete checks everything and fills in what is left out.
func (c *Config) complete() *Error {
	c.Limits, c.Workers, c.Serve = c.Limits.withDefaults(), c.Workers.withDefaults(), c.Serve.withDefaults()
	c.Guards = c.Guards.withDefaults()
	if failure := c.checkRanges(); failure != nil {
		return failure
	}
	if failure := c.checkNames(); failure != nil {
		return failure
	}
	for i := range c.Declarations {
		if _, failure := c.surface(i); failure != nil {
			return failure
		}
	}
	if failure := c.checkKinds(); failure != nil {
		return failure
	}
	p, failure := c.policy()
	if failure != nil {
		return failure
	}
	c.fill(p.Effective())
	switch {
	case c.Limits.MaxDigestBytes < c.Limits.MaxBytes:
		return c.failAt("limits.max_digest_bytes", "", "%s: want at least max_bytes, %s", c.Limits.MaxDigestBytes, c.Limits.MaxBytes)
	case c.Limits.MaxTotalPixels < c.Limits.MaxPixels:
		return c.failAt("limits.max_total_pixels", "", "%d: want at least max_pixels, %d", c.Limits.MaxTotalPixels, c.Limits.MaxPixels)
	}
	if failure := c.checkExchanges(); failure != nil {
		return failure
	}
	if failure := c.checkFeedback(); failure != nil {
		return failure
	}
	if failure := c.checkKeys(); failure != nil {
		return failure
	}
	return c.checkService()
}

func (w Workers) withDefaults() Workers {
	if w.Memory == 0 {
		w.Memory = defaultWorkerMemory
	}
	return w
}

// checkNames checks the names of surfaces and lists, which appear in commands, keys and metrics.
func (c *Config) checkNames() *Error {
	surfaces := make(map[string]bool)
	for i, d := range c.Declarations {
		path := fmt.Sprintf("surfaces[%d]", i)
		for _, text := range []struct{ key, text string }{{"name", d.Name}, {"tenant", d.Tenant}, {"region", d.Region}} {
			if text.text == "" && text.key != "name" {
				continue
			}
			if reason := checkName(text.text); reason != "" {
				return c.failAt(path+"."+text.key, d.Name, "%s", reason)
			}
		}
		if surfaces[d.Name] {
			return c.failAt(path+".name", d.Name, "another surface has this name")
		}
		surfaces[d.Name] = true
	}
	lists := make(map[string]bool)
	for i, l := range c.Lists {
		path := fmt.Sprintf("lists[%d]", i)
		if reason := checkName(l.Name); reason != "" {
			return c.failAt(path+".name", l.Name, "%s", reason)
		}
		if lists[l.Name] {
			return c.failAt(path+".name", l.Name, "another list has this name")
		}
		lists[l.Name] = true
		if l.File == "" {
			return c.failAt(path+".file", l.Name, "must be stated")
		}
		if l.MaxAge < 0 {
			return c.failAt(path+".max_age", l.Name, "%s: want 0s or more", l.MaxAge)
		}
	}
	return nil
}

// checkName returns what is wrong with a name; "" if nothing is.
func checkName(name string) string {
	if name == "" {
		return "must be stated"
	}
	if len(name) > 64 {
		return "longer than 64 characters"
	}
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case i > 0 && (r == '-' || r == '_' || r == '.'):
		default:
			return fmt.Sprintf("%q: want letters, digits and, after the first, - _ or .", name)
		}
	}
	return ""
}

// checkKinds checks that no kind is stated twice, and that a list is searched for one at least.
func (c *Config) checkKinds() *Error {
	check := func(path, name string, kinds []hashmatch.Kind, none bool) *Error {
		if kinds != nil && len(kinds) == 0 && !none {
			return c.failAt(path, name, "want one kind at least")
		}
		var seen hashmatch.KindSet
		for i, kind := range kinds {
			if seen.Has(kind) {
				return c.failAt(fmt.Sprintf("%s[%d]", path, i), name, "%s is stated twice", kind)
			}
			seen |= hashmatch.SetOf(kind)
		}
		return nil
	}
	failure := check("defaults.kinds", "", c.Defaults.Kinds, false)
	if failure == nil {
		failure = check("dihedral", "", c.Dihedral, true)
	}
	for i := 0; i < len(c.Lists) && failure == nil; i++ {
		failure = check(fmt.Sprintf("lists[%d].kinds", i), c.Lists[i].Name, c.Lists[i].Kinds, false)
	}
	for i := 0; i < len(c.Declarations) && failure == nil; i++ {
		failure = check(fmt.Sprintf("surfaces[%d].dihedral", i), c.Declarations[i].Name, c.Declarations[i].Dihedral, true)
	}
	return failure
}

// checkRanges checks the limits against the ranges that their fields state.
func (c *Config) checkRanges() (failure *Error) {
	check := func(section string, v reflect.Value) {
		eachField(v, func(key string, v reflect.Value, tag reflect.StructTag) {
			if tag.Get("min") == "" {
				return
			}
			lowest, highest := bound(v, tag.Get("min")), bound(v, tag.Get("max"))
			if failure == nil && (v.Int() < lowest.Int() || v.Int() > highest.Int()) {
				failure = c.failAt(join(section, key), "", "%v: want %v to %v", v, lowest, highest)
			}
		})
	}
	check("limits", reflect.ValueOf(c.Limits))
	check("workers", reflect.ValueOf(c.Workers))
	check("serve", reflect.ValueOf(c.Serve))
	check("guards", reflect.ValueOf(c.Guards))
	for i, e := range c.Exchanges {
		check(fmt.Sprintf("exchanges[%d]", i), reflect.ValueOf(e))
	}
	for section, stated := range map[string]any{
		"quarantine": c.Quarantine, "review": c.Review, "feedback": c.Feedback, "audit": c.Audit, "breaker": c.Breaker, "traces": c.Traces,
	} {
		if v := reflect.ValueOf(stated); !v.IsNil() && failure == nil {
			check(section, v.Elem())
		}
	}
	return failure
}

// bound reads a bound of a field from its tag.
func bound(v reflect.Value, text string) reflect.Value {
	b := reflect.New(v.Type()).Elem()
	var err error
	switch into := b.Addr().Interface().(type) {
	case *Size:
		err = into.UnmarshalText([]byte(text))
	case *Duration:
		err = into.UnmarshalText([]byte(text))
	default:
		var n int64
		n, err = strconv.ParseInt(text, 10, 64)
		b.SetInt(n)
	}
	if err != nil {
		panic(fmt.Sprintf("config: bound %q: %v", text, err)) // a test would have found it
	}
	return b
}

// policy builds the policy and says of an error at which path it is.
func (c *Config) policy() (*policy.Policy, *Error) {
	stated := policy.Config{
		Defaults: c.Defaults.policy(""),
		Lists:    make(map[string]policy.List, len(c.Lists)),
		Failures: c.Failures,
		Notes:    c.Notes,
		Dihedral: setOf(c.Dihedral),
		Exact:    c.Exact,
		Views:    profileOf(c.Views),
		Surfaces: make(map[string]policy.Surface, len(c.Declarations)),
	}
	paths := make(map[[2]string]string) // of {"list", name} and {"surface", name}
	for i, l := range c.Lists {
		rules := l.Rules.policy(l.Role)
		rules.Shadow = l.Shadow
		stated.Lists[l.Name] = rules
		paths[[2]string{"list", l.Name}] = fmt.Sprintf("lists[%d]", i)
	}
	for i, d := range c.Declarations {
		stated.Surfaces[d.Name] = policy.Surface{
			NotImage: d.NotImage, Failures: d.Failures, Notes: d.Notes, Dihedral: setOf(d.Dihedral),
			Exact: d.Exact, Views: profileOf(d.Views),
		}
		paths[[2]string{"surface", d.Name}] = fmt.Sprintf("surfaces[%d]", i)
	}
	p, err := policy.New(stated)
	if err == nil {
		return p, nil
	}
	var wrong *policy.Error
	if !errors.As(err, &wrong) {
		return nil, &Error{Reason: err.Error()}
	}
	path := ""
	switch {
	case wrong.Defaults:
		path = "defaults"
	case wrong.List != "":
		path = paths[[2]string{"list", wrong.List}]
	case wrong.Surface != "":
		path = paths[[2]string{"surface", wrong.Surface}]
	}
	return nil, c.failAt(join(path, wrong.Key), wrong.List+wrong.Surface, "%s", wrong.Reason)
}

// policy returns the rules in the policy's words.
func (r Rules) policy(role policy.Role) policy.List {
	list := policy.List{
		Role: role, Kinds: hashmatch.SetOf(r.Kinds...), Thresholds: r.Thresholds, QualityFloor: r.QualityFloor,
		Exact: r.Actions.Exact, Near: r.Actions.Near,
		Views: policy.Views{Search: r.Views.Search, Thresholds: r.Views.Thresholds, Evidence: r.Views.Evidence},
	}
	if len(r.Labels) > 0 {
		list.Labels = make(map[string]policy.Label, len(r.Labels))
	}
	for name, label := range r.Labels {
		list.Labels[name] = policy.Label{
			Thresholds: label.Thresholds, Exact: label.Actions.Exact, Near: label.Actions.Near,
		}
	}
	if len(r.Sources) > 0 {
		list.Sources = make(map[string]policy.Source, len(r.Sources))
	}
	for name, s := range r.Sources {
		list.Sources[name] = policy.Source{
			Trust: s.Trust, MinVotes: s.MinVotes, Thresholds: s.Thresholds, Exact: s.Actions.Exact, Near: s.Actions.Near,
		}
	}
	return list
}

// profileOf returns the profile that is stated; "" where none is.
func profileOf(stated *hashmatch.Profile) hashmatch.Profile {
	if stated == nil {
		return ""
	}
	return *stated
}

// setOf returns the set of kinds; nil where none are stated, which is not the same as an empty set.
func setOf(kinds []hashmatch.Kind) *hashmatch.KindSet {
	if kinds == nil {
		return nil
	}
	return new(hashmatch.SetOf(kinds...))
}

// kindsOf is the opposite of setOf.
func kindsOf(set hashmatch.KindSet) []hashmatch.Kind {
	return append([]hashmatch.Kind{}, set.Kinds()...)
}

// fill replaces the stated rules with the complete ones.
func (c *Config) fill(full policy.Config) {
	c.Defaults = rulesOf(full.Defaults)
	c.Failures, c.Notes, c.Dihedral, c.Exact = full.Failures, full.Notes, kindsOf(*full.Dihedral), full.Exact
	c.Views = new(full.Views)
	lists, declarations := c.Lists, c.Declarations
	c.Lists, c.Declarations = nil, nil // whoever handed them in keeps his own
	for _, l := range lists {
		rules := full.Lists[l.Name]
		c.Lists = append(c.Lists, List{
			Name: l.Name, File: l.File, Role: rules.Role, Shadow: rules.Shadow, MaxAge: l.MaxAge,
			Verify: slices.Clone(l.Verify), Rules: rulesOf(rules),
		})
	}
	for _, d := range declarations {
		rules := full.Surfaces[d.Name]
		d.NotImage, d.Encrypted = rules.NotImage, new(*d.Encrypted)
		d.Failures, d.Notes, d.Dihedral, d.Exact = rules.Failures, rules.Notes, kindsOf(*rules.Dihedral), rules.Exact
		d.Views = new(rules.Views)
		c.Declarations = append(c.Declarations, d)
	}
}

// rulesOf is the opposite of Rules.policy.
func rulesOf(list policy.List) Rules {
	rules := Rules{
		Kinds: kindsOf(list.Kinds), Thresholds: list.Thresholds, QualityFloor: list.QualityFloor,
		Actions: Actions{list.Exact, list.Near},
		Views:   Views{list.Views.Search, list.Views.Thresholds, list.Views.Evidence},
	}
	if list.Labels != nil {
		rules.Labels = make(map[string]Label, len(list.Labels))
	}
	for name, label := range list.Labels {
		rules.Labels[name] = Label{Thresholds: label.Thresholds, Actions: Actions{label.Exact, label.Near}}
	}
	if list.Sources != nil {
		rules.Sources = make(map[string]Source, len(list.Sources))
	}
	for name, s := range list.Sources {
		rules.Sources[name] = Source{Trust: s.Trust, MinVotes: s.MinVotes, Thresholds: s.Thresholds, Actions: Actions{s.Exact, s.Near}}
	}
	return rules
}
