package media

import (
	"image"
	"image/color"
	"math"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// onto is the documented formula, in floating point.
func onto(m *image.NRGBA, background float64) image.Image {
	out := image.NewRGBA(m.Rect)
	for i := 0; i < len(m.Pix); i += 4 {
		a := float64(m.Pix[i+3])
		for c := range 3 {
			out.Pix[i+c] = uint8(math.Floor((float64(m.Pix[i+c])*a+background*(255-a))/255 + 0.5))
		}
		out.Pix[i+3] = 255
	}
	return out
}

func TestBackgrounds(t *testing.T) {
	m := veiled(scene(64, 40))
	shots, _, failures := decode(t, New(Config{}), pngOf(t, m))
	wantCodes(t, failures)
	if len(shots) != 2 {
		t.Fatalf("%d frames, want 2", len(shots))
	}
	samePixels(t, shots[0].Image, onto(m, 255))
	samePixels(t, shots[1].Image, onto(m, 0))
	if shots[0].View != (hashmatch.View{}) || shots[1].View != (hashmatch.View{Background: hashmatch.BlackBackground}) {
		t.Errorf("views %+v, %+v", shots[0].View, shots[1].View)
	}
}

// TestHiddenColour hides a picture under an alpha of zero: nothing of it may reach the hashes.
func TestHiddenColour(t *testing.T) {
	m := veiled(scene(16, 16))
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 0
	}
	shots, _, failures := decode(t, New(Config{}), pngOf(t, m))
	wantCodes(t, failures)
	if len(shots) != 2 {
		t.Fatalf("%d frames, want 2", len(shots))
	}
	samePixels(t, shots[0].Image, uniform(16, color.White))
	samePixels(t, shots[1].Image, uniform(16, color.Black))
}

func TestOpaqueNeedsNoBackground(t *testing.T) {
	m := veiled(scene(16, 16))
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	m.Pix[3] = 254 // so that the encoder keeps alpha
	file := pngOf(t, m)
	if shots, _, _ := decode(t, New(Config{}), file); len(shots) != 2 {
		t.Fatalf("%d frames of a nearly opaque picture, want 2", len(shots))
	}
	j := &job{}
	if opaque(m) {
		t.Error("254 is taken for opaque")
	}
	m.Pix[3] = 255
	if !opaque(m) {
		t.Error("255 is not taken for opaque")
	}
	samePixels(t, j.flatten(m, 0), m)
}

func TestTransparentAndTurned(t *testing.T) {
	m := veiled(scene(20, 12))
	shots, _, failures := decode(t, New(Config{}), withChunk(pngOf(t, m), "eXIf", exifOf(6)))
	wantCodes(t, failures)
	want := []struct {
		view       hashmatch.View
		background float64
		turned     bool
	}{
		{hashmatch.View{}, 255, true},
		{hashmatch.View{Orientation: "stored"}, 255, false},
		{hashmatch.View{Background: "black"}, 0, true},
		{hashmatch.View{Background: "black", Orientation: "stored"}, 0, false},
	}
	if len(shots) != len(want) {
		t.Fatalf("%d frames, want %d", len(shots), len(want))
	}
	for i, w := range want {
		if shots[i].View != w.view || shots[i].Index != 0 {
			t.Errorf("frame %d: view %+v, want %+v", i, shots[i].View, w.view)
		}
		expected := onto(m, w.background)
		if w.turned {
			expected = oriented(expected, 6)
		}
		samePixels(t, shots[i].Image, expected)
	}
}

// uniform draws a square of one colour.
func uniform(side int, c color.Color) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		m.Set(i%side, i/side, c)
	}
	return m
}
