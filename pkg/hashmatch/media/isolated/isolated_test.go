package isolated

import (
	"context"
	"errors"
	"image"
	"image/color"
	"slices"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

func TestDecodeRefusesByName(t *testing.T) {
	for _, tc := range []struct {
		format, content string
		code            hashmatch.FailureCode
	}{
		{"webp", "", hashmatch.Empty},
		{"gif", "GIF89a", hashmatch.Unsupported},
		{"", "x", hashmatch.Unsupported},
		{"webp", "RIFF", hashmatch.Corrupt},
		{"webp", "RIFF\x04\x00\x00\x00WEBP", hashmatch.Corrupt},
		{"tiff", "II", hashmatch.Truncated},
		{"tiff", "II*\x00\x00\x00\x00\x00", hashmatch.Truncated},
		{"tiff", "II+\x00\x08\x00\x00\x00", hashmatch.Unsupported},
		{"tiff", "garbage!", hashmatch.Corrupt},
	} {
		pictures, failures := collect(t, tc.format, []byte(tc.content), media.Limits{})
		if len(pictures) != 0 || len(failures) == 0 || failures[len(failures)-1].Code != tc.code {
			t.Errorf("%q %q: %d pictures, %v, want %s", tc.format, tc.content, len(pictures), failures, tc.code)
		}
	}
}

func TestFormatsAndTheBuildTags(t *testing.T) {
	want := []string{"webp", "tiff"}
	if codecsLinked {
		want = []string{"webp", "tiff", "avif", "jxl", "jpeg"}
	}
	if heicLinked {
		want = slices.Insert(want, 3, "heic")
	}
	if formats := Formats(); !slices.Equal(formats, want) {
		t.Fatalf("formats %v, want %v", formats, want)
	}
	for format := range wasmFormats {
		_, failures := collect(t, format, []byte("x"), media.Limits{})
		if len(failures) == 0 {
			t.Errorf("%s: no failure", format)
		} else if !slices.Contains(want, format) && failures[0].Code != hashmatch.Unsupported {
			t.Errorf("%s without its decoder: %v", format, failures)
		}
	}
}

func TestYieldAndContextEndDecoding(t *testing.T) {
	content := riff(vp8x(4, 4, 2), anmf(0, 0, 4, 4, 10, 0, red), anmf(0, 0, 4, 4, 10, 0, blue))
	calls := 0
	failures := Decode(t.Context(), "webp", content, media.Limits{}, func(media.Picture) error {
		calls++
		return errors.New("enough")
	})
	if calls != 1 || len(failures) != 0 {
		t.Errorf("refused: %d calls, %v", calls, failures)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	failures = Decode(ctx, "webp", content, media.Limits{}, func(media.Picture) error {
		calls++
		cancel()
		return nil
	})
	if calls != 1 {
		t.Errorf("cancelled: %d calls", calls)
	}
	wantCodes(t, failures, hashmatch.TimedOut)
}

func TestAPanicIsAFailure(t *testing.T) {
	e := &emitter{ctx: t.Context()}
	err := guard(func() error { panic("index out of range") })
	e.failDecoder(hashmatch.Corrupt, "webp", err)
	e.failDecoder(hashmatch.Corrupt, "webp", errors.New("trap\nstack"))
	wantCodes(t, e.failures, hashmatch.Panicked, hashmatch.Corrupt)
	if e.failures[1].Detail != "webp: trap" {
		t.Errorf("detail %q", e.failures[1].Detail)
	}
	for i := range 100 {
		e.fail(hashmatch.Corrupt, string(rune('a'+i)))
	}
	if len(e.failures) != 5 {
		t.Errorf("%d failures: one broken page after the other is to be told four times", len(e.failures))
	}
}

func TestNormalise(t *testing.T) {
	b := image.Rect(0, 0, 2, 1)
	palette := color.Palette{color.NRGBA{1, 2, 3, 255}, color.NRGBA{200, 100, 50, 128}}
	for name, tc := range map[string]struct {
		img  image.Image
		want [2]color.NRGBA
	}{
		"Gray16":   {&image.Gray16{Pix: []byte{0x12, 0xff, 0x80, 0x00}, Stride: 4, Rect: b}, [2]color.NRGBA{{0x12, 0x12, 0x12, 255}, {0x80, 0x80, 0x80, 255}}},
		"NRGBA64":  {&image.NRGBA64{Pix: []byte{1, 9, 2, 9, 3, 9, 255, 255, 4, 9, 5, 9, 6, 9, 7, 9}, Stride: 16, Rect: b}, [2]color.NRGBA{{1, 2, 3, 255}, {4, 5, 6, 7}}},
		"RGBA64":   {&image.RGBA64{Pix: []byte{0x40, 0, 0x20, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}, Stride: 16, Rect: b}, [2]color.NRGBA{{0x7f, 0x3f, 0, 0x80}, {}}},
		"RGBA":     {&image.RGBA{Pix: []byte{64, 32, 0, 128, 9, 8, 7, 255}, Stride: 8, Rect: b}, [2]color.NRGBA{{128, 64, 0, 128}, {9, 8, 7, 255}}},
		"Paletted": {&image.Paletted{Pix: []byte{1, 0}, Stride: 2, Rect: b, Palette: palette}, [2]color.NRGBA{{200, 100, 50, 128}, {1, 2, 3, 255}}},
		"CMYK":     {&image.CMYK{Pix: []byte{0, 0, 0, 0, 255, 0, 0, 0}, Stride: 8, Rect: b}, [2]color.NRGBA{{255, 255, 255, 255}, {0, 255, 255, 255}}},
	} {
		plain, err := normalise(tc.img)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := checkPicture(media.Picture{Image: plain}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for x, want := range tc.want {
			if got := (shown{image: plain}).at(x, 0); got != want {
				t.Errorf("%s: pixel %d is %v, want %v", name, x, got, want)
			}
		}
	}
	for name, img := range map[string]image.Image{
		"short buffer":      &image.RGBA{Pix: make([]byte, 7), Stride: 8, Rect: b},
		"short chroma":      &image.YCbCr{Y: make([]byte, 2), Cb: nil, Cr: nil, YStride: 2, CStride: 1, SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: b},
		"chroma ratio":      &image.YCbCr{Y: make([]byte, 2), Cb: make([]byte, 2), Cr: make([]byte, 2), YStride: 2, CStride: 2, SubsampleRatio: -1, Rect: b},
		"palette index":     &image.Paletted{Pix: []byte{0, 2}, Stride: 2, Rect: b, Palette: palette},
		"bounds":            image.NewGray(image.Rect(1, 0, 2, 1)),
		"empty":             image.NewGray(image.Rect(0, 0, 0, 1)),
		"type not known of": image.NewAlpha(b),
	} {
		if plain, err := normalise(img); err == nil {
			t.Errorf("%s: %v, want an error", name, plain)
		}
	}
}

// The planes of a lossy WebP span 16..235 and 16..240; the ends and the middle must land on 0, 128 and 255.
func TestFullRange(t *testing.T) {
	img := &image.YCbCr{Y: []byte{0, 16, 126, 235, 255}, Cb: []byte{0, 16, 128, 240, 255}, Cr: []byte{127, 129, 128, 17, 239}}
	fullRange(img)
	for i, want := range []byte{0, 0, 128, 255, 255} {
		if img.Y[i] != want {
			t.Errorf("luma %d is %d, want %d", i, img.Y[i], want)
		}
	}
	for i, want := range []byte{0, 1, 128, 255, 255} { // 16 lies 112 below the middle: 127.5 of 128
		if d := int(img.Cb[i]) - int(want); d < -1 || d > 1 {
			t.Errorf("chroma %d is %d, want %d", i, img.Cb[i], want)
		}
	}
	if img.Cr[0] != 127 || img.Cr[1] != 129 {
		t.Errorf("chroma beside the middle: %v", img.Cr)
	}
}
