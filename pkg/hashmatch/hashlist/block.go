package hashlist

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// A segment is the entries of one bucket: a block of bytes and what was counted in it. It is immutable.
//
// The block, numbers little-endian:
//
//	entries       u32, 1 or more
//	descriptors   u32
//	base          i64: seconds since 1970 that times added and synced are relative to, the latest Synced of all
//	prefixes      u32 an entry: 32 bits of its key's digest, ascending
//	ends          u32 an entry: where its record ends
//	descriptors   u32 each: where it ends; then their bytes
//	records       each: number of its descriptor (uvarint), base - added, base - synced (varint), content
type segment struct {
	block       []byte
	entries     int
	descriptors int
	base        int64
	prefixes    []byte // these four are parts of block
	ends        []byte
	shared      []byte // the descriptors' ends and bytes
	records     []byte

	digest [32]byte // of the records, see Revision
	counts
}

// counts is what is counted in a segment.
type counts struct {
	hashes [len(codes)]int  // by code
	opaque map[string]int   // opaque signatures by scheme; nil if there are none
	status [statusCount]int // entries
}

func (c *counts) add(s *signature) {
	if s.code != codeOpaque {
		c.hashes[s.code]++
		return
	}
	if c.opaque == nil {
		c.opaque = make(map[string]int)
	}
	c.opaque[string(s.scheme)]++
}

const (
	blockHead   = 16
	statusCount = int(hashmatch.Withdrawn) + 1
)

func u32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }

func (s *segment) prefix(i int) uint32 { return u32(s.prefixes, i) }

// descriptor returns descriptor d.
func (s *segment) descriptor(d int) []byte {
	start, text := uint32(0), s.shared[4*s.descriptors:]
	if d > 0 {
		start = u32(s.shared, d-1)
	}
	return text[start:u32(s.shared, d)]
}

// rawRecord returns record i as it stands in the block.
func (s *segment) rawRecord(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = u32(s.ends, i-1)
	}
	return s.records[start:u32(s.ends, i)]
}

// draft is one record on its way into a block.
type draft struct {
	prefix        uint32
	added, synced int64 // seconds since 1970
	descriptor    []byte
	content       []byte
}

// draft returns record i, pointing into the block. It must be sound.
func (s *segment) draft(i int) draft {
	c := cursor{rest: s.rawRecord(i)}
	d := draft{prefix: s.prefix(i), descriptor: s.descriptor(int(c.uvarint()))}
	d.added, d.synced = s.base-c.varint(), s.base-c.varint()
	d.content = c.rest
	return d
}

func (d *draft) digest() keyDigest { return digestRecord(d.descriptor, d.content) }

func (d *draft) status() hashmatch.Status { return hashmatch.Status(d.descriptor[0]) }

// entry decodes the draft.
func (d *draft) entry() (e hashmatch.Entry, err error) {
	if err = decodeDescriptor(d.descriptor, &e); err == nil {
		err = decodeContent(d.content, &e)
	}
	e.Added, e.Synced = time.Unix(d.added, 0).UTC(), time.Unix(d.synced, 0).UTC()
	return e, err
}

// newDraft encodes an entry that is valid and normal.
func newDraft(e *hashmatch.Entry) (draft, keyDigest) {
	digest := digestKey(&e.Key)
	return draft{
		prefix: digest.prefix(), added: e.Added.Unix(), synced: e.Synced.Unix(),
		descriptor: appendDescriptor(nil, e), content: appendContent(nil, e),
	}, digest
}

// compareDrafts orders drafts of one bucket by the digest of their keys.
func compareDrafts(a, b draft) int {
	if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
		return c
	}
	x, y := a.digest(), b.digest()
	return bytes.Compare(x[:], y[:])
}

// find returns where in the segment the entry with that digest stands. A nil segment holds none.
func (s *segment) find(digest *keyDigest) (int, bool) {
	if s == nil {
		return 0, false
	}
	prefix := digest.prefix()
	low, high := 0, s.entries
	for low < high {
		if middle := int(uint(low+high) >> 1); s.prefix(middle) < prefix {
			low = middle + 1
		} else {
			high = middle
		}
	}
	for ; low < s.entries && s.prefix(low) == prefix; low++ {
		if d := s.draft(low); d.digest() == *digest {
			return low, true
		}
	}
	return 0, false
}

// newSegment writes drafts, which are of one bucket, in order and without doubles, into a block of their own. It
// returns nil for no draft.
func newSegment(drafts []draft) (*segment, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	base := int64(math.MinInt64)
	for i := range drafts {
		base = max(base, drafts[i].synced)
	}
	numbers := make(map[string]int)
	var shared []byte
	var sharedEnds, ends []uint32
	size := 0
	for i := range drafts {
		size += len(drafts[i].content) + 8
	}
	records := make([]byte, 0, size)
	ends = make([]uint32, 0, len(drafts))
	for i := range drafts {
		d := &drafts[i]
		number, known := numbers[string(d.descriptor)]
		if !known {
			number = len(numbers)
			numbers[string(d.descriptor)] = number
			shared = append(shared, d.descriptor...)
			sharedEnds = append(sharedEnds, uint32(len(shared)))
		}
		records = binary.AppendUvarint(records, uint64(number))
		records = binary.AppendVarint(records, base-d.added)
		records = binary.AppendVarint(records, base-d.synced)
		records = append(records, d.content...)
		if uint64(blockHead)+12*uint64(len(drafts))+uint64(len(shared))+uint64(len(records)) > math.MaxInt32 {
			return nil, errors.New("a list of this size needs more than 2 GiB for one of its 4,096 segments")
		}
		ends = append(ends, uint32(len(records)))
	}
	block := make([]byte, 0, blockHead+8*len(drafts)+4*len(sharedEnds)+len(shared)+len(records))
	block = binary.LittleEndian.AppendUint32(block, uint32(len(drafts)))
	block = binary.LittleEndian.AppendUint32(block, uint32(len(sharedEnds)))
	block = binary.LittleEndian.AppendUint64(block, uint64(base))
	for i := range drafts {
		block = binary.LittleEndian.AppendUint32(block, drafts[i].prefix)
	}
	for _, end := range ends {
		block = binary.LittleEndian.AppendUint32(block, end)
	}
	for _, end := range sharedEnds {
		block = binary.LittleEndian.AppendUint32(block, end)
	}
	block = append(block, shared...)
	block = append(block, records...)
	s, err := splitBlock(block)
	if err != nil {
		return nil, err
	}
	s.count()
	return s, nil
}

// splitBlock finds the parts of a block and checks that they lie within it, so that no later access can leave it. It
// does not look into the records.
func splitBlock(block []byte) (*segment, error) {
	wrong := func(what string) error { return fmt.Errorf("%w: segment: %s", ErrCorrupt, what) }
	if len(block) < blockHead {
		return nil, wrong("too short")
	}
	entries, descriptors := uint64(u32(block, 0)), uint64(u32(block, 1))
	fixed := blockHead + 8*entries + 4*descriptors
	if entries == 0 || descriptors == 0 || descriptors > entries || fixed > uint64(len(block)) {
		return nil, wrong("wrong number of entries")
	}
	s := &segment{block: block, entries: int(entries), descriptors: int(descriptors)}
	s.base = int64(binary.LittleEndian.Uint64(block[8:]))
	s.prefixes = block[blockHead : blockHead+4*entries]
	s.ends = block[blockHead+4*entries : blockHead+8*entries]
	last := uint32(0)
	for d := range s.descriptors {
		end := u32(block[blockHead+8*entries:], d)
		if end <= last {
			return nil, wrong("descriptors out of order")
		}
		last = end
	}
	if fixed+uint64(last) > uint64(len(block)) {
		return nil, wrong("descriptors past its end")
	}
	s.shared = block[blockHead+8*entries : fixed+uint64(last)]
	s.records = block[fixed+uint64(last):]
	last = 0
	for i := range s.entries {
		end := u32(s.ends, i)
		if end <= last {
			return nil, wrong("records out of order")
		}
		last = end
	}
	if uint64(last) != uint64(len(s.records)) {
		return nil, wrong("its records do not fill it")
	}
	return s, nil
}

// clone returns the segment with a block of its own.
func (s *segment) clone() (*segment, error) {
	out, err := splitBlock(bytes.Clone(s.block))
	if err != nil {
		return nil, err
	}
	out.digest, out.counts = s.digest, s.counts
	return out, nil
}

// openSegment takes over a block that comes from outside: it accepts exactly what newSegment writes for some drafts
// of that bucket, but for the choice of the base. It never panics.
//
// With a digest it believes what a digest of the file has shown already: that the entries stand where their keys
// belong, and have that digest. These cost up to three SHA-256 an entry, most of the time. What any access to the segment
// relies on is checked nevertheless.
func openSegment(block []byte, bucket int, digest *[32]byte) (*segment, error) {
	s, err := splitBlock(block)
	if err != nil {
		return nil, err
	}
	wrong := func(what string) error { return fmt.Errorf("%w: segment: %s", ErrCorrupt, what) }
	if s.base < zeroSeconds || s.base > maxSeconds {
		return nil, wrong("its time")
	}
	states := make([]hashmatch.Status, s.descriptors)
	for d := range states {
		if states[d], err = checkDescriptor(s.descriptor(d)); err != nil {
			return nil, err
		}
	}
	if s.descriptors > 1 {
		seen := make(map[string]bool, s.descriptors)
		for d := range s.descriptors {
			seen[string(s.descriptor(d))] = true
		}
		if len(seen) != s.descriptors {
			return nil, wrong("a descriptor twice")
		}
	}
	var counts *counts
	if digest != nil {
		counts = &s.counts
	}
	used := uint64(0)
	var previous keyDigest
	for i := range s.entries {
		c := cursor{rest: s.rawRecord(i)}
		number := c.uvarint()
		added, synced := s.base-c.varint(), s.base-c.varint()
		if c.bad || number > used || number >= uint64(s.descriptors) ||
			added < zeroSeconds || added > maxSeconds || synced < zeroSeconds || synced > maxSeconds {
			return nil, wrong("the head of a record")
		}
		used = max(used, number+1)
		if err := checkContent(c.rest, states[number], counts); err != nil {
			return nil, err
		}
		if digest != nil {
			continue
		}
		key := digestRecord(s.descriptor(int(number)), c.rest)
		if key.bucket() != bucket || key.prefix() != s.prefix(i) {
			return nil, wrong("an entry in the wrong place")
		}
		if i > 0 && bytes.Compare(previous[:], key[:]) >= 0 {
			return nil, wrong("entries out of order")
		}
		previous = key
	}
	if used != uint64(s.descriptors) {
		return nil, wrong("a descriptor that no entry uses")
	}
	if digest != nil {
		s.digest = *digest
	} else {
		s.count()
	}
	return s, nil
}

// count digests the records and counts what is in them.
func (s *segment) count() {
	h := sha256.New()
	buffer := make([]byte, 0, 8<<10)
	buffer = append(buffer, bucketDomain...)
	for i := range s.entries {
		d := s.draft(i)
		buffer = binary.AppendUvarint(buffer, uint64(len(d.descriptor)))
		buffer = append(buffer, d.descriptor...)
		buffer = binary.AppendUvarint(buffer, uint64(len(d.content)))
		buffer = append(buffer, d.content...)
		if len(buffer) > 4<<10 {
			h.Write(buffer)
			buffer = buffer[:0]
		}
		s.status[d.status()]++
		c := readContent(d.content)
		for sig, ok := c.next(); ok; sig, ok = c.next() {
			s.add(&sig)
		}
	}
	h.Write(buffer)
	h.Sum(s.digest[:0])
}

// sortDrafts orders drafts by key, drafts of one key in any way.
func sortDrafts(drafts []draft) { slices.SortFunc(drafts, compareDrafts) }
