package main

import (
	"bytes"
	"encoding/binary"
	"image"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

func encodeBMP(m image.Image) []byte {
	var b bytes.Buffer
	must(bmp.Encode(&b, m))
	return b.Bytes()
}

func encodeTIFF(m image.Image, compression tiff.CompressionType) []byte {
	var b bytes.Buffer
	must(tiff.Encode(&b, m, &tiff.Options{Compression: compression}))
	return b.Bytes()
}

// pagesTIFF returns an uncompressed RGB TIFF with one page a picture, all of the given orientation, in the byte order
// given: x/image/tiff writes little-endian files of one page only. Each page's pixels come before its directory.
func pagesTIFF(order binary.ByteOrder, orientation int, pages ...*image.RGBA) []byte {
	out := []byte("II\x00\x00\x00\x00\x00\x00")
	if order == binary.BigEndian {
		copy(out, "MM")
	}
	order.PutUint16(out[2:], 42)
	link := 4 // where the offset of the next directory goes
	for _, m := range pages {
		depths := uint32(len(out))
		for range 3 {
			out = appendUint16(out, order, 8)
		}
		pixels := uint32(len(out))
		for i := range m.Rect.Dx() * m.Rect.Dy() {
			out = append(out, m.Pix[4*i:4*i+3]...)
		}
		size := uint32(len(out)) - pixels
		if size%2 == 1 {
			out = append(out, 0)
		}
		order.PutUint32(out[link:], uint32(len(out)))
		width, height := uint32(m.Rect.Dx()), uint32(m.Rect.Dy())
		const short, long = 3, 4
		fields := []struct {
			tag, kind    uint16
			count, value uint32
		}{
			{256, long, 1, width}, {257, long, 1, height}, {258, short, 3, depths}, {259, short, 1, 1}, {262, short, 1, 2},
			{273, long, 1, pixels}, {274, short, 1, uint32(orientation)}, {277, short, 1, 3}, {278, long, 1, height},
			{279, long, 1, size},
		}
		out = appendUint16(out, order, uint16(len(fields)))
		for _, f := range fields {
			out = appendUint16(appendUint16(out, order, f.tag), order, f.kind)
			out = appendUint32(out, order, f.count)
			if f.kind == short && f.count == 1 { // a short value fills the first half of its field
				out = appendUint16(appendUint16(out, order, uint16(f.value)), order, 0)
			} else {
				out = appendUint32(out, order, f.value)
			}
		}
		link = len(out)
		out = appendUint32(out, order, 0)
	}
	return out
}

func appendUint16(b []byte, order binary.ByteOrder, v uint16) []byte {
	b = append(b, 0, 0)
	order.PutUint16(b[len(b)-2:], v)
	return b
}

func appendUint32(b []byte, order binary.ByteOrder, v uint32) []byte {
	b = append(b, 0, 0, 0, 0)
	order.PutUint32(b[len(b)-4:], v)
	return b
}
