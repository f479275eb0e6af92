package main

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
)

func encodeJPEG(m image.Image, quality int) []byte {
	var b bytes.Buffer
	must(jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}))
	return b.Bytes()
}

// exif returns an EXIF block that says nothing but the orientation: the part after "Exif\0\0".
func exif(orientation int) []byte {
	block := []byte("II*\x00\x08\x00\x00\x00\x01\x00")
	block = append(block, 0x12, 0x01, 3, 0, 1, 0, 0, 0, byte(orientation), 0, 0, 0)
	return append(block, 0, 0, 0, 0)
}

// segment returns a JPEG segment: marker, length, content.
func segment(marker byte, content ...byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(content)+2)), content...)
}

// afterSOI puts a segment in front of all others.
func afterSOI(file, segment []byte) []byte {
	return concat(file[:2], segment, file[2:])
}

func orientedJPEG(file []byte, orientation int) []byte {
	return afterSOI(file, segment(0xe1, append([]byte("Exif\x00\x00"), exif(orientation)...)...))
}

// The ways a JPEG says what its channels are.
type adobe int

const (
	noAdobe  adobe = -1 // three channels are YCbCr
	plain    adobe = 0  // RGB, or CMYK stored inverted
	withYCCK adobe = 2  // YCbCr of the inks C, M and Y, and K stored inverted
)

// planarJPEG returns a baseline JPEG with one scan a channel. image/jpeg writes YCbCr and gray only; but a gray file
// of each channel has the very scan that is wanted, since all use the same tables.
func planarJPEG(channels []*image.Gray, transform adobe, quality int) []byte {
	out := []byte{0xff, 0xd8}
	if transform != noAdobe {
		out = append(out, segment(0xee, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), byte(transform))...)...)
	}
	for i, channel := range channels {
		file := encodeJPEG(channel, quality)
		for at := 2; ; {
			marker, size := file[at+1], int(binary.BigEndian.Uint16(file[at+2:]))
			body := file[at+4 : at+2+size]
			at += 2 + size
			switch {
			case marker == 0xda: // SOS, then the scan up to the end-of-image marker
				out = append(out, segment(0xda, 1, byte(i+1), 0x00, 0, 63, 0)...)
				out = append(out, file[at:len(file)-2]...)
			case i > 0: // the same tables as the first channel's
			case marker == 0xc0:
				frame := append(bytes.Clone(body[:5]), byte(len(channels)))
				for c := range channels {
					frame = append(frame, byte(c+1), 0x11, 0)
				}
				out = append(out, segment(0xc0, frame...)...)
			default:
				out = append(out, segment(marker, body...)...)
			}
			if marker == 0xda {
				break
			}
		}
	}
	return append(out, 0xff, 0xd9)
}

// rgbJPEG stores red, green and blue as they are.
func rgbJPEG(m *image.RGBA, quality int) []byte {
	return planarJPEG(split(m, func(r, g, b int) []int { return []int{r, g, b} }), plain, quality)
}

// cmykJPEG stores CMYK inverted, as Adobe's programs do. The black channel carries part of the picture.
func cmykJPEG(m *image.RGBA, quality int) []byte {
	return planarJPEG(split(m, inverseCMYK), plain, quality)
}

// ycckJPEG stores the ink of C, M and Y as YCbCr, and K inverted.
func ycckJPEG(m *image.RGBA, quality int) []byte {
	return planarJPEG(split(m, func(r, g, b int) []int {
		c := inverseCMYK(r, g, b)
		return append(ycc(255-c[0], 255-c[1], 255-c[2]), c[3])
	}), withYCCK, quality)
}

// yccJPEG stores YCbCr with one scan a channel.
func yccJPEG(m *image.RGBA, quality int) []byte {
	return planarJPEG(split(m, ycc), noAdobe, quality)
}

// inverseCMYK returns 255-C, 255-M, 255-Y, 255-K, with (255-C)(255-K)/255 = r and so on.
func inverseCMYK(r, g, b int) []int {
	k := (max(r, g, b) + 255) / 2 // 255-K: half of the black that could be taken out
	k = max(k, 1)
	return []int{min(255, r*255/k), min(255, g*255/k), min(255, b*255/k), k}
}

func ycc(r, g, b int) []int {
	return []int{
		(19595*r + 38470*g + 7471*b + 1<<15) >> 16,
		(-11056*r-21712*g+32768*b)>>16 + 128,
		(32768*r-27440*g-5328*b)>>16 + 128,
	}
}

func split(m *image.RGBA, convert func(r, g, b int) []int) []*image.Gray {
	var channels []*image.Gray
	for i := range m.Rect.Dx() * m.Rect.Dy() {
		values := convert(int(m.Pix[4*i]), int(m.Pix[4*i+1]), int(m.Pix[4*i+2]))
		for len(channels) < len(values) {
			channels = append(channels, image.NewGray(m.Rect))
		}
		for c, v := range values {
			channels[c].Pix[i] = clamp8(v)
		}
	}
	return channels
}
