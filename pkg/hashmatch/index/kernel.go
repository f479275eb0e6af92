package index

import (
	"encoding/binary"
	"math/bits"
)

// kernel is a way to do the innermost loops of a search. All give the same survivors and records; portable is the one
// that the others are held against.
type kernel uint8

const (
	portable kernel = iota
	avx2            // with BMI1, BMI2 and POPCNT
	avx512          // F, BW, VL, BITALG and VPOPCNTDQ, and what avx2 has
)

func (k kernel) String() string { return [...]string{"portable", "avx2", "avx512"}[k] }

// kernels are those that this machine has, the fastest last. using is the one that searches use; tests change it.
var (
	kernels = available()
	using   = kernels[len(kernels)-1]
)

// fetchBoundsPortable reads the offsets of a table's buckets that differ from value by one of flips. In a loop as short
// as this one many reads are under way at once; in that of gather few are.
func fetchBoundsPortable(bounds *[buckets + 1]uint32, value uint16, flips []uint16) (sum uint32) {
	for _, flip := range flips {
		sum += bounds[value^flip]
	}
	return sum
}

// touchAhead is the number of lists whose cache lines are fetched together. The reads of touch do not wait for each
// other, while those of filterPortable hardly overlap from list to list: the processor does not look that far ahead.
const touchAhead = 24

// touch reads a byte of each cache line that filterPortable will read of the lists.
func touch(t *tables, lists []span) (sum uint32) {
	for _, list := range lists {
		at := int(list.at & (1<<postingBits - 1))
		next := t.next[2*at : 2*(at+int(list.count))]
		for i := 0; i < len(next); i += 64 {
			sum += uint32(next[i])
		}
		if len(next) > 0 {
			sum += uint32(next[len(next)-1]) // the lists start anywhere in a line
		}
	}
	return sum
}

// filterPortable puts the postings whose next chunk is near enough to the query's into survivors, as a span's at, list
// by list, and returns how many lists it did and the survivors. It stops before a list that might not fit. It looks at
// four postings at a time.
func filterPortable(lists []span, t *tables, survivors []uint64, touched *uint32) (done, count int) {
	const ones, tops = 0x0001000100010001, 0x8000800080008000
	for done < len(lists) {
		if done%touchAhead == 0 {
			*touched += touch(t, lists[done:min(done+touchAhead, len(lists))])
		}
		list := lists[done]
		if count+int(list.count) > len(survivors) {
			break
		}
		done++
		wanted := uint64(list.wanted) * ones
		above := uint64(0x7fff-list.limit) * ones // a count above the limit carries into the top bit
		at := int(list.at & (1<<postingBits - 1))
		next := t.next[2*at : 2*(at+int(list.count))+nextPadding]
		for i := 0; i+8 <= len(next); i += 8 {
			near := ^(count16(binary.LittleEndian.Uint64(next[i:])^wanted) + above) & tops
			for ; near != 0; near &= near - 1 {
				if j := i/2 + bits.TrailingZeros64(near)/16; j < int(list.count) {
					survivors[count] = list.at + uint64(j)
					count++
				}
			}
		}
	}
	return done, count
}

// lookUpPortable replaces the postings of survivors by their records.
func lookUpPortable(t *tables, survivors []uint64) {
	mask := uint32(1<<(8*t.width) - 1)
	for i, survivor := range survivors {
		at := int(survivor & (1<<postingBits - 1))
		id := binary.LittleEndian.Uint32(t.ids[at*t.width:]) & mask
		survivors[i] = survivor>>postingBits<<postingBits | uint64(id)
	}
}

// nearHeadsPortable moves the survivors (table << postingBits | record) whose first 128 bits are within threshold to
// the front, with that distance in bits 32 to 47, and returns how many they are.
func nearHeadsPortable(r *records, survivors []uint64, query *key, threshold int) int {
	count := 0
	for _, survivor := range survivors {
		id := int(uint32(survivor))
		head := r.head[2*id : 2*id+2]
		distance := bits.OnesCount64(head[0]^query[0]) + bits.OnesCount64(head[1]^query[1])
		if distance <= threshold {
			survivors[count] = survivor | uint64(distance)<<32
			count++
		}
	}
	return count
}

// groupPortable is the number of records that nearGroupPortable looks at together.
const groupPortable = 4

// nearGroupPortable returns the first group of records, of those from first to before end, that has a record whose
// first words (1, 2 or 4) are within threshold of a query, or end. end - first is a multiple of groupPortable. It is
// kept apart from what is done with the few it finds, and looks at four at a time: the loops then live in registers and
// have one branch a query.
func nearGroupPortable(r *records, words, first, end int, queries []key, threshold int) int {
	switch words {
	case 1:
		return nearGroup1(r.head, first, end, queries, threshold)
	case 2:
		return nearGroup2(r.head, first, end, queries, threshold)
	}
	return nearGroup4(r.head, r.tail, first, end, queries, threshold)
}

func nearGroup1(head []uint64, first, end int, queries []key, threshold int) int {
	for id := first; id < end; id += 4 {
		h := head[id : id+4 : id+4]
		for i := range queries {
			q := queries[i][0]
			a, b := bits.OnesCount64(h[0]^q), bits.OnesCount64(h[1]^q)
			c, d := bits.OnesCount64(h[2]^q), bits.OnesCount64(h[3]^q)
			if min(a, b, c, d) <= threshold {
				return id
			}
		}
	}
	return end
}

func nearGroup2(head []uint64, first, end int, queries []key, threshold int) int {
	for id := first; id < end; id += 4 {
		h := head[2*id : 2*id+8 : 2*id+8]
		for i := range queries {
			q0, q1 := queries[i][0], queries[i][1]
			a := bits.OnesCount64(h[0]^q0) + bits.OnesCount64(h[1]^q1)
			b := bits.OnesCount64(h[2]^q0) + bits.OnesCount64(h[3]^q1)
			c := bits.OnesCount64(h[4]^q0) + bits.OnesCount64(h[5]^q1)
			d := bits.OnesCount64(h[6]^q0) + bits.OnesCount64(h[7]^q1)
			if min(a, b, c, d) <= threshold {
				return id
			}
		}
	}
	return end
}

func nearGroup4(head, tail []uint64, first, end int, queries []key, threshold int) int {
	for id := first; id < end; id += 4 {
		h, t := head[2*id:2*id+8:2*id+8], tail[2*id:2*id+8:2*id+8]
		for i := range queries {
			q := &queries[i]
			a := bits.OnesCount64(h[0]^q[0]) + bits.OnesCount64(h[1]^q[1]) + bits.OnesCount64(t[0]^q[2]) + bits.OnesCount64(t[1]^q[3])
			b := bits.OnesCount64(h[2]^q[0]) + bits.OnesCount64(h[3]^q[1]) + bits.OnesCount64(t[2]^q[2]) + bits.OnesCount64(t[3]^q[3])
			c := bits.OnesCount64(h[4]^q[0]) + bits.OnesCount64(h[5]^q[1]) + bits.OnesCount64(t[4]^q[2]) + bits.OnesCount64(t[5]^q[3])
			d := bits.OnesCount64(h[6]^q[0]) + bits.OnesCount64(h[7]^q[1]) + bits.OnesCount64(t[6]^q[2]) + bits.OnesCount64(t[7]^q[3])
			if min(a, b, c, d) <= threshold {
				return id
			}
		}
	}
	return end
}
