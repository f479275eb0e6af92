// Package edit makes the copies that people make of pictures: crops, borders, tilts, captions, screenshots and so on,
// each encoded as JPEG. It is there to measure, on harmless photos, which copies a hash still finds: see package eval.
//
// All returns the published set; an edit's name and what it does stay as they are once released, so that figures can be
// compared over time. Find also reads chains of edits, "mirror+crop5-each", which are encoded once, at the end.
//
// Edits are deterministic: the same picture and seed give the same copy, on any number of workers. Between processor
// architectures the rounding of floating-point sums may move a sample by one.
package edit

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"image"
	"image/draw"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"strings"
)

// Bounds of the pictures that can be edited.
const (
	MaxPixels = 50_000_000 // a copy has up to four times as many
	MaxAspect = 16         // the longer side by the shorter one
	MaxChain  = 4          // edits in a chain
)

// Edit is one way to make a copy. All and Find make them; the zero Edit changes nothing but the encoding.
type Edit struct {
	// Name is stable: lower-case letters, digits and hyphens, and a plus between the edits of a chain.
	Name string
	// Family groups edits of one sort: encode, size, tone, filter, turn, crop, pad, tilt, overlay, screen, compose,
	// shape, chain.
	Family string
	// Parameters says in words what is done.
	Parameters string
	// Quality is that of the JPEG at the end, as image/jpeg counts it; 0 means DefaultQuality.
	Quality int

	apply operation
}

// DefaultQuality is the JPEG quality that copies are encoded at unless the edit is about that.
const DefaultQuality = 85

// operation returns the edited picture, which may be src itself. It neither changes src nor keeps it.
type operation func(src *image.RGBA, random *rand.Rand) *image.RGBA

// Picture returns img as edits take it: opaque, on white, from (0, 0) on. It copies, unless img is that already.
// It refuses an empty picture, one over MaxPixels and one over MaxAspect.
func Picture(img image.Image) (*image.RGBA, error) {
	size := img.Bounds().Size()
	if err := check(size); err != nil {
		return nil, err
	}
	if same, ok := img.(*image.RGBA); ok && same.Rect.Min == (image.Point{}) && same.Opaque() {
		return same, nil
	}
	dst := filled(size.X, size.Y, white)
	draw.Draw(dst, dst.Rect, img, img.Bounds().Min, draw.Over)
	return dst, nil
}

// Shrink returns src at the largest size of its shape that has at most so many pixels, 1 or more: src itself if it has.
func Shrink(src *image.RGBA, pixels int) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	if w*h <= pixels {
		return src
	}
	scale := math.Sqrt(float64(pixels) / (float64(w) * float64(h)))
	return scaled(src, int(float64(w)*scale), int(float64(h)*scale))
}

// Clone returns a copy of src.
func Clone(src *image.RGBA) *image.RGBA { return cut(src, src.Rect) }

func check(size image.Point) error {
	switch {
	case size.X < 1 || size.Y < 1:
		return errors.New("edit: an empty picture")
	case size.X > MaxPixels/size.Y:
		return fmt.Errorf("edit: a picture of more than %d pixels", MaxPixels)
	case max(size.X, size.Y) > MaxAspect*min(size.X, size.Y):
		return fmt.Errorf("edit: a picture more than %d times as long as wide", MaxAspect)
	}
	return nil
}

// Apply returns the edited picture, before it is encoded. src is what Picture returned; it is not changed, and what is
// returned may be src itself. seed decides what is left to chance, the same for every copy of a picture: each edit draws
// from numbers of its own.
func (e Edit) Apply(src *image.RGBA, seed uint64) (*image.RGBA, error) {
	if err := check(src.Rect.Size()); err != nil {
		return nil, err
	}
	if e.apply == nil {
		return src, nil
	}
	name := fnv.New64a()
	name.Write([]byte(e.Name))
	return e.apply(src, rand.New(rand.NewPCG(seed, name.Sum64()))), nil
}

// JPEG returns the edited picture as a JPEG file.
func (e Edit) JPEG(src *image.RGBA, seed uint64) ([]byte, error) {
	dst, err := e.Apply(src, seed)
	if err != nil {
		return nil, err
	}
	quality := e.Quality
	if quality == 0 {
		quality = DefaultQuality
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, dst, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("edit %s: %w", e.Name, err)
	}
	return file.Bytes(), nil
}

// Find returns the edit of a name, or of a chain of names joined by "+", which are applied from left to right and
// encoded at the lowest of their qualities.
func Find(name string) (Edit, error) {
	parts := strings.Split(name, "+")
	if len(parts) > MaxChain {
		return Edit{}, fmt.Errorf("edit %q: a chain of more than %d", name, MaxChain)
	}
	var links []Edit
	for _, part := range parts {
		found := false
		for _, e := range All() {
			if e.Name == part {
				links, found = append(links, e), true
			}
		}
		if !found {
			return Edit{}, fmt.Errorf("edit %q: unknown", part)
		}
	}
	if len(links) == 1 {
		return links[0], nil
	}
	return chain(name, links), nil
}

// chain joins edits. A copy that has become too long or too large for the next link is left as it is.
func chain(name string, links []Edit) Edit {
	out := Edit{Name: name, Family: "chain", Quality: DefaultQuality}
	var words []string
	for _, link := range links {
		words = append(words, link.Parameters)
		if link.Quality > 0 {
			out.Quality = min(out.Quality, link.Quality)
		}
	}
	out.Parameters = strings.Join(words, "; then ")
	out.apply = func(src *image.RGBA, random *rand.Rand) *image.RGBA {
		for _, link := range links {
			if link.apply == nil || check(src.Rect.Size()) != nil {
				continue
			}
			src = link.apply(src, random)
		}
		return src
	}
	return out
}

// Select returns the edits that names ask for: names, chains, and families, which stand for all of theirs. None means
// All. Doubles count once.
func Select(names []string) ([]Edit, error) {
	if len(names) == 0 {
		return All(), nil
	}
	var out []Edit
	seen := make(map[string]bool)
	add := func(e Edit) {
		if !seen[e.Name] {
			seen[e.Name] = true
			out = append(out, e)
		}
	}
	for _, name := range names {
		family := false
		for _, e := range All() {
			if e.Family == name {
				family = true
				add(e)
			}
		}
		if family {
			continue
		}
		e, err := Find(name)
		if err != nil {
			return nil, err
		}
		add(e)
	}
	return out, nil
}
