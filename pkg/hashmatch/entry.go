package hashmatch

import (
	"fmt"
	"strings"
	"time"
)

// EntryKey names one entry of a list: who publishes the list (the source), which of its members submitted the entry,
// and the entry's ID with that member. The newest record of a key replaces the older ones.
type EntryKey struct {
	Source string // the exchange or publisher; "" for a list that names none
	Member string // the member of the exchange; "" where there are no members
	ID     string // never empty
}

// String returns ID alone where source and member are empty, else source/member/ID, with "%" and "/" inside a part
// written as %25 and %2F.
func (k EntryKey) String() string {
	if k.Source == "" && k.Member == "" {
		return keyEscape.Replace(k.ID)
	}
	return keyEscape.Replace(k.Source) + "/" + keyEscape.Replace(k.Member) + "/" + keyEscape.Replace(k.ID)
}

var (
	keyEscape   = strings.NewReplacer("%", "%25", "/", "%2F")
	keyUnescape = strings.NewReplacer("%25", "%", "%2F", "/")
)

// ParseEntryKey reads what EntryKey.String wrote.
func ParseEntryKey(text string) (EntryKey, error) {
	var key EntryKey
	switch parts := strings.Split(text, "/"); len(parts) {
	case 1:
		key.ID = keyUnescape.Replace(parts[0])
	case 3:
		key = EntryKey{keyUnescape.Replace(parts[0]), keyUnescape.Replace(parts[1]), keyUnescape.Replace(parts[2])}
	default:
		return EntryKey{}, fmt.Errorf("entry %q: want ID or SOURCE/MEMBER/ID", text)
	}
	if key.ID == "" {
		return EntryKey{}, fmt.Errorf("entry %q: the ID is empty", text)
	}
	return key, nil
}

// Status says how an entry stands with its source. The zero Status is Active.
type Status uint8

// The statuses of an entry.
const (
	Active    Status = iota // in force
	Disputed                // the source's members disagree: hold at most
	Suspended               // taken out of force by the operator; kept, searched, recorded, never acted on alone
	Withdrawn               // a tombstone: kept so that the entry is not revived; never searched
)

var statusNames = [...]string{"active", "disputed", "suspended", "withdrawn"}

// String returns the text form ("active").
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "invalid"
}

// ParseStatus reads the text form; the empty string is Active.
func ParseStatus(text string) (Status, error) {
	if text == "" {
		return Active, nil
	}
	for s, name := range statusNames {
		if name == text {
			return Status(s), nil
		}
	}
	return 0, fmt.Errorf("unknown status %q", text)
}

// MarshalText writes the text form.
func (s Status) MarshalText() ([]byte, error) {
	if int(s) >= len(statusNames) {
		return nil, fmt.Errorf("invalid status %d", uint8(s))
	}
	return []byte(statusNames[s]), nil
}

// UnmarshalText reads the text form.
func (s *Status) UnmarshalText(text []byte) error {
	parsed, err := ParseStatus(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Votes counts what members of an exchange said of one signature.
type Votes struct{ Positive, Negative uint32 }

// Signature is one hash of an entry: either a Hash of a kind that hashmatch computes, or an opaque value under the
// name of a scheme that it does not ("photodna"), kept with its entry and never searched for uploads.
type Signature struct {
	Hash   Hash   // the zero Hash for an opaque signature
	Scheme string // the opaque signature's scheme; "" for a Hash
	Opaque string // the opaque signature's bytes
	Votes  Votes
}

// Entry is one known item of a list: everything that its source says of it. A match on any signature is a match of
// the entry.
type Entry struct {
	Key            EntryKey
	Signatures     []Signature
	Labels         []string // the operator's and the source's tags; sorted, without doubles
	Classification string   // the source's own grade, as it writes it
	Status         Status
	Added          time.Time // when it first came into this list here; local, no part of a revision
	Updated        time.Time // when its source says that it changed; zero if it does not say
	Synced         time.Time // when its source last confirmed it; local, no part of a revision
}
