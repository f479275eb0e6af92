package isolated

import (
	"fmt"
	"image"

	"example.org/hashmatch/pkg/hashmatch"
)

func decodeHEIC(e *emitter, content []byte) {
	f := e.heifFile("heic", content)
	if f == nil {
		return
	}
	if t, ok := f.pictureTrack(); ok {
		e.fail(hashmatch.Unsupported, fmt.Sprintf("heic: a sequence of %d pictures was not looked at", t.samples))
	}
	work := f.copied()     // is made to name one picture after the other as its primary one
	setMajor(work, "heic") // the library refuses files whose major brand is a general one (mif1)
	for n, i := range f.pictures() {
		it := &f.items[i]
		what := fmt.Sprintf("heic image %d", n)
		width, height, ok := f.size(it)
		if !e.heifItem(what, width, height, ok) {
			if e.done() {
				return
			}
			continue
		}
		if !e.room(width, height) {
			return
		}
		if !f.setPrimary(work, it.id) {
			e.fail(hashmatch.Unsupported, what+": an item ID that cannot be the primary one")
			continue
		}
		img, err := heicOne(work, f, it)
		if err != nil {
			e.failItem(it, what, err)
			continue
		}
		if plane, ok := f.alpha(it); ok {
			img = e.heicAlpha(f, it, plane, work, img, what)
		}
		if !e.picture(img, 0) {
			return
		}
	}
}

// heicOne decodes the picture that work names as its primary one.
func heicOne(work []byte, f *heif, it *item) (img image.Image, err error) {
	err = guard(func() (err error) {
		img, err = heicDecode(work)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !whole(img) {
		return nil, fmt.Errorf("a %T with too little data", img)
	}
	if planes, ok := img.(*image.YCbCr); ok && f.videoRange(it) {
		fullRange(planes)
	}
	return img, nil
}

// heicAlpha decodes the plane that holds the transparency of it, which the library leaves out, and returns img with
// it; without it, and with a failure, if that is not possible.
func (e *emitter) heicAlpha(f *heif, it, plane *item, work []byte, img image.Image, what string) image.Image {
	what += ": its alpha plane"
	width, height, ok := f.size(plane)
	if !e.heifItem(what, width, height, ok) {
		return img
	}
	if !f.setPrimary(work, plane.id) {
		e.fail(hashmatch.Unsupported, what+": an item ID that cannot be the primary one")
		return img
	}
	decoded, err := heicOne(work, f, plane)
	if err != nil {
		e.failDecoder(hashmatch.Corrupt, what, err)
		return img
	}
	var alpha []byte
	var stride int
	switch decoded := decoded.(type) {
	case *image.Gray:
		alpha, stride = decoded.Pix, decoded.Stride
	case *image.YCbCr:
		alpha, stride = decoded.Y, decoded.YStride
	}
	colour, ok := img.(*image.YCbCr)
	if alpha == nil || !ok || decoded.Bounds() != img.Bounds() {
		e.fail(hashmatch.Unsupported, fmt.Sprintf("%s is %v, the picture %v", what, decoded.Bounds(), img.Bounds()))
		return img
	}
	merged := withAlpha(colour, alpha, stride)
	if f.premultiplied(it) {
		merged = unpremultiplied(&image.RGBA{Pix: merged.Pix, Stride: merged.Stride, Rect: merged.Rect})
	}
	return merged
}
