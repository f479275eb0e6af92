package config

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// CheckLists reads every list, one at a time, and returns what Check cannot see: lists that cannot be used, that are
// too old at the time now, or that rules are stated for which can never apply to them. Files that cannot be read at
// all are left to Check. It ends early, without what would follow, once ctx is done.
func (c *Config) CheckLists(ctx context.Context, now time.Time) []Warning {
	var k checker
	files, seen, sources := make(map[string]loaded), make(map[string]bool), make(map[string]bool)
	for i, l := range c.Lists {
		if ctx.Err() != nil {
			return k.warnings
		}
		path := fmt.Sprintf("lists[%d]", i)
		info, err := os.Stat(l.File)
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			continue
		}
		var list *hashlist.List
		var holds []string
		reading, err := c.Reading(l, now)
		if err == nil {
			list, holds, err = readList(l.File, l.Name, reading)
		}
		if err != nil {
			k.fatal(path+".file", l.Name, "%v", err)
			continue
		}
		files[l.Name] = loaded{path: l.File, info: info, holds: holds}
		k.content(path, l, list, c.Defaults, seen)
		k.sources(path, l, list, c.Defaults, sources)
		if rules, err := c.Policy(); err == nil {
			if err := actedOn(rules, l.Name, list); err != nil {
				k.fatal(path+".sources", l.Name, "%v", err)
			}
		}
		synced := list.Synced()
		if synced.IsZero() {
			synced = info.ModTime()
		}
		if age := now.Sub(synced); l.MaxAge > 0 && age > time.Duration(l.MaxAge) {
			k.fatal(path+".max_age", l.Name, "%s: the list is %s old: a service is not ready, and holds everything", l.MaxAge,
				Duration(age.Round(time.Second)))
		}
	}
	if len(files) == len(c.Lists) {
		if err := checkTaken(c.Lists, files); err != nil {
			k.fatal("lists", "", "%v", err)
		}
		for _, label := range slices.Sorted(maps.Keys(c.Defaults.Labels)) {
			if len(c.Lists) > 0 && !seen[label] {
				k.warn("defaults.labels."+label, "", "no entry of any list has this label")
			}
		}
		for _, source := range slices.Sorted(maps.Keys(c.Defaults.Sources)) {
			if len(c.Lists) > 0 && !sources[source] {
				k.warn("defaults.sources."+source, "", "no entry of any list is of this source")
			}
		}
	}
	return k.warnings
}

// content compares what a list holds with the rules for it, and adds to seen those labels that rules are stated for.
func (k *checker) content(path string, l List, list *hashlist.List, defaults Rules, seen map[string]bool) {
	if format.AllowListOnly(list.Info()) && l.Role != policy.AllowList {
		k.fatal(path+".role", l.Name, "it holds known files: as a list to block by it would stop what everyone has")
	}
	held, searched := list.Kinds(), hashmatch.SetOf(l.Kinds...)
	switch {
	case held == 0:
		k.fatal(path+".file", l.Name, "nothing to search in it")
	case held&searched == 0:
		k.fatal(path+".kinds", l.Name, "it holds %v, and %v are searched: it can never match", held.Kinds(), l.Kinds)
	default:
		for _, kind := range l.Kinds {
			stated := len(l.Kinds) < len(hashmatch.Kinds())
			if at, ok := l.Thresholds[kind]; ok && at != defaults.Thresholds[kind] {
				stated = true
			}
			if stated && !held.Has(kind) {
				k.warn(path+".kinds", l.Name, "%s: the list holds no such hash", kind)
			}
		}
		for _, kind := range held.Kinds() {
			if !searched.Has(kind) {
				k.warn(path+".kinds", l.Name, "without %s, of which the list holds hashes: they are not searched", kind)
			}
		}
	}
	wanted := make(map[string]bool, len(l.Labels)) // those of the defaults are among them
	for label := range l.Labels {
		wanted[label] = true
	}
	for i := uint32(0); int(i) < list.Len() && len(wanted) > 0; i++ {
		for _, label := range list.Labels(i) {
			if wanted[label] {
				seen[label] = true
				delete(wanted, label)
			}
		}
	}
	for _, label := range slices.Sorted(maps.Keys(wanted)) {
		if _, ok := defaults.Labels[label]; !ok { // those are for all lists together
			k.warn(path+".labels."+label, l.Name, "no entry of the list has this label")
		}
	}
}
