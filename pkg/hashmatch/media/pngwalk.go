package media

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// chunks walks the chunks of a PNG without copying.
type chunks struct {
	data []byte
	at   int // of the next chunk

	kind      string
	body      []byte
	start     int  // of this chunk
	truncated bool // data ends within this chunk: body is what there is
}

// next goes to the next chunk. It returns false at the end of data, and at a chunk that is cut off.
func (c *chunks) next() bool {
	c.kind, c.body, c.start = "", nil, c.at
	if c.at+8 > len(c.data) {
		c.truncated = true
		return false
	}
	size := binary.BigEndian.Uint32(c.data[c.at:])
	c.kind = string(c.data[c.at+4 : c.at+8])
	rest := c.data[c.at+8:]
	if int64(size)+4 > int64(len(rest)) {
		c.truncated = true
		c.body = rest[:min(int64(size), int64(len(rest)))]
		c.at = len(c.data)
		return false
	}
	c.body = rest[:size]
	c.at += 12 + int(size)
	return true
}

// intact reports whether the checksum of the chunk is right.
func (c *chunks) intact() bool {
	if c.truncated {
		return false
	}
	end := c.start + 8 + len(c.body)
	return crc32.ChecksumIEEE(c.data[c.start+4:end]) == binary.BigEndian.Uint32(c.data[end:])
}

// pngHead is the IHDR chunk.
type pngHead struct {
	width, height, depth, colour int
	interlaced                   bool
	valid                        bool // colour type, depth and methods are those of the standard
}

// The colour types of a PNG.
const (
	pngGray      = 0
	pngRGB       = 2
	pngPalette   = 3
	pngGrayAlpha = 4
	pngRGBA      = 6
)

// pngHeader reads the IHDR chunk, which must be the first.
func pngHeader(content []byte) (pngHead, bool) {
	c := chunks{data: content, at: len(pngMagic)}
	if c.next(); c.kind != "IHDR" || len(c.body) != 13 {
		return pngHead{}, false
	}
	b := c.body
	h := pngHead{depth: int(b[8]), colour: int(b[9]), interlaced: b[12] == 1}
	h.width = int(min(binary.BigEndian.Uint32(b), maxHeaderSide))
	h.height = int(min(binary.BigEndian.Uint32(b[4:]), maxHeaderSide))
	switch h.colour {
	case pngGray:
		h.valid = h.depth == 1 || h.depth == 2 || h.depth == 4 || h.depth == 8 || h.depth == 16
	case pngPalette:
		h.valid = h.depth == 1 || h.depth == 2 || h.depth == 4 || h.depth == 8
	case pngRGB, pngGrayAlpha, pngRGBA:
		h.valid = h.depth == 8 || h.depth == 16
	}
	h.valid = h.valid && b[10] == 0 && b[11] == 0 && b[12] <= 1
	return h, true
}

// bits returns the bits of a pixel in the file.
func (h *pngHead) bits() int {
	channels := [7]int{pngGray: 1, pngRGB: 3, pngPalette: 1, pngGrayAlpha: 2, pngRGBA: 4}
	return channels[h.colour] * h.depth
}

// memory returns the bytes a pixel that the standard library allocates, and the conversions after it. Interlaced
// pictures have their passes decoded into buffers of their own, of as many pixels in all.
func (h *pngHead) memory(tRNS bool, orientation int) int64 {
	var bytes, after int64
	switch transparent := tRNS || h.colour == pngGrayAlpha || h.colour == pngRGBA; {
	case h.colour == pngPalette:
		bytes, after = 1, 4+4
	case h.colour == pngGray && !transparent:
		bytes = int64(1 + h.depth/16)
	default:
		bytes = int64(4 + h.depth/16*4)
		if transparent {
			after = 4
		}
	}
	if h.interlaced {
		bytes *= 2
	}
	if orientation != 1 {
		after += 4
	}
	return bytes + after
}

// pngInfo is what the chunks of a PNG say.
type pngInfo struct {
	pngHead
	palette, tRNS []byte // bodies of PLTE and tRNS; nil if there is none before the picture
	orientation   int
	complete      bool // IEND was reached
	first         int  // offset of the first IDAT; 0 if there is none
}

// walkPNG reads the chunks of a PNG whose IHDR was read.
func walkPNG(content []byte, head pngHead) pngInfo {
	f := pngInfo{pngHead: head, orientation: 1}
	c := chunks{data: content, at: len(pngMagic)}
	for c.next() {
		switch c.kind {
		case "PLTE":
			if f.first == 0 && f.palette == nil {
				f.palette = c.body[:min(len(c.body)/3*3, 3*256)]
			}
		case "tRNS":
			if f.first == 0 && f.tRNS == nil {
				f.tRNS = c.body[:min(len(c.body), 256)]
			}
		case "eXIf":
			if f.orientation == 1 {
				f.orientation = exifOrientation(c.body)
			}
		case "IDAT":
			if f.first == 0 {
				f.first = c.start
			}
		case "IEND":
			f.complete = true
			return f
		}
	}
	if c.kind == "IDAT" && f.first == 0 {
		f.first = c.start
	}
	return f
}

// chunkReader reads the bodies of the IDAT chunks, or of the fdAT chunks without their sequence numbers, from an
// offset to the first fcTL or the end: the compressed data of one picture. It stops when the context is done.
type chunkReader struct {
	ctx  context.Context
	walk chunks
	kind string // "IDAT" or "fdAT"
	rest []byte
	end  bool
	bad  bool // a checksum was wrong
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	for passed := 0; len(r.rest) == 0; passed++ {
		if r.end {
			return 0, io.EOF
		}
		if passed&0xfff == 0xfff && r.ctx.Err() != nil {
			return 0, r.ctx.Err()
		}
		r.end = !r.walk.next()
		switch r.walk.kind {
		case r.kind:
			r.rest = r.walk.body
			if r.kind == "fdAT" {
				r.rest = r.rest[min(4, len(r.rest)):]
			}
			r.bad = r.bad || !r.walk.intact()
		case "fcTL", "IEND":
			r.end = true
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
