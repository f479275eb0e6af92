package isolated

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

// shown is a copy of a picture that was yielded.
type shown struct {
	image image.Image
	time  time.Duration
}

// at returns the pixel with straight alpha.
func (s shown) at(x, y int) color.NRGBA {
	return color.NRGBAModel.Convert(s.image.At(x, y)).(color.NRGBA)
}

// collect decodes and copies every picture; each is checked against the contract.
func collect(t testing.TB, format string, content []byte, limits media.Limits) ([]shown, []hashmatch.Failure) {
	t.Helper()
	var list []shown
	failures := Decode(context.Background(), format, content, limits, func(p media.Picture) error {
		if err := checkPicture(p); err != nil {
			t.Errorf("%s, picture %d: %v", format, len(list), err)
		}
		b := p.Image.Bounds()
		var kept image.Image
		switch img := p.Image.(type) {
		case *image.Gray:
			kept = &image.Gray{Pix: bytes.Clone(img.Pix), Stride: img.Stride, Rect: b}
		case *image.RGBA:
			kept = &image.RGBA{Pix: bytes.Clone(img.Pix), Stride: img.Stride, Rect: b}
		case *image.NRGBA:
			kept = &image.NRGBA{Pix: bytes.Clone(img.Pix), Stride: img.Stride, Rect: b}
		case *image.YCbCr:
			kept = &image.YCbCr{Y: bytes.Clone(img.Y), Cb: bytes.Clone(img.Cb), Cr: bytes.Clone(img.Cr),
				YStride: img.YStride, CStride: img.CStride, SubsampleRatio: img.SubsampleRatio, Rect: b}
		}
		list = append(list, shown{kept, p.Time})
		return nil
	})
	return list, failures
}

// wantCodes checks the failures' codes, in order.
func wantCodes(t testing.TB, failures []hashmatch.Failure, codes ...hashmatch.FailureCode) {
	t.Helper()
	ok := len(failures) == len(codes)
	for i := range failures {
		ok = ok && failures[i].Code == codes[i]
	}
	if !ok {
		t.Errorf("failures %v, want %v", failures, codes)
	}
}

// chunk returns a RIFF chunk with its padding.
func chunk(id string, data []byte) []byte {
	out := binary.LittleEndian.AppendUint32([]byte(id), uint32(len(data)))
	out = append(out, data...)
	if len(data)%2 == 1 {
		out = append(out, 0)
	}
	return out
}

// riff returns a WebP file of the chunks.
func riff(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), bytes.Join(chunks, nil)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// bitWriter writes bits from the least significant one up.
type bitWriter struct {
	out  []byte
	used int
}

func (w *bitWriter) write(v uint32, n int) {
	for i := range n {
		if w.used%8 == 0 {
			w.out = append(w.out, 0)
		}
		w.out[w.used/8] |= byte(v>>i&1) << (w.used % 8)
		w.used++
	}
}

// vp8l returns a lossless WebP bitstream of one colour: every prefix code has one symbol, so that pixels take no bits.
func vp8l(w, h int, c color.NRGBA) []byte {
	b := &bitWriter{out: []byte{0x2f}, used: 8}
	b.write(uint32(w-1), 14)
	b.write(uint32(h-1), 14)
	b.write(1, 1) // alpha is used
	b.write(0, 3) // version
	b.write(0, 3) // no transform, no colour cache, one group of codes
	for _, v := range []uint8{c.G, c.R, c.B, c.A} {
		b.write(0b101, 3) // simple, one symbol, of eight bits
		b.write(uint32(v), 8)
	}
	b.write(0b0001, 4) // distance: simple, one symbol, of one bit
	return b.out
}

func le24(v int) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16)} }

// vp8x returns the chunk that states a canvas.
func vp8x(w, h int, flags byte) []byte {
	return chunk("VP8X", bytes.Join([][]byte{{flags, 0, 0, 0}, le24(w - 1), le24(h - 1)}, nil))
}

// anmf returns a frame of one colour. x and y are even.
func anmf(x, y, w, h, milliseconds int, flags byte, c color.NRGBA) []byte {
	return chunk("ANMF", bytes.Join([][]byte{le24(x / 2), le24(y / 2), le24(w - 1), le24(h - 1), le24(milliseconds), {flags},
		chunk("VP8L", vp8l(w, h, c))}, nil))
}

// tiffTag is one entry of a directory; values are written as LONG, or as SHORT where short is set.
type tiffTag struct {
	tag    uint16
	short  bool
	values []int
}

// tiffBuilder writes TIFF files of a kind that no encoder makes.
type tiffBuilder struct {
	order interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}
	out  []byte
	last int // offset of the link to the next directory
}

func newTIFF(bigEndian bool) *tiffBuilder {
	b := &tiffBuilder{order: binary.LittleEndian, out: []byte("II*\x00\x00\x00\x00\x00"), last: 4}
	if bigEndian {
		b.order, b.out = binary.BigEndian, []byte("MM\x00*\x00\x00\x00\x00")
	}
	return b
}

// data appends bytes and returns their offset.
func (b *tiffBuilder) data(p []byte) int {
	at := len(b.out)
	b.out = append(b.out, p...)
	if len(b.out)%2 == 1 {
		b.out = append(b.out, 0)
	}
	return at
}

// directory appends a directory, whose tags are in ascending order, and returns its offset. It is linked to the one
// before unless it is detached.
func (b *tiffBuilder) directory(detached bool, tags ...tiffTag) int {
	var entries []byte
	for _, t := range tags {
		kind, values := uint16(4), []byte(nil)
		for _, v := range t.values {
			if t.short {
				kind, values = 3, b.order.AppendUint16(values, uint16(v))
			} else {
				values = b.order.AppendUint32(values, uint32(v))
			}
		}
		entries = b.order.AppendUint16(entries, t.tag)
		entries = b.order.AppendUint16(entries, kind)
		entries = b.order.AppendUint32(entries, uint32(len(t.values)))
		if len(values) > 4 {
			values = b.order.AppendUint32(nil, uint32(b.data(values)))
		}
		entries = append(entries, append(values, 0, 0, 0, 0)[:4]...)
	}
	at := len(b.out)
	b.out = b.order.AppendUint16(b.out, uint16(len(tags)))
	b.out = append(b.out, entries...)
	if !detached {
		b.link(at)
		b.last = len(b.out)
	}
	b.out = append(b.out, 0, 0, 0, 0)
	return at
}

// link makes the directory written last name the one at the offset as the next.
func (b *tiffBuilder) link(at int) { b.order.PutUint32(b.out[b.last:], uint32(at)) }

// grayTags describes a gray picture of 8 bits in strips.
func grayTags(w, h, compression, rowsPerStrip int, offsets, counts []int, more ...tiffTag) []tiffTag {
	tags := []tiffTag{
		{tagImageWidth, false, []int{w}}, {tagImageLength, false, []int{h}}, {tagBitsPerSample, true, []int{8}},
		{tagCompression, true, []int{compression}}, {tagPhotometric, true, []int{1}}, {tagStripOffsets, false, offsets},
		{tagSamplesPerPixel, true, []int{1}}, {tagRowsPerStrip, false, []int{rowsPerStrip}}, {tagStripByteCounts, false, counts},
	}
	return append(tags, more...)
}

// grayPage appends an uncompressed page whose pixels all have the value v.
func (b *tiffBuilder) grayPage(w, h int, v byte, more ...tiffTag) int {
	at := b.data(bytes.Repeat([]byte{v}, w*h))
	return b.directory(false, grayTags(w, h, 1, h, []int{at}, []int{w * h}, more...)...)
}

// isoBox returns a box of the ISO base media file format.
func isoBox(kind string, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), kind...), body...)
}

// fullBox returns a box with a version and flags.
func fullBox(kind string, version byte, flags uint32, parts ...[]byte) []byte {
	return isoBox(kind, append([][]byte{{version, byte(flags >> 16), byte(flags >> 8), byte(flags)}}, parts...)...)
}

func be16(values ...int) (out []byte) {
	for _, v := range values {
		out = binary.BigEndian.AppendUint16(out, uint16(v))
	}
	return out
}

func be32(values ...int) (out []byte) {
	for _, v := range values {
		out = binary.BigEndian.AppendUint32(out, uint32(v))
	}
	return out
}
