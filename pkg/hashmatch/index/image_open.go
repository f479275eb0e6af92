package index

import (
	"context"
	"runtime"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// Memory is what an image lies in. Use calls read, which alone may look at the image, and returns an error if what it
// saw may not have been the image, or if it was not called. Calls may be nested. (*hashlist.Memory is one.)
type Memory interface {
	Use(read func()) error
}

// own is memory of the process's own.
type own struct{}

func (own) Use(read func()) error {
	read()
	return nil
}

// OpenImage returns the index whose Image, with the same binding and entries, wrote image. It copies nothing: image
// must stay as it is, or memory say that it does not. memory may be nil for bytes that nobody else can change.
//
// It believes image nothing that a search relies on: offsets ascend and stay within, IDs and ordinals are below their
// bounds, keys ascend. So an image that was made up can give wrong hits, but neither a panic nor a read out of bounds;
// that it is the one that was written is for the caller to see, by a digest. Errors wrap ErrImage, but for that of a ctx
// that is done and that of memory.
//
// Hits of such an index are copies, so that nothing outlives memory. A search during which memory has an error panics
// with it: it has found nothing that could be relied on, and finding nothing is what must not be told.
func OpenImage(ctx context.Context, image []byte, binding [32]byte, entries int, memory Memory) (*Index, error) {
	if memory == nil {
		memory = own{}
	}
	var shapes []shape
	var views [][arrays][]byte
	err := tell(memory, func() (err error) {
		shapes, views, err = parseImage(image, binding, entries)
		return err
	})
	if err != nil {
		return nil, err
	}
	x := &Index{memory: memory}
	var checks []func() error
	for i := range shapes {
		part, more := shapes[i].open(&views[i], uint32(min(entries, 1<<32-1)))
		x.parts[shapes[i].kind] = part
		x.kinds |= hashmatch.SetOf(shapes[i].kind)
		checks = append(checks, more...)
	}
	failures := make([]error, len(checks))
	err = parallel(ctx, runtime.GOMAXPROCS(0), len(checks), func(task int) {
		failures[task] = tell(memory, checks[task])
	})
	if err != nil {
		return nil, err
	}
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	for _, v := range views {
		for _, array := range v {
			adviseImage(array)
		}
	}
	return x, nil
}

// tell is memory.Use for what has an error of its own.
func tell(memory Memory, read func() error) (err error) {
	if changed := memory.Use(func() { err = read() }); changed != nil {
		return changed
	}
	return err
}

// open returns the index of one kind over its arrays, and what has to be checked before it is used.
func (s *shape) open(v *[arrays][]byte, entries uint32) (searcher, []func() error) {
	r := records{
		n: int(s.n), headWords: int(min(s.words(), 2)), tailWords: int(max(s.words(), 2) - 2),
		head: valuesOf[uint64](v[0]), tail: valuesOf[uint64](v[1]), starts: valuesOf[uint32](v[2]), ordinals: valuesOf[uint32](v[3]),
	}
	var checks []func() error
	shared(r.n, func(first, end int) { checks = append(checks, func() error { return r.checkKeys(s.kind, first, end) }) })
	if r.starts != nil {
		checks = append(checks, func() error { return ascend(s.kind, r.starts, true, len(r.ordinals)) })
	}
	shared(r.n, func(first, end int) {
		checks = append(checks, func() error { return r.checkOrdinals(s.kind, first, end, entries) })
	})
	if s.kind.Digest() {
		d := &digests{records: r, kind: s.kind, shift: directoryShift(s.n), first: valuesOf[uint32](v[4])}
		return d, append(checks, func() error { return ascend(s.kind, d.first, false, d.n) })
	}
	x := &ranges{records: r, kind: s.kind}
	if s.width > 0 {
		t := &tables{chunks: int(s.chunks()), n: r.n, width: int(s.width), offsets: valuesOf[uint32](v[4]), next: v[5], ids: v[6]}
		x.tables = t
		for table := range t.chunks {
			checks = append(checks, func() error { return ascend(s.kind, t.bounds(table), false, t.n) })
		}
		shared(t.chunks*t.n, func(first, end int) {
			checks = append(checks, func() error { return t.checkIDs(s.kind, first, end) })
		})
	}
	return x, checks
}

// shared cuts n into shares that are worth a task of their own.
func shared(n int, share func(first, end int)) {
	const size = 1 << 20
	for first := 0; first < n; first += size {
		share(first, min(first+size, n))
	}
}

// ascend wants values to go from 0 to last, each at or above the one before it; strictly: above it.
func ascend(kind hashmatch.Kind, values []uint32, strictly bool, last int) error {
	least := uint32(0)
	if strictly {
		least = 1
	}
	ok := values[0] == 0 && uint64(values[len(values)-1]) == uint64(last)
	for i := 1; i < len(values); i++ {
		ok = ok && values[i] >= values[i-1] && values[i]-values[i-1] >= least
	}
	if !ok {
		return refuse("%s: offsets out of order", kind)
	}
	return nil
}

// checkKeys wants the keys of records first to end-1 to ascend, from the one before, and to have no bits but those of
// the kind's length.
func (r *records) checkKeys(kind hashmatch.Kind, first, end int) error {
	var beyond key // bits that no hash of the kind has
	for word := range beyond {
		if have := kind.Bits() - 64*word; have < 64 {
			beyond[word] = ^uint64(0) >> max(0, have)
		}
	}
	var before key // all-zero: no hash is
	if first > 0 {
		before = r.key(first - 1)
	}
	for id := first; id < end; id++ {
		k := r.key(id)
		order := slices.Compare(before[:], k[:])
		if order >= 0 || k[0]&beyond[0]|k[1]&beyond[1]|k[2]&beyond[2]|k[3]&beyond[3] != 0 {
			return refuse("%s: keys out of order", kind)
		}
		before = k
	}
	return nil
}

// checkOrdinals wants the ordinals of records first to end-1 to be below entries and to ascend within a record. starts
// may not have been checked.
func (r *records) checkOrdinals(kind hashmatch.Kind, first, end int, entries uint32) error {
	from, to := uint32(first), uint32(end)
	if r.starts != nil {
		if from, to = r.starts[first], r.starts[end]; from > to || uint64(to) > uint64(len(r.ordinals)) {
			return refuse("%s: offsets out of order", kind)
		}
	}
	greatest := uint32(0)
	for _, ordinal := range r.ordinals[from:to] {
		greatest = max(greatest, ordinal)
	}
	if to > from && greatest >= entries {
		return refuse("%s: an entry that the list does not have", kind)
	}
	if r.starts == nil {
		return nil
	}
	for id := first; id < end; id++ {
		a, b := r.starts[id], r.starts[id+1]
		if a >= b || uint64(b) > uint64(len(r.ordinals)) {
			return refuse("%s: offsets out of order", kind)
		}
		for i := a + 1; i < b; i++ {
			if r.ordinals[i] <= r.ordinals[i-1] {
				return refuse("%s: ordinals out of order", kind)
			}
		}
	}
	return nil
}

// checkIDs wants IDs first to end-1, of all tables, to be those of records.
func (t *tables) checkIDs(kind hashmatch.Kind, first, end int) error {
	greatest := uint32(0)
	if t.width == 3 {
		// Four bytes are read for three: the padding is there for it.
		for ids := t.ids[3*first : 3*end+idPadding]; len(ids) > 3; ids = ids[3:] {
			greatest = max(greatest, uint32(ids[0])|uint32(ids[1])<<8|uint32(ids[2])<<16)
		}
	} else {
		for ids := t.ids[4*first : 4*end]; len(ids) > 3; ids = ids[4:] {
			greatest = max(greatest, uint32(ids[0])|uint32(ids[1])<<8|uint32(ids[2])<<16|uint32(ids[3])<<24)
		}
	}
	if uint64(greatest) >= uint64(t.n) {
		return refuse("%s: an ID of no record", kind)
	}
	return nil
}

// guarded searches an index that lies in memory which can fail, and returns hits that do not point into it.
func (x *Index) guarded(dst []Hit, h hashmatch.Hash, threshold int, search func([]Hit, hashmatch.Hash, int) []Hit) []Hit {
	old := len(dst)
	err := x.memory.Use(func() {
		dst = search(dst, h, threshold)
		total := 0
		for i := old; i < len(dst); i++ {
			total += len(dst[i].Entries)
		}
		ordinals := make([]uint32, 0, total)
		for i := old; i < len(dst); i++ {
			from := len(ordinals)
			ordinals = append(ordinals, dst[i].Entries...)
			dst[i].Entries = ordinals[from:len(ordinals):len(ordinals)]
		}
	})
	if err != nil {
		panic(err)
	}
	return dst
}

// copies yields what All does of an index that lies in memory which can fail.
func (x *Index) copies(kind hashmatch.Kind, yield func(hashmatch.Hash, []uint32) bool) {
	r := x.parts[kind].base()
	const batch = 256
	var hashes [batch]hashmatch.Hash
	var ordinals [batch][]uint32
	for first := 0; first < r.n; first += batch {
		end := min(first+batch, r.n)
		err := x.memory.Use(func() {
			for id := first; id < end; id++ {
				k := r.key(id)
				hashes[id-first], ordinals[id-first] = toHash(kind, &k), slices.Clone(r.entries(id))
			}
		})
		if err != nil {
			panic(err)
		}
		for i := range end - first {
			if !yield(hashes[i], ordinals[i]) {
				return
			}
		}
	}
}
