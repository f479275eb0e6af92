package media

import (
	"bytes"
	"encoding/binary"
)

// header is what this process reads of a file that an isolated decoder decodes: enough to check the limits and to
// weigh its memory before it is sent there. Zero fields are unknown.
type header struct {
	width, height int
	orientations  []int // of each page of a TIFF, in order; of all frames of a WebP, where there is one
	frames        int
}

// maxHeaderSide keeps the sides of a header from overflowing: larger than any limit that a file could pass.
const maxHeaderSide = 1<<31 - 1

func readHeader(format string, content []byte) header {
	switch format {
	case "webp":
		return webpHeader(content)
	case "tiff":
		return tiffHeader(content)
	case "avif", "heic":
		return heifHeader(content)
	case "jxl":
		return jxlHeader(content)
	}
	return header{}
}

// orientation returns the one of a picture; 1 where nothing is stated or the decoder has applied it.
func (h header) orientation(index int) int {
	if len(h.orientations) == 0 {
		return 1
	}
	return h.orientations[min(index, len(h.orientations)-1)]
}

// larger keeps the larger of two sizes.
func (h *header) larger(width, height uint32) {
	w, t := int(min(width, maxHeaderSide)), int(min(height, maxHeaderSide))
	if int64(w)*int64(t) >= int64(h.width)*int64(h.height) {
		h.width, h.height = w, t
	}
}

// webpHeader reads the canvas of a WebP, its EXIF orientation and the number of its frames.
func webpHeader(content []byte) (h header) {
	rest := content[min(12, len(content)):]
	for len(rest) >= 8 {
		kind, size := string(rest[:4]), int64(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		body := rest[:min(size, int64(len(rest)))]
		switch {
		case kind == "VP8X" && len(body) >= 10:
			h.larger(1+uint24(body[4:]), 1+uint24(body[7:]))
		case kind == "VP8 " && len(body) >= 10 && body[3] == 0x9d:
			h.larger(uint32(binary.LittleEndian.Uint16(body[6:]))&0x3fff, uint32(binary.LittleEndian.Uint16(body[8:]))&0x3fff)
			h.frames++
		case kind == "VP8L" && len(body) >= 5:
			bits := binary.LittleEndian.Uint32(body[1:])
			h.larger(1+bits&0x3fff, 1+bits>>14&0x3fff)
			h.frames++
		case kind == "ANMF":
			h.frames++
		case kind == "EXIF" && h.orientations == nil:
			h.orientations = []int{exifOrientation(body)}
		}
		rest = rest[min(size+size&1, int64(len(rest))):]
	}
	return h
}

func uint24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// maxPages bounds how many directories of a TIFF are read here.
const maxPages = 4096

// tiffHeader reads the largest page of a TIFF and the orientation of each.
func tiffHeader(content []byte) (h header) {
	order, ok := tiffOrder(content)
	if !ok {
		return h
	}
	seen := make(map[uint32]bool)
	for at := order.Uint32(content[4:]); at != 0 && !seen[at] && len(seen) < maxPages; {
		seen[at] = true
		var fields tiffFields
		fields, at = tiffDirectory(content, order, at)
		h.larger(fields.width, fields.height)
		h.orientations = append(h.orientations, fields.orientation)
		h.frames++
	}
	return h
}

// heifHeader reads the largest ispe property of an AVIF or HEIC file: its pictures, grids and thumbnails. The
// decoder applies irot and imir, so that no orientation is left to apply.
func heifHeader(content []byte) (h header) {
	meta := box(content, "meta")
	if len(meta) < 4 {
		return h
	}
	properties := box(box(meta[4:], "iprp"), "ipco")
	for len(properties) > 0 {
		kind, body, rest := nextBox(properties)
		if kind == "ispe" && len(body) >= 12 {
			h.larger(binary.BigEndian.Uint32(body[4:]), binary.BigEndian.Uint32(body[8:]))
		}
		properties = rest
	}
	return h
}

// box returns the body of the first box of a kind in a row of boxes; nil if there is none.
func box(boxes []byte, want string) []byte {
	for len(boxes) > 0 {
		kind, body, rest := nextBox(boxes)
		if kind == want {
			return body
		}
		boxes = rest
	}
	return nil
}

// nextBox splits off the first box: a body that runs past the end is cut, a size of 0 means to the end.
func nextBox(boxes []byte) (kind string, body, rest []byte) {
	if len(boxes) < 8 {
		return "", nil, nil
	}
	size, start := uint64(binary.BigEndian.Uint32(boxes)), uint64(8)
	kind = string(boxes[4:8])
	if size == 1 && len(boxes) >= 16 {
		size, start = binary.BigEndian.Uint64(boxes[8:]), 16
	}
	if size == 0 || size > uint64(len(boxes)) {
		size = uint64(len(boxes))
	}
	if size < start {
		return kind, nil, nil
	}
	return kind, boxes[start:size], boxes[size:]
}

// jxlRatios are the aspect ratios that a JPEG XL header can name in place of a width (ISO/IEC 18181-1, SizeHeader).
var jxlRatios = [8][2]uint64{{}, {1, 1}, {12, 10}, {4, 3}, {3, 2}, {16, 9}, {5, 4}, {2, 1}}

// jxlHeader reads the size at the start of a JPEG XL codestream, bare or in its container.
func jxlHeader(content []byte) (h header) {
	if !bytes.HasPrefix(content, []byte("\xff\x0a")) {
		if stream := box(content, "jxlc"); stream != nil {
			content = stream
		} else if part := box(content, "jxlp"); len(part) >= 4 {
			content = part[4:]
		}
	}
	if len(content) < 3 || content[0] != 0xff || content[1] != 0x0a {
		return h
	}
	bits, used := content[2:], 0
	read := func(n int) (v uint64) {
		for i := range n {
			if at := used / 8; at < len(bits) {
				v |= uint64(bits[at]>>(used%8)&1) << i
			}
			used++
		}
		return v
	}
	small := read(1) == 1
	side := func() uint64 {
		if small {
			return 8 * (1 + read(5))
		}
		return 1 + read([4]int{9, 13, 18, 30}[read(2)])
	}
	height := side()
	width := uint64(0)
	if ratio := read(3); ratio != 0 {
		width = height * jxlRatios[ratio][0] / jxlRatios[ratio][1]
	} else {
		width = side()
	}
	if used <= 8*len(bits) {
		h.larger(uint32(min(width, maxHeaderSide)), uint32(min(height, maxHeaderSide)))
	}
	return h
}
