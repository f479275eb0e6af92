package isolated

import (
	"errors"
	"fmt"
	"image"

	"example.org/hashmatch/pkg/hashmatch"
)

func decodeJXL(e *emitter, content []byte) {
	stream, err := walkJXL(content)
	if stream.truncated {
		e.fail(hashmatch.Truncated, "jxl: a box reaches beyond the end of the file")
	}
	if err != nil {
		if !stream.truncated {
			e.fail(hashmatch.Corrupt, "jxl: "+err.Error())
		}
		return
	}
	header, cut, err := readJXLHeader(stream.head)
	switch {
	case cut:
		e.fail(hashmatch.Truncated, "jxl: the header is cut off")
		return
	case err != nil:
		e.fail(hashmatch.Corrupt, "jxl: "+err.Error())
		return
	case !e.admit("jxl", header.width, header.height) || !e.room(header.width, header.height):
		return
	}
	first, _, err := jxlFrames(content, false)
	if err != nil {
		if !stream.truncated {
			e.failDecoder(hashmatch.Corrupt, "jxl: damaged or cut off", err)
		}
		return
	}
	if header.premultiplied {
		straighten(first)
	}
	if !e.picture(first[0], 0) || !header.animation {
		return
	}
	first = nil // before the others need the memory
	e.jxlAnimation(content, header)
}

// jxlFrames decodes the first picture, or all of them with their durations in ticks.
func jxlFrames(content []byte, all bool) (images []image.Image, delays []int, err error) {
	err = guard(func() (err error) {
		images, delays, err = jxlDecode(content, all)
		return err
	})
	if err == nil && len(images) == 0 {
		err = errors.New("no picture in it")
	}
	return images, delays, err
}

// jxlAnimation yields the pictures after the first. The library allocates for all of them at once, with a 32-bit size:
// where that has wrapped around, what it returns is not the pictures.
func (e *emitter) jxlAnimation(content []byte, header jxlHeader) {
	images, delays, err := jxlFrames(content, true)
	if err != nil {
		e.failDecoder(hashmatch.Corrupt, "jxl animation", err)
		return
	}
	size := 4 * int64(header.width) * int64(header.height)
	if header.bits == 16 {
		size *= 2
	}
	if int64(len(images)) > (1<<31)/size || len(delays) != len(images) {
		e.fail(hashmatch.TooManyFrames, fmt.Sprintf("jxl: only the first of %d pictures of %d x %d was looked at",
			len(images), header.width, header.height))
		return
	}
	ticks := 0.0
	for i, img := range images {
		if i > 0 {
			if !e.room(header.width, header.height) {
				return
			}
			if header.premultiplied {
				straighten(images[i : i+1])
			}
			if !e.picture(img, seconds(ticks/header.ticks)) {
				return
			}
		}
		ticks += float64(delays[i])
	}
}

// straighten divides colours that the library left multiplied by alpha, although it calls them straight.
func straighten(images []image.Image) {
	for _, img := range images {
		switch img := img.(type) {
		case *image.NRGBA:
			unpremultiplied(&image.RGBA{Pix: img.Pix, Stride: img.Stride, Rect: img.Rect})
		case *image.NRGBA64:
			narrow := unpremultiplied64(&image.RGBA64{Pix: img.Pix, Stride: img.Stride, Rect: img.Rect})
			for i, v := range narrow.Pix { // the low bytes are dropped later
				img.Pix[2*i] = v
			}
		}
	}
}
