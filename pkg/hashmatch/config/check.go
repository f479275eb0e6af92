package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// Warning is something that a configuration may say, but that should be thought over.
type Warning struct {
	Where string // `lists[0] "iwf": thresholds.pdq`
	Text  string
	// Fatal says that with this configuration nothing can be scanned, or that a list is missing: a scan or a service
	// must not start.
	Fatal bool
}

// String returns all of it in one line.
func (w Warning) String() string { return w.Where + ": " + w.Text }

// Check returns what should be thought over, in the order of the file. It looks at whether the files of lists can be
// read, not at what is in them. c must be complete, as Load, Parse, Default and Public return it.
func (c *Config) Check() []Warning {
	var k checker
	if len(c.Declarations) == 0 {
		k.fatal("surfaces", "", "none is declared: nothing may be scanned")
	}
	for i, d := range c.Declarations {
		path := fmt.Sprintf("surfaces[%d]", i)
		if *d.NotImage == hashmatch.Allow {
			k.warn(path+".not_image", d.Name, "allow: videos, PDFs, archives and documents are published without a look at the pictures in them")
		}
		if d.Shadow {
			k.warn(path+".shadow", d.Name, "true: everything is published there, whatever the verdict")
		}
		for _, code := range slices.Sorted(maps.Keys(d.Failures)) {
			if d.Failures[code] != c.Failures[code] {
				k.failure(path+".failures."+string(code), d.Name, d.Failures[code])
			}
		}
		if !slices.Equal(d.Dihedral, c.Dihedral) {
			k.dihedral(path+".dihedral", d.Name, d.Dihedral)
		}
	}
	blocks, trials := 0, 0
	for i, l := range c.Lists {
		path := fmt.Sprintf("lists[%d]", i)
		_, err := os.Stat(l.File)
		fetched := slices.ContainsFunc(c.Exchanges, func(e Exchange) bool { return e.List == l.Name })
		if fetched && errors.Is(err, os.ErrNotExist) {
			k.warn(path+".file", l.Name, "it has not been fetched yet: until then every upload is held")
		} else {
			k.file(path+".file", l.Name, l.File)
		}
		if l.Role == policy.AllowList {
			k.allowList(path, l)
			continue
		}
		if l.Shadow {
			k.warn(path+".shadow", l.Name, "true: what matches is published, and only recorded")
			trials++
		} else {
			blocks++
		}
		k.rules(path, l.Name, l.Rules, &c.Defaults)
	}
	switch {
	case blocks > 0:
	case trials > 0:
		k.warn("lists", "", "all are in shadow mode: nothing that matches is acted on")
	default:
		k.fatal("lists", "", "none to act on: every upload would be held")
	}
	k.rules("defaults", "", c.Defaults, nil)
	for _, code := range slices.Sorted(maps.Keys(c.Failures)) {
		k.failure("failures."+string(code), "", c.Failures[code])
	}
	k.dihedral("dihedral", "", c.Dihedral)
	c.checkServing(&k)
	return k.warnings
}

// checker collects warnings.
type checker struct{ warnings []Warning }

func (k *checker) warn(path, name, format string, values ...any) {
	k.warnings = append(k.warnings, Warning{Where: where(path, name), Text: fmt.Sprintf(format, values...)})
}

func (k *checker) fatal(path, name, format string, values ...any) {
	k.warn(path, name, format, values...)
	k.warnings[len(k.warnings)-1].Fatal = true
}

func (k *checker) failure(path, name string, action hashmatch.Action) {
	if action == hashmatch.Allow {
		k.warn(path, name, "allow: uploads that could not be scanned in full are published")
	}
}

func (k *checker) dihedral(path, name string, kinds []hashmatch.Kind) {
	if !slices.Contains(kinds, hashmatch.PDQ) {
		k.warn(path, name, "without pdq, turned and mirrored copies are not found by it")
	}
}

// file warns of a file that cannot be read.
func (k *checker) file(path, name, file string) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		k.fatal(path, name, "%v", err)
		return
	case !info.Mode().IsRegular():
		k.fatal(path, name, "%s: not a regular file", file)
		return
	case info.Size() == 0:
		k.fatal(path, name, "%s: empty", file)
		return
	}
	opened, err := os.Open(file)
	if err != nil {
		k.fatal(path, name, "%v", err)
		return
	}
	opened.Close()
}

func (k *checker) allowList(path string, l List) {
	for _, kind := range slices.Sorted(maps.Keys(l.Thresholds)) {
		k.warn(fmt.Sprintf("%s.thresholds.%s", path, kind), l.Name,
			"%d: pictures near to an allowed one are published even where they are near to a listed one", l.Thresholds[kind])
	}
}

// rules warns of rules that differ from those of the defaults; of all if there are none.
func (k *checker) rules(path, name string, r Rules, defaults *Rules) {
	if defaults == nil || !slices.Equal(r.Kinds, defaults.Kinds) {
		if hashmatch.SetOf(r.Kinds...).Digests() == 0 {
			k.warn(path+".kinds", name, "no digest among them: a listed file that cannot be decoded is not found")
		}
	}
	inherited := map[hashmatch.Kind]int{}
	if defaults != nil {
		inherited = defaults.Thresholds
	}
	k.thresholds(path+".thresholds", name, r.Thresholds, inherited)
	if floor := *r.QualityFloor; defaults == nil || floor != *defaults.QualityFloor {
		switch {
		case floor < policy.DefaultQualityFloor:
			k.warn(path+".quality_floor", name, "%d: below %d flat pictures match each other", floor, policy.DefaultQualityFloor)
		case floor > policy.DefaultQualityFloor:
			k.warn(path+".quality_floor", name, "%d: above %d more pictures are searched by their digests only", floor, policy.DefaultQualityFloor)
		}
	}
	stated := r.Actions
	if defaults != nil {
		stated = changed(stated, defaults.Actions)
	}
	k.actions(path+".actions", name, stated)
	for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
		if defaults != nil {
			if of, ok := defaults.Labels[label]; ok && reflect.DeepEqual(of, r.Labels[label]) {
				continue // warned of there
			}
		}
		at := path + ".labels." + label
		k.thresholds(at+".thresholds", name, r.Labels[label].Thresholds, nil)
		k.actions(at+".actions", name, r.Labels[label].Actions)
	}
	for _, source := range slices.Sorted(maps.Keys(r.Sources)) {
		if defaults != nil {
			if of, ok := defaults.Sources[source]; ok && reflect.DeepEqual(of, r.Sources[source]) {
				continue // warned of there
			}
		}
		at, rules := path+".sources."+source, r.Sources[source]
		if rules.Trust == policy.None {
			k.warn(at+".trust", name, "none: what it lists is reported, and published")
		}
		k.thresholds(at+".thresholds", name, rules.Thresholds, nil)
		k.actions(at+".actions", name, rules.Actions)
	}
}

// changed returns those of the actions that are not the defaults'.
func changed(actions, defaults Actions) Actions {
	if *actions.Exact == *defaults.Exact {
		actions.Exact = nil
	}
	if *actions.Near == *defaults.Near {
		actions.Near = nil
	}
	return actions
}

func (k *checker) thresholds(path, name string, stated, inherited map[hashmatch.Kind]int) {
	for _, kind := range slices.Sorted(maps.Keys(stated)) {
		threshold := stated[kind]
		if of, ok := inherited[kind]; ok && of == threshold {
			continue
		}
		if usual := policy.DefaultThreshold(kind); threshold > usual {
			k.warn(fmt.Sprintf("%s.%s", path, kind), name, "%d: more false matches than at %d", threshold, usual)
		}
	}
}

func (k *checker) actions(path, name string, a Actions) {
	if a.Exact != nil && *a.Exact == hashmatch.Allow {
		k.warn(path+".exact", name, "allow: listed files are published, and only reported")
	}
	if a.Near != nil && *a.Near == hashmatch.Allow {
		k.warn(path+".near", name, "allow: near matches are published, and only reported")
	}
	if a.Near != nil && *a.Near == hashmatch.Block {
		k.warn(path+".near", name, "block: a near match can be another picture, and nobody looks at it")
	}
}

// checkServing warns of what a service may do, but should not.
func (c *Config) checkServing(k *checker) {
	c.checkSealing(k)
	c.checkTold(k)
	for i, l := range c.Listeners {
		path := fmt.Sprintf("listeners[%d]", i)
		if l.Insecure && !l.Loopback() {
			k.warn(path+".insecure", l.Name, "true: whoever reaches %s can send uploads, and reads the answers of others on the way", l.Address)
		}
		if slices.Contains(l.Anonymous, "lookup") {
			k.warn(path+".anonymous", l.Name, "lookup: callers without a token learn which entries match, and how near")
		}
	}
	if len(c.Listeners) == 0 {
		return
	}
	if c.Audit == nil {
		k.warn("audit", "", "left out: no verdict can be explained later")
	}
	for i, l := range c.Lists {
		if l.MaxAge == 0 {
			k.warn(fmt.Sprintf("lists[%d].max_age", i), l.Name, "left out: a list that is no longer updated is not noticed")
		}
	}
}
