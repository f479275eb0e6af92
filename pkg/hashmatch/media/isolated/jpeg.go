package isolated

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"

	"example.org/hashmatch/pkg/hashmatch"
)

// jpegFile is what the walk over the markers of a JPEG finds.
type jpegFile struct {
	width, height int
	frame         byte // the SOF marker; 0 if there is none
	precision     int
	scans         int  // SOS markers
	firstScan     int  // offset of the first one's entropy-coded data
	end           int  // offset after EOI, or the length of the file
	ended         bool // there is an EOI
	adobe         bool // there is an Adobe APP14 marker
}

// walkJPEG reads the markers up to EOI. It skips what is no marker, as lenient decoders do.
func walkJPEG(content []byte) jpegFile {
	f := jpegFile{end: len(content)}
	for at := 2; at+1 < len(content); {
		if content[at] != 0xff || content[at+1] == 0x00 || content[at+1] == 0xff {
			at++
			continue
		}
		marker := content[at+1]
		at += 2
		switch {
		case marker == 0xd9:
			f.ended, f.end = true, at
			return f
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd8:
			continue // no length
		case at+2 > len(content):
			return f
		}
		size := int(binary.BigEndian.Uint16(content[at:]))
		segment := content[at:min(at+size, len(content))]
		switch {
		case marker == 0xda:
			if f.scans++; f.scans == 1 {
				f.firstScan = min(at+size, len(content))
			}
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
			if len(segment) >= 7 && f.frame == 0 {
				f.frame, f.precision = marker, int(segment[2])
				f.height, f.width = int(binary.BigEndian.Uint16(segment[3:])), int(binary.BigEndian.Uint16(segment[5:]))
			}
		case marker == 0xee && len(segment) >= 7 && string(segment[2:7]) == "Adobe":
			f.adobe = true
		}
		if size >= 2 {
			at += size
		}
	}
	return f
}

// jpegCuts is how many times a damaged JPEG is tried again with its end cut off. Each costs one decoding.
const jpegCuts = 6

// decodeJPEG decodes what a stricter decoder refused. The library fills in what is missing without a word, so that
// there is always a failure beside the picture.
func decodeJPEG(e *emitter, content []byte) {
	f := walkJPEG(content)
	switch {
	case f.frame == 0 && !f.ended:
		e.fail(hashmatch.Truncated, "jpeg: no frame header")
		return
	case f.frame == 0:
		e.fail(hashmatch.Corrupt, "jpeg: no frame header")
		return
	case f.frame > 0xc2:
		e.fail(hashmatch.Unsupported, fmt.Sprintf("jpeg: coding process SOF%d", f.frame-0xc0))
		return
	case f.precision != 8:
		e.fail(hashmatch.Unsupported, fmt.Sprintf("jpeg: %d bits a sample", f.precision))
		return
	case !f.ended:
		e.fail(hashmatch.Truncated, "jpeg: no end marker")
	}
	if !e.admit("jpeg", f.width, f.height) || !e.room(f.width, f.height) || f.scans == 0 {
		return
	}
	if f.scans > e.limits.MaxScans {
		e.fail(hashmatch.Unsupported, fmt.Sprintf("jpeg: %d scans, limit %d", f.scans, e.limits.MaxScans))
		return
	}
	whole := content[:f.end]
	img, err := jpegGuarded(whole)
	cause := err
	// Halve the distance between what decodes and what does not: the longest beginning without the damage.
	good, bad := f.firstScan, f.end
	for range jpegCuts {
		if cause == nil || bad-good < 16 || e.done() {
			break
		}
		middle := good + (bad-good)/2
		part, err := jpegGuarded(whole[:middle])
		if err != nil {
			bad = middle
			continue
		}
		good, img = middle, part
	}
	if cause != nil {
		e.failDecoder(hashmatch.Corrupt, "jpeg", cause)
	} else if f.ended {
		e.fail(hashmatch.Corrupt, "jpeg: decoded leniently")
	}
	if img == nil {
		return
	}
	if cmyk, ok := img.(*image.CMYK); ok && f.adobe { // Adobe stores inverted inks
		for i := range cmyk.Pix {
			cmyk.Pix[i] = ^cmyk.Pix[i]
		}
	}
	e.picture(img, 0)
}

func jpegGuarded(content []byte) (img image.Image, err error) {
	err = guard(func() (err error) {
		img, err = jpegDecode(content)
		return err
	})
	if err == nil && !whole(img) {
		return nil, errors.New("a sampling that the decoder does not return whole")
	}
	return img, err
}
