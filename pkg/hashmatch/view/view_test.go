package view

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

var only = hashmatch.SetOf(hashmatch.PDQ)

// drawn is a picture of smooth shapes that no two seeds have alike.
func drawn(seed uint64, w, h int) *image.Gray {
	random := rand.New(rand.NewPCG(seed, 1))
	img := image.NewGray(image.Rect(0, 0, w, h))
	type blob struct{ x, y, r, v float64 }
	var blobs []blob
	for range 60 {
		blobs = append(blobs, blob{random.Float64(), random.Float64(), .02 + .15*random.Float64(), 200 * (random.Float64() - .5)})
	}
	for y := range h {
		for x := range w {
			u, v := (float64(x)+.5)/float64(w), (float64(y)+.5)/float64(h)
			sum := 128.
			for _, b := range blobs {
				sum += b.v * math.Exp(-((u-b.x)*(u-b.x)+(v-b.y)*(v-b.y))/(b.r*b.r))
			}
			img.Pix[y*img.Stride+x] = uint8(min(max(sum, 0), 255))
		}
	}
	return img
}

func hashOf(t testing.TB, img image.Image) hashmatch.Hash {
	t.Helper()
	luma, err := pdq.LumaOf(img)
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := pdq.Compute(luma)
	return hash
}

func views(t testing.TB, img image.Image, profile hashmatch.Profile, dihedral hashmatch.KindSet) []hashmatch.FrameHash {
	t.Helper()
	hashes, err := Hasher{}.Views(nil, &hashmatch.Frame{Index: 3, Image: img, View: hashmatch.View{Background: hashmatch.BlackBackground}}, profile, only, dihedral)
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

func nearest(hashes []hashmatch.FrameHash, h hashmatch.Hash) (best hashmatch.FrameHash, distance int) {
	distance = 257
	for _, f := range hashes {
		if d := f.Hash.Distance(h); d < distance {
			best, distance = f, d
		}
	}
	return best, distance
}

// sub is a part of a picture, in a picture of its own.
func sub(img *image.Gray, r image.Rectangle) *image.Gray {
	part := image.NewGray(image.Rect(0, 0, r.Dx(), r.Dy()))
	for y := range r.Dy() {
		copy(part.Pix[y*part.Stride:][:r.Dx()], img.Pix[(r.Min.Y+y)*img.Stride+r.Min.X:])
	}
	return part
}

func paste(onto, img *image.Gray, x, y int) {
	for row := range img.Rect.Dy() {
		copy(onto.Pix[(y+row)*onto.Stride+x:], img.Pix[row*img.Stride:][:img.Rect.Dx()])
	}
}

func flat(w, h int, colour uint8) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = colour
	}
	return img
}

// turned is a picture turned about its middle, in a frame of w x h that is black where the picture does not reach.
func turned(img *image.Gray, degrees float64, w, h int) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, w, h))
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	cx, cy := float64(img.Rect.Dx())/2, float64(img.Rect.Dy())/2
	for y := range h {
		for x := range w {
			dx, dy := float64(x)+.5-float64(w)/2, float64(y)+.5-float64(h)/2
			sx, sy := cx+cos*dx+sin*dy-.5, cy-sin*dx+cos*dy-.5
			i, j := int(math.Floor(sx)), int(math.Floor(sy))
			if i < 0 || j < 0 || i+1 >= img.Rect.Dx() || j+1 >= img.Rect.Dy() {
				continue
			}
			fx, fy := sx-float64(i), sy-float64(j)
			at := func(i, j int) float64 { return float64(img.Pix[j*img.Stride+i]) }
			out.Pix[y*out.Stride+x] = uint8((1-fy)*((1-fx)*at(i, j)+fx*at(i+1, j)) + fy*((1-fx)*at(i, j+1)+fx*at(i+1, j+1)))
		}
	}
	return out
}

// The field of a whole picture, seen as it is, has about the hash of the picture.
func TestFieldIsThePicture(t *testing.T) {
	for seed, size := range [][2]int{{640, 480}, {300, 1000}, {1023, 769}, {256, 256}} {
		img := drawn(uint64(seed), size[0], size[1])
		luma, err := pdq.LumaOf(img)
		if err != nil {
			t.Fatal(err)
		}
		p := planeOf(luma)
		var points pdq.Points
		p.field(p.whole()).plain(&points)
		if d := points.Hash().Distance(hashOf(t, img)); d > 12 {
			t.Errorf("%v: %d bits off", size, d)
		}
	}
}

// TestEdits undoes one edit of each family, turned and mirrored too.
func TestEdits(t *testing.T) {
	img := drawn(7, 640, 480)
	other := drawn(8, 640, 480)
	listed := hashOf(t, img)
	bordered := flat(900, 800, 250)
	paste(bordered, img, 100, 130)
	letterbox := flat(640, 700, 0)
	paste(letterbox, img, 0, 110)
	caption := flat(640, 560, 255)
	paste(caption, img, 0, 80)
	for i := range 640 * 30 { // text, of a sort
		if (i/640/3+i%640/5)%3 == 0 {
			caption.Pix[(20+i/640)*640+i%640] = 0
		}
	}
	pair := flat(1280, 480, 0)
	paste(pair, other, 0, 0)
	paste(pair, img, 640, 0)
	four := flat(1280, 960, 0)
	for i, p := range []*image.Gray{other, drawn(9, 640, 480), img, drawn(10, 640, 480)} {
		paste(four, p, i%2*640, i/2*480)
	}
	grown := 4 * math.Pi / 180
	for name, tc := range map[string]struct {
		img     *image.Gray
		profile hashmatch.Profile
		panel   string
	}{
		"5 % off the width and the height": {sub(img, image.Rect(16, 12, 624, 468)), hashmatch.Standard, ""},
		"6 % off the left":                 {sub(img, image.Rect(38, 0, 640, 480)), hashmatch.Standard, ""},
		"10 % off":                         {sub(img, image.Rect(40, 20, 616, 452)), hashmatch.Thorough, ""},
		"a border":                         {bordered, hashmatch.Standard, ""},
		"a letterbox":                      {letterbox, hashmatch.Standard, ""},
		"a caption":                        {caption, hashmatch.Standard, "inner"},
		"turned in its frame":              {turned(img, 3, 640, 480), hashmatch.Standard, ""},
		"turned, and the frame grew": {
			turned(img, -4, int(640*math.Cos(grown)+480*math.Sin(grown)), int(640*math.Sin(grown)+480*math.Cos(grown))), hashmatch.Thorough, "",
		},
		"side by side": {pair, hashmatch.Standard, "right"},
		"one of four":  {four, hashmatch.Standard, "bottom_left"},
	} {
		t.Run(name, func(t *testing.T) {
			if d := hashOf(t, tc.img).Distance(listed); d <= 31 {
				t.Fatalf("only %d bits off as it is: nothing is undone", d)
			}
			best, distance := nearest(views(t, tc.img, tc.profile, 0), listed)
			if distance > 31 || best.View.Dihedral != "" || tc.panel != "" && best.View.Panel != tc.panel && best.View.Panel != "inner" {
				t.Errorf("distance %d in %+v", distance, best.View)
			}
			if !best.View.Altered() || best.Frame != 3 || best.View.Background != hashmatch.BlackBackground {
				t.Errorf("%+v", best)
			}
			// Mirrored, it is found in a turn of a view.
			mirrored := image.NewGray(tc.img.Rect)
			for y := range tc.img.Rect.Dy() {
				for x := range tc.img.Rect.Dx() {
					mirrored.Pix[y*mirrored.Stride+x] = tc.img.Pix[y*tc.img.Stride+tc.img.Rect.Dx()-1-x]
				}
			}
			if best, distance := nearest(views(t, mirrored, tc.profile, only), listed); distance > 31 || best.View.Dihedral == "" {
				t.Errorf("mirrored: distance %d in %+v", distance, best.View)
			}
		})
	}
	// Another picture is not found in any view of any of them.
	stranger := hashOf(t, drawn(99, 640, 480))
	for _, img := range []*image.Gray{img, bordered, caption, four} {
		if best, distance := nearest(views(t, img, hashmatch.Thorough, only), stranger); distance <= 40 {
			t.Errorf("a stranger at distance %d in %+v", distance, best.View)
		}
	}
}

// The hashes of a reduced picture are about those of the full one.
func TestViewsReduced(t *testing.T) {
	img := drawn(5, 1203, 803)
	const scale = 2
	reduced := &hashmatch.Reduced{Scale: scale, Width: 1203, Height: 803, Orientation: 1, Stride: 602, Pix: make([]uint8, 602*402)}
	for y := range 402 {
		for x := range 602 {
			sum, n := 0, 0
			for j := scale * y; j < min(scale*y+scale, 803); j++ {
				for i := scale * x; i < min(scale*x+scale, 1203); i++ {
					sum, n = sum+int(img.Pix[j*img.Stride+i]), n+1
				}
			}
			reduced.Pix[y*602+x] = uint8((sum + n/2) / n)
		}
	}
	for orientation := 1; orientation <= 8; orientation++ {
		reduced.Orientation = orientation
		got, err := Hasher{}.ViewsReduced(nil, reduced, hashmatch.Standard, only, only)
		if err != nil {
			t.Fatal(err)
		}
		full := views(t, img, hashmatch.Standard, only)
		far := 0
		for _, f := range full {
			if _, distance := nearest(got, f.Hash); distance > 12 {
				far++
			}
		}
		if len(full) < 100 || far > len(full)/50 {
			t.Errorf("orientation %d: %d of %d hashes are not among those of the reduced picture", orientation, far, len(full))
		}
	}
	for name, wrong := range map[string]hashmatch.Reduced{
		"no samples":  {Scale: 1, Width: 100, Height: 100, Orientation: 1, Stride: 100},
		"orientation": {Scale: 1, Width: 1, Height: 1, Orientation: 9, Stride: 1, Pix: []uint8{1}},
		"no scale":    {Width: 1, Height: 1, Orientation: 1, Stride: 1, Pix: []uint8{1}},
	} {
		if _, err := (Hasher{}).ViewsReduced(nil, &wrong, hashmatch.Standard, only, 0); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A view in weak contrast, whose hash is not searched, does not hide the same one in strong contrast; one in strong
// contrast is enough.
func TestWeakContrastHidesNothing(t *testing.T) {
	luma, err := pdq.LumaOf(drawn(7, 640, 480))
	if err != nil {
		t.Fatal(err)
	}
	p := planeOf(luma)
	var strong, weak pdq.Points
	p.field(p.whole()).plain(&strong)
	for i := range strong {
		for j, v := range strong[i] {
			weak[i][j] = 100 + v/64
		}
	}
	if weak.Quality() >= hashmatch.DefaultQualityFloor || strong.Quality() < hashmatch.DefaultQualityFloor || weak.Hash().Distance(strong.Hash()) > alikeBits {
		t.Fatalf("qualities %d and %d, %d bits apart: nothing is shown", weak.Quality(), strong.Quality(), weak.Hash().Distance(strong.Hash()))
	}
	take := func(points ...*pdq.Points) (qualities []int) {
		s := newSight(nil, hashmatch.FrameHash{}, hashmatch.Standard, 0)
		for _, p := range points {
			s.points = *p
			s.take("left", "")
		}
		for _, h := range s.dst {
			qualities = append(qualities, h.Quality)
		}
		return qualities
	}
	if got, want := take(&weak, &strong), []int{weak.Quality(), strong.Quality()}; !reflect.DeepEqual(got, want) {
		t.Errorf("weak first: %v, want %v", got, want)
	}
	if got, want := take(&strong, &weak), []int{strong.Quality()}; !reflect.DeepEqual(got, want) {
		t.Errorf("strong first: %v, want %v", got, want)
	}
}

// A picture has no more hashes than the profile allows, however many edges and panels there seem to be in it: a search
// in 10 million entries takes some 20 microseconds each.
func TestNumberOfHashes(t *testing.T) {
	for name, img := range map[string]*image.Gray{
		"a photo": drawn(1, 640, 480), "flat": flat(300, 300, 7), "tiny": flat(1, 1, 7), "a line": flat(2000, 1, 3), "noise": noise(400, 400),
		"stripes": checkers(640, 480), "16 x 16": drawn(2, 16, 16),
	} {
		for profile, most := range map[hashmatch.Profile]int{hashmatch.Plain: 0, "": 0, hashmatch.Standard: 400, hashmatch.Thorough: 3000} {
			hashes := views(t, img, profile, only)
			if len(hashes) > most {
				t.Errorf("%s, %s: %d hashes, more than %d", name, profile, len(hashes), most)
			}
			if again := views(t, img, profile, only); !reflect.DeepEqual(hashes, again) {
				t.Errorf("%s, %s: not the same twice", name, profile)
			}
			quality := make(map[hashmatch.Hash]int)
			for _, h := range hashes {
				if best, ok := quality[h.Hash]; ok && h.Quality <= best || !h.View.Altered() {
					t.Fatalf("%s, %s: %+v twice, or not altered", name, profile, h)
				}
				quality[h.Hash] = h.Quality
			}
		}
	}
	if _, err := (Hasher{}).Views(nil, &hashmatch.Frame{Image: flat(9, 9, 9)}, "deep", only, 0); err == nil {
		t.Error("an unknown profile")
	}
	if got := views(t, drawn(1, 64, 64), hashmatch.Standard, 0); len(got) == 0 {
		t.Error("no views")
	} else if got, err := (Hasher{}).Views(nil, &hashmatch.Frame{Image: drawn(1, 64, 64)}, hashmatch.Standard, hashmatch.SetOf(hashmatch.PHash), 0); err != nil || len(got) > 0 {
		t.Error("hashes of another kind", err)
	}
}

func noise(w, h int) *image.Gray {
	random := rand.New(rand.NewPCG(4, 4))
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = uint8(random.Uint32())
	}
	return img
}

func checkers(w, h int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Pix[y*w+x] = uint8(255 * ((x/40 + y/60) % 2))
		}
	}
	return img
}

func TestTrimmed(t *testing.T) {
	img := drawn(3, 300, 300)
	onto := flat(400, 420, 0)
	paste(onto, img, 60, 80)
	for i := range 400 { // another colour on top
		for y := range 80 {
			onto.Pix[y*onto.Stride+i] = 200
		}
	}
	luma, err := pdq.LumaOf(onto)
	if err != nil {
		t.Fatal(err)
	}
	p := planeOf(luma)
	want := rect{60, 80, 360, 380}
	got := p.trimmed(p.whole())
	for _, d := range []float64{got.x0 - want.x0, got.y0 - want.y0, got.x1 - want.x1, got.y1 - want.y1} {
		if math.Abs(d) > 2 {
			t.Fatalf("%v, want about %v", got, want)
		}
	}
	for _, untouched := range []*image.Gray{img, flat(300, 300, 9)} {
		luma, _ := pdq.LumaOf(untouched)
		p := planeOf(luma)
		if got := p.trimmed(p.whole()); got != p.whole() {
			t.Errorf("%v was trimmed to %v", p.whole(), got)
		}
	}
}

func FuzzViews(f *testing.F) {
	f.Add(uint16(40), uint16(30), []byte{1, 2, 3, 4, 200, 100}, true)
	f.Add(uint16(300), uint16(1), []byte{9}, false)
	f.Fuzz(func(t *testing.T, w, h uint16, text []byte, thorough bool) {
		width, height := int(w)%600+1, int(h)%600+1
		img := image.NewGray(image.Rect(0, 0, width, height))
		for i := range img.Pix {
			if len(text) > 0 {
				img.Pix[i] = text[i*len(text)/len(img.Pix)]
			}
		}
		profile := hashmatch.Standard
		if thorough {
			profile = hashmatch.Thorough
		}
		for _, h := range views(t, img, profile, only) {
			if h.Quality < 0 || h.Quality > 100 || h.Hash.Kind != hashmatch.PDQ {
				t.Fatalf("%+v", h)
			}
		}
		var scale [2]byte
		copy(scale[:], text)
		reduced := &hashmatch.Reduced{
			Pix: text, Stride: int(w) % 40, Scale: int(scale[0]) % 9, Width: width, Height: height, Orientation: int(binary.LittleEndian.Uint16(scale[:])) % 10,
		}
		_, _ = Hasher{}.ViewsReduced(nil, reduced, profile, only, only)
	})
}

func BenchmarkViews(b *testing.B) {
	for _, profile := range []hashmatch.Profile{hashmatch.Standard, hashmatch.Thorough} {
		for _, size := range []struct {
			name string
			w, h int
		}{{"1MP", 1224, 816}, {"12MP", 4240, 2832}} {
			img := drawn(1, size.w/4, size.h/4)
			large := image.NewGray(image.Rect(0, 0, size.w, size.h))
			for i := range large.Pix {
				large.Pix[i] = img.Pix[min(i/size.w/4, size.h/4-1)*img.Stride+min(i%size.w/4, size.w/4-1)]
			}
			b.Run(fmt.Sprintf("%s/%s", profile, size.name), func(b *testing.B) {
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					n = len(views(b, large, profile, only))
				}
				b.ReportMetric(float64(n), "hashes")
			})
		}
	}
}
