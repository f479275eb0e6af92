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

// BenchmarkStage has one benchmark a stage of a hash, for every kernel that this machine has.
func BenchmarkStage(b *testing.B) {
	defer func(k kernel) { using = k }(using)
	for _, k := range kernels {
		using = k
		b.Run("luma/"+k.String(), benchmarkLuma)
		b.Run("filter/"+k.String(), benchmarkFilter)
		benchmarkPasses(b, k)
		benchmarkSpectrum(b, k)
	}
}

func benchmarkLuma(b *testing.B) {
	var line [tile]float32
	perPixel(b, []string{"gray", "rgba", "444", "422", "420"}, func(_ image.Image, src Luma) {
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

// benchmarkFilter is all passes together.
func benchmarkFilter(b *testing.B) {
	var f blurrer
	var p plane
	perPixel(b, []string{"gray"}, func(_ image.Image, src Luma) { f.blur(&p, blank{src}) })
}

// benchmarkPasses has the passes one by one, over the bands of a picture of 12 megapixels.
func benchmarkPasses(b *testing.B, k kernel) {
	const width, height = 4000, 3000
	f := new(blurrer)
	f.start(new(plane), width, height)
	window, steps := f.across.window, f.steps
	var in, old [lanes][]float32
	var by, sums [lanes]float32
	for i := range lanes {
		in[i], old[i], by[i] = f.row(i), f.row(lanes+i), f.down.count(height/2)
	}
	tiles := func(work func(x, n int)) func() {
		return func() {
			for x := 0; x < steps; x += tile {
				work(x, min(tile, steps-x))
			}
		}
	}
	for _, stage := range []struct {
		name string
		band func()
	}{
		{"interleave", tiles(func(x, n int) { k.interleave(f.luma[(window+x)*lanes:], f.lines, tile, n) })},
		{"rows", tiles(func(x, n int) { k.rows(f.ring[x:], steps, f.luma[x*lanes:], window, f.counts[x:x+n], &sums) })},
		{"columns", tiles(func(x, n int) { k.columns(f.out[(window+x)*lanes:], f.sums[x:x+n], &in, &old, x, &by) })},
		{"second rows", func() { k.sample(f.points[:], f.out, window, 0, f.ends[:], f.by[:], &sums) }},
		{"second columns", func() {
			k.deal(&f.rows, &f.points)
			f.second.next = f.down.window // neither the start nor the end of a picture, and no sample
			for i := range f.rows {
				f.second.step(&f.rows[i])
			}
		}},
	} {
		b.Run(stage.name+"/"+k.String(), func(b *testing.B) {
			for b.Loop() {
				for range height / lanes {
					stage.band()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(width*height), "ns/pixel")
		})
	}
}

// benchmarkSpectrum has the stages that do not depend on the size of the picture.
func benchmarkSpectrum(b *testing.B, k kernel) {
	src, err := LumaOf(picture("gray", 600, 400, 1))
	if err != nil {
		b.Fatal(err)
	}
	var w workspace
	w.sample(src)
	coefficients := transform(&w.plane)
	b.Run("transform/"+k.String(), func(b *testing.B) {
		for b.Loop() {
			transform(&w.plane)
		}
	})
	if k != portable { // the others have but one way
		return
	}
	b.Run("quality", func(b *testing.B) {
		for b.Loop() {
			qualityOf(&w.plane)
		}
	})
	b.Run("bits", func(b *testing.B) {
		for b.Loop() {
			turns[0].hashes(coefficients)
		}
	})
	b.Run("dihedral bits", func(b *testing.B) {
		for b.Loop() {
			for _, t := range turns[1:] {
				t.hashes(coefficients)
			}
		}
	})
}
