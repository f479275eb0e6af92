package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// formatVersion is the version of the format that is written, and the only one that there is:
//
//	1  lines as in the package documentation
const formatVersion = 1

const (
	segmentDigits = 20
	segmentSuffix = ".jsonl"
)

// segmentName returns the name of the file whose first record has the given seq.
func segmentName(seq uint64) string {
	return fmt.Sprintf("%0*d%s", segmentDigits, seq, segmentSuffix)
}

// segmentSeq reads the name of a segment file.
func segmentSeq(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != segmentDigits {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil && segmentName(seq) == name
}

// segmentNames returns the names of the segment files in a directory, in their order.
func segmentNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, ok := segmentSeq(e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// openSegment opens a segment file to be read.
func openSegment(dir, name string) (*os.File, error) {
	path := filepath.Join(dir, name)
	// Before it is opened: opening a named pipe can wait for ever.
	if info, err := os.Lstat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	return os.Open(path)
}

// line is one line of a segment file.
type line struct {
	number int    // from 1
	offset int64  // of its first byte
	end    int64  // offset of what follows it
	text   []byte // without its end; of one that is too long for a record, a beginning that is too long. Valid until the next line.
	whole  bool   // it has an end
}

// lineReader reads a segment line by line.
type lineReader struct {
	r    *bufio.Reader
	next line
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// read returns the next line, or io.EOF.
func (lr *lineReader) read() (line, error) {
	l := &lr.next
	l.number++
	l.text, l.whole = l.text[:0], false
	length := int64(0)
	for {
		piece, err := lr.r.ReadSlice('\n')
		length += int64(len(piece))
		if room := maxLine + 2 - len(l.text); room > 0 {
			l.text = append(l.text, piece[:min(len(piece), room)]...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && length == 0:
			return line{}, io.EOF
		case err == io.EOF:
		case err != nil:
			return line{}, err
		default:
			l.whole = true
			if len(l.text) > 0 && l.text[len(l.text)-1] == '\n' { // it is not there if the line is too long
				l.text = l.text[:len(l.text)-1]
			}
		}
		found := *l
		found.end = l.offset + length
		l.offset = found.end
		return found, nil
	}
}

// Records returns the records of the log in a directory, oldest first, also while it is written to. It does not check
// the chain, which Verify does. A line that is no record is an error that names the place; what follows it is still
// there. A last line that is still being written is left out.
func Records(dir string) func(yield func(Entry, error) bool) {
	return func(yield func(Entry, error) bool) {
		names, err := segmentNames(dir)
		if err != nil {
			yield(Entry{}, fmt.Errorf("audit: %w", err))
			return
		}
		for _, name := range names {
			if !segmentRecords(dir, name, yield) {
				return
			}
		}
	}
}

func segmentRecords(dir, name string, yield func(Entry, error) bool) bool {
	file, err := openSegment(dir, name)
	if err != nil {
		return yield(Entry{}, fmt.Errorf("audit: %w", err))
	}
	defer file.Close()
	for lines := newLineReader(file); ; {
		l, err := lines.read()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return yield(Entry{}, fmt.Errorf("audit: %w", err))
		}
		if !l.whole {
			continue
		}
		p, err := parseLine(l.text)
		var e Entry
		if err == nil {
			e, err = p.entry()
		}
		if err != nil {
			if !yield(Entry{}, fmt.Errorf("audit: %s: line %d: %w", name, l.number, errNotRecord)) {
				return false
			}
			continue
		}
		e.Raw = slices.Clone(l.text)
		if !yield(e, nil) {
			return false
		}
	}
}

// syncDir makes the names of new files last through a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return bare(err)
	}
	return bare(errors.Join(d.Sync(), d.Close()))
}
