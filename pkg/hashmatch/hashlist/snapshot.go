package hashlist

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// The snapshot file, numbers little-endian:
//
//	magic      8 bytes
//	version    u16, of the writer
//	readable   u16, the lowest version that can read it
//	sections   u32, at most 64
//	size       u64, of the whole file
//	table      each section: name (4 letters), flags (u32, bit 0: a reader must know it), offset (u64),
//	           length (u64), checksum (32 bytes)
//	checksum   SHA-256 of all of the above
//	sections   in the order of the table, each at a multiple of 64 bytes, zeros between them
//
// The checksum of a section is the SHA-256 of the SHA-256s of its pieces of 1 MiB, the last one shorter: all cores can
// check one section. A reader refuses a section that it does not know if its flag says so, else it skips it. The
// sections:
//
//	META  JSON: the list's Info, its revision and the number of its entries
//	SEGS  each segment: bucket (u32), length of its block (u32), digest of its records (32 bytes); buckets ascend
//	RECS  the blocks (block.go), one after the other
//	SIGN  what vouches for the head (voucher.go), the last section if it is there
//	....  what others keep beside a list (Extra); this package knows nothing of it, and no reader must
//
// Version history:
//
//	1  the first; the checksum of a section is the SHA-256 of its bytes
//	2  checksums by pieces; sections of others
const (
	// WriteVersion is the version of the snapshot files that this package writes.
	WriteVersion = 2
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
	piece        = 1 << 20
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

// Extra is a section that another package keeps in the snapshot file of a list, such as an index over it.
type Extra struct {
	Name  string   // 4 capital letters or digits; not META, SEGS, RECS or SIGN
	Parts [][]byte // its bytes, one part after the other; its first byte is at a multiple of 64 of the file
}

// Write writes the list as a snapshot, with the sections of others that are given. The same list and sections give the
// same bytes.
func Write(w io.Writer, l *List, extras ...Extra) error { return writeWith(w, l, nil, extras) }

func writeWith(w io.Writer, l *List, voucher *Voucher, extras []Extra) error {
	if err := checkInfo(l.info); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	l, err := l.private()
	if err != nil {
		return err
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
	sections := []section{
		{name: "META", flags: flagRequired, body: [][]byte{about}},
		{name: "SEGS", flags: flagRequired, body: [][]byte{table}},
		{name: "RECS", flags: flagRequired, body: blocks},
	}
	for _, extra := range extras {
		sections = append(sections, section{name: extra.Name, body: extra.Parts})
	}
	if voucher != nil {
		sections = append(sections, section{name: vouchSection, body: [][]byte{make([]byte, voucher.Length)}})
	}
	if err := checkExtras(sections); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return writeSections(w, sections, voucher)
}

// checkExtras refuses sections whose names a reader would take for others.
func checkExtras(sections []section) error {
	if len(sections) > maxSections {
		return fmt.Errorf("%d sections, at most %d are allowed", len(sections), maxSections)
	}
	seen := make(map[string]bool)
	for i, s := range sections {
		if s.name == vouchSection && i < len(sections)-1 {
			return fmt.Errorf("a section of the name %q, which is not the last", s.name)
		}
		plain := len(s.name) == 4
		for _, c := range []byte(s.name) {
			plain = plain && (c >= 'A' && c <= 'Z' || c >= '0' && c <= '9')
		}
		if !plain || seen[s.name] {
			return fmt.Errorf("a section of the name %q", s.name)
		}
		seen[s.name] = true
	}
	return nil
}

func writeSections(w io.Writer, sections []section, voucher *Voucher) error {
	offset := uint64(fixedHead + tableRow*len(sections) + sha256.Size)
	for i := range sections {
		s := &sections[i]
		offset = (offset + alignment - 1) / alignment * alignment
		s.offset = offset
		for _, part := range s.body {
			s.length += uint64(len(part))
		}
		if s.name != vouchSection {
			s.sum = sumOf(s.body)
		}
		offset += s.length
	}
	if voucher != nil {
		if err := voucher.fill(&sections[len(sections)-1], headOf(sections, offset)); err != nil {
			return err
		}
	}
	head := headOf(sections, offset)
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

// headOf returns the head of a file of that size, without its checksum.
func headOf(sections []section, size uint64) []byte {
	head := append([]byte(nil), magic[:]...)
	head = binary.LittleEndian.AppendUint16(head, WriteVersion)
	head = binary.LittleEndian.AppendUint16(head, 2) // the lowest version that knows checksums by pieces
	head = binary.LittleEndian.AppendUint32(head, uint32(len(sections)))
	head = binary.LittleEndian.AppendUint64(head, size)
	for _, s := range sections {
		head = append(head, s.name...)
		head = binary.LittleEndian.AppendUint32(head, s.flags)
		head = binary.LittleEndian.AppendUint64(head, s.offset)
		head = binary.LittleEndian.AppendUint64(head, s.length)
		head = append(head, s.sum[:]...)
	}
	return head
}

// sumOf returns the checksum of a section of the version that is written, taken on all cores.
func sumOf(body [][]byte) [32]byte {
	var pieces [][][]byte
	room := 0
	for _, part := range body {
		for len(part) > 0 {
			if room == 0 {
				pieces, room = append(pieces, nil), piece
			}
			n := min(room, len(part))
			last := &pieces[len(pieces)-1]
			*last = append(*last, part[:n])
			part, room = part[n:], room-n
		}
	}
	sums := make([]byte, sha256.Size*len(pieces))
	_ = each(len(pieces), func(i int) error {
		h := sha256.New()
		for _, part := range pieces[i] {
			h.Write(part)
		}
		h.Sum(sums[sha256.Size*i : sha256.Size*i])
		return nil
	})
	return sha256.Sum256(sums)
}

// summer takes the checksum of a section of the given version as its bytes come.
type summer struct {
	hash.Hash           // of the bytes, or of the digests of the pieces
	current   hash.Hash // of the piece that is not full; nil in version 1
	room      int
}

func newSummer(version uint16) *summer {
	s := &summer{Hash: sha256.New()}
	if version > 1 {
		s.current, s.room = sha256.New(), piece
	}
	return s
}

func (s *summer) Write(p []byte) (int, error) {
	if s.current == nil {
		return s.Hash.Write(p)
	}
	for rest := p; len(rest) > 0; {
		n := min(s.room, len(rest))
		s.current.Write(rest[:n])
		rest = rest[n:]
		if s.room -= n; s.room == 0 {
			s.flush()
		}
	}
	return len(p), nil
}

func (s *summer) flush() {
	var sum [sha256.Size]byte
	s.Hash.Write(s.current.Sum(sum[:0]))
	s.current.Reset()
	s.room = piece
}

// check ends the sum and compares it with the section's.
func (s *summer) check(of *section) error {
	if s.current != nil && s.room < piece {
		s.flush()
	}
	if [32]byte(s.Sum(nil)) != of.sum {
		return fmt.Errorf("%w: section %q", ErrChecksum, of.name)
	}
	return nil
}
