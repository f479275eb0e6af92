package pdq

import "math"

// freqs is the number of frequencies of the transform that are kept each way, lowest first without the constant one.
const freqs = 16

// spectrum holds the coefficients that a hash is made of, row by row.
type spectrum [freqs][freqs]float32

// waves holds the cosines of the transform, scaled.
var waves = func() (d [freqs][side]float32) {
	scale := float64(float32(math.Sqrt(2. / side)))
	for i := range d {
		for j := range d[i] {
			d[i][j] = float32(scale * math.Cos((math.Pi/2/side)*float64(i+1)*float64(2*j+1)))
		}
	}
	return d
}()

// transform returns the two-dimensional cosine transform of a. Each sum ascends, each product is rounded first.
func transform(a *plane) *spectrum { return using.transform(a) }

func transformPortable(a *plane) *spectrum {
	var half [freqs][side]float32
	for i := range half {
		t := &half[i]
		for k := 0; k < side; k += 4 {
			d0, d1, d2, d3 := waves[i][k], waves[i][k+1], waves[i][k+2], waves[i][k+3]
			a0, a1, a2, a3 := &a[k], &a[k+1], &a[k+2], &a[k+3]
			for j := range t {
				s := t[j]
				s += float32(d0 * a0[j])
				s += float32(d1 * a1[j])
				s += float32(d2 * a2[j])
				s += float32(d3 * a3[j])
				t[j] = s
			}
		}
	}
	b := new(spectrum)
	for i := range b {
		t := &half[i]
		for j := 0; j < freqs; j += 4 { // four sums at a time: none waits for another
			d0, d1, d2, d3 := &waves[j], &waves[j+1], &waves[j+2], &waves[j+3]
			var s0, s1, s2, s3 float32
			for k, v := range t {
				s0 += float32(v * d0[k])
				s1 += float32(v * d1[k])
				s2 += float32(v * d2[k])
				s3 += float32(v * d3[k])
			}
			b[i][j], b[i][j+1], b[i][j+2], b[i][j+3] = s0, s1, s2, s3
		}
	}
	return b
}

// qualityOf returns how much there is to see in a: the sum of the steps between neighbours, each in whole hundredths
// of the range, a 90th of it, 100 at most.
func qualityOf(a *plane) int {
	sum := 0
	for i := range a {
		for j := range a[i] {
			if i > 0 {
				sum += step(a[i-1][j], a[i][j])
			}
			if j > 0 {
				sum += step(a[i][j-1], a[i][j])
			}
		}
	}
	return min(100, sum/90)
}

func step(u, v float32) int {
	d := int(float32(float32(u-v)*100) / 255)
	if d < 0 {
		return -d
	}
	return d
}
