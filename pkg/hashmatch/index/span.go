package index

import "math/bits"

// span is a part of a table's bucket that is to be filtered. The kernels know its layout.
type span struct {
	at     uint64 // table << postingBits | its first posting, counted over all tables
	count  uint16 // postings, at most maxSpan
	wanted uint16 // the query's next chunk
	limit  uint16 // the most bits in which the next chunk may differ
}

// postingBits hold a posting's position: 16 tables of 2^32 postings need 36.
const postingBits = 48

// maxSpan bounds the survivors of one span.
const maxSpan = 1 << 10

// gather sets s.spans to the lists that the plan looks at, none longer than maxSpan, and returns the number of their
// postings, and of those that would pass the filter if next chunks were uniform.
func (s *scratch) gather(t *tables, p *plan, query *key) (postings, survivors int) {
	for table := range t.chunks {
		if radius := p.radius[table]; radius >= 0 {
			using.fetchBounds((*[buckets + 1]uint32)(t.bounds(table)), query.chunk(table), flips[:ball[radius]], &s.touched)
		}
	}
	spans := s.spans[:0]
	for table := range t.chunks {
		radius := p.radius[table]
		if radius < 0 {
			continue
		}
		bounds, value, wanted := (*[buckets + 1]uint32)(t.bounds(table)), query.chunk(table), query.chunk((table+1)%t.chunks)
		start := uint64(table)<<postingBits + uint64(table*t.n)
		inTable, n := postings, uint32(t.n)
		for _, flip := range flips[:ball[radius]] {
			bucket := int(value ^ flip)
			first, end := bounds[bucket], bounds[bucket+1]
			if first == end {
				continue
			}
			if first > end || end > n {
				panic("index: damaged tables") // the kernels do not look
			}
			postings += int(end - first)
			limit := uint16(p.pair[table]) - uint16(bits.OnesCount16(flip))
			for ; end-first > maxSpan; first += maxSpan {
				spans = append(spans, span{start + uint64(first), maxSpan, wanted, limit})
			}
			spans = append(spans, span{start + uint64(first), uint16(end - first), wanted, limit})
		}
		// Most of a ball's buckets, and so of the postings, are those at its radius.
		survivors += (postings - inTable) * within[p.pair[table]-radius] / buckets
	}
	s.spans = spans
	return postings, survivors
}
