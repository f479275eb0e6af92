package isolated

import (
	"bytes"
	"image"
	"image/color"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

var (
	red      = color.NRGBA{255, 0, 0, 255}
	green    = color.NRGBA{0, 255, 0, 255}
	blue     = color.NRGBA{0, 0, 255, 255}
	halfBlue = color.NRGBA{0, 0, 255, 128}
	nothing  = color.NRGBA{}
)

const (
	animated = 2      // flag of VP8X
	dispose  = 1      // flag of ANMF: clear afterwards
	replace  = 1 << 1 // flag of ANMF: do not blend
)

func TestWebPStill(t *testing.T) {
	pictures, failures := collect(t, "webp", riff(chunk("VP8L", vp8l(5, 3, color.NRGBA{10, 20, 30, 255}))), media.Limits{})
	wantCodes(t, failures)
	if len(pictures) != 1 || pictures[0].at(4, 2) != (color.NRGBA{10, 20, 30, 255}) {
		t.Fatalf("%v", pictures)
	}
	if _, ok := pictures[0].image.(*image.RGBA); !ok {
		t.Errorf("opaque picture is a %T", pictures[0].image)
	}
	pictures, failures = collect(t, "webp", riff(vp8x(5, 3, 16), chunk("VP8L", vp8l(5, 3, halfBlue))), media.Limits{})
	wantCodes(t, failures)
	if len(pictures) != 1 || pictures[0].at(0, 0) != halfBlue {
		t.Fatalf("%v", pictures)
	}
}

// Each frame is what a viewer shows at that moment: blending, replacing, clearing, and nothing of a frame in the next
// that was cleared.
func TestWebPAnimation(t *testing.T) {
	content := riff(vp8x(8, 4, animated), chunk("ANIM", make([]byte, 6)),
		anmf(0, 0, 8, 4, 100, 0, red),
		anmf(2, 0, 2, 2, 50, dispose, halfBlue),      // over red, then cleared
		anmf(6, 2, 2, 2, 25, replace, halfBlue),      // instead of red
		anmf(0, 0, 2, 2, 10, 0, nothing),             // over red: no change
		anmf(0, 0, 2, 2, 10, replace, nothing),       // instead of red: a hole
		anmf(2, 0, 2, 2, 10, dispose|replace, green), // into the hole of frame 1
		anmf(0, 0, 8, 4, 10, 0, blue))                // all
	pictures, failures := collect(t, "webp", content, media.Limits{})
	wantCodes(t, failures)
	if len(pictures) != 7 {
		t.Fatalf("%d pictures", len(pictures))
	}
	mixed := color.NRGBA{127, 0, 128, 255}
	for i, want := range []struct {
		time                              int
		corner, second, replaced, outside color.NRGBA // at (0,0), (2,0), (6,2), (5,3)
	}{
		{0, red, red, red, red},
		{100, red, mixed, red, red},
		{150, red, nothing, halfBlue, red},
		{175, red, nothing, halfBlue, red},
		{185, nothing, nothing, halfBlue, red},
		{195, nothing, green, halfBlue, red},
		{205, blue, blue, blue, blue},
	} {
		p := pictures[i]
		got := []color.NRGBA{p.at(0, 0), p.at(2, 0), p.at(6, 2), p.at(5, 3)}
		for j, c := range []color.NRGBA{want.corner, want.second, want.replaced, want.outside} {
			if got[j] != c {
				t.Errorf("frame %d, point %d: %v, want %v", i, j, got[j], c)
			}
		}
		if p.time != time.Duration(want.time)*time.Millisecond {
			t.Errorf("frame %d at %v", i, p.time)
		}
	}
}

func TestWebPLimits(t *testing.T) {
	var frames [][]byte
	for range 10 {
		frames = append(frames, anmf(0, 0, 4, 4, 10, 0, red))
	}
	animation := riff(append([][]byte{vp8x(4, 4, animated)}, frames...)...)
	for name, tc := range map[string]struct {
		content  []byte
		limits   media.Limits
		pictures int
		codes    []hashmatch.FailureCode
	}{
		"frames":        {animation, media.Limits{MaxFrames: 3}, 3, []hashmatch.FailureCode{hashmatch.TooManyFrames}},
		"exactly":       {animation, media.Limits{MaxFrames: 10}, 10, nil},
		"all pixels":    {animation, media.Limits{MaxTotalPixels: 79}, 4, []hashmatch.FailureCode{hashmatch.TooManyFrames}},
		"canvas":        {animation, media.Limits{MaxPixels: 15}, 0, []hashmatch.FailureCode{hashmatch.TooManyPixels}},
		"side":          {riff(chunk("VP8L", vp8l(17, 1, red))), media.Limits{MaxSide: 16}, 0, []hashmatch.FailureCode{hashmatch.TooManyPixels}},
		"huge canvas":   {riff(vp8x(1<<24, 1<<24, animated), frames[0]), media.Limits{}, 0, []hashmatch.FailureCode{hashmatch.TooManyPixels}},
		"huge, no data": {riff(chunk("VP8L", vp8l(16384, 16384, red)[:6])), media.Limits{}, 0, []hashmatch.FailureCode{hashmatch.TooManyPixels}},
	} {
		t.Run(name, func(t *testing.T) {
			pictures, failures := collect(t, "webp", tc.content, tc.limits)
			if len(pictures) != tc.pictures {
				t.Errorf("%d pictures, want %d", len(pictures), tc.pictures)
			}
			wantCodes(t, failures, tc.codes...)
		})
	}
}

func TestWebPDamage(t *testing.T) {
	one, two := anmf(0, 0, 4, 4, 10, 0, red), anmf(0, 0, 4, 4, 10, 0, blue)
	broken := chunk("ANMF", bytes.Join([][]byte{le24(0), le24(0), le24(3), le24(3), le24(10), {0}, chunk("VP8L", []byte("nonsense"))}, nil))
	whole := riff(vp8x(4, 4, animated), one, two)
	for name, tc := range map[string]struct {
		content  []byte
		pictures int
		codes    []hashmatch.FailureCode
	}{
		"between two frames":  {whole[:len(whole)-len(two)], 1, []hashmatch.FailureCode{hashmatch.Truncated}},
		"in a frame's header": {whole[:len(whole)-len(two)+12], 1, []hashmatch.FailureCode{hashmatch.Truncated}},
		"in a frame's pixels": {whole[:len(whole)-4], 1, []hashmatch.FailureCode{hashmatch.Truncated}},
		"frame broken":        {riff(vp8x(4, 4, animated), one, broken, two), 2, []hashmatch.FailureCode{hashmatch.Corrupt}},
		"frame outside":       {riff(vp8x(4, 4, animated), one, anmf(2, 2, 4, 4, 10, 0, blue)), 2, []hashmatch.FailureCode{hashmatch.Corrupt}},
		"frame empty":         {riff(vp8x(4, 4, animated), one, chunk("ANMF", make([]byte, 16))), 1, []hashmatch.FailureCode{hashmatch.Corrupt}},
		"frame very short":    {riff(vp8x(4, 4, animated), one, chunk("ANMF", nil)), 1, []hashmatch.FailureCode{hashmatch.Corrupt}},
		"no canvas":           {riff(one), 0, []hashmatch.FailureCode{hashmatch.Corrupt}},
		"no frames":           {riff(vp8x(4, 4, animated)), 0, []hashmatch.FailureCode{hashmatch.Corrupt}},
		"RIFF size 0":         {append([]byte("RIFF\x00\x00\x00\x00"), whole[8:]...), 2, []hashmatch.FailureCode{hashmatch.Corrupt}},
		"RIFF size too large": {append([]byte("RIFF\xff\xff\xff\xff"), whole[8:]...), 2, []hashmatch.FailureCode{hashmatch.Truncated}},
		"what follows":        {append(bytes.Clone(whole), two...), 2, nil},
		"no VP8 header":       {riff(chunk("VP8 ", make([]byte, 40))), 0, []hashmatch.FailureCode{hashmatch.Corrupt}},
		"VP8 of 0 x 0":        {riff(chunk("VP8 ", append([]byte{0x10, 0, 0, 0x9d, 0x01, 0x2a}, make([]byte, 40)...))), 0, []hashmatch.FailureCode{hashmatch.Corrupt}},
	} {
		t.Run(name, func(t *testing.T) {
			pictures, failures := collect(t, "webp", tc.content, media.Limits{})
			if len(pictures) != tc.pictures {
				t.Errorf("%d pictures, want %d", len(pictures), tc.pictures)
			}
			wantCodes(t, failures, tc.codes...)
		})
	}
}

func FuzzWebP(f *testing.F) {
	f.Add(riff(chunk("VP8L", vp8l(5, 3, halfBlue))))
	f.Add(riff(vp8x(8, 4, animated), anmf(0, 0, 8, 4, 100, 0, red), anmf(2, 2, 2, 2, 50, dispose, halfBlue)))
	f.Add(riff(vp8x(4, 4, 16), chunk("ALPH", make([]byte, 17)), chunk("VP8 ", append([]byte{0x10, 2, 0, 0x9d, 0x01, 0x2a, 4, 0, 4, 0}, make([]byte, 80)...))))
	fuzzDecode(f, "webp")
}

// fuzzDecode decodes under small limits: no panic, no picture beyond the limits, and never silence.
func fuzzDecode(f *testing.F, format string) {
	limits := media.Limits{MaxPixels: 1 << 12, MaxSide: 1 << 8, MaxFrames: 4, MaxTotalPixels: 1 << 13}
	f.Fuzz(func(t *testing.T, content []byte) {
		pictures, failures := collect(t, format, content, limits)
		if len(pictures) > limits.MaxFrames {
			t.Errorf("%d pictures", len(pictures))
		}
		total := 0
		for _, p := range pictures {
			size := p.image.Bounds().Size()
			total += size.X * size.Y
			if size.X*size.Y > int(limits.MaxPixels) || size.X > limits.MaxSide || size.Y > limits.MaxSide {
				t.Errorf("a picture of %v", size)
			}
		}
		if total > int(limits.MaxTotalPixels) {
			t.Errorf("%d pixels in all", total)
		}
		if len(pictures) == 0 && len(failures) == 0 {
			t.Error("neither a picture nor a failure")
		}
	})
}
