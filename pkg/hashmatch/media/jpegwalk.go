package media

import (
	"bytes"
	"encoding/binary"
)

// jpegInfo is what the markers of a JPEG say, read without decoding.
type jpegInfo struct {
	frame         byte // the SOF marker that the picture starts with, 0xc0 to 0xcf; 0 if there is none
	precision     int
	width, height int
	components    []jpegComponent
	rgb           bool // three components that are not YCbCr, by the rules of the standard library
	orientation   int
	scans         int
	cut           int    // where the scan after the last one that is allowed starts; 0 if all are
	complete      bool   // the EOI marker was reached
	damage        string // what is wrong although the markers can be followed; "" if nothing is
	// oddRestarts: restart intervals in a scan of one component that is not sampled once a MCU. The standard library
	// counts MCUs of all components there, and loses its place.
	oddRestarts bool
}

// jpegComponent is one component of the picture.
type jpegComponent struct {
	id           byte
	across, down int  // sampling factors, 1 to 4 in what is supported
	table        byte // of its quantisation
	covered      bool // some scan starts it
}

// progressive reports whether coefficients are kept until the end.
func (f *jpegInfo) progressive() bool { return f.frame == 0xc2 }

// standard reports whether the standard library knows this kind of JPEG.
func (f *jpegInfo) standard() bool {
	return (f.frame == 0xc0 || f.frame == 0xc1 || f.frame == 0xc2) && f.precision == 8 && !f.oddRestarts
}

// walkJPEG follows the markers of the first picture in content. It counts as many scans as the standard library's
// decoder would see: both skip the same bytes.
func walkJPEG(content []byte, maxScans int) jpegInfo {
	f := jpegInfo{orientation: 1}
	w := jpegWalk{jpegInfo: &f, rest: content[min(2, len(content)):], size: len(content), maxScans: maxScans}
	for w.segment() {
	}
	if f.complete && f.damage == "" {
		for _, c := range f.components {
			if !c.covered {
				f.damage = "a component has no scan"
			}
		}
	}
	return f
}

type jpegWalk struct {
	*jpegInfo
	rest     []byte
	size     int // of the whole file
	maxScans int
	restart  int  // the restart interval in force, in MCUs
	tables   byte // which quantisation tables are defined, one bit each
	exif     bool // EXIF data was seen: the first counts
	jfif     bool
	adobe    int // transform of the Adobe marker plus one; 0 without one
}

// segment follows one marker. It returns false after the last one.
func (w *jpegWalk) segment() bool {
	marker, ok := w.marker()
	if !ok {
		return false
	}
	at := w.size - len(w.rest) - 2
	switch {
	case marker == 0xd9:
		w.complete = true
		return false
	case marker >= 0xd0 && marker <= 0xd7, marker == 0xd8, marker == 0x01:
		return true // no length follows
	}
	if len(w.rest) < 2 {
		return false
	}
	n := int(binary.BigEndian.Uint16(w.rest))
	if n < 2 {
		w.damage = "a segment is too short"
		n = 2
	}
	if n > len(w.rest) {
		return false
	}
	body := w.rest[2:n]
	w.rest = w.rest[n:]
	switch {
	case marker == 0xc4 || marker == 0xc8 || marker == 0xcc: // tables and an extension among the SOFs
	case marker >= 0xc0 && marker <= 0xcf, marker == 0xf7: // JPEG-LS has a SOF of its own
		w.sof(marker, body)
	case marker == 0xda:
		w.sos(body, at)
	case marker == 0xdb:
		w.dqt(body)
	case marker == 0xdd && len(body) == 2:
		w.restart = int(binary.BigEndian.Uint16(body))
	case marker == 0xe0:
		w.jfif = bytes.HasPrefix(body, []byte("JFIF\x00"))
		w.colours()
	case marker == 0xe1 && !w.exif && bytes.HasPrefix(body, exifPrefix):
		w.exif = true
		w.orientation = exifOrientation(body)
	case marker == 0xee && len(body) >= 12 && bytes.HasPrefix(body, []byte("Adobe")):
		w.adobe = 1 + int(body[11])
		w.colours()
	}
	return true
}

// marker skips to the next marker and past it.
func (w *jpegWalk) marker() (byte, bool) {
	for {
		i := bytes.IndexByte(w.rest, 0xff)
		if i < 0 {
			w.rest = nil
			return 0, false
		}
		w.rest = w.rest[i+1:]
		for len(w.rest) > 0 && w.rest[0] == 0xff {
			w.rest = w.rest[1:]
		}
		if len(w.rest) == 0 {
			return 0, false
		}
		marker := w.rest[0]
		w.rest = w.rest[1:]
		if marker != 0 {
			return marker, true
		}
	}
}

// sof reads the header of the picture.
func (w *jpegWalk) sof(marker byte, body []byte) {
	if w.frame != 0 {
		w.damage = "a second picture header"
		return
	}
	if len(body) < 6 {
		w.damage = "the picture header is too short"
		return
	}
	w.frame, w.precision = marker, int(body[0])
	w.height, w.width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	for c := body[6:]; len(c) >= 3; c = c[3:] {
		w.components = append(w.components, jpegComponent{id: c[0], across: int(c[1] >> 4), down: int(c[1] & 15), table: c[2]})
	}
	if len(w.components) != int(body[5]) || len(body) != 6+3*len(w.components) {
		w.damage = "the picture header has a wrong length"
	}
	if len(w.components) == 1 { // its factors mean nothing
		w.components[0].across, w.components[0].down = 1, 1
	}
	w.colours()
}

// dqt reads which quantisation tables a segment defines, of 8 or 16 bits a value.
func (w *jpegWalk) dqt(body []byte) {
	for len(body) > 0 {
		w.tables |= 1 << (body[0] & 7)
		body = body[min(1+64<<(body[0]>>4&1), len(body)):]
	}
}

// colours decides whether three components are RGB.
func (w *jpegWalk) colours() {
	if len(w.components) != 3 {
		return
	}
	c := w.components
	w.rgb = !w.jfif && (w.adobe == 1 || c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B')
}

// sos reads the header of a scan and skips its data.
func (w *jpegWalk) sos(body []byte, at int) {
	w.scans++
	if w.scans == w.maxScans+1 {
		w.cut = at
	}
	if len(body) < 1 || len(body) != 4+2*int(body[0]) {
		w.damage = "a scan header has a wrong length"
		body = nil
	}
	var in []*jpegComponent
	if body != nil {
		first := body[len(body)-3] == 0 // the scan holds the DC coefficients
		for c := body[1 : len(body)-3]; len(c) >= 2; c = c[2:] {
			for i := range w.components {
				if w.components[i].id == c[0] {
					in = append(in, &w.components[i])
					w.components[i].covered = w.components[i].covered || first
				}
			}
		}
	}
	for _, c := range in {
		if w.tables>>(c.table&7)&1 == 0 { // the standard library takes one of zeroes, others refuse
			w.damage = "a quantisation table is missing"
		}
	}
	restarts, inOrder := w.data()
	if w.restart == 0 || len(in) == 0 {
		return
	}
	if len(in) == 1 && in[0].across*in[0].down != 1 {
		w.oddRestarts = true
	}
	mcus := w.mcus(in)
	if mcus <= 0 {
		return
	}
	// Some cameras write one more, after the last interval, where it separates nothing.
	want := (mcus - 1) / w.restart
	if !inOrder || restarts != want && !(restarts == want+1 && mcus%w.restart == 0) {
		w.damage = "restart markers are missing or out of order"
	}
}

// data skips the entropy-coded data of a scan, up to the next marker that is no restart.
func (w *jpegWalk) data() (restarts int, inOrder bool) {
	inOrder = true
	for {
		i := bytes.IndexByte(w.rest, 0xff)
		if i < 0 || i+1 >= len(w.rest) {
			w.rest = nil
			return restarts, inOrder
		}
		switch next := w.rest[i+1]; {
		case next == 0:
			w.rest = w.rest[i+2:]
		case next == 0xff: // fill byte
			w.rest = w.rest[i+1:]
		case next >= 0xd0 && next <= 0xd7:
			inOrder = inOrder && int(next-0xd0) == restarts%8
			restarts++
			w.rest = w.rest[i+2:]
		default:
			w.rest = w.rest[i:]
			return restarts, inOrder
		}
	}
}

// mcus returns how many units the data of a scan consists of.
func (w *jpegWalk) mcus(in []*jpegComponent) int {
	across, down := 1, 1
	for _, c := range w.components {
		across, down = max(across, c.across), max(down, c.down)
	}
	if len(in) > 1 {
		return ceil(w.width, 8*across) * ceil(w.height, 8*down)
	}
	return ceil(ceil(w.width*in[0].across, across), 8) * ceil(ceil(w.height*in[0].down, down), 8)
}

// ceil divides and rounds up.
func ceil(n, by int) int { return (n + by - 1) / by }
