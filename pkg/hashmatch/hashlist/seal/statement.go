package seal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Why a snapshot is refused. Each refusal wraps one of these, or one of package hashlist's: ErrTruncated, ErrChecksum
// for a file that was altered in a way that needs no key to be seen, ErrVersion, ErrCorrupt, ErrNotSnapshot.
var (
	ErrUnsigned  = errors.New("the snapshot is not signed, and a signature is required")
	ErrMalformed = errors.New("the snapshot's signature is malformed")
	ErrForeign   = errors.New("the snapshot is signed with a foreign key")
	ErrRevoked   = errors.New("the snapshot is signed with a revoked key")
	ErrAltered   = errors.New("the snapshot was altered: the signature is not that of its head")
	ErrExpired   = errors.New("the snapshot was signed when its key was not valid")
	ErrFuture    = errors.New("the snapshot was signed in the future")
	ErrOtherList = errors.New("the snapshot is signed for another list")
	ErrReplayed  = errors.New("the snapshot is older than one that was in force")
	ErrEncrypted = errors.New("the snapshot is encrypted, and none of the identities can decrypt it")
)

// Statement is what is signed together with a snapshot's head.
type Statement struct {
	List     string            `json:"list"` // the name by which configurations know it; 1 to MaxName bytes
	Revision hashlist.Revision `json:"revision"`
	// Serial grows with each snapshot of a list: microseconds since 1970, or one more than that of the snapshot before.
	Serial uint64    `json:"serial"`
	Signed time.Time `json:"signed"`
	Key    string    `json:"key"` // the ID of the key that signed
}

// MaxName is the length of the longest name of a list that can be signed, in bytes.
const MaxName = 256

// maxClock is by how much a signer's clock may be ahead. A serial from far away would make all later ones replays.
const maxClock = 24 * time.Hour

// domain separates these signatures from all others made with the key. The number is that of the format.
const domain = "hashmatch snapshot signature 1\n"

func message(head [32]byte, text []byte) []byte {
	return append(append([]byte(domain), head[:]...), text...)
}

// NextSerial returns the serial of a snapshot that is signed now, after one with serial previous; 0: after none.
func NextSerial(previous uint64, now time.Time) uint64 {
	return max(previous+1, uint64(max(now.UnixMicro(), 1)))
}

// voucher returns what signs a snapshot. SIGN holds the text of the statement, then the signature, 64 bytes.
func (k *Key) voucher(s Statement) (hashlist.Voucher, error) {
	s.Key, s.Signed = k.Public().ID(), s.Signed.UTC().Truncate(time.Second)
	if err := s.check(); err != nil {
		return hashlist.Voucher{}, fmt.Errorf("seal: %w", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return hashlist.Voucher{}, fmt.Errorf("seal: %w", err)
	}
	return hashlist.Voucher{
		Length: len(text) + ed25519.SignatureSize,
		Vouch: func(head [32]byte) ([]byte, error) {
			return append(bytes.Clone(text), ed25519.Sign(k.private, message(head, text))...), nil
		},
	}, nil
}

// parse splits the content of SIGN.
func parse(voucher []byte) (s Statement, text, signature []byte, err error) {
	end := len(voucher) - ed25519.SignatureSize
	if end <= 0 {
		return s, nil, nil, fmt.Errorf("%w: too short", ErrMalformed)
	}
	text, signature = voucher[:end], voucher[end:]
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, nil, nil, fmt.Errorf("%w: its statement", ErrMalformed)
	}
	if _, err := d.Token(); err != io.EOF {
		return s, nil, nil, fmt.Errorf("%w: its statement has an end and goes on", ErrMalformed)
	}
	if err := s.check(); err != nil {
		return s, nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return s, text, signature, nil
}

func (s *Statement) check() error {
	switch {
	case s.List == "" || len(s.List) > MaxName:
		return fmt.Errorf("the name of the list has %d bytes, want 1 to %d", len(s.List), MaxName)
	case s.Revision.IsZero():
		return errors.New("the revision is that of no list")
	case s.Serial == 0 || s.Serial > 1<<63:
		return errors.New("the serial is out of range")
	case s.Signed.Year() < 1970 || s.Signed.Year() > 9999:
		return errors.New("the time of signing is out of range")
	case len(s.Key) != 16:
		return errors.New("the ID of the key is not one")
	}
	for _, r := range s.List {
		if !unicode.IsPrint(r) {
			return errors.New("the name of the list cannot be printed")
		}
	}
	for _, c := range []byte(s.Key) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return errors.New("the ID of the key is not one")
		}
	}
	return nil
}

// verify judges a head: what vouches for it must be a signature by one of the keys, for that list, at a time at which
// the key was valid.
func (t Trust) verify(v hashlist.Vouched, list string, now time.Time) (Statement, error) {
	if v.Voucher == nil {
		return Statement{}, ErrUnsigned
	}
	s, text, signature, err := parse(v.Voucher)
	if err != nil {
		return s, err
	}
	valid, known := false, false
	for _, a := range t {
		if a.Key.ID() != s.Key {
			continue
		}
		known = true
		if !a.Revoked.IsZero() {
			return s, fmt.Errorf("%w: %s, revoked at %s", ErrRevoked, s.Key, a.Revoked.Format(time.RFC3339))
		}
		if !ed25519.Verify(a.Key[:], message(v.Head, text), signature) {
			return s, fmt.Errorf("%w (key %s)", ErrAltered, s.Key)
		}
		valid = valid || !s.Signed.Before(a.From) && (a.Until.IsZero() || !s.Signed.After(a.Until))
	}
	at := s.Signed.Format(time.RFC3339)
	switch {
	case !known:
		return s, fmt.Errorf("%w: %s is none of those that are accepted", ErrForeign, s.Key)
	case !valid:
		return s, fmt.Errorf("%w: key %s, at %s", ErrExpired, s.Key, at)
	case s.List != list:
		return s, fmt.Errorf("%w: %q, not %q", ErrOtherList, s.List, list)
	case s.Signed.Sub(now) > maxClock || s.Serial > uint64(now.Add(maxClock).UnixMicro()):
		return s, fmt.Errorf("%w: at %s, serial %d", ErrFuture, at, s.Serial)
	}
	return s, nil
}

// StatementOf returns what an opened snapshot says that it was signed as, and false if it says nothing that can be
// read. Nothing of it is verified.
func StatementOf(snapshot *hashlist.Snapshot) (Statement, bool) {
	var voucher []byte
	if err := snapshot.Memory().Use(func() { voucher = bytes.Clone(snapshot.Extra("SIGN")) }); err != nil {
		return Statement{}, false
	}
	s, _, _, err := parse(voucher)
	return s, err == nil
}
