package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/png"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

func encodePNG(m image.Image) []byte {
	var b bytes.Buffer
	must((&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, m))
	return b.Bytes()
}

// chunk returns a PNG chunk with its checksum.
func chunk(name string, content ...byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	out = append(append(out, name...), content...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

// chunks returns the chunks of a PNG by name, those of one name in a row.
func chunks(file []byte) map[string][]byte {
	found := make(map[string][]byte)
	for at := len(pngMagic); at+12 <= len(file); {
		size := int(binary.BigEndian.Uint32(file[at:]))
		name := string(file[at+4 : at+8])
		found[name] = append(found[name], file[at+8:at+8+size]...)
		at += 12 + size
	}
	return found
}

// afterIHDR puts a chunk behind the header of a PNG.
func afterIHDR(file, chunk []byte) []byte {
	const header = len(pngMagic) + 25
	return concat(file[:header], chunk, file[header:])
}

func pngHeader(width, height uint32, depth, colorType, interlace byte) []byte {
	h := binary.BigEndian.AppendUint32(nil, width)
	h = binary.BigEndian.AppendUint32(h, height)
	return chunk("IHDR", append(h, depth, colorType, 0, 0, interlace)...)
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	w, err := zlib.NewWriterLevel(&out, zlib.BestCompression)
	must(err)
	_, err = w.Write(b)
	must(err)
	must(w.Close())
	return out.Bytes()
}

// interlacedPNG returns an RGB PNG in Adam7 order, which image/png reads but does not write.
func interlacedPNG(m *image.RGBA) []byte {
	var rows []byte
	for _, pass := range [...]struct{ x, y, dx, dy int }{
		{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
	} {
		for y := pass.y; y < m.Rect.Dy(); y += pass.dy {
			rows = append(rows, 0) // no filter
			for x := pass.x; x < m.Rect.Dx(); x += pass.dx {
				c := m.RGBAAt(x, y)
				rows = append(rows, c.R, c.G, c.B)
			}
		}
	}
	return concat([]byte(pngMagic), pngHeader(uint32(m.Rect.Dx()), uint32(m.Rect.Dy()), 8, 2, 1),
		chunk("IDAT", deflated(rows)...), chunk("IEND"))
}

// bilevelPNG returns a PNG of one bit a pixel, dithered by error diffusion: an ordered pattern would be seen by a
// hash of so small a picture.
func bilevelPNG(m *image.RGBA) []byte {
	out := image.NewPaletted(m.Rect, color.Palette{color.Black, color.White})
	draw.FloydSteinberg.Draw(out, out.Rect, grayscale(m), image.Point{})
	return encodePNG(out)
}

// encodeAPNG returns an animation in which each frame replaces the one before. The first frame is the still that a
// reader shows which knows nothing of animations. All frames are opaque and of one size.
func encodeAPNG(frames []*image.RGBA) []byte {
	sequence := uint32(0)
	next := func() []byte {
		sequence++
		return binary.BigEndian.AppendUint32(nil, sequence-1)
	}
	var out []byte
	for i, frame := range frames {
		still := chunks(encodePNG(frame))
		if i == 0 {
			out = concat([]byte(pngMagic), chunk("IHDR", still["IHDR"]...),
				chunk("acTL", append(binary.BigEndian.AppendUint32(nil, uint32(len(frames))), 0, 0, 0, 0)...))
		}
		control := append(next(), still["IHDR"][:8]...)   // width and height
		control = append(control, 0, 0, 0, 0, 0, 0, 0, 0) // at (0, 0)
		control = append(control, 0, 20, 0, 100, 0, 0)    // 20/100 s; no disposal, replace
		out = append(out, chunk("fcTL", control...)...)
		if i == 0 {
			out = append(out, chunk("IDAT", still["IDAT"]...)...)
		} else {
			out = append(out, chunk("fdAT", append(next(), still["IDAT"]...)...)...)
		}
	}
	return append(out, chunk("IEND")...)
}
