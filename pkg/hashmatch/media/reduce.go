package media

import (
	"context"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media/jpegluma"
)

// ReducedSide is how many samples the shorter side of a reduced picture keeps at least. With 256, hashes made of it are
// as near to those of the picture as hashes made by another decoder; with 128 they are farther off.
const ReducedSide = 256

var _ hashmatch.Reducer = (*Decoder)(nil)

// Reduce implements hashmatch.Reducer: it decodes the luma of content alone, where that is enough to hash and much faster
// than Decode: of a JPEG of gray or YCbCr without any damage, within the limits, whose shorter side has ReducedSide
// pixels or more. It returns false for any other file, where decoding fails, and when ctx is done. It waits for memory
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
	plane, err := jpegluma.Decode(ctx, content, jpegluma.Config{
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
	if err != nil {
		return media, false
	}
	defer plane.Release()
	err = yield(&hashmatch.Reduced{
		Pix: plane.Pix, Stride: plane.Stride, Scale: plane.Scale, Width: f.width, Height: f.height, Orientation: f.orientation,
	})
	return hashmatch.Media{Format: "jpeg", Width: f.width, Height: f.height, Frames: 1}, err == nil
}
