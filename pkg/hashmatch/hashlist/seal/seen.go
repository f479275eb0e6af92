package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Serial is what is remembered of the snapshot of a list that was in force last. The zero Serial says that there was
// none.
type Serial struct {
	List     string            `json:"list"`
	Serial   uint64            `json:"serial"`
	Revision hashlist.Revision `json:"revision"`
	Signed   time.Time         `json:"signed"`
	Key      string            `json:"key"`
}

func serialOf(s Statement) Serial {
	return Serial{List: s.List, Serial: s.Serial, Revision: s.Revision, Signed: s.Signed, Key: s.Key}
}

// admit refuses a snapshot that is older than the last.
func (last Serial) admit(s Statement) error {
	at := func(t time.Time) string { return t.Format(time.RFC3339) }
	switch {
	case s.Serial < last.Serial:
		return fmt.Errorf("%w: serial %d, signed at %s; serial %d, signed at %s, was in force",
			ErrReplayed, s.Serial, at(s.Signed), last.Serial, at(last.Signed))
	case s.Serial == last.Serial && s.Revision != last.Revision:
		return fmt.Errorf("%w: another revision with its serial %d was in force", ErrReplayed, s.Serial)
	}
	return nil
}

// Seen is a folder with the Serial of each list, one file a list. Processes may share it. Whoever can write to it can
// have older snapshots accepted: it belongs to the service, not to who brings the lists.
type Seen struct{ Folder string }

// path returns the file of a list, whose name may have any characters, and more than a file's name may have.
func (s Seen) path(list string) string {
	sum := sha256.Sum256([]byte(list))
	return filepath.Join(s.Folder, hex.EncodeToString(sum[:])+".json")
}

// Last returns what is remembered of a list; the zero Serial if that is nothing. A file that cannot be read as one is
// an error: what it said may be what keeps an older snapshot out.
func (s Seen) Last(list string) (Serial, error) {
	text, _, err := readSmall(s.path(list))
	if errors.Is(err, os.ErrNotExist) {
		return Serial{}, nil
	}
	var last Serial
	if err == nil {
		last, err = parseSerial(text, list)
	}
	if err != nil {
		return Serial{}, fmt.Errorf("serial of list %q: %s: %w", list, s.path(list), err)
	}
	return last, nil
}

func parseSerial(text []byte, list string) (last Serial, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&last); err != nil {
		return Serial{}, err
	}
	if last.List != list || last.Serial == 0 || last.Revision.IsZero() {
		return Serial{}, errors.New("not what is remembered of that list")
	}
	return last, nil
}

// Record remembers that a snapshot is in force. What is remembered never falls by it: of one that is older than the last
// it is an error that wraps ErrReplayed. Call it with what Open returned, before the list is put in force.
func (s Seen) Record(statement Statement) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	last, err := s.Last(statement.List)
	if err != nil {
		return err
	}
	if err := last.admit(statement); err != nil {
		return fmt.Errorf("list %q: %w", statement.List, err)
	}
	next := serialOf(statement)
	if next == last {
		return nil
	}
	return s.write(next)
}

// Lower remembers a snapshot that is older than the last in its place: a roll-back, which somebody decided. Those
// between the two are accepted again.
func (s Seen) Lower(statement Statement) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return s.write(serialOf(statement))
}

func (s Seen) write(serial Serial) error {
	text, err := json.Marshal(serial)
	if err != nil {
		return fmt.Errorf("serial of list %q: %w", serial.List, err)
	}
	err = hashlist.ReplaceFile(s.path(serial.List), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("serial of list %q: %w", serial.List, err)
	}
	return nil
}

// lock keeps other processes from recording at the same time, and makes the folder if it is not there.
func (s Seen) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("serials of lists: %w", err)
	}
	unlock, err = hashlist.LockFile(filepath.Join(s.Folder, "lock"))
	if err != nil {
		return nil, fmt.Errorf("serials of lists: %w", err)
	}
	return unlock, nil
}
