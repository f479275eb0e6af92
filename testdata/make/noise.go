package main

import "image/color"

// Everything here is computed in integers, so that a picture has the same bytes on every architecture: a compiler may
// fuse a floating-point product and sum, and then the last bit differs.

// unit is 1 in the fixed-point numbers that noise returns.
const unit = 1 << 16

// random is a stream of numbers (splitmix64, by Sebastiano Vigna, public domain). It is written out here so that no
// change of a library changes a picture.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

// between returns a number in [low, high].
func (r *random) between(low, high int) int {
	return low + int(r.next()>>33)%(high-low+1)
}

func (r *random) color(low, high int) color.RGBA {
	return color.RGBA{uint8(r.between(low, high)), uint8(r.between(low, high)), uint8(r.between(low, high)), 255}
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// lattice returns the random height, in [0, unit), at one corner of the noise's grid.
func lattice(seed uint64, x, y int) int {
	return int(mix(seed^mix(uint64(uint32(int32(x)))<<32|uint64(uint32(int32(y))))) >> 48)
}

// smooth is 3t² - 2t³.
func smooth(t int) int {
	return t * t / unit * (3*unit - 2*t) / unit
}

func mid(a, b, t int) int { return a + (b-a)*t/unit }

// noise returns smooth value noise in [0, unit) whose bumps are cell pixels wide.
func noise(seed uint64, x, y, cell int) int {
	cx, cy := floorDiv(x, cell), floorDiv(y, cell)
	tx, ty := smooth((x-cx*cell)*unit/cell), smooth((y-cy*cell)*unit/cell)
	top := mid(lattice(seed, cx, cy), lattice(seed, cx+1, cy), tx)
	bottom := mid(lattice(seed, cx, cy+1), lattice(seed, cx+1, cy+1), tx)
	return mid(top, bottom, ty)
}

// fractal adds up octaves of noise, each with half the cell and half the weight of the one before. It returns a
// number in [0, unit).
func fractal(seed uint64, x, y, cell, octaves int) int {
	sum, weight, total := 0, unit, 0
	for i := 0; i < octaves && cell > 0; i++ {
		sum += noise(seed+uint64(i)*0x1000193, x, y, cell) * weight / unit
		total += weight
		weight /= 2
		cell /= 2
	}
	return sum * unit / total
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func clamp8(v int) uint8 { return uint8(max(0, min(255, v))) }

// blend mixes two colours: a at t = 0, b at t = unit.
func blend(a, b color.RGBA, t int) color.RGBA {
	t = max(0, min(unit, t))
	return color.RGBA{
		uint8(mid(int(a.R), int(b.R), t)), uint8(mid(int(a.G), int(b.G), t)), uint8(mid(int(a.B), int(b.B), t)), 255,
	}
}

// shade adds v to each channel.
func shade(c color.RGBA, v int) color.RGBA {
	return color.RGBA{clamp8(int(c.R) + v), clamp8(int(c.G) + v), clamp8(int(c.B) + v), 255}
}
