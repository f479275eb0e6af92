package isolated

import (
	"bytes"
	"image"
	"image/jpeg"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

// jxlHead writes a codestream header with the given sides and, for an animation, ticks a second.
func jxlHead(w, h int, ticks uint32, premultiplied bool) []byte {
	b := &bitWriter{out: []byte{0xff, 0x0a}, used: 16}
	side := func(v int) {
		b.write(3, 2)
		b.write(uint32(v-1), 30)
	}
	b.write(0, 1) // not a small multiple of eight
	side(h)
	b.write(0, 3) // no fixed ratio
	side(w)
	b.write(0, 1) // not all defaults
	if ticks == 0 {
		b.write(0, 1) // no extra fields
	} else {
		b.write(1, 1)
		b.write(5, 3) // orientation 6
		b.write(0, 2) // no intrinsic size, no preview
		b.write(1, 1) // animation
		b.write(3, 2)
		b.write(ticks-1, 30)
		b.write(0, 2) // denominator 1
		b.write(0, 2) // endless
		b.write(0, 1) // no timecodes
	}
	b.write(0, 1) // integer samples
	b.write(3, 2)
	b.write(16-1, 6)
	b.write(1, 1)
	if premultiplied {
		b.write(1, 2) // one extra channel
		b.write(0, 1) // not all defaults
		b.write(0, 2) // alpha
		b.write(0, 1) // integer samples
		b.write(0, 2) // 8 bits
		b.write(0, 2) // no shift
		b.write(0, 2) // no name
		b.write(1, 1) // multiplied in
	} else {
		b.write(0, 2)
	}
	return append(b.out, 0, 0)
}

func TestJXLHeader(t *testing.T) {
	for _, tc := range []struct {
		w, h          int
		ticks         uint32
		premultiplied bool
	}{{1, 1, 0, false}, {1000, 600, 0, true}, {70_000, 3, 25, false}, {1 << 29, 1 << 30, 1000, true}} {
		stream := jxlHead(tc.w, tc.h, tc.ticks, tc.premultiplied)
		parts := isoBox("jxlp", be32(1<<31), stream)
		for name, content := range map[string][]byte{
			"bare":   stream,
			"boxes":  append(isoBox("JXL ", be32(0x0d0a870a)), isoBox("jxlc", stream)...),
			"parted": append(isoBox("JXL ", be32(0x0d0a870a)), parts...),
		} {
			s, err := walkJXL(content)
			if err != nil || s.truncated {
				t.Fatalf("%s: %v, truncated %v", name, err, s.truncated)
			}
			h, cut, err := readJXLHeader(s.head)
			if err != nil || cut || h.width != tc.w || h.height != tc.h || h.animation != (tc.ticks != 0) ||
				h.animation && h.ticks != float64(tc.ticks) || h.bits != 16 || h.premultiplied != tc.premultiplied {
				t.Errorf("%s, %v: %+v, cut %v, %v", name, tc, h, cut, err)
			}
		}
		if _, cut, err := readJXLHeader(stream[:7]); !cut || err == nil {
			t.Errorf("cut off: %v %v", cut, err)
		}
	}
	// An 8 x 8 ratio header: small, 16 high, 2:1.
	b := &bitWriter{out: []byte{0xff, 0x0a}, used: 16}
	b.write(1, 1)
	b.write(1, 5)
	b.write(7, 3)
	b.write(1, 1)
	if h, _, err := readJXLHeader(b.out); err != nil || h.width != 32 || h.height != 16 || h.bits != 8 {
		t.Errorf("%+v %v", h, err)
	}
	if _, err := walkJXL(isoBox("JXL ", be32(0))); err == nil {
		t.Error("a container without a codestream")
	}
}

func FuzzJXL(f *testing.F) {
	f.Add(jxlHead(1000, 600, 25, true))
	f.Add(append(isoBox("JXL ", be32(0x0d0a870a)), isoBox("jxlp", be32(0), jxlHead(20, 30, 0, true))...))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := walkJXL(content)
		if err != nil {
			return
		}
		h, _, err := readJXLHeader(s.head)
		if err == nil && (h.width < 1 || h.height < 0 || h.animation && !(h.ticks > 0)) {
			t.Errorf("%+v", h)
		}
	})
}

// jpegFixture returns a gradient as a JPEG.
func jpegFixture(t testing.TB, w, h int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Pix[y*img.Stride+x] = byte(x*255/w/2 + y*255/h/2)
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestJPEGWalk(t *testing.T) {
	content := jpegFixture(t, 40, 30)
	f := walkJPEG(append(bytes.Clone(content), "what follows"...))
	if f.width != 40 || f.height != 30 || f.frame != 0xc0 || f.precision != 8 || f.scans != 1 || !f.ended ||
		f.end != len(content) || f.adobe || f.firstScan <= 0 || f.firstScan >= f.end {
		t.Errorf("%+v", f)
	}
	if f = walkJPEG(content[:len(content)-2]); f.ended || f.end != len(content)-2 {
		t.Errorf("without its end: %+v", f)
	}
}

// What is refused before the decoder is asked.
func TestJPEGRefused(t *testing.T) {
	if !codecsLinked {
		t.Log("this build has no decoder, and refuses all: see TestFormatsAndTheBuildTag")
		return
	}
	content := jpegFixture(t, 40, 30)
	frame := bytes.Index(content, []byte{0xff, 0xc0})
	change := func(at int, v ...byte) []byte {
		out := bytes.Clone(content)
		copy(out[frame+at:], v)
		return out
	}
	scans := bytes.Clone(content[:len(content)-2])
	scan := content[bytes.Index(content, []byte{0xff, 0xda}) : len(content)-2]
	for range 70 {
		scans = append(scans, scan...)
	}
	for name, tc := range map[string]struct {
		content []byte
		code    hashmatch.FailureCode
	}{
		"arithmetic": {change(1, 0xc9), hashmatch.Unsupported},
		"lossless":   {change(1, 0xc3), hashmatch.Unsupported},
		"12 bits":    {change(4, 12), hashmatch.Unsupported},
		"no size":    {change(5, 0, 0), hashmatch.Corrupt},
		"too large":  {change(5, 0xff, 0xff, 0xff, 0xff), hashmatch.TooManyPixels},
		"no frame":   {[]byte{0xff, 0xd8, 0xff, 0xd9}, hashmatch.Corrupt},
		"nothing":    {[]byte{0xff, 0xd8}, hashmatch.Truncated},
		"scans":      {append(scans, 0xff, 0xd9), hashmatch.Unsupported},
	} {
		pictures, failures := collect(t, "jpeg", tc.content, media.Limits{})
		if len(pictures) != 0 || len(failures) != 1 || failures[0].Code != tc.code {
			t.Errorf("%s: %d pictures, %v", name, len(pictures), failures)
		}
	}
}

func FuzzJPEGWalk(f *testing.F) {
	f.Add(jpegFixture(f, 16, 16))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := walkJPEG(content)
		if file.end < 0 || file.end > len(content) || file.firstScan > len(content) || file.scans > len(content)/2 {
			t.Errorf("%+v of %d bytes", file, len(content))
		}
	})
}
