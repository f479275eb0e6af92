package jpegluma

// total sums up the moments of the luma of every block.
type total struct{ blocks, mean, square float64 }

// add takes the moments of one more block, and returns them.
func (t *total) add(m moments) moments {
	t.blocks++
	t.mean += float64(m.mean)
	t.square += float64(m.variance) + float64(m.mean)*float64(m.mean)
	return m
}

// variance returns that of the pixels of all blocks, before clipping.
func (t *total) variance() float64 {
	if t.blocks == 0 {
		return 0
	}
	mean := t.mean / t.blocks
	return max(0, t.square/t.blocks-mean*mean)
}

// variance returns that of the samples.
func (p *Plane) variance() float64 {
	var sum, square uint64
	for y := range p.Height {
		for _, v := range p.Pix[y*p.Stride:][:p.Width] {
			sum += uint64(v)
			square += uint64(v) * uint64(v)
		}
	}
	n := float64(p.Width) * float64(p.Height)
	mean := float64(sum) / n
	return max(0, float64(square)/n-mean*mean)
}
