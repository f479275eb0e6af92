package index

import (
	"math/bits"
	"slices"
	"sync"

	"example.org/hashmatch/pkg/hashmatch"
)

// ranges searches the hashes of one perceptual kind by distance.
type ranges struct {
	records
	kind   hashmatch.Kind
	tables *tables // nil: every search is a sweep
	costs  *costs  // nil: the measured ones
}

// maxBatch is the number of queries that are answered together; more are answered in several batches. A sweep keeps
// the queries of one in the first cache.
const maxBatch = 64

// scratch is the memory of one search, used again by later ones.
type scratch struct {
	queries   [maxBatch]key
	swept     [maxBatch]key // those of the queries that a sweep answers
	tags      [maxBatch]int // and their numbers
	spans     []span
	survivors [2 * maxSpan]uint64 // table << postingBits | posting, then record
	hits      []uint64            // query << queryShift | distance << distanceShift | record
	touched   uint32
	work      work
}

const distanceShift, queryShift = 32, 48

// work counts what a search did, for the tests that hold it to its bounds.
type work struct{ buckets, lists, postings, survivors, swept int }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// release gives the scratch back unless a flood of hits made it large.
func (s *scratch) release() {
	const keep = 1 << 17
	if cap(s.hits) > keep {
		s.hits = nil
	}
	scratches.Put(s)
}

func (r *ranges) search(dst []Hit, h hashmatch.Hash, threshold int) []Hit {
	s := scratches.Get().(*scratch)
	defer s.release()
	s.queries[0] = toKey(&h)
	r.find(s, 1, threshold, false)
	dst = slices.Grow(dst, len(s.hits))
	for _, hit := range s.hits {
		dst = append(dst, r.hit(hit))
	}
	return dst
}

func (r *ranges) searchMany(dst []QueryHit, hashes []hashmatch.Hash, first, threshold int) []QueryHit {
	s := scratches.Get().(*scratch)
	defer s.release()
	for len(hashes) > 0 {
		batch := s.take(hashes)
		r.find(s, batch, threshold, false)
		dst = slices.Grow(dst, len(s.hits))
		for _, hit := range s.hits {
			dst = append(dst, QueryHit{first + int(hit>>queryShift), r.hit(hit)})
		}
		hashes, first = hashes[batch:], first+batch
	}
	return dst
}

func (r *ranges) any(hashes []hashmatch.Hash, threshold int) bool {
	s := scratches.Get().(*scratch)
	defer s.release()
	for len(hashes) > 0 {
		batch := s.take(hashes)
		if r.find(s, batch, threshold, true); len(s.hits) > 0 {
			return true
		}
		hashes = hashes[batch:]
	}
	return false
}

// take makes queries of as many hashes as go into a batch, and returns how many.
func (s *scratch) take(hashes []hashmatch.Hash) int {
	batch := min(len(hashes), maxBatch)
	for i := range batch {
		s.queries[i] = toKey(&hashes[i])
	}
	return batch
}

// hit returns what an element of s.hits stands for.
func (r *ranges) hit(hit uint64) Hit {
	id := int(uint32(hit))
	k := r.key(id)
	return Hit{Hash: toHash(r.kind, &k), Distance: int(uint16(hit >> distanceShift)), Entries: r.entries(id)}
}

// find sets s.hits to what is within threshold of the first n of s.queries, in order of query, distance, record; with
// one set, to one or more of them if there are any. Each query is searched by tables where that costs less than its
// share of a sweep for all, and those that are not are answered by one sweep.
func (r *ranges) find(s *scratch, n, threshold int, one bool) {
	s.hits, s.work = s.hits[:0], work{}
	threshold = min(threshold, r.kind.Bits())
	p, budget := plan{}, 0
	if r.tables != nil {
		p, budget = r.planned(n, threshold)
	}
	swept := 0
	for i := range n {
		if budget > 0 && r.searchTables(s, &p, i, threshold, budget, one) {
			if one && len(s.hits) > 0 {
				return
			}
			continue
		}
		s.swept[swept], s.tags[swept] = s.queries[i], i
		swept++
	}
	if swept > 0 {
		r.sweep(s, swept, threshold, one)
	}
	slices.Sort(s.hits)
}

// planned returns the plan for threshold and what the search of one of n queries by it may cost; 0 where a sweep for
// all of them costs less. A list with crowded buckets gets half of a query's share of the sweep at most, or what is
// spent on any list.
func (r *ranges) planned(n, threshold int) (plan, int) {
	p, ok := planFor(r.tables.chunks, threshold)
	share := r.sweepCost(n, threshold) / n
	if !ok {
		return p, 0
	}
	expected := r.expectedCost(&p)
	if expected > share {
		return p, 0
	}
	return p, max(share/2, expected+expected/4)
}

// searchTables appends to s.hits what is within threshold of a query and returns true, or appends nothing and returns
// false when the lists turn out so long, or so full of near hashes, that it would cost more than budget.
func (r *ranges) searchTables(s *scratch, p *plan, i, threshold, budget int, one bool) bool {
	query, c := &s.queries[i], r.price()
	postings, survivors := s.gather(r.tables, p, query)
	s.work.buckets += p.lists
	if c.tables(p.lists, len(s.spans), postings, survivors) > budget {
		return false
	}
	s.work.lists += len(s.spans)
	s.work.postings += postings

	// A cluster around the query shows in the first tables: what they may spend on survivors grows table by table.
	allowance := (budget - c.tables(p.lists, len(s.spans), postings, 0)) / max(c.survivor, 1)
	before, verified := len(s.hits), 0
	for lists := s.spans; len(lists) > 0; {
		done, count := using.filter(lists, r.tables, s.survivors[:], &s.touched)
		table := int(lists[done-1].at >> postingBits)
		lists = lists[done:]
		verified += count
		if verified > allowance || len(lists) > 0 && verified*r.tables.chunks > allowance*(table+1) {
			s.hits = s.hits[:before]
			return false
		}
		r.verify(s, count, p, i, threshold)
		if one && len(s.hits) > before {
			break
		}
	}
	return true
}

// verify appends the survivors within threshold to s.hits, each from the first table that has it only.
func (r *ranges) verify(s *scratch, count int, p *plan, i, threshold int) {
	survivors, query := s.survivors[:count], &s.queries[i]
	s.work.survivors += count
	using.lookUp(r.tables, &r.records, survivors)
	if r.tailWords > 0 {
		survivors = survivors[:using.nearHeads(&r.records, survivors, query, threshold)]
	}
	for _, survivor := range survivors {
		id := int(uint32(survivor))
		distance := int(uint16(survivor >> distanceShift)) // of the head, where there is a tail
		difference := key{}
		if r.tailWords > 0 {
			tail := r.tail[2*id : 2*id+2]
			difference[2], difference[3] = tail[0]^query[2], tail[1]^query[3]
			distance += bits.OnesCount64(difference[2]) + bits.OnesCount64(difference[3])
			if distance > threshold {
				continue
			}
			difference[0], difference[1] = r.head[2*id]^query[0], r.head[2*id+1]^query[1]
		} else {
			difference[0] = r.head[id] ^ query[0]
			if distance = bits.OnesCount64(difference[0]); distance > threshold {
				continue
			}
		}
		if distances := chunkDistances(&difference); p.first(&distances, int(survivor>>postingBits)) {
			s.add(i, distance, id)
		}
	}
}

func (s *scratch) add(query, distance, id int) {
	s.hits = append(s.hits, uint64(query)<<queryShift|uint64(distance)<<distanceShift|uint64(id))
}

func (r *ranges) base() *records { return &r.records }

func (r *ranges) bytes() int64 {
	total := r.records.bytes()
	if r.tables != nil {
		total += r.tables.bytes()
	}
	return total
}
