package edit

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// painted returns a picture of noise over a gradient: no two parts of it are alike.
func painted(w, h int) *image.RGBA {
	random := rand.New(rand.NewPCG(uint64(w), uint64(h)))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * x / w), uint8(255 * y / h), uint8(random.IntN(256)), 255})
		}
	}
	return img
}

func upload(t *testing.T, name string) *image.RGBA {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "..", "testdata", "uploads", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	img, _, err := image.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	src, err := Picture(img)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func apply(t testing.TB, name string, src *image.RGBA, seed uint64) *image.RGBA {
	t.Helper()
	e, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	dst, err := e.Apply(src, seed)
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

func equal(a, b *image.RGBA) bool {
	if a.Rect.Size() != b.Rect.Size() {
		return false
	}
	for y := range a.Rect.Dy() {
		n := 4 * a.Rect.Dx()
		if !bytes.Equal(a.Pix[y*a.Stride:][:n], b.Pix[y*b.Stride:][:n]) {
			return false
		}
	}
	return true
}

func TestPublishedSet(t *testing.T) {
	names := make(map[string]bool)
	families := make(map[string]int)
	for _, e := range All() {
		if names[e.Name] || !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(e.Name) {
			t.Errorf("%q: doubled, or not a name", e.Name)
		}
		names[e.Name] = true
		families[e.Family]++
		if e.Parameters == "" {
			t.Errorf("%s: no parameters", e.Name)
		}
		if found, err := Find(e.Name); err != nil || found.Name != e.Name || found.Parameters != e.Parameters {
			t.Errorf("Find(%q): %v, %v", e.Name, found, err)
		}
	}
	for _, family := range strings.Fields("encode size tone filter turn crop pad tilt shape overlay screen compose") {
		if families[family] == 0 {
			t.Errorf("no edit of the family %s", family)
		}
		if names[family] {
			t.Errorf("%s is a family and an edit", family)
		}
		chosen, err := Select([]string{family, family})
		if err != nil || len(chosen) != families[family] {
			t.Errorf("Select(%s): %d edits, want %d; %v", family, len(chosen), families[family], err)
		}
	}
	if len(families) != 12 {
		t.Errorf("families: %v", families)
	}
}

func TestSelectRefuses(t *testing.T) {
	for _, name := range []string{"", "nothing", "mirror+", "mirror+nothing", "+", "mirror+mirror+mirror+mirror+mirror", "crop+mirror"} {
		if got, err := Select([]string{"mirror", name}); err == nil {
			t.Errorf("%q: %d edits", name, len(got))
		}
	}
	if all, err := Select(nil); err != nil || len(all) != len(All()) {
		t.Errorf("none: %d, %v", len(all), err)
	}
}

// TestDeterministic makes every copy twice, and with another seed: the same seed gives the same bytes, and the edits
// that leave something to chance, and only those, give others. None changes its picture.
func TestDeterministic(t *testing.T) {
	src := painted(96, 64)
	before := slices.Clone(src.Pix)
	byChance := 0
	for _, e := range All() {
		one, err := e.JPEG(src, 1)
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		again, _ := e.JPEG(src, 1)
		if !bytes.Equal(one, again) {
			t.Errorf("%s: two copies with one seed differ", e.Name)
		}
		other := false
		for seed := range uint64(8) {
			file, _ := e.JPEG(src, seed)
			other = other || !bytes.Equal(one, file)
		}
		chance := strings.Contains(e.Parameters, "by chance") || strings.Contains(e.Parameters, "independent") || strings.Contains(e.Parameters, "another picture")
		if other != chance {
			t.Errorf("%s: differs with the seed: %v; its parameters: %s", e.Name, other, e.Parameters)
		}
		if chance {
			byChance++
		}
		if !bytes.Equal(before, src.Pix) {
			t.Fatalf("%s changed its picture", e.Name)
		}
	}
	if byChance < 10 {
		t.Errorf("only %d edits leave anything to chance", byChance)
	}
}

// TestAnyShape edits pictures of every small size and the longest shapes: no panic, a picture that is opaque and no more
// than four times as large, but for screenshots, which have a screen's size.
func TestAnyShape(t *testing.T) {
	all := All()
	rapid.Check(t, func(t *rapid.T) {
		w, h := rapid.IntRange(1, 40).Draw(t, "width"), rapid.IntRange(1, 40).Draw(t, "height")
		if max(w, h) > MaxAspect*min(w, h) {
			if _, err := all[0].Apply(painted(w, h), 0); err == nil {
				t.Fatalf("%d x %d was edited", w, h)
			}
			return
		}
		src := painted(w, h)
		e := rapid.SampledFrom(all).Draw(t, "edit")
		dst, err := e.Apply(src, rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		if dst.Rect.Min != (image.Point{}) || dst.Rect.Empty() || !dst.Opaque() {
			t.Fatalf("%s: %v, opaque: %v", e.Name, dst.Rect, dst.Opaque())
		}
		// Of the smallest pictures a border of one pixel is a multiple.
		if pixels := dst.Rect.Dx() * dst.Rect.Dy(); e.Family != "screen" && min(w, h) > 4 && pixels > 4*w*h {
			t.Fatalf("%s: %d x %d became %v", e.Name, w, h, dst.Rect)
		}
	})
}

func TestPictureRefuses(t *testing.T) {
	for _, r := range []image.Rectangle{{}, image.Rect(0, 0, 17, 1), image.Rect(0, 0, 10_000, 5001)} {
		img := &image.Uniform{C: black}
		if _, err := Picture(sized{img, r}); err == nil {
			t.Errorf("%v was accepted", r)
		}
	}
	if _, err := (Edit{}).Apply(image.NewRGBA(image.Rectangle{}), 0); err == nil {
		t.Error("an empty picture was edited")
	}
}

// sized is an image without an end, with one.
type sized struct {
	image.Image
	r image.Rectangle
}

func (s sized) Bounds() image.Rectangle { return s.r }

// TestPictureIsOnWhite flattens transparency, from wherever the picture starts.
func TestPictureIsOnWhite(t *testing.T) {
	img := image.NewNRGBA(image.Rect(-3, 5, -1, 6))
	img.SetNRGBA(-3, 5, color.NRGBA{0, 0, 0, 255})
	got, err := Picture(img)
	if err != nil {
		t.Fatal(err)
	}
	if got.Rect != image.Rect(0, 0, 2, 1) || got.RGBAAt(0, 0) != black || got.RGBAAt(1, 0) != white {
		t.Errorf("%v: %v %v", got.Rect, got.RGBAAt(0, 0), got.RGBAAt(1, 0))
	}
}

// TestNothingDone has the operations do nothing, by their parameters: the picture stays as it is.
func TestNothingDone(t *testing.T) {
	src := upload(t, "clean-landscape.jpg")
	for name, op := range map[string]operation{
		"crop of 0": crop(0, 0, 0, 0), "split crop of 0": cropSplit(0), "resize to 100": resize(100), "stretch to 100": stretch(100),
		"border of 0": pad(0, 0, black), "tilt of 0": tilt(0, false), "tilt of 0, grown": tilt(0, true), "gamma of 1": gamma(1),
		"noise of 0": noise(0), "tone as it is": tone(func(v float64) float64 { return v }), "perspective of 0": perspective(0),
		"blur of next to nothing": blur(.01), "picture in picture of 1": func(src *image.RGBA, r *rand.Rand) *image.RGBA {
			return cut(inPicture(1)(src, r), src.Rect)
		},
	} {
		got := op(src, rand.New(rand.NewPCG(1, 1)))
		if !equal(got, src) {
			t.Errorf("%s changed the picture", name)
		}
	}
}

// TestTones compares with the sums and the moments that the parameters promise.
func TestTones(t *testing.T) {
	src := filled(64, 64, gray)
	for name, want := range map[string]uint8{"bright10": 141, "dark20": 102, "contrast15": 128, "fade50": 128, "gray": 128, "blur3": 128, "sharpen": 128} {
		if c := apply(t, name, src, 1).RGBAAt(31, 31); c != (color.RGBA{want, want, want, 255}) {
			t.Errorf("%s: %v, want %d", name, c, want)
		}
	}
	dst := apply(t, "noise8", src, 1)
	var sum, squares float64
	for i, v := range dst.Pix {
		if i%4 < 3 {
			sum += float64(v) - 128
			squares += (float64(v) - 128) * (float64(v) - 128)
		}
	}
	n := float64(64 * 64 * 3)
	if mean, deviation := sum/n, math.Sqrt(squares/n); math.Abs(mean) > .4 || math.Abs(deviation-8) > .4 {
		t.Errorf("noise8: mean %.2f, deviation %.2f", mean, deviation)
	}
	// A blurred point keeps its sum, and its second moment is the square of sigma.
	point := filled(41, 41, black)
	fill(point, image.Rect(20, 20, 21, 21), white)
	spread := blurred(point, 1)
	var mass, moment float64
	for x := range 41 {
		for y := range 41 {
			v := float64(spread.RGBAAt(x, y).R)
			mass += v
			moment += v * float64((x-20)*(x-20))
		}
	}
	if math.Abs(mass-255) > 15 || math.Abs(moment/mass-1) > .15 {
		t.Errorf("blur of 1: sum %.0f, second moment %.2f", mass, moment/mass)
	}
}

// TestChain is its links one after the other, encoded at the lowest quality.
func TestChain(t *testing.T) {
	src := painted(60, 40)
	if got, want := apply(t, "mirror+crop5-each", src, 1), apply(t, "crop5-each", apply(t, "mirror", src, 1), 1); !equal(got, want) {
		t.Error("mirror+crop5-each is not its links")
	}
	e, err := Find("jpeg50+turn90+jpeg30")
	if err != nil || e.Quality != 30 || e.Family != "chain" || strings.Count(e.Parameters, "; then ") != 2 {
		t.Errorf("%+v, %v", e, err)
	}
	file, err := e.JPEG(src, 1)
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil || img.Bounds() != image.Rect(0, 0, 40, 60) {
		t.Errorf("%v, %v", img.Bounds(), err)
	}
}

func TestShrinkAndClone(t *testing.T) {
	src := painted(300, 100)
	if Shrink(src, 30_000) != src {
		t.Error("a picture within the bound was copied")
	}
	if got := Shrink(src, 7500).Rect; got != image.Rect(0, 0, 150, 50) {
		t.Errorf("a quarter of the pixels: %v", got)
	}
	if got := Shrink(src, 1).Rect.Size(); got.X*got.Y > 2 {
		t.Errorf("one pixel: %v", got)
	}
	clone := Clone(src)
	if !equal(clone, src) || &clone.Pix[0] == &src.Pix[0] {
		t.Error("not a copy")
	}
}
