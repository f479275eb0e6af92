package media

import (
	"encoding/binary"
	"fmt"
	"image"
	"math/bits"

	"example.org/hashmatch/pkg/hashmatch"
)

// bmpInfo is the headers of a BMP.
type bmpInfo struct {
	width, height int
	topDown       bool
	bits          int
	compression   uint32
	masks         [4]uint32   // red, green, blue, alpha
	palette       [256]uint32 // 0xffRRGGBB; opaque black past its end
	colours       int
	pixels        int // offset of the pixels
}

// BMP's compressions.
const (
	bmpRGB            = 0
	bmpRLE8           = 1
	bmpRLE4           = 2
	bmpBitfields      = 3
	bmpAlphaBitfields = 6
)

var errBMPShort = &hashmatch.Failure{Code: hashmatch.Truncated, Detail: "in the header"}

// bmpHeader reads the headers and the palette, of OS/2 and of Windows. It is decoded here, since the library that
// there is knows neither RLE nor 16 bits a pixel nor a gap before the pixels.
func bmpHeader(content []byte) (*bmpInfo, error) {
	if len(content) < 26 {
		return nil, errBMPShort
	}
	word := func(at int) int { return int(binary.LittleEndian.Uint16(content[at:])) }
	long := func(at int) uint32 { return binary.LittleEndian.Uint32(content[at:]) }
	f := &bmpInfo{}
	size := int(min(long(14), 1<<16))
	table, entry, used := 14+size, 4, uint32(0)
	if size == 12 {
		f.width, f.height, f.bits, entry = word(18), word(20), word(24), 3
	} else {
		if table < 30 {
			return nil, &hashmatch.Failure{Code: hashmatch.Corrupt, Detail: "a header of no known size"}
		}
		if table > len(content) {
			return nil, errBMPShort
		}
		f.width, f.height, f.bits = int(int32(long(18))), int(int32(long(22))), word(28)
		if f.height < 0 {
			f.height, f.topDown = -max(f.height, -maxHeaderSide), true
		}
		if size >= 20 {
			f.compression = long(30)
		}
		if size >= 36 {
			used = long(46)
		}
		if err := f.readMasks(content, size, &table); err != nil {
			return nil, err
		}
	}
	if !f.supported() {
		return f, &hashmatch.Failure{Code: hashmatch.Unsupported,
			Detail: fmt.Sprintf("BMP of %d bits a pixel, compression %d", f.bits, f.compression)}
	}
	f.pixels = int(min(long(10), maxHeaderSide))
	if f.bits <= 8 {
		f.colours = 1 << f.bits
		if used > 0 {
			f.colours = int(min(used, uint32(f.colours)))
		}
		if f.pixels > table {
			f.colours = min(f.colours, (f.pixels-table)/entry)
		}
		for i := range f.palette {
			f.palette[i] = 0xff000000
			if at := table + i*entry; i < f.colours && at+entry <= len(content) {
				f.palette[i] |= uint32(content[at+2])<<16 | uint32(content[at+1])<<8 | uint32(content[at])
			}
		}
	}
	if f.pixels < 14+size { // not stated
		f.pixels = table + f.colours*entry
	}
	return f, nil
}

// readMasks reads which bits of a pixel hold which colour. table is moved past masks that follow the header.
func (f *bmpInfo) readMasks(content []byte, size int, table *int) error {
	switch f.bits {
	case 16:
		f.masks = [4]uint32{0x7c00, 0x3e0, 0x1f, 0}
	case 24, 32:
		f.masks = [4]uint32{0xff0000, 0xff00, 0xff, 0}
	}
	count := 0
	switch {
	case f.compression == bmpAlphaBitfields:
		count = 4
	case f.compression == bmpBitfields:
		count = 3
	}
	if count > 0 && size < 40+4*count {
		if size != 40 {
			return nil // OS/2: another compression, which is refused
		}
		*table += 4 * count
	}
	if size >= 56 { // the header has a mask for alpha
		if f.bits == 32 || count > 0 {
			f.masks[3] = binary.LittleEndian.Uint32(content[66:])
		}
	}
	if f.compression != bmpBitfields && f.compression != bmpAlphaBitfields {
		return nil
	}
	if 54+4*count > len(content) {
		return errBMPShort
	}
	for i := range count {
		f.masks[i] = binary.LittleEndian.Uint32(content[54+4*i:])
	}
	return nil
}

// supported reports whether bits and compression go together.
func (f *bmpInfo) supported() bool {
	switch f.compression {
	case bmpRGB:
		switch f.bits {
		case 1, 2, 4, 8, 16, 24, 32:
			return true
		}
	case bmpRLE8:
		return f.bits == 8
	case bmpRLE4:
		return f.bits == 4
	case bmpBitfields, bmpAlphaBitfields:
		return f.bits == 16 || f.bits == 32
	}
	return false
}

// bmp decodes a BMP. Rows that are missing are black.
func (j *job) bmp() error {
	f, err := bmpHeader(j.content)
	if f != nil {
		j.media.Width, j.media.Height = f.width, f.height
	}
	if err != nil {
		return err
	}
	j.media.Frames = 1
	if err := j.fits(f.width, f.height); err != nil {
		return err
	}
	if err := j.admit(int64(f.width) * int64(f.height)); err != nil {
		return err
	}
	perPixel := int64(4)
	if f.masks[3] != 0 {
		perPixel += 4
	}
	if err := j.hold(perPixel * int64(f.width) * int64(f.height)); err != nil {
		return err
	}
	d := &bmpDecoder{job: j, bmpInfo: f, rest: j.content[min(f.pixels, len(j.content)):]}
	d.canvas = image.NewNRGBA(image.Rect(0, 0, f.width, f.height))
	if f.compression == bmpRLE8 || f.compression == bmpRLE4 {
		err = d.runs()
	} else {
		err = d.rows()
	}
	if err != nil {
		return err
	}
	if !d.any {
		return nil // a failure says why
	}
	return j.emit(0, 0, d.canvas, 1, false)
}

type bmpDecoder struct {
	*job
	*bmpInfo
	rest   []byte
	canvas *image.NRGBA
	any    bool // some pixel was decoded
}

// row returns a row of the canvas by its place in the file.
func (d *bmpDecoder) row(y int) []byte {
	if !d.topDown {
		y = d.height - 1 - y
	}
	return d.canvas.Pix[y*d.canvas.Stride:][:4*d.width]
}

// paint writes a colour of the palette.
func (d *bmpDecoder) paint(pixel []byte, index int) {
	if index >= d.colours {
		d.fail(hashmatch.Corrupt, "a colour that the palette does not have")
	}
	c := d.palette[index&0xff]
	pixel[0], pixel[1], pixel[2], pixel[3] = byte(c>>16), byte(c>>8), byte(c), 255
}

// rows decodes uncompressed rows, each padded to four bytes.
func (d *bmpDecoder) rows() error {
	size := (d.width*d.bits + 31) / 32 * 4
	transparent := false
	var channels [4]bmpChannel
	for i, mask := range d.masks {
		channels[i] = newBMPChannel(mask)
	}
	y := 0
	for ; y < d.height && len(d.rest) > 0; y++ {
		if y&63 == 0 && d.ctx.Err() != nil {
			return d.ctx.Err()
		}
		src, out := d.rest[:min(size, len(d.rest))], d.row(y)
		d.rest = d.rest[len(src):]
		whole := len(src) * 8 / d.bits // pixels that are there
		if whole < d.width {
			d.fail(hashmatch.Truncated, "not enough pixels")
			out = out[:4*whole]
		}
		d.any = d.any || len(out) > 0
		switch {
		case d.bits <= 8:
			for x := 0; x < len(out)/4; x++ {
				at := x * d.bits
				d.paint(out[4*x:], int(src[at/8]>>(8-d.bits-at%8))&(1<<d.bits-1))
			}
		case d.bits == 24:
			for x, s := 0, 0; x < len(out); x, s = x+4, s+3 {
				out[x], out[x+1], out[x+2], out[x+3] = src[s+2], src[s+1], src[s], 255
			}
		default:
			for x := 0; x < len(out); x += 4 {
				pixel := uint32(binary.LittleEndian.Uint16(src[x/4*d.bits/8:]))
				if d.bits == 32 {
					pixel = binary.LittleEndian.Uint32(src[x:])
				}
				for i := range out[x : x+4] {
					out[x+i] = channels[i].value(pixel)
				}
				transparent = transparent || out[x+3] != 0
			}
		}
	}
	if y < d.height {
		d.fail(hashmatch.Truncated, "not enough pixels")
	}
	if d.bits == 16 || d.bits == 32 {
		d.settle(transparent && d.masks[3] != 0)
	} else {
		d.settle(false)
	}
	return nil
}

// settle makes the canvas opaque, unless alpha is used: a mask for it with all pixels transparent is a mistake that
// many writers make, and browsers show such a picture.
func (d *bmpDecoder) settle(alpha bool) {
	if alpha {
		return
	}
	for i := 3; i < len(d.canvas.Pix); i += 4 {
		d.canvas.Pix[i] = 255
	}
}

// bmpChannel takes one colour out of a pixel.
type bmpChannel struct{ mask, shift, top uint32 }

func newBMPChannel(mask uint32) bmpChannel {
	if mask == 0 {
		return bmpChannel{}
	}
	shift := uint32(bits.TrailingZeros32(mask))
	return bmpChannel{mask, shift, mask >> shift}
}

// value scales to 0..255, rounded to the nearest; 0 without a mask.
func (c bmpChannel) value(pixel uint32) byte {
	switch c.top {
	case 0:
		return 0
	case 255:
		return byte(pixel & c.mask >> c.shift)
	}
	return byte((uint64(pixel&c.mask>>c.shift)*255 + uint64(c.top)/2) / uint64(c.top))
}

// runs decodes RLE8 and RLE4. Pixels that no run reaches have the palette's first colour.
func (d *bmpDecoder) runs() error {
	for i := 0; i < len(d.canvas.Pix); i += 4 {
		d.paint(d.canvas.Pix[i:i+4], 0)
	}
	nibbles := d.bits == 4
	x, y := 0, 0
	set := func(index byte) {
		if x < d.width && y < d.height {
			d.paint(d.row(y)[4*x:], int(index))
			d.any = true
		} else {
			d.fail(hashmatch.Corrupt, "a run past the end of its row")
		}
		x++
	}
	pair := func(i int, b byte) byte {
		if !nibbles {
			return b
		}
		if i&1 == 0 {
			return b >> 4
		}
		return b & 15
	}
	for step := 0; ; step++ {
		if step&0xfff == 0 && d.ctx.Err() != nil {
			return d.ctx.Err()
		}
		if len(d.rest) < 2 {
			d.fail(hashmatch.Truncated, "no end of the runs")
			return nil
		}
		n, b := int(d.rest[0]), d.rest[1]
		d.rest = d.rest[2:]
		switch {
		case y >= d.height && (n > 0 || b != 1):
			d.fail(hashmatch.Corrupt, "runs past the end of the picture")
			return nil
		case n > 0:
			for i := range n {
				set(pair(i, b))
			}
		case b == 0: // end of row
			x, y = 0, y+1
		case b == 1: // end of picture
			d.any = true
			return nil
		case b == 2: // move
			if len(d.rest) < 2 {
				continue
			}
			x, y = x+int(d.rest[0]), y+int(d.rest[1])
			d.rest = d.rest[2:]
		default: // so many pixels as they are, padded to two bytes
			size := int(b)
			if nibbles {
				size = (size + 1) / 2
			}
			for i := range int(b) {
				at := i
				if nibbles {
					at = i / 2
				}
				if at >= len(d.rest) {
					break
				}
				set(pair(i, d.rest[at]))
			}
			d.rest = d.rest[min(size+size&1, len(d.rest)):]
		}
	}
}
