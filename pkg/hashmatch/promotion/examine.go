package promotion

import (
	"context"
	"fmt"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// Bounds are how far a revision may be from the one in force. Of each pair both must be exceeded: a share alone means
// nothing in a list of three entries, a number alone nothing in one of a million.
type Bounds struct {
	ShrinkPercent, ShrinkEntries             int // entries in force that are so no longer
	GrowthPercent, GrowthEntries             int // entries that come into force
	SourceGrowthPercent, SourceGrowthEntries int // entries of one source and member that come into force
	Harmless                                 int // new entries that match a harmless picture
}

// Harmless are hashes of pictures that everyone may publish.
type Harmless struct {
	Hashes     []hashmatch.Hash
	Thresholds map[hashmatch.Kind]int // how near to one of them an entry matches it; 0 where none is stated
}

// Report is what Examine found.
type Report struct {
	Difference
	Reasons []Reason // nil: the revision trips no guard

	Harmless int      // new entries that match a harmless picture
	Matching []string // the keys of some of them, for a person; hashes in them are cut off
	// Of Looked entries that are new, so many have a hash that another source listed as well. It is reported, and no
	// reason by itself.
	Looked, Overlapping int
}

const (
	maxMatching = 5
	maxLooked   = 1000
)

// Examine compares next with old, which is nil where nothing was in force: then what is harmless is all that counts,
// and no guard on numbers can trip. It reads both lists once.
func Examine(ctx context.Context, old *hashlist.List, next *lookup.Served, bounds Bounds, harmless Harmless) (r Report, err error) {
	defer recovered(&err)
	if r.Difference, err = Compare(ctx, old, next.List()); err != nil {
		return r, err
	}
	trip := func(g Guard, format string, values ...any) {
		r.Reasons = append(r.Reasons, Reason{g, fmt.Sprintf(format, values...)})
	}
	if exceeds(r.Gone, r.Before, bounds.ShrinkPercent, bounds.ShrinkEntries) {
		trip(GuardShrink, "%d of %d entries in force are so no longer, %d of them withdrawn or suspended", r.Gone, r.Before, r.Withdrawn)
	}
	if r.Before > 0 && exceeds(r.Added, r.Before, bounds.GrowthPercent, bounds.GrowthEntries) {
		trip(GuardGrowth, "%d entries come to %d in force", r.Added, r.Before)
	}
	for _, source := range r.sources() {
		sizes := r.Sources[source]
		if r.Before > 0 && exceeds(sizes.Added, sizes.Before, bounds.SourceGrowthPercent, bounds.SourceGrowthEntries) {
			trip(GuardSource, "%d entries come to %d of source %q, member %q", sizes.Added, sizes.Before, source.Source, source.Member)
		}
	}
	if err := r.harmless(ctx, old, next, harmless); err != nil {
		return r, err
	}
	if r.Harmless > bounds.Harmless {
		trip(GuardHarmless, "%d new entries match harmless pictures", r.Harmless)
	}
	return r, r.overlap(ctx, old, next)
}

// exceeds says whether n is more than a number, and more than a share of the whole.
func exceeds(n, whole, percent, number int) bool {
	return n > number && int64(n)*100 > int64(whole)*int64(percent)
}

// harmless counts the entries of next that match a harmless picture, and did not by the same hash in old: one that was
// accepted once is not to stop every later revision.
func (r *Report) harmless(ctx context.Context, old *hashlist.List, next *lookup.Served, harmless Harmless) error {
	seen := make(map[uint32]bool)
	for _, h := range harmless.Hashes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if h.Zero() || !next.Index().Kinds().Has(h.Kind) {
			continue
		}
		for _, hit := range next.Index().Search(nil, h, harmless.Thresholds[h.Kind]) {
			for _, ordinal := range hit.Entries {
				if seen[ordinal] {
					continue
				}
				e := next.List().Entry(ordinal)
				if !acts(&e) || old != nil && had(old, e.Key, hit.Hash) {
					continue
				}
				seen[ordinal] = true
				if r.Harmless++; len(r.Matching) < maxMatching {
					r.Matching = append(r.Matching, masked(&e))
				}
			}
		}
	}
	return nil
}

// had says whether the list had an entry in force with that hash.
func had(list *hashlist.List, key hashmatch.EntryKey, h hashmatch.Hash) bool {
	ordinal, found := list.Find(key)
	if !found {
		return false
	}
	e := list.Entry(ordinal)
	return acts(&e) && has(&e, h)
}

func has(e *hashmatch.Entry, h hashmatch.Hash) bool {
	for _, s := range e.Signatures {
		if s.Scheme == "" && s.Hash == h {
			return true
		}
	}
	return false
}

// masked returns an entry's key, without the hash that its ID may be.
func masked(e *hashmatch.Entry) string {
	key := e.Key
	for _, s := range e.Signatures {
		if s.Scheme == "" && strings.Contains(strings.ToLower(key.ID), s.Hash.Hex()) {
			key.ID = key.ID[:min(len(key.ID), 12)] + "…"
			break
		}
	}
	return key.String()
}

// overlap looks at some of the new entries.
func (r *Report) overlap(ctx context.Context, old *hashlist.List, next *lookup.Served) error {
	list := next.List()
	n := list.Len()
	for i := range min(n, 4*maxLooked) { // spread over the whole list
		if err := ctx.Err(); err != nil || r.Looked >= maxLooked {
			return err
		}
		ordinal := uint32(uint64(i) * uint64(n) / uint64(min(n, 4*maxLooked)))
		e := list.Entry(ordinal)
		if !acts(&e) {
			continue
		}
		if old != nil {
			if _, known := old.Find(e.Key); known {
				continue
			}
		}
		r.Looked++
		if overlaps(next, &e) {
			r.Overlapping++
		}
	}
	return nil
}

func overlaps(served *lookup.Served, e *hashmatch.Entry) bool {
	for _, s := range e.Signatures {
		if s.Scheme != "" {
			continue
		}
		for _, hit := range served.Index().Search(nil, s.Hash, 0) {
			for _, other := range hit.Entries[:min(len(hit.Entries), 64)] {
				key := served.List().Key(other)
				if key.Source != e.Key.Source || key.Member != e.Key.Member {
					return true
				}
			}
		}
	}
	return false
}
