package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Status tells how the last sync of a list went. It is for people and monitoring: no sync depends on it.
type Status struct {
	List     string    `json:"list"`
	Dialect  Dialect   `json:"dialect"`
	Tried    time.Time `json:"tried"`            // when the last sync began
	Synced   time.Time `json:"synced,omitzero"`  // when the last successful one began
	Failures int       `json:"failures"`         // in a row
	Error    string    `json:"error,omitempty"`  // why the last one failed
	Gap      *Gap      `json:"gap,omitempty"`    // what is missing; nil if nothing is known to be
	Result   *Result   `json:"result,omitempty"` // of the last successful one
	Skew     float64   `json:"skew_seconds"`     // the exchange's clock less the one here
}

// Gap is what a list is missing. From and To are by the exchange's clock; To is zero where the gap has no end.
type Gap struct {
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`
	Since    time.Time `json:"since"` // when it was first met, by the clock here
	Attempts int       `json:"attempts"`
	Error    string    `json:"error"`
}

const maxStatusBytes = 1 << 20

// StatusFile returns the name of the status file of a list's snapshot file.
func StatusFile(list string) string { return list + ".sync.json" }

// ReadStatus reads the status of the list in a snapshot file. An error that wraps os.ErrNotExist means that it was
// never synced.
func ReadStatus(list string) (Status, error) {
	file, err := os.Open(StatusFile(list))
	if err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxStatusBytes))
	if err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	var status Status
	if err := json.Unmarshal(text, &status); err != nil {
		return Status{}, fmt.Errorf("status: %s: %w", StatusFile(list), err)
	}
	return status, nil
}

// tell writes the status file after a sync.
func (s *Syncer) tell(begun time.Time, result Result, failure error) error {
	status, err := ReadStatus(s.config.File)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("the status is begun anew", "error", err)
	}
	status.List, status.Dialect, status.Tried, status.Skew = s.config.List, s.config.Dialect, begun.UTC(), s.skew.Seconds()
	var gap *GapError
	switch {
	case failure == nil:
		status.Synced, status.Failures, status.Error, status.Gap, status.Result = begun.UTC(), 0, "", nil, &result
	case errors.As(failure, &gap):
		since := begun.UTC()
		if old := status.Gap; old != nil && old.From.Equal(gap.From) {
			since = old.Since
		}
		status.Gap = &Gap{From: gap.From, To: gap.To, Since: since, Attempts: gap.Attempts, Error: gap.Err.Error()}
		fallthrough
	default:
		status.Failures++
		status.Error = failure.Error()
	}
	text, err := json.MarshalIndent(status, "", "  ")
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	return writeSmall(StatusFile(s.config.File), append(text, '\n'))
}

// writeSmall replaces a file in one rename.
func writeSmall(path string, text []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		os.Remove(temporary.Name())
		return fmt.Errorf("status: %w", err)
	}
	return nil
}
