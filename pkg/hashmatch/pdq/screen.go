package pdq

import (
	"errors"

	"example.org/hashmatch/pkg/hashmatch"
)

var _ hashmatch.Screener = Hasher{}

var (
	errSmall    = errors.New("pdq: a small picture is not screened")
	errDoubtful = errors.New("pdq: a picture whose hash hangs on too little is not screened")
)

// coefficientOff is by how much a coefficient of a reduced picture is taken to be off that of the full one at most. Of 554
// photos and 199 drawn pictures of noise, dots, lines, stripes, waves and flat colours (8 hashes each), none was farther
// off than its coefficients within 0.6 of the median allow; within 0.4, seven were.
const coefficientOff = 1

// mostDoubtful is how many bits of a hash may be in doubt for a picture to be screened. Photos have 6 in the median, 9 in
// nine of ten; pictures of a few smooth waves have a hundred, and hashes that change as much with every encoding.
const mostDoubtful = 24

// Screenable implements hashmatch.Screener: PDQ.
func (Hasher) Screenable() hashmatch.KindSet { return hashmatch.SetOf(hashmatch.PDQ) }

// Screen implements hashmatch.Screener: it appends what Hash would of the full picture as it is shown and, where that is
// another, as it is stored. The margin is the number of bits that are in doubt. A picture with too many of those is an
// error, and so is a small one, whose hash at twice its size is wanted too.
func (Hasher) Screen(dst []hashmatch.FrameHash, picture *hashmatch.Reduced, kinds, dihedral hashmatch.KindSet) (hashes []hashmatch.FrameHash, margin int, err error) {
	if !kinds.Has(hashmatch.PDQ) {
		return dst, 0, nil
	}
	if min(picture.Width, picture.Height) < doubledBelow {
		return dst, 0, errSmall
	}
	src := Reduced{Pix: picture.Pix, Stride: picture.Stride, Width: picture.Width, Height: picture.Height, Scale: picture.Scale}
	var one hashmatch.FrameHash
	for _, orientation := range []int{picture.Orientation, 1} {
		p, err := src.sample(orientation)
		if err != nil {
			return dst, 0, err
		}
		coefficients := transform(p)
		doubtful := coefficients.doubtful(coefficientOff)
		if doubtful > mostDoubtful {
			return dst, 0, errDoubtful
		}
		margin, one.Quality = max(margin, doubtful), qualityOf(p)
		for _, t := range turns {
			inPlace, transposed := t.hashes(coefficients)
			one.Hash, one.View.Dihedral = inPlace, t.inPlace
			dst = append(dst, one)
			if !dihedral.Has(hashmatch.PDQ) { // the first turn is none
				break
			}
			one.Hash, one.View.Dihedral = transposed, t.transposed
			dst = append(dst, one)
		}
		if orientation == 1 {
			break
		}
		one.View = hashmatch.View{Orientation: hashmatch.StoredOrientation}
	}
	return dst, margin, nil
}
