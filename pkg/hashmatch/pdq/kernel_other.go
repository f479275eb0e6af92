//go:build !amd64

package pdq

func available() []kernel { return []kernel{portable} }

func (kernel) interleave(out band, rows []float32, stride, n int) {
	interleavePortable(out, rows, stride, n)
}

func (kernel) deal(rows *[lanes][side]float32, points *[side][lanes]float32) {
	dealPortable(rows, points)
}

func (kernel) rows(out []float32, stride int, in band, window int, by []float32, sums *[lanes]float32) {
	rowsPortable(out, stride, in, window, by, sums)
}

func (kernel) columns(out band, sums []float32, in, old *[lanes][]float32, x int, by *[lanes]float32) {
	columnsPortable(out, sums, in, old, x, by)
}

func (kernel) sample(points [][lanes]float32, in band, window, from int, ends []int, by []float32, sums *[lanes]float32) {
	samplePortable(points, in, window, from, ends, by, sums)
}

func (kernel) transform(a *plane) *spectrum { return transformPortable(a) }

// The loops over luma: none of the pixels is done here.

func (kernel) gray(dst []float32, pix []uint8) int { return 0 }

func (kernel) rgba(dst []float32, pix []uint8) int { return 0 }

func (kernel) ycbcr(dst []float32, luma, cb, cr []uint8, right uint) int { return 0 }
