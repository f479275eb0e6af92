package isolated

import (
	"errors"
	"fmt"
	"image"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// maxSequenceBytes bounds the pixels of an AVIF sequence, which the library returns all at once: twice that is within
// the default memory limit of a worker (the library's buffer grows by copying).
const maxSequenceBytes = 192 << 20

// errUnwritten is what a decoder that reports success without a picture is answered with.
var errUnwritten = errors.New("the decoder reported success and gave no picture")

// heifFile walks the file's boxes and records what is wrong with them. It returns nil where nothing can be decoded.
func (e *emitter) heifFile(format string, content []byte) *heif {
	f, err := walkHEIF(content)
	if f.truncated {
		e.fail(hashmatch.Truncated, format+": a box or a picture reaches beyond the end of the file")
	}
	if err != nil {
		if !f.truncated {
			e.fail(hashmatch.Corrupt, format+": "+err.Error())
		}
		return nil
	}
	return f
}

func decodeAVIF(e *emitter, content []byte) {
	f := e.heifFile("avif", content)
	if f == nil {
		return
	}
	work := f.copied() // is made to name one picture after the other as its primary one
	sequence, animated := f.pictureTrack()
	if animated && !e.avifSequence(f, &sequence, work) {
		return
	}
	for n, i := range f.pictures() {
		it := &f.items[i]
		if animated && it.firstByte != 0 && it.firstByte == sequence.firstByte {
			continue // the item is the first picture of the sequence
		}
		what := fmt.Sprintf("avif image %d", n)
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
		setMajor(work, "avif")
		img, err := avifOne(e, what, work)
		if err != nil {
			e.failItem(it, what, err)
			continue
		}
		if img != nil && !e.avifTurned(f, it, img) {
			return
		}
	}
}

// avifTurned yields the picture with the crop, rotation and mirroring that the item asks for, none of which the
// library applies; a picture that is cropped also whole, since not every viewer crops. It returns false when decoding
// is to end.
func (e *emitter) avifTurned(f *heif, it *item, img image.Image) bool {
	plain, err := normalise(img)
	if err != nil {
		e.fail(hashmatch.Panicked, err.Error())
		return true
	}
	size := plain.Bounds().Size()
	if crop, ok := f.crop(it, size.X, size.Y); ok {
		if !e.picture(f.turn(it, cropped(plain, crop)), 0) || !e.room(size.X, size.Y) {
			return false
		}
	}
	return e.picture(f.turn(it, plain), 0)
}

// heifItem reports whether the item can be tried; if not, the failures say why.
func (e *emitter) heifItem(what string, width, height int, sized bool) bool {
	switch {
	case e.done():
	case !sized:
		e.fail(hashmatch.Corrupt, what+": no size is stated")
	case e.admit(what, width, height):
		return true
	}
	return false
}

// failItem records the decoder's error on an item.
func (e *emitter) failItem(it *item, what string, err error) {
	if it.outside {
		return // truncated, as heifFile said
	}
	switch it.kind {
	case "hvc1", "hev1", "av01", "grid":
		e.failDecoder(hashmatch.Corrupt, what, err)
	default:
		e.failDecoder(hashmatch.Unsupported, what+" of kind "+printable(it.kind), err)
	}
}

// avifOne decodes the primary picture of content, after its size as the decoder sees it was held against the limits;
// nil without an error if the limits refused it.
func avifOne(e *emitter, what string, content []byte) (img image.Image, err error) {
	err = guard(func() error {
		config, err := avifConfig(content)
		if err != nil || !e.admit(what, config.Width, config.Height) {
			return err
		}
		images, delays, err := avifDecode(content)
		switch {
		case err != nil:
			return err
		case len(images) != 1 || !written(delays, 0):
			return errUnwritten
		}
		img = images[0]
		return nil
	})
	return img, err
}

// written reports whether the decoder gave picture i a duration: it does so only after it has written its pixels.
// For a still the duration is 1; in both cases memory that nothing was written to holds no such number.
func written(delays []float64, i int) bool {
	return i < len(delays) && delays[i] >= 1e-6 && delays[i] <= 1e9
}

// avifSequence decodes the track. It returns false when decoding is to end.
func (e *emitter) avifSequence(f *heif, t *track, work []byte) bool {
	const what = "avif sequence"
	if !e.admit(what, t.width, t.height) {
		return !e.done()
	}
	if !setMajor(work, "avis") {
		e.fail(hashmatch.Corrupt, what+": no ftyp box")
		return false
	}
	pixels := int64(t.width) * int64(t.height)
	if int64(t.samples)*pixels*4 > maxSequenceBytes || t.samples > e.limits.MaxFrames ||
		int64(t.samples)*pixels > e.limits.MaxTotalPixels {
		e.fail(hashmatch.TooManyFrames, fmt.Sprintf("%s: only the first of %d pictures of %d x %d was looked at",
			what, t.samples, t.width, t.height))
		return e.avifFirst(what, work)
	}
	var images []image.Image
	var delays []float64
	err := guard(func() error {
		config, err := avifConfig(work)
		if err != nil {
			return err
		}
		if config.Width != t.width || config.Height != t.height {
			return fmt.Errorf("%d x %d pixels instead of %d x %d", config.Width, config.Height, t.width, t.height)
		}
		images, delays, err = avifDecode(work)
		return err
	})
	if err == nil && len(images) != t.samples {
		err = fmt.Errorf("%d pictures instead of %d", len(images), t.samples)
	}
	if err != nil {
		e.failDecoder(hashmatch.Corrupt, what, err)
		return true
	}
	var at float64
	for i, img := range images {
		if !written(delays, i) {
			e.fail(hashmatch.Corrupt, fmt.Sprintf("%s: picture %d of %d could not be decoded", what, i, len(images)))
			return true
		}
		if !e.picture(img, seconds(at)) {
			return false
		}
		at += delays[i]
	}
	return true
}

// avifFirst yields the first picture of a sequence, beside the failure that the others were not looked at. It returns
// false when decoding is to end.
func (e *emitter) avifFirst(what string, work []byte) bool {
	var img image.Image
	err := guard(func() error {
		config, err := avifConfig(work)
		if err != nil || !e.admit(what, config.Width, config.Height) {
			return err
		}
		img, err = avifFirst(work)
		return err
	})
	if err != nil {
		e.failDecoder(hashmatch.Corrupt, what, err)
		return true
	}
	return img == nil || e.picture(img, 0)
}

// seconds converts without overflow.
func seconds(s float64) time.Duration {
	return time.Duration(min(max(s, 0), 1e9) * float64(time.Second))
}

// setMajor overwrites the major brand in work, a copy of the file that begins with its ftyp box. It decides whether
// libavif decodes the sequence ("avis") or the primary item ("avif").
func setMajor(work []byte, brand string) bool {
	if len(work) < 12 || string(work[4:8]) != "ftyp" {
		return false
	}
	copy(work[8:12], brand)
	return true
}
