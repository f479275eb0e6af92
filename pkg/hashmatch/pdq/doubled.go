package pdq

import "example.org/hashmatch/pkg/hashmatch"

// Doubled is the hashmatch.View.Geometry of the second hash that a Hasher takes of a small picture: of the picture at
// twice its size.
const Doubled = hashmatch.Doubled

// doubledBelow is the length of a side below which a picture is hashed at twice its size too. The filter before the
// hash is a box of (side + 127) / 128 points, which stands for a 128th of the side: below 128 points it is one point
// wide, that is, there is none, and below 256 it is one or two, far from what it stands for. A small copy of a large
// picture is then sampled with detail that the large one had smoothed away. At twice the size the box is as wide as it
// should be.
const doubledBelow = 256

// doubled is a picture at twice its size, interpolated between the points on both axes.
type doubled struct {
	src         Luma
	above, here []float32
}

// small reports whether a side of src is shorter than doubledBelow, and src can be hashed.
func small(src Luma) bool {
	width, height := src.Size()
	return large(src) && min(width, height) < doubledBelow && max(width, height) < 4*doubledBelow
}

func (d *doubled) Size() (width, height int) {
	width, height = d.src.Size()
	return 2 * width, 2 * height
}

// Row interpolates between the two rows and columns around each point. The points of the double size lie a quarter of a
// step to both sides of those of the picture; beyond its edge it goes on as it is there.
func (d *doubled) Row(dst []float32, x, y int) {
	width, height := d.src.Size()
	near := y / 2
	far := min(max(near-1+2*(y%2), 0), height-1)
	d.here, d.above = resize(d.here, width), resize(d.above, width)
	d.src.Row(d.here, 0, near)
	d.src.Row(d.above, 0, far)
	for i, v := range d.above {
		d.here[i] = float32(0.75*d.here[i]) + float32(0.25*v)
	}
	for i := range dst {
		at := x + i
		near := at / 2
		far := min(max(near-1+2*(at%2), 0), width-1)
		dst[i] = float32(0.75*d.here[near]) + float32(0.25*d.here[far])
	}
}

// appendDoubled appends the hash of a small picture at twice its size.
func appendDoubled(dst []hashmatch.FrameHash, one hashmatch.FrameHash, src Luma) []hashmatch.FrameHash {
	one.Hash, one.Quality = Compute(&doubled{src: src})
	one.View.Geometry = Doubled
	return append(dst, one)
}
