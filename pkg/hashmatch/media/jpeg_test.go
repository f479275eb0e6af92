package media

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// segments returns the offset of each marker segment of a JPEG by its marker.
func segmentOf(t testing.TB, file []byte, marker byte) (start, end int) {
	t.Helper()
	at := 2
	for at+4 <= len(file) && file[at] == 0xff {
		n := 2 + int(file[at+2])<<8 + int(file[at+3])
		if file[at+1] == marker {
			return at, at + n
		}
		at += n
	}
	t.Fatalf("no marker %#x", marker)
	return 0, 0
}

func TestJPEGNative(t *testing.T) {
	file := jpegOf(t, smooth(37, 23))
	want, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	shots, media, failures := decode(t, New(Config{}), file)
	wantCodes(t, failures)
	if len(shots) != 1 || media != (hashmatch.Media{Format: "jpeg", Width: 37, Height: 23, Frames: 1}) {
		t.Fatalf("%d frames of %+v", len(shots), media)
	}
	if _, ok := shots[0].Image.(*image.YCbCr); !ok {
		t.Errorf("%T, want the native planes", shots[0].Image)
	}
	samePixels(t, shots[0].Image, want)

	gray := image.NewGray(image.Rect(0, 0, 9, 5))
	draw.Draw(gray, gray.Rect, smooth(9, 5), image.Point{}, draw.Src)
	if m, ok := stored(t, jpegOf(t, gray)).(*image.Gray); !ok || m.Bounds().Size() != image.Pt(9, 5) {
		t.Errorf("gray: %v", m)
	}
}

func TestJPEGTrailing(t *testing.T) {
	file, other := jpegOf(t, smooth(32, 16)), jpegOf(t, scene(64, 64))
	want := stored(t, file)
	for name, tail := range map[string][]byte{"data": bytes.Repeat([]byte("PK\x03\x04\xff\xda"), 500), "a second picture": other} {
		shots, _, failures := decode(t, New(Config{}), append(bytes.Clone(file), tail...))
		wantCodes(t, failures)
		if len(shots) != 1 {
			t.Fatalf("%s: %d frames, want 1", name, len(shots))
		}
		samePixels(t, shots[0].Image, want)
	}
}

func TestFromCMYK(t *testing.T) {
	m := image.NewCMYK(image.Rect(0, 0, 5, 3))
	for i := range m.Pix {
		m.Pix[i] = uint8(i * 17)
	}
	want := image.NewRGBA(m.Rect)
	draw.Draw(want, want.Rect, m, image.Point{}, draw.Src)
	samePixels(t, fromCMYK(m), want)
}

// TestJPEGDamage damages a JPEG in one way each. fake is what an isolated decoder makes of it.
func TestJPEGDamage(t *testing.T) {
	file := jpegOf(t, smooth(64, 48))
	_, tables := segmentOf(t, file, 0xdb)
	dqt, _ := segmentOf(t, file, 0xdb)
	sof, sofEnd := segmentOf(t, file, 0xc0)
	dht, dhtEnd := segmentOf(t, file, 0xc4)
	sos, sosEnd := segmentOf(t, file, 0xda)
	change := func(edit func(b []byte)) []byte {
		b := bytes.Clone(file)
		edit(b)
		return b
	}
	cut := func(from, to int) []byte { return append(bytes.Clone(file[:from]), file[to:]...) }
	picture := image.NewGray(image.Rect(0, 0, 64, 48))
	decoded := &fake{pictures: []Picture{{Image: picture}}}
	for name, c := range map[string]struct {
		file   []byte
		code   hashmatch.FailureCode
		own    int // frames without an isolated decoder
		lifted bool
	}{
		"end marker missing":        {file[:len(file)-2], hashmatch.Truncated, 1, false},
		"half an end marker":        {file[:len(file)-1], hashmatch.Truncated, 1, false},
		"cut in the scan":           {file[:sosEnd+(len(file)-sosEnd)/2], hashmatch.Truncated, 0, false},
		"cut before the scan":       {file[:sos], hashmatch.Truncated, 0, false},
		"end marker in the scan":    {append(bytes.Clone(file[:sosEnd+40]), 0xff, 0xd9), hashmatch.Corrupt, 0, false},
		"tables missing":            {cut(dht, dhtEnd), hashmatch.Corrupt, 0, false},
		"quantisation missing":      {cut(dqt, tables), hashmatch.Corrupt, 1, false},
		"two picture headers":       {append(append(bytes.Clone(file[:sofEnd]), file[sof:sofEnd]...), file[sofEnd:]...), hashmatch.Corrupt, 0, false},
		"arithmetic coding":         {change(func(b []byte) { b[sof+1] = 0xc9 }), hashmatch.Unsupported, 0, true},
		"lossless":                  {change(func(b []byte) { b[sof+1] = 0xc3 }), hashmatch.Unsupported, 0, true},
		"12 bits":                   {change(func(b []byte) { b[sof+4] = 12 }), hashmatch.Unsupported, 0, true},
		"odd sampling":              {change(func(b []byte) { b[sof+11] = 0x31 }), hashmatch.Unsupported, 0, true},
		"cut and arithmetic coding": {change(func(b []byte) { b[sof+1] = 0xc9 })[:sosEnd+9], hashmatch.Truncated, 0, false},
	} {
		shots, _, failures := decode(t, New(Config{}), c.file)
		wantCodes(t, failures, c.code)
		if len(shots) != c.own {
			t.Errorf("%s: %d frames, want %d", name, len(shots), c.own)
		}
		shots, _, failures = decode(t, New(Config{Isolated: decoded}), c.file)
		if c.lifted {
			wantCodes(t, failures)
		} else {
			wantCodes(t, failures, c.code)
		}
		if len(shots) != 1 {
			t.Errorf("%s: %d frames with an isolated decoder, want 1", name, len(shots))
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestJPEGIsolatedFails keeps what both sides have to say.
func TestJPEGIsolatedFails(t *testing.T) {
	file := jpegOf(t, smooth(64, 48))
	sof, _ := segmentOf(t, file, 0xc0)
	arithmetic := bytes.Clone(file)
	arithmetic[sof+1] = 0xc9
	timeout := hashmatch.Failure{Code: hashmatch.TimedOut, Detail: "killed"}
	corrupt := hashmatch.Failure{Code: hashmatch.Corrupt, Detail: "there too"}
	unsupported := hashmatch.Failure{Code: hashmatch.Unsupported, Detail: "no"}
	for name, c := range map[string]struct {
		file []byte
		says hashmatch.Failure
		want []hashmatch.FailureCode
	}{
		"cut, killed":             {file[:len(file)/2], timeout, []hashmatch.FailureCode{"truncated", "timed_out"}},
		"cut, corrupt":            {file[:len(file)/2], corrupt, []hashmatch.FailureCode{"truncated"}},
		"arithmetic, corrupt":     {arithmetic, corrupt, []hashmatch.FailureCode{"unsupported", "corrupt"}},
		"arithmetic, unsupported": {arithmetic, unsupported, []hashmatch.FailureCode{"unsupported"}},
	} {
		shots, _, failures := decode(t, New(Config{Isolated: &fake{failures: []hashmatch.Failure{c.says}}}), c.file)
		wantCodes(t, failures, c.want...)
		if len(shots) != 0 {
			t.Errorf("%s: %d frames", name, len(shots))
		}
	}
}

// flatProgressive makes a progressive gray JPEG with empty scans of the highest coefficients: each refines nothing.
func flatProgressive(width, height uint16, scans int) []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0}
	b = append(b, bytes.Repeat([]byte{1}, 64)...)
	b = append(b, 0xff, 0xc2, 0, 11, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 1, 1, 0x11, 0)
	// DC: one code of one bit for a difference of 0. AC: one code of one bit for an end of band of 32768 blocks' run.
	b = append(b, 0xff, 0xc4, 0, 20, 0x00, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, 0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00)
	blocks := ceil(int(width), 8) * ceil(int(height), 8)
	for i := range scans {
		from, to := byte(63), byte(63)
		if i == 0 {
			from, to = 0, 0
		}
		b = append(b, 0xff, 0xda, 0, 8, 1, 1, 0, from, to, 0)
		b = append(b, make([]byte, ceil(blocks, 8))...) // a bit of 0 for each block
	}
	return append(b, 0xff, 0xd9)
}

func TestJPEGScans(t *testing.T) {
	d := New(Config{Limits: Limits{MaxScans: 5}})
	shots, _, failures := decode(t, d, flatProgressive(40, 24, 5))
	wantCodes(t, failures)
	if len(shots) != 1 {
		t.Fatalf("%d frames, want 1", len(shots))
	}
	shots, _, failures = decode(t, d, flatProgressive(40, 24, 6))
	wantCodes(t, failures, hashmatch.Unsupported)
	if len(shots) != 1 {
		t.Fatalf("%d frames of too many scans, want what the first make", len(shots))
	}
	samePixels(t, shots[0].Image, uniformGray(40, 24, 128))
}

func uniformGray(width, height int, y uint8) image.Image {
	m := image.NewGray(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Set(i%width, i/width, color.Gray{Y: y})
	}
	return m
}

// restarts makes a gray baseline JPEG of so many blocks, flat, with a restart marker after each block.
func restarts(blocks int, drop int) []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0}
	b = append(b, bytes.Repeat([]byte{1}, 64)...)
	b = append(b, 0xff, 0xc0, 0, 11, 8, 0, 8, byte(8*blocks>>8), byte(8*blocks), 1, 1, 0x11, 0)
	b = append(b, 0xff, 0xc4, 0, 20, 0x00, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, 0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00)
	b = append(b, 0xff, 0xdd, 0, 4, 0, 1, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0)
	for i := range blocks {
		b = append(b, 0x3f)
		if i < blocks-1 && i != drop {
			b = append(b, 0xff, 0xd0+byte(i%8))
		}
	}
	return append(b, 0xff, 0xd9)
}

func TestJPEGRestarts(t *testing.T) {
	_, _, failures := decode(t, New(Config{}), restarts(20, -1))
	wantCodes(t, failures)
	f := walkJPEG(restarts(20, 3), 64)
	if f.damage == "" || !f.complete {
		t.Errorf("a lost restart marker is not seen: %+v", f)
	}
	_, _, failures = decode(t, New(Config{}), restarts(20, 3))
	wantCodes(t, failures, hashmatch.Corrupt)
	file := restarts(20, -1)
	end := len(file) - 2
	trailing := append(bytes.Clone(file[:end]), 0xff, 0xd3, 0xff, 0xd9) // as some cameras write
	_, _, failures = decode(t, New(Config{}), trailing)
	wantCodes(t, failures)
	_, _, failures = decode(t, New(Config{}), append(bytes.Clone(trailing[:end+2]), 0xff, 0xd4, 0xff, 0xd9))
	wantCodes(t, failures, hashmatch.Corrupt)
}

// TestJPEGMissingScan wants a failure for a component that no scan holds: the standard library says nothing.
func TestJPEGMissingScan(t *testing.T) {
	file := flatProgressive(16, 16, 2)
	sos, _ := bytes.CutPrefix(file, nil)
	at := bytes.Index(sos, []byte{0xff, 0xda})
	second := bytes.LastIndex(file, []byte{0xff, 0xda})
	noDC := append(bytes.Clone(file[:at]), file[second:]...)
	shots, _, failures := decode(t, New(Config{}), noDC)
	wantCodes(t, failures, hashmatch.Corrupt)
	if len(shots) != 1 {
		t.Errorf("%d frames, want 1", len(shots))
	}
}

func TestJPEGMemory(t *testing.T) {
	const pixels = 4000 * 3000
	for name, c := range map[string]struct {
		info jpegInfo
		want float64 // bytes a pixel
	}{
		"gray":                  {jpegInfo{components: []jpegComponent{{across: 1, down: 1}}}, 1},
		"4:2:0":                 {jpegInfo{components: []jpegComponent{{across: 2, down: 2}, {across: 1, down: 1}, {across: 1, down: 1}}}, 1.5},
		"4:2:0, progressive":    {jpegInfo{frame: 0xc2, components: []jpegComponent{{across: 2, down: 2}, {across: 1, down: 1}, {across: 1, down: 1}}}, 7.5},
		"4:4:4":                 {jpegInfo{components: []jpegComponent{{across: 1, down: 1}, {across: 1, down: 1}, {across: 1, down: 1}}}, 3},
		"4:4:4, RGB":            {jpegInfo{rgb: true, components: []jpegComponent{{across: 1, down: 1}, {across: 1, down: 1}, {across: 1, down: 1}}}, 7},
		"four components":       {jpegInfo{components: []jpegComponent{{across: 1, down: 1}, {across: 1, down: 1}, {across: 1, down: 1}, {across: 1, down: 1}}}, 8},
		"4:2:0, on its side":    {jpegInfo{orientation: 6, components: []jpegComponent{{across: 2, down: 2}, {across: 1, down: 1}, {across: 1, down: 1}}}, 4.5},
		"gray, on its side":     {jpegInfo{orientation: 6, components: []jpegComponent{{across: 1, down: 1}}}, 2},
		"RGB, on its side":      {jpegInfo{rgb: true, orientation: 6, components: []jpegComponent{{across: 1, down: 1}, {across: 1, down: 1}, {across: 1, down: 1}}}, 11},
		"4:4:4 and progressive": {jpegInfo{frame: 0xc2, components: []jpegComponent{{across: 1, down: 1}, {across: 1, down: 1}, {across: 1, down: 1}}}, 15},
	} {
		c.info.width, c.info.height = 4000, 3000
		if c.info.orientation == 0 {
			c.info.orientation = 1
		}
		got := float64(c.info.memory()) / pixels
		if got < c.want || got > c.want*1.01 {
			t.Errorf("%s: %.2f bytes a pixel, want %.2f", name, got, c.want)
		}
	}
}
