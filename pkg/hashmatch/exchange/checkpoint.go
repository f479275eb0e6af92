package exchange

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Section is the name of the section of a snapshot file in which a Checkpoint stands.
const Section = "SYNC"

const (
	checkpointVersion  = 1
	maxCheckpointBytes = 64 << 10
	maxTag             = 4 << 10 // of an ETag or Last-Modified
)

// Checkpoint says up to where an exchange was heard. The zero Checkpoint is that of a list that was never synced.
type Checkpoint struct {
	Version  int    `json:"version"`
	Exchange string `json:"exchange"` // a digest of what was asked of whom: 64 hex digits
	// Begun is when the whole fetch began that the list came from, by the clock here. It tells one whole fetch from
	// the next.
	Begun time.Time `json:"begun"`
	// Through is the last second of which all entries are in the list, by the exchange's clock; zero before the first.
	Through time.Time `json:"through,omitzero"`
	// Synced is when the last successful sync began, by the clock here; zero while a whole fetch is under way.
	Synced time.Time `json:"synced,omitzero"`
	// ETag and Modified are what the server said of a list file, to be told back to it.
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
}

// Errors of reading a checkpoint.
var (
	// ErrCheckpoint: it is not what this program writes.
	ErrCheckpoint = errors.New("checkpoint is malformed")
	// ErrCheckpointVersion: a newer version of this program wrote it.
	ErrCheckpointVersion = errors.New("checkpoint of a version that cannot be read here")
)

// MarshalBinary writes what ParseCheckpoint reads.
func (c Checkpoint) MarshalBinary() ([]byte, error) {
	c.Version = checkpointVersion
	if err := c.check(); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

// ParseCheckpoint reads a checkpoint. Its error wraps ErrCheckpoint or ErrCheckpointVersion.
func ParseCheckpoint(text []byte) (Checkpoint, error) {
	if len(text) > maxCheckpointBytes {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes", ErrCheckpoint, len(text))
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: not JSON", ErrCheckpoint)
	}
	if head.Version > checkpointVersion {
		return Checkpoint{}, fmt.Errorf("%w: version %d, this program knows %d", ErrCheckpointVersion, head.Version, checkpointVersion)
	}
	var c Checkpoint
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Checkpoint{}, fmt.Errorf("%w: more behind it", ErrCheckpoint)
	}
	if err := c.check(); err != nil {
		return Checkpoint{}, err
	}
	c.Begun, c.Through, c.Synced = c.Begun.UTC(), c.Through.UTC(), c.Synced.UTC()
	return c, nil
}

func (c *Checkpoint) check() error {
	if c.Version != checkpointVersion {
		return fmt.Errorf("%w: version %d", ErrCheckpoint, c.Version)
	}
	if digest, err := hex.DecodeString(c.Exchange); err != nil || len(digest) != 32 {
		return fmt.Errorf("%w: the exchange", ErrCheckpoint)
	}
	if c.Begun.IsZero() {
		return fmt.Errorf("%w: no beginning", ErrCheckpoint)
	}
	for _, t := range []time.Time{c.Begun, c.Through, c.Synced} {
		if !t.IsZero() && (t.UTC().Year() < 1970 || t.UTC().Year() > 9998) {
			return fmt.Errorf("%w: a time is outside of the years 1970 to 9998", ErrCheckpoint)
		}
	}
	if !plainTag(c.ETag) || !plainTag(c.Modified) {
		return fmt.Errorf("%w: a tag that no header can hold", ErrCheckpoint)
	}
	return nil
}

// plainTag reports whether a header can carry the text, and is short.
func plainTag(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return len(text) <= maxTag
}

// ReadCheckpoint returns the checkpoint of a snapshot; the zero Checkpoint if its list was never synced.
func ReadCheckpoint(s *hashlist.Snapshot) (Checkpoint, error) {
	var text []byte
	if err := s.Memory().Use(func() { text = bytes.Clone(s.Extra(Section)) }); err != nil {
		return Checkpoint{}, err
	}
	if text == nil {
		return Checkpoint{}, nil
	}
	return ParseCheckpoint(text)
}

// section returns the checkpoint as a section for the snapshot file of its list.
func (c Checkpoint) section() (hashlist.Extra, error) {
	text, err := c.MarshalBinary()
	if err != nil {
		return hashlist.Extra{}, err
	}
	return hashlist.Extra{Name: Section, Parts: [][]byte{text}}, nil
}
