package worker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

// The protocol. Parent and child are the same program, so there is one version of it, and its magic says which.
//
//	request:  magic, format (1 byte of length), 5 limits (8 bytes each), length of the content (8 bytes), content
//	answer:   'W' once the format's decoder is ready, any number of pictures, then the failures
//	picture:  'P', kind, chroma ratio (1 byte each), width, height (4 bytes each), time (8 bytes), planes without gaps
//	failures: 'F', number (1 byte); each: code (1 byte of length), detail (2 bytes of length)
//
// Numbers are big-endian.
const (
	magic         = "HMW1"
	tagWarm       = 'W'
	tagPicture    = 'P'
	tagFailures   = 'F'
	maxContent    = 4 << 30
	maxFailures   = 64
	maxDetail     = 1 << 10
	maxFormatName = 16
)

// The kinds of picture.
const (
	kindGray = iota
	kindYCbCr
	kindRGBA
	kindNRGBA
)

var errProtocol = errors.New("the decoder's answer makes no sense")

type request struct {
	format  string
	limits  media.Limits
	content []byte
}

func writeRequest(w io.Writer, r request) error {
	head := append([]byte(magic), byte(len(r.format)))
	head = append(head, r.format...)
	for _, v := range []int64{r.limits.MaxPixels, int64(r.limits.MaxSide), int64(r.limits.MaxFrames),
		r.limits.MaxTotalPixels, int64(r.limits.MaxScans), int64(len(r.content))} {
		head = binary.BigEndian.AppendUint64(head, uint64(v))
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(r.content)
	return err
}

// readRequest returns io.EOF if there is none any more.
func readRequest(r *bufio.Reader) (request, error) {
	var q request
	head := make([]byte, len(magic)+1)
	if _, err := io.ReadFull(r, head); err != nil {
		return q, err
	}
	n := int(head[len(magic)])
	if string(head[:len(magic)]) != magic || n > maxFormatName {
		return q, errProtocol
	}
	body := make([]byte, n+6*8)
	if _, err := io.ReadFull(r, body); err != nil {
		return q, err
	}
	q.format = string(body[:n])
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(body[n+8*i:])) }
	q.limits = media.Limits{MaxPixels: number(0), MaxSide: int(number(1)), MaxFrames: int(number(2)),
		MaxTotalPixels: number(3), MaxScans: int(number(4))}
	size := number(5)
	if size < 0 || size > maxContent {
		return q, errProtocol
	}
	var content bytes.Buffer // grows with what comes, not with what was announced
	content.Grow(int(min(size, 1<<20)) + bytes.MinRead)
	if n, err := content.ReadFrom(io.LimitReader(r, size)); err != nil || n < size {
		return q, errors.Join(io.ErrUnexpectedEOF, err)
	}
	q.content = content.Bytes()
	return q, nil
}

// planes returns the planes of a picture of one of the four kinds, with their rows' lengths and strides.
func planes(img image.Image) (kind, ratio byte, parts []plane, err error) {
	size := img.Bounds().Size()
	switch p := img.(type) {
	case *image.Gray:
		return kindGray, 0, []plane{{p.Pix, size.X, p.Stride, size.Y}}, nil
	case *image.RGBA:
		return kindRGBA, 0, []plane{{p.Pix, 4 * size.X, p.Stride, size.Y}}, nil
	case *image.NRGBA:
		return kindNRGBA, 0, []plane{{p.Pix, 4 * size.X, p.Stride, size.Y}}, nil
	case *image.YCbCr:
		cw, ch, ok := media.ChromaSize(p.SubsampleRatio, size.X, size.Y)
		if !ok {
			return 0, 0, nil, fmt.Errorf("chroma ratio %v", p.SubsampleRatio)
		}
		return kindYCbCr, byte(p.SubsampleRatio), []plane{{p.Y, size.X, p.YStride, size.Y}, {p.Cb, cw, p.CStride, ch}, {p.Cr, cw, p.CStride, ch}}, nil
	}
	return 0, 0, nil, fmt.Errorf("a picture of type %T", img)
}

type plane struct {
	pix                 []byte
	width, stride, rows int // in bytes
}

func writePicture(w *bufio.Writer, p media.Picture) error {
	kind, ratio, parts, err := planes(p.Image)
	if err != nil {
		return err
	}
	size := p.Image.Bounds().Size()
	head := []byte{tagPicture, kind, ratio}
	head = binary.BigEndian.AppendUint32(head, uint32(size.X))
	head = binary.BigEndian.AppendUint32(head, uint32(size.Y))
	head = binary.BigEndian.AppendUint64(head, uint64(p.Time))
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, part := range parts {
		for y := range part.rows {
			if _, err := w.Write(part.pix[y*part.stride : y*part.stride+part.width]); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// readPicture reads a picture after its tag. Its pixels are in buffer, which grows as needed and no further than the
// limits admit.
func readPicture(r io.Reader, limits media.Limits, buffer *[]byte) (media.Picture, error) {
	var p media.Picture
	var head [18]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return p, err
	}
	kind, ratio := head[0], image.YCbCrSubsampleRatio(head[1])
	w, h := int64(binary.BigEndian.Uint32(head[2:])), int64(binary.BigEndian.Uint32(head[6:]))
	p.Time = time.Duration(binary.BigEndian.Uint64(head[10:]))
	if w <= 0 || h <= 0 || w > int64(limits.MaxSide) || h > int64(limits.MaxSide) || w*h > limits.MaxPixels || p.Time < 0 {
		return p, fmt.Errorf("%w: a picture of %d x %d", errProtocol, w, h)
	}
	bounds := image.Rect(0, 0, int(w), int(h))
	cw, ch, ok := media.ChromaSize(ratio, int(w), int(h))
	total := int(w * h)
	switch kind {
	case kindGray:
	case kindYCbCr:
		if !ok {
			return p, fmt.Errorf("%w: chroma ratio %d", errProtocol, ratio)
		}
		total += 2 * cw * ch
	case kindRGBA, kindNRGBA:
		total *= 4
	default:
		return p, fmt.Errorf("%w: a picture of kind %d", errProtocol, kind)
	}
	if cap(*buffer) < total {
		*buffer = make([]byte, total)
	}
	pix := (*buffer)[:total:total]
	if _, err := io.ReadFull(r, pix); err != nil {
		return p, err
	}
	switch kind {
	case kindGray:
		p.Image = &image.Gray{Pix: pix, Stride: int(w), Rect: bounds}
	case kindRGBA:
		p.Image = &image.RGBA{Pix: pix, Stride: 4 * int(w), Rect: bounds}
	case kindNRGBA:
		p.Image = &image.NRGBA{Pix: pix, Stride: 4 * int(w), Rect: bounds}
	case kindYCbCr:
		y, c := int(w*h), cw*ch
		p.Image = &image.YCbCr{Y: pix[:y:y], Cb: pix[y : y+c : y+c], Cr: pix[y+c:], YStride: int(w), CStride: cw,
			SubsampleRatio: ratio, Rect: bounds}
	}
	return p, nil
}

func writeFailures(w *bufio.Writer, failures []hashmatch.Failure) error {
	failures = failures[:min(len(failures), maxFailures)]
	out := []byte{tagFailures, byte(len(failures))}
	for _, f := range failures {
		detail := f.Detail[:min(len(f.Detail), maxDetail)]
		out = append(out, byte(len(f.Code)))
		out = append(out, f.Code...)
		out = binary.BigEndian.AppendUint16(out, uint16(len(detail)))
		out = append(out, detail...)
	}
	if _, err := w.Write(out); err != nil {
		return err
	}
	return w.Flush()
}

// readFailures reads the failures after their tag.
func readFailures(r io.Reader) ([]hashmatch.Failure, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:1]); err != nil {
		return nil, err
	}
	if n[0] > maxFailures {
		return nil, errProtocol
	}
	failures := make([]hashmatch.Failure, n[0])
	for i := range failures {
		if _, err := io.ReadFull(r, n[:1]); err != nil {
			return nil, err
		}
		code := make([]byte, n[0])
		if _, err := io.ReadFull(r, code); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(r, n[:2]); err != nil {
			return nil, err
		}
		length := binary.BigEndian.Uint16(n[:])
		if length > maxDetail {
			return nil, errProtocol
		}
		detail := make([]byte, length)
		if _, err := io.ReadFull(r, detail); err != nil {
			return nil, err
		}
		if !slices.Contains(hashmatch.FailureCodes(), hashmatch.FailureCode(code)) {
			return nil, errProtocol
		}
		failures[i] = hashmatch.Failure{Code: hashmatch.FailureCode(code), Detail: strings.ToValidUTF8(string(detail), "")}
	}
	return failures, nil
}
