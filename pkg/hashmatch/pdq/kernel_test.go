package pdq

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// eachKernel runs test with every kernel that this machine has.
func eachKernel(t *testing.T, test func(t *testing.T)) {
	defer func(k kernel) { using = k }(using)
	for _, k := range kernels {
		using = k
		t.Run(k.String(), test)
	}
}

// vectorKernels returns those that are held against portable; without any the test has nothing to say.
func vectorKernels(t *testing.T) []kernel {
	if len(kernels) == 1 {
		t.Skip("this machine has the portable kernel only")
	}
	return kernels[1:]
}

// memory gives out slices with random contents; a test may have it give out what ends, or starts, at a page that
// cannot be read.
type memory struct {
	random *rand.Rand
	floats func(n int) []float32
	bytes  func(n int) []uint8
}

func plainMemory(seed uint64) *memory {
	return &memory{
		random: rand.New(rand.NewPCG(seed, 7)),
		floats: func(n int) []float32 { return make([]float32, n) },
		bytes:  func(n int) []uint8 { return make([]uint8, n) },
	}
}

var odd = []float32{0, float32(math.Copysign(0, -1)), 255, 1e-45, -1e-45, 1e-38, 3e38, -3e38, 1. / 3,
	float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}

// values returns n values: brightness, sums with rounding noise, or whatever a float32 can be.
func (m *memory) values(n int) []float32 {
	v := m.floats(n)
	manner := m.random.IntN(4)
	for i := range v {
		switch manner {
		case 0:
			v[i] = float32(m.random.IntN(256))
		case 1:
			v[i] = m.random.Float32() * 255
		case 2:
			v[i] = math.Float32frombits(m.random.Uint32())
		default:
			v[i] = odd[m.random.IntN(len(odd))]
		}
	}
	return v
}

// counts returns n divisors.
func (m *memory) counts(n int) []float32 {
	v := m.floats(n)
	for i := range v {
		v[i] = float32(m.random.IntN(300) + 1)
	}
	return v
}

func (m *memory) pixels(n int) []uint8 {
	v := m.bytes(n)
	extreme := m.random.IntN(3) == 0
	for i := range v {
		v[i] = uint8(m.random.Uint32())
		if extreme {
			v[i] = uint8(int8(v[i]) >> 7)
		}
	}
	return v
}

// same reports whether the bits of a and b are the same, but for those of NaN.
func same(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y
	})
}

// against runs loop with k and with portable on the same contents of written, and compares what became of them.
func against(t *testing.T, k kernel, name string, loop func(k kernel), written ...[]float32) {
	t.Helper()
	var before, want [][]float32
	for _, w := range written {
		before = append(before, slices.Clone(w))
	}
	loop(portable)
	for i, w := range written {
		want = append(want, slices.Clone(w))
		copy(w, before[i])
	}
	loop(k)
	for i, w := range written {
		if !same(w, want[i]) {
			t.Fatalf("%s by %s: result %d is not that of portable", name, k, i)
		}
	}
}

// testLoops compares every loop of k with portable's, with lengths, windows and strides of all sorts.
func testLoops(t *testing.T, k kernel, m *memory) {
	n := lanes * (m.random.IntN(40) + 1)
	window, stride := m.random.IntN(50), n+m.random.IntN(20)
	name := fmt.Sprintf("%d steps, window %d, stride %d", n, window, stride)
	matrix := 7*stride + n

	rows, out := m.values(matrix), m.values(n*lanes)
	against(t, k, "interleave: "+name, func(k kernel) { k.interleave(out, rows, stride, n) }, out)

	out, in, by, sums := m.values(matrix), m.values((window+n)*lanes), m.counts(n), m.values(lanes)
	against(t, k, "rows: "+name, func(k kernel) {
		k.rows(out, stride, in, window, by, (*[lanes]float32)(sums))
	}, out, sums)

	out, sums = m.values(n*lanes), m.values(n)
	var come, going [lanes][]float32
	x := m.random.IntN(30)
	for i := range come {
		come[i], going[i] = m.values(x+n), m.values(x+n)
	}
	divisors := [lanes]float32(m.counts(lanes))
	against(t, k, "columns: "+name, func(k kernel) { k.columns(out, sums, &come, &going, x, &divisors) }, out, sums)

	samples := m.random.IntN(side + 1)
	from := m.random.IntN(30)
	ends, end := make([]int, samples), from
	for i := range ends {
		end += m.random.IntN(9)
		ends[i] = end
	}
	flat := m.values(samples * lanes)
	points := unsafe.Slice((*[lanes]float32)(unsafe.Pointer(unsafe.SliceData(flat))), samples)
	in, by, sums = m.values((window+end)*lanes), m.counts(samples), m.values(lanes)
	against(t, k, fmt.Sprintf("sample: %s, from %d, ends %d", name, from, ends), func(k kernel) {
		k.sample(points, in, window, from, ends, by, (*[lanes]float32)(sums))
	}, flat, sums)

	columns, dealt := m.values(side*lanes), m.values(side*lanes)
	against(t, k, "deal", func(k kernel) {
		k.deal((*[lanes][side]float32)(unsafe.Pointer(&dealt[0])), (*[side][lanes]float32)(unsafe.Pointer(&columns[0])))
	}, dealt)

	square, spectrum := m.values(side*side), m.floats(freqs*freqs)
	against(t, k, "transform", func(k kernel) {
		for i, row := range k.transform((*plane)(unsafe.Pointer(&square[0]))) {
			copy(spectrum[i*freqs:], row[:])
		}
	}, spectrum)
}

func TestLoopsAgainstPortable(t *testing.T) {
	for _, k := range vectorKernels(t) {
		for seed := range uint64(400) {
			testLoops(t, k, plainMemory(seed))
		}
	}
}

// testLuma compares whole rows and pieces of them, in a picture whose rows have a gap between them.
func testLuma(t *testing.T, k kernel, m *memory, width, height int) {
	defer func(k kernel) { using = k }(using)
	for _, format := range formats {
		img := m.picture(format, width, height)
		src, err := LumaOf(img)
		if err != nil {
			t.Fatal(err)
		}
		x := m.random.IntN(width)
		y, n := m.random.IntN(height), m.random.IntN(width-x)+1
		if m.random.IntN(2) == 0 {
			x, n = 0, width
		}
		dst := m.values(n)
		against(t, k, fmt.Sprintf("%s %d x %d, row %d from %d, %d pixels", format, width, height, y, x, n), func(k kernel) {
			using = k
			src.Row(dst, x, y)
		}, dst)
	}
}

// picture returns a picture whose rows are further apart than they need to be, and whose buffers end with the last
// pixel.
func (m *memory) picture(format string, width, height int) image.Image {
	r := image.Rect(0, 0, width, height)
	plane := func(width, height int) (pix []uint8, stride int) {
		stride = width + m.random.IntN(20)
		return m.pixels((height-1)*stride + width), stride
	}
	switch format {
	case "gray":
		pix, stride := plane(width, height)
		return &image.Gray{Pix: pix, Stride: stride, Rect: r}
	case "rgba":
		pix, stride := plane(4*width, height)
		return &image.RGBA{Pix: pix, Stride: stride, Rect: r}
	}
	img := &image.YCbCr{SubsampleRatio: ratios[format], Rect: r}
	right, down, _ := subsampling(img.SubsampleRatio)
	across, high := (width+1<<right-1)>>right, (height+1<<down-1)>>down
	img.Y, img.YStride = plane(width, height)
	img.Cb, img.CStride = plane(across, high)
	img.Cr = m.pixels(len(img.Cb))
	return img
}

func TestLumaAgainstPortable(t *testing.T) {
	for _, k := range vectorKernels(t) {
		for seed := range uint64(300) {
			m := plainMemory(seed)
			testLuma(t, k, m, m.random.IntN(300)+1, m.random.IntN(6)+1)
		}
	}
}

// Every colour of YCbCr, at a stride of 5 for y, is the same where neighbours share chroma.
func TestColoursAgainstPortable(t *testing.T) {
	img := image.NewYCbCr(image.Rect(0, 0, 512, 256), image.YCbCrSubsampleRatio422)
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = uint8(i), uint8(i>>8)
	}
	src, err := LumaOf(img)
	if err != nil {
		t.Fatal(err)
	}
	defer func(k kernel) { using = k }(using)
	var row [512]float32
	for _, k := range vectorKernels(t) {
		for first := 0; first < 256; first += 5 {
			for i := range img.Y {
				img.Y[i] = uint8(first + i%2)
			}
			for y := range 256 {
				against(t, k, fmt.Sprintf("y %d and the next, cr %d", first, y), func(k kernel) {
					using = k
					src.Row(row[:], 0, y)
				}, row[:])
			}
		}
	}
}

// testPicture compares the filtered picture and its transform.
func testPicture(t *testing.T, k kernel, f *blurrer, m *memory, format string, width, height int) {
	t.Helper()
	defer func(k kernel) { using = k }(using)
	src, err := LumaOf(m.picture(format, width, height))
	if err != nil {
		t.Fatal(err)
	}
	var got, want plane
	using = portable
	f.blur(&want, src)
	using = k
	f.blur(&got, src)
	if got != want {
		t.Fatalf("%s %d x %d: the filtered picture by %s is not that of portable", format, width, height, k)
	}
}

// Every width and every height from 5 to 300, each with something else on the other side, and some larger ones; the
// buffers hold what the picture before left there. With the race detector one width and height in 7.
func TestPicturesAgainstPortable(t *testing.T) {
	step := 1
	if raceDetector {
		step = 7
	}
	for _, k := range vectorKernels(t) {
		f, m := new(blurrer), plainMemory(1)
		for n := smallest; n <= 300; n += step {
			other := smallest + m.random.IntN(296)
			testPicture(t, k, f, m, formats[n%len(formats)], n, other)
			testPicture(t, k, f, m, formats[(n+3)%len(formats)], other, n)
		}
		for _, size := range [][2]int{{1000, 700}, {5, 5000}, {5000, 5}, {20, 9000}, {9000, 20}, {1283, 2051}, {70000, 6}} {
			for _, format := range []string{"gray", "420"} {
				testPicture(t, k, f, m, format, size[0], size[1])
			}
		}
	}
}
