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

// costs estimates what a search by tables takes against a scan. All are in units of a thousandth of what a scan
// takes for one record, measured with BenchmarkRange and BenchmarkScan on lists that are larger than the caches.
type costs struct {
	list     int // looking a bucket up and touching its first postings
	posting  int // filtering one posting
	survivor int // looking a posting up that passed the filter
}

var (
	costs256 = costs{list: 60_000, posting: 800, survivor: 30_000}
	costs64  = costs{list: 120_000, posting: 1600, survivor: 60_000}
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

// scan appends the hits within threshold, found without the tables.
func (r *ranges) scan(dst []Hit, h hashmatch.Hash, threshold int) []Hit {
	s := scratches.Get().(*scratch)
	defer s.release()
	query := toKey(&h)
	r.scanAll(s, &query, threshold)
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
// spends before it gives up is bounded to about half a scan.
func (r *ranges) searchTables(s *scratch, query *key, threshold int) bool {
	if r.tables == nil {
		return false
	}
	p, ok := planFor(r.tables.chunks, threshold)
	budget := r.n * 1000
	if !ok || p.lists*r.costs.list > budget {
		return false
	}
	postings := r.gather(s, &p, query)
	if len(s.spans)*r.costs.list+postings*r.costs.posting > budget/2 {
		return false
	}

	// A cluster around the query shows in the first tables: what they may spend on survivors grows table by table.
	s.hits, s.count = s.hits[:0], 0
	verified, allowance := 0, budget/r.costs.survivor/2
	t := r.tables
	for lists := s.spans; len(lists) > 0; {
		batch := lists[:min(touchAhead, len(lists))]
		lists = lists[len(batch):]
		s.touch(t, batch)
		for _, list := range batch {
			s.filter(t, list, query)
			if s.count > maxSpan {
				verified += s.count
				if verified*t.chunks > allowance*(int(list.table)+1) {
					return false
				}
				r.verify(s, &p, query, threshold)
			}
		}
	}
	if verified+s.count > allowance {
		return false
	}
	r.verify(s, &p, query, threshold)
	return true
}

// gather sets s.spans to the lists that the plan looks at, none longer than maxSpan, and returns the number of their
// postings.
func (r *ranges) gather(s *scratch, p *plan, query *key) (postings int) {
	s.spans = s.spans[:0]
	for table := range r.tables.chunks {
		radius := p.radius[table]
		if radius < 0 {
			continue
		}
		bounds, value := r.tables.bounds(table), query.chunk(table)
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
	}
	return postings
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

// scanAll fills s.hits by comparing every record: the reference that searchTables has to equal.
func (r *ranges) scanAll(s *scratch, query *key, threshold int) {
	s.hits = s.hits[:0]
	if r.headWords == 1 {
		q := query[0]
		for id, word := range r.head {
			if distance := bits.OnesCount64(word ^ q); distance <= threshold {
				s.hits = append(s.hits, uint64(distance)<<32|uint64(id))
			}
		}
		return
	}
	q0, q1 := query[0], query[1]
	head := r.head
	for id := 0; len(head) >= 2; id++ {
		distance := bits.OnesCount64(head[0]^q0) + bits.OnesCount64(head[1]^q1)
		head = head[2:]
		if distance > threshold {
			continue
		}
		tail := r.tail[2*id : 2*id+2]
		distance += bits.OnesCount64(tail[0]^query[2]) + bits.OnesCount64(tail[1]^query[3])
		if distance <= threshold {
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
