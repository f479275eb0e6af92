//go:build nodynamic

package isolated

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gen2brain/avif"
	"github.com/gen2brain/jpegxl"
	"github.com/gen2brain/webp"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

// scene is a picture that is not the same under any turn; alpha falls from left to right where it is transparent.
func scene(w, h int, transparent bool) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.NRGBA{byte(255 * x / w), byte(255 * y / h), 60, 255}
			if (x-w/4)*(x-w/4)+(y-h/4)*(y-h/4) < w*h/40 {
				c = color.NRGBA{250, 240, 20, 255}
			}
			if transparent {
				c.A = byte(255 - 200*x/w)
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

// meanError returns the mean difference of the pixels, in steps of 255.
func meanError(got shown, want *image.NRGBA) float64 {
	b := want.Rect
	if got.image.Bounds() != b {
		return math.Inf(1)
	}
	sum := 0
	for y := range b.Dy() {
		for x := range b.Dx() {
			g, w := got.at(x, y), want.NRGBAAt(x, y)
			for _, d := range []int{int(g.R) - int(w.R), int(g.G) - int(w.G), int(g.B) - int(w.B), int(g.A) - int(w.A)} {
				sum += max(d, -d)
			}
		}
	}
	return float64(sum) / float64(4*b.Dx()*b.Dy())
}

var update = flag.Bool("update", false, "write the files in testdata anew")

// encoded returns scene(96, 64, transparent) in each kind that a library at hand encodes. The files are kept in
// testdata, since compiling the encoders takes longer than all else here.
func encoded(t testing.TB, transparent bool) map[string][]byte {
	t.Helper()
	name := map[bool]string{false: "opaque", true: "transparent"}[transparent]
	files := map[string][]byte{}
	for kind, encode := range map[string]func(io.Writer, image.Image) error{
		"avif": func(w io.Writer, img image.Image) error {
			return avif.Encode(w, img, avif.Options{Quality: 90, QualityAlpha: 100, Speed: 10, ChromaSubsampling: image.YCbCrSubsampleRatio444})
		},
		"jxl": func(w io.Writer, img image.Image) error {
			return jpegxl.Encode(w, img, jpegxl.Options{Quality: 100, Effort: 1})
		},
		"webp": func(w io.Writer, img image.Image) error { return webp.Encode(w, img, webp.Options{Quality: 95}) },
		"lossless.webp": func(w io.Writer, img image.Image) error {
			return webp.Encode(w, img, webp.Options{Lossless: true, Exact: true})
		},
	} {
		path := filepath.Join("testdata", name+"."+kind)
		if *update {
			var out bytes.Buffer
			if err := encode(&out, scene(96, 64, transparent)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[kind] = content
	}
	return files
}

// format returns the format of a file of encoded.
func format(kind string) string { return strings.TrimPrefix(kind, "lossless.") }

// Pictures come back as they were encoded: colours, range and alpha.
func TestLinkedDecodersGiveThePicture(t *testing.T) {
	for _, transparent := range []bool{false, true} {
		want := scene(96, 64, transparent)
		files := encoded(t, transparent)
		if len(files) != 4 {
			t.Fatalf("%d files", len(files))
		}
		for name, content := range files {
			pictures, failures := collect(t, format(name), content, media.Limits{})
			wantCodes(t, failures)
			if len(pictures) != 1 {
				t.Fatalf("%s: %d pictures", name, len(pictures))
			}
			if e := meanError(pictures[0], want); e > 3 {
				t.Errorf("%s, transparent %v: mean error %.2f of 255", name, transparent, e)
			}
		}
	}
}

// A file that is cut off anywhere is a named failure, whatever could be decoded of it.
func TestLinkedDecodersCutOff(t *testing.T) {
	for name, content := range encoded(t, false) {
		for _, part := range []int{2, 50, 90, 99} {
			cut := content[:len(content)*part/100]
			if _, failures := collect(t, format(name), cut, media.Limits{}); len(failures) == 0 {
				t.Errorf("%s: %d%% of it are taken for whole", name, part)
			}
		}
	}
}

// The limits hold before the decoder is asked, so that no memory is taken.
func TestLinkedDecodersLimits(t *testing.T) {
	for name, content := range encoded(t, false) {
		for _, limits := range []media.Limits{{MaxSide: 95}, {MaxPixels: 96*64 - 1}} {
			pictures, failures := collect(t, format(name), content, limits)
			if len(pictures) != 0 {
				t.Errorf("%s: %d pictures", name, len(pictures))
			}
			wantCodes(t, failures, hashmatch.TooManyPixels)
		}
	}
}

// A JPEG that lost its end keeps its upper part; one with damage, what came before it. Both have a failure.
func TestJPEGFallback(t *testing.T) {
	content := jpegFixture(t, 160, 160)
	f := walkJPEG(content)
	whole, failures := collect(t, "jpeg", content, media.Limits{})
	wantCodes(t, failures, hashmatch.Corrupt) // always: what is filled in cannot be told from the picture
	if len(whole) != 1 {
		t.Fatal("no picture")
	}
	broken := bytes.Clone(content)
	for i := f.firstScan + (f.end-f.firstScan)*3/4; i < f.end-2; i++ {
		broken[i] = 0xfe
	}
	for name, tc := range map[string]struct {
		content []byte
		code    hashmatch.FailureCode
	}{
		"cut off": {content[:f.firstScan+(f.end-f.firstScan)*3/4], hashmatch.Truncated},
		"damaged": {broken, hashmatch.Corrupt},
	} {
		pictures, failures := collect(t, "jpeg", tc.content, media.Limits{})
		if len(failures) == 0 || failures[0].Code != tc.code || len(pictures) != 1 {
			t.Errorf("%s: %d pictures, %v", name, len(pictures), failures)
			continue
		}
		different := 0
		for y := range 64 {
			for x := range 160 {
				if pictures[0].at(x, y) != whole[0].at(x, y) {
					different++
				}
			}
		}
		if different > 0 {
			t.Errorf("%s: %d of the upper pixels differ", name, different)
		}
	}
}

// BenchmarkDecode measures each decoder, once it is compiled, on a small picture: what a file costs at least.
func BenchmarkDecode(b *testing.B) {
	for name, content := range encoded(b, false) {
		b.Run(name, func(b *testing.B) {
			Warm(format(name))
			b.ReportAllocs()
			for b.Loop() {
				if failures := Decode(b.Context(), format(name), content, media.Limits{}, func(media.Picture) error { return nil }); len(failures) != 0 {
					b.Fatal(failures)
				}
			}
		})
	}
}
