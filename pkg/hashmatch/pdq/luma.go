package pdq

import (
	"fmt"
	"image"
)

// Luma is a picture as PDQ sees it: rows of brightness from 0 to 255. A caller that crops, turns or scales on the way
// implements it; LumaOf makes one of a frame's image.
type Luma interface {
	// Size returns the width and the height in pixels.
	Size() (width, height int)
	// Row writes the brightness of the pixels of row y from column x on to dst, len(dst) of them, all inside the
	// picture. Rows are asked for from top to bottom, in pieces.
	Row(dst []float32, x, y int)
}

// The brightness of a colour is the sum of three products that are looked up. An index is an 8-bit value, or what
// the conversion from YCbCr gives before it is clamped: -180 to 433, taken modulo 1024.
var (
	red   = products(.299)
	green = products(.587)
	blue  = products(.114)
)

// products returns weight * v, rounded to float32, at each index v modulo 1024, v clamped to 0..255.
func products(weight float32) (table [1024]float32) {
	for i := range table {
		v := i
		if i >= 640 { // a negative value
			v = i - 1024
		}
		table[i] = weight * float32(min(max(v, 0), 255))
	}
	return table
}

// LumaOf returns the luma of a *image.Gray, *image.YCbCr or opaque *image.RGBA whose bounds start at (0, 0). A gray
// pixel is its own luma; YCbCr is converted to RGB as image/color does. Any other image, an empty one and one whose
// buffers do not hold all of its pixels is an error.
func LumaOf(img image.Image) (Luma, error) {
	if img == nil {
		return nil, fmt.Errorf("pdq: no image")
	}
	switch m := img.(type) {
	case *image.Gray:
		if m != nil && holds(m.Rect, m.Stride, 1, len(m.Pix)) {
			return (*gray)(m), nil
		}
	case *image.RGBA:
		if m != nil && holds(m.Rect, m.Stride, 4, len(m.Pix)) {
			return (*rgba)(m), nil
		}
	case *image.YCbCr:
		if m == nil {
			break
		}
		right, down, known := subsampling(m.SubsampleRatio)
		chroma := image.Rect(0, 0, (m.Rect.Dx()+1<<right-1)>>right, (m.Rect.Dy()+1<<down-1)>>down)
		if known && holds(m.Rect, m.YStride, 1, len(m.Y)) &&
			holds(chroma, m.CStride, 1, len(m.Cb)) && holds(chroma, m.CStride, 1, len(m.Cr)) {
			return &ycbcr{m, right, down}, nil
		}
	default:
		return nil, fmt.Errorf("pdq: an image of type %T", img)
	}
	return nil, fmt.Errorf("pdq: a %T that is empty, does not start at (0, 0) or lacks pixels", img)
}

// holds reports whether a buffer of the given length holds every pixel of r.
func holds(r image.Rectangle, stride, pixel, length int) bool {
	w, h := r.Dx(), r.Dy()
	if r.Min != (image.Point{}) || w <= 0 || h <= 0 || w > length/pixel || stride < w*pixel {
		return false
	}
	return h-1 <= (length-w*pixel)/stride
}

// subsampling returns by how many bits chroma coordinates are shifted.
func subsampling(ratio image.YCbCrSubsampleRatio) (right, down uint, known bool) {
	switch ratio {
	case image.YCbCrSubsampleRatio444:
		return 0, 0, true
	case image.YCbCrSubsampleRatio422:
		return 1, 0, true
	case image.YCbCrSubsampleRatio420:
		return 1, 1, true
	case image.YCbCrSubsampleRatio440:
		return 0, 1, true
	case image.YCbCrSubsampleRatio411:
		return 2, 0, true
	case image.YCbCrSubsampleRatio410:
		return 2, 1, true
	}
	return 0, 0, false
}

type gray image.Gray

func (m *gray) Size() (width, height int) { return m.Rect.Dx(), m.Rect.Dy() }

func (m *gray) Row(dst []float32, x, y int) {
	row := m.Pix[y*m.Stride+x:][:len(dst)]
	done := using.gray(dst, row)
	dst = dst[done:]
	for i, v := range row[done:] {
		dst[i] = float32(v)
	}
}

type rgba image.RGBA

func (m *rgba) Size() (width, height int) { return m.Rect.Dx(), m.Rect.Dy() }

func (m *rgba) Row(dst []float32, x, y int) {
	row := m.Pix[y*m.Stride+x*4:][:len(dst)*4]
	done := using.rgba(dst, row)
	dst, row = dst[done:], row[4*done:]
	for i := range dst {
		p := row[4*i : 4*i+3 : 4*i+3]
		dst[i] = red[p[0]] + green[p[1]] + blue[p[2]]
	}
}

type ycbcr struct {
	*image.YCbCr
	right, down uint
}

func (m *ycbcr) Size() (width, height int) { return m.Rect.Dx(), m.Rect.Dy() }

func (m *ycbcr) Row(dst []float32, x, y int) {
	luma := m.Y[y*m.YStride+x:][:len(dst)]
	first := (y>>m.down)*m.CStride + x>>m.right
	last := (y>>m.down)*m.CStride + (x+len(dst)-1)>>m.right
	cb, cr := m.Cb[first:last+1], m.Cr[first:last+1]
	if m.right == 0 || m.right == 1 && x&1 == 0 {
		done := using.ycbcr(dst, luma, cb, cr, m.right)
		dst, luma, cb, cr, x = dst[done:], luma[done:], cb[done>>m.right:], cr[done>>m.right:], x+done
	}
	switch {
	case m.right == 0:
		cb, cr = cb[:len(dst)], cr[:len(dst)]
		for i := range dst {
			dst[i] = chromaOf(cb[i], cr[i]).luma(luma[i])
		}
	case m.right == 1 && x&1 == 0:
		pairs := len(dst) / 2
		if len(dst)&1 == 1 { // the last column of an odd number
			dst[2*pairs] = chromaOf(cb[pairs], cr[pairs]).luma(luma[2*pairs])
		}
		cb, cr = cb[:pairs], cr[:pairs]
		for i := range pairs {
			c := chromaOf(cb[i], cr[i])
			y, d := luma[2*i:2*i+2], dst[2*i:2*i+2]
			d[0], d[1] = c.luma(y[0]), c.luma(y[1])
		}
	default:
		for i := range dst {
			j := (x+i)>>m.right - x>>m.right
			dst[i] = chromaOf(cb[j], cr[j]).luma(luma[i])
		}
	}
}

// chroma is what a pair of chroma samples adds to red, green and blue, in 65536ths. The factors are those of
// image/color: 1.402, 0.344136, 0.714136 and 1.772.
type chroma struct{ r, g, b int32 }

func chromaOf(cb, cr uint8) chroma {
	u, v := int32(cb)-128, int32(cr)-128
	return chroma{91881 * v, -22554*u - 46802*v, 116130 * u}
}

// luma returns the brightness of a pixel with luma sample y. The tables clamp.
func (c chroma) luma(y uint8) float32 {
	yy := int32(y) * 0x10101
	return red[uint32(yy+c.r)>>16&1023] + green[uint32(yy+c.g)>>16&1023] + blue[uint32(yy+c.b)>>16&1023]
}
