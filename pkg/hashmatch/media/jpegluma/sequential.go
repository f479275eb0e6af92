package jpegluma

// sequentialUnit reads the blocks of a unit of a sequential picture and writes the samples of luma.
func (d *decoder) sequentialUnit(b *bits, parts []part, mx, my int) bool {
	before, last := *b, [3]int32{}
	first := 0 // component whose pixels are not at hand
	for i := range parts {
		p := &parts[i]
		last[i] = p.last
		if i == 1 && d.side == 8 {
			before, first = *b, 1
		}
		for y := range p.down {
			for x := range p.across {
				m, ok := moments{}, false
				if i == 0 {
					m, ok = d.lumaBlock(b, p, mx*p.across+x, my*p.down+y)
				} else {
					m, ok = d.chromaBlock(b, p)
				}
				if !ok {
					return false
				}
				d.unit.moments[i][y*p.across+x] = m
			}
		}
	}
	if len(parts) < 3 || d.config.stored || b.overrun() || !d.outOfRange(mx, my) {
		return true
	}
	*b = before
	if first == 1 {
		d.takeLuma(mx, my)
	}
	for i := first; i < len(parts); i++ {
		p := &parts[i]
		p.last = last[i]
		for y := range p.down {
			for x := range p.across {
				if !b.constant(p) {
					return false
				}
				last, _, ok := b.coefficients(p.ac, &p.steps, &d.blk)
				if !ok {
					return false
				}
				d.blk[0] = p.last * p.steps[0]
				d.blk.inverse(int(lastRow[last]))
				d.unit.store(i, x, y, &d.blk)
				d.blk = block{}
			}
		}
	}
	d.writeUnit(mx, my)
	return true
}

// constant reads the constant part of a block: the difference to that of the block before.
func (b *bits) constant(p *part) bool {
	size, ok := b.symbol(p.dc)
	if !ok || size > 15 {
		return false
	}
	p.last += b.extended(size)
	return p.last == int32(int16(p.last))
}

// lumaBlock reads a block of luma and writes its samples.
func (d *decoder) lumaBlock(b *bits, p *part, x, y int) (moments, bool) {
	if !b.constant(p) {
		return moments{}, false
	}
	dc := p.last * p.steps[0]
	if d.side == 8 {
		last, energy, ok := b.coefficients(p.ac, &p.steps, &d.blk)
		if ok {
			d.writeBlock(p.component, x, y, dc, last)
		}
		return d.total.add(momentsOf(dc, energy)), ok
	}
	before := *b
	sums := [16]int64{int64(p.last) * p.weights.weight[0]}
	energy, ok := b.measure(p.ac, &p.weights, &sums)
	switch {
	case !ok:
		return moments{}, false
	case clips(dc, energy) || d.partial(p.component, x, y):
		*b = before
		last, _, ok := b.coefficients(p.ac, &p.steps, &d.blk)
		if !ok {
			return moments{}, false
		}
		d.writeBlock(p.component, x, y, dc, last)
	default:
		write(d.samples(x, y), d.plane.Stride, d.side, &sums)
	}
	return d.total.add(momentsOf(dc, energy)), true
}

// chromaBlock reads a block of chroma.
func (d *decoder) chromaBlock(b *bits, p *part) (moments, bool) {
	if !b.constant(p) {
		return moments{}, false
	}
	var sums [16]int64
	energy, ok := b.measure(p.ac, &p.weights, &sums)
	return momentsOf(p.last*p.steps[0], energy), ok
}

// samples returns the plane from the first sample of a block on.
func (d *decoder) samples(x, y int) []uint8 {
	return d.plane.Pix[y*d.side*d.plane.Stride+x*d.side:]
}

// partial reports whether only a part of a block is in the picture.
func (d *decoder) partial(c *component, x, y int) bool {
	return x == c.width-1 && d.rightPixels < 8 || y == c.height-1 && d.lowPixels < 8
}

// writeBlock writes the samples of the block in d.blk, with dc as its constant part, and leaves d.blk zero. last is
// the place of its last coefficient in the zigzag.
func (d *decoder) writeBlock(c *component, x, y int, dc int32, last int) {
	dst := d.samples(x, y)
	if last == 0 {
		v := flat(dc)
		for y := range d.side {
			row := dst[y*d.plane.Stride:][:d.side]
			for x := range row {
				row[x] = v
			}
		}
		return
	}
	right, down := 8, 8
	if x == c.width-1 {
		right = d.rightPixels
	}
	if y == c.height-1 {
		down = d.lowPixels
	}
	d.blk[0] = dc
	writeExact(dst, d.plane.Stride, d.side, &d.blk, int(lastRow[last]), right, down)
	d.blk = block{}
}
