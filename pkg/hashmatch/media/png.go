package media

import (
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"

	"example.org/hashmatch/pkg/hashmatch"
)

// png decodes a still: by the standard library if it is intact, else what is left of it.
func (j *job) png() error {
	f, err := j.pngHeader()
	if err != nil {
		return err
	}
	if err := j.admit(int64(f.width) * int64(f.height)); err != nil {
		return err
	}
	j.media.Frames = 1
	if err := j.hold(int64(f.width) * int64(f.height) * f.memory(f.tRNS != nil, f.orientation)); err != nil {
		return err
	}
	picture, err := png.Decode(&reader{ctx: j.ctx, rest: j.content})
	if err == nil {
		return j.emit(0, 0, to8bit(picture), f.orientation, false)
	}
	if j.ctx.Err() != nil {
		return err
	}
	picture, failure, err := j.salvagePNG(f, err)
	if err != nil {
		return err
	}
	j.fail(failure.Code, "%s", failure.Detail)
	if picture == nil {
		return nil
	}
	return j.emit(0, 0, to8bit(picture), f.orientation, false)
}

// pngHeader reads the chunks and checks the limits.
func (j *job) pngHeader() (*pngInfo, error) {
	head, ok := pngHeader(j.content)
	switch {
	case !ok && len(j.content) < len(pngMagic)+25:
		return nil, &hashmatch.Failure{Code: hashmatch.Truncated, Detail: "no IHDR chunk"}
	case !ok:
		return nil, &hashmatch.Failure{Code: hashmatch.Corrupt, Detail: "no IHDR chunk"}
	}
	j.media.Width, j.media.Height = head.width, head.height
	if err := j.fits(head.width, head.height); err != nil {
		return nil, err
	}
	if !head.valid {
		return nil, &hashmatch.Failure{Code: hashmatch.Corrupt, Detail: "no colour type, depth or method of a PNG"}
	}
	f := walkPNG(j.content, head)
	return &f, nil
}

// salvagePNG decodes what is left of a PNG that the standard library refused. The picture is nil if that is nothing.
func (j *job) salvagePNG(f *pngInfo, refusal error) (image.Image, hashmatch.Failure, error) {
	failure := hashmatch.Failure{Code: hashmatch.Corrupt, Detail: refusal.Error()}
	if !f.complete {
		failure = hashmatch.Failure{Code: hashmatch.Truncated, Detail: "no IEND chunk"}
	}
	if f.first == 0 || f.colour == pngPalette && f.palette == nil {
		return nil, failure, nil
	}
	w := newRewrap(f, &chunkReader{ctx: j.ctx, kind: "IDAT", walk: chunks{data: j.content, at: f.first}})
	picture, err := w.decode()
	if err != nil && j.ctx.Err() == nil {
		err = nil // the palette or tRNS is damaged as well: failure says the first thing that is
	}
	return picture, failure, err
}

// failure names what a rewrapped frame lacks; nil if nothing.
func (w *rewrap) failure(bad bool) *hashmatch.Failure {
	switch {
	case errors.Is(w.err, errTooShort), errors.Is(w.err, io.ErrUnexpectedEOF):
		return &hashmatch.Failure{Code: hashmatch.Truncated, Detail: w.err.Error()}
	case w.err != nil:
		return &hashmatch.Failure{Code: hashmatch.Corrupt, Detail: w.err.Error()}
	case w.bad:
		return &hashmatch.Failure{Code: hashmatch.Corrupt, Detail: "bad filter type"}
	case bad:
		return &hashmatch.Failure{Code: hashmatch.Corrupt, Detail: "invalid checksum"}
	}
	return nil
}

// to8bit makes one of the types that emit takes of what the standard library's PNG decoder returns. 16-bit samples
// are cut to their high byte, in place. Gray, RGBA (which that decoder makes opaque only) and NRGBA are passed on.
func to8bit(picture image.Image) image.Image {
	switch m := picture.(type) {
	case *image.Paletted:
		return fromPalette(m)
	case *image.Gray16:
		highBytes(m.Pix)
		return &image.Gray{Pix: m.Pix[:len(m.Pix)/2], Stride: m.Stride / 2, Rect: m.Rect}
	case *image.RGBA64:
		highBytes(m.Pix)
		return &image.RGBA{Pix: m.Pix[:len(m.Pix)/2], Stride: m.Stride / 2, Rect: m.Rect}
	case *image.NRGBA64:
		highBytes(m.Pix)
		return &image.NRGBA{Pix: m.Pix[:len(m.Pix)/2], Stride: m.Stride / 2, Rect: m.Rect}
	}
	return picture
}

// highBytes moves the first of each two bytes to the first half.
func highBytes(pix []byte) {
	for i := range len(pix) / 2 {
		pix[i] = pix[2*i]
	}
}

// fromPalette looks the colours up. Indices past the palette are opaque black, as in browsers.
func fromPalette(m *image.Paletted) *image.NRGBA {
	var colours [256][4]byte
	for i := range colours {
		colours[i] = [4]byte{0, 0, 0, 255}
		if i < len(m.Palette) {
			c := color.NRGBAModel.Convert(m.Palette[i]).(color.NRGBA)
			colours[i] = [4]byte{c.R, c.G, c.B, c.A}
		}
	}
	size := m.Rect.Size()
	out := image.NewNRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		row := out.Pix[y*out.Stride:][:4*size.X]
		for x, index := range m.Pix[y*m.Stride:][:size.X] {
			copy(row[4*x:4*x+4], colours[index][:])
		}
	}
	return out
}
