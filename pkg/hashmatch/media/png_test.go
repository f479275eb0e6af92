package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"runtime"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestPNGTypes decodes every colour type and depth, plain and interlaced, as the standard library does.
func TestPNGTypes(t *testing.T) {
	const width, height = 13, 11
	palette := bytes.Repeat([]byte{10, 200, 90, 250, 30, 60, 7, 7, 7, 99, 98, 97}, 64)
	types := 0
	for _, c := range []struct {
		depth, colour byte
		tRNS          []byte
	}{
		{1, 0, nil}, {2, 0, nil}, {4, 0, nil}, {8, 0, nil}, {16, 0, nil}, {8, 2, nil}, {16, 2, nil}, {8, 4, nil}, {16, 4, nil},
		{8, 6, nil}, {16, 6, nil}, {1, 3, nil}, {2, 3, nil}, {4, 3, nil}, {8, 3, nil},
		{1, 0, []byte{0, 1}}, {8, 0, []byte{0, 40}}, {16, 0, []byte{1, 2}}, {8, 2, []byte{0, 1, 0, 2, 0, 3}}, {16, 2, []byte{0, 1, 0, 2, 0, 3}},
		{4, 3, []byte{0, 128, 255}}, {8, 3, bytes.Repeat([]byte{0, 77}, 128)},
	} {
		for interlace := range byte(2) {
			head := ihdr(width, height, c.depth, c.colour, interlace)
			h, _ := pngHeader(rawPNG(chunk("IHDR", head)))
			w := newRewrap(&pngInfo{pngHead: h, palette: palette}, bytes.NewReader(nil))
			raw := make([]byte, w.due)
			for i := range raw {
				raw[i] = byte(i*29 + i/7)
			}
			for pass, at := 0, int64(0); pass < w.passes(); pass++ { // filters that exist
				pw, ph := w.size(pass)
				for y := 0; y < ph && pw > 0; y++ {
					raw[at] = byte(y % 5)
					at += 1 + w.rowBytes(pw)
				}
			}
			parts := [][]byte{chunk("IHDR", head)}
			if c.colour == 3 {
				parts = append(parts, chunk("PLTE", palette[:min(len(palette), 3<<c.depth)]))
			}
			if c.tRNS != nil {
				parts = append(parts, chunk("tRNS", c.tRNS))
			}
			file := rawPNG(append(parts, chunk("IDAT", deflate(raw)), chunk("IEND", nil))...)
			std, err := png.Decode(bytes.NewReader(file))
			if err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			shots, _, failures := decode(t, New(Config{}), file)
			wantCodes(t, failures)
			want := eightBit(std)
			views := 1
			if !opaque(want) {
				views = 2
			}
			if len(shots) != views {
				t.Fatalf("%+v interlaced %d: %d frames, want %d", c, interlace, len(shots), views)
			}
			samePixels(t, shots[0].Image, onto(want, 255))
			// The same picture with a wrong checksum goes the other way, through rewrap.
			damaged := bytes.Clone(file)
			damaged[len(damaged)-1] ^= 1
			again, _, failures := decode(t, New(Config{}), damaged)
			wantCodes(t, failures, hashmatch.Corrupt)
			if len(again) != views {
				t.Fatalf("%+v salvaged: %d frames, want %d", c, len(again), views)
			}
			samePixels(t, again[0].Image, shots[0].Image)
			types++
		}
	}
	if types != 44 {
		t.Errorf("%d types were tried", types)
	}
}

// eightBit cuts samples to their high byte.
func eightBit(m image.Image) *image.NRGBA {
	out := image.NewNRGBA(m.Bounds())
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			c := color.NRGBA64Model.Convert(m.At(x, y)).(color.NRGBA64)
			if n, ok := m.(*image.NRGBA64); ok {
				c = n.NRGBA64At(x, y) // unspoilt by multiplication
			}
			out.SetNRGBA(x, y, color.NRGBA{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8), uint8(c.A >> 8)})
			switch s := m.(type) {
			case *image.NRGBA:
				out.SetNRGBA(x, y, s.NRGBAAt(x, y))
			case *image.Paletted:
				out.SetNRGBA(x, y, color.NRGBAModel.Convert(s.At(x, y)).(color.NRGBA))
			}
		}
	}
	return out
}

func TestPNGGrayStaysGray(t *testing.T) {
	m := image.NewGray16(image.Rect(0, 0, 3, 2))
	m.SetGray16(1, 1, color.Gray16{Y: 0x7fff})
	g, ok := stored(t, pngOf(t, m)).(*image.Gray)
	if !ok || g.GrayAt(1, 1).Y != 0x7f {
		t.Errorf("%v", g)
	}
}

func TestPNGDamage(t *testing.T) {
	whole := pngOf(t, scene(60, 60))
	list := chunkList(whole)
	data, iend := list[1], list[len(list)-1]
	if data.kind != "IDAT" || iend.kind != "IEND" {
		t.Fatalf("chunks %+v", list)
	}
	change := func(edit func(b []byte)) []byte {
		b := bytes.Clone(whole)
		edit(b)
		return b
	}
	raw := append([]byte{9}, bytes.Repeat([]byte{50}, 30)...)
	palette := image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.Black, color.White})
	noPalette := pngOf(t, palette)
	at := bytes.Index(noPalette, []byte("PLTE")) - 4
	for name, c := range map[string]struct {
		file   []byte
		code   hashmatch.FailureCode
		frames int
	}{
		"signature only":    {whole[:8], hashmatch.Truncated, 0},
		"cut in the header": {whole[:20], hashmatch.Truncated, 0},
		"header only":       {whole[:33], hashmatch.Truncated, 0},
		"half":              {whole[:len(whole)/2], hashmatch.Truncated, 1},
		"no IEND":           {whole[:iend.start], hashmatch.Truncated, 1},
		"last byte missing": {whole[:len(whole)-1], hashmatch.Truncated, 1},
		"checksum of IDAT":  {change(func(b []byte) { b[iend.start-1] ^= 1 }), hashmatch.Corrupt, 1},
		"checksum of IHDR":  {change(func(b []byte) { b[32] ^= 1 }), hashmatch.Corrupt, 1},
		"bad zlib header":   {change(func(b []byte) { b[data.start+8] = 0 }), hashmatch.Corrupt, 0},
		"unknown filter":    {rawPNG(chunk("IHDR", ihdr(10, 1, 8, 2, 0)), chunk("IDAT", deflate(raw)), chunk("IEND", nil)), hashmatch.Corrupt, 1},
		"too little":        {rawPNG(chunk("IHDR", ihdr(10, 9, 8, 2, 0)), chunk("IDAT", deflate(raw)), chunk("IEND", nil)), hashmatch.Corrupt, 1},
		"too much":          {rawPNG(chunk("IHDR", ihdr(2, 1, 8, 0, 0)), chunk("IDAT", deflate(make([]byte, 9000))), chunk("IEND", nil)), hashmatch.Corrupt, 1},
		"no picture":        {rawPNG(chunk("IHDR", ihdr(2, 1, 8, 0, 0)), chunk("IEND", nil)), hashmatch.Corrupt, 0},
		"no header":         {rawPNG(chunk("gAMA", make([]byte, 40)), chunk("IEND", nil)), hashmatch.Corrupt, 0},
		"no palette":        {append(bytes.Clone(noPalette[:at]), noPalette[at+12+6:]...), hashmatch.Corrupt, 0},
		"no such depth":     {rawPNG(chunk("IHDR", ihdr(2, 1, 3, 2, 0)), chunk("IEND", nil)), hashmatch.Corrupt, 0},
		"no pixels":         {rawPNG(chunk("IHDR", ihdr(0, 7, 8, 2, 0)), chunk("IEND", nil)), hashmatch.Corrupt, 0},
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

// TestPNGTruncatedRows keeps the rows that are there, and fills in an interlaced picture from its coarser passes.
func TestPNGTruncatedRows(t *testing.T) {
	m := scene(80, 80)
	file := pngOf(t, m)
	shots, _, failures := decode(t, New(Config{}), file[:len(file)/2])
	wantCodes(t, failures, hashmatch.Truncated)
	if len(shots) != 1 {
		t.Fatalf("%d frames, want 1", len(shots))
	}
	part := shots[0].Image.(*image.RGBA)
	rest := image.Rect(0, 0, 80, 10)
	samePixels(t, part.SubImage(rest), m.SubImage(rest))
	if part.RGBAAt(40, 79) != (color.RGBA{0, 0, 0, 255}) {
		t.Errorf("a missing pixel is %v", part.RGBAAt(40, 79))
	}

	// Five passes of seven of a vertical gradient: every odd column and row has the value of its even neighbour.
	h := pngHead{width: 16, height: 16, depth: 8, colour: pngGray, interlaced: true, valid: true}
	w := newRewrap(&pngInfo{pngHead: h}, bytes.NewReader(nil))
	var raw []byte
	for pass := range 5 {
		width, height := w.size(pass)
		for y := range height {
			raw = append(append(raw, 0), bytes.Repeat([]byte{byte(10 * (adam7[pass].y + y*adam7[pass].dy))}, width)...)
		}
	}
	file = rawPNG(chunk("IHDR", ihdr(16, 16, 8, 0, 1)), chunk("IDAT", deflate(raw)))
	shots, _, failures = decode(t, New(Config{}), file)
	wantCodes(t, failures, hashmatch.Truncated)
	if len(shots) != 1 {
		t.Fatalf("%d frames, want 1", len(shots))
	}
	for y := range 16 {
		for x := range 16 {
			if got, want := shots[0].Image.(*image.Gray).GrayAt(x, y).Y, uint8(10*(y&^1)); got != want {
				t.Fatalf("at %d, %d: %d, want %d", x, y, got, want)
			}
		}
	}
}

// TestPNGBombChunks has megabytes of zeroes behind a few bytes in chunks that no decoder may inflate.
func TestPNGBombChunks(t *testing.T) {
	file := pngOf(t, scene(8, 8))
	bomb := deflate(make([]byte, 8<<20))
	for _, kind := range []string{"iCCP", "zTXt", "iTXt"} {
		bombed := withChunk(file, kind, append([]byte("name\x00\x00"), bomb...))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		shots, _, failures := decode(t, New(Config{Memory: 4096}), bombed)
		runtime.ReadMemStats(&after)
		wantCodes(t, failures)
		if took := after.TotalAlloc - before.TotalAlloc; len(shots) != 1 || took > 1<<20 {
			t.Errorf("%s: %d frames, %d bytes taken", kind, len(shots), took)
		}
	}
}

// apngOf builds an APNG: parts are fcTL and data chunks, in order; sequence numbers are put in.
type apngBuilder struct {
	parts    [][]byte
	sequence uint32
	frames   uint32
}

func (b *apngBuilder) control(rect image.Rectangle, delay uint16, dispose, blend byte) *apngBuilder {
	body := binary.BigEndian.AppendUint32(nil, b.sequence)
	for _, n := range []int{rect.Dx(), rect.Dy(), rect.Min.X, rect.Min.Y} {
		body = binary.BigEndian.AppendUint32(body, uint32(n))
	}
	body = append(body, byte(delay>>8), byte(delay), 0, 100, dispose, blend)
	b.sequence++
	b.frames++
	b.parts = append(b.parts, chunk("fcTL", body))
	return b
}

// data adds the pixels of a picture, as the default image or as a later frame.
func (b *apngBuilder) data(t testing.TB, m image.Image, first bool) *apngBuilder {
	compressed := idat(pngOf(t, m))
	if first {
		b.parts = append(b.parts, chunk("IDAT", compressed))
		return b
	}
	b.parts = append(b.parts, chunk("fdAT", append(binary.BigEndian.AppendUint32(nil, b.sequence), compressed...)))
	b.sequence++
	return b
}

// file puts the parts together for a canvas of RGBA; frames is what acTL states.
func (b *apngBuilder) file(width, height int, frames uint32) []byte {
	acTL := append(binary.BigEndian.AppendUint32(nil, frames), 0, 0, 0, 0)
	parts := append([][]byte{chunk("IHDR", ihdr(uint32(width), uint32(height), 8, 6, 0)), chunk("acTL", acTL)}, b.parts...)
	return rawPNG(append(parts, chunk("IEND", nil))...)
}

// block is a picture of one colour that is not opaque, or nearly, so that the encoder writes RGBA.
func block(width, height int, c color.NRGBA) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		m.SetNRGBA(i%width, i/width, c)
	}
	return m
}

var (
	red  = color.NRGBA{255, 0, 0, 254}
	blue = color.NRGBA{0, 0, 255, 254}
	thin = color.NRGBA{0, 255, 0, 128}
)

func TestAPNGComposition(t *testing.T) {
	canvas, corner := image.Rect(0, 0, 6, 6), image.Rect(4, 4, 6, 6)
	var b apngBuilder
	b.control(canvas, 10, 0, 0).data(t, block(6, 6, red), true)
	b.control(corner, 20, disposePrevious, 0).data(t, block(2, 2, blue), false)
	b.control(image.Rect(0, 0, 2, 2), 5, disposeBackground, blendOver).data(t, block(2, 2, thin), false)
	b.control(image.Rect(2, 2, 3, 3), 5, 0, 0).data(t, block(1, 1, blue), false)
	shots, media, failures := decode(t, New(Config{}), b.file(6, 6, 4))
	wantCodes(t, failures)
	if media != (hashmatch.Media{Format: "apng", Width: 6, Height: 6, Frames: 4}) || len(shots) != 8 {
		t.Fatalf("%+v, %d frames", media, len(shots))
	}
	var white []shot
	for _, s := range shots {
		if s.View == (hashmatch.View{}) {
			white = append(white, s)
		}
	}
	if len(white) != 4 {
		t.Fatalf("%d frames on white, want 4", len(white))
	}
	for i, at := range []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, 350 * time.Millisecond} {
		if white[i].Time != at || white[i].Index != i {
			t.Errorf("frame %d: %+v, want it at %v", i, white[i].Frame, at)
		}
	}
	pixel := func(i, x, y int) color.RGBA { return white[i].Image.(*image.RGBA).RGBAAt(x, y) }
	for i, c := range []struct {
		got, want color.RGBA
	}{
		{pixel(0, 5, 5), color.RGBA{255, 1, 1, 255}},
		{pixel(1, 5, 5), color.RGBA{1, 1, 255, 255}},
		{pixel(1, 3, 3), color.RGBA{255, 1, 1, 255}},
		{pixel(2, 5, 5), color.RGBA{255, 1, 1, 255}},   // disposed of to the previous
		{pixel(2, 0, 0), color.RGBA{127, 129, 1, 255}}, // half green over red
		{pixel(3, 0, 0), color.RGBA{255, 255, 255, 255}},
		{pixel(3, 2, 2), color.RGBA{1, 1, 255, 255}},
	} {
		for ch, pair := range [][2]uint8{{c.got.R, c.want.R}, {c.got.G, c.want.G}, {c.got.B, c.want.B}} {
			if d := int(pair[0]) - int(pair[1]); d < -1 || d > 1 {
				t.Errorf("pixel %d channel %d: %v, want %v", i, ch, c.got, c.want)
			}
		}
	}
}

func TestAPNGDefaultImage(t *testing.T) {
	var b apngBuilder
	b.data(t, block(4, 4, red), true)
	b.control(image.Rect(0, 0, 4, 4), 10, 0, 0).data(t, block(4, 4, blue), false)
	b.control(image.Rect(0, 0, 4, 4), 10, 0, 0).data(t, block(4, 4, red), false) // equals the default image
	shots, media, failures := decode(t, New(Config{}), b.file(4, 4, 2))
	wantCodes(t, failures)
	if media.Frames != 3 || len(shots) != 4 || shots[2].Index != 1 || shots[2].Time != 0 {
		t.Fatalf("%+v, %d frames", media, len(shots))
	}
}

func TestAPNGDamage(t *testing.T) {
	canvas := image.Rect(0, 0, 4, 4)
	good := func() *apngBuilder {
		var b apngBuilder
		b.control(canvas, 1, 0, 0).data(t, block(4, 4, red), true)
		return b.control(canvas, 1, 0, 0).data(t, block(4, 4, blue), false)
	}
	outside := good()
	outside.control(image.Rect(1, 1, 5, 5), 1, 0, 0).data(t, block(4, 4, thin), false)
	huge := good()
	huge.control(image.Rect(1<<31-2, 0, 1<<31-1, 1), 1, 0, 0).data(t, block(1, 1, thin), false)
	gap := good()
	gap.sequence++
	gap.control(canvas, 1, 0, 0).data(t, block(4, 4, thin), false)
	empty := good()
	empty.control(canvas, 1, 0, 0)
	garbage := good()
	garbage.control(canvas, 1, 0, 0)
	garbage.parts = append(garbage.parts, chunk("fdAT", []byte{0, 0, 0, 4, 1, 2, 3, 4, 5}))
	short := good()
	short.control(image.Rect(0, 0, 4, 3), 1, 0, 0).data(t, block(4, 1, thin), false)
	whole := good().file(4, 4, 2)
	checksum := bytes.Clone(whole)
	checksum[bytes.LastIndex(checksum, []byte("IEND"))-5] ^= 1
	for name, c := range map[string]struct {
		file   []byte
		code   hashmatch.FailureCode
		frames int // under two views each
	}{
		"outside":             {outside.file(4, 4, 3), hashmatch.Corrupt, 2},
		"far outside":         {huge.file(4, 4, 3), hashmatch.Corrupt, 2},
		"gap":                 {gap.file(4, 4, 3), hashmatch.Corrupt, 3},
		"no data":             {empty.file(4, 4, 3), hashmatch.Corrupt, 2},
		"data of no zlib":     {garbage.file(4, 4, 3), hashmatch.Corrupt, 2},
		"rows missing":        {short.file(4, 4, 3), hashmatch.Truncated, 3},
		"0 frames stated":     {good().file(4, 4, 0), hashmatch.Corrupt, 2},
		"4294967295 stated":   {good().file(4, 4, 0xffffffff), hashmatch.Corrupt, 2},
		"checksum of a frame": {checksum, hashmatch.Corrupt, 2},
		"no IEND":             {whole[:len(whole)-12], hashmatch.Truncated, 2},
		"cut in a frame":      {whole[:len(whole)-26], hashmatch.Truncated, 2},
	} {
		shots, _, failures := decode(t, New(Config{}), c.file)
		wantCodes(t, failures, c.code)
		if len(shots) != 2*c.frames {
			t.Errorf("%d frames, want %d", len(shots), 2*c.frames)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}
