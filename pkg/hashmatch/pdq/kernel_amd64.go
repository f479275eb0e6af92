package pdq

import "golang.org/x/sys/cpu"

//go:generate go run -C asm . -out ../kernels_amd64.s

func available() []kernel {
	if !cpu.X86.HasAVX2 {
		return []kernel{portable}
	}
	return []kernel{portable, avx2}
}

// The kernels in assembly are written by the program in asm. They look at no length: each method below sees to it that
// what they read and write is there. n and steps are multiples of lanes (of 2 * lanes for gray and ycbcrHalf).

//go:noescape
func interleaveAVX2(out, rows *float32, stride, n int)

//go:noescape
func dealAVX2(rows, points *float32)

//go:noescape
func rowsAVX2(out *float32, stride int, in *float32, window int, by *float32, steps int, sums *float32)

//go:noescape
func columnsAVX2(out, sums *float32, n int, in, old *[8][]float32, x int, by *[8]float32)

//go:noescape
func sampleAVX2(points, in *float32, window, from int, ends *int, by *float32, n int, sums *float32)

//go:noescape
func product64AVX2(out, a, b *float32)

//go:noescape
func product16AVX2(out, a, b *float32)

//go:noescape
func grayAVX2(dst *float32, pix *uint8, n int)

//go:noescape
func rgbaAVX2(dst *float32, pix *uint8, n int)

//go:noescape
func ycbcrFullAVX2(dst *float32, luma, cb, cr *uint8, n int)

//go:noescape
func ycbcrHalfAVX2(dst *float32, luma, cb, cr *uint8, n int)

func (k kernel) interleave(out band, rows []float32, stride, n int) {
	if k == portable {
		interleavePortable(out, rows, stride, n)
		return
	}
	multipleOfLanes(n)
	out, rows = out[:n*lanes], rows[:(lanes-1)*stride+n]
	interleaveAVX2(&out[0], &rows[0], stride, n)
}

func (k kernel) deal(rows *[lanes][side]float32, points *[side][lanes]float32) {
	if k == portable {
		dealPortable(rows, points)
		return
	}
	dealAVX2(&rows[0][0], &points[0][0])
}

func (k kernel) rows(out []float32, stride int, in band, window int, by []float32, sums *[lanes]float32) {
	n := len(by)
	if k == portable {
		rowsPortable(out, stride, in, window, by, sums)
		return
	}
	multipleOfLanes(n)
	out, in = out[:(lanes-1)*stride+n], in[:(window+n)*lanes]
	rowsAVX2(&out[0], stride, &in[0], window, &by[0], n, &sums[0])
}

func (k kernel) columns(out band, sums []float32, in, old *[lanes][]float32, x int, by *[lanes]float32) {
	n := len(sums)
	if k == portable {
		columnsPortable(out, sums, in, old, x, by)
		return
	}
	multipleOfLanes(n)
	out = out[:n*lanes]
	for i := range lanes {
		_, _ = in[i][x:x+n], old[i][x:x+n]
	}
	columnsAVX2(&out[0], &sums[0], n, in, old, x, by)
}

func (k kernel) sample(points [][lanes]float32, in band, window, from int, ends []int, by []float32, sums *[lanes]float32) {
	n := len(ends)
	if k == portable || n == 0 {
		samplePortable(points, in, window, from, ends, by, sums)
		return
	}
	points, by = points[:n], by[:n]
	for i, end := range ends {
		if i == 0 && end < from || i > 0 && end < ends[i-1] {
			panic("pdq: samples that do not ascend")
		}
	}
	in = in[from*lanes : (window+ends[n-1])*lanes]
	sampleAVX2(&points[0][0], &in[0], window, from, &ends[0], &by[0], n, &sums[0])
}

// waved is waves with rows and columns exchanged.
var waved = func() (d [side][freqs]float32) {
	for i := range waves {
		for j, v := range waves[i] {
			d[j][i] = v
		}
	}
	return d
}()

func (k kernel) transform(a *plane) *spectrum {
	if k == portable {
		return transformPortable(a)
	}
	var half [freqs][side]float32
	b := new(spectrum)
	product64AVX2(&half[0][0], &waves[0][0], &a[0][0])
	product16AVX2(&b[0][0], &half[0][0], &waved[0][0])
	return b
}

// The methods for luma return how many pixels they did: all but the last few.

func (k kernel) gray(dst []float32, pix []uint8) int {
	n := len(dst) &^ (2*lanes - 1)
	if k == portable || n == 0 {
		return 0
	}
	pix = pix[:n]
	grayAVX2(&dst[0], &pix[0], n)
	return n
}

func (k kernel) rgba(dst []float32, pix []uint8) int {
	n := len(dst) &^ (lanes - 1)
	if k == portable || n == 0 {
		return 0
	}
	pix = pix[:4*n]
	rgbaAVX2(&dst[0], &pix[0], n)
	return n
}

// ycbcr is for pictures whose chroma samples are shared by 1 << right pixels of a row, right being 0 or 1.
func (k kernel) ycbcr(dst []float32, luma, cb, cr []uint8, right uint) int {
	n := len(dst) &^ (2*lanes - 1)
	if k == portable || n == 0 {
		return 0
	}
	luma, cb, cr = luma[:n], cb[:n>>right], cr[:n>>right]
	if right == 0 {
		ycbcrFullAVX2(&dst[0], &luma[0], &cb[0], &cr[0], n)
	} else {
		ycbcrHalfAVX2(&dst[0], &luma[0], &cb[0], &cr[0], n)
	}
	return n
}

// multipleOfLanes panics for other lengths: they are an error of this package's.
func multipleOfLanes(n int) {
	if n <= 0 || n%lanes != 0 {
		panic("pdq: a length that is no multiple of lanes")
	}
}
