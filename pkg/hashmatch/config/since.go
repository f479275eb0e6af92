package config

import (
	"context"
	"fmt"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
	"example.org/hashmatch/pkg/hashmatch/policy"
	"example.org/hashmatch/pkg/hashmatch/promotion"
)

// minRevision is the number of digits by which a revision can be named.
const minRevision = 8

// Since returns c with those lists only that keep one of the revisions, each given by 8 of its first digits or more, and
// the allow-lists; and what OpenOptions.Since takes, so that of the former only what is new since is searched.
func (c *Config) Since(revisions ...string) (*Config, map[string]hashlist.Revision, error) {
	since := make(map[string]hashlist.Revision)
	for _, text := range revisions {
		if len(text) < minRevision {
			return nil, nil, fmt.Errorf("revision %q: give %d digits at least", text, minRevision)
		}
		found := 0
		for _, l := range c.Lists {
			state, err := c.Revisions(l).State()
			if err != nil {
				return nil, nil, fmt.Errorf("list %q: %w", l.Name, err)
			}
			for _, k := range state.Kept {
				if !strings.HasPrefix(k.Revision.String(), text) || l.Role == policy.AllowList {
					continue
				}
				if other, twice := since[l.Name]; twice && other != k.Revision {
					return nil, nil, fmt.Errorf("revision %q: another one of list %q is given or begins so", text, l.Name)
				}
				since[l.Name] = k.Revision
				found++
			}
		}
		if found == 0 {
			return nil, nil, fmt.Errorf("revision %q: no list keeps it (see: hashmatch list pending)", text)
		}
	}
	narrowed := *c
	narrowed.Lists = nil
	for _, l := range c.Lists {
		if _, kept := since[l.Name]; kept || l.Role == policy.AllowList {
			narrowed.Lists = append(narrowed.Lists, l)
		}
	}
	return &narrowed, since, nil
}

// newSince returns what a list holds that is new since a revision that is kept.
func (c *Config) newSince(ctx context.Context, l List, since hashlist.Revision, list *hashlist.List) (*hashlist.List, error) {
	reading, err := c.Reading(l, time.Now())
	if err != nil {
		return nil, err
	}
	reading.Last = seal.Serial{} // it was in force here
	old, err := ReadSealedList(c.Revisions(l).Path(since), l.Name, reading)
	if err == nil && old.Revision() != since {
		err = fmt.Errorf("its file holds another one")
	}
	if err != nil {
		return nil, fmt.Errorf("kept revision %s: %w", since.Short(), err)
	}
	fresh, err := promotion.Since(ctx, old, list)
	if err == nil && fresh.Len() == 0 {
		err = fmt.Errorf("nothing is new since revision %s: there is nothing to compare with", since.Short())
	}
	return fresh, err
}
