package pdq

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// The kinds of image that a frame may hold.
var formats = []string{"gray", "rgba", "444", "422", "420", "440", "411", "410"}

var ratios = map[string]image.YCbCrSubsampleRatio{
	"444": image.YCbCrSubsampleRatio444, "422": image.YCbCrSubsampleRatio422, "420": image.YCbCrSubsampleRatio420,
	"440": image.YCbCrSubsampleRatio440, "411": image.YCbCrSubsampleRatio411, "410": image.YCbCrSubsampleRatio410,
}

// picture returns a picture of blobs and noise of the given format.
func picture(format string, width, height int, seed uint64) image.Image {
	random := rand.New(rand.NewPCG(seed, 1))
	fill := func(pix []uint8, stride int) {
		a, b, noise := random.IntN(7)+1, random.IntN(7)+1, random.IntN(128)+1
		for i := range pix {
			x, y := i%stride, i/stride
			pix[i] = uint8(x*a*256/stride + y*b*5 + random.IntN(noise))
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

// check compares the hashes of img by every kernel with the oracle's.
func check(t *testing.T, name string, img image.Image) {
	t.Helper()
	width, height := img.Bounds().Dx(), img.Bounds().Dy()
	var plain, filtered *oracle
	if width >= 5 && height >= 5 {
		luma := oracleLuma(img)
		plain, filtered = oracleOf(luma, width, height, false), oracleOf(luma, width, height, true)
	}
	defer func(k kernel) { using = k }(using)
	for _, using = range kernels {
		checkAgainst(t, fmt.Sprintf("%s by %s", name, using), img, plain, filtered)
	}
}

// checkAgainst compares with the oracles of img without and with the filter for one of 64 x 64; nil if it is too small.
func checkAgainst(t *testing.T, name string, img image.Image, plain, filtered *oracle) {
	t.Helper()
	src, err := LumaOf(img)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	width, height := img.Bounds().Dx(), img.Bounds().Dy()
	got, quality := Compute(src)
	variants, again := Dihedral(src)
	if width < 5 || height < 5 {
		for _, v := range variants {
			if !v.Hash.Zero() || v.Hash.Kind != hashmatch.PDQ {
				t.Errorf("%s: %s %s, want the zero hash", name, v.Dihedral, v.Hash)
			}
		}
		if !got.Zero() || got.Kind != hashmatch.PDQ || quality != 0 || again != 0 {
			t.Errorf("%s: %s of quality %d and %d, want the zero hash and 0", name, got, quality, again)
		}
		return
	}
	want := plain
	if got != want.hash() || quality != want.quality {
		t.Errorf("%s: %s of quality %d, want %s of %d", name, got, quality, want.hash(), want.quality)
	}
	if variants[0].Hash != got || again != quality || variants[0].Dihedral != "" {
		t.Errorf("%s: Dihedral starts with %v of quality %d, Compute says %s of %d", name, variants[0], again, got, quality)
	}
	want = filtered
	for _, v := range variants[1:] {
		if w := want.variant(v.Dihedral); v.Hash != w {
			t.Errorf("%s: %s is %s, want %s", name, v.Dihedral, v.Hash, w)
		}
	}
	if width == 64 && height == 64 {
		return
	}
	w := new(workspace)
	w.blur(&w.plane, src)
	if w.plane != want.blurred {
		t.Errorf("%s: the filtered picture differs", name)
	}
	if *transform(&w.plane) != want.spectrum {
		t.Errorf("%s: the transform differs", name)
	}
}

func TestAgainstOracle(t *testing.T) {
	sizes := [][2]int{
		{1, 1}, {4, 4}, {4, 100}, {100, 4}, {5, 5}, {5, 4}, {63, 63}, {64, 64}, {64, 63}, {63, 64}, {65, 63}, {65, 65},
		{127, 127}, {128, 128}, {129, 129}, {128, 129}, {255, 257}, {256, 256}, {257, 256}, {300, 188}, {512, 512},
		{513, 512}, {512, 513}, {640, 97}, {97, 640}, {5, 1500}, {1500, 5}, {9, 1025}, {1025, 9}, {1600, 100},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		sizes = append(sizes, [2]int{random.IntN(200) + 1, random.IntN(200) + 1})
	}
	for i := range 20 {
		sizes = append(sizes, [2]int{5, i*37 + 1}, [2]int{i*37 + 1, 5})
	}
	for i, size := range sizes {
		if raceDetector && i%5 != 0 { // a sample
			continue
		}
		format := formats[i%len(formats)]
		check(t, fmt.Sprintf("%s %d x %d", format, size[0], size[1]), picture(format, size[0], size[1], uint64(i)))
	}
	for _, format := range formats {
		for _, size := range [][2]int{{64, 64}, {517, 263}, {261, 130}, {6, 7}} {
			check(t, fmt.Sprintf("%s %v", format, size), picture(format, size[0], size[1], 99))
		}
	}
}

// A window higher and wider than a band needs more bands in the ring than any picture above.
func TestAgainstOracleLarge(t *testing.T) {
	for i, size := range [][2]int{{1281, 1160}, {20, 4300}, {4300, 20}} {
		check(t, fmt.Sprint(size), picture("gray", size[0], size[1], uint64(i)))
	}
}

// Every colour has the luma that the standard library's conversion and the plain formula give.
func TestLumaOfColours(t *testing.T) { eachKernel(t, testLumaOfColours) }

func testLumaOfColours(t *testing.T) {
	m := image.NewYCbCr(image.Rect(0, 0, 256, 256), image.YCbCrSubsampleRatio444)
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = uint8(i), uint8(i>>8)
	}
	var row [256]float32
	compared := 0
	for y := 0; y < 256; y += 5 {
		for i := range m.Y {
			m.Y[i] = uint8(y)
		}
		src, err := LumaOf(m)
		if err != nil {
			t.Fatal(err)
		}
		for cr := range 256 {
			src.Row(row[:], 0, cr)
			for cb, got := range row {
				r, g, b := color.YCbCrToRGB(uint8(y), uint8(cb), uint8(cr))
				if want := oracleRGB(r, g, b); got != want {
					t.Fatalf("luma of YCbCr %d %d %d is %v, want %v", y, cb, cr, got, want)
				}
				compared++
			}
		}
	}
	if compared != 52<<16 {
		t.Errorf("%d colours compared", compared)
	}
}

// Pieces of a row that start anywhere are the same as the whole row.
func TestRowInPieces(t *testing.T) { eachKernel(t, testRowInPieces) }

func testRowInPieces(t *testing.T) {
	for _, format := range formats {
		src, err := LumaOf(picture(format, 23, 9, 3))
		if err != nil {
			t.Fatal(err)
		}
		for y := range 9 {
			var whole, piece [23]float32
			src.Row(whole[:], 0, y)
			for x := range 23 {
				for end := x + 1; end <= 23; end++ {
					src.Row(piece[x:end], x, y)
					if [23]float32(append(append([]float32{}, whole[:x]...), append(piece[x:end:end], whole[end:]...)...)) != whole {
						t.Fatalf("%s: row %d from %d to %d differs", format, y, x, end)
					}
				}
			}
		}
	}
}

func TestLumaOfRefuses(t *testing.T) {
	r := image.Rect(0, 0, 10, 10)
	short := func(m *image.YCbCr, change func(*image.YCbCr)) image.Image {
		change(m)
		return m
	}
	for name, img := range map[string]image.Image{
		"nil":             nil,
		"nil gray":        (*image.Gray)(nil),
		"nil rgba":        (*image.RGBA)(nil),
		"nil ycbcr":       (*image.YCbCr)(nil),
		"empty":           image.NewGray(image.Rect(0, 0, 0, 9)),
		"other type":      image.NewNRGBA(r),
		"not at origin":   image.NewGray(r).SubImage(image.Rect(1, 1, 9, 9)),
		"short gray":      &image.Gray{Pix: make([]uint8, 99), Stride: 10, Rect: r},
		"narrow stride":   &image.Gray{Pix: make([]uint8, 100), Stride: 9, Rect: r},
		"negative stride": &image.Gray{Pix: make([]uint8, 100), Stride: -10, Rect: r},
		"short rgba":      &image.RGBA{Pix: make([]uint8, 399), Stride: 40, Rect: r},
		"huge":            &image.Gray{Pix: make([]uint8, 100), Stride: math.MaxInt, Rect: image.Rect(0, 0, math.MaxInt, math.MaxInt)},
		"unknown ratio":   short(image.NewYCbCr(r, 0), func(m *image.YCbCr) { m.SubsampleRatio = 77 }),
		"short luma":      short(image.NewYCbCr(r, 0), func(m *image.YCbCr) { m.Y = m.Y[:99] }),
		"short cb":        short(image.NewYCbCr(r, image.YCbCrSubsampleRatio420), func(m *image.YCbCr) { m.Cb = m.Cb[:24] }),
		"short cr":        short(image.NewYCbCr(r, image.YCbCrSubsampleRatio410), func(m *image.YCbCr) { m.Cr = m.Cr[:14] }),
	} {
		frame := &hashmatch.Frame{Image: img}
		hashes, err := Hasher{}.Hash(nil, frame, hashmatch.SetOf(hashmatch.PDQ), 0)
		if err == nil || len(hashes) != 0 {
			t.Errorf("%s: %d hashes and no error", name, len(hashes))
		}
	}
}

func TestHasher(t *testing.T) {
	pdq := hashmatch.SetOf(hashmatch.PDQ)
	if k := (Hasher{}).Kinds(); k != pdq {
		t.Errorf("Kinds is %v", k.Kinds())
	}
	frame := &hashmatch.Frame{
		Index: 3, Time: time.Second, View: hashmatch.View{Orientation: hashmatch.StoredOrientation},
		Image: picture("420", 350, 300, 5),
	}
	src, err := LumaOf(frame.Image)
	if err != nil {
		t.Fatal(err)
	}
	variants, quality := Dihedral(src)
	before := hashmatch.FrameHash{Quality: 7}
	for _, c := range []struct {
		kinds, dihedral hashmatch.KindSet
		want            int
	}{{0, 0, 0}, {0, pdq, 0}, {hashmatch.SetOf(hashmatch.PHash), pdq, 0}, {pdq, 0, 1}, {pdq, hashmatch.SetOf(hashmatch.PHash), 1}, {pdq, pdq, 8}} {
		got, err := Hasher{}.Hash([]hashmatch.FrameHash{before}, frame, c.kinds, c.dihedral)
		if err != nil || len(got) != 1+c.want || got[0] != before {
			t.Fatalf("kinds %v, dihedral %v: %d hashes, %v", c.kinds.Kinds(), c.dihedral.Kinds(), len(got), err)
		}
		for i, h := range got[1:] {
			want := hashmatch.FrameHash{Hash: variants[i].Hash, Quality: quality, Frame: 3, Time: time.Second, View: frame.View}
			want.View.Dihedral = variants[i].Dihedral
			if h != want {
				t.Errorf("hash %d is %+v, want %+v", i, h, want)
			}
		}
	}
}

// The names of the variants say what was done to the picture: the hash of a picture that was turned in fact is near
// to the variant of that name, and far from the others.
func TestVariantsAreNamedRightly(t *testing.T) {
	const n = 200
	m := image.NewGray(image.Rect(0, 0, n, n))
	random := rand.New(rand.NewPCG(8, 8))
	for range 40 { // rectangles, nothing symmetric
		x, y, w, h, v := random.IntN(n), random.IntN(n), random.IntN(90), random.IntN(90), uint8(random.IntN(256))
		for j := y; j < min(y+h, n); j++ {
			for i := x; i < min(x+w, n); i++ {
				m.Pix[j*m.Stride+i] = v
			}
		}
	}
	src, err := LumaOf(m)
	if err != nil {
		t.Fatal(err)
	}
	variants, _ := Dihedral(src)
	const last = n - 1
	from := map[hashmatch.Dihedral]func(x, y int) (int, int){ // where the pixel at x, y comes from
		"":                  func(x, y int) (int, int) { return x, y },
		hashmatch.Rotate90:  func(x, y int) (int, int) { return last - y, x },
		hashmatch.Rotate180: func(x, y int) (int, int) { return last - x, last - y },
		hashmatch.Rotate270: func(x, y int) (int, int) { return y, last - x },
		hashmatch.FlipX:     func(x, y int) (int, int) { return x, last - y },
		hashmatch.FlipY:     func(x, y int) (int, int) { return last - x, y },
		hashmatch.FlipPlus:  func(x, y int) (int, int) { return y, x },
		hashmatch.FlipMinus: func(x, y int) (int, int) { return last - y, last - x },
	}
	for name, source := range from {
		turned := image.NewGray(m.Rect)
		for y := range n {
			for x := range n {
				i, j := source(x, y)
				turned.Pix[y*turned.Stride+x] = m.Pix[j*m.Stride+i]
			}
		}
		src, err := LumaOf(turned)
		if err != nil {
			t.Fatal(err)
		}
		hash, _ := Compute(src)
		for _, v := range variants {
			d := v.Hash.Distance(hash)
			if v.Dihedral == name && d > 48 || v.Dihedral != name && d < 80 {
				t.Errorf("the picture turned by %q is %d bits from variant %q", name, d, v.Dihedral)
			}
		}
	}
}

func TestFlatPicture(t *testing.T) {
	for _, format := range formats {
		m := picture(format, 200, 150, 1)
		switch m := m.(type) {
		case *image.Gray:
			clear(m.Pix)
		case *image.RGBA:
			for i := range m.Pix {
				m.Pix[i] = 255
			}
		case *image.YCbCr:
			clear(m.Y)
			clear(m.Cb)
			clear(m.Cr)
		}
		check(t, format, m)
		src, err := LumaOf(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, quality := Compute(src); quality != 0 {
			t.Errorf("%s: a flat picture is of quality %d", format, quality)
		}
	}
}

func TestNth(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for round := range 500 {
		var b spectrum
		all := make([]float32, 0, 256)
		for i := range b {
			for j := range b[i] {
				b[i][j] = float32(random.IntN(1 << (round % 12)))
				all = append(all, b[i][j])
			}
		}
		if got, want := nth(all, 127), medianOf(&b); got != want {
			t.Fatalf("round %d: median %v, want %v", round, got, want)
		}
	}
}

// A picture's hash has at most half of its bits set, and without equal coefficients exactly half.
func TestHalfOfTheBits(t *testing.T) {
	src, err := LumaOf(picture("rgba", 333, 222, 4))
	if err != nil {
		t.Fatal(err)
	}
	variants, _ := Dihedral(src)
	for _, v := range variants {
		ones := 0
		for _, b := range v.Hash.Bits {
			ones += bits.OnesCount8(b)
		}
		if ones != 128 {
			t.Errorf("%s: %d bits are set", v.Dihedral, ones)
		}
	}
}

func FuzzHash(f *testing.F) {
	f.Add(uint16(5), uint16(5), uint8(0), []byte{1, 2, 3})
	f.Add(uint16(64), uint16(64), uint8(4), []byte{255, 0, 17})
	f.Add(uint16(129), uint16(65), uint8(1), []byte{9, 8, 7, 6, 5})
	f.Add(uint16(7), uint16(300), uint8(7), []byte{0})
	f.Add(uint16(1), uint16(2), uint8(2), []byte{})
	f.Fuzz(func(t *testing.T, width, height uint16, format uint8, pixels []byte) {
		w, h := int(width%400)+1, int(height%400)+1
		name := formats[int(format)%len(formats)]
		img := picture(name, w, h, uint64(len(pixels)))
		if len(pixels) > 0 {
			switch m := img.(type) {
			case *image.Gray:
				repeat(m.Pix, pixels)
			case *image.RGBA:
				repeat(m.Pix, pixels)
			case *image.YCbCr:
				repeat(m.Y, pixels)
				repeat(m.Cb, pixels[len(pixels)/2:])
				repeat(m.Cr, pixels[len(pixels)/3:])
			}
		}
		check(t, fmt.Sprintf("%s %d x %d", name, w, h), img)
	})
}

func repeat(dst, pattern []byte) {
	for n := 0; n < len(dst); {
		n += copy(dst[n:], pattern)
	}
}
