package jpegluma

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// photo is a JPEG of hills and of as much noise as makes it as long as one of a camera: 1.8 bits a pixel.
func photo(b *testing.B, width, height int) []byte {
	m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	random := rand.New(rand.NewPCG(1, 1))
	for y := range height {
		ridge := 60 * math.Sin(float64(y)*9/float64(height))
		for x := range width {
			v := 120 + ridge*math.Cos(float64(x)*7/float64(width)) + random.NormFloat64()*6
			m.Y[y*m.YStride+x] = uint8(min(max(v, 0), 255))
		}
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = uint8(118+random.IntN(3)), uint8(134+random.IntN(3))
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, m, &jpeg.Options{Quality: 80}); err != nil {
		b.Fatal(err)
	}
	return file.Bytes()
}

// BenchmarkDecode decodes a file here and by image/jpeg in turns, and reports how many times as fast it is here.
func BenchmarkDecode(b *testing.B) {
	forged := func(name string, scans []scanOf) []byte {
		d := newDrawing(1152, 864, [2]int{2, 2}, [2]int{1, 1}, [2]int{1, 1})
		forgeries[name](d)
		d.scans = scans
		return d.encode()
	}
	for _, c := range []struct {
		name  string
		scale int
		file  func() []byte
	}{
		{"0.25MP", 1, func() []byte { return photo(b, 577, 433) }},
		{"1MP", 2, func() []byte { return photo(b, 1152, 864) }},
		{"4MP", 4, func() []byte { return photo(b, 2304, 1728) }},
		{"12MP", 8, func() []byte { return photo(b, 4000, 3000) }},
		{"12MP", 1, func() []byte { return photo(b, 4000, 3000) }},
		{"1MP-forged-spikes", 2, func() []byte { return forged("spikes", nil) }},
		{"1MP-forged-colours", 2, func() []byte { return forged("colours", nil) }},
		{"1MP-forged-spikes-progressive", 2, func() []byte { return forged("spikes", script(3)) }},
	} {
		b.Run(fmt.Sprintf("%s/scale=%d", c.name, c.scale), func(b *testing.B) {
			file := c.file()
			var here, there time.Duration
			b.ReportAllocs()
			for b.Loop() {
				started := time.Now()
				plane, err := Decode(context.Background(), file, Config{Scale: scaled(c.scale).Scale})
				if err != nil {
					b.Fatal(err)
				}
				plane.Release()
				here += time.Since(started)
				b.StopTimer()
				started = time.Now()
				if _, err := jpeg.Decode(bytes.NewReader(file)); err != nil {
					b.Fatal(err)
				}
				there += time.Since(started)
				b.StartTimer()
			}
			b.ReportMetric(float64(there)/float64(here), "times")
		})
	}
}
