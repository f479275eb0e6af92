package media

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"testing"

	"golang.org/x/image/bmp"

	"example.org/hashmatch/pkg/hashmatch"
)

// photo is smooth with some noise in it, as a photo has.
func photo(width, height int) *image.RGBA {
	m := smooth(width, height)
	state := uint32(1)
	for i := range m.Pix {
		if i%4 != 3 {
			state = state*1664525 + 1013904223
			m.Pix[i] += uint8(state >> 29)
		}
	}
	return m
}

// BenchmarkDecode decodes each format at 1 and 4 megapixels.
func BenchmarkDecode(b *testing.B) {
	for _, size := range []image.Point{{1250, 800}, {2500, 1600}} {
		m := photo(size.X, size.Y)
		gray := image.NewGray(m.Rect)
		draw.Draw(gray, m.Rect, m, image.Point{}, draw.Src)
		var animation, bitmap bytes.Buffer
		paletted := image.NewPaletted(m.Rect, palette.WebSafe)
		draw.Draw(paletted, m.Rect, m, image.Point{}, draw.Src)
		if err := gif.Encode(&animation, paletted, nil); err != nil {
			b.Fatal(err)
		}
		if err := bmp.Encode(&bitmap, m); err != nil {
			b.Fatal(err)
		}
		jpeg := jpegOf(b, m)
		sized := func(name string, file []byte) {
			b.Run(fmt.Sprintf("%s/%dMP", name, size.X*size.Y/1_000_000), func(b *testing.B) {
				d := New(Config{})
				b.ReportAllocs()
				b.SetBytes(int64(size.X * size.Y))
				for b.Loop() {
					_, failures := d.Decode(context.Background(), file, func(*hashmatch.Frame) error { return nil })
					if len(failures) > 0 {
						b.Fatal(failures)
					}
				}
			})
		}
		sized("jpeg", jpeg)
		sized("jpeg-turned", withJPEGOrientation(jpeg, 6))
		sized("jpeg-gray", jpegOf(b, gray))
		sized("png-rgb", pngOf(b, m))
		sized("png-rgba", pngOf(b, veiled(m)))
		sized("png-gray", pngOf(b, gray))
		sized("apng", (&apngBuilder{}).control(m.Rect, 1, 0, 0).data(b, veiled(m), true).file(size.X, size.Y, 1))
		sized("gif", animation.Bytes())
		sized("bmp", bitmap.Bytes())
	}
}
