package index

import (
	"math/bits"

	"example.org/hashmatch/pkg/hashmatch"
)

// scan appends the hits within threshold, found without the tables.
func (r *ranges) scan(dst []Hit, h hashmatch.Hash, threshold int) []Hit {
	s := scratches.Get().(*scratch)
	defer s.release()
	query := toKey(&h)
	r.scanAll(s, &query, threshold)
	return r.emit(dst, s.hits)
}

// scanAll fills s.hits by comparing every record: the reference that searchTables has to equal.
func (r *ranges) scanAll(s *scratch, query *key, threshold int) {
	s.hits = s.hits[:0]
	if r.headWords == 1 {
		for id := scan64(r.head, 0, query, threshold); id < r.n; id = scan64(r.head, id+1, query, threshold) {
			s.hits = append(s.hits, uint64(bits.OnesCount64(r.head[id]^query[0]))<<32|uint64(id))
		}
		return
	}
	for id := scan128(r.head, 0, query, threshold); id < r.n; id = scan128(r.head, id+1, query, threshold) {
		distance := bits.OnesCount64(r.head[2*id]^query[0]) + bits.OnesCount64(r.head[2*id+1]^query[1]) +
			bits.OnesCount64(r.tail[2*id]^query[2]) + bits.OnesCount64(r.tail[2*id+1]^query[3])
		if distance <= threshold {
			s.hits = append(s.hits, uint64(distance)<<32|uint64(id))
		}
	}
}

// scan128 returns the first ID from id on whose first 128 bits are within threshold, or the number of records. It is
// kept apart from what is done with the few it finds, and looks at four at a time: the loop then lives in registers
// and has one branch.
func scan128(head []uint64, id int, query *key, threshold int) int {
	q0, q1 := query[0], query[1]
	i := 2 * id
	for ; i+8 <= len(head); i += 8 {
		h := head[i : i+8 : i+8]
		a := bits.OnesCount64(h[0]^q0) + bits.OnesCount64(h[1]^q1)
		b := bits.OnesCount64(h[2]^q0) + bits.OnesCount64(h[3]^q1)
		c := bits.OnesCount64(h[4]^q0) + bits.OnesCount64(h[5]^q1)
		d := bits.OnesCount64(h[6]^q0) + bits.OnesCount64(h[7]^q1)
		if min(a, b, c, d) <= threshold {
			break
		}
	}
	for ; i+2 <= len(head); i += 2 {
		if bits.OnesCount64(head[i]^q0)+bits.OnesCount64(head[i+1]^q1) <= threshold {
			break
		}
	}
	return i / 2
}

// scan64 is scan128 for records of 64 bits.
func scan64(head []uint64, id int, query *key, threshold int) int {
	q, i := query[0], id
	for ; i+4 <= len(head); i += 4 {
		h := head[i : i+4 : i+4]
		a, b := bits.OnesCount64(h[0]^q), bits.OnesCount64(h[1]^q)
		c, d := bits.OnesCount64(h[2]^q), bits.OnesCount64(h[3]^q)
		if min(a, b, c, d) <= threshold {
			break
		}
	}
	for ; i < len(head); i++ {
		if bits.OnesCount64(head[i]^q) <= threshold {
			break
		}
	}
	return i
}
