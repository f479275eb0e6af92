package pdq

import (
	"cmp"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestScreen wants the hashes, views and qualities of Hash, within the margin, in the order in which Decode yields
// orientations.
func TestScreen(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const width, height = 640, 512
	m := image.NewGray(image.Rect(0, 0, width, height))
	for cell := 160; cell >= 10; cell /= 4 {
		columns := width/cell + 1
		values := make([]int, columns*(height/cell+1))
		for i := range values {
			values[i] = random.IntN(40)
		}
		for y := range height {
			for x := range width {
				m.Pix[y*m.Stride+x] += uint8(values[y/cell*columns+x/cell])
			}
		}
	}
	half := make([]uint8, width/2*height/2)
	for y := range height / 2 {
		for x := range width / 2 {
			sum := 0
			for _, at := range []int{2*y*m.Stride + 2*x, 2*y*m.Stride + 2*x + 1, (2*y+1)*m.Stride + 2*x, (2*y+1)*m.Stride + 2*x + 1} {
				sum += int(m.Pix[at])
			}
			half[y*width/2+x] = uint8((sum + 2) / 4)
		}
	}
	kinds := hashmatch.SetOf(hashmatch.PDQ)
	for _, dihedral := range []hashmatch.KindSet{0, kinds} {
		picture := &hashmatch.Reduced{Pix: half, Stride: width / 2, Scale: 2, Width: width, Height: height, Orientation: 1}
		want, err := Hasher{}.Hash(nil, &hashmatch.Frame{Image: m}, kinds, dihedral)
		if err != nil {
			t.Fatal(err)
		}
		got, margin, err := Hasher{}.Screen(nil, picture, kinds, dihedral)
		if err != nil || len(got) != len(want) || margin < 1 || margin > mostDoubtful {
			t.Fatalf("%d hashes, want %d, margin %d: %v", len(got), len(want), margin, err)
		}
		slices.SortFunc(got, func(a, b hashmatch.FrameHash) int {
			return cmp.Compare(slices.Index(order[:], a.View.Dihedral), slices.Index(order[:], b.View.Dihedral))
		})
		for i := range got {
			d := got[i].Hash.Distance(want[i].Hash)
			if got[i].View != want[i].View || d > margin || max(got[i].Quality-want[i].Quality, want[i].Quality-got[i].Quality) > 5 {
				t.Errorf("%+v: %d bits off, quality %d, want %d", got[i].View, d, got[i].Quality, want[i].Quality)
			}
		}
		picture.Orientation = 6
		turned, _, err := Hasher{}.Screen(nil, picture, kinds, dihedral)
		if err != nil || len(turned) != 2*len(got) {
			t.Fatalf("%d hashes of a turned picture, want %d: %v", len(turned), 2*len(got), err)
		}
		for i, one := range turned[len(got):] { // as it is stored
			same := slices.ContainsFunc(got, func(h hashmatch.FrameHash) bool {
				return h.View.Dihedral == one.View.Dihedral && h.Hash == one.Hash
			})
			if one.View.Orientation != hashmatch.StoredOrientation || !same || turned[i].View.Orientation != "" {
				t.Errorf("%d: %+v, %+v", i, one, turned[i])
			}
		}
	}
	for _, bad := range []hashmatch.Reduced{
		{Pix: half, Stride: width / 2, Scale: 2, Width: 255, Height: 400, Orientation: 1}, // has a hash at twice its size
		{Pix: half, Stride: width / 2, Scale: 2, Width: width, Height: height + 2, Orientation: 1},
		{Pix: half, Stride: width / 2, Scale: 2, Width: width, Height: height, Orientation: 9},
		{},
	} {
		if _, _, err := (Hasher{}).Screen(nil, &bad, kinds, kinds); err == nil {
			t.Errorf("%d x %d, orientation %d: no error", bad.Width, bad.Height, bad.Orientation)
		}
	}
	if got, _, err := (Hasher{}).Screen(nil, nil, 0, 0); err != nil || got != nil {
		t.Error("hashes of no kind")
	}
	// A wave has one frequency; all others are next to nothing, and their bits are chance.
	for y := range height / 2 {
		for x := range width / 2 {
			half[y*width/2+x] = uint8(128 + 100*math.Sin(float64(x)/50)*math.Cos(float64(y)/40))
		}
	}
	wave := &hashmatch.Reduced{Pix: half, Stride: width / 2, Scale: 2, Width: width, Height: height, Orientation: 1}
	if _, _, err := (Hasher{}).Screen(nil, wave, kinds, kinds); err != errDoubtful {
		t.Errorf("a wave: %v", err)
	}
}

// TestDoubtful moves every coefficient by as much as is allowed: no bit but the doubtful ones may change.
func TestDoubtful(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	for range 200 {
		var b spectrum
		for i := range b {
			for j := range b[i] {
				b[i][j] = float32(random.NormFloat64() * 20)
			}
		}
		const off = 1
		doubtful := b.doubtful(2 * off) // the median may move as far the other way
		moved := b
		for i := range moved {
			for j := range moved[i] {
				moved[i][j] += float32((random.Float64()*2 - 1) * off)
			}
		}
		for _, turn := range turns {
			before, _ := turn.hashes(&b)
			after, _ := turn.hashes(&moved)
			if n := before.Distance(after); n > doubtful {
				t.Fatalf("%d bits changed, %d were in doubt", n, doubtful)
			}
		}
	}
}
