package imagehash

// side is the width and height of what quality looks at.
const side = 64

// quality returns how much there is in the picture to tell it from others, 0 to 100, on PDQ's scale: the brightness
// is averaged over 64 x 64 cells, the steps between neighbouring cells are taken in whole hundredths of the range,
// and a 90th of their sum is the quality, 100 at most. goimagehash has no measure of its own: it gives a flat picture
// a hash like any other. The brightness of a YCbCr picture is its Y.
func (p *picture) quality() int {
	var cells [side][side]float64
	for i := range side {
		top, bottom := cell(i, p.height)
		for j := range side {
			left, right := cell(j, p.width)
			var sum uint64
			for y := top; y < bottom; y++ {
				sum += p.planes[0].brightness(left, right, y)
			}
			cells[i][j] = float64(sum) / float64(1000*(bottom-top)*(right-left))
		}
	}
	steps := 0
	for i := range side {
		for j := range side {
			if i > 0 {
				steps += step(cells[i-1][j], cells[i][j])
			}
			if j > 0 {
				steps += step(cells[i][j-1], cells[i][j])
			}
		}
	}
	return min(100, steps/90)
}

// cell returns the range of pixels of cell i along a side of n pixels: one at least, so that cells share pixels where
// there are fewer than 64.
func cell(i, n int) (first, last int) {
	first = i * n / side
	return first, max((i+1)*n/side, first+1)
}

// brightness returns 1000 times the sum of the brightness of the pixels left up to, not including, right of row y.
func (c plane) brightness(left, right, y int) uint64 {
	row := c.pix[y*c.stride+left*c.size : y*c.stride+right*c.size]
	if c.size == 1 {
		var sum uint64
		for _, v := range row {
			sum += uint64(v)
		}
		return sum * 1000
	}
	var r, g, b uint32 // at most a 64th of longest, times 255
	for i := 0; i+4 <= len(row); i += 4 {
		p := row[i : i+4 : i+4]
		r += uint32(p[0])
		g += uint32(p[1])
		b += uint32(p[2])
	}
	return 299*uint64(r) + 587*uint64(g) + 114*uint64(b)
}

func step(u, v float64) int {
	d := int((u - v) * 100 / 255)
	if d < 0 {
		return -d
	}
	return d
}
