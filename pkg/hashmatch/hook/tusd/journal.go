package tusd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// step says how far an upload has come. A step is on disk before what it names begins.
type step string

const (
	taking    step = "taking"    // its files go to Held, or are there and have no verdict yet
	kept      step = "kept"      // the verdict was no allow: they stay in Held
	returning step = "returning" // allowed or released: they go back to the store
	returned  step = "returned"  // they are back, and the application has not been told
)

// journalSuffix is what is added to an upload's ID for its journal. The temporary file that it is written to first is
// named "." + ID + ".tmp".
const journalSuffix = ".journal"

// journalVersion 1: the first.
const journalVersion = 1

// journal is the state of one upload in Held. An upload without one is unknown.
type journal struct {
	Version int              `json:"version"`
	ID      string           `json:"id"`
	Step    step             `json:"step"`
	Action  hashmatch.Action `json:"action"` // the verdict's, from kept on
	Time    time.Time        `json:"time"`   // when Step was written
	Late    bool             `json:"late"`   // nobody waits for the verdict any more: the application is told at once
	Size    int64            `json:"size"`   // of the upload, as tusd states it
	Caller  string           `json:"caller,omitempty"`
	Upload  json.RawMessage  `json:"upload"` // Event.Upload, for the application
}

// maxJournal is the length of the longest journal that is read: one holds less than the event that it came with.
const maxJournal = MaxBody + 64<<10

// errJournal is wrapped by the refusal of a journal that cannot be used. The upload stays held.
var errJournal = errors.New("its journal cannot be read")

// load returns the journal of an upload; nil if there is none.
func (f *folders) load(id string) (*journal, error) {
	file, err := f.held.Open(id + journalSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", errJournal, bare(err))
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxJournal+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errJournal, bare(err))
	}
	if len(text) > maxJournal {
		return nil, fmt.Errorf("%w: too long", errJournal)
	}
	j, err := parseJournal(text)
	if err == nil && j.ID != id {
		err = fmt.Errorf("%w: it is another upload's", errJournal)
	}
	if err != nil {
		return nil, err
	}
	return j, nil
}

func parseJournal(text []byte) (*journal, error) {
	j := &journal{}
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("%w: no JSON of its form", errJournal)
	}
	switch {
	case j.Version != journalVersion:
		return nil, fmt.Errorf("%w: version %d, want %d", errJournal, j.Version, journalVersion)
	case checkID(j.ID) != nil || j.Size < 0:
		return nil, fmt.Errorf("%w: a value that cannot be", errJournal)
	}
	switch j.Step {
	case taking, kept, returning, returned:
		return j, nil
	}
	return nil, fmt.Errorf("%w: an unknown step", errJournal)
}

// save writes the journal to disk: when it returns nil, it is there after a crash.
func (f *folders) save(j *journal) error {
	text, err := json.Marshal(j)
	if err != nil {
		return err
	}
	temporary := "." + j.ID + ".tmp"
	file, err := f.held.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return bare(err)
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = f.held.Rename(temporary, j.ID+journalSuffix)
	}
	if err != nil {
		_ = f.held.Remove(temporary)
		return bare(err)
	}
	return syncFolder(f.heldDir)
}

// forget removes the journal.
func (f *folders) forget(id string) error {
	if err := f.held.Remove(id + journalSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return bare(err)
	}
	return syncFolder(f.heldDir)
}

// uploads returns the IDs of the uploads in Held: of those with a journal and, apart from them, of those with none.
func (f *folders) uploads() (known, unknown []string, err error) {
	dir, err := f.held.Open(".") // a handle of its own: the other one's place in the folder is shared
	if err != nil {
		return nil, nil, bare(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, nil, bare(err)
	}
	has := make(map[string]bool)
	for _, name := range names {
		if id, ok := strings.CutSuffix(name, journalSuffix); ok && checkID(id) == nil {
			known = append(known, id)
			has[id] = true
		}
	}
	for _, name := range names {
		id, ok := strings.CutSuffix(name, infoSuffix)
		if ok && checkID(id) == nil && !has[id] {
			unknown = append(unknown, id)
		}
	}
	return known, unknown, nil
}
