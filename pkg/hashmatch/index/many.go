package index

import (
	"iter"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// QueryHit is a Hit of one of several queries.
type QueryHit struct {
	Query int // the number of the query among those given
	Hit
}

// SearchMany appends to dst what Search finds of each of the hashes, in their order: the same hits, for less where a
// threshold is so wide that tables do not pay. There, one pass over the records answers up to 64 hashes of a kind that
// follow each other; it costs little more for 8 (the views of one picture) than for one.
//
// It allocates nothing but room for the hits.
func (x *Index) SearchMany(dst []QueryHit, hashes []hashmatch.Hash, threshold int) []QueryHit {
	if threshold < 0 {
		return dst
	}
	if x.memory != nil {
		return x.guardedMany(dst, hashes, threshold)
	}
	return x.searchMany(dst, hashes, threshold)
}

func (x *Index) searchMany(dst []QueryHit, hashes []hashmatch.Hash, threshold int) []QueryHit {
	for first, run := range runs(hashes) {
		if kind := run[0].Kind; x.kinds.Has(kind) {
			dst = x.parts[kind].searchMany(dst, run, first, threshold)
		}
	}
	return dst
}

// guardedMany is what guarded is for Search.
func (x *Index) guardedMany(dst []QueryHit, hashes []hashmatch.Hash, threshold int) []QueryHit {
	old := len(dst)
	err := x.memory.Use(func() {
		dst = x.searchMany(dst, hashes, threshold)
		for i := old; i < len(dst); i++ {
			dst[i].Entries = slices.Clone(dst[i].Entries)
		}
	})
	if err != nil {
		panic(err)
	}
	return dst
}

// Any reports whether SearchMany would find anything, and stops at the first.
func (x *Index) Any(hashes []hashmatch.Hash, threshold int) bool {
	if threshold < 0 {
		return false
	}
	if x.memory == nil {
		return x.any(hashes, threshold)
	}
	found := false
	if err := x.memory.Use(func() { found = x.any(hashes, threshold) }); err != nil {
		panic(err)
	}
	return found
}

func (x *Index) any(hashes []hashmatch.Hash, threshold int) bool {
	for _, run := range runs(hashes) {
		if kind := run[0].Kind; x.kinds.Has(kind) && x.parts[kind].any(run, threshold) {
			return true
		}
	}
	return false
}

// runs yields the longest runs of hashes of one kind, with the position of each.
func runs(hashes []hashmatch.Hash) iter.Seq2[int, []hashmatch.Hash] {
	return func(yield func(int, []hashmatch.Hash) bool) {
		for first := 0; first < len(hashes); {
			end := first + 1
			for end < len(hashes) && hashes[end].Kind == hashes[first].Kind {
				end++
			}
			if !yield(first, hashes[first:end]) {
				return
			}
			first = end
		}
	}
}
