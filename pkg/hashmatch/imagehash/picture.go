package imagehash

import (
	"fmt"
	"image"
)

// longest is the longest side that goimagehash's scaling can take. It sums weights of up to 256 times samples of up
// to 255 in an int32, the weights of a point adding up to 256 x side/8.
const longest = 1 << 18

// picture is an image whose buffers were checked.
type picture struct {
	width, height int
	planes        []plane // one of gray or RGBA; Y, Cb and Cr
	ratio         image.YCbCrSubsampleRatio
}

// plane holds the samples of one component of an image, or of all, pixel by pixel.
type plane struct {
	pix         []uint8
	stride      int  // bytes from a row to the next
	size        int  // bytes a pixel: 1, or 4 for RGBA
	right, down uint // by how many bits the coordinates of a pixel are shifted to find its sample
}

// pictureOf returns the *image.Gray, *image.YCbCr or *image.RGBA img if it starts at (0, 0), is not empty and has
// buffers that hold every pixel.
func pictureOf(img image.Image) (*picture, error) {
	var p picture
	var bounds image.Rectangle
	switch m := img.(type) {
	case *image.Gray:
		if m != nil {
			bounds, p.planes = m.Rect, []plane{{pix: m.Pix, stride: m.Stride, size: 1}}
		}
	case *image.RGBA:
		if m != nil {
			bounds, p.planes = m.Rect, []plane{{pix: m.Pix, stride: m.Stride, size: 4}}
		}
	case *image.YCbCr:
		if m == nil {
			break
		}
		right, down, known := subsampling(m.SubsampleRatio)
		if !known {
			break
		}
		bounds, p.ratio = m.Rect, m.SubsampleRatio
		p.planes = []plane{
			{pix: m.Y, stride: m.YStride, size: 1},
			{pix: m.Cb, stride: m.CStride, size: 1, right: right, down: down},
			{pix: m.Cr, stride: m.CStride, size: 1, right: right, down: down},
		}
	default:
		return nil, fmt.Errorf("imagehash: an image of type %T", img)
	}
	p.width, p.height = bounds.Dx(), bounds.Dy()
	if bounds.Min != (image.Point{}) || p.width <= 0 || p.height <= 0 {
		return nil, fmt.Errorf("imagehash: a %T that is empty or does not start at (0, 0)", img)
	}
	if max(p.width, p.height) > longest {
		return nil, fmt.Errorf("imagehash: %d x %d pixels: longer than %d", p.width, p.height, longest)
	}
	for _, c := range p.planes {
		if !c.holds(p.width, p.height) {
			return nil, fmt.Errorf("imagehash: a %T that lacks pixels", img)
		}
	}
	return &p, nil
}

// holds reports whether the plane holds all samples of so many pixels. Sides are up to longest, so nothing overflows.
func (c plane) holds(width, height int) bool {
	row := ((width-1)>>c.right + 1) * c.size
	return row <= len(c.pix) && row <= c.stride && (height-1)>>c.down <= (len(c.pix)-row)/c.stride
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

// image returns the picture as an image of its own, on the same buffers.
func (p *picture) image() image.Image { return imageOf(p.planes, p.width, p.height, p.ratio) }

func imageOf(planes []plane, width, height int, ratio image.YCbCrSubsampleRatio) image.Image {
	bounds := image.Rect(0, 0, width, height)
	first := planes[0]
	switch {
	case first.size == 4:
		return &image.RGBA{Pix: first.pix, Stride: first.stride, Rect: bounds}
	case len(planes) == 1:
		return &image.Gray{Pix: first.pix, Stride: first.stride, Rect: bounds}
	}
	return &image.YCbCr{
		Y: first.pix, Cb: planes[1].pix, Cr: planes[2].pix, YStride: first.stride, CStride: planes[1].stride,
		SubsampleRatio: ratio, Rect: bounds,
	}
}
