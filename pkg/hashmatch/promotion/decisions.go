package promotion

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Act is what a person decides.
type Act string

// The acts.
const (
	Accept   Act = "accept"   // serve this revision, whatever guards say, once it is proven; ends a roll-back
	Refuse   Act = "refuse"   // do not serve this revision
	Rollback Act = "rollback" // serve this revision, which was accepted before, whatever the list's file holds from now on
)

// Decision is what a person decided on one revision.
type Decision struct {
	Act      Act               `json:"act"`
	Revision hashlist.Revision `json:"revision"`
	By       string            `json:"by"`
	Reason   string            `json:"reason"`
	Time     time.Time         `json:"time"`
}

// Decisions are those on one list, the oldest first.
type Decisions []Decision

// Pinned returns the roll-back that is in force; false if there is none.
func (d Decisions) Pinned() (Decision, bool) {
	for _, one := range slices.Backward(d) {
		switch one.Act {
		case Rollback:
			return one, true
		case Accept:
			return Decision{}, false
		}
	}
	return Decision{}, false
}

// On returns the last acceptance or refusal of a revision; false if there is none.
func (d Decisions) On(r hashlist.Revision) (Decision, bool) {
	for _, one := range slices.Backward(d) {
		if one.Revision == r && one.Act != Rollback {
			return one, true
		}
	}
	return Decision{}, false
}

// maxWords bounds a reason or a name, in bytes.
const maxWords = 1000

func (d *Decision) check() error {
	switch {
	case d.Act != Accept && d.Act != Refuse && d.Act != Rollback:
		return fmt.Errorf("unknown act %q", d.Act)
	case d.Revision.IsZero():
		return errors.New("no revision")
	case strings.TrimSpace(d.Reason) == "" || strings.TrimSpace(d.By) == "":
		return errors.New("who decides, and why, must be stated")
	case len(d.Reason) > maxWords || len(d.By) > maxWords:
		return fmt.Errorf("longer than %d bytes", maxWords)
	}
	return nil
}

// Decisions returns what was decided. A file that is damaged is an error: it may be what keeps a revision out.
func (s Store) Decisions() (Decisions, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	var all Decisions
	for _, n := range numbers {
		var d Decision
		path := s.decisionPath(n)
		if err := readJSON(path, &d); err != nil {
			return nil, err
		}
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, d)
	}
	return all, nil
}

func (s Store) decisionPath(n int) string {
	return filepath.Join(s.DecisionsFolder(), strconv.Itoa(n)+".json")
}

// numbers returns the numbers of the decisions, ascending.
func (s Store) numbers() ([]int, error) {
	entries, err := os.ReadDir(s.DecisionsFolder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		text, ok := strings.CutSuffix(e.Name(), ".json")
		if n, err := strconv.Atoi(text); ok && err == nil && n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Decide records a decision. It is on disk when Decide returns without an error.
func (s Store) Decide(d Decision) error {
	if err := d.check(); err != nil {
		return err
	}
	if d.Act == Rollback {
		if _, err := os.Stat(s.Path(d.Revision)); err != nil {
			return fmt.Errorf("revision %s is not kept: %w", d.Revision.Short(), err)
		}
	}
	folder := s.DecisionsFolder()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, ".decision.*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	for ; ; next++ {
		// A link fails where there is such a file: of two who decide at once, each has a number of his own.
		if err := os.Link(file.Name(), s.decisionPath(next)); err == nil {
			return syncDir(folder)
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}
