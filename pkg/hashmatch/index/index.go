package index

import (
	"context"
	"fmt"
	"iter"
	"math"
	"runtime"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

// Options say how an index is built. The zero Options are good for any list.
type Options struct {
	// Workers is the number of goroutines that Build sorts with; 0 means runtime.GOMAXPROCS.
	Workers int

	// Tests set these to send every search through the tables, of either form.
	tablesFrom int    // build tables from that many distinct hashes; 0 means tablesFrom below
	costs      *costs // nil means the measured ones
	idWidth    int    // 0 means what the number of hashes needs
}

// tablesFrom is the number of distinct hashes of a perceptual kind from which tables are built. Below, a scan takes
// at most 4 microseconds and the tables would take 1 at the threshold of 31: not worth 4 MiB in memory and cache.
const tablesFrom = 4096

// Index searches the hashes of one list. It is immutable and safe for concurrent use. The zero Index is empty.
type Index struct {
	parts  [32]searcher // by Kind, of which a KindSet holds no more; nil where there are no hashes
	kinds  hashmatch.KindSet
	memory Memory // of an image: its arrays may only be read in its Use; nil for what Build made
}

// Hit is one distinct hash within reach of a query.
type Hit struct {
	Hash     hashmatch.Hash
	Distance int      // bits in which it differs from the query
	Entries  []uint32 // the ordinals it was built with, ascending, at least one; a view of the index, not to be changed
}

// searcher is the index of one kind.
type searcher interface {
	search(dst []Hit, h hashmatch.Hash, threshold int) []Hit
	searchMany(dst []QueryHit, hashes []hashmatch.Hash, first, threshold int) []QueryHit // the queries count from first
	any(hashes []hashmatch.Hash, threshold int) bool
	scan(dst []Hit, h hashmatch.Hash, threshold int) []Hit
	base() *records
	bytes() int64
}

// Build returns the index of the given signatures: each a hash and the ordinal of the entry that has it, in any
// order. Equal hashes become one record with all their ordinals; a pair given twice counts once. Equal signatures
// give equal indexes, whatever their order.
//
// It refuses an all-zero hash (it stands for a flat picture, and every other flat picture would match), one of no
// valid kind and one with bits beyond its length, naming the ordinal. It stops with ctx's error when ctx is done.
//
// While it runs it takes up to 80 bytes an entry beside the records, and 8 a worker while it fills the tables.
func Build(ctx context.Context, signatures iter.Seq2[hashmatch.Hash, uint32], options Options) (*Index, error) {
	workers := options.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	stages, err := collect(ctx, signatures)
	if err != nil {
		return nil, err
	}
	x := &Index{}
	for _, kind := range hashmatch.Kinds() {
		if stages[kind].n == 0 {
			continue
		}
		sorted, err := stages[kind].sorted(ctx, workers)
		if err != nil {
			return nil, err
		}
		r := newRecords(sorted, (kind.Bits()+63)/64)
		sorted = nil
		if x.parts[kind], err = newSearcher(ctx, kind, r, workers, options); err != nil {
			return nil, err
		}
		x.kinds |= hashmatch.SetOf(kind)
	}
	return x, nil
}

// collect sorts the signatures into one stage a kind.
func collect(ctx context.Context, signatures iter.Seq2[hashmatch.Hash, uint32]) (*[32]stage, error) {
	var stages [32]stage
	n := 0
	for h, ordinal := range signatures {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			break
		}
		switch {
		case !h.Kind.Valid():
			return nil, fmt.Errorf("entry %d: hash of no kind", ordinal)
		case h.Zero():
			return nil, fmt.Errorf("entry %d: all-zero %s hash", ordinal, h.Kind)
		case strings.Trim(string(h.Bits[h.Kind.Bits()/8:]), "\x00") != "":
			return nil, fmt.Errorf("entry %d: %s hash with more than %d bits", ordinal, h.Kind, h.Kind.Bits())
		}
		s := &stages[h.Kind]
		if uint64(s.n) == math.MaxUint32 {
			return nil, fmt.Errorf("entry %d: more than %d %s hashes", ordinal, s.n, h.Kind)
		}
		s.add(toKey(&h), ordinal)
	}
	return &stages, ctx.Err()
}

func newSearcher(ctx context.Context, kind hashmatch.Kind, r records, workers int, options Options) (searcher, error) {
	if kind.Digest() {
		return newDigests(kind, r), nil
	}
	s := &ranges{records: r, kind: kind, costs: options.costs}
	from := tablesFrom
	if options.tablesFrom > 0 {
		from = options.tablesFrom
	}
	if r.n < from {
		return s, nil
	}
	width := idWidth(r.n)
	if options.idWidth > 0 {
		width = options.idWidth
	}
	var err error
	s.tables, err = newTables(ctx, &s.records, width, workers)
	return s, err
}

// Search appends to dst every hash of h's kind that differs from h in at most threshold bits, by distance, and among
// equal distances in an order of the hashes that does not depend on what else is listed. It never leaves one out.
//
// A digest is looked up exactly, whatever the threshold. A negative threshold finds nothing, of any kind; one above
// the length of the hash means its length. A hash of no kind finds nothing. An all-zero hash is searched as any other:
// whether that makes sense is for the caller to say.
//
// It allocates nothing but room for the hits.
func (x *Index) Search(dst []Hit, h hashmatch.Hash, threshold int) []Hit {
	if !x.kinds.Has(h.Kind) || threshold < 0 {
		return dst
	}
	if x.memory != nil {
		return x.guarded(dst, h, threshold, x.parts[h.Kind].search)
	}
	return x.parts[h.Kind].search(dst, h, threshold)
}

// Scan answers as Search does, by comparing every hash. It is what Search is proven against before a list is served.
func (x *Index) Scan(dst []Hit, h hashmatch.Hash, threshold int) []Hit {
	if !x.kinds.Has(h.Kind) || threshold < 0 {
		return dst
	}
	if x.memory != nil {
		return x.guarded(dst, h, threshold, x.parts[h.Kind].scan)
	}
	return x.parts[h.Kind].scan(dst, h, threshold)
}

// Kinds returns the kinds of which there are hashes.
func (x *Index) Kinds() hashmatch.KindSet { return x.kinds }

// All returns the distinct hashes of a kind with the ordinals of their entries, ascending: a view of the index, not to
// be changed. The order is that of Search among equal distances.
func (x *Index) All(kind hashmatch.Kind) iter.Seq2[hashmatch.Hash, []uint32] {
	return func(yield func(hashmatch.Hash, []uint32) bool) {
		if !x.kinds.Has(kind) {
			return
		}
		if x.memory != nil {
			x.copies(kind, yield)
			return
		}
		r := x.parts[kind].base()
		for id := range r.n {
			k := r.key(id)
			if !yield(toHash(kind, &k), r.entries(id)) {
				return
			}
		}
	}
}
