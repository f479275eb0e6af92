package promotion

import (
	"context"
	"iter"
	"maps"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Change is an entry that is not in two revisions alike: Old is nil for one that was not there, New for one that is not
// there any more.
type Change struct{ Old, New *hashmatch.Entry }

// MaxFew is how many changes are few: each of them is then proven by itself.
const MaxFew = 1000

// maxSources bounds the sources that are counted by themselves; more of them count as one.
const maxSources = 10_000

// Source is who listed an entry.
type Source struct{ Source, Member string }

// Sizes are numbers of entries in force, that is, active or disputed.
type Sizes struct{ Before, After, Added int }

// Difference is what a revision changes.
type Difference struct {
	Before    int `json:"before"`    // entries in force in the old revision
	After     int `json:"after"`     // and in the new one
	Added     int `json:"added"`     // in force now, and not before
	Gone      int `json:"gone"`      // in force before, and not now: those that are withdrawn or suspended included
	Withdrawn int `json:"withdrawn"` // those of Gone that the new revision withdraws or suspends
	Changed   int `json:"changed"`   // in both, with another content

	Sources map[Source]Sizes `json:"-"`
	Few     []Change         `json:"-"` // every change, if there are MaxFew at most; else nil
}

// Compare returns what changes from old, which may be nil for none, to next. Both are read once, in step; it holds none
// of them in memory.
func Compare(ctx context.Context, old, next *hashlist.List) (d Difference, err error) {
	defer recovered(&err)
	d.Sources = make(map[Source]Sizes)
	changes := 0
	err = walk(ctx, old, next, func(o, n *hashmatch.Entry) {
		d.count(o, n)
		if o != nil && n != nil && equal(o, n) {
			return
		}
		if changes++; changes <= MaxFew {
			d.Few = append(d.Few, Change{clone(o), clone(n)})
		}
	})
	if changes > MaxFew {
		d.Few = nil
	}
	return d, err
}

func clone(e *hashmatch.Entry) *hashmatch.Entry {
	if e == nil {
		return nil
	}
	return new(*e)
}

func (d *Difference) count(o, n *hashmatch.Entry) {
	before, after := acts(o), acts(n)
	if before {
		d.Before++
		d.source(o, func(s *Sizes) { s.Before++ })
	}
	if after {
		d.After++
		d.source(n, func(s *Sizes) { s.After++ })
	}
	switch {
	case after && !before:
		d.Added++
		d.source(n, func(s *Sizes) { s.Added++ })
	case before && !after:
		d.Gone++
		if n != nil {
			d.Withdrawn++
		}
	case before && after && !equal(o, n):
		d.Changed++
	}
}

func (d *Difference) source(e *hashmatch.Entry, count func(*Sizes)) {
	of := Source{e.Key.Source, e.Key.Member}
	sizes, known := d.Sources[of]
	if !known && len(d.Sources) >= maxSources {
		of = Source{Member: "(others)"}
		sizes = d.Sources[of]
	}
	count(&sizes)
	d.Sources[of] = sizes
}

// equal compares what a revision is made of.
func equal(a, b *hashmatch.Entry) bool {
	return a.Status == b.Status && a.Classification == b.Classification && a.Updated.Equal(b.Updated) &&
		slices.Equal(a.Labels, b.Labels) && slices.Equal(a.Signatures, b.Signatures)
}

// walk calls pair with every entry of either list, once for each key; what it hands over is valid for the call. The order of
// entries is that of their keys' digests in every list, so the two are read in step: a key that is next in one and not in
// the other is looked for once.
func walk(ctx context.Context, old, next *hashlist.List, pair func(o, n *hashmatch.Entry)) error {
	pull := func() (hashmatch.Entry, bool) { return hashmatch.Entry{}, false }
	if old != nil {
		entries, stop := iter.Pull(func(yield func(hashmatch.Entry) bool) {
			for _, e := range old.Entries() {
				if !yield(e) {
					return
				}
			}
		})
		defer stop()
		pull = entries
	}
	var n hashmatch.Entry // it and o outlive an iteration, so that no entry takes an allocation for itself
	o, more := pull()
	read := 0
	stopped := func() bool {
		read++
		return read%4096 == 0 && ctx.Err() != nil
	}
	for _, n = range next.Entries() {
		if stopped() {
			return ctx.Err()
		}
		if more && o.Key != n.Key {
			if _, found := old.Find(n.Key); !found {
				pair(nil, &n)
				continue
			}
		}
		for ; more && o.Key != n.Key; o, more = pull() { // old's next one is not in next
			pair(&o, nil)
		}
		if !more {
			pair(nil, &n)
			continue
		}
		pair(&o, &n)
		o, more = pull()
	}
	for ; more; o, more = pull() {
		if stopped() {
			return ctx.Err()
		}
		pair(&o, nil)
	}
	return ctx.Err()
}

// sources returns the sources that were counted, in a fixed order.
func (d *Difference) sources() []Source {
	return slices.SortedFunc(maps.Keys(d.Sources), func(a, b Source) int {
		return slices.Compare([]string{a.Source, a.Member}, []string{b.Source, b.Member})
	})
}
