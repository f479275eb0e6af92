package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"testing"

	"golang.org/x/image/bmp"

	"example.org/hashmatch/pkg/hashmatch"
)

// rawBMP makes a BMP with a header of 40 bytes and what follows it: masks or a palette of so many bytes, and pixels.
func rawBMP(width, height int32, bits uint16, compression uint32, table, pixels []byte) []byte {
	b := []byte("BM\x00\x00\x00\x00\x00\x00\x00\x00")
	b = binary.LittleEndian.AppendUint32(b, uint32(54+len(table)))
	b = binary.LittleEndian.AppendUint32(b, 40)
	b = binary.LittleEndian.AppendUint32(b, uint32(width))
	b = binary.LittleEndian.AppendUint32(b, uint32(height))
	b = binary.LittleEndian.AppendUint16(append(b, 1, 0), bits)
	b = binary.LittleEndian.AppendUint32(b, compression)
	b = append(b, make([]byte, 20)...)
	return append(append(b, table...), pixels...)
}

// paletteOf makes a BMP palette of gray levels 0, 10, 20…
func paletteOf(n int) (b []byte) {
	for i := range n {
		b = append(b, byte(10*i), byte(10*i), byte(10*i), 0)
	}
	return b
}

// TestBMPAsLibrary compares with golang.org/x/image/bmp what that knows.
func TestBMPAsLibrary(t *testing.T) {
	gray, paletted := image.NewGray(image.Rect(0, 0, 13, 7)), image.NewPaletted(image.Rect(0, 0, 13, 7), color.Palette{color.Black, color.White, color.RGBA{9, 8, 7, 255}})
	for i := range gray.Pix {
		gray.Pix[i], paletted.Pix[i] = uint8(i*3), uint8(i%3)
	}
	tried := 0
	files := map[string][]byte{}
	for name, m := range map[string]image.Image{"rgb": scene(13, 7), "rgba": veiled(scene(13, 7)), "gray": gray, "palette": paletted} {
		var b bytes.Buffer
		if err := bmp.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		files[name] = b.Bytes()
	}
	for _, bits := range []uint16{1, 2, 4, 8} {
		row := (13*int(bits) + 31) / 32 * 4
		pixels := make([]byte, 7*row)
		for i := range pixels {
			pixels[i] = byte(i * 73)
		}
		files[string(rune('0'+bits))+" bits"] = rawBMP(13, 7, bits, 0, paletteOf(1<<bits), pixels)
		files[string(rune('0'+bits))+" bits, top down"] = rawBMP(13, -7, bits, 0, paletteOf(1<<bits), pixels)
	}
	for name, file := range files {
		want, err := bmp.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shots, media, failures := decode(t, New(Config{}), file)
		wantCodes(t, failures)
		if len(shots) == 0 || media != (hashmatch.Media{Format: "bmp", Width: 13, Height: 7, Frames: 1}) {
			t.Fatalf("%s: %d frames of %+v", name, len(shots), media)
		}
		if n, ok := want.(*image.NRGBA); ok {
			want = onto(n, 255)
		}
		samePixels(t, shots[0].Image, want)
		tried++
	}
	if tried != 12 {
		t.Errorf("%d files were tried", tried)
	}
}

func TestBMPOthers(t *testing.T) {
	masks := func(m ...uint32) (b []byte) {
		for _, v := range m {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		return b
	}
	core := append([]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00\x0c\x00\x00\x00\x02\x00\x01\x00\x01\x00\x01\x00"), 1, 2, 3, 4, 5, 6, 0x40, 0, 0, 0)
	for name, c := range map[string]struct {
		file []byte
		want []color.RGBA // the pixels, row by row
	}{
		"555":      {rawBMP(2, 1, 16, 0, nil, []byte{0x1f, 0x7c, 0, 0}), []color.RGBA{{255, 0, 255, 255}, {0, 0, 0, 255}}},
		"565":      {rawBMP(2, 1, 16, 3, masks(0xf800, 0x7e0, 0x1f), []byte{0xe0, 0x07, 0x10, 0x00}), []color.RGBA{{0, 255, 0, 255}, {0, 0, 132, 255}}},
		"bgr 32":   {rawBMP(1, 1, 32, 3, masks(0xff, 0xff00, 0xff0000), []byte{1, 2, 3, 4}), []color.RGBA{{1, 2, 3, 255}}},
		"10 bits":  {rawBMP(1, 1, 32, 3, masks(0x3ff00000, 0xffc00, 0x3ff), []byte{0xff, 3, 0, 0}), []color.RGBA{{0, 0, 255, 255}}},
		"alpha":    {rawBMP(1, 1, 32, 6, masks(0xff, 0xff00, 0xff0000, 0xff000000), []byte{0, 0, 0, 51}), []color.RGBA{{204, 204, 204, 255}}},
		"no alpha": {rawBMP(1, 1, 32, 6, masks(0xff, 0xff00, 0xff0000, 0xff000000), []byte{7, 8, 9, 0}), []color.RGBA{{7, 8, 9, 255}}},
		"rle8":     {rawBMP(4, 2, 8, 1, paletteOf(9), []byte{3, 5, 1, 6, 0, 0, 0, 3, 1, 2, 3, 0, 0, 1}), grays(10, 20, 30, 0, 50, 50, 50, 60)},
		"rle8 moves": {rawBMP(3, 2, 8, 1, paletteOf(9), []byte{1, 5, 0, 2, 1, 1, 1, 6, 0, 1}),
			grays(0, 0, 60, 50, 0, 0)},
		"rle4": {rawBMP(5, 1, 4, 2, paletteOf(9), []byte{2, 0x12, 0, 3, 0x34, 0x50, 0, 1}), grays(10, 20, 30, 40, 50)},
		"os/2": {core, []color.RGBA{{3, 2, 1, 255}, {6, 5, 4, 255}}},
	} {
		shots, _, failures := decode(t, New(Config{}), c.file)
		wantCodes(t, failures)
		if len(shots) == 0 {
			t.Fatalf("%s: no frame", name)
		}
		m := shots[0].Image.(*image.RGBA)
		if m.Rect.Dx()*m.Rect.Dy() != len(c.want) {
			t.Fatalf("%s: size %v", name, m.Rect)
		}
		for i, want := range c.want {
			if got := m.RGBAAt(i%m.Rect.Dx(), i/m.Rect.Dx()); got != want {
				t.Errorf("%s: pixel %d is %v, want %v", name, i, got, want)
			}
		}
	}
}

func grays(levels ...uint8) (list []color.RGBA) {
	for _, l := range levels {
		list = append(list, color.RGBA{l, l, l, 255})
	}
	return list
}

func TestBMPDamage(t *testing.T) {
	pixels := make([]byte, 12*8)
	whole := rawBMP(4, 8, 24, 0, nil, pixels)
	beyond := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(beyond[10:], 1<<30)
	for name, c := range map[string]struct {
		file   []byte
		code   hashmatch.FailureCode
		frames int
	}{
		"signature":         {whole[:2], hashmatch.Truncated, 0},
		"cut header":        {whole[:30], hashmatch.Truncated, 0},
		"no pixels":         {whole[:54], hashmatch.Truncated, 0},
		"half":              {whole[:54+41], hashmatch.Truncated, 1},
		"last byte":         {whole[:len(whole)-1], hashmatch.Truncated, 1},
		"pixels far away":   {beyond, hashmatch.Truncated, 0},
		"no width":          {rawBMP(0, 8, 24, 0, nil, pixels), hashmatch.Corrupt, 0},
		"negative width":    {rawBMP(-4, 8, 24, 0, nil, pixels), hashmatch.Corrupt, 0},
		"least height":      {rawBMP(4, -1<<31, 24, 0, nil, pixels), hashmatch.TooManyPixels, 0},
		"0 bits":            {rawBMP(4, 8, 0, 0, nil, pixels), hashmatch.Unsupported, 0},
		"a JPEG inside":     {rawBMP(4, 8, 24, 4, nil, pixels), hashmatch.Unsupported, 0},
		"palette too small": {rawBMP(4, 1, 8, 0, paletteOf(2), []byte{0, 1, 2, 3}), hashmatch.Corrupt, 1},
		"run too long":      {rawBMP(4, 1, 8, 1, paletteOf(9), []byte{9, 5, 0, 1}), hashmatch.Corrupt, 1},
		"rows too many":     {rawBMP(4, 1, 8, 1, paletteOf(9), []byte{2, 5, 0, 0, 4, 5, 0, 1}), hashmatch.Corrupt, 1},
		"run without end":   {rawBMP(4, 1, 8, 1, paletteOf(9), []byte{2, 5, 7}), hashmatch.Truncated, 1},
	} {
		shots, _, failures := decode(t, New(Config{}), c.file)
		wantCodes(t, failures, c.code)
		if len(shots) != c.frames {
			t.Errorf("%d frames, want %d", len(shots), c.frames)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}
