package seal

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Accepted is one public key of a file of public keys.
type Accepted struct {
	Key PublicKey
	// From and Until bound the times at which a snapshot may have been signed with it; zero: no bound. A snapshot that
	// was signed within them stays good afterwards.
	From, Until time.Time
	// Revoked is when the key was revoked; zero: it was not. Nothing that it signed is accepted any more, whenever it
	// says that it was signed: whoever has a stolen key can state any time.
	Revoked time.Time
}

// Trust is the public keys by which a list's snapshots are judged. The text form, in which it is kept in a file, has a
// key a line, and comments after "#":
//
//	ed25519 BASE64 [from TIME] [until TIME] [revoked TIME]    # times as 2026-01-31T12:00:00Z
//
// A key may stand in several lines, and in several files; each line counts: it is revoked if one says so.
type Trust []Accepted

// keyWord begins a line.
const keyWord = "ed25519"

// ParseTrust reads the text form. A line that is not understood is an error, and so is a text without a key.
func ParseTrust(text []byte) (Trust, error) {
	var t Trust
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		accepted, err := parseAccepted(words)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		t = append(t, accepted)
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("no key in it: want lines %q", keyWord+" BASE64")
	}
	return t, nil
}

func parseAccepted(words []string) (a Accepted, err error) {
	if words[0] != keyWord || len(words)%2 != 0 {
		return a, fmt.Errorf("not %q and pairs of a word and a time", keyWord+" BASE64")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(words[1])
	if err != nil || len(raw) != len(a.Key) {
		return a, fmt.Errorf("not a key of %d bytes in Base64", len(a.Key))
	}
	a.Key = PublicKey(raw)
	for i := 2; i < len(words); i += 2 {
		var to *time.Time
		switch words[i] {
		case "from":
			to = &a.From
		case "until":
			to = &a.Until
		case "revoked":
			to = &a.Revoked
		default:
			return a, fmt.Errorf("the word %q: want from, until or revoked", words[i])
		}
		if !to.IsZero() {
			return a, fmt.Errorf("%q twice", words[i])
		}
		at, err := time.Parse(time.RFC3339, words[i+1])
		if err != nil || at.IsZero() {
			return a, fmt.Errorf("%s: %q is no time like 2026-01-31T12:00:00Z", words[i], words[i+1])
		}
		*to = at.UTC()
	}
	return a, nil
}

// String returns the line of the text form.
func (a Accepted) String() string {
	line := keyWord + " " + base64.StdEncoding.EncodeToString(a.Key[:])
	for _, bound := range []struct {
		word string
		at   time.Time
	}{{"from", a.From}, {"until", a.Until}, {"revoked", a.Revoked}} {
		if !bound.at.IsZero() {
			line += " " + bound.word + " " + bound.at.UTC().Format(time.RFC3339)
		}
	}
	return line
}

// Text returns the text form, the ID of each key behind it.
func (t Trust) Text() []byte {
	var text []byte
	for _, a := range t {
		text = append(text, a.String()+"  # "+a.Key.ID()+"\n"...)
	}
	return text
}

// ReadTrust reads files of public keys and puts them together. There must be at least one.
func ReadTrust(paths ...string) (Trust, error) {
	var all Trust
	for _, path := range paths {
		text, _, err := readSmall(path)
		if err != nil {
			return nil, err
		}
		t, err := ParseTrust(text)
		if err != nil {
			return nil, fmt.Errorf("seal: %s: %w: %w", path, ErrKeyFile, err)
		}
		all = append(all, t...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("seal: %w: there is none", ErrKeyFile)
	}
	return all, nil
}

// Write writes the text form to a file, in the place of what is there. Comments of that are lost.
func (t Trust) Write(path string) error {
	return hashlist.ReplaceFile(path, func(w io.Writer) error {
		_, err := w.Write(t.Text())
		return err
	})
}

// Rotate returns t with another key, accepted from now on, and with an end, at most overlap from now, for all that are
// not revoked. A key that t has is an error: what it has was retired or revoked, and a new key costs nothing.
func (t Trust) Rotate(key PublicKey, now time.Time, overlap time.Duration) (Trust, error) {
	now = now.UTC().Truncate(time.Second)
	end := now.Add(overlap)
	out := slices.Clone(t)
	for i := range out {
		a := &out[i]
		if a.Key == key {
			return nil, fmt.Errorf("seal: key %s is among those already", key.ID())
		}
		if a.Revoked.IsZero() && (a.Until.IsZero() || a.Until.After(end)) {
			a.Until = end
		}
	}
	return append(out, Accepted{Key: key, From: now}), nil
}

// Revoke returns t with the key of that ID revoked now; one that is revoked already keeps its time. ok says whether t
// has it.
func (t Trust) Revoke(id string, now time.Time) (out Trust, ok bool) {
	out = slices.Clone(t)
	for i := range out {
		if out[i].Key.ID() != id {
			continue
		}
		ok = true
		if out[i].Revoked.IsZero() {
			out[i].Revoked = now.UTC().Truncate(time.Second)
		}
	}
	return out, ok
}
