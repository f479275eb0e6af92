package imagehash

import (
	"encoding/binary"
	"image"
	"slices"
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

// turn fills the plane, of so many pixels, from src. The place of a sample in src is the sum of what x and what y say,
// whichever way they are turned.
func (c plane) turn(src plane, t turn, width, height int) {
	byX, byY := make([]int, width), make([]int, height)
	if t.transposed {
		src.rows(byX, t.mirrorY)
		src.columns(byY, t.mirrorX)
	} else {
		src.columns(byX, t.mirrorX)
		src.rows(byY, t.mirrorY)
	}
	for y := 0; y < height; y += block {
		for x := 0; x < width; x += block {
			piece := byX[x:min(x+block, width)]
			for j := y; j < min(y+block, height); j++ {
				row, from := c.pix[j*c.stride+x*c.size:][:len(piece)*c.size], src.pix[byY[j]:]
				if c.size == 4 {
					for i, at := range piece {
						binary.NativeEndian.PutUint32(row[4*i:], binary.NativeEndian.Uint32(from[at:]))
					}
					continue
				}
				for i, at := range piece {
					row[i] = from[at]
				}
			}
		}
	}
}

// columns sets at to where the columns of the plane begin in a row, from the last one back if mirrored.
func (c plane) columns(at []int, mirrored bool) {
	for x := range at {
		at[x] = x >> c.right * c.size
	}
	if mirrored {
		slices.Reverse(at)
	}
}

// rows sets at to where the rows of the plane begin, from the last one up if mirrored.
func (c plane) rows(at []int, mirrored bool) {
	for y := range at {
		at[y] = y >> c.down * c.stride
	}
	if mirrored {
		slices.Reverse(at)
	}
}
