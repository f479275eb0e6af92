package pdq

import (
	"fmt"
	"image"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// enlarged is the picture that a reduced one stands for, each sample scale x scale pixels of it, as an orientation
// shows it.
func enlarged(r Reduced, orientation int) *image.Gray {
	width, height := r.Width, r.Height
	if orientation >= 5 {
		width, height = height, width
	}
	m := image.NewGray(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			at := image.Pt(x, y)
			switch orientation {
			case 2:
				at = image.Pt(r.Width-1-x, y)
			case 3:
				at = image.Pt(r.Width-1-x, r.Height-1-y)
			case 4:
				at = image.Pt(x, r.Height-1-y)
			case 5:
				at = image.Pt(y, x)
			case 6:
				at = image.Pt(y, r.Height-1-x)
			case 7:
				at = image.Pt(r.Width-1-y, r.Height-1-x)
			case 8:
				at = image.Pt(r.Width-1-y, x)
			}
			m.Pix[y*m.Stride+x] = r.Pix[at.Y/r.Scale*r.Stride+at.X/r.Scale]
		}
	}
	return m
}

func distance(a, b hashmatch.Hash) (n int) {
	for i := range a.Bits {
		n += bits.OnesCount8(a.Bits[i] ^ b.Bits[i])
	}
	return n
}

// reduced makes a plane of blobs and noise.
func reduced(width, height, scale int, seed uint64) Reduced {
	m := picture("gray", (width-1)/scale+1, (height-1)/scale+1, seed).(*image.Gray)
	return Reduced{Pix: m.Pix, Stride: m.Stride, Width: width, Height: height, Scale: scale}
}

// TestReduced holds the 64 x 64 points and the hashes against those of the picture that a plane stands for; with the
// race detector of a tenth of the planes.
func TestReduced(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	hashes, exact, farthest := 0, 0, 0
	step, planes := 1, 0
	if raceDetector {
		step = 11 // it has no factor in common with the loops below
	}
	one := func(width, height, scale, orientation int) {
		if planes++; planes%step != 0 {
			return
		}
		r := reduced(width, height, scale, random.Uint64())
		src, err := LumaOf(enlarged(r, orientation))
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%d x %d at 1/%d, orientation %d", width, height, scale, orientation)
		got, err := r.sample(orientation)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var w workspace
		w.blur(&w.plane, src)
		for i := range got {
			for j, v := range got[i] {
				if math.Abs(float64(v-w.plane[i][j])) > .01 {
					t.Fatalf("%s: point %d, %d is %v, want %v", name, i, j, v, w.plane[i][j])
				}
			}
		}
		variants, quality, err := r.Dihedral(orientation)
		if err != nil {
			t.Fatal(err)
		}
		want, wantQuality := Dihedral(src)
		plain, _, err := r.Compute(orientation)
		if err != nil || plain != variants[0].Hash {
			t.Errorf("%s: Compute gives %s, Dihedral %s (%v)", name, plain, variants[0].Hash, err)
		}
		if d := quality - wantQuality; d < -1 || d > 1 {
			t.Errorf("%s: quality %d, want %d", name, quality, wantQuality)
		}
		if min(width, height) < 64*scale || wantQuality < 50 { // little more to tell than rounding noise
			return
		}
		for i, v := range variants {
			d := distance(v.Hash, want[i].Hash)
			if v.Dihedral != want[i].Dihedral || d > 4 {
				t.Errorf("%s: %q is %d bits off", name, v.Dihedral, d)
			}
			hashes++
			if d == 0 {
				exact++
			}
			farthest = max(farthest, d)
		}
	}
	for _, size := range []image.Point{{5, 5}, {5, 300}, {64, 64}, {63, 65}, {127, 129}, {128, 257}, {1000, 37}, {1201, 803}} {
		for orientation := 1; orientation <= 8; orientation++ {
			for _, scale := range []int{1, 2, 4, 8} {
				one(size.X, size.Y, scale, orientation)
			}
		}
	}
	for range 200 {
		one(5+random.IntN(700), 5+random.IntN(700), 1+random.IntN(9), 1+random.IntN(8))
		one(100+random.IntN(700), 100+random.IntN(700), 1, 1+random.IntN(8))
	}
	t.Logf("%d hashes, %d exact, farthest %d bits", hashes, exact, farthest)
	if hashes < 1000/step || float64(exact) < .97*float64(hashes) {
		t.Errorf("%d of %d hashes are exact, want 97 %%", exact, hashes)
	}
}

// TestTentsAreWeights wants weights of each point that add up to 1, of samples that exist.
func TestTentsAreWeights(t *testing.T) {
	for n := 5; n < 2000; n += 13 {
		for _, scale := range []int{1, 2, 4, 8} {
			for i, one := range tentsOf(n, scale, n%2 == 1) {
				sum := 0.
				for _, w := range one.weights {
					sum += float64(w)
				}
				if one.first < 0 || one.end() > (n-1)/scale+1 || math.Abs(sum-1) > 1e-5 {
					t.Fatalf("%d at 1/%d: tent %d is %d to %d, %v in all", n, scale, i, one.first, one.end(), sum)
				}
			}
		}
	}
}

func TestReducedTooSmall(t *testing.T) {
	for _, size := range []image.Point{{4, 500}, {500, 4}, {1, 1}} {
		variants, quality, err := reduced(size.X, size.Y, 1, 1).Dihedral(1)
		if err != nil || quality != 0 {
			t.Errorf("%v: quality %d, %v", size, quality, err)
		}
		for _, v := range variants {
			if !v.Hash.Zero() || v.Hash.Kind != hashmatch.PDQ {
				t.Errorf("%v: %s, want the zero hash", size, v.Hash)
			}
		}
	}
}

func TestReducedRefuses(t *testing.T) {
	good := reduced(100, 80, 2, 1)
	change := func(edit func(r *Reduced)) Reduced {
		r := good
		edit(&r)
		return r
	}
	for name, r := range map[string]Reduced{
		"the zero value": {},
		"short":          change(func(r *Reduced) { r.Pix = r.Pix[:len(r.Pix)-1] }),
		"narrow":         change(func(r *Reduced) { r.Stride-- }),
		"no width":       change(func(r *Reduced) { r.Width = 0 }),
		"no scale":       change(func(r *Reduced) { r.Scale = 0 }),
		"too high":       change(func(r *Reduced) { r.Height = math.MaxInt }),
	} {
		if _, _, err := r.Dihedral(1); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, _, err := r.Compute(1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, orientation := range []int{-1, 0, 9} {
		if _, _, err := good.Dihedral(orientation); err == nil {
			t.Errorf("orientation %d: no error", orientation)
		}
	}
	if _, _, err := good.Dihedral(1); err != nil {
		t.Error(err)
	}
}

// FuzzReduced wants no panic, whatever the plane is said to be.
func FuzzReduced(f *testing.F) {
	f.Add(make([]byte, 100), 10, 10, 10, 1, 1)
	f.Add(make([]byte, 100), 10, 80, 77, 8, 6)
	f.Add([]byte{1, 2, 3}, -1, 1<<40, 3, 1<<62, 2)
	f.Fuzz(func(t *testing.T, pix []byte, stride, width, height, scale, orientation int) {
		if width > 1<<16 || height > 1<<16 { // no picture
			return
		}
		r := Reduced{Pix: pix, Stride: stride, Width: width, Height: height, Scale: scale}
		variants, quality, err := r.Dihedral(orientation)
		if err == nil && (quality < 0 || quality > 100 || variants[0].Hash.Kind != hashmatch.PDQ) {
			t.Errorf("quality %d of %v", quality, variants[0].Hash)
		}
	})
}

func BenchmarkReduced(b *testing.B) {
	for i, size := range benchSizes {
		scale := []int{1, 2, 4, 8}[i]
		b.Run(fmt.Sprintf("%.2fMP", float64(size[0]*size[1])/1e6), func(b *testing.B) {
			r := reduced(size[0], size[1], scale, 1)
			for b.Loop() {
				if _, _, err := r.Dihedral(1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
