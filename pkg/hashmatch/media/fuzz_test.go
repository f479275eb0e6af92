package media

import (
	"bytes"
	"context"
	"image"
	"image/gif"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// seeds are small files of every format that is decoded in this process.
func seeds(t testing.TB) [][]byte {
	all := image.Rect(0, 0, 6, 6)
	file := jpegOf(t, smooth(20, 12))
	rows := fill(36, 2)
	var b apngBuilder
	b.control(all, 1, 2, 0).data(t, block(6, 6, red), true)
	b.control(image.Rect(1, 1, 4, 4), 1, 1, 1).data(t, block(3, 3, thin), false)
	paletted := image.NewPaletted(all, nil)
	paletted.Palette = append(paletted.Palette, red, thin, blue)
	list := [][]byte{
		file, file[:len(file)-9], withJPEGOrientation(file, 6), flatProgressive(24, 16, 4), restarts(5, -1), restarts(5, 2),
		pngOf(t, scene(6, 6)), pngOf(t, veiled(scene(6, 6))), pngOf(t, paletted), pngOf(t, image.NewGray16(all)),
		rawPNG(chunk("IHDR", ihdr(9, 9, 8, 2, 1)), chunk("IDAT", deflate(make([]byte, 400))), chunk("IEND", nil)),
		withChunk(pngOf(t, scene(6, 6)), "eXIf", exifOf(5)), b.file(6, 6, 2),
		rawGIF(6, 6, gifImage(all, 0x40, 3, 7, 1, fourColours, rows), gifImage(image.Rect(2, 2, 5, 5), 0, 2, 7, -1, nil, rows[:9])),
		rawGIF(6, 6, gifImage(all, 0, 1, 0, -1, nil, rows), gifImage(all, 0, 1, 0, 2, nil, rows)),
		rawBMP(6, 6, 24, 0, nil, make([]byte, 120)), rawBMP(6, 6, 4, 2, paletteOf(16), []byte{3, 0x12, 0, 3, 1, 2, 0, 0, 0, 2, 1, 1, 0, 1}),
		rawBMP(6, -6, 16, 3, make([]byte, 12), make([]byte, 72)), rawBMP(6, 6, 1, 0, paletteOf(2), make([]byte, 24)),
		webpFile(6, 6, 3), []byte("<!DOCTYPE svg [<!ENTITY a 'b'>]><svg/>"), []byte("II*\x00\x08\x00\x00\x00\x00\x00"),
	}
	return list
}

// FuzzDecode wants no panic, no malformed frame, nothing beyond the limits, and never neither frame nor failure.
func FuzzDecode(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	limits := Limits{MaxPixels: 1 << 16, MaxSide: 1 << 10, MaxFrames: 8, MaxTotalPixels: 1 << 18, MaxScans: 8}
	d := New(Config{Limits: limits, Memory: 4 << 20, Isolated: &fake{pictures: []Picture{{Image: scene(5, 4)}}}})
	f.Fuzz(func(t *testing.T, content []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		frames, indices := 0, map[int]bool{}
		media, failures := d.Decode(ctx, content, func(frame *hashmatch.Frame) error {
			frames++
			indices[frame.Index] = true
			if err := wellFormed(frame.Image); err != nil {
				t.Error(err)
			}
			if size := frame.Image.Bounds().Size(); size.X*size.Y > 1<<16 || max(size.X, size.Y) > 1<<10 {
				t.Errorf("a frame of %v", size)
			}
			return nil
		})
		for _, failure := range failures {
			if failure.Code == hashmatch.Panicked || failure.Code == hashmatch.TimedOut {
				t.Error(failure.Error())
			}
		}
		if frames == 0 && len(failures) == 0 || len(indices) > 8 {
			t.Errorf("%d frames of %d pictures, no failure, %+v", frames, len(indices), media)
		}
		if !d.budget.room.TryAcquire(d.budget.size) {
			t.Fatal("the budget was not given back")
		}
		d.budget.room.Release(d.budget.size)
	})
}

// FuzzSniff wants the same answer of Sniff, Probe and Decode.
func FuzzSniff(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed[:min(len(seed), 64)])
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		format := Sniff(head)
		media, failures := New(Config{}).Probe(head)
		if media.Format != format && len(head) > 0 {
			t.Errorf("sniffed %q, probed %q", format, media.Format)
		}
		if (format == "") != (len(failures) == 1 && (failures[0].Code == hashmatch.NotImage || failures[0].Code == hashmatch.Empty)) {
			t.Errorf("sniffed %q, failures %v", format, failures)
		}
	})
}

// FuzzOrientation wants an orientation of 1 to 8, whatever the data.
func FuzzOrientation(f *testing.F) {
	f.Add(exifOf(6))
	f.Add(append(bytes.Clone(exifPrefix), exifOf(3)...))
	f.Add([]byte("MM\x00*\x00\x00\x00\x08\xff\xff\x01\x12\x00\x04\x00\x00\x00\x01\x00\x00\x00\x08"))
	f.Fuzz(func(t *testing.T, exif []byte) {
		if got := exifOrientation(exif); got < 1 || got > 8 {
			t.Errorf("orientation %d", got)
		}
		for _, format := range []string{"webp", "tiff", "heic", "jxl"} {
			h := readHeader(format, exif)
			if h.width < 0 || h.height < 0 || h.orientation(0) < 1 || h.orientation(0) > 8 {
				t.Errorf("%s: %+v", format, h)
			}
		}
	})
}

// FuzzGIF wants the standard library's frames, composed, wherever it accepts a file.
func FuzzGIF(f *testing.F) {
	for _, seed := range seeds(f) {
		if bytes.HasPrefix(seed, []byte("GIF")) {
			f.Add(seed)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		config, err := gif.DecodeConfig(bytes.NewReader(content))
		if err != nil || config.Width*config.Height > 1<<12 || config.Width == 0 || config.Height == 0 || len(content) > 1<<12 {
			return
		}
		std, err := gif.DecodeAll(bytes.NewReader(content))
		if err != nil || len(std.Image) > 16 {
			return
		}
		white := map[int]image.Image{}
		media, failures := New(Config{}).Decode(context.Background(), content, func(frame *hashmatch.Frame) error {
			if frame.View.Background == "" {
				white[frame.Index] = clone(frame.Image)
			}
			return nil
		})
		for _, failure := range failures {
			if failure.Code != hashmatch.Corrupt { // an empty frame
				t.Errorf("the standard library accepts it: %v", failures)
			}
		}
		if media.Frames != len(std.Image) {
			t.Fatalf("%d frames, want %d", media.Frames, len(std.Image))
		}
		composeStandard(std, func(i int, canvas *image.NRGBA) bool {
			if m := white[i]; m != nil { // else equal to an earlier one
				samePixels(t, m, onto(canvas, 255))
			} else if i == 0 {
				t.Error("the first frame is missing")
			}
			return std.Disposal[i] <= gif.DisposalNone
		})
	})
}
