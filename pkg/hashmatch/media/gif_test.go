package media

import (
	"bytes"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// composeStandard plays what the standard library decoded, on a transparent canvas, calling each with every frame.
// It stops before a frame whose disposal it would have to guess: the standard library keeps that of an earlier one.
func composeStandard(g *gif.GIF, each func(i int, canvas *image.NRGBA) bool) {
	canvas := image.NewNRGBA(image.Rect(0, 0, g.Config.Width, g.Config.Height))
	for i, m := range g.Image {
		before := clone(canvas).(*image.NRGBA)
		for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
			for x := m.Rect.Min.X; x < m.Rect.Max.X; x++ {
				if c := m.At(x, y).(color.RGBA); c.A != 0 {
					canvas.SetNRGBA(x, y, color.NRGBA(c))
				}
			}
		}
		if !each(i, canvas) {
			return
		}
		switch g.Disposal[i] {
		case gif.DisposalBackground:
			draw.Draw(canvas, m.Rect, image.Transparent, image.Point{}, draw.Src)
		case gif.DisposalPrevious:
			canvas = before
		}
	}
}

// TestGIFAsStandard compares animations with every disposal and transparency with the standard library's frames.
func TestGIFAsStandard(t *testing.T) {
	const width, height = 40, 30
	colours := append(color.Palette{color.RGBA{}}, palette.WebSafe...)
	g := &gif.GIF{Config: image.Config{Width: width, Height: height}}
	for i := range 9 {
		rect := image.Rect(3*i, 2*i, min(width, 3*i+15), min(height, 2*i+13))
		if i == 0 {
			rect = image.Rect(0, 0, width, height)
		}
		m := image.NewPaletted(rect, colours)
		for p := range m.Pix {
			if m.Pix[p] = uint8((p*7 + i*31) % len(colours)); (p+i)%5 == 0 {
				m.Pix[p] = 0
			}
		}
		g.Image, g.Delay = append(g.Image, m), append(g.Delay, 3*i+1)
		g.Disposal = append(g.Disposal, []byte{gif.DisposalNone, gif.DisposalBackground, gif.DisposalPrevious}[i%3])
	}
	var file bytes.Buffer
	if err := gif.EncodeAll(&file, g); err != nil {
		t.Fatal(err)
	}
	std, err := gif.DecodeAll(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	shots, media, failures := decode(t, New(Config{}), file.Bytes())
	wantCodes(t, failures)
	if media != (hashmatch.Media{Format: "gif", Width: width, Height: height, Frames: 9}) || len(shots) != 18 {
		t.Fatalf("%+v, %d frames", media, len(shots))
	}
	at, frames := time.Duration(0), 0
	composeStandard(std, func(i int, canvas *image.NRGBA) bool {
		samePixels(t, shots[2*i].Image, onto(canvas, 255))
		samePixels(t, shots[2*i+1].Image, onto(canvas, 0))
		if shots[2*i].Time != at || shots[2*i].Index != i {
			t.Errorf("frame %+v, want it at %v", shots[2*i].Frame, at)
		}
		at += time.Duration(std.Delay[i]) * 10 * time.Millisecond
		frames++
		return true
	})
	if frames != 9 {
		t.Errorf("%d frames were compared", frames)
	}
}

// TestGIFInterlaced writes the rows in their interlaced order, with a local palette.
func TestGIFInterlaced(t *testing.T) {
	const height = 11
	local := []byte{1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4}
	var indices []byte
	for _, pass := range gifPasses {
		for y := pass.start; y < height; y += pass.step {
			indices = append(indices, fill(2, byte(y%4))...)
		}
	}
	file := rawGIF(2, height, gifImage(image.Rect(0, 0, 2, height), 0x40, 0, 0, -1, local, indices))
	m := stored(t, file).(*image.RGBA)
	for y := range height {
		if got := m.RGBAAt(1, y).R; got != uint8(1+y%4) {
			t.Errorf("row %d: %d", y, got)
		}
	}
	// Cut after the first two passes, each missing row is what is above it.
	file = rawGIF(2, height, gifImage(image.Rect(0, 0, 2, height), 0x40, 0, 0, -1, local, indices[:2*3]))
	shots, _, failures := decode(t, New(Config{}), file)
	wantCodes(t, failures, hashmatch.Truncated)
	if len(shots) != 1 {
		t.Fatalf("%d frames, want 1", len(shots))
	}
	for y := range height {
		if got, want := shots[0].Image.(*image.RGBA).RGBAAt(0, y).R, uint8(1+(y&^3)%4); got != want {
			t.Errorf("row %d: %d, want %d", y, got, want)
		}
	}
}

func TestGIFEqualFrames(t *testing.T) {
	all := image.Rect(0, 0, 4, 4)
	a, b := gifImage(all, 0, 0, 5, -1, nil, fill(16, 2)), gifImage(all, 0, 0, 5, -1, nil, fill(16, 3))
	shots, media, failures := decode(t, New(Config{}), rawGIF(4, 4, a, b, a, b, a))
	wantCodes(t, failures)
	if media.Frames != 5 || len(shots) != 2 || shots[0].Index != 0 || shots[1].Index != 1 {
		t.Errorf("%+v, frames %+v", media, shots)
	}
}

func TestGIFDamage(t *testing.T) {
	all := image.Rect(0, 0, 4, 4)
	good := gifImage(all, 0, 0, 0, -1, nil, fill(16, 2))
	whole := rawGIF(4, 4, good)
	noPalette := bytes.Clone(whole[:13])
	noPalette[10] = 0
	noPalette = append(noPalette, whole[25:]...)
	bits := bytes.Clone(whole)
	bits[25+8+10] = 13
	garbage := append(bytes.Clone(whole[:25+8+11]), 3, 0xff, 0xff, 0xff, 0, 0x3b)
	sub := func(n int, index byte, rect image.Rectangle) []byte {
		return gifImage(rect, 0, 0, 0, -1, nil, fill(n, index))
	}
	threeColours := bytes.Clone(rawGIF(4, 4, gifImage(all, 0, 0, 0, -1, nil, fill(16, 3))))
	threeColours[10] = 0x80 // two colours: the others are parsed as a block
	threeColours = append(threeColours[:13+6], threeColours[25:]...)
	for name, c := range map[string]struct {
		file   []byte
		code   hashmatch.FailureCode
		frames int
	}{
		"header only":             {whole[:6], hashmatch.Truncated, 0},
		"cut in the palette":      {whole[:20], hashmatch.Truncated, 0},
		"no trailer":              {whole[:len(whole)-1], hashmatch.Truncated, 1},
		"cut in the data":         {whole[:len(whole)-4], hashmatch.Truncated, 2}, // on white and on black
		"no frame":                {rawGIF(4, 4), hashmatch.Corrupt, 0},
		"no palette":              {noPalette, hashmatch.Corrupt, 0},
		"codes of 13 bits":        {bits, hashmatch.Corrupt, 0},
		"data of no LZW":          {garbage, hashmatch.Corrupt, 0},
		"too few pixels":          {rawGIF(4, 4, sub(9, 2, all)), hashmatch.Truncated, 2},
		"unknown block":           {rawGIF(4, 4, good, []byte{0x99}), hashmatch.Corrupt, 1},
		"second frame outside":    {rawGIF(4, 4, good, sub(16, 3, image.Rect(2, 2, 6, 6))), hashmatch.Corrupt, 2},
		"second frame far away":   {rawGIF(4, 4, good, sub(16, 3, image.Rect(60000, 60000, 60004, 60004))), hashmatch.Corrupt, 1},
		"first frame outside":     {rawGIF(2, 2, good), hashmatch.Corrupt, 1},
		"screen of no pixels":     {rawGIF(0, 0, good), hashmatch.Corrupt, 1},
		"an empty frame":          {rawGIF(4, 4, good, sub(0, 0, image.Rect(1, 1, 1, 1))), hashmatch.Corrupt, 1},
		"colours not in palette":  {threeColours, hashmatch.Corrupt, 2},
		"comment without its end": {append(bytes.Clone(whole[:len(whole)-1]), append([]byte{0x21, 0xfe, 200}, fill(9, 65)...)...), hashmatch.Truncated, 1},
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

// TestGIFTrailing ignores what follows the trailer.
func TestGIFTrailing(t *testing.T) {
	whole := rawGIF(4, 4, gifImage(image.Rect(0, 0, 4, 4), 0, 0, 0, -1, nil, fill(16, 2)))
	shots, _, failures := decode(t, New(Config{}), append(whole, "PK\x03\x04 and more"...))
	wantCodes(t, failures)
	if len(shots) != 1 {
		t.Errorf("%d frames, want 1", len(shots))
	}
}
