package index

import (
	"context"
	"encoding/binary"
	"sync"
)

// chunkBits is the length of a chunk; a table has a bucket for each of its values.
const (
	chunkBits = 16
	buckets   = 1 << chunkBits
)

// tables is the multi-index over n records: for each chunk a table that holds, bucket by bucket of the chunk's value,
// the IDs of the records and their next chunk. It has no pointers within its arrays.
//
// Memory per entry and table: 2 bytes of next chunk, 3 of ID (4 from 16,777,217 records up); and 256 KiB a table for
// the buckets.
type tables struct {
	chunks  int      // tables: 16 of 256 bits, 4 of 64
	n       int      // postings in each table
	offsets []uint32 // a table's buckets+1 offsets of postings, table after table
	next    []byte   // 2 bytes a posting, little-endian, table after table; nextPadding bytes more
	ids     []byte   // width bytes a posting, little-endian, table after table; idPadding bytes more
	width   int      // bytes of an ID
}

// The last posting is read as a whole word, beyond its end: 8 bytes of next chunks at a time, 4 of an ID.
const (
	nextPadding = 6
	idPadding   = 1
)

// idWidth returns the bytes that an ID of n records takes.
func idWidth(n int) int {
	if n <= 1<<24 {
		return 3
	}
	return 4
}

// newTables builds every table of r, that many at a time.
func newTables(ctx context.Context, r *records, width, workers int) (*tables, error) {
	t := &tables{chunks: 4 * (r.headWords + r.tailWords), n: r.n, width: width}
	t.offsets = alloc[uint32](t.chunks * (buckets + 1))
	t.next = alloc[byte](2*t.chunks*t.n + nextPadding)
	t.ids = alloc[byte](t.width*t.chunks*t.n + idPadding)
	sorting := sync.Pool{New: func() any {
		memory := alloc[uint64](t.n)
		return &memory
	}}
	err := parallel(ctx, workers, t.chunks, func(table int) {
		memory := sorting.Get().(*[]uint64)
		t.fill(table, r, *memory)
		sorting.Put(memory)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// column returns the word that holds a chunk of record 0, the distance to that of the next record, and the shift that
// brings the chunk down.
func (r *records) column(chunk int) (words []uint64, stride int, shift uint) {
	words, stride = r.head, r.headWords
	word := chunk / 4
	if word >= r.headWords {
		words, stride, word = r.tail, r.tailWords, word-r.headWords
	}
	return words[word:], stride, uint(48 - 16*(chunk%4))
}

// fill sorts the records into a table by counting. IDs ascend within a bucket. Writing each posting straight to one of
// 65,536 places misses every cache: postings go to one of 256 runs first, and a run's buckets then fit into one.
// sorting is memory for n postings.
func (t *tables) fill(table int, r *records, sorting []uint64) {
	if t.n == 0 {
		return
	}
	words, stride, shift := r.column(table)
	nextWords, nextStride, nextShift := r.column((table + 1) % t.chunks)
	offsets := t.bounds(table)
	for i := 0; i < len(words); i += stride {
		offsets[int(uint16(words[i]>>shift))+1]++
	}
	for bucket := range buckets {
		offsets[bucket+1] += offsets[bucket]
	}

	var run [buckets >> 8]uint32
	for i := range run {
		run[i] = offsets[i<<8]
	}
	for id := range t.n {
		value, next := uint16(words[id*stride]>>shift), uint16(nextWords[id*nextStride]>>nextShift)
		at := run[value>>8]
		run[value>>8]++
		sorting[at] = uint64(value)<<48 | uint64(next)<<32 | uint64(uint32(id))
	}

	cursor := make([]uint32, buckets)
	copy(cursor, offsets)
	next, ids := t.postings(table)
	for _, posting := range sorting {
		bucket := posting >> 48
		at := int(cursor[bucket])
		cursor[bucket]++
		binary.LittleEndian.PutUint16(next[2*at:], uint16(posting>>32))
		b := ids[at*t.width : (at+1)*t.width]
		b[0], b[1], b[2] = byte(posting), byte(posting>>8), byte(posting>>16)
		if t.width == 4 {
			b[3] = byte(posting >> 24)
		}
	}
}

// bounds returns a table's offsets: the postings of a bucket are those from its offset up to the next one.
func (t *tables) bounds(table int) []uint32 {
	return t.offsets[table*(buckets+1) : (table+1)*(buckets+1) : (table+1)*(buckets+1)]
}

// postings returns a table's next chunks and IDs, each with its padding (or the first bytes of the next table).
func (t *tables) postings(table int) (next, ids []byte) {
	return t.next[2*table*t.n : 2*(table+1)*t.n+nextPadding], t.ids[t.width*table*t.n : t.width*(table+1)*t.n+idPadding]
}

// id returns the record of a posting.
func (t *tables) id(table, posting int) uint32 {
	return binary.LittleEndian.Uint32(t.ids[(table*t.n+posting)*t.width:]) & (1<<(8*t.width) - 1)
}

func (t *tables) bytes() int64 {
	return 4*int64(len(t.offsets)) + int64(len(t.next)) + int64(len(t.ids))
}
