package promotion

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Store is the folder of one list:
//
//	state.json           what is in force and what is set aside; written by who serves the list
//	decisions/N.json     what people decided, numbered from 1; each file is written once and never changed
//	REVISION.list        the last accepted revisions, each a copy of the list's file as it was
//
// Whoever writes one of them writes it beside its place, forces it to disk and puts it there in one step, and a copy is
// there before the state names it: after a kill at any moment, the folder is as before a step or as after it. One process
// serves and writes the state; any number may decide.
//
// A folder that is not there is empty. Whoever can write to it decides what is served: it belongs to the service.
type Store struct {
	Folder string
	Keep   int // how many accepted revisions are kept, that in force included; less than 1 means 1
}

// Kept is a revision that was accepted and is kept.
type Kept struct {
	Revision hashlist.Revision `json:"revision"`
	Entries  int               `json:"entries"`
	Accepted time.Time         `json:"accepted"`
}

// Aside is a revision that is set aside: another one is served.
type Aside struct {
	List     string            `json:"list"`
	Revision hashlist.Revision `json:"revision"` // zero if its file cannot be read
	Entries  int               `json:"entries"`
	Since    time.Time         `json:"since"`
	Reasons  []Reason          `json:"reasons"`
	Serving  hashlist.Revision `json:"serving"` // what is in force in its place, before Applied
	Applied  int               `json:"applied"` // entries in force that it withdraws or suspends, which is done

	Difference Difference `json:"difference"`
	Matching   []string   `json:"matching,omitempty"` // some of the new entries that match harmless pictures
	// Of Looked new entries, so many have a hash that another source listed as well.
	Looked      int `json:"looked"`
	Overlapping int `json:"overlapping"`
}

// State is what who serves the list remembers of it.
type State struct {
	Version int    `json:"version"`
	Kept    []Kept `json:"kept"`            // the one that is or was last in force first
	Aside   *Aside `json:"aside,omitempty"` // nil: none
}

const stateVersion = 1

// maxFile bounds what is read of one file.
const maxFile = 1 << 20

// State returns what is remembered; nothing of a list that was never served. A file that is damaged is an error.
func (s Store) State() (State, error) {
	var state State
	err := readJSON(s.statePath(), &state)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return State{Version: stateVersion}, nil
	case err == nil && state.Version != stateVersion:
		err = fmt.Errorf("%s: version %d, want %d", s.statePath(), state.Version, stateVersion)
	}
	return state, err
}

func (s Store) statePath() string { return filepath.Join(s.Folder, "state.json") }

// Path returns the file of a kept revision, whether it is there or not.
func (s Store) Path(r hashlist.Revision) string { return filepath.Join(s.Folder, r.String()+".list") }

// DecisionsFolder returns the folder whose time of modification changes with every decision, for those who watch it.
func (s Store) DecisionsFolder() string { return filepath.Join(s.Folder, "decisions") }

// Accept remembers that a revision is in force, and that none is set aside. from is the list's file, which is copied
// unless the revision is kept already; unchanged is asked after the copy whether the file is still the one that was read.
// Older revisions beyond Keep are forgotten.
func (s Store) Accept(k Kept, from string, unchanged func(os.FileInfo) bool) error {
	state, err := s.State()
	if err != nil {
		return err
	}
	if len(state.Kept) > 0 && state.Kept[0].Revision == k.Revision && state.Aside == nil {
		return nil
	}
	if err := os.MkdirAll(s.Folder, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(s.Path(k.Revision)); errors.Is(err, fs.ErrNotExist) {
		if err := s.copy(s.Path(k.Revision), from, unchanged); err != nil {
			return fmt.Errorf("keeping a revision: %w", err)
		}
	} else if err != nil {
		return err
	}
	state.Kept = slices.DeleteFunc(state.Kept, func(old Kept) bool { return old.Revision == k.Revision })
	state.Kept = slices.Insert(state.Kept, 0, k)
	state.Kept = state.Kept[:min(len(state.Kept), max(1, s.Keep))]
	state.Aside = nil
	if err := s.writeState(state); err != nil {
		return err
	}
	return s.prune(state)
}

// SetAside remembers what is set aside, and keeps Since of what was set aside already for the same reasons. It does
// not forget what is in force.
func (s Store) SetAside(a Aside) error {
	state, err := s.State()
	if err != nil {
		return err
	}
	if old := state.Aside; old != nil {
		if old.Revision == a.Revision && slices.Equal(old.Reasons, a.Reasons) && old.Serving == a.Serving {
			return nil
		}
		if old.Revision == a.Revision {
			a.Since = old.Since
		}
	}
	state.Aside = &a
	if err := os.MkdirAll(s.Folder, 0o700); err != nil {
		return err
	}
	return s.writeState(state)
}

func (s Store) writeState(state State) error {
	state.Version = stateVersion
	return hashlist.ReplaceFile(s.statePath(), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(state)
	})
}

// copy copies the file as it is, encrypted or signed as it may be, with its time: the age of text is counted from there.
func (s Store) copy(to, from string, unchanged func(os.FileInfo) bool) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	err = hashlist.ReplaceFile(to, func(w io.Writer) error {
		if _, err := io.Copy(w, in); err != nil {
			return err
		}
		info, err := os.Stat(from)
		if err == nil && !unchanged(info) {
			err = errors.New("the file of the list was replaced meanwhile")
		}
		return err
	})
	if err != nil {
		return err
	}
	info, err := in.Stat()
	if err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// prune deletes copies that the state does not name, and what a kill left half written.
func (s Store) prune(state State) error {
	entries, err := os.ReadDir(s.Folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, isCopy := strings.CutSuffix(e.Name(), ".list")
		named := slices.ContainsFunc(state.Kept, func(k Kept) bool { return k.Revision.String() == text })
		half := strings.HasPrefix(e.Name(), ".") && strings.HasSuffix(e.Name(), ".tmp")
		if isCopy && !named || half {
			if err := os.Remove(filepath.Join(s.Folder, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func readJSON(path string, into any) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("longer than %d bytes", maxFile)
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// syncDir makes what was put into a folder last through a power cut. Windows cannot, and does without.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
