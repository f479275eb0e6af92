package media

import (
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// shot is a frame that was received, copied.
type shot struct {
	hashmatch.Frame
	image.Image
}

// decode decodes with a decoder and copies every frame.
func decode(t testing.TB, d *Decoder, content []byte) ([]shot, hashmatch.Media, []hashmatch.Failure) {
	t.Helper()
	var shots []shot
	media, failures := d.Decode(context.Background(), content, func(f *hashmatch.Frame) error {
		if err := wellFormed(f.Image); err != nil {
			t.Errorf("frame %d: %v", f.Index, err)
		}
		shots = append(shots, shot{*f, clone(f.Image)})
		return nil
	})
	return shots, media, failures
}

func clone(picture image.Image) image.Image {
	switch m := picture.(type) {
	case *image.Gray:
		c := *m
		c.Pix = bytes.Clone(m.Pix)
		return &c
	case *image.RGBA:
		c := *m
		c.Pix = bytes.Clone(m.Pix)
		return &c
	case *image.NRGBA:
		c := *m
		c.Pix = bytes.Clone(m.Pix)
		return &c
	case *image.YCbCr:
		c := *m
		c.Y, c.Cb, c.Cr = bytes.Clone(m.Y), bytes.Clone(m.Cb), bytes.Clone(m.Cr)
		return &c
	}
	return nil
}

// codes returns the codes of failures.
func codes(failures []hashmatch.Failure) []hashmatch.FailureCode {
	list := []hashmatch.FailureCode{}
	for _, f := range failures {
		list = append(list, f.Code)
	}
	return list
}

// wantCodes fails the test unless the failures have exactly these codes.
func wantCodes(t testing.TB, failures []hashmatch.Failure, want ...hashmatch.FailureCode) {
	t.Helper()
	got := codes(failures)
	if len(got) == len(want) {
		same := true
		for i := range got {
			same = same && got[i] == want[i]
		}
		if same {
			return
		}
	}
	t.Errorf("failures %v, want %v", failures, want)
}

// samePixels fails the test unless both pictures show the same colours, 8 bits each.
func samePixels(t testing.TB, got, want image.Image) {
	t.Helper()
	if got.Bounds().Size() != want.Bounds().Size() {
		t.Fatalf("size %v, want %v", got.Bounds().Size(), want.Bounds().Size())
	}
	size, g, w := got.Bounds().Size(), got.Bounds().Min, want.Bounds().Min
	for y := range size.Y {
		for x := range size.X {
			a := color.NRGBAModel.Convert(got.At(g.X+x, g.Y+y))
			b := color.NRGBAModel.Convert(want.At(w.X+x, w.Y+y))
			if a != b {
				t.Fatalf("at %d, %d: %v, want %v", x, y, a, b)
			}
		}
	}
}

// scene draws a picture in which every pixel differs from its neighbours and no side looks like another.
func scene(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{uint8(7*x + 3*y), uint8(5*y + x*x/9), uint8(11*x ^ 13*y), 255})
		}
	}
	return m
}

// smooth draws a picture that JPEG compresses well.
func smooth(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{uint8(200 * x / width), uint8(220 * y / height), uint8(90 + 60*x*y/width/height), 255})
		}
	}
	return m
}

// veiled gives a picture every alpha.
func veiled(m *image.RGBA) *image.NRGBA {
	out := &image.NRGBA{Pix: bytes.Clone(m.Pix), Stride: m.Stride, Rect: m.Rect}
	for i := 3; i < len(out.Pix); i += 4 {
		out.Pix[i] = uint8(i / 4 * 5)
	}
	return out
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// exifOf makes EXIF data of one directory with an orientation.
func exifOf(orientation uint16) []byte {
	b := []byte("II*\x00\x08\x00\x00\x00\x01\x00")
	b = binary.LittleEndian.AppendUint16(b, orientationTag)
	b = append(b, 3, 0, 1, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, orientation)
	return append(b, 0, 0, 0, 0, 0, 0)
}

// withSegment puts a segment right after a JPEG's first marker.
func withSegment(jpeg []byte, marker byte, body []byte) []byte {
	out := append([]byte{}, jpeg[:2]...)
	out = append(out, 0xff, marker, byte((len(body)+2)>>8), byte(len(body)+2))
	return append(append(out, body...), jpeg[2:]...)
}

func withJPEGOrientation(jpeg []byte, orientation uint16) []byte {
	return withSegment(jpeg, 0xe1, append(bytes.Clone(exifPrefix), exifOf(orientation)...))
}

// withChunk puts a chunk right after a PNG's IHDR.
func withChunk(png []byte, kind string, body []byte) []byte {
	const after = len(pngMagic) + 25
	return append(appendChunk(bytes.Clone(png[:after]), kind, body), png[after:]...)
}

// chunkList splits a PNG.
func chunkList(png []byte) (list []chunks) {
	c := chunks{data: png, at: len(pngMagic)}
	for c.next() {
		list = append(list, c)
	}
	return list
}

// idat returns the compressed data of a PNG.
func idat(png []byte) (data []byte) {
	for _, c := range chunkList(png) {
		if c.kind == "IDAT" {
			data = append(data, c.body...)
		}
	}
	return data
}

// ihdr makes the body of an IHDR chunk.
func ihdr(width, height uint32, depth, colour, interlace byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, width)
	b = binary.BigEndian.AppendUint32(b, height)
	return append(b, depth, colour, 0, 0, interlace)
}

func deflate(raw []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(raw)
	w.Close()
	return b.Bytes()
}

// rawPNG makes a PNG of chunks.
func rawPNG(parts ...[]byte) []byte {
	return append([]byte(pngMagic), bytes.Join(parts, nil)...)
}

func chunk(kind string, body []byte) []byte { return appendChunk(nil, kind, body) }

// gifImage makes an image block with a graphic control in front. palette nil means the global one.
func gifImage(rect image.Rectangle, flags, dispose byte, delay uint16, transparent int, palette []byte, indices []byte) []byte {
	b := []byte{0x21, 0xf9, 4, dispose << 2, byte(delay), byte(delay >> 8), 0, 0}
	if transparent >= 0 {
		b[3] |= 1
		b[6] = byte(transparent)
	}
	b = append(b, 0x2c)
	for _, n := range []int{rect.Min.X, rect.Min.Y, rect.Dx(), rect.Dy()} {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
	}
	if palette != nil {
		flags |= 0x80 | 1 // four colours
	}
	b = append(append(b, flags), palette...)
	var data bytes.Buffer
	w := lzw.NewWriter(&data, lzw.LSB, 2)
	w.Write(indices)
	w.Close()
	b = append(b, 2)
	for rest := data.Bytes(); len(rest) > 0; {
		n := min(255, len(rest))
		b = append(append(b, byte(n)), rest[:n]...)
		rest = rest[n:]
	}
	return append(b, 0)
}

// fourColours is a palette: black, white, red, blue.
var fourColours = []byte{0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 255}

// rawGIF makes a GIF with a global palette of four colours.
func rawGIF(width, height uint16, images ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte("GIF89a"), width)
	b = binary.LittleEndian.AppendUint16(b, height)
	b = append(append(b, 0x81, 0, 0), fourColours...)
	return append(append(b, bytes.Join(images, nil)...), 0x3b)
}

// fill makes n indices of one colour.
func fill(n int, index byte) []byte { return bytes.Repeat([]byte{index}, n) }
