//go:build !amd64

package index

func available() []kernel { return []kernel{portable} }

func (k kernel) fetchBounds(bounds *[buckets + 1]uint32, value uint16, flips []uint16, touched *uint32) {
	*touched += fetchBoundsPortable(bounds, value, flips)
}

func (k kernel) filter(lists []span, t *tables, survivors []uint64, touched *uint32) (done, count int) {
	return filterPortable(lists, t, survivors, touched)
}

func (k kernel) lookUp(t *tables, _ *records, survivors []uint64) { lookUpPortable(t, survivors) }

func (k kernel) nearHeads(r *records, survivors []uint64, query *key, threshold int) int {
	return nearHeadsPortable(r, survivors, query, threshold)
}

func (k kernel) group() int { return groupPortable }

func (k kernel) nearGroup(r *records, words, first, end int, queries []key, threshold int) int {
	return nearGroupPortable(r, words, first, end, queries, threshold)
}
