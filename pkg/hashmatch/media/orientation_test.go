package media

import (
	"image"
	"image/color"
	"image/draw"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// oriented is the definition of EXIF 2.3, tag 0x0112: where row 0 and column 0 of the stored picture are shown.
func oriented(m image.Image, orientation int) image.Image {
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	size := image.Pt(w, h)
	if orientation >= 5 {
		size = image.Pt(h, w)
	}
	out := image.NewRGBA(image.Rectangle{Max: size})
	for y := range h {
		for x := range w {
			p := [9]image.Point{1: {x, y}, 2: {w - 1 - x, y}, 3: {w - 1 - x, h - 1 - y}, 4: {x, h - 1 - y},
				5: {y, x}, 6: {h - 1 - y, x}, 7: {h - 1 - y, w - 1 - x}, 8: {y, w - 1 - x}}[orientation]
			out.Set(p.X, p.Y, m.At(x, y))
		}
	}
	return out
}

// stored returns the one picture of a file without an orientation.
func stored(t *testing.T, content []byte) image.Image {
	t.Helper()
	shots, _, failures := decode(t, New(Config{}), content)
	wantCodes(t, failures)
	if len(shots) != 1 {
		t.Fatalf("%d frames, want 1", len(shots))
	}
	return shots[0].Image
}

func TestOrientations(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 21, 13))
	draw.Draw(gray, gray.Rect, scene(21, 13), image.Point{}, draw.Src)
	files := map[string][]byte{
		"jpeg 4:2:0, whole blocks": jpegOf(t, smooth(32, 48)),
		"jpeg 4:2:0, odd sides":    jpegOf(t, smooth(37, 23)),
		"jpeg gray":                jpegOf(t, gray),
		"png rgb":                  pngOf(t, scene(19, 31)),
		"png gray":                 pngOf(t, gray),
	}
	for name, file := range files {
		plain := stored(t, file)
		for orientation := 1; orientation <= 8; orientation++ {
			turned := file
			if file[0] == 0xff {
				turned = withJPEGOrientation(file, uint16(orientation))
			} else {
				turned = withChunk(file, "eXIf", exifOf(uint16(orientation)))
			}
			shots, media, failures := decode(t, New(Config{}), turned)
			wantCodes(t, failures)
			want := 2
			if orientation == 1 {
				want = 1
			}
			if len(shots) != want {
				t.Fatalf("%s, orientation %d: %d frames, want %d", name, orientation, len(shots), want)
			}
			if shots[0].View != (hashmatch.View{}) || shots[0].Index != 0 {
				t.Errorf("%s: first frame %+v", name, shots[0].Frame)
			}
			samePixels(t, shots[0].Image, oriented(plain, orientation))
			if want == 2 {
				if shots[1].View != (hashmatch.View{Orientation: hashmatch.StoredOrientation}) || shots[1].Index != 0 {
					t.Errorf("%s: second frame %+v", name, shots[1].Frame)
				}
				samePixels(t, shots[1].Image, plain)
			}
			if media.Width != plain.Bounds().Dx() || media.Frames != 1 {
				t.Errorf("%s: %+v", name, media)
			}
		}
	}
}

// TestTurnSubsampled turns every subsampling there is, on whole blocks and across them.
func TestTurnSubsampled(t *testing.T) {
	ratios := []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422,
		image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410}
	for _, ratio := range ratios {
		for _, size := range []image.Point{{8, 12}, {9, 7}, {1, 1}, {1, 9}} {
			m := image.NewYCbCr(image.Rectangle{Max: size}, ratio)
			for i := range m.Y {
				m.Y[i] = uint8(i * 37)
			}
			for i := range m.Cb {
				m.Cb[i], m.Cr[i] = uint8(i*53), uint8(i*71)
			}
			for orientation := 2; orientation <= 8; orientation++ {
				var s scratch
				turned := s.turn(m, orientation)
				if err := check(turned); err != nil {
					t.Fatalf("%v %v %d: %v", ratio, size, orientation, err)
				}
				want := oriented(m, orientation)
				for y := range turned.Bounds().Dy() {
					for x := range turned.Bounds().Dx() {
						if got := color.RGBAModel.Convert(turned.At(x, y)); got != want.At(x, y) {
							t.Fatalf("%v %v orientation %d at %d, %d: %v, want %v", ratio, size, orientation, x, y, got, want.At(x, y))
						}
					}
				}
			}
		}
	}
}

func TestExifOrientation(t *testing.T) {
	big := []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
	loop := exifOf(6)
	loop[len(loop)-4] = 8
	far := exifOf(6)
	far[4] = 0xff
	for name, c := range map[string]struct {
		exif []byte
		want int
	}{
		"little-endian":    {exifOf(6), 6},
		"with a prefix":    {append([]byte("Exif\x00\x00"), exifOf(8)...), 8},
		"big-endian":       {big, 6},
		"a loop":           {loop, 6},
		"beyond the end":   {far, 1},
		"99":               {exifOf(99), 1},
		"0":                {exifOf(0), 1},
		"empty":            {nil, 1},
		"cut in the count": {exifOf(6)[:9], 1},
		"cut in the entry": {exifOf(6)[:15], 1},
		"not TIFF":         {[]byte("JJ*\x00\x08\x00\x00\x00"), 1},
	} {
		if got := exifOrientation(c.exif); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
