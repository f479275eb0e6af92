package media

import "image"

// opaque reports whether every pixel of a checked picture is opaque: its pixels are then those of an image.RGBA.
func opaque(m *image.NRGBA) bool {
	width, height := m.Rect.Dx(), m.Rect.Dy()
	for y := range height {
		row := m.Pix[y*m.Stride:][:4*width]
		all := byte(0xff)
		for x := 3; x < len(row); x += 4 {
			all &= row[x]
		}
		if all != 0xff {
			return false
		}
	}
	return true
}

// flatten puts a background of one gray level behind a picture of straight alpha: c*a + background*(255-a), divided
// by 255 and rounded to the nearest, in 8-bit sRGB values as browsers do. Nothing of a fully transparent pixel's
// colour remains. The result is valid until the next call.
func (j *job) flatten(m *image.NRGBA, background uint32) *image.RGBA {
	width, height := m.Rect.Dx(), m.Rect.Dy()
	if n := 4 * width * height; cap(j.flat) < n {
		j.flat = make([]byte, n)
	} else {
		j.flat = j.flat[:n]
	}
	for y := range height {
		src, dst := m.Pix[y*m.Stride:][:4*width], j.flat[4*width*y:][:4*width]
		for x := 0; x+3 < len(src); x += 4 {
			s, d := src[x:x+4:x+4], dst[x:x+4:x+4]
			switch a := uint32(s[3]); a {
			case 255:
				copy(d, s)
			default:
				rest := background*(255-a) + 127
				d[0] = uint8((uint32(s[0])*a + rest) / 255)
				d[1] = uint8((uint32(s[1])*a + rest) / 255)
				d[2] = uint8((uint32(s[2])*a + rest) / 255)
				d[3] = 255
			}
		}
	}
	return &image.RGBA{Pix: j.flat, Stride: 4 * width, Rect: m.Rect}
}
