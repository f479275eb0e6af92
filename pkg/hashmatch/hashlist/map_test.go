package hashlist

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// writeList writes a snapshot that is old enough to be mapped at once.
func writeList(t testing.TB, l *List, extras ...Extra) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list")
	if err := WriteFile(path, l, extras...); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	return path
}

func mapped(t testing.TB, path string) *Snapshot {
	t.Helper()
	s, err := Map(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A mapped list says what the list says that was written, and so does what comes from it by changes.
func TestMapRoundTrip(t *testing.T) {
	for name, l := range map[string]*List{
		"empty": mustNew(t), "sample": sampleList(t), "many": mustNew(t, slices.Collect(benchEntries(3000, true))...),
	} {
		t.Run(name, func(t *testing.T) {
			long := bytes.Repeat([]byte("0123456789"), 300_000)
			extras := []Extra{{"LONG", [][]byte{long[:1<<20+7], nil, long[1<<20+7:]}}, {"NONE", nil}}
			path := writeList(t, l, extras...)
			s := mapped(t, path)
			got := s.List()
			equal(t, l, got)
			if !bytes.Equal(s.Extra("LONG"), long) || len(s.Extra("NONE")) != 0 || s.Extra("ABCD") != nil {
				t.Error("the sections of others are not as they were written")
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if again := snapshot(t, got, extras...); !bytes.Equal(again, file) {
				t.Error("what was mapped is not written as it was")
			}
			if !bytes.Equal(snapshot(t, l, Extra{"LONG", [][]byte{long}}, extras[1]), file) {
				t.Error("the parts of a section make a difference")
			}
			fromBytes, err := FromBytes(file)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, l, fromBytes.List())
			if fromBytes.Memory() != nil || !bytes.Equal(fromBytes.Extra("LONG"), long) {
				t.Error("bytes of the caller's:", fromBytes.Memory())
			}
			for i, want := range slices.Collect(values(l)) {
				if key := got.Key(uint32(i)); key != want.Key || got.Status(uint32(i)) != want.Status || !slices.Equal(got.Labels(uint32(i)), want.Labels) {
					t.Fatalf("entry %d: %v", i, key)
				}
				if at, found := got.Find(want.Key); !found || at != uint32(i) {
					t.Fatalf("entry %d is found at %d", i, at)
				}
			}
			type pair struct {
				hash    hashmatch.Hash
				ordinal uint32
			}
			signatures := func(l *List) (pairs []pair) {
				for h, ordinal := range l.Signatures() {
					pairs = append(pairs, pair{h, ordinal})
				}
				return pairs
			}
			if !slices.Equal(signatures(l), signatures(got)) {
				t.Error("other signatures")
			}
			var ordinals []uint32
			for i := range l.Len() {
				ordinals = append(ordinals, uint32(l.Len()-1-i))
			}
			selected := 0
			got.Select(ordinals, func(i uint32, e hashmatch.Entry) {
				if i != ordinals[selected] || e.Key != l.Key(i) {
					t.Errorf("selected %d: %v", i, e.Key)
				}
				selected++
			})
			if selected != len(ordinals) {
				t.Errorf("%d of %d entries selected", selected, len(ordinals))
			}

			change := []Change{{Upsert, hashmatch.Entry{Key: hashmatch.EntryKey{ID: "new"}, Signatures: []hashmatch.Signature{{Scheme: "x", Opaque: "y"}}}}}
			want, _, err := l.Apply(change, day)
			if err != nil {
				t.Fatal(err)
			}
			next, _, err := got.Apply(change, day)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, want, next)
			if next.memory != nil {
				t.Error("a changed list still depends on the file")
			}
			for _, merge := range []func(*List, time.Time) (*List, Summary, error){mustNew(t).Merge, mustNew(t).Replace} {
				joined, _, err := merge(got, day)
				if err != nil || joined.Revision() != l.Revision() || joined.memory != nil {
					t.Errorf("merged: %v %v", err, joined)
				}
			}
		})
	}
}

// What Read refuses is refused when it is mapped, by the same name; what it takes is taken.
func TestMapDamagedAtEveryByte(t *testing.T) {
	good := snapshot(t, sampleList(t), Extra{"TEST", [][]byte{bytes.Repeat([]byte("others"), 20)}})
	if _, err := FromBytes(good); err != nil || len(good) > 4096 {
		t.Fatalf("%d bytes: %v", len(good), err)
	}
	for i := range good {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(good)
			bad[i] ^= flip
			_, err := FromBytes(bad)
			refused(t, "a byte", err)
			_, want := Read(bytes.NewReader(bad))
			if !slices.ContainsFunc(named, func(e error) bool { return errors.Is(err, e) == errors.Is(want, e) }) {
				t.Errorf("byte %d: %v, read: %v", i, err, want)
			}
		}
		_, err := FromBytes(good[:i])
		refused(t, "cut", err)
		if i >= 512 && !errors.Is(err, ErrTruncated) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := FromBytes(append(slices.Clone(good), 0)); !errors.Is(err, ErrCorrupt) {
		t.Error("a byte after its end:", err)
	}
}

func TestMapForeignFiles(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "\x89", "\x89PNG\r\n\x1a\n", "pdq 00\n"} {
		path := filepath.Join(dir, "text")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Map(path); !errors.Is(err, ErrNotSnapshot) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Map(dir); !errors.Is(err, ErrNotSnapshot) {
		t.Error("a folder:", err)
	}
	if _, err := Map(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Error("no file:", err)
	}
}

func TestExtraNames(t *testing.T) {
	for _, names := range [][]string{{"META"}, {"RECS"}, {""}, {"ABC"}, {"ABCDE"}, {"abcd"}, {"AB D"}, {"ONE1", "ONE1"}} {
		var extras []Extra
		for _, name := range names {
			extras = append(extras, Extra{Name: name})
		}
		if err := Write(&bytes.Buffer{}, sampleList(t), extras...); err == nil {
			t.Errorf("%q was written", names)
		}
	}
	if err := Write(&bytes.Buffer{}, sampleList(t), make([]Extra, maxSections)...); err == nil {
		t.Error("too many sections were written")
	}
}

// FuzzFromBytes: what is mapped is refused by a name, or is the list that Read reads.
func FuzzFromBytes(f *testing.F) {
	f.Add(snapshot(f, mustNew(f)))
	f.Add(snapshot(f, sampleList(f), Extra{"TEST", [][]byte{[]byte("x")}}))
	for _, name := range []string{"testdata/v1.hashlist", "testdata/v2.hashlist"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := FromBytes(data)
		want, wantErr := Read(bytes.NewReader(data))
		if err != nil {
			refused(t, "file", err)
			if wantErr == nil {
				t.Fatal("it can be read:", err)
			}
			return
		}
		if wantErr == nil {
			equal(t, want, s.List())
		}
		for range s.List().Entries() { // whatever is in it, it can be read
		}
		for i := range s.List().Len() {
			s.List().Key(uint32(i))
			s.List().Labels(uint32(i))
		}
		for range s.List().Signatures() {
		}
	})
}

// FuzzTrustedSegment goes where checksums keep FuzzFromBytes from going: a block whose digest is believed is refused
// or can be read without a panic.
func FuzzTrustedSegment(f *testing.F) {
	seeds := 0
	for _, s := range sampleList(f).segments {
		if s != nil {
			f.Add(s.block)
			seeds++
		}
	}
	if seeds < 5 {
		f.Fatalf("%d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		s, err := openSegment(block, 0, new([32]byte))
		if err != nil {
			refused(t, "block", err)
			return
		}
		segments := make([]*segment, buckets)
		segments[0] = s
		l, err := newList(segments, Info{})
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, n := range l.Counts() {
			total += n
		}
		for h, ordinal := range l.Signatures() {
			if total--; CheckHash(h) != nil || int(ordinal) >= l.Len() {
				t.Fatal("a hash that no list has")
			}
		}
		if total != 0 {
			t.Fatal("hashes counted wrongly")
		}
		for i, e := range l.Entries() {
			if err := Validate(e); err != nil {
				t.Fatal(err)
			}
			l.Find(e.Key)
			l.Key(i)
			l.Labels(i)
		}
	})
}
