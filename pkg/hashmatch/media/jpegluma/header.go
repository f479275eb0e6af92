package jpegluma

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The markers that are known.
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // sequential
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP14 = 0xee
	markerAPP15 = 0xef
	markerCOM   = 0xfe
)

// component is one of the picture's.
type component struct {
	id           byte
	across, down int  // blocks a MCU; 1 and 1 if it is the only component
	table        byte // of quantisation

	wide, high   int       // blocks, whole MCUs
	width        int       // blocks a row in a scan of this component alone
	height       int       // rows of them
	coded        bool      // some scan held its constant parts
	steps        [64]int32 // of quantisation, in the order of the zigzag
	weights      weights
	coefficients []int16  // of each block of a progressive picture, in the order of the zigzag: see present
	present      []uint64 // bit k is set if coefficient k was decoded and is not zero; the others are not valid
	precision    [64]int8 // of a progressive picture: the last bit of each coefficient that was decoded; -1 if none
}

// Header is what the header of a JPEG says of the picture.
type Header struct {
	Width, Height int // in pixels
	Progressive   bool

	components []component
}

// Memory returns how many bytes decoding will allocate for the picture at a scale of 1, 2, 4 or 8.
func (h *Header) Memory(scale int) int64 {
	var bytes int64
	for i := range h.components {
		c := &h.components[i]
		blocks := int64(c.wide) * int64(c.high)
		if i == 0 {
			bytes += blocks * int64(64/scale/scale)
		}
		if h.Progressive {
			bytes += blocks * (64*2 + 8)
		}
	}
	return bytes
}

// setHeader reads a SOF segment's body.
func (d *decoder) setHeader(marker byte, body []byte) error {
	switch {
	case d.header.components != nil:
		return errors.New("jpegluma: a second picture header")
	case len(body) != 9 && len(body) != 15 || len(body) != 6+3*int(body[5]):
		return errors.New("jpegluma: not 1 or 3 components")
	case body[0] != 8:
		return fmt.Errorf("jpegluma: samples of %d bits", body[0])
	}
	h := &d.header
	h.Height, h.Width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	if h.Width == 0 || h.Height == 0 {
		return errors.New("jpegluma: no pixels")
	}
	d.baseline = marker == markerSOF0
	h.Progressive = marker == markerSOF2
	h.components = make([]component, body[5])
	for i := range h.components {
		c, b := &h.components[i], body[6+3*i:]
		c.id, c.across, c.down, c.table = b[0], int(b[1]>>4), int(b[1]&15), b[2]
		if c.table > 3 {
			return errors.New("jpegluma: a quantisation table over 3")
		}
		for _, other := range h.components[:i] {
			if other.id == c.id {
				return errors.New("jpegluma: two components of one name")
			}
		}
		if !factor(c.across) || !factor(c.down) {
			return errors.New("jpegluma: sampling factors")
		}
		for k := range c.precision {
			c.precision[k] = -1
		}
	}
	return d.layOut()
}

// factor reports whether n is a sampling factor that is known.
func factor(n int) bool { return n == 1 || n == 2 || n == 4 }

// layOut checks the sampling factors, as the standard library does, and counts blocks.
func (d *decoder) layOut() error {
	c := d.header.components
	y := &c[0]
	if len(c) == 1 {
		y.across, y.down = 1, 1 // they mean nothing
	} else {
		cb, cr := &c[1], &c[2]
		if y.down > 2 || y.across%cb.across != 0 || y.down%cb.down != 0 || cr.across != cb.across || cr.down != cb.down {
			return errors.New("jpegluma: sampling factors")
		}
	}
	d.mcusAcross = ceil(d.header.Width, 8*y.across)
	d.mcusDown = ceil(d.header.Height, 8*y.down)
	for i := range c {
		c := &c[i]
		c.wide, c.high = d.mcusAcross*c.across, d.mcusDown*c.down
		c.width = ceil(ceil(d.header.Width*c.across, y.across), 8)
		c.height = ceil(ceil(d.header.Height*c.down, y.down), 8)
	}
	return nil
}

// ceil divides and rounds up.
func ceil(n, by int) int { return (n + by - 1) / by }

// setSteps reads a DQT segment's body.
func (d *decoder) setSteps(body []byte) error {
	if d.scans > 0 && d.header.Progressive { // decoders differ in which table counts then
		return errors.New("jpegluma: quantisation between the scans of a progressive picture")
	}
	for len(body) > 0 {
		wide, index := int(body[0]>>4), body[0]&15
		body = body[1:]
		if wide > 1 || index > 3 || len(body) < 64<<wide {
			return errors.New("jpegluma: a malformed quantisation table")
		}
		for k := range d.steps[index] {
			step := int32(body[k])
			if wide == 1 {
				step = int32(binary.BigEndian.Uint16(body[2*k:]))
			}
			if step > maxStep {
				return errors.New("jpegluma: quantisation out of range")
			}
			d.steps[index][k] = step
		}
		d.stepsDefined[index] = true
		body = body[64<<wide:]
	}
	return nil
}

// setCodes reads a DHT segment's body.
func (d *decoder) setCodes(body []byte) error {
	for len(body) > 0 {
		class, index := body[0]>>4, body[0]&15
		if class > 1 || index > 3 || d.baseline && index > 1 {
			return errors.New("jpegluma: a Huffman table out of range")
		}
		n := d.codes[class][index].define(body[1:])
		if n == 0 {
			return errors.New("jpegluma: a malformed Huffman table")
		}
		body = body[1+n:]
	}
	return nil
}

// rgb reports whether three components are red, green and blue, by the rules of the standard library.
func (d *decoder) rgb() bool {
	c := d.header.components
	return len(c) == 3 && !d.jfif && (d.adobe && d.transform == 0 || c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B')
}
