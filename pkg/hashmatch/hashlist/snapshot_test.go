package hashlist

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file of the current version")

func snapshot(t testing.TB, l *List, extras ...Extra) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, l, extras...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sampleList(t testing.TB) *List {
	return mustNew(t, sample()...).WithInfo(Info{Name: "synthetic", Source: "test", Created: day, Synced: day.Add(time.Hour)})
}

func equal(t *testing.T, want, got *List) {
	t.Helper()
	if want.Revision() != got.Revision() || want.Info() != got.Info() || want.Len() != got.Len() {
		t.Errorf("%v %v, want %v %v", got.Revision(), got.Info(), want.Revision(), want.Info())
	}
	if diff := cmp.Diff(contents(want), contents(got)); diff != "" {
		t.Error(diff)
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	for name, l := range map[string]*List{
		"empty": mustNew(t), "sample": sampleList(t), "many": mustNew(t, slices.Collect(benchEntries(20000, false))...),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list")
			if err := WriteFile(path, l); err != nil {
				t.Fatal(err)
			}
			got, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, l, got)
			if !bytes.Equal(snapshot(t, l), snapshot(t, got)) {
				t.Error("what was read is not written as it was")
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
				t.Errorf("others can read the list: %v %v", info.Mode(), err)
			}
			slow, err := Read(iotest.HalfReader(bytes.NewReader(snapshot(t, l))))
			if err != nil || slow.Revision() != l.Revision() {
				t.Error("read in small pieces:", err)
			}
		})
	}
}

// Every version that was ever written stays readable. A golden file is written once and never again.
func TestOldVersions(t *testing.T) {
	if *update {
		if err := WriteFile("testdata/v2.hashlist", sampleList(t), Extra{"TEST", [][]byte{[]byte("of "), []byte("others")}}); err != nil {
			t.Fatal(err)
		}
	}
	for version := ReadVersion; version <= WriteVersion; version++ {
		path := "testdata/v" + string(rune('0'+version)) + ".hashlist"
		l, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, sampleList(t), l)
		mapped, err := Map(path)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, sampleList(t), mapped.List())
	}
	golden, err := os.ReadFile("testdata/v2.hashlist")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, snapshot(t, sampleList(t), Extra{"TEST", [][]byte{[]byte("of others")}})) {
		t.Error("the file is written in another way: give it a new version")
	}
}

var named = []error{ErrNotSnapshot, ErrVersion, ErrTruncated, ErrChecksum, ErrCorrupt}

func refused(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: accepted", what)
	} else if !slices.ContainsFunc(named, func(e error) bool { return errors.Is(err, e) }) {
		t.Errorf("%s: an error without a name: %v", what, err)
	}
}

func TestDamagedAtEveryByte(t *testing.T) {
	good := snapshot(t, sampleList(t))
	if len(good) > 4096 {
		t.Fatalf("the sample takes %d bytes", len(good))
	}
	for i := range good {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(good)
			bad[i] ^= flip
			_, err := Read(bytes.NewReader(bad))
			refused(t, "byte "+string(rune(i)), err)
		}
		_, err := Read(bytes.NewReader(good[:i]))
		refused(t, "cut", err)
		if i >= 8 && i < 24 && !errors.Is(err, ErrTruncated) {
			t.Errorf("cut at %d: %v", i, err)
		}
		if i >= 256 && !errors.Is(err, ErrTruncated) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	for _, tail := range []string{"\x00", "more", string(good)} {
		_, err := Read(strings.NewReader(string(good) + tail))
		refused(t, "bytes after the end", err)
	}
}

func TestForeignFiles(t *testing.T) {
	for _, text := range []string{"", "\x89", "\x89PNG\r\n\x1a\n", "pdq 00\n", "{}", strings.Repeat("\x00", 1000)} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrNotSnapshot) {
			t.Errorf("%q: %v", text, err)
		}
	}
	dir := t.TempDir()
	if _, err := Open(dir); !errors.Is(err, ErrNotSnapshot) {
		t.Error("a folder:", err)
	}
	if _, err := Open(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Error("no file:", err)
	}
	broken := errors.New("broken")
	if _, err := Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Error("an error of the reader is lost:", err)
	}
}

// resum writes the sections again with their checksums right, after edit had its way.
func resum(t *testing.T, edit func(head []byte, sections []section) []section) []byte {
	t.Helper()
	good := snapshot(t, sampleList(t))
	in := &source{r: bufioReader(good)}
	sections, err := in.head()
	if err != nil {
		t.Fatal(err)
	}
	for i := range sections {
		s := &sections[i]
		s.body = [][]byte{slices.Clone(good[s.offset : s.offset+s.length])}
		s.length = 0
	}
	var out bytes.Buffer
	head := []byte{WriteVersion, 0, ReadVersion, 0}
	sections = edit(head, sections)
	if err := writeSections(&out, sections, nil); err != nil {
		t.Fatal(err)
	}
	b := out.Bytes()
	copy(b[8:], head)
	resumHead(b, len(sections))
	return b
}

// resumHead makes the header's checksum right.
func resumHead(b []byte, sections int) {
	end := fixedHead + tableRow*sections
	sum := sha256.Sum256(b[:end])
	copy(b[end:], sum[:])
}

func TestSectionsOfOtherVersions(t *testing.T) {
	extra := func(flags uint32) func([]byte, []section) []section {
		return func(_ []byte, s []section) []section {
			return append(s, section{name: "INDX", flags: flags, body: [][]byte{[]byte("an index")}})
		}
	}
	if l, err := Read(bytes.NewReader(resum(t, extra(0)))); err != nil {
		t.Error("an unknown section that need not be known:", err)
	} else {
		equal(t, sampleList(t), l)
	}
	if _, err := Read(bytes.NewReader(resum(t, extra(flagRequired)))); !errors.Is(err, ErrVersion) {
		t.Error("an unknown section that must be known:", err)
	}
	damaged := resum(t, extra(0))
	damaged[len(damaged)-1]++
	if _, err := Read(bytes.NewReader(damaged)); !errors.Is(err, ErrChecksum) {
		t.Error("an unknown section that is damaged:", err)
	}
	version := func(version, readable uint16) []byte {
		return resum(t, func(head []byte, s []section) []section {
			binary.LittleEndian.PutUint16(head, version)
			binary.LittleEndian.PutUint16(head[2:], readable)
			return s
		})
	}
	if _, err := Read(bytes.NewReader(version(WriteVersion+5, WriteVersion))); err != nil {
		t.Error("a newer version that this one can read:", err)
	}
	if _, err := Read(bytes.NewReader(version(WriteVersion+5, WriteVersion+1))); !errors.Is(err, ErrVersion) {
		t.Error("a newer version:", err)
	}
	if _, err := Read(bytes.NewReader(version(0, 0))); !errors.Is(err, ErrVersion) {
		t.Error("version 0:", err)
	}
}

// Files whose checksums are right, but whose content is not.
func TestMalformedSections(t *testing.T) {
	tests := map[string]func([]byte, []section) []section{
		"no section":     func(_ []byte, s []section) []section { return nil },
		"no META":        func(_ []byte, s []section) []section { return s[1:] },
		"no RECS":        func(_ []byte, s []section) []section { return s[:2] },
		"twice":          func(_ []byte, s []section) []section { return append(s, s[0]) },
		"order":          func(_ []byte, s []section) []section { slices.Reverse(s); return s },
		"META":           func(_ []byte, s []section) []section { s[0].body = [][]byte{[]byte("{")}; return s },
		"META too large": func(_ []byte, s []section) []section { s[0].body = [][]byte{make([]byte, maxMeta+1)}; return s },
		"name": func(_ []byte, s []section) []section {
			s[0].body[0] = bytes.Replace(s[0].body[0], []byte(`"synthetic"`), []byte(`"\u001b[2J"`), 1)
			return s
		},
		"revision": func(_ []byte, s []section) []section {
			s[0].body[0] = bytes.Replace(s[0].body[0], []byte(`"revision":"`), []byte(`"revision":"0000`), 1)
			return s
		},
		"entries": func(_ []byte, s []section) []section {
			s[0].body[0] = bytes.Replace(s[0].body[0], []byte(`"entries":6`), []byte(`"entries":7`), 1)
			return s
		},
		"row cut":         func(_ []byte, s []section) []section { s[1].body[0] = s[1].body[0][1:]; return s },
		"segment missing": func(_ []byte, s []section) []section { s[1].body[0] = s[1].body[0][segmentRow:]; return s },
		"bucket": func(_ []byte, s []section) []section {
			binary.LittleEndian.PutUint32(s[1].body[0], buckets)
			return s
		},
		"wrong bucket": func(_ []byte, s []section) []section {
			s[1].body[0][0] ^= 1
			return s
		},
		"length":        func(_ []byte, s []section) []section { s[1].body[0][4]++; return s },
		"huge length":   func(_ []byte, s []section) []section { s[1].body[0][7] = 0xff; return s },
		"digest":        func(_ []byte, s []section) []section { s[1].body[0][8]++; return s },
		"last of block": func(_ []byte, s []section) []section { b := s[2].body[0]; b[len(b)-1]++; return s },
	}
	for name, edit := range tests {
		_, err := Read(bytes.NewReader(resum(t, edit)))
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := snapshot(t, sampleList(t))
	for i := range 60 {
		bad := resum(t, func(_ []byte, s []section) []section { s[2].body[0][i] ^= 0x40; return s })
		// The local times are all that can differ in a file that names the same revision.
		if l, err := Read(bytes.NewReader(bad)); err == nil && l.Revision() != mustNew(t, slices.Collect(values(l))...).Revision() {
			t.Errorf("byte %d of a block: other content was taken", i)
		} else if err != nil {
			refused(t, "block", err)
		}
	}
	// A header that promises more than there is takes no memory for it.
	huge := slices.Clone(good)
	binary.LittleEndian.PutUint64(huge[16:], 1<<40)
	row := huge[fixedHead+2*tableRow:]
	binary.LittleEndian.PutUint64(row[16:], 1<<40-binary.LittleEndian.Uint64(row[8:]))
	resumHead(huge, 3)
	if _, err := Read(bytes.NewReader(huge)); !errors.Is(err, ErrCorrupt) {
		t.Error("a section of a terabyte:", err)
	}
}

func TestWriteFileIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	old, next := sampleList(t), mustNew(t, sample()[:1]...)
	if err := WriteFile(path, old); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	for _, room := range []int{0, 1, 200, 600} {
		err := ReplaceFile(path, func(w io.Writer) error { return Write(&limitedWriter{w, room, full}, next) })
		if !errors.Is(err, full) {
			t.Errorf("room for %d bytes: %v", room, err)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 {
			t.Errorf("left behind: %v %v", files, err)
		}
		l, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, old, l)
	}
	// What a killed process leaves behind changes nothing.
	if err := os.WriteFile(filepath.Join(dir, ".list.123.tmp"), snapshot(t, next)[:300], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, next); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, next, l)
	if err := WriteFile(filepath.Join(dir, "absent", "list"), next); err == nil {
		t.Error("a folder that does not exist")
	}
	if err := Write(io.Discard, next.WithInfo(Info{Name: "a\nb"})); err == nil {
		t.Error("a name with a line break was written")
	}
}

func TestWriteToFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Log("no /dev/full here; a writer that fails is tested above")
		return
	}
	defer full.Close()
	if err := Write(full, sampleList(t)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
}

type limitedWriter struct {
	w    io.Writer
	room int
	err  error
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.room {
		n, _ := w.w.Write(p[:w.room])
		w.room = 0
		return n, w.err
	}
	w.room -= len(p)
	return w.w.Write(p)
}
