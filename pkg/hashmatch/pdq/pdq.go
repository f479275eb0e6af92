package pdq

import (
	"slices"
	"sync"

	"example.org/hashmatch/pkg/hashmatch"
)

// smallest is the least number of rows and of columns that a hash is made of.
const smallest = 5

// Hasher computes PDQ hashes of frames. Its zero value is ready to use, by any number of goroutines at once.
type Hasher struct{}

var _ hashmatch.Hasher = Hasher{}

// Kinds returns PDQ alone.
func (Hasher) Kinds() hashmatch.KindSet { return hashmatch.SetOf(hashmatch.PDQ) }

// Hash appends the hash of frame to dst, and its variants if dihedral has PDQ too; nothing unless kinds has it. The hash
// of a small picture at twice its size follows, with the view Doubled. An image that is none of those that
// hashmatch.Frame promises is an error.
func (Hasher) Hash(dst []hashmatch.FrameHash, frame *hashmatch.Frame, kinds, dihedral hashmatch.KindSet) ([]hashmatch.FrameHash, error) {
	if !kinds.Has(hashmatch.PDQ) {
		return dst, nil
	}
	src, err := LumaOf(frame.Image)
	if err != nil {
		return dst, err
	}
	one := hashmatch.FrameHash{Frame: frame.Index, Time: frame.Time, View: frame.View}
	if !dihedral.Has(hashmatch.PDQ) {
		one.Hash, one.Quality = Compute(src)
		dst = append(dst, one)
	} else {
		variants, quality := Dihedral(src)
		for _, v := range variants {
			one.Hash, one.Quality, one.View.Dihedral = v.Hash, quality, v.Dihedral
			dst = append(dst, one)
		}
		one.View.Dihedral = ""
	}
	if small(src) {
		dst = appendDoubled(dst, one, src)
	}
	return dst, nil
}

// Variant is the hash of one turn or mirroring of a picture.
type Variant struct {
	Dihedral hashmatch.Dihedral // "" for the picture as it is
	Hash     hashmatch.Hash
}

// Compute returns the hash of src and its quality, 0 to 100. A picture of fewer than 5 rows or columns has the zero
// hash and quality 0.
func Compute(src Luma) (hash hashmatch.Hash, quality int) {
	if !large(src) {
		return hashmatch.Hash{Kind: hashmatch.PDQ}, 0
	}
	w := work.Get().(*workspace)
	defer work.Put(w)
	w.sample(src)
	hash, _ = turns[0].hashes(transform(&w.plane))
	return hash, qualityOf(&w.plane)
}

// Dihedral returns the hash of src, then those of its seven turns and mirrorings in the order of hashmatch.Dihedral's
// constants, and the quality of the picture, which stands for that of all. The seven cost little: they are made of
// the same coefficients with other signs in other places.
//
// The hash of the picture as it is equals Compute's. The others are those of the reference, which takes a picture of
// 64 x 64 pixels as it is for the one and filters it for the others: such a picture is filtered here too, for them.
func Dihedral(src Luma) (variants [8]Variant, quality int) {
	for i, d := range order {
		variants[i] = Variant{d, hashmatch.Hash{Kind: hashmatch.PDQ}}
	}
	if !large(src) {
		return variants, 0
	}
	w := work.Get().(*workspace)
	defer work.Put(w)
	w.sample(src)
	quality = qualityOf(&w.plane)
	coefficients := transform(&w.plane)
	plain, _ := turns[0].hashes(coefficients)
	if unfiltered(src) {
		w.blur(&w.plane, src)
		coefficients = transform(&w.plane)
	}
	for _, t := range turns {
		inPlace, transposed := t.hashes(coefficients)
		variants[slices.Index(order[:], t.inPlace)].Hash = inPlace
		variants[slices.Index(order[:], t.transposed)].Hash = transposed
	}
	variants[0].Hash = plain
	return variants, quality
}

// order is the order of the variants.
var order = [8]hashmatch.Dihedral{"", hashmatch.Rotate90, hashmatch.Rotate180, hashmatch.Rotate270,
	hashmatch.FlipX, hashmatch.FlipY, hashmatch.FlipPlus, hashmatch.FlipMinus}

// large reports whether src has a hash at all.
func large(src Luma) bool {
	width, height := src.Size()
	return width >= smallest && height >= smallest
}

// unfiltered reports whether src has the size that it would be sampled to.
func unfiltered(src Luma) bool {
	width, height := src.Size()
	return width == side && height == side
}

// work holds workspaces, so that a hash allocates next to nothing.
var work = sync.Pool{New: func() any { return new(workspace) }}

type workspace struct {
	blurrer
	plane plane
}

// sample brings src to 64 x 64 points.
func (w *workspace) sample(src Luma) {
	if !unfiltered(src) {
		w.blur(&w.plane, src)
		return
	}
	for y := range w.plane {
		src.Row(w.plane[y][:], 0, y)
	}
}
