package media

import (
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"hash"
	"hash/adler32"
	"hash/crc32"
	"image"
	"image/png"
	"io"
)

// rewrap reads as a whole and valid PNG what is left of a damaged one, or one frame of an animation: header,
// palette and transparency, and the scanlines inflated and stored again, without compression. Missing scanlines are
// zero, and unknown filters are none. It keeps no more than one block of scanlines.
type rewrap struct {
	head pngHead
	raw  io.Reader // the inflated scanlines; nil where they end
	out  []byte    // ready to be read

	block   [wrapBlock]byte
	wrapped []byte      // a chunk around block
	chunk   []byte      // wrapped as a chunk
	sum     hash.Hash32 // of the scanlines so far
	state   int         // 0: header due; 1: scanlines due; 2: done
	pass    int         // of an interlaced picture; 0 otherwise
	row     int         // rows begun in this pass
	left    int64       // bytes missing in this row
	due     int64       // bytes missing in all

	rows  int64 // complete rows that the file holds, over all passes
	bytes int64 // that the file holds
	bad   bool  // an unknown filter was replaced
	err   error // why raw ended, other than at its end; errTooLong if there is more than fits
}

const wrapBlock = 32 << 10

var (
	errTooLong  = errors.New("more scanlines than the picture has")
	errTooShort = errors.New("scanlines are missing")
)

// newRewrap reads compressed data of a picture. Only the header, palette and tRNS of f are used.
func newRewrap(f *pngInfo, compressed io.Reader) *rewrap {
	w := &rewrap{head: f.pngHead, sum: adler32.New(), pass: -1}
	inflated, err := zlib.NewReader(compressed)
	if err != nil {
		w.err = err
	} else {
		w.raw = inflated
	}
	for pass := range w.passes() {
		width, height := w.size(pass)
		if width > 0 {
			w.due += int64(height) * (1 + w.rowBytes(width))
		}
	}
	var ihdr [13]byte
	binary.BigEndian.PutUint32(ihdr[:], uint32(f.width))
	binary.BigEndian.PutUint32(ihdr[4:], uint32(f.height))
	ihdr[8], ihdr[9] = byte(f.depth), byte(f.colour)
	if f.interlaced {
		ihdr[12] = 1
	}
	w.out = append(w.out, pngMagic...)
	w.out = appendChunk(w.out, "IHDR", ihdr[:])
	if f.colour == pngPalette {
		w.out = appendChunk(w.out, "PLTE", f.palette)
	}
	if f.tRNS != nil {
		w.out = appendChunk(w.out, "tRNS", f.tRNS)
	}
	w.nextPass()
	return w
}

func appendChunk(to []byte, kind string, body []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(len(body)))
	start := len(to)
	to = append(append(to, kind...), body...)
	return binary.BigEndian.AppendUint32(to, crc32.ChecksumIEEE(to[start:]))
}

// adam7 are the passes of an interlaced PNG: the offset and the distance of their pixels, across and down.
var adam7 = [7]struct{ x, y, dx, dy int }{
	{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
}

func (w *rewrap) passes() int {
	if w.head.interlaced {
		return len(adam7)
	}
	return 1
}

// size returns the size of a pass; 0, 0 if it holds no pixel.
func (w *rewrap) size(pass int) (width, height int) {
	if !w.head.interlaced {
		return w.head.width, w.head.height
	}
	p := adam7[pass]
	width, height = (w.head.width-p.x+p.dx-1)/p.dx, (w.head.height-p.y+p.dy-1)/p.dy
	if width <= 0 || height <= 0 {
		return 0, 0
	}
	return width, height
}

func (w *rewrap) rowBytes(width int) int64 { return (int64(w.head.bits())*int64(width) + 7) / 8 }

func (w *rewrap) nextPass() {
	for w.pass++; w.pass < w.passes(); w.pass++ {
		if _, height := w.size(w.pass); height > 0 {
			break
		}
	}
	w.row = 0
}

func (w *rewrap) Read(p []byte) (int, error) {
	for len(w.out) == 0 {
		if w.state == 2 {
			return 0, io.EOF
		}
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	return n, nil
}

// fill wraps the next block of scanlines into a chunk. It returns only the errors that are not of the data: that
// the context is done.
func (w *rewrap) fill() error {
	n := int(min(w.due, wrapBlock))
	block := w.block[:n]
	got := 0
	if w.raw != nil {
		var err error
		if got, err = io.ReadFull(w.raw, block); err != nil {
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			w.raw = nil
			if w.err = err; err == io.EOF || err == io.ErrUnexpectedEOF {
				w.err = errTooShort
			}
		}
	}
	clear(block[got:])
	w.bytes += int64(got)
	w.due -= int64(n)
	w.sanitize(block, got)
	w.sum.Write(block)

	body := w.wrapped[:0]
	if w.state == 0 {
		body = append(body, 0x78, 0x01)
		w.state = 1
	}
	final := byte(0)
	if w.due == 0 {
		final = 1
	}
	body = append(body, final, byte(n), byte(n>>8), byte(^n), byte(^n>>8))
	body = append(body, block...)
	if w.due == 0 {
		body = w.sum.Sum(body)
	}
	w.wrapped = body
	w.chunk = appendChunk(w.chunk[:0], "IDAT", body)
	if w.due == 0 {
		w.chunk = appendChunk(w.chunk, "IEND", nil)
		w.state = 2
		w.finish()
	}
	w.out = w.chunk
	return nil
}

// sanitize looks at each row's filter in the next block, of which got bytes came from the file.
func (w *rewrap) sanitize(block []byte, got int) {
	for at := 0; at < len(block); {
		if w.left == 0 {
			width, _ := w.size(w.pass)
			w.left = 1 + w.rowBytes(width)
			if block[at] > 4 {
				block[at] = 0
				w.bad = true
			}
		}
		n := int(min(w.left, int64(len(block)-at)))
		at += n
		w.left -= int64(n)
		if w.left == 0 {
			if at <= got {
				w.rows++
			}
			w.row++
			if _, height := w.size(w.pass); w.row == height {
				w.nextPass()
			}
		}
	}
}

// finish looks whether the compressed data ends where the picture does, and its checksum.
func (w *rewrap) finish() {
	if w.raw == nil {
		return
	}
	var one [1]byte
	switch n, err := io.ReadFull(w.raw, one[:]); {
	case n > 0:
		w.err = errTooLong
	case err != io.EOF:
		w.err = err
	}
}

// decode decodes what the file holds of the picture; nil if not one row of it.
func (w *rewrap) decode() (image.Image, error) {
	if w.raw == nil {
		return nil, nil
	}
	picture, err := png.Decode(w)
	if err != nil {
		return nil, err
	}
	if w.rows == 0 {
		return nil, nil
	}
	if w.head.interlaced {
		w.fillIn(picture)
	}
	return picture, nil
}

// fillIn gives the pixels of missing passes the values of the coarser ones, as viewers do that show a picture while
// it loads: zeroes in every other row would change every hash.
func (w *rewrap) fillIn(picture image.Image) {
	pix, stride, bytes := pixels(picture)
	rows := w.rows
	for pass, p := range adam7 {
		width, height := w.size(pass)
		if width == 0 {
			continue
		}
		have := int(min(rows, int64(height)))
		rows -= int64(have)
		if pass == 0 {
			continue // the coarsest: zero where it is missing
		}
		// Each pass halves the distance in one direction: what it lies between is dx pixels wide and high.
		ox, oy := 0, p.dy/2
		if pass%2 == 1 {
			ox, oy = p.dx/2, 0
		}
		for i := have; i < height; i++ {
			y := p.y + i*p.dy
			for x := p.x; x < w.head.width; x += p.dx {
				copy(pix[y*stride+x*bytes:][:bytes], pix[(y-oy)*stride+(x-ox)*bytes:][:bytes])
			}
		}
	}
}

// pixels returns the buffer of a picture as the standard library's PNG decoder makes it.
func pixels(picture image.Image) (pix []byte, stride, bytes int) {
	switch m := picture.(type) {
	case *image.Gray:
		return m.Pix, m.Stride, 1
	case *image.Paletted:
		return m.Pix, m.Stride, 1
	case *image.Gray16:
		return m.Pix, m.Stride, 2
	case *image.RGBA:
		return m.Pix, m.Stride, 4
	case *image.NRGBA:
		return m.Pix, m.Stride, 4
	case *image.RGBA64:
		return m.Pix, m.Stride, 8
	case *image.NRGBA64:
		return m.Pix, m.Stride, 8
	}
	panic("unreachable: png.Decode returns no other type")
}
