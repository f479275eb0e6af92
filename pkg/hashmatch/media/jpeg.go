package media

import (
	"errors"
	"image"
	"image/color"
	"image/jpeg"

	"example.org/hashmatch/pkg/hashmatch"
)

// jpeg decodes with the standard library what it knows and is intact, and hands over the rest.
func (j *job) jpeg() error {
	f := walkJPEG(j.content, j.limits.MaxScans)
	j.media.Width, j.media.Height = f.width, f.height
	if f.frame == 0 {
		if !f.complete {
			return &hashmatch.Failure{Code: hashmatch.Truncated, Detail: "no picture header"}
		}
		return &hashmatch.Failure{Code: hashmatch.Corrupt, Detail: "no picture header"}
	}
	j.media.Frames = 1
	if err := j.fits(f.width, f.height); err != nil {
		return err
	}
	if err := j.admit(int64(f.width) * int64(f.height)); err != nil {
		return err
	}
	err := error(&hashmatch.Failure{Code: hashmatch.Unsupported, Detail: f.variant()})
	if f.standard() {
		var picture image.Image
		if picture, err = j.standardJPEG(&f); err == nil {
			j.jpegFailures(&f)
			return j.emit(0, 0, picture, f.orientation, false)
		}
		j.release()
	}
	if j.ctx.Err() != nil {
		return err
	}
	return j.damagedJPEG(&f, err)
}

// standardJPEG decodes with the standard library. The end marker is supplied where it is missing, and in front of
// the scans that are over the limit.
func (j *job) standardJPEG(f *jpegInfo) (image.Image, error) {
	if err := j.hold(f.memory()); err != nil {
		return nil, err
	}
	r := &reader{ctx: j.ctx, rest: j.content}
	if f.cut > 0 {
		r.rest = j.content[:f.cut]
	}
	if f.cut > 0 || !f.complete {
		r.tail = []byte{0xff, 0xd9}
	}
	picture, err := jpeg.Decode(r)
	if err != nil {
		return nil, err
	}
	if cmyk, ok := picture.(*image.CMYK); ok {
		return fromCMYK(cmyk), nil
	}
	return picture, nil
}

// jpegFailures records what is wrong with a JPEG that could be decoded.
func (j *job) jpegFailures(f *jpegInfo) {
	switch {
	case f.cut > 0:
		j.fail(hashmatch.Unsupported, "%d scans, the limit is %d: the rest was not decoded", f.scans, j.limits.MaxScans)
	case !f.complete:
		j.fail(hashmatch.Truncated, "no end marker")
	case f.damage != "":
		j.fail(hashmatch.Corrupt, "%s", f.damage)
	}
}

// damagedJPEG asks the isolated decoder for what the standard library refused, and says why it did.
func (j *job) damagedJPEG(f *jpegInfo, refusal error) error {
	failure := f.failure(refusal)
	beyondUs := failure.Code == hashmatch.Unsupported || failure.Code == hashmatch.TooManyPixels // not the file's fault
	if j.isolated == nil || f.cut > 0 {
		j.jpegFailures(f)
		j.fail(failure.Code, "%s", failure.Detail)
		return nil
	}
	j.pictures, j.area = 0, 0 // it was admitted, and comes again
	count, failures, err := j.handOverAs("jpeg", header{width: f.width, height: f.height, orientations: []int{f.orientation}})
	if !beyondUs || count == 0 {
		j.fail(failure.Code, "%s", failure.Detail)
	}
	for _, other := range failures {
		switch {
		case count == 0 && other.Code == hashmatch.Unsupported: // the failure says so already, or says more
		case !beyondUs && (other.Code == hashmatch.Corrupt || other.Code == hashmatch.Truncated):
		default:
			j.fail(other.Code, "%s", other.Detail)
		}
	}
	return err
}

// failure names why the standard library refused: a cut-off or damaged file, or one of a kind that it does not know.
func (f *jpegInfo) failure(refusal error) hashmatch.Failure {
	var known *hashmatch.Failure
	var kind jpeg.UnsupportedError
	switch {
	case !f.complete:
		return hashmatch.Failure{Code: hashmatch.Truncated, Detail: "no end marker"}
	case f.damage != "":
		return hashmatch.Failure{Code: hashmatch.Corrupt, Detail: f.damage}
	case errors.As(refusal, &known):
		return *known
	case errors.As(refusal, &kind) && kind != "excessive DC component" && kind != "unknown marker":
		return hashmatch.Failure{Code: hashmatch.Unsupported, Detail: refusal.Error()}
	}
	return hashmatch.Failure{Code: hashmatch.Corrupt, Detail: refusal.Error()}
}

// variant names a kind of JPEG that the standard library does not know.
func (f *jpegInfo) variant() string {
	switch {
	case f.frame == 0xf7:
		return "JPEG-LS"
	case f.frame == 0xc3 || f.frame == 0xc7 || f.frame == 0xcb || f.frame == 0xcf:
		return "lossless JPEG"
	case f.frame == 0xc5 || f.frame == 0xc6 || f.frame == 0xcd || f.frame == 0xce:
		return "hierarchical JPEG"
	case f.frame > 0xc8:
		return "JPEG with arithmetic coding"
	case f.precision != 8:
		return "JPEG with samples of other than 8 bits"
	}
	return "JPEG with restart intervals in a scan of one component"
}

// memory returns how many bytes the standard library and the turning after it allocate: every component padded to
// whole MCUs, one byte a sample, and for a progressive picture a coefficient of four bytes as well; four bytes a
// pixel where RGB or CMYK is put together.
func (f *jpegInfo) memory() int64 {
	across, down := 1, 1
	for _, c := range f.components {
		across, down = max(across, c.across), max(down, c.down)
	}
	mcus := int64(ceil(f.width, 8*across)) * int64(ceil(f.height, 8*down))
	var samples int64
	for _, c := range f.components {
		samples += mcus * 64 * int64(c.across) * int64(c.down)
	}
	bytes, pixels := samples, int64(f.width)*int64(f.height)
	if f.progressive() {
		bytes += 4 * samples
	}
	turned := int64(min(len(f.components), 3)) * pixels // 4:4:4 at worst
	if f.rgb || len(f.components) > 3 {
		bytes += 4 * pixels
		turned = 4 * pixels
	}
	if f.orientation != 1 {
		bytes += turned
	}
	return bytes
}

// fromCMYK converts in place: both take four bytes a pixel. No colour profile is applied. The standard library has
// already undone Adobe's inversion.
func fromCMYK(m *image.CMYK) *image.RGBA {
	size := m.Rect.Size()
	for y := range size.Y {
		row := m.Pix[y*m.Stride:][:4*size.X]
		for x := 0; x+3 < len(row); x += 4 {
			p := row[x : x+4 : x+4]
			p[0], p[1], p[2] = color.CMYKToRGB(p[0], p[1], p[2], p[3])
			p[3] = 255
		}
	}
	return &image.RGBA{Pix: m.Pix, Stride: m.Stride, Rect: m.Rect}
}
