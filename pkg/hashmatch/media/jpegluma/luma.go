package jpegluma

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// Plane is the luma of a picture. It belongs to whoever got it from Decode, until it is released. Its methods may be
// called by one goroutine at a time.
type Plane struct {
	Pix           []uint8 // row by row, Stride bytes from one to the next
	Stride        int
	Width, Height int // in samples: those of the picture divided by Scale, rounded up
	Scale         int // pixels a sample, each way: 1, 2, 4 or 8
	// Variance is that of the samples, and Detail what there is in the picture beside it: the variance of the pixels about
	// the samples that they are in. It is 0 at a Scale of 1.
	Variance, Detail float64

	work *decoder // whose memory this is
}

// Release gives the plane's memory back. The plane is empty after that; a second call does nothing.
func (p *Plane) Release() {
	if p.work != nil {
		p.work.release()
	}
	*p = Plane{}
}

// Config is what a decoding is asked for.
type Config struct {
	// Scale returns how many pixels a sample stands for, each way: 1, 2, 4 or 8. It is called once, when the header was
	// read and before memory is taken. An error of it is returned by Decode. nil means 1.
	Scale    func(*Header) (int, error)
	MaxScans int // scans after which a file is refused; 0 means 64

	stored bool // the Y of the file, even where it is not the luma that is seen
}

// DefaultMaxScans is the limit of scans where a Config states none.
const DefaultMaxScans = 64

// Decode returns the luma of the JPEG content. Every error but that of ctx or of config.Scale means: unknown here or
// damaged, take another decoder. content is not changed, and not kept. It may be called by any number of goroutines at
// once.
func Decode(ctx context.Context, content []byte, config Config) (*Plane, error) {
	if config.MaxScans <= 0 {
		config.MaxScans = DefaultMaxScans
	}
	d := decoders.Get().(*decoder)
	d.reset(ctx, content, config)
	plane, err := d.decode()
	if err != nil {
		d.release()
		return nil, err
	}
	plane.work = d
	return plane, nil
}

// decoders holds what decodings need, so that one allocates next to nothing.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// buffers is the memory of a decoding that grows with the picture.
type buffers struct {
	pix          []uint8
	coefficients [3][]int16
	present      [3][]uint64
}

// kept is the longest buffer in bytes that is kept for the next picture: that of a plane of 32 megapixels.
const kept = 32 << 20

// release puts d back, without what is too large to keep.
func (d *decoder) release() {
	d.content, d.ctx, d.config, d.header, d.plane = nil, nil, Config{}, Header{}, Plane{}
	d.buffers.pix = bounded(d.buffers.pix, 1)
	for i := range d.buffers.coefficients {
		d.buffers.coefficients[i] = bounded(d.buffers.coefficients[i], 2)
		d.buffers.present[i] = bounded(d.buffers.present[i], 8)
	}
	decoders.Put(d)
}

// bounded returns s, of elements of size bytes, if it may be kept.
func bounded[T any](s []T, size int) []T {
	if cap(s)*size > kept {
		return nil
	}
	return s
}

// sized returns a slice of length n, s if it is large enough. Its contents are of no account.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// decoder is one decoding.
type decoder struct {
	ctx     context.Context
	content []byte
	config  Config
	at      int // in content
	buffers buffers

	header                 Header
	mcusAcross, mcusDown   int
	baseline               bool
	jfif, adobe            bool
	transform              byte // of the Adobe marker
	steps                  [4][64]int32
	stepsDefined           [4]bool
	codes                  [2][4]huffman // DC and AC
	restart                int           // MCUs a restart interval; 0 for none
	scans                  int
	side                   int // samples of a block, each way
	plane                  Plane
	blk                    block // zero between blocks
	unit                   unit
	total                  total
	endOfBand              int // blocks of a progressive scan that are still to be passed over
	rightPixels, lowPixels int // of the last blocks of a row and of a column that are in the picture
}

// reset makes d ready for a picture.
func (d *decoder) reset(ctx context.Context, content []byte, config Config) {
	codes := &d.codes
	for class := range codes {
		for i := range codes[class] {
			codes[class][i].defined = false
		}
	}
	d.ctx, d.content, d.config = ctx, content, config
	d.at, d.header, d.plane = 0, Header{}, Plane{}
	d.baseline, d.jfif, d.adobe, d.transform = false, false, false, 0
	d.stepsDefined = [4]bool{}
	d.restart, d.scans, d.endOfBand, d.side = 0, 0, 0, 0
	d.blk = block{}
	d.total = total{}
}

// decode follows the markers.
func (d *decoder) decode() (*Plane, error) {
	if len(d.content) < 2 || d.content[0] != 0xff || d.content[1] != markerSOI {
		return nil, errors.New("jpegluma: no JPEG")
	}
	d.at = 2
	for {
		marker, body, err := d.segment()
		if err != nil {
			return nil, err
		}
		if marker == markerEOI {
			return d.finish()
		}
		switch {
		case marker == markerSOF0 || marker == markerSOF1 || marker == markerSOF2:
			err = d.setHeader(marker, body)
		case marker == markerDHT:
			err = d.setCodes(body)
		case marker == markerDQT:
			err = d.setSteps(body)
		case marker == markerDRI:
			if len(body) != 2 {
				return nil, errors.New("jpegluma: a malformed restart interval")
			}
			d.restart = int(binary.BigEndian.Uint16(body))
		case marker == markerSOS:
			err = d.scan(body)
		case marker == markerAPP0 && len(body) >= 5:
			d.jfif = string(body[:5]) == "JFIF\x00"
		case marker == markerAPP14 && len(body) >= 12 && string(body[:5]) == "Adobe":
			d.adobe, d.transform = true, body[11]
		case marker >= markerAPP0 && marker <= markerAPP15 || marker == markerCOM:
		default:
			err = fmt.Errorf("jpegluma: marker %#x", marker)
		}
		if err != nil {
			return nil, err
		}
	}
}

// segment returns the next marker and the body of its segment. Between segments there is nothing but fill bytes, and
// the restart marker that some cameras write after the last interval.
func (d *decoder) segment() (marker byte, body []byte, err error) {
	for marker == 0 || marker >= markerRST0 && marker <= markerRST7 {
		if d.at >= len(d.content) || d.content[d.at] != 0xff {
			return 0, nil, errors.New("jpegluma: no marker where one should be")
		}
		for d.at < len(d.content) && d.content[d.at] == 0xff {
			d.at++
		}
		if d.at >= len(d.content) || d.content[d.at] == 0 {
			return 0, nil, errors.New("jpegluma: no marker where one should be")
		}
		marker = d.content[d.at]
		d.at++
	}
	if marker == markerEOI {
		return marker, nil, nil
	}
	rest := d.content[d.at:]
	if len(rest) < 2 {
		return 0, nil, errors.New("jpegluma: cut off")
	}
	n := int(binary.BigEndian.Uint16(rest))
	if n < 2 || n > len(rest) {
		return 0, nil, errors.New("jpegluma: a segment of a wrong length")
	}
	d.at += n
	return marker, rest[2:n], nil
}

// allocate takes the memory for the picture, before the first scan.
func (d *decoder) allocate() error {
	scale := 1
	if d.config.Scale != nil {
		var err error
		if scale, err = d.config.Scale(&d.header); err != nil {
			return err
		}
	}
	if scale != 1 && scale != 2 && scale != 4 && scale != 8 {
		return fmt.Errorf("jpegluma: a scale of %d", scale)
	}
	d.side = 8 / scale
	w, h := &d.buffers, &d.header
	for i := range h.components {
		c := &h.components[i]
		blocks := c.wide * c.high
		if h.Progressive {
			w.coefficients[i] = sized(w.coefficients[i], 64*blocks)
			w.present[i] = sized(w.present[i], blocks)
			clear(w.present[i])
			c.coefficients, c.present = w.coefficients[i], w.present[i]
		}
	}
	y := &h.components[0]
	d.rightPixels, d.lowPixels = h.Width-8*(y.width-1), h.Height-8*(y.height-1)
	d.plane = Plane{Stride: y.wide * d.side, Width: ceil(h.Width, scale), Height: ceil(h.Height, scale), Scale: scale}
	w.pix = sized(w.pix, d.plane.Stride*y.high*d.side)
	d.plane.Pix = w.pix
	return nil
}

// finish ends a picture whose end marker was reached.
func (d *decoder) finish() (*Plane, error) {
	if d.scans == 0 {
		return nil, errors.New("jpegluma: no scan")
	}
	for i := range d.header.components {
		if !d.header.components[i].coded {
			return nil, errors.New("jpegluma: a component has no scan")
		}
	}
	if d.rgb() {
		return nil, errors.New("jpegluma: RGB")
	}
	if d.header.Progressive {
		if err := d.reconstruct(); err != nil {
			return nil, err
		}
	}
	plane := d.plane
	plane.Variance = plane.variance()
	if plane.Scale > 1 {
		plane.Detail = max(0, d.total.variance()-plane.Variance)
	}
	return &plane, nil
}
