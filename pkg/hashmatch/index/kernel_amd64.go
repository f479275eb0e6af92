package index

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate go run -C internal/kernels . -out ../../kernels_amd64.s

func available() []kernel {
	has := []kernel{portable}
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasBMI1 || !x.HasBMI2 || !x.HasPOPCNT {
		return has
	}
	has = append(has, avx2)
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512BITALG && x.HasAVX512VPOPCNTDQ {
		has = append(has, avx512)
	}
	return has
}

// The kernels in assembly are written by internal/kernels, which says what they do. They look at no length: each
// method below sees to it that what they read is there, and so does gather. They read no further than the padding.

//go:noescape
func fetchBoundsAMD64(offsets *uint32, value int, flips *uint16, count int)

//go:noescape
func filterAVX512(spans *span, lists int, next, ids *byte, width int, survivors *uint64, room int) (done, count int)

//go:noescape
func filterAVX2(spans *span, lists int, next, ids *byte, width int, survivors *uint64, room int) (done, count int)

//go:noescape
func lookUpAMD64(survivors *uint64, count int, ids *byte, width int, head *uint64, size int)

//go:noescape
func nearHeadsAMD64(survivors *uint64, count int, head, tail, query *uint64, threshold int) int

//go:noescape
func scan1AVX512(head, tail *uint64, records int, queries *uint64, count, threshold int) int

//go:noescape
func scan2AVX512(head, tail *uint64, records int, queries *uint64, count, threshold int) int

//go:noescape
func scan3AVX512(head, tail *uint64, records int, queries *uint64, count, threshold int) int

//go:noescape
func scan4AVX512(head, tail *uint64, records int, queries *uint64, count, threshold int) int

//go:noescape
func scan1AVX2(head, tail *uint64, records int, queries *uint64, count, threshold int) int

//go:noescape
func scan2AVX2(head, tail *uint64, records int, queries *uint64, count, threshold int) int

//go:noescape
func scan3AVX2(head, tail *uint64, records int, queries *uint64, count, threshold int) int

//go:noescape
func scan4AVX2(head, tail *uint64, records int, queries *uint64, count, threshold int) int

// fetchBounds fetches the offsets of a table's buckets that differ from value by one of flips.
func (k kernel) fetchBounds(bounds *[buckets + 1]uint32, value uint16, flips []uint16, touched *uint32) {
	if k == portable || len(flips) == 0 {
		*touched += fetchBoundsPortable(bounds, value, flips)
		return
	}
	fetchBoundsAMD64(&bounds[0], int(value), &flips[0], len(flips))
}

// filter is filterPortable by k. It fetches the IDs of survivors.
func (k kernel) filter(lists []span, t *tables, survivors []uint64, touched *uint32) (done, count int) {
	if len(lists) == 0 || len(survivors) == 0 {
		return 0, 0
	}
	switch k {
	case avx512:
		return filterAVX512(&lists[0], len(lists), &t.next[0], &t.ids[0], t.width, &survivors[0], len(survivors))
	case avx2:
		return filterAVX2(&lists[0], len(lists), &t.next[0], &t.ids[0], t.width, &survivors[0], len(survivors))
	}
	return filterPortable(lists, t, survivors, touched)
}

// lookUp is lookUpPortable by k. It fetches the records.
func (k kernel) lookUp(t *tables, r *records, survivors []uint64) {
	if k == portable || len(survivors) == 0 {
		lookUpPortable(t, survivors)
		return
	}
	lookUpAMD64(&survivors[0], len(survivors), &t.ids[0], t.width, &r.head[0], 8*r.headWords)
}

// nearHeads is nearHeadsPortable by k. It fetches the rest of what is near.
func (k kernel) nearHeads(r *records, survivors []uint64, query *key, threshold int) int {
	if k == portable || len(survivors) == 0 {
		return nearHeadsPortable(r, survivors, query, threshold)
	}
	for _, survivor := range survivors {
		_ = r.tail[2*int(uint32(survivor))+1]
	}
	return nearHeadsAMD64(&survivors[0], len(survivors), &r.head[0], &r.tail[0], &query[0], threshold)
}

// scans holds the kernels of avx2 and avx512 for 1 to 4 words of a record.
var scans = [2][4]func(head, tail *uint64, records int, queries *uint64, count, threshold int) int{
	{scan1AVX2, scan2AVX2, scan3AVX2, scan4AVX2},
	{scan1AVX512, scan2AVX512, scan3AVX512, scan4AVX512},
}

// group is the number of records that nearGroup looks at together.
func (k kernel) group() int {
	switch k {
	case avx512:
		return 16
	case avx2:
		return 4
	}
	return groupPortable
}

// nearGroup is nearGroupPortable by k, in groups of k.group(): it compares that many words of each record, and may find
// groups that have no record within threshold, but leaves none out that has.
func (k kernel) nearGroup(r *records, words, first, end int, queries []key, threshold int) int {
	if k == portable || first >= end || len(queries) == 0 {
		return nearGroupPortable(r, words, first, end, queries, threshold)
	}
	head, tail := r.head[first*r.headWords:end*r.headWords], unsafe.SliceData(r.tail)
	if r.tailWords > 0 {
		tail = &r.tail[first*r.tailWords : end*r.tailWords][0]
	}
	return first + scans[k-avx2][words-1](&head[0], tail, end-first, &queries[0][0], len(queries), threshold)
}
