package index

import (
	"math/bits"

	"example.org/hashmatch/pkg/hashmatch"
)

// digests looks up digests of one kind: the records in the order of their keys, and a directory over the top bits of
// the first word that leaves 4 to 8 of them to search, about half a byte an entry. Digests chosen to share their top
// bits cost a binary search of the crowded bucket, no more.
type digests struct {
	records
	kind  hashmatch.Kind
	shift int      // a first word shifted right by it is a position in the directory
	first []uint32 // 1 << (64 - shift) + 1 IDs
}

func newDigests(kind hashmatch.Kind, r records) *digests {
	d := &digests{records: r, kind: kind, shift: 64 - max(1, bits.Len(uint(r.n))-3)}
	d.first = make([]uint32, 1<<(64-d.shift)+1)
	for id := range r.n {
		d.first[r.head[id*r.headWords]>>d.shift+1]++
	}
	for i := range len(d.first) - 1 {
		d.first[i+1] += d.first[i]
	}
	return d
}

// find returns the ID of k, or -1.
func (d *digests) find(k *key) int {
	bucket := k[0] >> d.shift
	low, high := int(d.first[bucket]), int(d.first[bucket+1])
	for low < high {
		middle := int(uint(low+high) >> 1)
		if d.less(middle, k) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low < int(d.first[bucket+1]) && d.key(low) == *k {
		return low
	}
	return -1
}

// less reports whether the record's key is before k.
func (d *digests) less(id int, k *key) bool {
	for i, word := range d.head[id*d.headWords : (id+1)*d.headWords] {
		if word != k[i] {
			return word < k[i]
		}
	}
	for i, word := range d.tail[id*d.tailWords : (id+1)*d.tailWords] {
		if word != k[2+i] {
			return word < k[2+i]
		}
	}
	return false
}

func (d *digests) search(dst []Hit, h hashmatch.Hash, _ int) []Hit {
	k := toKey(&h)
	if id := d.find(&k); id >= 0 {
		dst = append(dst, Hit{Hash: toHash(d.kind, &k), Entries: d.entries(id)})
	}
	return dst
}

func (d *digests) searchMany(dst []QueryHit, hashes []hashmatch.Hash, first, _ int) []QueryHit {
	for i := range hashes {
		k := toKey(&hashes[i])
		if id := d.find(&k); id >= 0 {
			dst = append(dst, QueryHit{first + i, Hit{Hash: hashes[i], Entries: d.entries(id)}})
		}
	}
	return dst
}

func (d *digests) any(hashes []hashmatch.Hash, _ int) bool {
	for i := range hashes {
		k := toKey(&hashes[i])
		if d.find(&k) >= 0 {
			return true
		}
	}
	return false
}

// scan is the slow twin of search.
func (d *digests) scan(dst []Hit, h hashmatch.Hash, _ int) []Hit {
	k := toKey(&h)
	for id := range d.n {
		if d.key(id) == k {
			dst = append(dst, Hit{Hash: toHash(d.kind, &k), Entries: d.entries(id)})
		}
	}
	return dst
}

func (d *digests) base() *records { return &d.records }

func (d *digests) bytes() int64 { return d.records.bytes() + 4*int64(len(d.first)) }
