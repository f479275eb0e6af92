package media

import "image"

// scratch holds the buffers of turned pictures, one a plane, reused from frame to frame.
type scratch [3][]byte

func (s *scratch) plane(i, n int) []byte {
	if cap(s[i]) < n {
		s[i] = make([]byte, n)
	}
	s[i] = s[i][:n]
	return s[i]
}

// turn returns the picture turned and mirrored as an EXIF orientation of 2 to 8 asks for, exactly, pixel by pixel.
// The picture is a checked *image.Gray, *image.RGBA or *image.YCbCr; the result is of the same type and valid until
// the next call. Chroma stays subsampled where the samples still fall on whole blocks, and becomes 4:4:4 otherwise.
func (s *scratch) turn(picture image.Image, orientation int) image.Image {
	size := picture.Bounds().Size()
	out := size
	if orientation >= 5 {
		out = image.Pt(size.Y, size.X)
	}
	rect := image.Rectangle{Max: out}
	switch m := picture.(type) {
	case *image.Gray:
		pix := s.plane(0, out.X*out.Y)
		turnBytes(pix, m.Pix, m.Stride, size.X, size.Y, orientation)
		return &image.Gray{Pix: pix, Stride: out.X, Rect: rect}
	case *image.RGBA:
		pix := s.plane(0, 4*out.X*out.Y)
		turnPixels(pix, m.Pix, m.Stride, size.X, size.Y, orientation)
		return &image.RGBA{Pix: pix, Stride: 4 * out.X, Rect: rect}
	case *image.YCbCr:
		return s.turnYCbCr(m, size, out, orientation)
	}
	panic("unreachable: emit checks the type")
}

func (s *scratch) turnYCbCr(m *image.YCbCr, size, out image.Point, orientation int) image.Image {
	across, down := subsampling(m.SubsampleRatio)
	turned := &image.YCbCr{YStride: out.X, CStride: out.X, SubsampleRatio: image.YCbCrSubsampleRatio444, Rect: image.Rectangle{Max: out}}
	turned.Y = s.plane(0, out.X*out.Y)
	turnBytes(turned.Y, m.Y, m.YStride, size.X, size.Y, orientation)
	ratio, ok := m.SubsampleRatio, size.X%across == 0 && size.Y%down == 0
	if orientation >= 5 {
		switch {
		case across == down:
		case across == 2 && down == 1:
			ratio = image.YCbCrSubsampleRatio440
		case across == 1 && down == 2:
			ratio = image.YCbCrSubsampleRatio422
		default: // 4:1:1 and 4:1:0 on their side have no name
			ok = false
		}
	}
	if ok {
		cw, ch := size.X/across, size.Y/down
		turned.SubsampleRatio = ratio
		turned.Cb, turned.Cr = s.plane(1, cw*ch), s.plane(2, cw*ch)
		turned.CStride = cw
		if orientation >= 5 {
			turned.CStride = ch
		}
		turnBytes(turned.Cb, m.Cb, m.CStride, cw, ch, orientation)
		turnBytes(turned.Cr, m.Cr, m.CStride, cw, ch, orientation)
		return turned
	}
	turned.Cb, turned.Cr = s.plane(1, out.X*out.Y), s.plane(2, out.X*out.Y)
	origin, dx, dy := steps(size.X, size.Y, orientation)
	i := 0
	for y := range out.Y {
		at := origin.Add(dy.Mul(y))
		for range out.X {
			c := at.Y/down*m.CStride + at.X/across
			turned.Cb[i], turned.Cr[i] = m.Cb[c], m.Cr[c]
			i++
			at = at.Add(dx)
		}
	}
	return turned
}

// steps returns where in a stored picture of the given size the shown picture starts, and how far one step right and
// one step down in the shown picture go in the stored one. Orientations as in EXIF 2.3, tag 0x0112.
func steps(width, height, orientation int) (origin, right, down image.Point) {
	r, b := width-1, height-1
	switch orientation {
	case 2: // mirrored left to right
		return image.Pt(r, 0), image.Pt(-1, 0), image.Pt(0, 1)
	case 3: // turned by 180 degrees
		return image.Pt(r, b), image.Pt(-1, 0), image.Pt(0, -1)
	case 4: // upside down
		return image.Pt(0, b), image.Pt(1, 0), image.Pt(0, -1)
	case 5: // mirrored at the main diagonal
		return image.Pt(0, 0), image.Pt(0, 1), image.Pt(1, 0)
	case 6: // to be turned clockwise
		return image.Pt(0, b), image.Pt(0, -1), image.Pt(1, 0)
	case 7: // mirrored at the other diagonal
		return image.Pt(r, b), image.Pt(0, -1), image.Pt(-1, 0)
	case 8: // to be turned counter-clockwise
		return image.Pt(r, 0), image.Pt(0, 1), image.Pt(-1, 0)
	}
	return image.Pt(0, 0), image.Pt(1, 0), image.Pt(0, 1)
}

// turnBytes turns a plane of one byte a pixel into the tight plane dst.
func turnBytes(dst, src []byte, stride, width, height, orientation int) {
	origin, right, down := steps(width, height, orientation)
	start, dx, dy := origin.Y*stride+origin.X, right.Y*stride+right.X, down.Y*stride+down.X
	if orientation >= 5 {
		width, height = height, width
	}
	for y := range height {
		row := dst[y*width:][:width]
		at := start + y*dy
		if dx == 1 {
			copy(row, src[at:])
			continue
		}
		for x := range row {
			row[x] = src[at]
			at += dx
		}
	}
}

// turnPixels turns a plane of four bytes a pixel into the tight plane dst.
func turnPixels(dst, src []byte, stride, width, height, orientation int) {
	origin, right, down := steps(width, height, orientation)
	start, dx, dy := origin.Y*stride+4*origin.X, right.Y*stride+4*right.X, down.Y*stride+4*down.X
	if orientation >= 5 {
		width, height = height, width
	}
	for y := range height {
		row := dst[4*y*width:][:4*width]
		at := start + y*dy
		for x := 0; x < len(row); x += 4 {
			copy(row[x:x+4], src[at:at+4])
			at += dx
		}
	}
}
