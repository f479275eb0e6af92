package index

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
)

// staged is one signature on its way into the index: 40 bytes.
type staged struct {
	key     key
	ordinal uint32
}

func (a *staged) compare(b *staged) int {
	for i := range a.key {
		if a.key[i] != b.key[i] {
			return cmp.Compare(a.key[i], b.key[i])
		}
	}
	return cmp.Compare(a.ordinal, b.ordinal)
}

// stage collects signatures of one kind in blocks, so that a list of unknown length is never copied to grow.
type stage struct {
	blocks [][]staged
	n      int
}

const maxBlock = 1 << 15

func (s *stage) add(k key, ordinal uint32) {
	last := len(s.blocks) - 1
	if last < 0 || len(s.blocks[last]) == cap(s.blocks[last]) {
		s.blocks = append(s.blocks, make([]staged, 0, maxBlock>>max(0, 7-len(s.blocks))))
		last++
	}
	s.blocks[last] = append(s.blocks[last], staged{k, ordinal})
	s.n++
}

// prefixes is the number of values of a key's top 16 bits.
const prefixes = 1 << 16

// sorted returns what was staged in the order of keys, then ordinals, and empties the stage: scattered by the top 16
// bits first, then sorted bucket by bucket.
func (s *stage) sorted(ctx context.Context, workers int) ([]staged, error) {
	blocks, all := s.blocks, make([]staged, s.n)
	s.blocks, s.n = nil, 0
	if len(all) < prefixes {
		at := all
		for _, block := range blocks {
			at = at[copy(at, block):]
		}
		slices.SortFunc(all, func(a, b staged) int { return a.compare(&b) })
		return all, ctx.Err()
	}

	workers = min(workers, len(blocks))
	cursors := make([][]uint32, workers)
	share := func(w int) [][]staged { return blocks[w*len(blocks)/workers : (w+1)*len(blocks)/workers] }
	err := parallel(ctx, workers, workers, func(w int) {
		counts := make([]uint32, prefixes)
		for _, block := range share(w) {
			for i := range block {
				counts[block[i].key[0]>>48]++
			}
		}
		cursors[w] = counts
	})
	if err != nil {
		return nil, err
	}
	starts, total := make([]uint32, prefixes+1), uint32(0)
	for p := range prefixes {
		starts[p] = total
		for _, counts := range cursors {
			counts[p], total = total, total+counts[p]
		}
	}
	starts[prefixes] = total
	err = parallel(ctx, workers, workers, func(w int) {
		cursor := cursors[w]
		for _, block := range share(w) {
			for i := range block {
				p := block[i].key[0] >> 48
				all[cursor[p]] = block[i]
				cursor[p]++
			}
		}
	})
	if err != nil {
		return nil, err
	}
	const run = 256 // buckets a task, so that workers finish together
	err = parallel(ctx, workers, prefixes/run, func(task int) {
		for p := task * run; p < (task+1)*run; p++ {
			slices.SortFunc(all[starts[p]:starts[p+1]], func(a, b staged) int { return a.compare(&b) })
		}
	})
	return all, err
}

// parallel calls do with each of 0 to tasks-1 from that many workers. Once ctx is done no further task is started, and
// its error is returned.
func parallel(ctx context.Context, workers, tasks int, do func(task int)) error {
	var next atomic.Int64
	done := make(chan struct{})
	workers = min(workers, tasks)
	for range workers {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				task := int(next.Add(1) - 1)
				if task >= tasks {
					return
				}
				do(task)
			}
		}()
	}
	for range workers {
		<-done
	}
	return ctx.Err()
}

// records are the distinct hashes of one kind in the order of their keys, and the ordinals of the entries that have
// them. A record's number in that order is its ID. The arrays hold no pointers.
//
// A key is kept in two columns. Of two unrelated 256-bit hashes the first 128 bits differ in 64 +- 6 places, so a scan
// at thresholds below 40 hardly ever reads the second column: 16 bytes an entry pass through the cache, not 32.
type records struct {
	n         int
	headWords int      // words of a key in head: 1 or 2
	tailWords int      // words of a key in tail: 0 to 2
	head      []uint64 // n * headWords
	tail      []uint64 // n * tailWords
	starts    []uint32 // n+1 offsets into ordinals; nil where every record has one ordinal
	ordinals  []uint32 // ascending within a record
}

// newRecords collapses equal hashes of sorted signatures, and equal ordinals under one hash.
func newRecords(sorted []staged, words int) records {
	r := records{headWords: min(words, 2), tailWords: max(words-2, 0)}
	ordinals := 0
	for i := range sorted {
		switch {
		case i == 0 || sorted[i].key != sorted[i-1].key:
			r.n++
			ordinals++
		case sorted[i].ordinal != sorted[i-1].ordinal:
			ordinals++
		}
	}
	r.head = alloc[uint64](r.n * r.headWords)
	r.tail = alloc[uint64](r.n * r.tailWords)
	r.ordinals = make([]uint32, 0, ordinals)
	if ordinals > r.n {
		r.starts = make([]uint32, 0, r.n+1)
	}
	id := 0
	for i := range sorted {
		s := &sorted[i]
		if i == 0 || s.key != sorted[i-1].key {
			copy(r.head[id*r.headWords:(id+1)*r.headWords], s.key[:])
			copy(r.tail[id*r.tailWords:(id+1)*r.tailWords], s.key[2:])
			if r.starts != nil {
				r.starts = append(r.starts, uint32(len(r.ordinals)))
			}
			id++
		} else if s.ordinal == sorted[i-1].ordinal {
			continue
		}
		r.ordinals = append(r.ordinals, s.ordinal)
	}
	if r.starts != nil {
		r.starts = append(r.starts, uint32(len(r.ordinals)))
	}
	return r
}

// key returns the key of a record.
func (r *records) key(id int) (k key) {
	copy(k[:], r.head[id*r.headWords:(id+1)*r.headWords])
	copy(k[2:], r.tail[id*r.tailWords:(id+1)*r.tailWords])
	return k
}

// entries returns the ordinals of a record: a view that cannot be appended to in place.
func (r *records) entries(id int) []uint32 {
	if r.starts == nil {
		return r.ordinals[id : id+1 : id+1]
	}
	return r.ordinals[r.starts[id]:r.starts[id+1]:r.starts[id+1]]
}

// bytes returns the memory that the arrays take.
func (r *records) bytes() int64 {
	return 8*int64(len(r.head)+len(r.tail)) + 4*int64(len(r.starts)+len(r.ordinals))
}
