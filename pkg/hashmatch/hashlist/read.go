package hashlist

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
)

// Read reads a snapshot to the end of r, which must be the end of the snapshot. It takes the memory of the list and
// that of a few segments more, and none that r does not have the bytes for.
func Read(r io.Reader) (*List, error) {
	in := &source{r: bufio.NewReaderSize(r, 64<<10)}
	sections, err := in.head()
	if err != nil {
		return nil, err
	}
	if err := checkOrder(sections); err != nil {
		return nil, err
	}
	var about meta
	var rows []byte
	var segments []*segment
	for i := range sections {
		s := &sections[i]
		if err := in.pad(s.offset); err != nil {
			return nil, err
		}
		switch i {
		case 0:
			about, err = in.meta(s)
		case 1:
			rows, err = in.segments(s)
		case 2:
			segments, err = in.records(s, rows)
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
	return about.list(segments)
}

// checkOrder wants the three sections of a list in front, so that whoever reads one has seen what it is to be, and none
// behind them that must be known.
func checkOrder(sections []section) error {
	own := []string{"META", "SEGS", "RECS"}
	if len(sections) < len(own) {
		return fmt.Errorf("%w: a section is missing", ErrCorrupt)
	}
	for i, s := range sections {
		switch {
		case i < len(own) && s.name == own[i]:
		case i < len(own) || slices.Contains(own, s.name):
			return fmt.Errorf("%w: section %q out of order", ErrCorrupt, s.name)
		case s.flags&flagRequired != 0:
			return fmt.Errorf("%w: section %q", ErrVersion, s.name)
		}
	}
	return nil
}

// list returns the list of segments that were read.
func (m *meta) list(segments []*segment) (*List, error) {
	list, err := newList(segments, m.Info)
	if err != nil {
		return nil, err
	}
	if list.revision != m.Revision || list.Len() != m.Entries {
		return nil, fmt.Errorf("%w: its entries are not those of the revision that it names", ErrCorrupt)
	}
	return list, nil
}

// source reads the parts of a snapshot.
type source struct {
	r       *bufio.Reader
	at      uint64
	size    uint64 // of the file, by its head
	version uint16 // of the writer
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
	in.version, in.size = version, size
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
func (in *source) skip(s *section) error {
	h := newSummer(in.version)
	n, err := io.CopyN(h, in.r, int64(min(s.length, 1<<63-1)))
	in.at += uint64(n)
	if err == io.EOF {
		return ErrTruncated
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return h.check(s)
}

func (in *source) meta(s *section) (meta, error) {
	if s.length > maxMeta {
		return meta{}, fmt.Errorf("%w: META of %d bytes", ErrCorrupt, s.length)
	}
	body, err := in.take(s.length)
	if err != nil {
		return meta{}, err
	}
	return parseMeta(s, body, in.version)
}

// parseMeta checks META and reads it.
func parseMeta(s *section, body []byte, version uint16) (about meta, err error) {
	h := newSummer(version)
	h.Write(body)
	if err := h.check(s); err != nil {
		return meta{}, err
	}
	if err := json.Unmarshal(body, &about); err != nil {
		return meta{}, fmt.Errorf("%w: META: %w", ErrCorrupt, err)
	}
	if err := checkInfo(about.Info); err != nil {
		return meta{}, fmt.Errorf("%w: META: %w", ErrCorrupt, err)
	}
	return about, nil
}

// checkInfo bounds what is written into META and later printed.
func checkInfo(info Info) error {
	if err := checkText("name of the list", info.Name, MaxKeyBytes); err != nil {
		return err
	}
	return checkText("source of the list", info.Source, MaxKeyBytes)
}

func (in *source) segments(s *section) ([]byte, error) {
	if s.length > segmentRow*buckets {
		return nil, fmt.Errorf("%w: SEGS of %d bytes", ErrCorrupt, s.length)
	}
	rows, err := in.take(s.length)
	if err != nil {
		return nil, err
	}
	return rows, checkRows(s, rows, in.version)
}

// checkRows checks SEGS.
func checkRows(s *section, rows []byte, version uint16) error {
	if len(rows) > segmentRow*buckets || len(rows)%segmentRow != 0 {
		return fmt.Errorf("%w: SEGS of %d bytes", ErrCorrupt, len(rows))
	}
	h := newSummer(version)
	h.Write(rows)
	if err := h.check(s); err != nil {
		return err
	}
	next := uint32(0)
	for row := rows; len(row) > 0; row = row[segmentRow:] {
		bucket := u32(row, 0)
		if bucket < next || bucket >= buckets {
			return fmt.Errorf("%w: segments out of order", ErrCorrupt)
		}
		next = bucket + 1
	}
	return nil
}

// checkLengths wants the blocks of SEGS to fill RECS.
func checkLengths(s *section, rows []byte) error {
	total := uint64(0)
	for row := rows; len(row) > 0; row = row[segmentRow:] {
		total += uint64(u32(row, 1))
	}
	if total != s.length {
		return fmt.Errorf("%w: RECS has %d bytes, its segments %d", ErrCorrupt, s.length, total)
	}
	return nil
}

// records reads the blocks, and checks them on all cores while it reads. Nothing of them is handed out before the
// checksum of all is found right.
func (in *source) records(s *section, rows []byte) ([]*segment, error) {
	if err := checkLengths(s, rows); err != nil {
		return nil, err
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
				opened, err := openSegment(j.block, bucket, nil)
				if err == nil && !bytes.Equal(opened.digest[:], j.row[8:segmentRow]) {
					err = fmt.Errorf("%w: segment: its digest", ErrCorrupt)
				}
				segments[bucket], failures[bucket] = opened, err
			}
		})
	}
	h := newSummer(in.version)
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
		err = h.check(s)
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
