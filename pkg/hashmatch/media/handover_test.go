package media

import (
	"context"
	"errors"
	"image"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// fake is an isolated decoder that gives what it was told to, as the contract asks: it stops when yield returns an
// error, and does not report that.
type fake struct {
	pictures []Picture
	failures []hashmatch.Failure
	asked    []string
	panics   bool
}

func (f *fake) Decode(_ context.Context, format string, _ []byte, limits Limits, yield func(Picture) error) []hashmatch.Failure {
	if f.panics {
		panic("as a bug would")
	}
	f.asked = append(f.asked, format)
	for _, p := range f.pictures {
		if yield(p) != nil {
			return nil
		}
	}
	return f.failures
}

// webpFile makes a WebP of a header of the extended format and EXIF data.
func webpFile(width, height int, orientation uint16) []byte {
	exif := exifOf(orientation)
	b := append([]byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x08\x00\x00\x00"),
		byte(width-1), byte((width-1)>>8), byte((width-1)>>16), byte(height-1), byte((height-1)>>8), byte((height-1)>>16))
	b = append(append(b, "EXIF"...), byte(len(exif)), 0, 0, 0)
	return append(b, exif...)
}

func TestHandOver(t *testing.T) {
	first, second := scene(20, 10), veiled(scene(20, 10))
	isolated := &fake{pictures: []Picture{{Image: first}, {Image: second, Time: time.Second}, {Image: first, Time: 2 * time.Second}}}
	shots, media, failures := decode(t, New(Config{Isolated: isolated}), webpFile(20, 10, 1))
	wantCodes(t, failures)
	if media != (hashmatch.Media{Format: "webp", Width: 20, Height: 10, Frames: 3}) {
		t.Errorf("media %+v", media)
	}
	if len(isolated.asked) != 1 || isolated.asked[0] != "webp" {
		t.Errorf("asked %v", isolated.asked)
	}
	if len(shots) != 3 { // the third picture equals the first
		t.Fatalf("%d frames, want 3", len(shots))
	}
	samePixels(t, shots[0].Image, first)
	samePixels(t, shots[1].Image, onto(second, 255))
	samePixels(t, shots[2].Image, onto(second, 0))
	if shots[1].Index != 1 || shots[1].Time != time.Second || shots[2].Index != 1 {
		t.Errorf("frames %+v", shots)
	}
}

func TestHandOverOrientation(t *testing.T) {
	m := scene(20, 10)
	shots, _, failures := decode(t, New(Config{Isolated: &fake{pictures: []Picture{{Image: m}}}}), webpFile(20, 10, 6))
	wantCodes(t, failures)
	if len(shots) != 2 {
		t.Fatalf("%d frames, want 2", len(shots))
	}
	samePixels(t, shots[0].Image, oriented(m, 6))
	samePixels(t, shots[1].Image, m)
}

func TestHandOverFails(t *testing.T) {
	m := scene(8, 8)
	short := &image.RGBA{Pix: m.Pix[:60], Stride: 32, Rect: m.Rect}
	offset := image.NewGray(image.Rect(1, 1, 4, 4))
	chroma := image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio420)
	chroma.Cr = chroma.Cr[:3]
	ratio := image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio444)
	ratio.SubsampleRatio = 99
	truncated := hashmatch.Failure{Code: hashmatch.Truncated, Detail: "cut"}
	for name, c := range map[string]struct {
		isolated Isolated
		limits   Limits
		want     hashmatch.FailureCode
		frames   int
	}{
		"none":                    {nil, Limits{}, hashmatch.Unsupported, 0},
		"nothing":                 {&fake{}, Limits{}, hashmatch.Corrupt, 0},
		"a failure":               {&fake{failures: []hashmatch.Failure{truncated}}, Limits{}, hashmatch.Truncated, 0},
		"a picture and a failure": {&fake{pictures: []Picture{{Image: m}}, failures: []hashmatch.Failure{truncated}}, Limits{}, hashmatch.Truncated, 1},
		"no image":                {&fake{pictures: []Picture{{}}}, Limits{}, hashmatch.Corrupt, 0},
		"a nil image":             {&fake{pictures: []Picture{{Image: (*image.Paletted)(nil)}}}, Limits{}, hashmatch.Corrupt, 0},
		"an unknown type":         {&fake{pictures: []Picture{{Image: image.NewCMYK(m.Rect)}}}, Limits{}, hashmatch.Corrupt, 0},
		"an empty image":          {&fake{pictures: []Picture{{Image: image.NewGray(image.Rectangle{})}}}, Limits{}, hashmatch.Corrupt, 0},
		"a short buffer":          {&fake{pictures: []Picture{{Image: m}, {Image: short}}}, Limits{}, hashmatch.Corrupt, 1},
		"an offset":               {&fake{pictures: []Picture{{Image: offset}}}, Limits{}, hashmatch.Corrupt, 0},
		"short chroma":            {&fake{pictures: []Picture{{Image: chroma}}}, Limits{}, hashmatch.Corrupt, 0},
		"an unknown ratio":        {&fake{pictures: []Picture{{Image: ratio}}}, Limits{}, hashmatch.Corrupt, 0},
		"a panic":                 {&fake{panics: true}, Limits{}, hashmatch.Panicked, 0},
		"too many frames":         {&fake{pictures: []Picture{{Image: m}, {Image: scene(7, 7)}, {Image: m}}}, Limits{MaxFrames: 2}, hashmatch.TooManyFrames, 2},
		"too many pixels in all":  {&fake{pictures: []Picture{{Image: m}, {Image: scene(7, 7)}}}, Limits{MaxTotalPixels: 100}, hashmatch.TooManyFrames, 1},
		"more than its header":    {&fake{pictures: []Picture{{Image: scene(11, 11)}}}, Limits{MaxPixels: 100}, hashmatch.TooManyPixels, 0},
	} {
		shots, media, failures := decode(t, New(Config{Isolated: c.isolated, Limits: c.limits}), webpFile(8, 8, 1))
		wantCodes(t, failures, c.want)
		if len(shots) != c.frames || media.Format != "webp" {
			t.Errorf("%s: %d frames, want %d; %+v", name, len(shots), c.frames, media)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestHandOverLimits wants the header to be checked before the file is sent away.
func TestHandOverLimits(t *testing.T) {
	isolated := &fake{}
	_, _, failures := decode(t, New(Config{Isolated: isolated}), webpFile(16000, 16000, 1))
	wantCodes(t, failures, hashmatch.TooManyPixels)
	_, _, failures = decode(t, New(Config{Isolated: isolated, Memory: 1000}), webpFile(16, 16, 1))
	wantCodes(t, failures, hashmatch.TooManyPixels)
	if len(isolated.asked) != 0 {
		t.Errorf("it was asked %v", isolated.asked)
	}
}

func TestHandOverStopped(t *testing.T) {
	isolated := &fake{pictures: []Picture{{Image: scene(8, 8)}, {Image: scene(9, 9)}}}
	calls := 0
	_, failures := New(Config{Isolated: isolated}).Decode(context.Background(), webpFile(9, 9, 1), func(*hashmatch.Frame) error {
		calls++
		return errors.New("enough")
	})
	wantCodes(t, failures)
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func TestHeaders(t *testing.T) {
	box := func(kind string, body ...byte) []byte {
		return append(append([]byte{0, 0, 0, byte(8 + len(body))}, kind...), body...)
	}
	ispe := box("ispe", 0, 0, 0, 0, 0, 0, 1, 44, 0, 0, 0, 200)
	small := box("ispe", 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0, 20)
	heif := append(box("ftyp", []byte("heic\x00\x00\x00\x00mif1heic")...),
		box("meta", append([]byte{0, 0, 0, 0}, box("iprp", box("ipco", append(ispe, small...)...)...)...)...)...)
	tiff := []byte("II*\x00\x08\x00\x00\x00\x02\x00\x00\x01\x03\x00\x01\x00\x00\x00\x40\x01\x00\x00\x01\x01\x04\x00\x01\x00\x00\x00\xf0\x00\x00\x00\x08\x00\x00\x00")
	for name, c := range map[string]struct {
		format        string
		file          []byte
		width, height int
		frames        int
	}{
		"webp, extended":  {"webp", webpFile(300, 200, 1), 300, 200, 0},
		"webp, lossy":     {"webp", []byte("RIFF\x00\x00\x00\x00WEBPVP8 \x0a\x00\x00\x00\x00\x00\x00\x9d\x01\x2a\x2c\x01\xc8\x00"), 300, 200, 1},
		"webp, lossless":  {"webp", []byte("RIFF\x00\x00\x00\x00WEBPVP8L\x05\x00\x00\x00\x2f\x2b\xc1\x31\x00"), 300, 200, 1},
		"heic":            {"heic", heif, 300, 200, 0},
		"tiff that loops": {"tiff", tiff, 320, 240, 1},
		"jxl, small":      {"jxl", []byte{0xff, 0x0a, 0x37, 0x41, 0x24}, 336, 224, 0},
		"jxl in a box":    {"jxl", append([]byte("\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"), box("jxlp", 0, 0, 0, 0, 0xff, 0x0a, 0x37, 0x41, 0x24)...), 336, 224, 0},
		"cut":             {"jxl", []byte{0xff, 0x0a}, 0, 0, 0},
	} {
		h := readHeader(c.format, c.file)
		if h.width != c.width || h.height != c.height || h.frames != c.frames {
			t.Errorf("%s: %+v, want %d x %d, %d frames", name, h, c.width, c.height, c.frames)
		}
		if got := Sniff(c.file); got != c.format {
			t.Errorf("%s: sniffed as %q", name, got)
		}
	}
}
