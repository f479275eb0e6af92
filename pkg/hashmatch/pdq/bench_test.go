package pdq

import (
	"fmt"
	"image"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

var benchSizes = [][2]int{{577, 433}, {1152, 864}, {2304, 1728}, {4000, 3000}}

// perPixel runs work on pictures of 0.25, 1, 4 and 12 megapixels, and reports nanoseconds a pixel.
func perPixel(b *testing.B, formats []string, work func(img image.Image, src Luma)) {
	for _, format := range formats {
		for _, size := range benchSizes {
			width, height := size[0], size[1]
			b.Run(fmt.Sprintf("%s/%.2fMP", format, float64(width*height)/1e6), func(b *testing.B) {
				img := picture(format, width, height, 1)
				src, err := LumaOf(img)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					work(img, src)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(width*height), "ns/pixel")
			})
		}
	}
}

func BenchmarkLuma(b *testing.B) {
	var line [tile]float32
	perPixel(b, []string{"gray", "rgba", "444", "420"}, func(_ image.Image, src Luma) {
		width, height := src.Size()
		for y := range height {
			for x := 0; x < width; x += tile {
				src.Row(line[:min(tile, width-x)], x, y)
			}
		}
	})
}

// blank is a Luma that costs nothing.
type blank struct{ Luma }

func (blank) Row(dst []float32, x, y int) {}

func BenchmarkBlur(b *testing.B) {
	var f blurrer
	var p plane
	perPixel(b, []string{"gray"}, func(_ image.Image, src Luma) { f.blur(&p, blank{src}) })
}

func BenchmarkHash(b *testing.B) {
	var hashes []hashmatch.FrameHash
	kinds := hashmatch.SetOf(hashmatch.PDQ)
	perPixel(b, []string{"gray", "rgba", "420"}, func(img image.Image, _ Luma) {
		var err error
		if hashes, err = (Hasher{}).Hash(hashes[:0], &hashmatch.Frame{Image: img}, kinds, kinds); err != nil {
			b.Fatal(err)
		}
	})
}

// The stages that do not depend on the size of the picture.
func BenchmarkSpectrum(b *testing.B) {
	src, err := LumaOf(picture("gray", 600, 400, 1))
	if err != nil {
		b.Fatal(err)
	}
	var w workspace
	w.sample(src)
	coefficients := transform(&w.plane)
	b.Run("quality", func(b *testing.B) {
		for b.Loop() {
			qualityOf(&w.plane)
		}
	})
	b.Run("transform", func(b *testing.B) {
		for b.Loop() {
			transform(&w.plane)
		}
	})
	b.Run("bits", func(b *testing.B) {
		for b.Loop() {
			turns[0].hashes(coefficients)
		}
	})
	b.Run("seven variants", func(b *testing.B) {
		for b.Loop() {
			for _, t := range turns[1:] {
				t.hashes(coefficients)
			}
		}
	})
}
