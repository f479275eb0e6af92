package jpegluma

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"
)

// TestDetail compares the variances with those of the pixels of the standard library's decoder.
func TestDetail(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for _, noise := range []float64{0, 20, 90} {
		m := image.NewGray(image.Rect(0, 0, 320, 256)) // whole blocks
		for y := range m.Rect.Dy() {
			for x := range m.Rect.Dx() {
				m.Pix[y*m.Stride+x] = uint8(128 + 50*math.Sin(float64(x)/40)*math.Cos(float64(y)/30) + noise*(random.Float64()-.5))
			}
		}
		var file bytes.Buffer
		if err := jpeg.Encode(&file, m, &jpeg.Options{Quality: 90}); err != nil {
			t.Fatal(err)
		}
		decoded, err := jpeg.Decode(bytes.NewReader(file.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		all := varianceOf(decoded.(*image.Gray).Pix)
		for _, scale := range []int{1, 2, 4, 8} {
			p, err := Decode(context.Background(), file.Bytes(), Config{Scale: func(*Header) (int, error) { return scale, nil }})
			if err != nil {
				t.Fatal(err)
			}
			want := varianceOf(p.Pix[:p.Width*p.Height])
			if math.Abs(p.Variance-want) > 1e-6*want || p.Stride != p.Width {
				t.Errorf("scale %d: variance %f, want %f", scale, p.Variance, want)
			}
			if detail := all - want; scale == 1 && p.Detail != 0 || math.Abs(p.Detail-detail) > 1+.02*all {
				t.Errorf("noise %v, scale %d: detail %f, want %f of %f", noise, scale, p.Detail, detail, all)
			}
			p.Release()
		}
	}
}

func varianceOf(pix []uint8) float64 {
	var sum, square float64
	for _, v := range pix {
		sum += float64(v)
		square += float64(v) * float64(v)
	}
	n := float64(len(pix))
	return square/n - sum/n*sum/n
}
