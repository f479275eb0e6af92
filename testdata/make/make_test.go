package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// top is the folder testdata, seen from here.
const top = ".."

// madeWith is the release of Go whose encoders wrote the files.
const madeWith = "go1.26"

// remake runs the program once for all tests. HEIC files are taken as they are: their encoder is not part of the
// project.
var remake = sync.OnceValues(func() ([]file, error) {
	return makeAll(func(name string, _ heicPicture) ([]byte, error) {
		return os.ReadFile(filepath.Join(top, filepath.FromSlash(name)))
	})
})

func made(t *testing.T) []file {
	t.Helper()
	if !decodesHEIC() { // nor, without nodynamic, other formats
		t.Skip("this build decodes no HEIC, and golden/hashes.tsv has what it gives: test with -tags nodynamic,heic")
	}
	files, err := remake()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("only %d files are made", len(files))
	}
	return files
}

// TestFilesAreWhatTheProgramMakes holds the program and the checked-in files together.
func TestFilesAreWhatTheProgramMakes(t *testing.T) {
	if version := runtime.Version(); !strings.HasPrefix(version, madeWith) {
		t.Skipf("the files were made with %s; %s may encode JPEG, PNG and GIF into other bytes", madeWith, version)
	}
	want := make(map[string]bool)
	total := 0
	for _, f := range made(t) {
		if want[f.name] {
			t.Errorf("%s is made twice", f.name)
		}
		want[f.name] = true
		total += len(f.content)
		if len(f.content) > 200_000 {
			t.Errorf("%s has %d bytes: that is no small file", f.name, len(f.content))
		}
		content, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(f.name)))
		if err != nil {
			t.Errorf("%v: run go run -tags nodynamic,heic ./testdata/make", err)
		} else if !bytes.Equal(content, f.content) {
			t.Errorf("%s is not what the program makes: run go run -tags nodynamic,heic ./testdata/make and look at the change", f.name)
		}
	}
	if total > 3<<20 {
		t.Errorf("%d bytes in all", total)
	}
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if name == "make" {
			return fs.SkipDir
		}
		if !entry.IsDir() && !want[filepath.ToSlash(name)] {
			t.Errorf("%s: the program does not make it", name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestScenesAreFarApart: no scene is within twice the usual threshold of another, however it is turned.
func TestScenesAreFarApart(t *testing.T) {
	type hashed struct {
		name     string
		variants [8]pdq.Variant
	}
	var all []hashed
	for _, s := range slices.Concat(listed, clean, absent) {
		luma, err := pdq.LumaOf(s.draw())
		if err != nil {
			t.Fatal(err)
		}
		variants, quality := pdq.Dihedral(luma)
		if quality < 80 {
			t.Errorf("%s: PDQ quality %d", s.name, quality)
		}
		all = append(all, hashed{s.name, variants})
	}
	nearest, compared := 256, 0
	for i, a := range all {
		for _, b := range all[i+1:] {
			for _, v := range b.variants {
				compared++
				d := a.variants[0].Hash.Distance(v.Hash)
				nearest = min(nearest, d)
				if d <= 2*31 {
					t.Errorf("%s and %s (%s) are %d bits apart", a.name, b.name, v.Dihedral, d)
				}
			}
		}
	}
	if compared == 0 {
		t.Fatal("nothing was compared")
	}
	t.Logf("%d comparisons, the nearest two are %d bits apart", compared, nearest)
}

// TestOnlyTheCopyIsListed: of all uploads, exact-copy.jpg alone has a listed digest.
func TestOnlyTheCopyIsListed(t *testing.T) {
	files := made(t)
	i := slices.IndexFunc(files, func(f file) bool { return f.name == "lists/demo.csv" })
	list := string(files[i].content)
	copies, others := 0, 0
	for _, u := range uploads() {
		for _, h := range digests(u.content) {
			found := strings.Contains(list, h.Hex())
			if u.name == "exact-copy.jpg" && found {
				copies++
			} else if found {
				t.Errorf("%s: its %s is in the list", u.name, h.Kind)
			} else {
				others++
			}
		}
	}
	if copies != 3 || others == 0 {
		t.Errorf("%d listed digests of the copy, want 3; %d others", copies, others)
	}
}

// TestListsAreRead: every list is read without a refused line, and holds what was put into it.
func TestListsAreRead(t *testing.T) {
	scenes := len(listed) + len(absent)
	want := map[string]struct {
		format  format.Format
		entries int
		kinds   hashmatch.KindSet
	}{
		"lists/demo.csv":  {format.CSV, scenes + 1, hashmatch.SetOf(hashmatch.PDQ, hashmatch.MD5, hashmatch.SHA1, hashmatch.SHA256)},
		"lists/allow.csv": {format.CSV, 1, hashmatch.SetOf(hashmatch.SHA256)},
		"lists/pytx.csv":  {format.PytxCSV, scenes, hashmatch.SetOf(hashmatch.PDQ)},
		"lists/pytx.txt":  {format.PytxText, scenes, hashmatch.SetOf(hashmatch.PDQ)},
	}
	read := 0
	for _, f := range made(t) {
		if !strings.HasPrefix(f.name, "lists/") {
			continue
		}
		read++
		list, result, err := format.Import(bytes.NewReader(f.content), format.Options{})
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		if w := want[f.name]; result.Format != w.format || list.Len() != w.entries || list.Kinds() != w.kinds {
			t.Errorf("%s: %v, %d entries, kinds %v, want %+v", f.name, result.Format, list.Len(), list.Kinds().Kinds(), w)
		}
	}
	if read != len(want) {
		t.Errorf("%d lists, want %d", read, len(want))
	}
}

// TestFormatsShowTheScene: whatever the format, one frame of the file looks like the scene, where it says so in the
// view that a person sees.
func TestFormatsShowTheScene(t *testing.T) {
	small := scaled(named("harbour").draw(), small.X, small.Y)
	scene := hashOf(t, small)
	decoder := media.New(media.Config{Isolated: here{}})
	checked := 0
	for _, f := range made(t) {
		if !strings.HasPrefix(f.name, "formats/") {
			continue
		}
		checked++
		nearest, views := 256, 0
		_, failures := decoder.Decode(context.Background(), f.content, func(frame *hashmatch.Frame) error {
			if frame.View == (hashmatch.View{}) {
				views++
				hashes, err := pdq.Hasher{}.Hash(nil, frame, hashmatch.SetOf(hashmatch.PDQ), 0)
				for _, h := range hashes {
					nearest = min(nearest, scene.Distance(h.Hash))
				}
				return err
			}
			return nil
		})
		if len(failures) > 0 {
			t.Errorf("%s: %v", f.name, failures)
		}
		// What is wholly transparent shows nothing, and one bit a pixel is too coarse at this size.
		lost := f.name == "formats/alpha-invisible.png" || f.name == "formats/bilevel.png"
		if hidden := nearest > 31; hidden != lost {
			t.Errorf("%s: nearest of %d frames is %d bits from the scene", f.name, views, nearest)
		}
	}
	if checked < 50 {
		t.Errorf("only %d files in formats/", checked)
	}
}

// TestDamagedFilesFailAsExpected holds the table of damaged/ against the decoders.
func TestDamagedFilesFailAsExpected(t *testing.T) {
	var table []byte
	content := make(map[string][]byte)
	for _, f := range made(t) {
		if name, ok := strings.CutPrefix(f.name, "damaged/"); ok {
			content[name] = f.content
			if name == "EXPECTED.tsv" {
				table = f.content
			}
		}
	}
	decoder := media.New(media.Config{Isolated: here{}})
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")[2:]
	for _, line := range lines {
		fields := strings.Split(line, "\t")
		name, want := fields[0], strings.Split(fields[1], "|")
		ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Second, errors.New("too slow"))
		frames := 0
		_, failures := decoder.Decode(ctx, content[name], func(*hashmatch.Frame) error { frames++; return nil })
		cancel()
		codes := make([]string, 0, 1)
		for _, f := range failures {
			codes = append(codes, string(f.Code))
		}
		if len(codes) == 0 {
			codes = append(codes, "-")
			if frames == 0 {
				t.Errorf("%s: neither a frame nor a failure", name)
			}
		}
		if !slices.ContainsFunc(codes, func(c string) bool { return slices.Contains(want, c) }) {
			t.Errorf("%s: %d frames, %v, want %s", name, frames, failures, fields[1])
		}
	}
	if len(lines) < 60 || len(lines) != len(content)-1 {
		t.Errorf("%d lines for %d files", len(lines), len(content)-1)
	}
}

func hashOf(t *testing.T, m image.Image) hashmatch.Hash {
	t.Helper()
	luma, err := pdq.LumaOf(m)
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := pdq.Compute(luma)
	return hash
}
