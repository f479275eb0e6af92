// Package imagehash computes the perceptual, difference and average hashes of github.com/corona10/goimagehash, of 64
// and of 256 bits, with a quality and on request of the seven turns and mirrorings.
//
// The hashes are goimagehash's own on the same pixels, bit for bit: lists made with it carry over, lists made with
// programs of other makers do not. They depend on the type of the image too, since goimagehash scales an
// *image.YCbCr in YCbCr. Its sums are float64, and on an architecture where the compiler fuses multiplication and
// addition a value next to a mean or a median may fall to the other side there.
//
// What it does wrong on its own is kept from it here:
//
//   - It scales in goroutines of its own, whose panics (a buffer that is too short) no caller can recover. An image
//     reaches it only in a header that was built here after its buffers were found to hold every pixel.
//   - It hashes a picture that starts elsewhere than at (0, 0) wrongly: such an image is an error.
//   - It gives hashes of pictures of 1 x 1 and less: a picture with a side under 8 pixels, for the 256-bit kinds
//     under 16, has the zero hash and quality 0. So many points a side is the least that these kinds look at.
//   - Its sums overflow, and at worst are divided by zero, on a side over 262,144 pixels: an error.
//
// Cost: each kind scales the picture for itself, 5 to 9 ns a pixel on one core, and PHash256 takes 13 ms more. Of a
// *image.YCbCr it makes a copy of 3 bytes a pixel each time. The seven variants are hashes of the turned full-size
// picture: each costs as much as the picture itself and 1 to 4 ns a pixel for the turning, into a buffer of 3 bytes
// a pixel (gray 1, RGBA 4). The alternative, to turn the scaled picture, is not exact: the scaling rounds.
package imagehash

import (
	"encoding/binary"
	"fmt"
	"image"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
	"github.com/corona10/goimagehash"
)

// Hasher computes the hashes of frames. Its zero value is ready to use, by any number of goroutines at once.
type Hasher struct{}

var _ hashmatch.Hasher = Hasher{}

// algorithm is one kind of hash.
type algorithm struct {
	kind     hashmatch.Kind
	smallest int // the least width and height that it is computed of
	words    func(image.Image) ([]uint64, error)
}

var algorithms = []algorithm{
	{hashmatch.PHash, 8, short(goimagehash.PerceptionHash)},
	{hashmatch.DHash, 8, short(goimagehash.DifferenceHash)},
	{hashmatch.AHash, 8, short(goimagehash.AverageHash)},
	{hashmatch.PHash256, 16, long(goimagehash.ExtPerceptionHash)},
	{hashmatch.DHash256, 16, long(goimagehash.ExtDifferenceHash)},
	{hashmatch.AHash256, 16, long(goimagehash.ExtAverageHash)},
}

func short(compute func(image.Image) (*goimagehash.ImageHash, error)) func(image.Image) ([]uint64, error) {
	return func(img image.Image) ([]uint64, error) {
		h, err := compute(img)
		if err != nil {
			return nil, err
		}
		return []uint64{h.GetHash()}, nil
	}
}

// long computes hashes of 16 x 16 bits. Other sizes, some of which panic, are never asked for.
func long(compute func(img image.Image, width, height int) (*goimagehash.ExtImageHash, error)) func(image.Image) ([]uint64, error) {
	return func(img image.Image) ([]uint64, error) {
		h, err := compute(img, 16, 16)
		if err != nil {
			return nil, err
		}
		return h.GetHash(), nil
	}
}

// Kinds returns the six kinds of goimagehash.
func (Hasher) Kinds() hashmatch.KindSet {
	var set hashmatch.KindSet
	for _, a := range algorithms {
		set |= hashmatch.SetOf(a.kind)
	}
	return set
}

// Hash appends to dst the hashes of frame of the kinds asked for, then those of its turns and mirrorings for the
// kinds in dihedral, variant by variant. The quality of all is the frame's, on the scale
// of PDQ's: 0 is a flat picture, 100 a detailed one. An image that is none of
// those that hashmatch.Frame promises is an error, and so is anything that goes wrong in goimagehash.
func (h Hasher) Hash(dst []hashmatch.FrameHash, frame *hashmatch.Frame, kinds, dihedral hashmatch.KindSet) ([]hashmatch.FrameHash, error) {
	kinds &= h.Kinds()
	if kinds == 0 {
		return dst, nil
	}
	p, err := pictureOf(frame.Image)
	if err != nil {
		return dst, err
	}
	one := hashmatch.FrameHash{Frame: frame.Index, Time: frame.Time, View: frame.View, Quality: p.quality()}
	if dst, err = p.hash(dst, one, kinds, p.image()); err != nil {
		return dst, err
	}
	if dihedral &= kinds; dihedral == 0 {
		return dst, nil
	}
	buffer := borrow()
	defer giveBack(buffer)
	for _, t := range turns {
		one.View.Dihedral = t.name
		var turned image.Image
		if slices.ContainsFunc(algorithms, func(a algorithm) bool { return dihedral.Has(a.kind) && p.fits(a) }) {
			turned = p.turned(t, buffer)
		}
		if dst, err = p.hash(dst, one, dihedral, turned); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// hash appends the hashes of img, which is p as it is or turned, to dst. They are like one but for Hash, and Quality
// where p is too small.
func (p *picture) hash(dst []hashmatch.FrameHash, one hashmatch.FrameHash, kinds hashmatch.KindSet, img image.Image) ([]hashmatch.FrameHash, error) {
	for _, a := range algorithms {
		if !kinds.Has(a.kind) {
			continue
		}
		h := one
		h.Hash.Kind = a.kind
		if !p.fits(a) {
			h.Quality = 0
			dst = append(dst, h)
			continue
		}
		words, err := a.compute(img)
		if err != nil {
			return dst, err
		}
		for i, w := range words {
			binary.BigEndian.PutUint64(h.Hash.Bits[8*i:], w)
		}
		dst = append(dst, h)
	}
	return dst, nil
}

// fits reports whether p is large enough for the algorithm.
func (p *picture) fits(a algorithm) bool { return min(p.width, p.height) >= a.smallest }

// compute returns the hash of img, 64 bits a word. A panic is an error.
func (a algorithm) compute(img image.Image) (words []uint64, err error) {
	defer func() {
		if recover() != nil {
			words, err = nil, &hashmatch.Failure{Code: hashmatch.Panicked, Detail: a.kind.String()}
		}
	}()
	if words, err = a.words(img); err != nil {
		return nil, fmt.Errorf("%s: %w", a.kind, err)
	}
	if len(words)*64 != a.kind.Bits() {
		return nil, fmt.Errorf("%s: %d words", a.kind, len(words))
	}
	return words, nil
}
