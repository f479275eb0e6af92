package pdq

import (
	"errors"

	"example.org/hashmatch/pkg/hashmatch"
)

var _ hashmatch.Screener = Hasher{}

var errSmall = errors.New("pdq: a small picture is not screened")

// screenMargin is by how many bits the hash of a reduced picture may differ from that of the full one. Of 554 photos and
// of photos brought to sizes from 0.25 to 12 megapixels none of the eight variants was more than 6 bits off (package
// media's TestFidelity): this is four times as much, and is there for pictures that are unlike photos.
const screenMargin = 24

// Margin implements hashmatch.Screener: 24 bits.
func (Hasher) Margin(kind hashmatch.Kind) int {
	if kind != hashmatch.PDQ {
		return -1
	}
	return screenMargin
}

// Screen implements hashmatch.Screener: it appends what Hash would of the full picture as it is shown and, where that is
// another, as it is stored. A small picture, whose hash at twice its size is wanted too, is an error.
func (Hasher) Screen(dst []hashmatch.FrameHash, picture *hashmatch.Reduced, kinds, dihedral hashmatch.KindSet) ([]hashmatch.FrameHash, error) {
	if !kinds.Has(hashmatch.PDQ) {
		return dst, nil
	}
	if min(picture.Width, picture.Height) < doubledBelow {
		return dst, errSmall
	}
	src := Reduced{Pix: picture.Pix, Stride: picture.Stride, Width: picture.Width, Height: picture.Height, Scale: picture.Scale}
	var one hashmatch.FrameHash
	for _, orientation := range []int{picture.Orientation, 1} {
		var err error
		if !dihedral.Has(hashmatch.PDQ) {
			if one.Hash, one.Quality, err = src.Compute(orientation); err != nil {
				return dst, err
			}
			dst = append(dst, one)
		} else {
			variants, quality, err := src.Dihedral(orientation)
			if err != nil {
				return dst, err
			}
			for _, v := range variants {
				one.Hash, one.Quality, one.View.Dihedral = v.Hash, quality, v.Dihedral
				dst = append(dst, one)
			}
		}
		if orientation == 1 {
			break
		}
		one.View = hashmatch.View{Orientation: hashmatch.StoredOrientation}
	}
	return dst, nil
}
