//go:build unix

package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"example.org/hashmatch/pkg/hashmatch/gate"
)

// signedLog makes a log of the given answers and returns the options to verify it with.
func signedLog(t testing.TB, dir string, segmentBytes int64, records ...gate.Record) Options {
	t.Helper()
	public, private, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	kept := &keeper{}
	c := Config{Directory: dir, SegmentBytes: segmentBytes, Key: private, Sinks: []Sink{kept}}
	(&faults{room: -1}).config(&c) // whose fsync costs nothing
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, records...)
	closeLog(t, l)
	return Options{Heads: kept.heads, PublicKeys: []ed25519.PublicKey{public}}
}

// keeper is a sink that keeps heads.
type keeper struct {
	mu    sync.Mutex
	heads []Head
}

func (k *keeper) Name() string { return "keeper" }

func (k *keeper) Send(_ context.Context, h Head) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.heads = append(k.heads, h)
	return nil
}

// files is a log as its files.
type files map[string][]byte

func readFiles(t testing.TB, dir string) files {
	t.Helper()
	f := make(files)
	names, err := segmentNames(dir)
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if f[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// write makes a directory hold the files and no others.
func (f files) write(t failer, dir string) {
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, text := range f {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

type failer interface{ Fatal(args ...any) }

// place is that of a line in files.
type place struct {
	name       string
	start, end int // end is behind the line's end
}

func (f files) lines() []place {
	var all []place
	for _, name := range slices.Sorted(maps.Keys(f)) {
		for start := 0; start < len(f[name]); {
			end := start + bytes.IndexByte(f[name][start:], '\n') + 1
			all = append(all, place{name, start, end})
			start = end
		}
	}
	return all
}

func (f files) clone() files {
	c := make(files, len(f))
	for name, text := range f {
		c[name] = slices.Clone(text)
	}
	return c
}

func (f files) remove(p place) {
	f[p.name] = slices.Delete(f[p.name], p.start, p.end)
}

func someRecords(n int) []gate.Record {
	var all []gate.Record
	for i := range n {
		if i%3 == 0 {
			all = append(all, matched(fmt.Sprint("item-", i)))
		} else {
			all = append(all, allowed(fmt.Sprint("item-", i)))
		}
	}
	return all
}

// Every single byte that is changed is found, with the right segment and line, whatever it is changed to.
func TestEveryChangedByteIsFound(t *testing.T) {
	dir := t.TempDir()
	options := signedLog(t, dir, 1000, someRecords(2)...)
	whole := readFiles(t, dir)
	if len(whole) != 2 {
		t.Fatalf("%d segments", len(whole))
	}
	tampered := 0
	for at, p := range whole.lines() {
		path := filepath.Join(dir, p.name)
		for i := p.start; i < p.end; i++ {
			spoilt := slices.Clone(whole[p.name])
			spoilt[i] ^= [3]byte{0x01, 0x20, 0x80}[i%3]
			if err := os.WriteFile(path, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			r := verify(t, dir, options)
			if r.OK() {
				t.Fatalf("record %d, byte %d: nothing found", at+1, i-p.start)
			}
			if f := r.Findings[0]; f.Segment != p.name || f.Seq != uint64(at+1) {
				t.Fatalf("record %d, byte %d: %v", at+1, i-p.start, f)
			}
			tampered++
		}
		if err := os.WriteFile(path, whole[p.name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, dir, options); !r.OK() || tampered < 1500 {
		t.Errorf("%d changes, %v", tampered, r.Findings)
	}
}

// Random logs, random changes: each is found against the head.
func TestEveryChangeIsFound(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir, spoiltDir := filepath.Join(base, "log"), filepath.Join(base, "spoilt")
		if err := os.RemoveAll(dir); err != nil {
			rt.Fatal(err)
		}
		n := rapid.IntRange(1, 12).Draw(rt, "records")
		options := signedLog(t, dir, int64(rapid.IntRange(700, 6000).Draw(rt, "segment")), someRecords(n)...)
		whole := readFiles(t, dir)
		lines := whole.lines()
		spoilt := whole.clone()
		i := rapid.IntRange(0, len(lines)-1).Draw(rt, "line")
		p := lines[i]
		other := lines[rapid.IntRange(0, len(lines)-1).Draw(rt, "other")]
		switch kind := rapid.SampledFrom([]string{"change", "remove", "swap", "cut", "insert", "drop segment"}).Draw(rt, "kind"); kind {
		case "change":
			at := rapid.IntRange(p.start, p.end-1).Draw(rt, "byte")
			spoilt[p.name][at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "flip"))
		case "remove":
			spoilt.remove(p)
		case "swap":
			if p == other {
				rt.Skip("the same line")
			}
			if p.name > other.name || p.name == other.name && p.start > other.start {
				p, other = other, p
			}
			first, second := slices.Clone(whole[p.name][p.start:p.end]), slices.Clone(whole[other.name][other.start:other.end])
			spoilt[other.name] = slices.Replace(spoilt[other.name], other.start, other.end, first...)
			spoilt[p.name] = slices.Replace(spoilt[p.name], p.start, p.end, second...)
		case "cut":
			at := rapid.IntRange(0, len(spoilt[p.name])-1).Draw(rt, "length")
			spoilt[p.name] = spoilt[p.name][:at]
			if rapid.Bool().Draw(rt, "and all after") {
				for name := range spoilt {
					if name > p.name {
						delete(spoilt, name)
					}
				}
			}
		case "insert":
			copied := slices.Clone(whole[other.name][other.start:other.end])
			spoilt[p.name] = slices.Insert(spoilt[p.name], p.start, copied...)
		case "drop segment":
			delete(spoilt, p.name)
		}
		spoilt.write(rt, spoiltDir)
		r, err := Verify(spoiltDir, options)
		if err != nil {
			rt.Fatal(err)
		}
		if r.OK() {
			rt.Fatalf("nothing found: %+v", r)
		}
		if r, err := Verify(dir, options); err != nil || !r.OK() || r.Heads == 0 {
			rt.Fatalf("the log itself: %+v, %v", r, err)
		}
	})
}

// What was done is named, with the place.
func TestFindings(t *testing.T) {
	dir := t.TempDir()
	options := signedLog(t, dir, 3000, someRecords(10)...)
	whole := readFiles(t, dir)
	lines := whole.lines()
	names := slices.Sorted(maps.Keys(whole))
	if len(names) < 2 || len(lines) < 12 {
		t.Fatal(names, len(lines))
	}
	third, fourth := lines[2], lines[3]
	textOf := func(p place) []byte { return whole[p.name][p.start:p.end] }
	for _, c := range []struct {
		name    string
		spoil   func(f files)
		options Options
		want    []string
	}{
		{"changed", func(f files) {
			f[third.name] = bytes.Replace(f[third.name], []byte("item-1"), []byte("item-X"), 1)
		}, Options{}, []string{"changed: 00000000000000000001.jsonl line 3: record 3: its hash is not that of its bytes"}},
		{"changed with its hash", func(f files) {
			p, err := parseLine(bytes.TrimSuffix(textOf(third), []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			forged, _ := appendLine(nil, 3, p.prev, bytes.Replace(p.fields, []byte("item-1"), []byte("item-X"), 1))
			f[third.name] = slices.Replace(f[third.name], third.start, third.end, forged...)
		}, Options{}, []string{"changed: 00000000000000000001.jsonl line 4: record 4: it does not follow the record before it: one of the two was changed or put there"}},
		{"removed", func(f files) { f.remove(third) }, Options{},
			[]string{"removed: 00000000000000000001.jsonl line 3: record 3: missing before this line"}},
		{"two removed", func(f files) { f.remove(fourth); f.remove(third) }, Options{},
			[]string{"removed: 00000000000000000001.jsonl line 3: record 3: missing before this line, with all up to 4"}},
		{"swapped", func(f files) {
			f[third.name] = slices.Replace(f[third.name], third.start, fourth.end, append(slices.Clone(textOf(fourth)), textOf(third)...)...)
		}, Options{}, []string{"reordered: 00000000000000000001.jsonl line 4: record 3: it stands behind later ones"}},
		{"moved back, from among others that are gone", func(f files) {
			f[third.name] = slices.Replace(f[third.name], lines[1].start, lines[4].end, append(slices.Clone(textOf(lines[4])), textOf(third)...)...)
		}, Options{}, []string{
			"removed: 00000000000000000001.jsonl line 2: record 2: missing before this line",
			"removed: 00000000000000000001.jsonl line 2: record 4: missing before this line",
			"reordered: 00000000000000000001.jsonl line 3: record 3: it stands behind later ones"}},
		{"twice", func(f files) {
			f[third.name] = slices.Insert(f[third.name], third.end, textOf(third)...)
		}, Options{}, []string{"inserted: 00000000000000000001.jsonl line 4: record 3: there is one with its number, or a later one, before it"}},
		{"a line that is none, put there", func(f files) {
			f[third.name] = slices.Insert(f[third.name], third.start, []byte("{}\n")...)
		}, Options{}, []string{"changed: 00000000000000000001.jsonl line 3: record 3: this line is not a record"}},
		{"cut off, no head", func(f files) { f.remove(lines[len(lines)-1]) }, Options{}, nil},
		{"cut off", func(f files) { f.remove(lines[len(lines)-1]) }, options,
			[]string{fmt.Sprintf("cut_off: %s: record %d: missing at the end, with all up to %d, which the head of", names[len(names)-1], len(lines), len(lines))}},
		{"cut in mid-record", func(f files) {
			last := names[len(names)-1]
			f[last] = f[last][:len(f[last])-10]
		}, Options{}, []string{fmt.Sprintf("torn: %s line ", names[len(names)-1])}},
		{"all gone", func(f files) { clear(f) }, options, []string{"cut_off: record 1: missing at the end"}},
		{"the oldest segment gone", func(f files) { delete(f, names[0]) }, Options{}, []string{"removed: " + names[1] + " line 1: record 1: missing before this line"}},
		{"a segment renamed", func(f files) { f[segmentName(500)] = f[names[len(names)-1]]; delete(f, names[len(names)-1]) }, Options{},
			[]string{"reordered: 00000000000000000500.jsonl line 1: "}},
		{"a record of another type first", func(f files) {
			f[names[0]] = f[names[0]][lines[0].end:]
		}, Options{}, []string{"changed: 00000000000000000001.jsonl line 1: record 2: the first record of a segment is not of type segment"}},
	} {
		spoilt := whole.clone()
		c.spoil(spoilt)
		spoiltDir := filepath.Join(t.TempDir(), "spoilt")
		spoilt.write(t, spoiltDir)
		r := verify(t, spoiltDir, c.options)
		if len(c.want) == 0 && !r.OK() {
			t.Errorf("%s: %v", c.name, r.Findings)
		}
		for _, want := range c.want {
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return strings.HasPrefix(f.String(), want) }) {
				t.Errorf("%s:\n%v\nwant %s", c.name, r.Findings, want)
			}
		}
		if len(r.Findings) > len(c.want)+2 {
			t.Errorf("%s: %d findings: %v", c.name, len(r.Findings), r.Findings)
		}
	}
}

// A log that was written anew from the beginning, chain and all, is found by any head.
func TestRewrittenLog(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	options := signedLog(t, dir, 0, someRecords(5)...)
	otherOptions := signedLog(t, other, 0, someRecords(8)...)
	if r := verify(t, other, options); !r.Is(Foreign) {
		t.Errorf("another log: %v", r.Findings)
	}
	// With the ID of the first one.
	names, _ := segmentNames(dir)
	text, err := os.ReadFile(filepath.Join(dir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	var forged []byte
	var prev digest
	for i, l := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		p, err := parseLine(l)
		if err != nil {
			t.Fatal(err)
		}
		forged, prev = appendLine(forged, p.seq, prev, bytes.ReplaceAll(p.fields, []byte(`"block"`), []byte(`"allow"`)))
		if i == 0 && !strings.HasPrefix(string(text), string(forged)) {
			t.Fatal("the first record differs already")
		}
	}
	if err := os.WriteFile(filepath.Join(dir, names[0]), forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir, Options{}); !r.OK() {
		t.Errorf("without a head: %v", r.Findings)
	}
	if r := verify(t, dir, options); !r.Is(Rewritten) || r.Findings[0].Seq != 6 {
		t.Errorf("with a head: %v", r.Findings)
	}
	if r := verify(t, other, Options{Heads: options.Heads, PublicKeys: otherOptions.PublicKeys}); !r.Is(Unsigned) {
		t.Errorf("heads of another key: %v", r.Findings)
	}
	// Heads of two logs in one file, and one log that is wanted.
	both := Options{Heads: append(slices.Clone(options.Heads), otherOptions.Heads...), PublicKeys: append(options.PublicKeys, otherOptions.PublicKeys...)}
	if r := verify(t, other, both); !r.Is(Foreign) {
		t.Errorf("%v", r.Findings)
	}
	both.Log = otherOptions.Heads[0].Log
	if r := verify(t, other, both); !r.OK() || r.HeadsOther != len(options.Heads) {
		t.Errorf("%+v", r)
	}
}

// Older segments that are removed on purpose: the head that each segment ends with vouches for the rest.
func TestPrunedLog(t *testing.T) {
	dir := t.TempDir()
	options := signedLog(t, dir, 1500, someRecords(12)...)
	names, _ := segmentNames(dir)
	if len(names) < 4 || len(options.Heads) != len(names) {
		t.Fatalf("%d segments, %d heads", len(names), len(options.Heads))
	}
	for _, name := range names[:2] {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, dir, options); !r.Is(Removed) {
		t.Errorf("%v", r.Findings)
	}
	options.First, _ = segmentSeq(names[2])
	if r := verify(t, dir, options); !r.OK() || r.First != options.First || r.Heads != len(names)-1 || r.HeadsOther != 1 {
		t.Errorf("%+v", r)
	}
	later := options
	later.First++ // earlier ones are still there
	if r := verify(t, dir, later); !r.OK() {
		t.Errorf("%+v", r)
	}
	earlier := options
	earlier.First--
	if r := verify(t, dir, earlier); !r.Is(Removed) {
		t.Errorf("%+v", r)
	}
	unvouched := options
	unvouched.Heads = slices.Clone(options.Heads[2:])
	if r := verify(t, dir, unvouched); !r.Is(Unvouched) {
		t.Errorf("%v", r.Findings)
	}
}

// A log of nothing but rubbish is a report of bounded length, soon.
func TestRubbish(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), bytes.Repeat([]byte("rubbish\n"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir, Options{}); len(r.Findings) != maxFindings || r.Omitted != 10_000-maxFindings || r.Records != 0 {
		t.Errorf("%d findings, %d omitted", len(r.Findings), r.Omitted)
	}
	if err := os.Mkdir(filepath.Join(dir, segmentName(2)), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir, Options{}); err == nil {
		t.Error("a folder was read as a segment")
	}
	if _, err := Verify(filepath.Join(dir, "nowhere"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
