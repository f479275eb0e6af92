package index

import "example.org/hashmatch/pkg/hashmatch"

// Stats is the size of an index, of one kind or of all.
type Stats struct {
	Hashes  int   // distinct hashes
	Entries int   // pairs of a distinct hash and an ordinal
	Bytes   int64 // memory that the index keeps
	Tables  bool  // searched through tables; false for digests, and where every search is a scan
}

// Stats returns the size of the index of one kind; the zero Stats if it has no such hash.
func (x *Index) Stats(kind hashmatch.Kind) Stats {
	if !x.kinds.Has(kind) {
		return Stats{}
	}
	part := x.parts[kind]
	base := part.base()
	stats := Stats{Hashes: base.n, Entries: len(base.ordinals), Bytes: part.bytes()}
	if r, ok := part.(*ranges); ok {
		stats.Tables = r.tables != nil
	}
	return stats
}

// Len returns the number of distinct hashes of a kind.
func (x *Index) Len(kind hashmatch.Kind) int { return x.Stats(kind).Hashes }

// Entries returns the number of pairs of a distinct hash of a kind and an ordinal.
func (x *Index) Entries(kind hashmatch.Kind) int { return x.Stats(kind).Entries }

// Bytes returns the memory that the index keeps, of all kinds.
func (x *Index) Bytes() int64 {
	var total int64
	for _, kind := range x.kinds.Kinds() {
		total += x.Stats(kind).Bytes
	}
	return total
}
