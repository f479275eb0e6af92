package jpegluma

import (
	"encoding/binary"
	"math"
	mathbits "math/bits"
	"math/rand/v2"
)

// drawing is a JPEG to be written, by its coefficients: so that every kind of scan can be written, and pictures that no
// encoder would make.
type drawing struct {
	width, height int
	factors       [][2]int      // of each component
	blocks        [][][64]int32 // of each component, quantised, in the order of the zigzag, whole MCUs
	step          int           // of quantisation, of all coefficients
	restart       int
	scans         []scanOf // of a progressive picture; nil for a sequential one
}

// scanOf is a scan of a progressive picture.
type scanOf struct {
	components             []int
	start, stop, high, low int
}

// script is the scans of a usual progressive picture of n components.
func script(n int) []scanOf {
	all := []int{0, 1, 2}[:n]
	list := []scanOf{{all, 0, 0, 0, 1}}
	for _, c := range all {
		list = append(list, scanOf{[]int{c}, 1, 5, 0, 2}, scanOf{[]int{c}, 6, 63, 0, 2})
	}
	for _, c := range all {
		list = append(list, scanOf{[]int{c}, 1, 63, 2, 1})
	}
	list = append(list, scanOf{all, 0, 0, 1, 0})
	for _, c := range all {
		list = append(list, scanOf{[]int{c}, 1, 63, 1, 0})
	}
	return list
}

func newDrawing(width, height int, factors ...[2]int) *drawing {
	d := &drawing{width: width, height: height, factors: factors, step: 4}
	for i := range factors {
		wide, high := d.size(i, false)
		d.blocks = append(d.blocks, make([][64]int32, wide*high))
	}
	return d
}

// size returns how many blocks component i has: in whole MCUs, or in a scan of its own.
func (d *drawing) size(i int, own bool) (wide, high int) {
	h, v := d.factors[i][0], d.factors[i][1]
	y := d.factors[0]
	if len(d.factors) == 1 {
		h, v, y = 1, 1, [2]int{1, 1}
	}
	if own {
		return ceil(ceil(d.width*h, y[0]), 8), ceil(ceil(d.height*v, y[1]), 8)
	}
	return h * ceil(d.width, 8*y[0]), v * ceil(d.height, 8*y[1])
}

// scribble draws waves of all frequencies, mostly low ones.
func (d *drawing) scribble(random *rand.Rand, wild float64) *drawing {
	for i := range d.blocks {
		dc := int32(0)
		for j := range d.blocks[i] {
			b := &d.blocks[i][j]
			limit := int32(1000 / d.step)
			dc = min(max(dc+int32(random.NormFloat64()*30/float64(d.step)), -limit), limit)
			b[0] = dc
			for n := random.IntN(12); n > 0; n-- {
				k := 1 + int(math.Abs(random.NormFloat64())*float64(random.IntN(24)))
				if k < 64 {
					b[k] = int32(random.NormFloat64() * wild / float64(d.step) / math.Sqrt(float64(k)))
				}
			}
			if random.IntN(40) == 0 {
				b[63] = int32(random.IntN(7)) - 3
			}
		}
	}
	return d
}

// lengths are how many codes of each length the tables have: enough for all symbols, some of them longer than what any
// table of the decoder looks at.
var lengths = [16]byte{1: 2, 3: 4, 7: 32, 11: 208, 15: 10}

type bitWriter struct {
	out []byte
	acc uint32
	n   int
}

func (w *bitWriter) bits(v uint32, n int) {
	for n--; n >= 0; n-- {
		w.acc = w.acc<<1 | v>>n&1
		if w.n++; w.n == 8 {
			w.out = append(w.out, byte(w.acc))
			if byte(w.acc) == 0xff {
				w.out = append(w.out, 0)
			}
			w.acc, w.n = 0, 0
		}
	}
}

func (w *bitWriter) flush() {
	for w.n != 0 {
		w.bits(1, 1)
	}
}

// order is the symbols in the order of their codes: those that come often first.
var order = func() (list [256]byte) {
	n := 0
	for sum := range 31 { // of run and size
		for size := range 16 {
			if run := sum - size; run >= 0 && run < 16 {
				list[n] = byte(run<<4 | size)
				n++
			}
		}
	}
	return list
}()

func (w *bitWriter) symbol(s byte) {
	code, index := uint32(0), 0
	for i, n := range lengths {
		for range n {
			if order[index] == s {
				w.bits(code, i+1)
				return
			}
			code++
			index++
		}
		code <<= 1
	}
	panic("no code")
}

// value writes the bits of a value of so many bits.
func (w *bitWriter) value(v int32, size int) {
	if v < 0 {
		v += 1<<size - 1
	}
	w.bits(uint32(v), size)
}

func sizeOf(v int32) int { return mathbits.Len32(uint32(max(v, -v))) }

func appendSegment(b []byte, marker byte, body ...byte) []byte {
	b = append(b, 0xff, marker)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)+2))
	return append(b, body...)
}

// encode writes the file.
func (d *drawing) encode() []byte {
	b := []byte{0xff, 0xd8}
	table := make([]byte, 65)
	for i := range table[1:] {
		table[1+i] = byte(d.step)
	}
	b = appendSegment(b, markerDQT, table...)
	header := []byte{8, byte(d.height >> 8), byte(d.height), byte(d.width >> 8), byte(d.width), byte(len(d.factors))}
	for i, f := range d.factors {
		header = append(header, byte(i+1), byte(f[0]<<4|f[1]), 0)
	}
	marker := byte(markerSOF0)
	if d.scans != nil {
		marker = markerSOF2
	}
	b = appendSegment(b, marker, header...)
	for _, class := range []byte{0, 0x10} {
		b = appendSegment(b, markerDHT, append(append([]byte{class}, lengths[:]...), order[:]...)...)
	}
	if d.restart > 0 {
		b = appendSegment(b, markerDRI, byte(d.restart>>8), byte(d.restart))
	}
	scans := d.scans
	if scans == nil {
		scans = []scanOf{{[]int{0, 1, 2}[:len(d.factors)], 0, 63, 0, 0}}
	}
	for _, s := range scans {
		header := []byte{byte(len(s.components))}
		for _, c := range s.components {
			header = append(header, byte(c+1), 0)
		}
		b = appendSegment(b, markerSOS, append(header, byte(s.start), byte(s.stop), byte(s.high<<4|s.low))...)
		b = append(b, d.data(s)...)
	}
	return append(b, 0xff, markerEOI)
}

// scanWriter is the state of a scan.
type scanWriter struct {
	bitWriter
	scanOf
	last    [3]int32
	run     int    // blocks whose end is not written yet
	waiting []byte // bits that come after their end
}

// data writes the data of a scan.
func (d *drawing) data(s scanOf) []byte {
	w := &scanWriter{scanOf: s}
	across, down := ceil(d.width, 8*d.factors[0][0]), ceil(d.height, 8*d.factors[0][1])
	own := len(s.components) == 1
	if own {
		across, down = d.size(s.components[0], true)
	}
	for m := range across * down {
		if d.restart > 0 && m > 0 && m%d.restart == 0 {
			w.end()
			w.flush()
			w.out = append(w.out, 0xff, markerRST0+byte(m/d.restart-1)%8)
			w.last = [3]int32{}
		}
		for _, c := range s.components {
			h, v := d.factors[c][0], d.factors[c][1]
			if own {
				h, v = 1, 1
			}
			wide, _ := d.size(c, false)
			for j := range h * v {
				x, y := m%across*h+j%h, m/across*v+j/h
				w.block(c, &d.blocks[c][y*wide+x], d.scans != nil)
			}
		}
	}
	w.end()
	w.flush()
	return w.out
}

func (w *scanWriter) block(c int, b *[64]int32, progressive bool) {
	switch {
	case w.start == 0 && w.high > 0:
		w.bits(uint32(b[0]>>w.low)&1, 1)
		return
	case w.start == 0:
		dc := b[0] >> w.low
		diff := dc - w.last[c]
		w.last[c] = dc
		w.symbol(byte(sizeOf(diff)))
		w.value(diff, sizeOf(diff))
		if !progressive {
			w.band(b, 1, 63, false)
		}
	case w.high > 0:
		w.refine(b)
	default:
		w.band(b, w.start, w.stop, true)
	}
}

// shifted returns a coefficient without its lowest bits, towards zero.
func shifted(v int32, by int) int32 {
	if v < 0 {
		return -(-v >> by)
	}
	return v >> by
}

// band writes coefficients for the first time.
func (w *scanWriter) band(b *[64]int32, start, end int, runs bool) {
	zeroes := 0
	for k := start; k <= end; k++ {
		v := shifted(b[k], w.low)
		if v == 0 {
			zeroes++
			continue
		}
		w.end()
		for ; zeroes > 15; zeroes -= 16 {
			w.symbol(0xf0)
		}
		w.symbol(byte(zeroes<<4 | sizeOf(v)))
		w.value(v, sizeOf(v))
		zeroes = 0
	}
	if zeroes > 0 {
		if w.run++; !runs || w.run == 0x7fff {
			w.end()
		}
	}
}

// end writes the end of the blocks that wait for it.
func (w *scanWriter) end() {
	if w.run > 0 {
		n := mathbits.Len(uint(w.run)) - 1
		w.symbol(byte(n << 4))
		w.bits(uint32(w.run), n)
	}
	w.correct(w.waiting)
	w.run, w.waiting = 0, nil
}

func (w *scanWriter) correct(list []byte) {
	for _, bit := range list {
		w.bits(uint32(bit), 1)
	}
}

// refine writes one more bit of coefficients.
func (w *scanWriter) refine(b *[64]int32) {
	lastNew := 0
	for k := w.start; k <= w.stop; k++ {
		if v := shifted(b[k], w.low); v == 1 || v == -1 {
			lastNew = k
		}
	}
	zeroes := 0
	var waiting []byte
	for k := w.start; k <= w.stop; k++ {
		v := shifted(b[k], w.low)
		if v == 0 {
			zeroes++
			continue
		}
		for ; zeroes > 15 && k <= lastNew; zeroes -= 16 {
			w.end()
			w.symbol(0xf0)
			w.correct(waiting)
			waiting = nil
		}
		if v > 1 || v < -1 {
			waiting = append(waiting, byte(max(v, -v)&1))
			continue
		}
		w.end()
		w.symbol(byte(zeroes<<4 | 1))
		if v > 0 {
			w.bits(1, 1)
		} else {
			w.bits(0, 1)
		}
		w.correct(waiting)
		waiting, zeroes = nil, 0
	}
	if zeroes > 0 || len(waiting) > 0 {
		w.run++
		w.waiting = append(w.waiting, waiting...)
		if w.run == 0x7fff || len(w.waiting) > 900 {
			w.end()
		}
	}
}
