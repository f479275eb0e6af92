package media

import (
	"context"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media/jpegluma"
)

// ReducedSide is how many samples the shorter side of a reduced picture keeps at least. With 256, hashes made of it are
// as near to those of the picture as hashes made by another decoder; with 128 they are farther off.
const ReducedSide = 256

// fineDetail is the share of a picture's variance within its samples, to that of the samples, above which the picture is
// not reduced: of noise, dots and fine lines too little of what the filter makes of them is in the samples. Of 554 photos
// the largest share was 0.32, and below 0.5 no hash was more than 4 bits off; noise and dots of 1.5 and more were up to
// 26 off, text and lines up to 14.
const fineDetail = 0.4

var _ hashmatch.Reducer = (*Decoder)(nil)

// Reduce implements hashmatch.Reducer: it decodes the luma of content alone, where that is enough to hash and much faster
// than Decode: of a JPEG of gray or YCbCr without any damage, within the limits, whose shorter side has ReducedSide
// pixels or more; and at full size where there is much fine detail in it. It returns false for any other file, where decoding fails, and when ctx is done. It waits for memory
// as Decode does.
func (d *Decoder) Reduce(ctx context.Context, content []byte, yield func(*hashmatch.Reduced) error) (media hashmatch.Media, ok bool) {
	var held int64
	defer func() {
		if recover() != nil { // of the decoder; the full path does without it
			media, ok = hashmatch.Media{}, false
		}
		if held > 0 {
			d.budget.room.Release(held)
		}
	}()
	if Sniff(content) != "jpeg" {
		return media, false
	}
	f := walkJPEG(content, d.limits.MaxScans)
	pixels := int64(f.width) * int64(f.height)
	if !f.standard() || !f.complete || f.damage != "" || f.cut > 0 || f.rgb || len(f.components) != 1 && len(f.components) != 3 ||
		min(f.width, f.height) < ReducedSide || fits(d.limits, int64(f.width), int64(f.height)) != nil || pixels > d.limits.MaxTotalPixels {
		return media, false
	}
	scale := 8
	for scale > 1 && min(f.width, f.height)/scale < ReducedSide {
		scale /= 2
	}
	decode := func(scale int) (*jpegluma.Plane, error) {
		return jpegluma.Decode(ctx, content, jpegluma.Config{
			MaxScans: d.limits.MaxScans,
			Scale: func(h *jpegluma.Header) (int, error) {
				memory := h.Memory(scale)
				if err := d.budget.acquire(ctx, memory); err != nil {
					return 0, err
				}
				held = memory
				return scale, nil
			},
		})
	}
	plane, err := decode(scale)
	if err == nil && plane.Detail > fineDetail*plane.Variance {
		plane.Release()
		d.budget.room.Release(held)
		held = 0
		plane, err = decode(1)
	}
	if err != nil {
		return media, false
	}
	defer plane.Release()
	err = yield(&hashmatch.Reduced{
		Pix: plane.Pix, Stride: plane.Stride, Scale: plane.Scale, Width: f.width, Height: f.height, Orientation: f.orientation,
	})
	return hashmatch.Media{Format: "jpeg", Width: f.width, Height: f.height, Frames: 1}, err == nil
}
