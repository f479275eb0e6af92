package jpegluma

import (
	"errors"
	mathbits "math/bits"
)

// progress reads which coefficients a scan of a progressive picture is of. Each coefficient comes once, and after that
// bit by bit, downwards: that also bounds what scans can cost.
func (d *decoder) progress(parts []part, body []byte) (progress, error) {
	start, end, high, low := int(body[0]), int(body[1]), int8(body[2]>>4), int8(body[2]&15)
	p := progress{start: start, end: end, refine: high != 0, shift: uint(low)}
	switch {
	case start > end || end > 63 || start == 0 && end != 0 || start > 0 && len(parts) != 1:
		return p, errors.New("jpegluma: a scan of no coefficients or of too many")
	case low > 13 || high != 0 && high != low+1:
		return p, errors.New("jpegluma: bits of coefficients out of range")
	}
	for i := range parts {
		precision := &parts[i].precision
		if start > 0 && precision[0] < 0 {
			return p, errors.New("jpegluma: a scan before that of the constant parts")
		}
		for k := start; k <= end; k++ {
			if p.refine && precision[k] != high || !p.refine && precision[k] >= 0 {
				return p, errors.New("jpegluma: a scan of coefficients out of turn")
			}
			precision[k] = low
		}
	}
	return p, nil
}

// progressiveUnit reads what a scan adds to the blocks of a unit.
func (d *decoder) progressiveUnit(b *bits, parts []part, g progress, mx, my int) bool {
	for i := range parts {
		p := &parts[i]
		for y := range p.down {
			for x := range p.across {
				if !d.progressiveBlock(b, p, g, mx*p.across+x, my*p.down+y) {
					return false
				}
			}
		}
	}
	return true
}

// progressiveBlock reads what a scan adds to a block.
func (d *decoder) progressiveBlock(b *bits, p *part, g progress, x, y int) bool {
	i := y*p.wide + x
	c := (*[64]int16)(p.coefficients[64*i:])
	switch {
	case g.start == 0 && g.refine:
		c[0] |= int16(b.take(1)) << g.shift
		return true
	case g.start == 0:
		ok := b.constant(p)
		c[0] = int16(p.last << g.shift)
		return ok && int32(c[0])>>g.shift == p.last
	case g.refine:
		return d.refineBand(b, p.ac, g, c, &p.present[i])
	case d.endOfBand > 0:
		d.endOfBand--
		return true
	}
	return d.readBand(b, p.ac, g, c, &p.present[i])
}

// readBand reads the first bits of a block's coefficients.
func (d *decoder) readBand(b *bits, h *huffman, g progress, c *[64]int16, present *uint64) bool {
	for k := g.start; k <= g.end; k++ {
		symbol, ok := b.symbol(h)
		if !ok {
			return false
		}
		run, size := int(symbol>>4), symbol&15
		if size == 0 {
			if run != 15 {
				d.endOfBand = 1<<run + int(b.take(uint8(run))) - 1
				return true
			}
			k += 15
			continue
		}
		k += run
		v := b.extended(size)
		if k > g.end || int32(int16(v<<g.shift))>>g.shift != v {
			return false
		}
		c[k&63] = int16(v << g.shift)
		*present |= 1 << k
	}
	return true
}

// refineBand reads one more bit of a block's coefficients: of each that is there, and which ones become +1 or -1 in the
// place of that bit.
func (d *decoder) refineBand(b *bits, h *huffman, g progress, c *[64]int16, present *uint64) bool {
	k := g.start
	for d.endOfBand == 0 && k <= g.end {
		symbol, ok := b.symbol(h)
		if !ok {
			return false
		}
		run, size := int(symbol>>4), symbol&15
		if size > 1 {
			return false
		}
		if size == 0 && run != 15 {
			d.endOfBand = 1<<run + int(b.take(uint8(run)))
			break
		}
		var v int16
		if size == 1 {
			v = int16(b.take(1)<<1-1) << g.shift
		}
		if k = b.refine(g, c, *present, k, run); k > g.end {
			return false
		}
		if v != 0 {
			c[k&63] = v
			*present |= 1 << k
		}
		k++
	}
	if d.endOfBand > 0 {
		d.endOfBand--
		b.refine(g, c, *present, k, 64)
	}
	return true
}

// refine reads a bit for each coefficient that is there, from k on, until it has passed zeroes that are not. It returns
// the place of the next one that is not there; more than g.end if there is none.
func (b *bits) refine(g progress, c *[64]int16, present uint64, k, zeroes int) int {
	for k <= g.end {
		// What is there from k on, one bit each; the zeroes between are passed at a time.
		gap := mathbits.TrailingZeros64(present>>k | 1<<(g.end-k)<<1)
		if gap > zeroes {
			return k + zeroes
		}
		k, zeroes = k+gap, zeroes-gap
		for ; k <= g.end && present>>k&1 != 0; k++ {
			if b.take(1) == 0 {
				continue
			}
			if c[k&63] >= 0 {
				c[k&63] += 1 << g.shift
			} else {
				c[k&63] -= 1 << g.shift
			}
		}
	}
	return k
}

// reconstruct writes the samples of a progressive picture whose scans were all read.
func (d *decoder) reconstruct() error {
	for i := range d.header.components {
		c := &d.header.components[i]
		c.steps = d.steps[c.table]
		c.weights.set(&c.steps, d.side)
	}
	for my := range d.mcusDown {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for mx := range d.mcusAcross {
			d.inside(mx, my, func(i, x, y, at int) {
				c := &d.header.components[i]
				d.unit.moments[i][at] = d.known(c, x, y, i == 0)
			})
			if len(d.header.components) < 3 || d.config.stored || !d.outOfRange(mx, my) {
				continue
			}
			d.inside(mx, my, func(i, x, y, at int) {
				c := &d.header.components[i]
				last := d.load(c, x, y)
				d.blk[0] = int32(c.coefficients[64*(y*c.wide+x)]) * c.steps[0]
				d.blk.inverse(int(lastRow[last]))
				d.unit.store(i, at%c.across, at/c.across, &d.blk)
				d.blk = block{}
			})
			d.writeUnit(mx, my)
		}
	}
	return nil
}

// inside calls do for every block of a unit that is in the picture: of component i, at (x, y) among all of its blocks
// and number at in the unit.
func (d *decoder) inside(mx, my int, do func(i, x, y, at int)) {
	for i := range d.header.components {
		c := &d.header.components[i]
		for v := range min(c.down, c.height-my*c.down) {
			for h := range min(c.across, c.width-mx*c.across) {
				do(i, mx*c.across+h, my*c.down+v, v*c.across+h)
			}
		}
	}
}

// load puts the coefficients of a block but the constant part into d.blk and returns the place of the last in the zigzag.
func (d *decoder) load(c *component, x, y int) (last int) {
	i := y*c.wide + x
	v := (*[64]int16)(c.coefficients[64*i:])
	for rest := c.present[i]; rest != 0; rest &= rest - 1 {
		last = mathbits.TrailingZeros64(rest) & 63
		d.blk[natural[last]] = int32(v[last]) * c.steps[last]
	}
	return last
}

// known returns the moments of a block whose coefficients are known and, of luma, writes its samples.
func (d *decoder) known(c *component, x, y int, luma bool) moments {
	i := y*c.wide + x
	v := (*[64]int16)(c.coefficients[64*i:])
	dc := int32(v[0]) * c.steps[0]
	sums := [16]int64{int64(v[0]) * c.weights.weight[0]}
	var energy int64
	for rest := c.present[i]; rest != 0; rest &= rest - 1 {
		k := mathbits.TrailingZeros64(rest) & 63
		p := int64(v[k]) * c.weights.step[k]
		energy += p * p
		sums[c.weights.sum[k]&15] += int64(v[k]) * c.weights.weight[k]
	}
	m := momentsOf(dc, energy)
	switch {
	case !luma:
		return m
	case d.side == 8 || clips(dc, energy) || d.partial(c, x, y):
		d.writeBlock(c, x, y, dc, d.load(c, x, y))
	default:
		write(d.samples(x, y), d.plane.Stride, d.side, &sums)
	}
	return d.total.add(m)
}
