package isolated

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"example.org/hashmatch/pkg/hashmatch/media"
)

// normalise returns img as one of the types that media.Picture promises, with bounds that start at (0, 0). It may
// write into img's buffers.
func normalise(img image.Image) (image.Image, error) {
	b := img.Bounds()
	if b.Empty() || b.Min != (image.Point{}) {
		return nil, fmt.Errorf("decoder returned a picture of bounds %v", b)
	}
	if !whole(img) {
		return nil, fmt.Errorf("decoder returned a %T with too little data for %v", img, b)
	}
	switch img := img.(type) {
	case *image.Gray, *image.YCbCr:
		return img, nil
	case *image.RGBA:
		if img.Opaque() {
			return img, nil
		}
		return unpremultiplied(img), nil
	case *image.NRGBA:
		return opaqueAsRGBA(img), nil
	case *image.Gray16:
		gray := image.NewGray(b)
		for y := range b.Dy() {
			row := img.Pix[y*img.Stride:]
			out := gray.Pix[y*gray.Stride:][:b.Dx()]
			for x := range out {
				out[x] = row[2*x]
			}
		}
		return gray, nil
	case *image.NRGBA64:
		return opaqueAsRGBA(highBytes(img.Pix, img.Stride, b)), nil
	case *image.RGBA64:
		return opaqueAsRGBA(unpremultiplied64(img)), nil
	case *image.Paletted:
		return fromPalette(img)
	case *image.NYCbCrA:
		return opaqueAsRGBA(withAlpha(&img.YCbCr, img.A, img.AStride)), nil
	case *image.CMYK:
		rgba := image.NewRGBA(b)
		for y := range b.Dy() {
			row := img.Pix[y*img.Stride:][:4*b.Dx()]
			out := rgba.Pix[y*rgba.Stride:]
			for i := 0; i < len(row); i += 4 {
				out[i], out[i+1], out[i+2] = color.CMYKToRGB(row[i], row[i+1], row[i+2], row[i+3])
				out[i+3] = 255
			}
		}
		return rgba, nil
	}
	return nil, fmt.Errorf("decoder returned a %T", img)
}

// whole reports whether img's buffers hold every pixel of its bounds.
func whole(img image.Image) bool {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	plane := func(pix []byte, stride, width, height int) bool {
		return stride >= width && len(pix) >= (height-1)*stride+width
	}
	ycbcr := func(img *image.YCbCr) bool {
		cw, ch, ok := media.ChromaSize(img.SubsampleRatio, w, h)
		return ok && plane(img.Y, img.YStride, w, h) && plane(img.Cb, img.CStride, cw, ch) && plane(img.Cr, img.CStride, cw, ch)
	}
	switch img := img.(type) {
	case *image.Gray:
		return plane(img.Pix, img.Stride, w, h)
	case *image.Gray16:
		return plane(img.Pix, img.Stride, 2*w, h)
	case *image.Paletted:
		return plane(img.Pix, img.Stride, w, h)
	case *image.RGBA:
		return plane(img.Pix, img.Stride, 4*w, h)
	case *image.NRGBA:
		return plane(img.Pix, img.Stride, 4*w, h)
	case *image.CMYK:
		return plane(img.Pix, img.Stride, 4*w, h)
	case *image.RGBA64:
		return plane(img.Pix, img.Stride, 8*w, h)
	case *image.NRGBA64:
		return plane(img.Pix, img.Stride, 8*w, h)
	case *image.YCbCr:
		return ycbcr(img)
	case *image.NYCbCrA:
		return ycbcr(&img.YCbCr) && plane(img.A, img.AStride, w, h)
	}
	return true // refused by its type
}

// opaqueAsRGBA returns img as an RGBA over the same bytes where nothing shows through.
func opaqueAsRGBA(img *image.NRGBA) image.Image {
	if img.Opaque() {
		return &image.RGBA{Pix: img.Pix, Stride: img.Stride, Rect: img.Rect}
	}
	return img
}

// unpremultiplied divides the colours by alpha, in place.
func unpremultiplied(img *image.RGBA) *image.NRGBA {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	for y := range h {
		row := img.Pix[y*img.Stride:][:4*w]
		for i := 0; i < len(row); i += 4 {
			if a := uint32(row[i+3]); a != 0 && a != 255 {
				row[i] = uint8(min((uint32(row[i])*255+a/2)/a, 255))
				row[i+1] = uint8(min((uint32(row[i+1])*255+a/2)/a, 255))
				row[i+2] = uint8(min((uint32(row[i+2])*255+a/2)/a, 255))
			}
		}
	}
	return &image.NRGBA{Pix: img.Pix, Stride: img.Stride, Rect: img.Rect}
}

// unpremultiplied64 divides the colours by alpha and keeps the high byte.
func unpremultiplied64(img *image.RGBA64) *image.NRGBA {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := image.NewNRGBA(img.Rect)
	for y := range h {
		row := img.Pix[y*img.Stride:][:8*w]
		dst := out.Pix[y*out.Stride:]
		for x := range w {
			p, q := row[8*x:8*x+8], dst[4*x:4*x+4]
			a := uint32(p[6])<<8 | uint32(p[7])
			q[3] = p[6]
			for c := range 3 {
				v := uint32(p[2*c])<<8 | uint32(p[2*c+1])
				if a != 0 && a != 0xffff {
					v = uint32(min(uint64(v)*0xffff/uint64(a), 0xffff))
				}
				q[c] = uint8(v >> 8)
			}
		}
	}
	return out
}

// highBytes keeps the high byte of each big-endian 16-bit sample of straight-alpha pixels.
func highBytes(pix []byte, stride int, b image.Rectangle) *image.NRGBA {
	out := image.NewNRGBA(b)
	for y := range b.Dy() {
		row := pix[y*stride:]
		dst := out.Pix[y*out.Stride:][:4*b.Dx()]
		for i := range dst {
			dst[i] = row[2*i]
		}
	}
	return out
}

// fromPalette looks every pixel up.
func fromPalette(img *image.Paletted) (image.Image, error) {
	var table [256]color.NRGBA
	for i, c := range img.Palette[:min(len(img.Palette), 256)] {
		table[i] = color.NRGBAModel.Convert(c).(color.NRGBA)
	}
	out := image.NewNRGBA(img.Rect)
	for y := range img.Rect.Dy() {
		row := img.Pix[y*img.Stride:][:img.Rect.Dx()]
		dst := out.Pix[y*out.Stride:]
		for x, index := range row {
			if int(index) >= len(img.Palette) {
				return nil, fmt.Errorf("palette index %d of %d", index, len(img.Palette))
			}
			c := table[index]
			dst[4*x], dst[4*x+1], dst[4*x+2], dst[4*x+3] = c.R, c.G, c.B, c.A
		}
	}
	return opaqueAsRGBA(out), nil
}

// withAlpha converts the colour planes to RGB and puts the alpha plane, of the same size, beside them.
func withAlpha(img *image.YCbCr, alpha []byte, stride int) *image.NRGBA {
	rgba := image.NewRGBA(img.Rect)
	draw.Draw(rgba, rgba.Rect, img, image.Point{}, draw.Src)
	for y := range img.Rect.Dy() {
		row := alpha[y*stride:][:img.Rect.Dx()]
		dst := rgba.Pix[y*rgba.Stride:]
		for x, a := range row {
			dst[4*x+3] = a
		}
	}
	return &image.NRGBA{Pix: rgba.Pix, Stride: rgba.Stride, Rect: rgba.Rect}
}

// fullRange stretches planes of video range (luma 16..235, chroma 16..240) to 0..255 in place.
func fullRange(img *image.YCbCr) {
	for i, v := range img.Y {
		img.Y[i] = fullLuma[v]
	}
	for i, v := range img.Cb {
		img.Cb[i] = fullChroma[v]
	}
	for i, v := range img.Cr {
		img.Cr[i] = fullChroma[v]
	}
}

var fullLuma, fullChroma = func() (luma, chroma [256]uint8) {
	stretch := func(v, zero, from, span int) uint8 { // round((v-from) * 255/span) + zero, clamped
		n := 2*255*(v-from) + span
		if n < 0 {
			n -= 2*span - 1 // floor, not towards zero
		}
		return uint8(min(max(n/(2*span)+zero, 0), 255))
	}
	for v := range 256 {
		luma[v] = stretch(v, 0, 16, 219)
		chroma[v] = stretch(v, 128, 128, 224)
	}
	return luma, chroma
}()
