package imagehash

import (
	"errors"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"github.com/corona10/goimagehash"
)

var (
	formats = []string{"gray", "rgba", "444", "422", "420", "440", "411", "410"}
	ratios  = map[string]image.YCbCrSubsampleRatio{
		"444": image.YCbCrSubsampleRatio444, "422": image.YCbCrSubsampleRatio422, "420": image.YCbCrSubsampleRatio420,
		"440": image.YCbCrSubsampleRatio440, "411": image.YCbCrSubsampleRatio411, "410": image.YCbCrSubsampleRatio410,
	}
	every = Hasher{}.Kinds()
)

// drawing returns a picture of gradients and noise of the given format.
func drawing(format string, width, height int, seed uint64) image.Image {
	random := rand.New(rand.NewPCG(seed, 2))
	fill := func(pix []uint8, stride int) {
		a, b, noise := random.IntN(5)+1, random.IntN(5)+1, random.IntN(64)+1
		for i := range pix {
			x, y := i%stride, i/stride
			pix[i] = uint8(x*a*256/stride + y*b*3 + random.IntN(noise))
		}
	}
	r := image.Rect(0, 0, width, height)
	switch format {
	case "gray":
		m := image.NewGray(r)
		fill(m.Pix, m.Stride)
		return m
	case "rgba":
		m := image.NewRGBA(r)
		fill(m.Pix, m.Stride)
		for i := 3; i < len(m.Pix); i += 4 {
			m.Pix[i] = 255
		}
		return m
	}
	m := image.NewYCbCr(r, ratios[format])
	fill(m.Y, m.YStride)
	fill(m.Cb, m.CStride)
	fill(m.Cr, m.CStride)
	return m
}

// library returns goimagehash's own hash as its text reads.
func library(t *testing.T, kind hashmatch.Kind, img image.Image) string {
	t.Helper()
	var h interface{ ToString() string }
	var err error
	switch kind {
	case hashmatch.PHash:
		h, err = goimagehash.PerceptionHash(img)
	case hashmatch.DHash:
		h, err = goimagehash.DifferenceHash(img)
	case hashmatch.AHash:
		h, err = goimagehash.AverageHash(img)
	case hashmatch.PHash256:
		h, err = goimagehash.ExtPerceptionHash(img, 16, 16)
	case hashmatch.DHash256:
		h, err = goimagehash.ExtDifferenceHash(img, 16, 16)
	case hashmatch.AHash256:
		h, err = goimagehash.ExtAverageHash(img, 16, 16)
	default:
		t.Fatalf("kind %s", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, digits, _ := strings.Cut(h.ToString(), ":")
	return digits
}

// turnedByPixel turns a picture pixel by pixel, into an image of the same type.
func turnedByPixel(img image.Image, d hashmatch.Dihedral) image.Image {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	from := map[hashmatch.Dihedral]func(x, y int) (int, int){
		"":                  func(x, y int) (int, int) { return x, y },
		hashmatch.Rotate90:  func(x, y int) (int, int) { return w - 1 - y, x },
		hashmatch.Rotate180: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y },
		hashmatch.Rotate270: func(x, y int) (int, int) { return y, h - 1 - x },
		hashmatch.FlipX:     func(x, y int) (int, int) { return x, h - 1 - y },
		hashmatch.FlipY:     func(x, y int) (int, int) { return w - 1 - x, y },
		hashmatch.FlipPlus:  func(x, y int) (int, int) { return y, x },
		hashmatch.FlipMinus: func(x, y int) (int, int) { return w - 1 - y, h - 1 - x },
	}[d]
	r := image.Rect(0, 0, w, h)
	switch d {
	case hashmatch.Rotate90, hashmatch.Rotate270, hashmatch.FlipPlus, hashmatch.FlipMinus:
		r = image.Rect(0, 0, h, w)
	}
	gray, rgba, ycc := image.NewGray(r), image.NewRGBA(r), image.NewYCbCr(r, image.YCbCrSubsampleRatio444)
	for y := range r.Dy() {
		for x := range r.Dx() {
			i, j := from(x, y)
			switch m := img.(type) {
			case *image.Gray:
				gray.SetGray(x, y, m.GrayAt(i, j))
			case *image.RGBA:
				rgba.SetRGBA(x, y, m.RGBAAt(i, j))
			case *image.YCbCr:
				c := m.YCbCrAt(i, j)
				at := y*ycc.YStride + x
				ycc.Y[at], ycc.Cb[at], ycc.Cr[at] = c.Y, c.Cb, c.Cr
			}
		}
	}
	switch img.(type) {
	case *image.Gray:
		return gray
	case *image.RGBA:
		return rgba
	}
	return ycc
}

// compare hashes a frame of all kinds and variants and compares each with the library's. It returns how many.
func compare(t *testing.T, name string, img image.Image, kinds, dihedral hashmatch.KindSet) int {
	t.Helper()
	frame := &hashmatch.Frame{Index: 2, Time: time.Minute, Image: img, View: hashmatch.View{Background: hashmatch.BlackBackground}}
	hashes, err := Hasher{}.Hash(nil, frame, kinds, dihedral)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	seen := make(map[string]bool)
	for _, h := range hashes {
		seen[fmt.Sprint(h.Hash.Kind, h.View.Dihedral)] = true
		if h.Frame != 2 || h.Time != time.Minute || h.View.Background != hashmatch.BlackBackground {
			t.Errorf("%s: %+v does not name its frame", name, h)
		}
		least := 8
		if h.Hash.Kind.Bits() == 256 {
			least = 16
		}
		if b := img.Bounds(); min(b.Dx(), b.Dy()) < least {
			if !h.Hash.Zero() || h.Quality != 0 {
				t.Errorf("%s: %s of quality %d, want the zero hash and 0", name, h.Hash, h.Quality)
			}
			continue
		}
		if want := library(t, h.Hash.Kind, turnedByPixel(img, h.View.Dihedral)); h.Hash.Hex() != want {
			t.Errorf("%s: %s %s, want %s", name, h.View.Dihedral, h.Hash, want)
		}
		if h.View.Dihedral == "" {
			if want := library(t, h.Hash.Kind, img); h.Hash.Hex() != want {
				t.Errorf("%s: %s, want %s", name, h.Hash, want)
			}
		}
	}
	want := len((kinds & every).Kinds()) + 7*len((kinds&dihedral&every).Kinds())
	if len(hashes) != want || len(seen) != want {
		t.Errorf("%s: %d hashes, %d different, want %d", name, len(hashes), len(seen), want)
	}
	return len(hashes)
}

func TestAgainstLibrary(t *testing.T) {
	quick := every &^ hashmatch.SetOf(hashmatch.PHash256)
	compared := 0
	for i, size := range [][2]int{
		{1, 1}, {7, 100}, {8, 8}, {8, 7}, {9, 8}, {15, 16}, {16, 16}, {17, 16}, {16, 17}, {63, 65}, {64, 64}, {64, 63},
		{65, 64}, {131, 97}, {200, 20}, {20, 200}, {203, 150},
	} {
		for j := range 3 { // over the sizes, every format has its turn
			format := formats[(i+3*j)%len(formats)]
			compared += compare(t, fmt.Sprint(format, size), drawing(format, size[0], size[1], uint64(i)), quick, quick)
		}
	}
	compared += compare(t, "256 x 256", drawing("gray", 256, 256, 1), every, quick)
	compared += compare(t, "57 x 33", drawing("420", 57, 33, 1), every, every)
	if compared < 2000 {
		t.Errorf("only %d hashes compared", compared)
	}
}

func TestOnlyWhatIsAsked(t *testing.T) {
	img := drawing("420", 50, 40, 1)
	p, d := hashmatch.SetOf(hashmatch.PHash), hashmatch.SetOf(hashmatch.DHash, hashmatch.AHash256)
	other := hashmatch.SetOf(hashmatch.PDQ, hashmatch.MD5)
	compared := 0
	for _, c := range [][2]hashmatch.KindSet{{0, 0}, {0, every}, {p, 0}, {p, d}, {d, d}, {p | d, d}, {p | other, other}, {other, other}} {
		compared += compare(t, fmt.Sprint(c), img, c[0], c[1])
	}
	if compared != 1+1+16+17+1 {
		t.Errorf("%d hashes compared", compared)
	}
	// Nothing is asked for: the frame is not even looked at.
	if got, err := (Hasher{}).Hash(nil, &hashmatch.Frame{}, other, every); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// Rows that are farther apart than they are wide are read rightly, without a copy.
func TestWideStride(t *testing.T) {
	big := drawing("420", 120, 90, 3).(*image.YCbCr)
	kinds := every &^ hashmatch.SetOf(hashmatch.PHash256)
	compared := compare(t, "420", big.SubImage(image.Rect(0, 0, 61, 47)), kinds, kinds)
	compared += compare(t, "gray", drawing("gray", 120, 90, 3).(*image.Gray).SubImage(image.Rect(0, 0, 64, 64)), kinds, kinds)
	compared += compare(t, "rgba", drawing("rgba", 120, 90, 3).(*image.RGBA).SubImage(image.Rect(0, 0, 61, 90)), kinds, kinds)
	if compared != 3*40 {
		t.Errorf("%d hashes compared", compared)
	}
}

// An image whose buffers do not hold its pixels makes goimagehash panic in goroutines of its own, where nobody can
// recover it.
func TestRefusesBadImages(t *testing.T) {
	r := image.Rect(0, 0, 20, 20)
	ycc := func(ratio image.YCbCrSubsampleRatio, change func(*image.YCbCr)) image.Image {
		m := image.NewYCbCr(r, ratio)
		change(m)
		return m
	}
	for name, img := range map[string]image.Image{
		"nil":             nil,
		"nil gray":        (*image.Gray)(nil),
		"nil rgba":        (*image.RGBA)(nil),
		"nil ycbcr":       (*image.YCbCr)(nil),
		"empty":           image.NewRGBA(image.Rect(0, 0, 9, 0)),
		"palette":         image.NewPaletted(r, nil),
		"not at origin":   image.NewGray(image.Rect(0, 0, 90, 90)).SubImage(image.Rect(9, 9, 73, 73)),
		"no pixels":       &image.Gray{Stride: 20, Rect: r},
		"short gray":      &image.Gray{Pix: make([]uint8, 399), Stride: 20, Rect: r},
		"no stride":       &image.Gray{Pix: make([]uint8, 400), Rect: r},
		"narrow stride":   &image.RGBA{Pix: make([]uint8, 1600), Stride: 79, Rect: r},
		"negative stride": &image.RGBA{Pix: make([]uint8, 1600), Stride: -80, Rect: r},
		"short rgba":      &image.RGBA{Pix: make([]uint8, 1599), Stride: 80, Rect: r},
		"huge":            &image.Gray{Pix: make([]uint8, 400), Stride: math.MaxInt, Rect: image.Rect(0, 0, math.MaxInt, math.MaxInt)},
		"too long":        image.NewGray(image.Rect(0, 0, longest+1, 8)),
		"unknown ratio":   ycc(image.YCbCrSubsampleRatio444, func(m *image.YCbCr) { m.SubsampleRatio = 9 }),
		"short luma":      ycc(image.YCbCrSubsampleRatio444, func(m *image.YCbCr) { m.Y = m.Y[:399] }),
		"short cb":        ycc(image.YCbCrSubsampleRatio420, func(m *image.YCbCr) { m.Cb = m.Cb[:99] }),
		"short cr":        ycc(image.YCbCrSubsampleRatio410, func(m *image.YCbCr) { m.Cr = m.Cr[:49] }),
	} {
		got, err := Hasher{}.Hash(nil, &hashmatch.Frame{Image: img}, every, every)
		if err == nil || len(got) != 0 {
			t.Errorf("%s: %d hashes and no error", name, len(got))
		}
	}
}

// The longest side that is allowed does not overflow goimagehash's sums: a white picture stays white.
func TestLongest(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, longest, 8))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	m.Pix[0] = 254 // else no pixel is brighter than the mean, whatever it is
	clear(m.Pix[len(m.Pix)-longest/8:])
	hashes, err := Hasher{}.Hash(nil, &hashmatch.Frame{Image: m}, hashmatch.SetOf(hashmatch.AHash), 0)
	if err != nil || len(hashes) != 1 {
		t.Fatalf("%v, %v", hashes, err)
	}
	if got := hashes[0].Hash.Hex(); got != "fffffffffffffffc" {
		t.Errorf("%s: only the last of 64 points and a part of its neighbour are black", got)
	}
}

func TestPanicIsAnError(t *testing.T) {
	broken := algorithm{hashmatch.PHash, 8, func(image.Image) ([]uint64, error) { panic("out of range") }}
	var failure *hashmatch.Failure
	if words, err := broken.compute(nil); words != nil || !errors.As(err, &failure) || failure.Code != hashmatch.Panicked {
		t.Errorf("%v, %v", words, err)
	}
	fails := algorithm{hashmatch.PHash, 8, func(image.Image) ([]uint64, error) { return nil, errors.ErrUnsupported }}
	if words, err := fails.compute(nil); words != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, %v", words, err)
	}
	long := algorithm{hashmatch.PHash, 8, func(image.Image) ([]uint64, error) { return make([]uint64, 2), nil }}
	if words, err := long.compute(nil); words != nil || err == nil {
		t.Errorf("%v, %v", words, err)
	}
}

func TestQuality(t *testing.T) {
	flat := image.NewGray(image.Rect(0, 0, 300, 200))
	checks := image.NewGray(image.Rect(0, 0, 640, 640))
	for i := range checks.Pix {
		if (i/10+i/640/10)%2 == 0 {
			checks.Pix[i] = 255
		}
	}
	white := image.NewRGBA(image.Rect(0, 0, 300, 200))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	edge := image.NewGray(image.Rect(0, 0, 128, 128)) // 64 cells of a step of 100 of 255: 39 hundredths each
	for i := range edge.Pix {
		if i%128 >= 64 {
			edge.Pix[i] = 100
		}
	}
	sameInRGB := image.NewRGBA(edge.Rect)
	for i, v := range edge.Pix {
		copy(sameInRGB.Pix[4*i:], []uint8{v, v, v, 255})
	}
	sameInYCbCr := image.NewYCbCr(edge.Rect, image.YCbCrSubsampleRatio420)
	copy(sameInYCbCr.Y, edge.Pix)
	for name, c := range map[string]struct {
		img  image.Image
		want int
	}{
		"flat": {flat, 0}, "white": {white, 0}, "checks": {checks, 100}, "tiny flat": {image.NewGray(image.Rect(0, 0, 8, 9)), 0},
		"edge": {edge, 64 * 39 / 90}, "edge in RGB": {sameInRGB, 64 * 39 / 90}, "edge in YCbCr": {sameInYCbCr, 64 * 39 / 90},
	} {
		hashes, err := Hasher{}.Hash(nil, &hashmatch.Frame{Image: c.img}, hashmatch.SetOf(hashmatch.DHash), every)
		if err != nil || len(hashes) != 8 {
			t.Fatalf("%s: %d hashes, %v", name, len(hashes), err)
		}
		for _, h := range hashes {
			if h.Quality != c.want {
				t.Errorf("%s: %s of quality %d, want %d", name, h.View.Dihedral, h.Quality, c.want)
			}
		}
	}
}

func FuzzHash(f *testing.F) {
	f.Add(uint16(64), uint16(64), uint8(0), uint8(0), []byte{1, 200, 30})
	f.Add(uint16(8), uint16(9), uint8(1), uint8(5), []byte{0})
	f.Add(uint16(131), uint16(17), uint8(4), uint8(1), []byte{255, 0})
	f.Add(uint16(1), uint16(1), uint8(7), uint8(0), []byte{})
	f.Fuzz(func(t *testing.T, width, height uint16, format, cut uint8, pixels []byte) {
		img := drawing(formats[int(format)%len(formats)], int(width%300)+1, int(height%300)+1, uint64(len(pixels)))
		kinds := every &^ hashmatch.SetOf(hashmatch.PHash256) // slow, and nothing else of it differs
		short := func(pix []uint8) []uint8 {
			for n := 0; len(pixels) > 0 && n < len(pix); {
				n += copy(pix[n:], pixels)
			}
			return pix[:max(len(pix)-int(cut), 0)]
		}
		switch m := img.(type) {
		case *image.Gray:
			m.Pix = short(m.Pix)
		case *image.RGBA:
			m.Pix = short(m.Pix)
		case *image.YCbCr:
			m.Y, m.Cb = short(m.Y), short(m.Cb)
		}
		if cut == 0 {
			compare(t, "whole", img, kinds, kinds)
			return
		}
		hashes, err := Hasher{}.Hash(nil, &hashmatch.Frame{Image: img}, kinds, kinds)
		if err == nil || len(hashes) != 0 {
			t.Errorf("%d hashes of an image that lacks %d bytes, %v", len(hashes), cut, err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for _, format := range []string{"gray", "rgba", "420"} {
		for _, size := range [][2]int{{577, 433}, {1152, 864}, {2304, 1728}, {4000, 3000}} {
			img := drawing(format, size[0], size[1], 1)
			for _, c := range []struct {
				name            string
				kinds, dihedral hashmatch.KindSet
			}{
				{"phash", hashmatch.SetOf(hashmatch.PHash), 0},
				{"phash in eight variants", hashmatch.SetOf(hashmatch.PHash), every},
				{"phash256", hashmatch.SetOf(hashmatch.PHash256), 0},
				{"all six", every, 0},
			} {
				megapixels := float64(size[0]*size[1]) / 1e6
				b.Run(fmt.Sprintf("%s/%.2fMP/%s", format, megapixels, c.name), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if _, err := (Hasher{}).Hash(nil, &hashmatch.Frame{Image: img}, c.kinds, c.dihedral); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/megapixels/1e6, "ns/pixel")
				})
			}
		}
	}
}

func BenchmarkTurn(b *testing.B) {
	for _, format := range []string{"gray", "rgba", "420"} {
		p, err := pictureOf(drawing(format, 4000, 3000, 1))
		if err != nil {
			b.Fatal(err)
		}
		var buffer []uint8
		for _, t := range turns {
			b.Run(format+"/12MP/"+string(t.name), func(b *testing.B) {
				for b.Loop() {
					p.turned(t, &buffer)
				}
			})
		}
	}
}

func BenchmarkQuality(b *testing.B) {
	for _, format := range []string{"gray", "rgba"} {
		p, err := pictureOf(drawing(format, 4000, 3000, 1))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(format+"/12MP", func(b *testing.B) {
			for b.Loop() {
				p.quality()
			}
		})
	}
}
