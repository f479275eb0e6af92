package isolated

import "errors"

// movie reads the tracks of a sequence.
func (f *heif) movie(moov box) error {
	return walkBoxes(f.content, moov.start, moov.end, &f.truncated, func(b box) error {
		if b.kind != "trak" {
			return nil
		}
		if len(f.tracks) == maxItems {
			return errTooManyItems
		}
		f.tracks = append(f.tracks, track{})
		return f.trackBoxes(&f.tracks[len(f.tracks)-1], b, 0)
	})
}

// maxTrackDepth is how deep the boxes of a track may nest; mdia, minf, stbl is three.
const maxTrackDepth = 8

// trackBoxes reads what the track says of its size and its samples.
func (f *heif) trackBoxes(t *track, within box, depth int) error {
	if depth > maxTrackDepth {
		return errors.New("nested too deep")
	}
	return walkBoxes(f.content, within.start, within.end, &f.truncated, func(b box) error {
		r := f.reader(b)
		switch b.kind {
		case "mdia", "minf", "stbl":
			return f.trackBoxes(t, b, depth+1)
		case "tkhd": // its last eight bytes are the size, in 1/65536
			if b.end-b.start < 84 {
				return errCut
			}
			r.at = b.end - 8
			t.width, t.height = int(r.u32()>>16), int(r.u32()>>16)
		case "hdlr":
			r.skip(8)
			t.handler = r.code()
		case "stsz":
			r.skip(8)
			t.samples = int(r.u32())
		case "stz2":
			r.skip(8)
			t.samples = int(r.u32())
		case "stco":
			r.skip(4)
			if r.u32() > 0 {
				t.firstByte = int(r.u32())
			}
		case "co64":
			r.skip(4)
			if r.u32() > 0 {
				t.firstByte = int(min(r.uint(8), uint64(len(f.content))))
			}
		}
		return r.err
	})
}

// pictureTrack returns the longest track of pictures; ok is false if there is none. Tracks of auxiliary planes (auxv)
// and of sound are none.
func (f *heif) pictureTrack() (longest track, ok bool) {
	for _, t := range f.tracks {
		if (t.handler == "pict" || t.handler == "vide") && t.samples > longest.samples {
			longest, ok = t, true
		}
	}
	return longest, ok
}
