// Package lookup searches the lists in force: a hash in, matches out. It joins each list's entries (package hashlist)
// with their index (package index) and holds all lists of one moment in a Set, which is what a Scanner searches and
// what a caller who computes hashes elsewhere asks. It has no effects and sees no upload.
package lookup

import (
	"context"
	"errors"
	"fmt"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/index"
)

// ErrEmptyList is wrapped by the refusal of a list without a signature to search: matching against nothing would
// call everything clean.
var ErrEmptyList = errors.New("nothing to search in it")

// Served is one revision of one list, ready to be searched. It is immutable and safe for concurrent use.
type Served struct {
	name    string
	entries *hashlist.List
	index   *index.Index
	memory  *hashlist.Memory // that the index lies in; nil if it is the process's own
	opaque  *opaqueIndex
	built   string // why the index was built; "" if it comes from the list's file
}

// Serve builds the index of a list. It refuses a list in which there is nothing to search with an error that wraps
// ErrEmptyList: an empty one, or one of withdrawn entries and opaque signatures only.
func Serve(ctx context.Context, name string, list *hashlist.List) (*Served, error) {
	built, err := build(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", name, err)
	}
	if built.Kinds() == 0 {
		return nil, fmt.Errorf("list %q: %w", name, ErrEmptyList)
	}
	return &Served{name: name, entries: list, index: built, opaque: new(opaqueIndex), built: "the list is not from a snapshot"}, nil
}

// Name returns the name that the operator gave the list.
func (s *Served) Name() string { return s.name }

// List returns the entries.
func (s *Served) List() *hashlist.List { return s.entries }

// Index returns the index over the list's signatures.
func (s *Served) Index() *index.Index { return s.index }

// Refresh returns the same index under a list of the same content, whose information (its last sync) is newer; nil if
// the content is another, or the index can be searched no more (see Err).
func (s *Served) Refresh(list *hashlist.List) *Served {
	if list.Revision() != s.entries.Revision() || s.memory.Err() != nil {
		return nil
	}
	out := *s
	out.entries = list
	return &out
}

// Set is every list in force at one moment. It implements hashmatch.Lists: it is immutable and safe for concurrent
// use.
type Set struct {
	lists     []*Served
	planted   *Served // searched beside them, and not among Lists and Revisions; nil if there is none
	revisions map[string]string
	kinds     hashmatch.KindSet
}

// NewSet joins lists into a Set. It refuses no list at all, and two lists of one name.
func NewSet(lists ...*Served) (*Set, error) {
	if len(lists) == 0 {
		return nil, errors.New("no list")
	}
	set := &Set{lists: lists, revisions: make(map[string]string, len(lists))}
	for _, l := range lists {
		if _, twice := set.revisions[l.name]; twice {
			return nil, fmt.Errorf("list %q: two lists of that name", l.name)
		}
		set.revisions[l.name] = l.entries.Revision().String()
		set.kinds |= l.index.Kinds()
	}
	return set, nil
}

// WithPlanted returns the same set with one more list that is searched like the others and is not among Lists,
// Revisions and Kinds: entries that only the service itself looks for, to see that searching works.
func (s *Set) WithPlanted(planted *Served) *Set {
	out := *s
	out.planted = planted
	return &out
}

// Lists returns the lists in the order in which they were given.
func (s *Set) Lists() []*Served { return s.lists }

// Revisions returns the lists' revisions by name: the same map at every call, not to be changed.
func (s *Set) Revisions() map[string]string { return s.revisions }

// Kinds returns the kinds that at least one list holds. It returns none once a list can be searched no more (see
// Served.Err): then nothing is searched, and a Scanner holds every upload as one for which it is not ready.
func (s *Set) Kinds() hashmatch.KindSet {
	for _, l := range s.lists {
		if l.Err() != nil {
			return 0
		}
	}
	return s.kinds
}

// Search calls found with every entry of every list that has a signature within reach of h. reach is asked once a
// list for the widest distance of interest, negative for none. An entry with several signatures of h's kind within
// reach is found once for each.
//
// It panics with an error that is hashlist.ErrChanged if the file of a mapped list was changed in place: what was found
// is worth nothing then, and who decides on it must not take silence for an answer. Served.Err says so afterwards.
func (s *Set) Search(h hashmatch.Hash, reach func(list string) int, found func(hashmatch.Match)) {
	var hits []index.Hit
	for _, l := range s.lists {
		hits = l.search(hits[:0], h, reach, found)
	}
	if s.planted != nil {
		s.planted.search(hits[:0], h, reach, found)
	}
}

// Near reports whether Search would find anything for any of the hashes, which are of one kind. reach is asked at most
// once a list, as in Search, and it panics as Search does.
func (s *Set) Near(hashes []hashmatch.Hash, reach func(list string) int) bool {
	for _, l := range s.lists {
		if l.near(hashes, reach) {
			return true
		}
	}
	return s.planted != nil && s.planted.near(hashes, reach)
}

func (s *Served) near(hashes []hashmatch.Hash, reach func(list string) int) bool {
	if len(hashes) == 0 || !s.index.Kinds().Has(hashes[0].Kind) {
		return false
	}
	threshold := reach(s.name)
	if threshold < 0 {
		return false
	}
	return s.index.Any(hashes, threshold)
}

func (s *Served) search(hits []index.Hit, h hashmatch.Hash, reach func(list string) int, found func(hashmatch.Match)) []index.Hit {
	if !s.index.Kinds().Has(h.Kind) {
		return hits
	}
	threshold := reach(s.name)
	if threshold < 0 {
		return hits
	}
	hits = s.index.Search(hits, h, threshold)
	var ordinals []uint32
	for _, hit := range hits {
		ordinals = append(ordinals, hit.Entries...)
	}
	at, left := -1, 0
	s.entries.Select(ordinals, func(_ uint32, entry hashmatch.Entry) {
		if left == 0 { // no hit is without an entry
			at++
			left = len(hits[at].Entries)
		}
		left--
		found(hashmatch.Match{
			List: s.name, Key: entry.Key, Entry: entry.Key.String(), Kind: h.Kind, Distance: hits[at].Distance,
			Threshold: threshold, Labels: entry.Labels, Status: entry.Status, Votes: votesOf(&entry, hits[at].Hash),
		})
	})
	return hits
}

// votesOf returns the votes on the hash of an entry; the zero Votes if it is none of the entry's.
func votesOf(entry *hashmatch.Entry, h hashmatch.Hash) hashmatch.Votes {
	for i := range entry.Signatures {
		if s := &entry.Signatures[i]; s.Scheme == "" && s.Hash == h {
			return s.Votes
		}
	}
	return hashmatch.Votes{}
}
