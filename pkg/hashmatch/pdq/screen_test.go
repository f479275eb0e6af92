package pdq

import (
	"image"
	"math/rand/v2"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestScreen wants the hashes, views and qualities of Hash, nearly, in the orders in which Decode yields orientations.
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
		got, err := Hasher{}.Screen(nil, picture, kinds, dihedral)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d hashes, want %d: %v", len(got), len(want), err)
		}
		for i := range got {
			d := got[i].Hash.Distance(want[i].Hash)
			if got[i].View != want[i].View || d > screenMargin/2 || max(got[i].Quality-want[i].Quality, want[i].Quality-got[i].Quality) > 5 {
				t.Errorf("%+v: %d bits off, quality %d, want %d", got[i].View, d, got[i].Quality, want[i].Quality)
			}
		}
		picture.Orientation = 6
		turned, err := Hasher{}.Screen(nil, picture, kinds, dihedral)
		if err != nil || len(turned) != 2*len(got) {
			t.Fatalf("%d hashes of a turned picture, want %d: %v", len(turned), 2*len(got), err)
		}
		for i, one := range turned[len(got):] { // as it is stored
			if one.View.Orientation != hashmatch.StoredOrientation || one.Hash != got[i].Hash || turned[i].View.Orientation != "" {
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
		if _, err := (Hasher{}).Screen(nil, &bad, kinds, kinds); err == nil {
			t.Errorf("%d x %d, orientation %d: no error", bad.Width, bad.Height, bad.Orientation)
		}
	}
	if got, err := (Hasher{}).Screen(nil, nil, 0, 0); err != nil || got != nil {
		t.Error("hashes of no kind")
	}
	if (Hasher{}).Margin(hashmatch.PDQ) != screenMargin || (Hasher{}).Margin(hashmatch.PHash) >= 0 {
		t.Error("margins")
	}
}
