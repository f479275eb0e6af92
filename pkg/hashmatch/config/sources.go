package config

import (
	"fmt"
	"maps"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// actedOn returns an error if nothing follows from any entry of a list that is in force, since all are of sources with
// trust none: everything would be published.
func actedOn(p *policy.Policy, name string, list *hashlist.List) error {
	if !p.IgnoresAny(name) {
		return nil
	}
	for i := range uint32(list.Len()) {
		if !p.Ignored(name, list.Key(i).Source) && list.Status(i) < hashmatch.Suspended {
			return nil
		}
	}
	return fmt.Errorf("list %q: all of its entries in force are of sources with trust none: nothing that matches would be acted on", name)
}

// sources warns of rules for sources of which the list has no entry, and adds to seen those that it has.
func (k *checker) sources(path string, l List, list *hashlist.List, defaults Rules, seen map[string]bool) {
	wanted := make(map[string]bool, len(l.Sources)) // those of the defaults are among them
	for source := range l.Sources {
		wanted[source] = true
	}
	for i := uint32(0); int(i) < list.Len() && len(wanted) > 0; i++ {
		if source := list.Key(i).Source; wanted[source] {
			seen[source] = true
			delete(wanted, source)
		}
	}
	for _, source := range slices.Sorted(maps.Keys(wanted)) {
		if _, ok := defaults.Sources[source]; !ok { // those are for all lists together
			k.warn(path+".sources."+source, l.Name, "no entry of the list is of this source")
		}
	}
}
