package media

import (
	"encoding/binary"
	"image"
	"time"
)

// gifScreenInfo is the header of a GIF.
type gifScreenInfo struct {
	width, height int
	palette       []byte // the global one, three bytes a colour; nil if there is none
	truncated     bool   // in the palette
	blocks        int    // offset of the first block
}

// gifScreen reads the header.
func gifScreen(content []byte) (s gifScreenInfo, ok bool) {
	if len(content) < 13 {
		return s, false
	}
	s.width = int(binary.LittleEndian.Uint16(content[6:]))
	s.height = int(binary.LittleEndian.Uint16(content[8:]))
	s.palette, s.blocks, s.truncated = gifPalette(content, 13, content[10])
	return s, true
}

// gifPalette reads the colour table that flags announce; nil if they announce none.
func gifPalette(content []byte, at int, flags byte) (palette []byte, next int, truncated bool) {
	if flags&0x80 == 0 {
		return nil, at, false
	}
	next = at + 3<<(1+flags&7)
	if next > len(content) {
		return nil, len(content), true
	}
	return content[at:next], next, false
}

// gifFrame is one image of a GIF, its data not yet decoded.
type gifFrame struct {
	rect        image.Rectangle
	palette     []byte // local or global; nil if there is neither
	transparent int    // index of the transparent colour; -1 for none
	dispose     byte
	delay       time.Duration
	interlaced  bool
	litWidth    byte // LZW's minimum code size
	data        int  // offset of the first sub-block
}

// gifWalk walks the blocks of a GIF. The zero values of its results mean that nothing is wrong.
type gifWalk struct {
	content []byte
	at      int
	global  []byte

	frame     gifFrame // the current one
	complete  bool     // the trailer was reached
	truncated bool     // content ended within a block or without a trailer
	unknown   bool     // a block of no known type: nothing after it is read, as in browsers

	control gifFrame // of the graphic control extensions before the frame
}

func newGIFWalk(content []byte, s gifScreenInfo) *gifWalk {
	w := &gifWalk{content: content, at: s.blocks, global: s.palette}
	w.control.transparent = -1
	return w
}

// next goes to the next frame and past its data. It returns false at the end.
func (w *gifWalk) next() bool {
	for w.at < len(w.content) {
		kind := w.content[w.at]
		w.at++
		switch kind {
		case 0x2c:
			return w.image()
		case 0x21:
			if w.at >= len(w.content) {
				w.truncated = true
				return false
			}
			label := w.content[w.at]
			w.at++
			if body := w.at; label == 0xf9 && body+5 <= len(w.content) && w.content[body] >= 4 {
				w.graphicControl(w.content[body+1:])
			}
			if !w.skip() {
				return false
			}
		case 0x3b:
			w.complete = true
			return false
		default:
			w.unknown = true
			return false
		}
	}
	w.truncated = true
	return false
}

// graphicControl reads the extension that says how the next frame is shown.
func (w *gifWalk) graphicControl(b []byte) {
	w.control.dispose = b[0] >> 2 & 7
	w.control.delay = time.Duration(binary.LittleEndian.Uint16(b[1:])) * centiseconds
	if b[0]&1 != 0 {
		w.control.transparent = int(b[3])
	}
}

// image reads an image descriptor and skips the data.
func (w *gifWalk) image() bool {
	if w.at+9 > len(w.content) {
		w.truncated = true
		return false
	}
	b := w.content[w.at:]
	word := func(i int) int { return int(binary.LittleEndian.Uint16(b[i:])) }
	w.frame = w.control
	w.control = gifFrame{transparent: -1}
	w.frame.rect = image.Rect(0, 0, word(4), word(6)).Add(image.Pt(word(0), word(2)))
	w.frame.interlaced = b[8]&0x40 != 0
	palette, at, cut := gifPalette(w.content, w.at+9, b[8])
	if w.frame.palette = palette; palette == nil {
		w.frame.palette = w.global
	}
	if w.at = at; cut || at >= len(w.content) {
		w.truncated = true
		return false
	}
	w.frame.litWidth, w.frame.data = w.content[at], at+1
	w.at++
	w.skip() // a frame that is cut off is a frame still
	return true
}

// skip skips sub-blocks up to their end. It returns false if content ends before.
func (w *gifWalk) skip() bool {
	for w.at < len(w.content) {
		n := int(w.content[w.at])
		w.at += 1 + n
		if n == 0 {
			return true
		}
	}
	w.at, w.truncated = len(w.content), true
	return false
}
