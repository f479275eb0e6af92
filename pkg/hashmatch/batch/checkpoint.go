package batch

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Terms are what the verdicts of a run depend on, and where they go. A run goes on from a checkpoint only under the
// terms that it began with, unless the caller says otherwise.
type Terms struct {
	Surface   string            `json:"surface"`
	Policy    string            `json:"policy"`    // its revision
	Revisions map[string]string `json:"revisions"` // of each list, by its name
	Inputs    []string          `json:"inputs"`    // the paths to be scanned, absolute
	Results   string            `json:"results"`   // format and absolute path; "" or "-" for a pipe
}

// Changes says in words what is different in now, one change an element; nil if nothing is.
func (t Terms) Changes(now Terms) []string {
	var changes []string
	different := func(what, was, is string) {
		if was != is {
			changes = append(changes, fmt.Sprintf("%s: was %q, is %q", what, was, is))
		}
	}
	different("surface", t.Surface, now.Surface)
	different("policy", t.Policy, now.Policy)
	all := maps.Clone(t.Revisions)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, now.Revisions)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, had := t.Revisions[name]
		is, has := now.Revisions[name]
		switch {
		case !had:
			changes = append(changes, fmt.Sprintf("list %q: is new", name))
		case !has:
			changes = append(changes, fmt.Sprintf("list %q: is gone", name))
		default:
			different(fmt.Sprintf("list %q", name), was, is)
		}
	}
	if !slices.Equal(t.Inputs, now.Inputs) {
		changes = append(changes, "paths: others are to be scanned")
	}
	different("results", t.Results, now.Results)
	return changes
}

// CheckpointChangedError says that a checkpoint was made under other terms.
type CheckpointChangedError struct{ Changes []string }

// Error names the changes.
func (e *CheckpointChangedError) Error() string {
	return "the checkpoint was made under other terms: " + strings.Join(e.Changes, "; ")
}

// Errors of OpenCheckpoint.
var (
	ErrCheckpointLocked = errors.New("another run uses this checkpoint")
	ErrNotCheckpoint    = errors.New("not a checkpoint")
)

// Resume says what to do with a checkpoint that holds something.
type Resume uint8

// The ways to resume.
const (
	Same    Resume = iota // go on if the terms are the same, else a CheckpointChangedError
	Anyway                // go on; the verdicts that were reached under other terms stand
	Restart               // forget what it holds
)

// Checkpoint remembers which files of a run have their result, in a file of mode 0600 that holds their paths, sizes,
// modification times and verdicts: no match, and no hash of any file. Run appends to it and removes it when the run is
// complete. One process has it open at a time. It needs file locks
// that end with their process: Linux, macOS, the BSDs.
type Checkpoint struct {
	path    string
	file    *os.File
	size    int64  // of the file
	pending []byte // records that were not written yet
	payload []byte // reused
	offset  int64  // bytes of output up to the last record
	summary Summary

	seed  maphash.Seed
	done  []doneFile // sorted by hash, then by position
	named []uint64   // a bit for each of done: the source gave that file again
}

// doneFile is a file that an earlier run did: 16 bytes. The record itself is read again when it is looked up, so that
// no hash stands in for a path.
type doneFile struct {
	hash     uint64
	position int64 // of the record in the file
}

// OpenCheckpoint opens the checkpoint at path, or makes it. An existing file must be a regular file that belongs to
// the user and that nobody else can write to: whoever can write a checkpoint can have files left unscanned. A file
// that is no checkpoint is an error that wraps ErrNotCheckpoint, and stays as it is; one in use is an error that wraps
// ErrCheckpointLocked. The Scanner must keep to the revisions and the policy of terms for the whole run.
func OpenCheckpoint(path string, terms Terms, resume Resume) (*Checkpoint, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %q: %w", path, err)
	}
	file, err := openLocked(abs)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %q: %w", path, err)
	}
	c := &Checkpoint{path: abs, file: file, seed: maphash.MakeSeed()}
	if err := c.begin(terms, resume); err != nil {
		file.Close()
		return nil, fmt.Errorf("checkpoint %q: %w", path, err)
	}
	return c, nil
}

// begin loads what is there and makes the file ready to be appended to.
func (c *Checkpoint) begin(terms Terms, resume Resume) error {
	terms, err := terms.asRead()
	if err != nil {
		return err
	}
	was, err := c.load()
	if err != nil {
		return err
	}
	output := c.offset
	if was != nil && resume != Restart {
		changes := was.Changes(terms)
		if len(changes) == 0 {
			return c.cut(c.size)
		}
		if resume == Same {
			return &CheckpointChangedError{Changes: changes}
		}
		if was.Results != terms.Results {
			output = 0
		}
	} else {
		*c = Checkpoint{path: c.path, file: c.file, seed: c.seed}
		output = 0
	}
	c.offset = output
	if err := c.cut(c.size); err != nil {
		return err
	}
	if c.size == 0 {
		c.pending = append(c.pending, checkpointMagic...)
	}
	if c.payload, err = appendTerms(nil, termsRecord{Terms: terms, Output: output}); err != nil {
		return err
	}
	c.pending = appendRecord(c.pending, c.payload)
	return c.commit()
}

// cut drops everything behind size and goes there.
func (c *Checkpoint) cut(size int64) error {
	if err := c.file.Truncate(size); err != nil {
		return err
	}
	_, err := c.file.Seek(size, io.SeekStart)
	return err
}

// load reads every whole record and returns the terms in force; nil terms if the file holds none, which is how a
// death while it was made leaves it. Its memory is 16 bytes for each file.
func (c *Checkpoint) load() (*Terms, error) {
	r := bufio.NewReaderSize(c.file, 1<<20)
	magic := make([]byte, len(checkpointMagic))
	n, err := io.ReadFull(r, magic)
	if !bytes.HasPrefix([]byte(checkpointMagic), magic[:n]) {
		return nil, ErrNotCheckpoint
	}
	if err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, nil
		}
		return nil, err
	}
	var terms *Terms
	c.size = int64(len(magic))
	var payload []byte
	for {
		payload, err = readRecord(r, payload)
		if err == io.EOF || errors.Is(err, errTorn) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := c.take(&terms, payload); err != nil {
			break // as good as torn: what follows cannot be trusted
		}
		c.size += int64(recordHead + len(payload))
	}
	slices.SortFunc(c.done, func(a, b doneFile) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.position, b.position))
	})
	c.named = make([]uint64, (len(c.done)+63)/64)
	c.summary.Resumed = c.summary.Files
	return terms, nil
}

const recordHead = 8

// readRecord reads the next record into buffer, or a new one if it is too short. io.EOF is the end, errTorn a record
// that is not whole.
func readRecord(r io.Reader, buffer []byte) ([]byte, error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if err == io.ErrUnexpectedEOF {
			err = errTorn
		}
		return buffer, err
	}
	n, err := recordLength(head[:])
	if err != nil {
		return buffer, err
	}
	buffer = slices.Grow(buffer[:0], n)[:n]
	if _, err := io.ReadFull(r, buffer); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = errTorn
		}
		return buffer, err
	}
	return buffer, checkRecord(head[:], buffer)
}

// take takes in one record, which stands at c.size.
func (c *Checkpoint) take(terms **Terms, payload []byte) error {
	if payload[0] == recordTerms {
		t, err := parseTerms(payload[1:])
		if err != nil {
			return err
		}
		*terms, c.offset = &t.Terms, t.Output
		return nil
	}
	if payload[0] != recordFile || *terms == nil {
		return errTorn
	}
	record, err := parseFile(payload[1:])
	if err != nil {
		return err
	}
	if record.replaces != 0 {
		old, err := c.at(record.replaces)
		if err != nil {
			return err
		}
		c.summary.add(old.tally, -1)
	}
	c.summary.add(record.tally, 1)
	c.offset = record.output
	c.done = append(c.done, doneFile{maphash.Bytes(c.seed, record.key), c.size})
	return nil
}

// at reads the record at a position.
func (c *Checkpoint) at(position int64) (fileRecord, error) {
	payload, err := readRecord(io.NewSectionReader(c.file, position, recordHead+maxRecord), nil)
	if err != nil {
		return fileRecord{}, err
	}
	if payload[0] != recordFile {
		return fileRecord{}, errTorn
	}
	return parseFile(payload[1:])
}

// lookup returns the newest record of a key from before this run, and where it stands; position 0 if there is none. It
// remembers that the source gave the file.
func (c *Checkpoint) lookup(key string) (record fileRecord, position int64, err error) {
	hash := maphash.String(c.seed, key)
	end := sort.Search(len(c.done), func(i int) bool { return c.done[i].hash > hash })
	for i := end - 1; i >= 0 && c.done[i].hash == hash; i-- {
		record, err := c.at(c.done[i].position)
		if err != nil {
			return fileRecord{}, 0, err
		}
		if string(record.key) == key {
			c.named[i/64] |= 1 << (i % 64)
			return record, c.done[i].position, nil
		}
	}
	return fileRecord{}, 0, nil
}

// unnamed counts the files from before this run that lookup was not asked for, those excepted of which gone says that
// there is nothing left to scan. It reads each of their records.
func (c *Checkpoint) unnamed(gone func(key string) bool) (int64, error) {
	var count int64
	for end := len(c.done); end > 0; {
		begin := end - 1 // of the files with one hash: nearly always one
		for begin > 0 && c.done[begin-1].hash == c.done[end-1].hash {
			begin--
		}
		newest := map[string]bool{}
		for i := end - 1; i >= begin; i-- {
			named := c.named[i/64]&(1<<(i%64)) != 0
			if named && end-begin == 1 {
				continue
			}
			record, err := c.at(c.done[i].position)
			if err != nil {
				return 0, err
			}
			if key := string(record.key); !newest[key] {
				newest[key] = true
				if !named && !gone(key) {
					count++
				}
			}
		}
		end = begin
	}
	return count, nil
}

// add records a result, to be written by the next commit.
func (c *Checkpoint) add(r fileRecord) error {
	c.payload = appendFile(c.payload[:0], r)
	if len(c.payload) > maxRecord {
		return fmt.Errorf("key of %d bytes", len(r.key))
	}
	c.pending = appendRecord(c.pending, c.payload)
	c.offset = r.output
	return nil
}

// commit makes what was added durable. It is called when the results themselves are.
func (c *Checkpoint) commit() error {
	if len(c.pending) == 0 {
		return nil
	}
	n, err := c.file.Write(c.pending)
	c.size += int64(n)
	if err != nil {
		return err
	}
	c.pending = c.pending[:0]
	return c.file.Sync()
}

// finish removes the file.
func (c *Checkpoint) finish() error { return os.Remove(c.path) }

// Offset returns how many bytes of output belong to the results that it holds: where OpenOutput goes on.
func (c *Checkpoint) Offset() int64 { return c.offset }

// Summary returns the counts of the results that it holds.
func (c *Checkpoint) Summary() Summary { return c.summary.clone() }

// Close gives the checkpoint free for another run. It must not be called before Run has returned.
func (c *Checkpoint) Close() error { return c.file.Close() }
