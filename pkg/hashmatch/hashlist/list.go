package hashlist

import (
	"errors"
	"iter"
	"math"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Info is what is known of a list beside its entries. None of it is part of the revision.
type Info struct {
	Name    string    `json:"name,omitempty"`   // the operator's name for the list; "" if it was given none
	Source  string    `json:"source,omitempty"` // what it was imported from: a format, an exchange
	Created time.Time `json:"created,omitzero"` // when this revision came to be here
	Synced  time.Time `json:"synced,omitzero"`  // the last successful sync: the age of a list is counted from here
}

// List is an immutable list of entries, safe for concurrent use. One that comes from a mapped file (Map) panics with
// ErrChanged when it is read after its file was changed in place: Memory says why. Its entries have ordinals from 0 to Len()-1, in an
// order that depends on their keys alone; they hold for this List, not for the one that Apply makes of it.
type List struct {
	segments []*segment // one a bucket; nil for an empty one
	starts   []uint32   // the ordinal of each segment's first entry, and at the end the number of entries
	revision Revision
	info     Info
	counts   [len(codes)]int
	opaque   map[string]int
	status   [statusCount]int
	memory   *Memory // that the segments' blocks lie in; nil if it is the process's own
}

// use calls read, which looks into blocks: nothing else of a List may. It panics with ErrChanged if they are not what
// they were.
func (l *List) use(read func()) {
	if err := l.memory.Use(read); err != nil {
		panic(err)
	}
}

// Err returns ErrChanged if the list can no longer be read because its file was changed in place while it was mapped.
func (l *List) Err() error { return l.memory.Err() }

// private returns the list with blocks in memory of its own: itself if they are already.
func (l *List) private() (*List, error) {
	if l.memory == nil {
		return l, nil
	}
	segments := make([]*segment, buckets)
	err := eachBucket(inUse(l), func(bucket int) error {
		return use(l.memory, func() (err error) {
			segments[bucket], err = l.segments[bucket].clone()
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return newList(segments, l.info)
}

// newList takes over segments.
func newList(segments []*segment, info Info) (*List, error) {
	l := &List{segments: segments, starts: make([]uint32, buckets+1), opaque: make(map[string]int)}
	total := uint64(0)
	for bucket, s := range segments {
		l.starts[bucket] = uint32(total)
		if s == nil {
			continue
		}
		total += uint64(s.entries)
		if total > math.MaxUint32 {
			return nil, errors.New("more than 4,294,967,295 entries")
		}
		for code, n := range s.hashes {
			l.counts[code] += n
		}
		for status, n := range s.status {
			l.status[status] += n
		}
		for scheme, n := range s.opaque {
			l.opaque[scheme] += n
		}
	}
	l.starts[buckets] = uint32(total)
	l.revision = listRevision(segments)
	l.info = normalInfo(info)
	return l, nil
}

func normalInfo(info Info) Info {
	info.Created, info.Synced = normalLocal(info.Created), normalLocal(info.Synced)
	return info
}

// Len returns the number of entries, tombstones included.
func (l *List) Len() int { return int(l.starts[buckets]) }

// Revision returns the digest of the list's content.
func (l *List) Revision() Revision { return l.revision }

// Info returns what is known of the list beside its entries.
func (l *List) Info() Info { return l.info }

// WithInfo returns the same list with other information. It costs nothing. Times are kept in seconds.
func (l *List) WithInfo(info Info) *List {
	out := *l
	out.info = normalInfo(info)
	return &out
}

// Synced returns the time of the last successful sync; zero if there was none.
func (l *List) Synced() time.Time { return l.info.Synced }

// WithSynced returns the same list, synced at t.
func (l *List) WithSynced(t time.Time) *List {
	info := l.info
	info.Synced = t
	return l.WithInfo(info)
}

// Kinds returns the kinds of which there is a hash to search for.
func (l *List) Kinds() hashmatch.KindSet {
	var set hashmatch.KindSet
	for code, n := range l.counts {
		if n > 0 {
			set |= hashmatch.SetOf(codes[code])
		}
	}
	return set
}

// Counts returns the number of hashes to search for by kind; kinds without one are left out.
func (l *List) Counts() map[hashmatch.Kind]int {
	counts := make(map[hashmatch.Kind]int)
	for code, n := range l.counts {
		if n > 0 {
			counts[codes[code]] = n
		}
	}
	return counts
}

// OpaqueCounts returns the number of opaque signatures by scheme.
func (l *List) OpaqueCounts() map[string]int {
	counts := make(map[string]int, len(l.opaque))
	for scheme, n := range l.opaque {
		counts[scheme] = n
	}
	return counts
}

// StatusCounts returns the number of entries by status; statuses without one are left out.
func (l *List) StatusCounts() map[hashmatch.Status]int {
	counts := make(map[hashmatch.Status]int)
	for status, n := range l.status {
		if n > 0 {
			counts[hashmatch.Status(status)] = n
		}
	}
	return counts
}

// Bytes returns the memory that the entries take, which is what they take in a snapshot file.
func (l *List) Bytes() int64 {
	total := int64(0)
	for _, s := range l.segments {
		if s != nil {
			total += int64(len(s.block))
		}
	}
	return total
}

// draft returns the record with ordinal i. It panics if there is none.
func (l *List) draft(i uint32) draft {
	if i >= l.starts[buckets] {
		panic("hashlist: no entry with this ordinal")
	}
	bucket := sort.Search(buckets, func(b int) bool { return l.starts[b+1] > i })
	return l.segments[bucket].draft(int(i - l.starts[bucket]))
}

// Entry decodes the entry with ordinal i. It panics if i is not below Len.
func (l *List) Entry(i uint32) (e hashmatch.Entry) {
	l.use(func() {
		d := l.draft(i)
		e = mustEntry(&d)
	})
	return e
}

// Select calls yield with each of the given ordinals, all below Len, and its entry: what Entry does for one, at a lower
// price for many.
func (l *List) Select(ordinals []uint32, yield func(ordinal uint32, e hashmatch.Entry)) {
	if l.memory == nil {
		for _, i := range ordinals {
			yield(i, l.Entry(i))
		}
		return
	}
	var entries []hashmatch.Entry
	for len(ordinals) > 0 {
		batch := ordinals[:min(len(ordinals), 256)]
		ordinals = ordinals[len(batch):]
		entries = entries[:0]
		l.use(func() {
			for _, i := range batch {
				d := l.draft(i)
				entries = append(entries, mustEntry(&d))
			}
		})
		for at, i := range batch { // what changed meanwhile has not been yielded
			yield(i, entries[at])
		}
	}
}

// mustEntry decodes a record of a List. Every record was checked on its way in.
func mustEntry(d *draft) hashmatch.Entry {
	e, err := d.entry()
	if err != nil {
		panic(err)
	}
	return e
}

// Key returns the key of entry i, without decoding its signatures.
func (l *List) Key(i uint32) (key hashmatch.EntryKey) {
	l.use(func() {
		d := l.draft(i)
		c := cursor{rest: d.descriptor[1:]}
		var id [derivedIDLength]byte
		key = hashmatch.EntryKey{Source: string(c.text()), Member: string(c.text()), ID: string(entryID(id[:0], d.content))}
	})
	return key
}

// Status returns the status of entry i.
func (l *List) Status(i uint32) (status hashmatch.Status) {
	l.use(func() {
		d := l.draft(i)
		status = d.status()
	})
	return status
}

// Labels returns the labels of entry i, sorted.
func (l *List) Labels(i uint32) (labels []string) {
	l.use(func() {
		d := l.draft(i)
		c := cursor{rest: d.descriptor[1:]}
		for range 3 {
			c.text() // source, member, classification
		}
		labels = make([]string, min(c.uvarint(), MaxLabels))
		for i := range labels {
			labels[i] = string(c.text())
		}
	})
	return labels
}

// Find returns the ordinal of the entry with that key, tombstones included.
func (l *List) Find(key hashmatch.EntryKey) (uint32, bool) {
	digest := digestKey(&key)
	bucket := digest.bucket()
	var i int
	var found bool
	l.use(func() { i, found = l.segments[bucket].find(&digest) })
	return l.starts[bucket] + uint32(i), found
}

// Entries yields every entry, tombstones included, with its ordinal.
func (l *List) Entries() iter.Seq2[uint32, hashmatch.Entry] {
	return func(yield func(uint32, hashmatch.Entry) bool) {
		l.use(func() {
			for ordinal, d := range l.drafts() {
				if !yield(ordinal, mustEntry(&d)) {
					return
				}
			}
		})
	}
}

// drafts yields every record; it is for within use.
func (l *List) drafts() iter.Seq2[uint32, draft] {
	return func(yield func(uint32, draft) bool) {
		ordinal := uint32(0)
		for _, s := range l.segments {
			if s == nil {
				continue
			}
			for i := range s.entries {
				if !yield(ordinal, s.draft(i)) {
					return
				}
				ordinal++
			}
		}
	}
}

// Signatures yields every hash that is to be searched for, with the ordinal of its entry: ordinals ascend, an entry's
// hashes ascend by kind and bytes. Tombstones and opaque signatures have none.
func (l *List) Signatures() iter.Seq2[hashmatch.Hash, uint32] {
	return func(yield func(hashmatch.Hash, uint32) bool) {
		l.use(func() {
			for ordinal, d := range l.drafts() {
				c := readContent(d.content)
				for s, ok := c.next(); ok; s, ok = c.next() {
					if s.code != codeOpaque && !yield(s.hash(), ordinal) {
						return
					}
				}
			}
		})
	}
}

// OpaqueSignatures yields every opaque signature with the ordinal of its entry.
func (l *List) OpaqueSignatures() iter.Seq2[hashmatch.Signature, uint32] {
	return func(yield func(hashmatch.Signature, uint32) bool) {
		l.use(func() { l.opaqueSignatures(yield) })
	}
}

func (l *List) opaqueSignatures(yield func(hashmatch.Signature, uint32) bool) {
	for bucket, s := range l.segments {
		if s == nil || s.opaque == nil {
			continue
		}
		for i := range s.entries {
			d := s.draft(i)
			c := readContent(d.content)
			for sig, ok := c.next(); ok; sig, ok = c.next() {
				if sig.code != codeOpaque {
					continue
				}
				value := hashmatch.Signature{Scheme: string(sig.scheme), Opaque: string(sig.value), Votes: sig.votes}
				if !yield(value, l.starts[bucket]+uint32(i)) {
					return
				}
			}
		}
	}
}

// eachBucket calls f for every bucket of which, several at a time, and returns the error of the first that has one.
func eachBucket(which []int, f func(bucket int) error) error {
	return each(len(which), func(i int) error { return f(which[i]) })
}

// each calls f with 0 to n-1, several at a time, and returns the error of the first that has one.
func each(n int, f func(i int) error) error {
	failures := make([]error, n)
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
			failures[i] = f(int(i))
		}
	}
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}
