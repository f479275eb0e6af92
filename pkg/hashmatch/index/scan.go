package index

import (
	"math/bits"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// scan appends the hits within threshold, found without the tables.
func (r *ranges) scan(dst []Hit, h hashmatch.Hash, threshold int) []Hit {
	s := scratches.Get().(*scratch)
	defer s.release()
	s.hits, s.swept[0], s.tags[0] = s.hits[:0], toKey(&h), 0
	r.sweep(s, 1, min(threshold, r.kind.Bits()), false)
	slices.Sort(s.hits)
	dst = slices.Grow(dst, len(s.hits))
	for _, hit := range s.hits {
		dst = append(dst, r.hit(hit))
	}
	return dst
}

// sweep appends to s.hits what is within threshold of the first n of s.swept, by passing over every record once: what
// searchTables has to equal. With one set it stops at the first.
func (r *ranges) sweep(s *scratch, n, threshold int, one bool) {
	s.work.swept += r.n * n
	queries, before := s.swept[:n], len(s.hits)
	group, words := using.group(), r.sweepWords(threshold)
	whole := r.n - r.n%group
	for id := 0; id < r.n; {
		if words > 0 && id < whole {
			if id = using.nearGroup(&r.records, words, id, whole, queries, threshold); id == whole {
				continue
			}
		}
		for end := min(id+group, r.n); id < end; id++ {
			r.compare(s, id, queries, threshold)
		}
		if one && len(s.hits) > before {
			return
		}
	}
}

// compare appends to s.hits the queries that a record is within threshold of.
func (r *ranges) compare(s *scratch, id int, queries []key, threshold int) {
	if r.headWords == 1 {
		word := r.head[id]
		for i := range queries {
			if distance := bits.OnesCount64(word ^ queries[i][0]); distance <= threshold {
				s.add(s.tags[i], distance, id)
			}
		}
		return
	}
	head, tail := r.head[2*id:2*id+2], r.tail[2*id:2*id+2]
	for i := range queries {
		q := &queries[i]
		distance := bits.OnesCount64(head[0]^q[0]) + bits.OnesCount64(head[1]^q[1]) +
			bits.OnesCount64(tail[0]^q[2]) + bits.OnesCount64(tail[1]^q[3])
		if distance <= threshold {
			s.add(s.tags[i], distance, id)
		}
	}
}

// sweepWords returns the words of each record that a sweep at threshold looks at before it compares it with each query
// (see internal/kernels): as few as keep 16 unrelated records further from 8 queries but once in a hundred groups. 0
// means that each record is compared at once.
func (r *ranges) sweepWords(threshold int) int {
	switch {
	case r.headWords == 1:
		return 1
	case using == portable && threshold <= headThreshold+10:
		return 2
	case using == portable:
		return 4
	case threshold <= headThreshold:
		return 2
	case threshold <= 60:
		return 3
	case threshold <= 78:
		return 4
	}
	return 0
}

// headThreshold is the highest threshold at which a sweep hardly ever reads the second column of the records.
const headThreshold = 33
