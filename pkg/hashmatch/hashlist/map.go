package hashlist

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// Snapshot is an opened snapshot file: the list in it, and the sections that others keep beside it.
type Snapshot struct {
	list   *List
	memory *Memory
	extras map[string][]byte
}

// List returns the list.
func (s *Snapshot) List() *List { return s.list }

// Memory returns the memory that the list and the sections lie in; nil if it is the process's own.
func (s *Snapshot) Memory() *Memory { return s.memory }

// Extra returns the bytes of a section of others, which are not to be changed, and to be read as Memory says; nil if
// there is none of that name. They start at a multiple of 64 of the file.
func (s *Snapshot) Extra(name string) []byte { return s.extras[name] }

// Extras returns all sections of others in the order of their names, to be written with the list again. Their bytes are
// to be read as Memory says, or copied within Memory.Use first.
func (s *Snapshot) Extras() []Extra {
	var extras []Extra
	for _, name := range slices.Sorted(maps.Keys(s.extras)) {
		if name != vouchSection {
			extras = append(extras, Extra{Name: name, Parts: [][]byte{s.extras[name]}})
		}
	}
	return extras
}

// Map opens the snapshot file at path by mapping it into memory, for those who search a large list and want it at once:
// all checksums are compared, on all cores, but what they vouch for is not computed again, as Open does. Where the file
// cannot be mapped safely it is read: see Memory for what that means, and for what happens to a file that changes.
func Map(path string) (*Snapshot, error) { return MapVouched(path, nil) }

// MapVouched is Map for a snapshot that somebody has to vouch for: check is called with its head before anything else
// of the file is looked at, and its error is returned. nil means no check.
func MapVouched(path string, check func(Vouched) error) (*Snapshot, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	s, err := mapSnapshot(file, check)
	if s == nil || s.memory == nil {
		file.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", path, err)
	}
	return s, nil
}

func mapSnapshot(file *os.File, check func(Vouched) error) (*Snapshot, error) {
	// What is something else is not worth a look at the whole of it.
	var start [len(magic)]byte
	if _, err := file.ReadAt(start[:], 0); err == io.EOF || err == nil && start != magic {
		return nil, ErrNotSnapshot
	} else if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	memory, err := mapFile(file)
	if err != nil {
		return nil, err
	}
	if memory != nil {
		return fromBytes(memory.data, memory, check)
	}
	in := &source{r: bufio.NewReaderSize(file, 64<<10)}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	data, err := in.take(uint64(info.Size()))
	if err != nil {
		return nil, err
	}
	return fromBytes(data, nil, check)
}

// FromBytes opens a snapshot that is in memory already, as Map does. It keeps data, which must not change any more.
func FromBytes(data []byte) (*Snapshot, error) { return fromBytes(data, nil, nil) }

// FromBytesVouched is FromBytes with a check as MapVouched has one.
func FromBytesVouched(data []byte, check func(Vouched) error) (*Snapshot, error) {
	return fromBytes(data, nil, check)
}

// fromBytes opens data, which is memory's unless that is nil. Nothing but the head is looked at before check has accepted it
// and the checksums of all sections are found right.
func fromBytes(data []byte, memory *Memory, check func(Vouched) error) (*Snapshot, error) {
	var in *source
	var sections []section
	err := use(memory, func() (err error) {
		in = &source{r: bufio.NewReader(bytes.NewReader(data))}
		if sections, err = in.head(); err != nil {
			return err
		}
		if err = checkFrame(data, in, sections); err != nil || check == nil {
			return err
		}
		return check(vouchedBy(data, in.at, sections))
	})
	if err == nil {
		err = checkOrder(sections)
	}
	if err == nil {
		err = checkSums(data, memory, in.version, sections)
	}
	if err != nil {
		return nil, err
	}
	bodyOf := func(s *section) []byte { return data[s.offset : s.offset+s.length : s.offset+s.length] }

	var about meta
	var rows []byte
	err = use(memory, func() (err error) {
		if about, err = parseMeta(&sections[0], bodyOf(&sections[0]), in.version); err != nil {
			return err
		}
		rows = bytes.Clone(bodyOf(&sections[1])) // the list keeps digests of it
		if err = checkRows(&sections[1], rows, in.version); err != nil {
			return err
		}
		return checkLengths(&sections[2], rows)
	})
	if err != nil {
		return nil, err
	}
	segments, err := openSegments(bodyOf(&sections[2]), memory, rows)
	if err != nil {
		return nil, err
	}
	list, err := about.list(segments)
	if err != nil {
		return nil, err
	}
	list.memory = memory
	s := &Snapshot{list: list, memory: memory, extras: make(map[string][]byte)}
	for i := range sections[3:] {
		extra := &sections[3+i]
		if s.extras[extra.name] != nil {
			return nil, fmt.Errorf("%w: two sections %q", ErrCorrupt, extra.name)
		}
		s.extras[extra.name] = bodyOf(extra)
	}
	return s, nil
}

// use is memory.Use for what has an error of its own.
func use(memory *Memory, read func() error) (err error) {
	if changed := memory.Use(func() { err = read() }); changed != nil {
		return changed
	}
	return err
}

// checkFrame checks what lies around the sections: the size of the file, and the zeros between.
func checkFrame(data []byte, in *source, sections []section) error {
	switch {
	case uint64(len(data)) < in.size:
		return ErrTruncated
	case uint64(len(data)) > in.size:
		return fmt.Errorf("%w: bytes after its end", ErrCorrupt)
	}
	at := in.at
	for _, s := range sections {
		for _, b := range data[at:s.offset] {
			if b != 0 {
				return fmt.Errorf("%w: between sections", ErrChecksum)
			}
		}
		at = s.offset + s.length
	}
	return nil
}

// checkSums compares every section with its checksum, on all cores.
func checkSums(data []byte, memory *Memory, version uint16, sections []section) error {
	type part struct {
		bytes []byte
		sum   []byte // where its SHA-256 belongs
	}
	var parts []part
	sums := make([][]byte, len(sections))
	for i, s := range sections {
		body := data[s.offset : s.offset+s.length]
		size := piece
		if version == 1 {
			size = max(1, len(body)) // in one piece
		}
		sums[i] = make([]byte, (len(body)+size-1)/size*sha256.Size)
		for sum := sums[i]; len(body) > 0; sum = sum[sha256.Size:] {
			n := min(size, len(body))
			parts = append(parts, part{body[:n], sum[:sha256.Size]})
			body = body[n:]
		}
	}
	err := each(len(parts), func(i int) error {
		return memory.Use(func() {
			sum := sha256.Sum256(parts[i].bytes)
			copy(parts[i].sum, sum[:])
		})
	})
	if err != nil {
		return err
	}
	for i, s := range sections {
		sum := [32]byte{}
		if version > 1 || s.length == 0 {
			sum = sha256.Sum256(sums[i])
		} else {
			copy(sum[:], sums[i])
		}
		if sum != s.sum {
			return fmt.Errorf("%w: section %q", ErrChecksum, s.name)
		}
	}
	return nil
}

// openSegments takes over the blocks of RECS, whose checksums are right and whose lengths are those of rows.
func openSegments(blocks []byte, memory *Memory, rows []byte) ([]*segment, error) {
	segments := make([]*segment, buckets)
	parts := make([][]byte, 0, buckets)
	for row := rows; len(row) > 0; row = row[segmentRow:] {
		n := u32(row, 1)
		parts = append(parts, blocks[:n:n])
		blocks = blocks[n:]
	}
	err := each(len(parts), func(i int) error {
		return use(memory, func() (err error) {
			row := rows[i*segmentRow:]
			bucket := int(u32(row, 0))
			segments[bucket], err = openSegment(parts[i], bucket, (*[32]byte)(row[8:]))
			return err
		})
	})
	return segments, err
}

// openRegular opens a file that is no folder, pipe or device.
func openRegular(path string) (*os.File, error) {
	// Before it is opened: opening a named pipe can wait for ever.
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("snapshot %s: %w: not a regular file", path, ErrNotSnapshot)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return file, nil
}
