package seal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"filippo.io/age"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newKey returns the same key for the same number.
func newKey(n byte) *Key {
	return &Key{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))}
}

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// list returns a list of n entries, of which the first are those of every longer one.
func list(t testing.TB, n int) *hashlist.List {
	t.Helper()
	var entries []hashmatch.Entry
	for i := range n {
		h := hashmatch.Hash{Kind: hashmatch.PDQ, Bits: [32]byte{0: byte(i), 1: byte(i >> 8), 31: 1}}
		entries = append(entries, hashmatch.Entry{
			Key: hashmatch.EntryKey{Source: "s", ID: fmt.Sprint(i)}, Signatures: []hashmatch.Signature{{Hash: h}},
		})
	}
	l, err := hashlist.New(slices.Values(entries))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// file writes a sealed snapshot and returns its path.
func file(t testing.TB, l *hashlist.List, w Writing) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.hml")
	if err := WriteFile(path, l, w, hashlist.Extra{Name: "XTRA", Parts: [][]byte{[]byte("beside it")}}); err != nil {
		t.Fatal(err)
	}
	return path
}

func writing(k *Key) Writing { return Writing{Key: k, List: "iwf", Now: now} }

func reading(keys ...*Key) Reading {
	r := Reading{List: "iwf", Now: now.Add(time.Minute)}
	for _, k := range keys {
		r.Trust = append(r.Trust, Accepted{Key: k.Public()})
	}
	return r
}

func TestSignedAndEncryptedIsRead(t *testing.T) {
	l := list(t, 50)
	ann, bob := identity(t), identity(t)
	for _, encrypted := range []bool{false, true} {
		w := writing(newKey(1))
		if encrypted {
			w.Recipients = []age.Recipient{ann.Recipient(), bob.Recipient()}
		}
		path := file(t, l, w)
		if got, err := Encrypted(path); err != nil || got != encrypted {
			t.Errorf("encrypted: %v, %v", got, err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("beside it")) == encrypted {
			t.Errorf("encrypted %v: its content can be read: %v", encrypted, !encrypted)
		}
		for _, who := range []age.Identity{ann, bob} {
			r := reading(newKey(2), newKey(1))
			r.Identities = []age.Identity{who}
			s, statement, err := Open(path, r)
			if err != nil {
				t.Fatal(err)
			}
			if s.List().Revision() != l.Revision() || string(s.Extra("XTRA")) != "beside it" || (s.Memory() == nil) != encrypted && encrypted {
				t.Error("another list, or without its section, or mapped from an encrypted file")
			}
			if statement.List != "iwf" || statement.Serial != uint64(now.UnixMicro()) || statement.Key != newKey(1).Public().ID() ||
				statement.Revision != l.Revision() || !statement.Signed.Equal(now) {
				t.Errorf("signed: %+v", statement)
			}
			r.Trust = nil // no key is required: it is read, and says what it was signed as
			if s, statement, err = Open(path, r); err != nil || s.List().Len() != 50 || statement.List != "iwf" {
				t.Errorf("without a key: %v, %+v", err, statement)
			}
		}
		if !encrypted { // a program that knows nothing of signatures
			if again, err := hashlist.Open(path); err != nil || again.Revision() != l.Revision() {
				t.Error("read in full:", err)
			}
		}
	}
}

func TestContentIsNotMapped(t *testing.T) {
	id := identity(t)
	w := writing(newKey(1))
	w.Recipients = []age.Recipient{id.Recipient()}
	dir := t.TempDir()
	path := filepath.Join(dir, "list.hml")
	if err := WriteFile(path, list(t, 9), w); err != nil {
		t.Fatal(err)
	}
	r := reading(newKey(1))
	r.Identities = []age.Identity{id}
	if _, _, err := Open(path, r); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("after it there are %d files, %v", len(files), err)
	}
}

// refusals are all reasons that there are.
var refusals = []error{ErrUnsigned, ErrMalformed, ErrForeign, ErrRevoked, ErrAltered, ErrExpired, ErrFuture, ErrOtherList, ErrReplayed,
	ErrEncrypted, hashlist.ErrNotSnapshot, hashlist.ErrVersion, hashlist.ErrTruncated, hashlist.ErrChecksum, hashlist.ErrCorrupt}

func named(err error) bool {
	return slices.ContainsFunc(refusals, func(reason error) bool { return errors.Is(err, reason) })
}

func TestRefusals(t *testing.T) {
	key, other := newKey(1), newKey(2)
	good := list(t, 20)
	ann := identity(t)
	at := func(w Writing, when time.Time) Writing { w.Now = when; return w }
	trust := func(a Accepted) Reading { r := reading(key); r.Trust[0] = a; r.Trust[0].Key = key.Public(); return r }
	named := writing(key)
	named.List = "other"
	encrypted := writing(key)
	encrypted.Recipients = []age.Recipient{ann.Recipient()}
	replayed := reading(key)
	replayed.Last = Serial{Serial: uint64(now.UnixMicro()) + 1, Revision: good.Revision()}
	same := reading(key)
	same.Last = Serial{Serial: uint64(now.UnixMicro()), Revision: list(t, 19).Revision()}
	wrongIdentity := reading(key)
	wrongIdentity.Identities = []age.Identity{identity(t)}
	for _, test := range []struct {
		what string
		w    Writing
		r    Reading
		want error
	}{
		{"good", writing(key), reading(key), nil},
		{"unsigned", Writing{}, reading(key), ErrUnsigned},
		{"foreign", writing(other), reading(key), ErrForeign},
		{"another list's", named, reading(key), ErrOtherList},
		{"replayed", writing(key), replayed, ErrReplayed},
		{"another with the same serial", writing(key), same, ErrReplayed},
		{"revoked", writing(key), trust(Accepted{Revoked: now.Add(time.Hour)}), ErrRevoked},
		{"before from", writing(key), trust(Accepted{From: now.Add(time.Second)}), ErrExpired},
		{"at from and until", writing(key), trust(Accepted{From: now, Until: now}), nil},
		{"after until", writing(key), trust(Accepted{Until: now.Add(-time.Second)}), ErrExpired},
		{"a day ahead", at(writing(key), now.Add(24*time.Hour)), reading(key), nil},
		{"more than a day ahead", at(writing(key), now.Add(25*time.Hour)), reading(key), ErrFuture},
		{"a serial from far away", Writing{Key: key, List: "iwf", Now: now, Previous: 1 << 60}, reading(key), ErrFuture},
		{"encrypted, no identity", encrypted, reading(key), ErrEncrypted},
		{"encrypted to another", encrypted, wrongIdentity, ErrEncrypted},
	} {
		_, _, err := Open(file(t, good, test.w), test.r)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.what, err, test.want)
		}
	}
}

// Every byte that is altered, and every byte that is missing, is found out, and the reason is one of those that are
// named; so it is for a snapshot that its encryption protects as well.
func TestAlteredAtEveryByte(t *testing.T) {
	id := identity(t)
	for _, encrypted := range []bool{false, true} {
		w := writing(newKey(1))
		if encrypted {
			w.Recipients = []age.Recipient{id.Recipient()}
		}
		sound, err := os.ReadFile(file(t, list(t, 3), w))
		if err != nil {
			t.Fatal(err)
		}
		r := reading(newKey(1))
		r.Identities = []age.Identity{id}
		open := func(data []byte) error {
			_, err := openBytes(data, r)
			return err
		}
		if err := open(sound); err != nil {
			t.Fatal(err)
		}
		altered := bytes.Clone(sound)
		for i := range sound {
			for _, flip := range []byte{1, 0xff} {
				altered[i] ^= flip
				if err := open(altered); err == nil || !named(err) {
					t.Fatalf("byte %d of %d altered: %v", i, len(sound), err)
				}
				altered[i] = sound[i]
			}
			if err := open(sound[:i]); err == nil || !named(err) {
				t.Fatalf("cut off at byte %d of %d: %v", i, len(sound), err)
			}
		}
		if err := open(append(bytes.Clone(sound), 0)); err == nil || !named(err) {
			t.Fatalf("a byte more: %v", err)
		}
	}
}

// openBytes is Open for what would be in a file.
func openBytes(data []byte, r Reading) (*hashlist.Snapshot, error) {
	encrypted, err := begins(bytes.NewReader(data))
	if err == nil && encrypted {
		data, err = decrypt(bytes.NewReader(data), int64(len(data)), r.Identities)
	}
	if err != nil {
		return nil, err
	}
	return hashlist.FromBytesVouched(data, func(v hashlist.Vouched) error {
		_, err := r.Trust.verify(v, r.List, r.Now)
		return err
	})
}

// What is signed for one file does not vouch for another one, not even for one that differs only in what is beside the
// list.
func TestSignatureIsOfTheFile(t *testing.T) {
	key := newKey(1)
	l := list(t, 5)
	var taken hashlist.Vouched
	first, err := os.ReadFile(file(t, l, writing(key)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hashlist.FromBytesVouched(first, func(v hashlist.Vouched) error { taken = v; return nil }); err != nil {
		t.Fatal(err)
	}
	for what, extra := range map[string]hashlist.Extra{
		"another section":      {Name: "XTRA", Parts: [][]byte{[]byte("beside It")}},
		"a section's name":     {Name: "XTRB", Parts: [][]byte{[]byte("beside it")}},
		"an additional length": {Name: "XTRA", Parts: [][]byte{[]byte("beside it\x00")}},
	} {
		var out bytes.Buffer
		err := hashlist.WriteVouched(&out, l, hashlist.Voucher{
			Length: len(taken.Voucher), Vouch: func([32]byte) ([]byte, error) { return taken.Voucher, nil },
		}, extra)
		if err != nil {
			t.Fatal(err)
		}
		r := reading(key)
		path := filepath.Join(t.TempDir(), "list.hml")
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(path, r); !errors.Is(err, ErrAltered) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The signature is judged before anything but the head: a file with a foreign signature and nonsense for a list is
// refused for the signature, one with a good signature for the nonsense.
func TestSignatureComesFirst(t *testing.T) {
	for key, want := range map[*Key]error{newKey(1): hashlist.ErrChecksum, newKey(2): ErrForeign} {
		data, err := os.ReadFile(file(t, list(t, 5), writing(key)))
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(data, []byte(`"revision"`))
		if at < 0 {
			t.Fatal("no META")
		}
		data[at] = '!'
		path := filepath.Join(t.TempDir(), "list.hml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(path, reading(newKey(1))); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

func TestOldSnapshotsStayReadable(t *testing.T) {
	paths, err := filepath.Glob("../testdata/v*.hashlist")
	if err != nil || len(paths) < 2 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		s, statement, err := Open(path, Reading{})
		if err != nil || s.List().Len() == 0 || statement != (Statement{}) {
			t.Errorf("%s: %v, %+v", path, err, statement)
		}
		if _, _, err := Open(path, reading(newKey(1))); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%s, with a key: %v", path, err)
		}
	}
}

func TestWritingRefuses(t *testing.T) {
	for _, w := range []Writing{
		{Key: newKey(1), Now: now},
		{Key: newKey(1), Now: now, List: "a\nb"},
		{Key: newKey(1), Now: now, List: string(bytes.Repeat([]byte("a"), MaxName+1))},
		{Key: newKey(1), List: "a"},
	} {
		path := filepath.Join(t.TempDir(), "list.hml")
		if err := WriteFile(path, list(t, 1), w); err == nil {
			t.Errorf("%+v is written", w)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("a file is left")
		}
	}
}

func TestNextSerial(t *testing.T) {
	at := uint64(now.UnixMicro())
	for _, test := range [][2]uint64{{0, at}, {at - 1, at}, {at, at + 1}, {at + 7, at + 8}} {
		if got := NextSerial(test[0], now); got != test[1] {
			t.Errorf("after %d: %d, want %d", test[0], got, test[1])
		}
	}
	if got := NextSerial(0, time.Unix(-5, 0)); got != 1 {
		t.Errorf("before 1970: %d", got)
	}
}

// FuzzStatement: what is in SIGN is refused, or is a statement that says what its text says.
func FuzzStatement(f *testing.F) {
	s := Statement{List: "iwf", Revision: hashlist.Revision{1}, Serial: 7, Signed: now, Key: newKey(1).Public().ID()}
	text, err := json.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(text, make([]byte, 64)...))
	f.Add([]byte("{}"))
	f.Add(append([]byte(`{"list":"a"}{}`), make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, voucher []byte) {
		s, text, signature, err := parse(voucher)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if len(text)+len(signature) != len(voucher) || s.check() != nil {
			t.Fatalf("%+v", s)
		}
		_, err = reading(newKey(1)).Trust.verify(hashlist.Vouched{Voucher: voucher}, "iwf", now)
		if err == nil || !named(err) {
			t.Fatal("accepted, or without a reason:", err)
		}
	})
}

// FuzzOpen: bytes are refused with a named reason, unless they are those that were signed.
func FuzzOpen(f *testing.F) {
	r := reading(newKey(1))
	id, err := age.ParseX25519Identity(testIdentity)
	if err != nil {
		f.Fatal(err)
	}
	r.Identities = []age.Identity{id}
	sealed := make(map[string]bool)
	for _, path := range []string{"testdata/signed.hashlist", "testdata/encrypted.hashlist", "../testdata/v1.hashlist", "../testdata/v2.hashlist"} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		sealed[string(data)] = true
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := openBytes(data, r)
		switch {
		case err == nil && !sealed[string(data)]:
			t.Fatal("accepted")
		case err != nil && !named(err):
			t.Fatal(err)
		}
	})
}

// FuzzSerial: a text is refused, or says what it is written as again.
func FuzzSerial(f *testing.F) {
	text, err := json.Marshal(Serial{List: "a", Serial: 3, Revision: hashlist.Revision{1}, Signed: now, Key: "0123456789abcdef"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"list":"a"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		last, err := parseSerial(text, "a")
		if err != nil {
			return
		}
		text, err = json.Marshal(last)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseSerial(text, "a"); err != nil || again.Serial != last.Serial || again.Revision != last.Revision {
			t.Fatal(again, err)
		}
	})
}

// testIdentity decrypts testdata/encrypted.hashlist. It is nobody's.
const testIdentity = "AGE-SECRET-KEY-19NLG28UFN834L94XMVTSVURXXYHHL0DXXGVXFX57RUKT2EKF083SN6NNSF"

var update = flag.Bool("update", false, "write the files in testdata anew: only for a new format, beside the old ones")

// Files that were sealed before stay readable.
func TestSealedBefore(t *testing.T) {
	id, err := age.ParseX25519Identity(testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"signed", "encrypted"} {
		path := filepath.Join("testdata", name+".hashlist")
		w := writing(newKey(1))
		if name == "encrypted" {
			w.Recipients = []age.Recipient{id.Recipient()}
		}
		if *update {
			if err := WriteFile(path, list(t, 6), w); err != nil {
				t.Fatal(err)
			}
		}
		r := reading(newKey(1))
		r.Identities = []age.Identity{id}
		s, statement, err := Open(path, r)
		if err != nil || s.List().Revision() != list(t, 6).Revision() || statement.Serial != uint64(now.UnixMicro()) {
			t.Errorf("%s: %v, %+v", name, err, statement)
		}
	}
}
