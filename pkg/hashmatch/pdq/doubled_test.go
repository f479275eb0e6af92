package pdq

import (
	"image"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// A small picture has one hash more, of a picture that equals itself at twice its size; a large one has not.
func TestSmallPictureIsHashedAtTwiceItsSize(t *testing.T) {
	kinds := hashmatch.SetOf(hashmatch.PDQ)
	for _, c := range []struct {
		width, height int
		doubled       bool
	}{{100, 90, true}, {64, 64, true}, {255, 300, true}, {256, 256, false}, {300, 400, false}, {4, 100, false}, {100, 2000, false}} {
		for _, dihedral := range []hashmatch.KindSet{0, kinds} {
			img := picture("gray", c.width, c.height, 5)
			hashes, err := Hasher{}.Hash(nil, &hashmatch.Frame{Index: 2, Image: img}, kinds, dihedral)
			if err != nil {
				t.Fatal(err)
			}
			last := hashes[len(hashes)-1]
			if got := last.View.Geometry == Doubled; got != c.doubled {
				t.Errorf("%d x %d: %+v", c.width, c.height, last)
				continue
			}
			if !c.doubled {
				continue
			}
			src, err := LumaOf(img)
			if err != nil {
				t.Fatal(err)
			}
			want, quality := Compute(twice(t, src))
			if last.Hash != want || last.Quality != quality || last.Frame != 2 || last.View != (hashmatch.View{Geometry: Doubled}) {
				t.Errorf("%d x %d: %+v, want %v of quality %d", c.width, c.height, last, want, quality)
			}
		}
	}
}

// plain is a picture of floats.
type plain struct {
	width, height int
	points        []float32
}

func (p *plain) Size() (width, height int)   { return p.width, p.height }
func (p *plain) Row(dst []float32, x, y int) { copy(dst, p.points[y*p.width+x:]) }
func (p *plain) at(x, y int) float32 {
	return p.points[min(max(y, 0), p.height-1)*p.width+min(max(x, 0), p.width-1)]
}
func (p *plain) mix(x, y, dx, dy int) float32 {
	here := float32(0.75*p.at(x, y)) + float32(0.25*p.at(x, y+dy))
	beside := float32(0.75*p.at(x+dx, y)) + float32(0.25*p.at(x+dx, y+dy))
	return float32(0.75*here) + float32(0.25*beside)
}

// twice makes the picture at twice its size point by point, as the definition says.
func twice(t *testing.T, src Luma) Luma {
	t.Helper()
	width, height := src.Size()
	small := &plain{width, height, make([]float32, width*height)}
	for y := range height {
		src.Row(small.points[y*width:(y+1)*width], 0, y)
	}
	large := &plain{2 * width, 2 * height, make([]float32, 4*width*height)}
	for y := range large.height {
		for x := range large.width {
			large.points[y*large.width+x] = small.mix(x/2, y/2, 2*(x%2)-1, 2*(y%2)-1)
		}
	}
	return large
}

func TestDoubledKeepsFlatPicturesFlat(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 80, 70))
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	src, err := LumaOf(img)
	if err != nil {
		t.Fatal(err)
	}
	d := &doubled{src: src}
	row := make([]float32, 50)
	for _, y := range []int{0, 1, 77, 139} {
		d.Row(row, 110, y)
		for _, v := range row {
			if v != 200 {
				t.Fatalf("row %d: %v", y, v)
			}
		}
	}
}
