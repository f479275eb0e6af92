package outbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"example.org/hashmatch/pkg/hashmatch/exchange"
)

const (
	itemVersion  = 1
	maxItemBytes = 64 << 10
	maxText      = 8 << 10 // of an item's texts together
	maxReason    = 500     // bytes of an error
)

// State says where an item is.
type State string

// The states.
const (
	Pending State = "pending" // it waits to be sent
	Dead    State = "dead"    // it was given up
	Done    State = "done"    // the exchange has it
)

// Item is one outcome for one hash of one entry.
type Item struct {
	Version  int               `json:"version"`
	List     string            `json:"list"`
	Feedback exchange.Feedback `json:"feedback"` // without Hash once it is Done
	Decided  time.Time         `json:"decided"`
	Queued   time.Time         `json:"queued"`
	Attempts int               `json:"attempts,omitempty"`
	Due      time.Time         `json:"due,omitzero"`
	Error    string            `json:"error,omitempty"` // of the last attempt
	Sent     time.Time         `json:"sent,omitzero"`
	State    State             `json:"-"`
}

// ErrItem is wrapped by the refusal of an item.
var ErrItem = errors.New("feedback refused")

// id names an item: the same list, entry and kind of hash have the same.
func id(list string, f *exchange.Feedback) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "hashmatch feedback\n%q\n%q\n%q\n%q\n%q\n", list, f.Entry.Source, f.Entry.Member, f.Entry.ID, f.Kind))
	return hex.EncodeToString(sum[:])
}

func (i *Item) check() error {
	f := &i.Feedback
	length := len(i.List) + len(f.Entry.Source) + len(f.Entry.Member) + len(f.Entry.ID) + len(f.Kind) + len(f.Hash)
	for _, reason := range f.Reasons {
		length += len(reason)
	}
	switch {
	case i.Version != itemVersion:
		return fmt.Errorf("%w: version %d", ErrItem, i.Version)
	case i.List == "" || f.Entry.ID == "" || f.Kind == "":
		return fmt.Errorf("%w: no list, entry or kind of hash", ErrItem)
	case f.Outcome != exchange.Seen && f.Outcome != exchange.TruePositive && f.Outcome != exchange.FalsePositive:
		return fmt.Errorf("%w: unknown outcome", ErrItem)
	case length > maxText:
		return fmt.Errorf("%w: longer than %d bytes", ErrItem, maxText)
	case f.ID != id(i.List, f):
		return fmt.Errorf("%w: it has the ID of another one", ErrItem)
	case i.Decided.IsZero() || i.Queued.IsZero() || i.Attempts < 0:
		return fmt.Errorf("%w: no time", ErrItem)
	}
	return nil
}

// parseItem reads what an item's file holds.
func parseItem(text []byte) (Item, error) {
	var i Item
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&i); err != nil {
		return Item{}, fmt.Errorf("%w: its file: not understood", ErrItem)
	}
	if _, err := d.Token(); err != io.EOF {
		return Item{}, fmt.Errorf("%w: its file: more behind it", ErrItem)
	}
	return i, i.check()
}

// same says whether two items say the same of an entry.
func (i *Item) same(other *Item) bool {
	if i.Feedback.Outcome != other.Feedback.Outcome || len(i.Feedback.Reasons) != len(other.Feedback.Reasons) {
		return false
	}
	for n, reason := range i.Feedback.Reasons {
		if other.Feedback.Reasons[n] != reason {
			return false
		}
	}
	return true
}

// yields says whether what is known of an entry makes a new outcome needless: it is the later one, the same, or a
// judgement where the new one says only that it was seen.
func (i *Item) yields(known *Item) bool {
	return known.Decided.After(i.Decided) || i.same(known) || i.Feedback.Outcome == exchange.Seen
}
