package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestEstimate compares with published values of Wilson's interval and of the rule of three.
func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		events, n       int64
		rate, low, high float64
	}{
		{81, 263, .3080, .2553, .3662}, // Newcombe 1998, table I
		{15, 148, .1014, .0624, .1605},
		{1, 29, .0345, .0061, .1718},
		{10, 20, .5, .2993, .7007},
		{0, 100, 0, 0, .03},
		{0, 164_451, 0, 0, 3. / 164_451},
		{0, 2, 0, 0, 1},
		{100, 100, 1, .97, 1},
		{0, 0, 0, 0, 1},
		{3, 0, 0, 0, 1},
	} {
		got := Estimate(c.events, c.n)
		for _, pair := range [][2]float64{{got.Rate, c.rate}, {got.Low, c.low}, {got.High, c.high}} {
			if math.Abs(pair[0]-pair[1]) > 5e-5 {
				t.Errorf("%d of %d: %+v, want %+v", c.events, c.n, got, c)
			}
		}
	}
}

// TestEstimateCovers adds up, over all outcomes of n trials, how probable those are whose interval holds the true rate.
func TestEstimateCovers(t *testing.T) {
	for _, n := range []int64{20, 100, 500} {
		mean, rates := 0., 0
		for p := .01; p < 1; p += .01 {
			covered := 0.
			for k := range n + 1 {
				if i := Estimate(k, n); i.Low <= p && p <= i.High {
					all, _ := math.Lgamma(float64(n + 1))
					in, _ := math.Lgamma(float64(k + 1))
					out, _ := math.Lgamma(float64(n - k + 1))
					covered += math.Exp(all - in - out + float64(k)*math.Log(p) + float64(n-k)*math.Log(1-p))
				}
			}
			if covered < .83 { // Wilson's dips where the rate is near 0 or 1 are known
				t.Errorf("n = %d: a rate of %.2f is covered in %.3f", n, p, covered)
			}
			mean += covered
			rates++
		}
		if mean /= float64(rates); mean < .945 || mean > .97 {
			t.Errorf("n = %d: covers %.3f on average", n, mean)
		}
	}
}

func TestHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		distances := rapid.SliceOf(rapid.IntRange(0, 20)).Draw(t, "distances")
		h := make(Histogram, 21)
		for _, d := range distances {
			h[d]++
		}
		slices.Sort(distances)
		nearest, median := -1, -1
		if n := len(distances); n > 0 {
			nearest, median = distances[0], distances[(n-1)/2]
		}
		if h.Nearest() != nearest || h.Median() != median || h.Total() != int64(len(distances)) {
			t.Fatalf("%v: nearest %d, median %d", distances, h.Nearest(), h.Median())
		}
		if trimmed := h.trimmed(); trimmed.Total() != h.Total() || len(trimmed) > 0 && trimmed[len(trimmed)-1] == 0 {
			t.Fatalf("%v trimmed to %v", h, trimmed)
		}
		within := rapid.IntRange(-1, 25).Draw(t, "within")
		want := int64(0)
		for _, d := range distances {
			if d <= within {
				want++
			}
		}
		if h.Within(within) != want {
			t.Fatalf("%d within %d of %v", h.Within(within), within, distances)
		}
	})
}

// TestChoose holds the answer to its definition, and to the order of its three thresholds.
func TestChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		near := Histogram(rapid.SliceOfN(rapid.Int64Range(0, 30), 0, 20).Draw(t, "near"))
		trials := near.Total() + rapid.Int64Range(0, 3000).Draw(t, "beyond")
		uploads := rapid.Int64Range(1, 2000).Draw(t, "uploads")
		const widest = 16
		bound := 1 / float64(uploads)
		got := choose(near, trials, uploads, bound, widest)
		last := func(holds func(i Interval) bool) int {
			best := -1
			for at := range widest + 1 {
				if trials > 0 && holds(Estimate(near.Within(at), trials)) {
					best = at
				}
			}
			return best
		}
		want := Choice{Uploads: uploads, Widest: widest, Trials: trials, Needed: 3 * uploads,
			Proven:   last(func(i Interval) bool { return i.High <= bound }),
			Seen:     last(func(i Interval) bool { return i.Rate <= bound }),
			Possible: last(func(i Interval) bool { return i.Low <= bound })}
		if got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
		if got.Proven > got.Seen || got.Seen > got.Possible {
			t.Fatalf("out of order: %+v", got)
		}
	})
	// 30,000 photos without a match prove a threshold for 10,000 uploads, and 29,999 do not.
	for photos, proven := range map[int64]int{30_000: 31, 29_999: -1} {
		if c := choose(nil, photos, 10_000, 1e-4, 31); c.Proven != proven || c.Seen != 31 {
			t.Errorf("%d photos: %+v", photos, c)
		}
	}
}

// TestBits compares distances, and the way back, with those of hashmatch.Hash.
func TestBits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, kind := range hashmatch.Kinds() {
		if kind.Digest() {
			continue
		}
		for range 50 {
			a, b := hashmatch.Hash{Kind: kind}, hashmatch.Hash{Kind: kind}
			for i := range kind.Bits() / 8 {
				a.Bits[i], b.Bits[i] = byte(random.Uint32()), byte(random.Uint32())
			}
			if got := bitsOf(a).distance(bitsOf(b)); got != a.Distance(b) {
				t.Fatalf("%s: %d, want %d", kind, got, a.Distance(b))
			}
			if bitsOf(a).hash(kind) != a {
				t.Fatalf("%s: %v became %v", kind, a, bitsOf(a).hash(kind))
			}
		}
	}
}
