package hashlist

import (
	"bytes"
	"encoding/json"
	"iter"

	"example.org/hashmatch/pkg/hashmatch"
)

// Difference says what became of an entry from one list to another.
type Difference uint8

// The differences.
const (
	Added     Difference = iota + 1 // it was not there
	Removed                         // it is not there any more, nor a tombstone of it
	Changed                         // it says something else, or is no longer withdrawn
	Withdrawn                       // it became a tombstone, or is one that was not there
)

var differenceNames = [...]string{Added: "added", Removed: "removed", Changed: "changed", Withdrawn: "withdrawn"}

// String returns the text form ("added").
func (d Difference) String() string {
	if d == 0 || int(d) >= len(differenceNames) {
		return "invalid"
	}
	return differenceNames[d]
}

// MarshalJSON writes the text form.
func (d Difference) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// Differing is one entry in which two lists differ.
type Differing struct {
	Difference Difference
	// Before and After are the entry in either list; the zero Entry, without a key, where it is not.
	Before, After hashmatch.Entry
}

// Key returns the key of the entry.
func (d *Differing) Key() hashmatch.EntryKey {
	if d.After.Key.ID == "" {
		return d.Before.Key
	}
	return d.After.Key
}

// Diff yields every entry that a and b do not hold alike, in the order of both lists. The times Added and Synced are no
// part of it: lists of one revision have no differences. It reads only the blocks that differ, and costs nothing for the
// others.
func Diff(a, b *List) iter.Seq[Differing] {
	return func(yield func(Differing) bool) {
		for bucket := range buckets {
			var found []Differing // what is yielded is out of the blocks' reach
			a.use(func() { b.use(func() { found = diffSegments(a.segments[bucket], b.segments[bucket]) }) })
			for _, d := range found {
				if !yield(d) {
					return
				}
			}
		}
	}
}

func diffSegments(a, b *segment) (out []Differing) {
	if a != nil && b != nil && a.digest == b.digest {
		return nil
	}
	size := func(s *segment) int {
		if s == nil {
			return 0
		}
		return s.entries
	}
	gone := func(d draft) { out = append(out, Differing{Difference: Removed, Before: mustEntry(&d)}) }
	came := func(d draft) {
		what := Added
		if d.status() == hashmatch.Withdrawn {
			what = Withdrawn
		}
		out = append(out, Differing{Difference: what, After: mustEntry(&d)})
	}
	i, j := 0, 0
	for i < size(a) && j < size(b) {
		x, y := a.draft(i), b.draft(j)
		switch c := compareDrafts(x, y); {
		case c < 0:
			gone(x)
			i++
		case c > 0:
			came(y)
			j++
		default:
			if !bytes.Equal(x.descriptor, y.descriptor) || !bytes.Equal(x.content, y.content) {
				what := Changed
				if y.status() == hashmatch.Withdrawn && x.status() != hashmatch.Withdrawn {
					what = Withdrawn
				}
				out = append(out, Differing{Difference: what, Before: mustEntry(&x), After: mustEntry(&y)})
			}
			i, j = i+1, j+1
		}
	}
	for ; i < size(a); i++ {
		gone(a.draft(i))
	}
	for ; j < size(b); j++ {
		came(b.draft(j))
	}
	return out
}
