package eval

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/edit"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// TestLists compares with a list of one photo's hash, one hash 5 bits off another's mirror image, and one that is far.
func TestLists(t *testing.T) {
	c := settings(t)
	c.Photos = []string{"../../../testdata/uploads/clean-landscape.jpg", "../../../testdata/uploads/clean-poster.png"}
	hashOf := func(path string) [8]pdq.Variant {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		img, _, err := image.Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := edit.Picture(img)
		if err != nil {
			t.Fatal(err)
		}
		luma, err := pdq.LumaOf(picture)
		if err != nil {
			t.Fatal(err)
		}
		variants, _ := pdq.Dihedral(luma)
		return variants
	}
	same, mirrored := hashOf(c.Photos[0])[0].Hash, hashOf(c.Photos[1])[5].Hash
	for bit := range 5 {
		mirrored.Bits[bit] ^= 1
	}
	far := hashmatch.Hash{Kind: hashmatch.PDQ, Bits: [32]byte{1, 2, 3}}
	var b hashlist.Builder
	for i, h := range []hashmatch.Hash{same, mirrored, far} {
		if err := b.Add(hashmatch.Entry{Key: hashmatch.EntryKey{ID: fmt.Sprint(i)}, Signatures: []hashmatch.Signature{{Hash: h}}}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	served, err := lookup.Serve(t.Context(), "mine", list)
	if err != nil {
		t.Fatal(err)
	}
	if c.Lists, err = lookup.NewSet(served); err != nil {
		t.Fatal(err)
	}
	c.Kinds = hashmatch.SetOf(hashmatch.PDQ, hashmatch.DHash)
	result := mustRun(t, c)
	if len(result.Lists) != 1 || result.Lists[0] != (List{"mine", list.Revision().String(), 3}) {
		t.Errorf("%+v", result.Lists)
	}
	for i, want := range []Histogram{{0: 1}, {0: 1, 5: 1}} {
		m := result.Measures[i].List
		if m == nil || !slices.Equal(m.Nearest, want) || m.Hashes != 3 || m.Photos != 2 || m.Matched != want.Total() {
			t.Errorf("measure %d: %+v, want %v", i, m, want)
		}
		if result.Measures[i].Pairs.Entries != 3 {
			t.Errorf("pairs are reckoned up to %d hashes", result.Measures[i].Pairs.Entries)
		}
	}
	if m := result.Measures[2]; m.Kind != hashmatch.DHash || m.List != nil || m.Pairs.Entries != DefaultEntries {
		t.Errorf("a kind that the list does not hold: %+v", m)
	}
}

// framed is a profile that looks at what is within a border of 5 % of each side too.
type framed struct {
	Profile
	calls atomic.Int64
}

func (*framed) Name() string { return "framed" }

func (f *framed) Hash(dst []hashmatch.FrameHash, frame *hashmatch.Frame, kind hashmatch.Kind) ([]hashmatch.FrameHash, error) {
	f.calls.Add(1)
	dst, err := f.Profile.Hash(dst, frame, kind)
	if err != nil {
		return dst, err
	}
	size := frame.Image.Bounds().Size()
	x, y := size.X/22, size.Y/22 // 5 of 110 parts
	inner := image.NewRGBA(image.Rect(0, 0, size.X-2*x, size.Y-2*y))
	draw.Draw(inner, inner.Rect, frame.Image, image.Pt(x, y), draw.Src)
	trimmed := *frame
	trimmed.Image = inner
	from := len(dst)
	if dst, err = f.Profile.Hash(dst, &trimmed, kind); err != nil {
		return dst, err
	}
	for i := range dst[from:] {
		dst[from+i].View.Geometry = "framed"
	}
	return dst, nil
}

// TestProfile plugs in a view, which finds what the plain profile does not, and only where it should.
func TestProfile(t *testing.T) {
	c := withEdits(t, "jpeg70", "pad5-red", "pad20-red")
	view := &framed{Profile: Plain()}
	c.Profiles = []Profile{Plain(), view}
	result := mustRun(t, c)
	if view.calls.Load() == 0 || len(result.Measures) != 4 {
		t.Fatalf("%d calls, %d measures", view.calls.Load(), len(result.Measures))
	}
	plain, wide := result.Measures[0], result.Measures[2]
	if plain.Profile != "plain" || wide.Profile != "framed" {
		t.Fatalf("%s, %s", plain.Profile, wide.Profile)
	}
	n := wide.Recall[1].Copies
	if plain.Recall[1].Found != 0 || n < 10 || wide.Recall[1].Found < n*9/10 || wide.Recall[0].Found < plain.Recall[0].Found || wide.Recall[2].Found > n/5 {
		t.Errorf("plain %+v\nframed %+v", plain.Recall, wide.Recall)
	}
	if wide.Pairs.Matched < plain.Pairs.Matched || wide.Pairs.Pairs != plain.Pairs.Pairs {
		t.Errorf("more views, fewer matches: %+v, %+v", plain.Pairs, wide.Pairs)
	}
}

// broken is a profile that fails in one of two ways.
type broken struct {
	Profile
	panics bool
}

func (b broken) Hash(dst []hashmatch.FrameHash, _ *hashmatch.Frame, _ hashmatch.Kind) ([]hashmatch.FrameHash, error) {
	if b.panics {
		panic("out of order")
	}
	return dst, errors.New("out of order")
}
