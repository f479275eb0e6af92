package index

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"

	"example.org/hashmatch/pkg/hashmatch"
)

// ranges searches the hashes of one perceptual kind by distance.
type ranges struct {
	records
	kind   hashmatch.Kind
	tables *tables // nil: every search is a scan
	costs  costs
}

// costs estimates what a search by tables takes against a scan. All are in thousandths of what a scan takes for one
// record (1 ns for 256 bits, .55 ns for 64), fitted to BenchmarkRange from 2,000 to 10 M entries.
type costs struct {
	bucket   int // looking a bucket's bounds up
	list     int // fetching the postings of one that is not empty
	posting  int // filtering one posting
	survivor int // comparing a record that passed the filter
}

var (
	costs256 = costs{bucket: 4_000, list: 45_000, posting: 1_300, survivor: 25_000}
	costs64  = costs{bucket: 7_000, list: 80_000, posting: 2_400, survivor: 45_000}
)

// span is a part of a table's bucket that is to be filtered.
type span struct {
	first, end uint32 // postings
	table      uint8
	limit      uint8 // the most bits in which the next chunk may differ
}

// scratch is the memory of one search, used again by later ones.
type scratch struct {
	spans     []span
	survivors [2 * maxSpan]uint64 // table << 32 | posting
	count     int                 // survivors
	hits      []uint64            // distance << 32 | record
	touched   byte
}

// maxSpan bounds the survivors of one span.
const maxSpan = 1 << 12

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// release gives the scratch back unless a flood of hits made it large.
func (s *scratch) release() {
	const keep = 1 << 17
	if cap(s.hits) > keep {
		s.hits = nil
	}
	scratches.Put(s)
}

// search appends the hits within threshold.
func (r *ranges) search(dst []Hit, h hashmatch.Hash, threshold int) []Hit {
	s := scratches.Get().(*scratch)
	defer s.release()
	query := toKey(&h)
	if !r.searchTables(s, &query, threshold) {
		r.scanAll(s, &query, threshold)
	}
	return r.emit(dst, s.hits)
}

// emit appends the hits in order of distance, then record.
func (r *ranges) emit(dst []Hit, hits []uint64) []Hit {
	slices.Sort(hits)
	dst = slices.Grow(dst, len(hits))
	for _, hit := range hits {
		id := int(uint32(hit))
		k := r.key(id)
		dst = append(dst, Hit{Hash: toHash(r.kind, &k), Distance: int(hit >> 32), Entries: r.entries(id)})
	}
	return dst
}

// searchTables fills s.hits and returns true, or returns false where a scan is to be made instead: without tables,
// above maxThreshold, or when the lists turn out so long, or so full of near hashes, that a scan costs less. What it
// spends before it gives up is at most about half a scan.
func (r *ranges) searchTables(s *scratch, query *key, threshold int) bool {
	if r.tables == nil {
		return false
	}
	t := r.tables
	p, ok := planFor(t.chunks, threshold)
	budget := r.n * 1000 / 2
	if !ok || p.lists*r.costs.bucket > budget {
		return false
	}
	postings, survivors := s.gather(t, &p, query)
	cost := p.lists*r.costs.bucket + len(s.spans)*r.costs.list + postings*r.costs.posting + survivors*r.costs.survivor
	if cost > budget {
		return false
	}

	// A cluster around the query shows in the first tables: what they may spend on survivors grows table by table.
	s.hits, s.count = s.hits[:0], 0
	verified, allowance := 0, budget/r.costs.survivor
	for lists := s.spans; len(lists) > 0; {
		batch := lists[:min(touchAhead, len(lists))]
		lists = lists[len(batch):]
		s.touch(t, batch)
		for _, list := range batch {
			s.filter(t, list, query)
			if s.count <= maxSpan {
				continue
			}
			verified += s.count
			if verified*t.chunks > allowance*(int(list.table)+1) {
				return false
			}
			r.verify(s, &p, query, threshold)
		}
	}
	if verified+s.count > allowance {
		return false
	}
	r.verify(s, &p, query, threshold)
	return true
}

// gather sets s.spans to the lists that the plan looks at, none longer than maxSpan, and returns the number of their
// postings, and of those that would pass the filter if next chunks were uniform.
func (s *scratch) gather(t *tables, p *plan, query *key) (postings, survivors int) {
	s.spans = s.spans[:0]
	for table := range t.chunks {
		radius := p.radius[table]
		if radius < 0 {
			continue
		}
		bounds, value := t.bounds(table), query.chunk(table)
		inTable := postings
		for _, flip := range flips[:ball[radius]] {
			bucket := int(value ^ flip)
			first, end := bounds[bucket], bounds[bucket+1]
			if first == end {
				continue
			}
			postings += int(end - first)
			list := span{first, end, uint8(table), uint8(int(p.pair[table]) - bits.OnesCount16(flip))}
			for list.end-list.first > maxSpan {
				part := list
				part.end = part.first + maxSpan
				list.first = part.end
				s.spans = append(s.spans, part)
			}
			s.spans = append(s.spans, list)
		}
		// Most of a ball's buckets, and so of the postings, are those at its radius.
		survivors += (postings - inTable) * within[p.pair[table]-radius] / buckets
	}
	return postings, survivors
}

// touchAhead is the number of lists whose cache lines are fetched together. The reads of touch do not wait for each
// other, while those of filter hardly overlap from list to list: the processor does not look that far ahead.
const touchAhead = 24

// touch reads a byte of each cache line that filter will read of the lists.
func (s *scratch) touch(t *tables, lists []span) {
	sum := s.touched
	for _, list := range lists {
		base := int(list.table) * t.n
		next := t.next[2*(base+int(list.first)) : 2*(base+int(list.end))]
		for i := 0; i < len(next); i += 64 {
			sum += next[i]
		}
		sum += next[len(next)-1] // the lists start anywhere in a line
	}
	s.touched = sum
}

// filter appends to s.survivors the postings of a list whose next chunk is near enough to the query's, looking at
// four at a time.
func (s *scratch) filter(t *tables, list span, query *key) {
	const ones, tops = 0x0001000100010001, 0x8000800080008000
	wanted := uint64(query.chunk((int(list.table)+1)%t.chunks)) * ones
	above := uint64(0x7fff-uint64(list.limit)) * ones // a count above the limit carries into the top bit
	base := int(list.table) * t.n
	next := t.next[2*(base+int(list.first)) : 2*(base+int(list.end))+nextPadding]
	count := s.count
	for i := 0; i+8 <= len(next); i += 8 {
		near := ^(count16(binary.LittleEndian.Uint64(next[i:])^wanted) + above) & tops
		if near == 0 {
			continue
		}
		posting := list.first + uint32(i/2)
		for ; near != 0; near &= near - 1 {
			at := posting + uint32(bits.TrailingZeros64(near))/16
			if at < list.end {
				s.survivors[count] = uint64(list.table)<<32 | uint64(at)
				count++
			}
		}
	}
	s.count = count
}

// lookUp replaces the survivors' postings by their records. The reads do not depend on each other, nor do those of
// the keys afterwards: that hides their latency.
func (s *scratch) lookUp(t *tables) []uint64 {
	survivors := s.survivors[:s.count]
	s.count = 0
	for i, survivor := range survivors {
		table := survivor >> 32
		survivors[i] = table<<32 | uint64(t.id(int(table), int(uint32(survivor))))
	}
	return survivors
}

// verify moves the survivors within threshold to s.hits, each from the first table that has it only.
func (r *ranges) verify(s *scratch, p *plan, query *key, threshold int) {
	if r.headWords == 1 {
		r.verify64(s, p, query, threshold)
	} else {
		r.verify256(s, p, query, threshold)
	}
}

func (r *ranges) verify256(s *scratch, p *plan, query *key, threshold int) {
	for _, survivor := range s.lookUp(r.tables) {
		id := int(uint32(survivor))
		head := r.head[2*id : 2*id+2]
		difference := key{head[0] ^ query[0], head[1] ^ query[1]}
		distance := bits.OnesCount64(difference[0]) + bits.OnesCount64(difference[1])
		if distance > threshold {
			continue
		}
		tail := r.tail[2*id : 2*id+2]
		difference[2], difference[3] = tail[0]^query[2], tail[1]^query[3]
		distance += bits.OnesCount64(difference[2]) + bits.OnesCount64(difference[3])
		if distance > threshold {
			continue
		}
		if distances := chunkDistances(&difference); p.first(&distances, int(survivor>>32)) {
			s.hits = append(s.hits, uint64(distance)<<32|uint64(id))
		}
	}
}

func (r *ranges) verify64(s *scratch, p *plan, query *key, threshold int) {
	for _, survivor := range s.lookUp(r.tables) {
		id := int(uint32(survivor))
		difference := key{r.head[id] ^ query[0]}
		distance := bits.OnesCount64(difference[0])
		if distance > threshold {
			continue
		}
		if distances := chunkDistances(&difference); p.first(&distances, int(survivor>>32)) {
			s.hits = append(s.hits, uint64(distance)<<32|uint64(id))
		}
	}
}

func (r *ranges) base() *records { return &r.records }

func (r *ranges) bytes() int64 {
	total := r.records.bytes()
	if r.tables != nil {
		total += r.tables.bytes()
	}
	return total
}
