package hashlist

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"slices"
	"sync"
)

// The snapshot file, numbers little-endian:
//
//	magic      8 bytes
//	version    u16, of the writer
//	readable   u16, the lowest version that can read it
//	sections   u32, at most 64
//	size       u64, of the whole file
//	table      each section: name (4 letters), flags (u32, bit 0: a reader must know it), offset (u64),
//	           length (u64), SHA-256 of its bytes
//	checksum   SHA-256 of all of the above
//	sections   in the order of the table, each at a multiple of 64 bytes, zeros between them
//
// A reader refuses a section that it does not know if its flag says so, else it skips it. The sections:
//
//	META  JSON: the list's Info, its revision and the number of its entries
//	SEGS  each segment: bucket (u32), length of its block (u32), digest of its records (32 bytes); buckets ascend
//	RECS  the blocks (block.go), one after the other
//
// Version history:
//
//	1  the first
const (
	// WriteVersion is the version of the snapshot files that this package writes.
	WriteVersion = 1
	// ReadVersion is the lowest version that it reads. Each one since is in testdata.
	ReadVersion = 1
)

var magic = [8]byte{0x89, 'H', 'M', 'L', '\r', '\n', 0x1a, '\n'} // a transfer as text, or of 7 bits, destroys it

const (
	fixedHead    = 24
	tableRow     = 56
	maxSections  = 64
	alignment    = 64
	maxMeta      = 1 << 20
	segmentRow   = 40
	flagRequired = 1
)

// Errors of reading a snapshot. Every error of a file that was read but is not a sound snapshot wraps one of them.
var (
	// ErrNotSnapshot: the file is something else.
	ErrNotSnapshot = errors.New("not a hashmatch snapshot")
	// ErrVersion: the file needs a newer version of this program, or has a required section that it does not know.
	ErrVersion = errors.New("snapshot of a version that cannot be read here")
	// ErrTruncated: the file ends too early.
	ErrTruncated = errors.New("snapshot is cut off")
	// ErrChecksum: the file was altered since it was written.
	ErrChecksum = errors.New("snapshot is damaged: a checksum does not match")
	// ErrCorrupt: the checksums match, but the content is not what this program writes.
	ErrCorrupt = errors.New("snapshot is malformed")
)

type meta struct {
	Info
	Revision Revision `json:"revision"`
	Entries  int      `json:"entries"`
}

type section struct {
	name   string
	flags  uint32
	offset uint64
	length uint64
	sum    [32]byte
	body   [][]byte // when written
}

// Write writes the list as a snapshot. The same list gives the same bytes.
func Write(w io.Writer, l *List) error {
	if err := checkInfo(l.info); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	about, err := json.Marshal(meta{Info: l.info, Revision: l.revision, Entries: l.Len()})
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	var table []byte
	var blocks [][]byte
	for bucket, s := range l.segments {
		if s == nil {
			continue
		}
		table = binary.LittleEndian.AppendUint32(table, uint32(bucket))
		table = binary.LittleEndian.AppendUint32(table, uint32(len(s.block)))
		table = append(table, s.digest[:]...)
		blocks = append(blocks, s.block)
	}
	return writeSections(w, []section{
		{name: "META", flags: flagRequired, body: [][]byte{about}},
		{name: "SEGS", flags: flagRequired, body: [][]byte{table}},
		{name: "RECS", flags: flagRequired, body: blocks},
	})
}

func writeSections(w io.Writer, sections []section) error {
	offset := uint64(fixedHead + tableRow*len(sections) + sha256.Size)
	for i := range sections {
		s := &sections[i]
		offset = (offset + alignment - 1) / alignment * alignment
		s.offset = offset
		h := sha256.New()
		for _, part := range s.body {
			h.Write(part)
			s.length += uint64(len(part))
		}
		h.Sum(s.sum[:0])
		offset += s.length
	}
	head := append([]byte(nil), magic[:]...)
	head = binary.LittleEndian.AppendUint16(head, WriteVersion)
	head = binary.LittleEndian.AppendUint16(head, ReadVersion)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(sections)))
	head = binary.LittleEndian.AppendUint64(head, offset)
	for _, s := range sections {
		head = append(head, s.name...)
		head = binary.LittleEndian.AppendUint32(head, s.flags)
		head = binary.LittleEndian.AppendUint64(head, s.offset)
		head = binary.LittleEndian.AppendUint64(head, s.length)
		head = append(head, s.sum[:]...)
	}
	sum := sha256.Sum256(head)
	head = append(head, sum[:]...)

	out := bufio.NewWriterSize(w, 1<<20)
	out.Write(head) // a bufio.Writer keeps its first error for Flush
	at := uint64(len(head))
	for _, s := range sections {
		out.Write(make([]byte, s.offset-at))
		for _, part := range s.body {
			if _, err := out.Write(part); err != nil {
				return fmt.Errorf("snapshot: %w", err)
			}
		}
		at = s.offset + s.length
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// Read reads a snapshot to the end of r, which must be the end of the snapshot. It takes the memory of the list and
// that of a few segments more, and none that r does not have the bytes for.
func Read(r io.Reader) (*List, error) {
	in := &source{r: bufio.NewReaderSize(r, 64<<10)}
	sections, err := in.head()
	if err != nil {
		return nil, err
	}
	var about meta
	var rows []byte
	var segments []*segment
	seen := 0
	for _, s := range sections {
		if err := in.pad(s.offset); err != nil {
			return nil, err
		}
		// The order is fixed: whoever reads RECS has seen what they are to be.
		var err error
		switch {
		case s.name == "META" && seen == 0:
			err = in.meta(s, &about)
			seen++
		case s.name == "SEGS" && seen == 1:
			rows, err = in.segments(s)
			seen++
		case s.name == "RECS" && seen == 2:
			segments, err = in.records(s, rows)
			seen++
		case s.name == "META" || s.name == "SEGS" || s.name == "RECS":
			return nil, fmt.Errorf("%w: section %q out of order", ErrCorrupt, s.name)
		case s.flags&flagRequired != 0:
			return nil, fmt.Errorf("%w: section %q", ErrVersion, s.name)
		default:
			err = in.skip(s)
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := in.r.ReadByte(); err == nil {
		return nil, fmt.Errorf("%w: bytes after its end", ErrCorrupt)
	} else if err != io.EOF {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if seen != 3 {
		return nil, fmt.Errorf("%w: a section is missing", ErrCorrupt)
	}
	list, err := newList(segments, about.Info)
	if err != nil {
		return nil, err
	}
	if list.revision != about.Revision || list.Len() != about.Entries {
		return nil, fmt.Errorf("%w: its entries are not those of the revision that it names", ErrCorrupt)
	}
	return list, nil
}

// source reads the parts of a snapshot.
type source struct {
	r  *bufio.Reader
	at uint64
}

// fill reads len(p) bytes.
func (in *source) fill(p []byte) error {
	n, err := io.ReadFull(in.r, p)
	in.at += uint64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrTruncated
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// take reads n bytes into memory of their own. What a header says of n is not believed: memory grows as bytes come.
func (in *source) take(n uint64) ([]byte, error) {
	const step = 4 << 20
	p := make([]byte, min(n, step))
	if err := in.fill(p); err != nil {
		return nil, err
	}
	for uint64(len(p)) < n {
		have := len(p)
		more := int(min(n-uint64(have), uint64(have)))
		p = slices.Grow(p, more)[:have+more]
		if err := in.fill(p[have:]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// head reads everything before the first section.
func (in *source) head() ([]section, error) {
	head := make([]byte, fixedHead, fixedHead+tableRow*maxSections)
	if err := in.fill(head[:8]); err == ErrTruncated || err == nil && !bytes.Equal(head[:8], magic[:]) {
		return nil, ErrNotSnapshot
	} else if err != nil {
		return nil, err
	}
	if err := in.fill(head[8:]); err != nil {
		return nil, err
	}
	version, readable := binary.LittleEndian.Uint16(head[8:]), binary.LittleEndian.Uint16(head[10:])
	count, size := u32(head, 3), binary.LittleEndian.Uint64(head[16:])
	if readable > WriteVersion || version < ReadVersion {
		return nil, fmt.Errorf("%w: version %d, readable from %d; this program reads %d to %d",
			ErrVersion, version, readable, ReadVersion, WriteVersion)
	}
	if count > maxSections {
		return nil, fmt.Errorf("%w: %d sections", ErrCorrupt, count)
	}
	head = head[:fixedHead+tableRow*int(count)]
	if err := in.fill(head[fixedHead:]); err != nil {
		return nil, err
	}
	var sum [32]byte
	if err := in.fill(sum[:]); err != nil {
		return nil, err
	}
	if sha256.Sum256(head) != sum {
		return nil, fmt.Errorf("%w: header", ErrChecksum)
	}
	sections := make([]section, count)
	at := in.at
	for i := range sections {
		row := head[fixedHead+tableRow*i:]
		s := section{
			name: string(row[:4]), flags: u32(row, 1),
			offset: binary.LittleEndian.Uint64(row[8:]), length: binary.LittleEndian.Uint64(row[16:]),
		}
		copy(s.sum[:], row[24:])
		if s.offset < at || s.offset > size || s.length > size-s.offset {
			return nil, fmt.Errorf("%w: section %q lies outside of it", ErrCorrupt, s.name)
		}
		at = s.offset + s.length
		sections[i] = s
	}
	if at != size {
		return nil, fmt.Errorf("%w: its size", ErrCorrupt)
	}
	return sections, nil
}

// pad reads the zeros before a section.
func (in *source) pad(offset uint64) error {
	for in.at < offset {
		b, err := in.r.ReadByte()
		switch {
		case err == io.EOF:
			return ErrTruncated
		case err != nil:
			return fmt.Errorf("snapshot: %w", err)
		case b != 0:
			return fmt.Errorf("%w: between sections", ErrChecksum)
		}
		in.at++
	}
	return nil
}

// skip passes over a section that is not known here, and checks it nevertheless.
func (in *source) skip(s section) error {
	h := sha256.New()
	n, err := io.CopyN(h, in.r, int64(min(s.length, 1<<63-1)))
	in.at += uint64(n)
	if err == io.EOF {
		return ErrTruncated
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return s.check(h)
}

func (s *section) check(h hash.Hash) error {
	if [32]byte(h.Sum(nil)) != s.sum {
		return fmt.Errorf("%w: section %q", ErrChecksum, s.name)
	}
	return nil
}

func (in *source) meta(s section, about *meta) error {
	if s.length > maxMeta {
		return fmt.Errorf("%w: META of %d bytes", ErrCorrupt, s.length)
	}
	body, err := in.take(s.length)
	if err != nil {
		return err
	}
	if sha256.Sum256(body) != s.sum {
		return fmt.Errorf("%w: section %q", ErrChecksum, s.name)
	}
	if err := json.Unmarshal(body, about); err != nil {
		return fmt.Errorf("%w: META: %w", ErrCorrupt, err)
	}
	if err := checkInfo(about.Info); err != nil {
		return fmt.Errorf("%w: META: %w", ErrCorrupt, err)
	}
	return nil
}

// checkInfo bounds what is written into META and later printed.
func checkInfo(info Info) error {
	if err := checkText("name of the list", info.Name, MaxKeyBytes); err != nil {
		return err
	}
	return checkText("source of the list", info.Source, MaxKeyBytes)
}

func (in *source) segments(s section) ([]byte, error) {
	if s.length > segmentRow*buckets || s.length%segmentRow != 0 {
		return nil, fmt.Errorf("%w: SEGS of %d bytes", ErrCorrupt, s.length)
	}
	rows, err := in.take(s.length)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(rows) != s.sum {
		return nil, fmt.Errorf("%w: section %q", ErrChecksum, s.name)
	}
	next := uint32(0)
	for row := rows; len(row) > 0; row = row[segmentRow:] {
		if bucket := u32(row, 0); bucket < next || bucket >= buckets {
			return nil, fmt.Errorf("%w: segments out of order", ErrCorrupt)
		} else {
			next = bucket + 1
		}
	}
	return rows, nil
}

// records reads the blocks, and checks them on all cores while it reads. Nothing of them is handed out before the
// checksum of all is found right.
func (in *source) records(s section, rows []byte) ([]*segment, error) {
	total := uint64(0)
	for row := rows; len(row) > 0; row = row[segmentRow:] {
		total += uint64(u32(row, 1))
	}
	if total != s.length {
		return nil, fmt.Errorf("%w: RECS has %d bytes, its segments %d", ErrCorrupt, s.length, total)
	}
	type job struct {
		row   []byte
		block []byte
	}
	segments := make([]*segment, buckets)
	failures := make([]error, buckets)
	jobs := make(chan job, runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range jobs {
				bucket := int(u32(j.row, 0))
				opened, err := openSegment(j.block, bucket)
				if err == nil && !bytes.Equal(opened.digest[:], j.row[8:segmentRow]) {
					err = fmt.Errorf("%w: segment: its digest", ErrCorrupt)
				}
				segments[bucket], failures[bucket] = opened, err
			}
		})
	}
	h := sha256.New()
	var err error
	for row := rows; len(row) > 0 && err == nil; row = row[segmentRow:] {
		var block []byte
		if block, err = in.take(uint64(u32(row, 1))); err == nil {
			h.Write(block)
			jobs <- job{row, block}
		}
	}
	close(jobs)
	workers.Wait()
	if err == nil {
		err = s.check(h)
	}
	if err == nil {
		if i := slices.IndexFunc(failures, func(err error) bool { return err != nil }); i >= 0 {
			err = failures[i]
		}
	}
	if err != nil {
		return nil, err
	}
	return segments, nil
}
