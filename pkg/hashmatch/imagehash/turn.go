package imagehash

import (
	"encoding/binary"
	"image"
	"sync"

	"example.org/hashmatch/pkg/hashmatch"
)

// turn is one of the dihedral variants: where a pixel of the turned picture comes from. Its coordinates are exchanged
// first if transposed; then x counts from the right if mirrorX, y from the bottom if mirrorY.
type turn struct {
	name                         hashmatch.Dihedral
	transposed, mirrorX, mirrorY bool
}

var turns = []turn{
	{hashmatch.Rotate90, true, true, false},
	{hashmatch.Rotate180, false, true, true},
	{hashmatch.Rotate270, true, false, true},
	{hashmatch.FlipX, false, false, true},
	{hashmatch.FlipY, false, true, false},
	{hashmatch.FlipPlus, true, false, false},
	{hashmatch.FlipMinus, true, true, true},
}

// retained is the largest buffer that is kept for the next picture: larger ones are rare, and would only hold memory.
const retained = 16 << 20

var buffers = sync.Pool{New: func() any { return new([]uint8) }}

func borrow() *[]uint8 { return buffers.Get().(*[]uint8) }

func giveBack(buffer *[]uint8) {
	if cap(*buffer) > retained {
		return
	}
	clear(*buffer) // the pixels of an upload are kept nowhere
	buffers.Put(buffer)
}

// turned returns the picture turned, in buffer, which it grows. The components of a YCbCr picture all have its full
// size then: what one chroma sample covers does not stay together when a side is odd.
func (p *picture) turned(t turn, buffer *[]uint8) image.Image {
	width, height := p.width, p.height
	if t.transposed {
		width, height = height, width
	}
	total := 0
	for _, c := range p.planes {
		total += c.size * width * height
	}
	if cap(*buffer) < total {
		*buffer = make([]uint8, total)
	}
	rest := (*buffer)[:total]
	*buffer = rest
	planes := make([]plane, len(p.planes))
	for i, c := range p.planes {
		n := c.size * width * height
		planes[i] = plane{pix: rest[:n:n], stride: c.size * width, size: c.size}
		rest = rest[n:]
		planes[i].turn(c, t, width, height)
	}
	return imageOf(planes, width, height, image.YCbCrSubsampleRatio444)
}

// block is the side of the squares that are turned one after the other, so that the rows that a column is read from
// stay in the processor's nearest cache.
const block = 64

// turn fills the plane, of so many pixels, from src.
func (c plane) turn(src plane, t turn, width, height int) {
	for y := 0; y < height; y += block {
		for x := 0; x < width; x += block {
			for j := y; j < min(y+block, height); j++ {
				row := c.pix[j*c.stride:][:c.stride]
				for i := x; i < min(x+block, width); i++ {
					at := src.offset(t, i, j, width, height)
					if c.size == 4 {
						binary.NativeEndian.PutUint32(row[4*i:], binary.NativeEndian.Uint32(src.pix[at:]))
					} else {
						row[i] = src.pix[at]
					}
				}
			}
		}
	}
}

// offset returns where in c the pixel (x, y) of the turned picture, of the given size, comes from.
func (c plane) offset(t turn, x, y, width, height int) int {
	if t.transposed {
		x, y, width, height = y, x, height, width
	}
	if t.mirrorX {
		x = width - 1 - x
	}
	if t.mirrorY {
		y = height - 1 - y
	}
	return y>>c.down*c.stride + x>>c.right*c.size
}
