package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// hills draws a picture with something to see at every scale, in colours that are in range.
func hills(width, height int) *image.RGBA {
	waves := func(n int, wave func(i, phase float64) float64) (lines [8][]float64) {
		for i := range lines {
			lines[i] = make([]float64, n)
			for j := range lines[i] {
				lines[i][j] = wave(float64(i+1), 2*math.Pi*float64(j)/float64(n))
			}
		}
		return lines
	}
	across := waves(width, func(i, phase float64) float64 { return math.Sin(1.7*i*phase + i*i) })
	down := waves(height, func(i, phase float64) float64 { return math.Cos(1.3*i*phase + i) })
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			f := 0.
			for i, a := range []float64{30, 22, 16, 11, 8, 6, 5, 4} {
				f += a * across[i][x] * down[i][y]
			}
			p := m.Pix[y*m.Stride+4*x:][:4]
			p[0], p[1], p[2], p[3] = uint8(128+f/2), uint8(120+f/2), uint8(110+f/2), 255
		}
	}
	return m
}

// reduced is a copy of what Reduce yields.
type reduced struct {
	hashmatch.Reduced
	media hashmatch.Media
}

// tryReduce returns what Reduce yields; ok is false if the file is left to Decode.
func tryReduce(ctx context.Context, d *Decoder, content []byte) (r reduced, ok bool) {
	r.media, ok = d.Reduce(ctx, content, func(picture *hashmatch.Reduced) error {
		r.Reduced = *picture
		r.Pix = bytes.Clone(picture.Pix)
		return nil
	})
	return r, ok
}

func reduce(t testing.TB, d *Decoder, content []byte) reduced {
	t.Helper()
	r, ok := tryReduce(context.Background(), d, content)
	if !ok {
		t.Fatal("not reduced")
	}
	return r
}

// hashesOf returns the hashes of what Reduce gives, as viewers show it.
func (r reduced) hashesOf(t testing.TB) (variants [8]pdq.Variant, quality int) {
	t.Helper()
	variants, quality, err := pdq.Reduced{Pix: r.Pix, Stride: r.Stride, Width: r.Width, Height: r.Height, Scale: r.Scale}.Dihedral(r.Orientation)
	if err != nil {
		t.Fatal(err)
	}
	return variants, quality
}

// fullHashes returns those of what Decode gives, as viewers show it, and the number of failures.
func fullHashes(t testing.TB, d *Decoder, content []byte) (variants [8]pdq.Variant, quality int, media hashmatch.Media, failures int) {
	t.Helper()
	media, list := d.Decode(context.Background(), content, func(f *hashmatch.Frame) error {
		if f.View.Orientation == "" {
			src, err := pdq.LumaOf(f.Image)
			if err != nil {
				t.Fatal(err)
			}
			variants, quality = pdq.Dihedral(src)
		}
		return nil
	})
	return variants, quality, media, len(list)
}

func distance(a, b hashmatch.Hash) (n int) {
	for i := range a.Bits {
		n += bits.OnesCount8(a.Bits[i] ^ b.Bits[i])
	}
	return n
}

// TestReduce wants the hashes of Decode, nearly, and all else that it says; with the race detector in one orientation
// that turns.
func TestReduce(t *testing.T) {
	d := New(Config{})
	for _, c := range []struct{ width, height, scale int }{{256, 300, 1}, {511, 600, 1}, {700, 512, 2}, {1100, 1024, 4}, {2100, 2048, 8}} {
		m := hills(c.width, c.height)
		gray := image.NewGray(m.Rect)
		draw.Draw(gray, gray.Rect, m, image.Point{}, draw.Src)
		for name, m := range map[string]image.Image{"colour": m, "gray": gray} {
			orientations := []uint16{1, 2, 3, 4, 5, 6, 7, 8}
			if c.scale > 2 {
				orientations = []uint16{1, 6}
			}
			if raceDetector {
				orientations = []uint16{6}
			}
			file := jpegOf(t, m)
			for _, orientation := range orientations {
				name := fmt.Sprintf("%d x %d %s, orientation %d", c.width, c.height, name, orientation)
				turned := withJPEGOrientation(file, orientation)
				r := reduce(t, d, turned)
				want, wantQuality, media, failures := fullHashes(t, d, turned)
				if failures != 0 || r.media != media || r.Scale != c.scale || r.Orientation != int(orientation) ||
					r.Width != c.width || r.Height != c.height || len(r.Pix) < (ceil(c.height, c.scale)-1)*r.Stride+ceil(c.width, c.scale) {
					t.Fatalf("%s: %+v, want %+v", name, r, media)
				}
				got, quality := r.hashesOf(t)
				for i := range got {
					if n := distance(got[i].Hash, want[i].Hash); n > 6 || got[i].Dihedral != want[i].Dihedral {
						t.Errorf("%s: %q is %d bits off", name, got[i].Dihedral, n)
					}
				}
				if quality < wantQuality-3 || quality > wantQuality+3 || wantQuality < 50 {
					t.Errorf("%s: quality %d, want %d", name, quality, wantQuality)
				}
			}
		}
	}
	whole(t, d)
}

// whole fails the test unless all of the budget is free.
func whole(t testing.TB, d *Decoder) {
	t.Helper()
	if !d.budget.room.TryAcquire(d.budget.size) {
		t.Fatal("the budget was not given back")
	}
	d.budget.room.Release(d.budget.size)
}

// TestReduceNoise wants the hashes of Decode of pictures of noise and dots, which are not reduced.
func TestReduceNoise(t *testing.T) {
	d := New(Config{})
	random := rand.New(rand.NewPCG(5, 6))
	screened := 0
	for _, c := range []struct {
		name  string
		pixel func(x, y int, v float64) float64
		scale int
	}{

		{"a little noise", func(_, _ int, v float64) float64 { return v + 40*(random.Float64()-.5) }, 4},
		{"much noise", func(_, _ int, v float64) float64 { return v + 250*(random.Float64()-.5) }, 1},
		{"dots", func(_, _ int, v float64) float64 { return 255 * math.Round(v/255+.9*(random.Float64()-.5)) }, 1},
		{"fine lines", func(x, y int, v float64) float64 { return v + 100*float64((x+y)%2*2-1) }, 1},
	} {
		m := image.NewGray(image.Rect(0, 0, 1300, 1030))
		for y := range m.Rect.Dy() {
			for x := range m.Rect.Dx() {
				v := 128 + 40*math.Sin(float64(x)/97)*math.Cos(float64(y)/61) + 30*math.Sin(float64(x+2*y)/150) + float64(37*(x/90)*(y/70)%50)
				m.Pix[y*m.Stride+x] = uint8(min(max(c.pixel(x, y, v), 0), 255))
			}
		}
		file := jpegOf(t, m)
		r := reduce(t, d, file)
		if r.Scale != c.scale {
			t.Errorf("%s: a scale of %d, want %d", c.name, r.Scale, c.scale)
		}
		kinds := hashmatch.SetOf(hashmatch.PDQ)
		got, margin, err := pdq.Hasher{}.Screen(nil, &r.Reduced, kinds, kinds)
		if err != nil { // too many of its bits are in doubt: it is not screened
			continue
		}
		screened++
		want, _, _, _ := fullHashes(t, d, file)
		for _, v := range want {
			i := slices.IndexFunc(got, func(h hashmatch.FrameHash) bool { return h.View.Dihedral == v.Dihedral })
			if n := distance(got[i].Hash, v.Hash); n > margin {
				t.Errorf("%s: %q is %d bits off, the margin is %d", c.name, v.Dihedral, n, margin)
			}
		}
	}
	if screened < 2 {
		t.Errorf("only %d pictures were screened", screened)
	}
	whole(t, d)
}

// TestReduceLeaves wants every file that is not plain to be left to Decode.
func TestReduceLeaves(t *testing.T) {
	m := hills(400, 300)
	file := jpegOf(t, m)
	change := func(marker byte, edit func(b []byte)) []byte {
		at, _ := segmentOf(t, file, marker)
		b := bytes.Clone(file)
		edit(b[at:])
		return b
	}
	sos, sosEnd := segmentOf(t, file, 0xda)
	files := map[string][]byte{
		"nothing":         nil,
		"a PNG":           pngOf(t, m),
		"small":           jpegOf(t, hills(255, 400)),
		"no end marker":   file[:len(file)-2],
		"cut":             file[:sosEnd+2000],
		"no scan":         append(bytes.Clone(file[:sos]), 0xff, 0xd9),
		"marker in it":    append(append(bytes.Clone(file[:sosEnd+2000]), 0xff, 0xd9), file[sosEnd+2000:]...),
		"RGB":             withSegment(file, 0xee, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")),
		"arithmetic":      change(0xc0, func(b []byte) { b[1] = 0xc9 }),
		"12 bits":         change(0xc0, func(b []byte) { b[4] = 12 }),
		"taller":          change(0xc0, func(b []byte) { b[5] = 2 }),
		"second header":   append(bytes.Clone(file[:sos]), file[2:]...),
		"odd sampling":    change(0xc0, func(b []byte) { b[11] = 0x31 }),
		"too wide":        jpegOf(t, image.NewGray(image.Rect(0, 0, 1001, 260))),
		"too many pixels": jpegOf(t, image.NewGray(image.Rect(0, 0, 900, 900))),
	}
	d := New(Config{Limits: Limits{MaxSide: 1000, MaxPixels: 700_000}})
	reduce(t, d, file)
	for name, file := range files {
		if r, ok := tryReduce(context.Background(), d, file); ok {
			t.Errorf("%s: reduced to %d x %d", name, r.Width, r.Height)
		}
	}
	progressive := flatProgressive(300, 300, 2)
	reduce(t, New(Config{}), progressive)
	if _, ok := tryReduce(context.Background(), New(Config{Limits: Limits{MaxScans: 1}}), progressive); ok {
		t.Error("too many scans: reduced")
	}
	if _, ok := tryReduce(context.Background(), New(Config{Memory: 1000}), file); ok {
		t.Error("too little memory: reduced")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, ok := tryReduce(ctx, d, file); ok {
		t.Error("after the end of the context: reduced")
	}
	whole(t, d)
}

// TestReduceWaits wants the memory of a plane to count while it is looked at, and an error of the receiver and a panic of
// it to end the matter.
func TestReduceWaits(t *testing.T) {
	file := jpegOf(t, hills(400, 300))
	d := New(Config{Memory: 200_000})
	calls := 0
	_, ok := d.Reduce(context.Background(), file, func(*hashmatch.Reduced) error {
		calls++
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if _, ok := tryReduce(ctx, d, file); ok {
			t.Error("two planes in the memory of one")
		}
		return nil
	})
	if !ok || calls != 1 {
		t.Errorf("%v, %d calls", ok, calls)
	}
	whole(t, d)
	if _, ok := d.Reduce(context.Background(), file, func(*hashmatch.Reduced) error { return errors.New("no") }); ok {
		t.Error("reduced, although the receiver failed")
	}
	if _, ok := d.Reduce(context.Background(), file, func(*hashmatch.Reduced) error { panic("receiver") }); ok {
		t.Error("reduced, although the receiver panicked")
	}
	reduce(t, d, file)
	whole(t, d)
}

// FuzzReduce wants that what is reduced is decoded without a failure, to the same size.
func FuzzReduce(f *testing.F) {
	small := jpegOf(f, hills(260, 256))
	f.Add(small)
	f.Add(withJPEGOrientation(small, 6))
	f.Add(flatProgressive(256, 300, 2))
	f.Add(jpegOf(f, image.NewGray(image.Rect(0, 0, 256, 520))))
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	d := New(Config{Limits: Limits{MaxPixels: 1 << 18, MaxSide: 1 << 11, MaxScans: 12}, Memory: 16 << 20})
	f.Fuzz(func(t *testing.T, content []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		r, ok := tryReduce(ctx, d, content)
		if !ok {
			whole(t, d)
			return
		}
		_, _, media, failures := fullHashes(t, d, content)
		if media != r.media || failures != 0 {
			t.Errorf("%+v, decoded it is %+v with %d failures", r.media, media, failures)
		}
		if r.Width != media.Width || r.Height != media.Height || r.Orientation < 1 || r.Orientation > 8 {
			t.Errorf("%d x %d of %+v, orientation %d", r.Width, r.Height, media, r.Orientation)
		}
		r.hashesOf(t)
		whole(t, d)
	})
}

// TestFidelity compares the hashes of reduced photos with those of whole ones.
func TestFidelity(t *testing.T) {
	d := New(Config{})
	var distances, qualities []int
	left, seen := 0, 0
	for _, folder := range []string{"photos", "hires"} {
		files, err := filepath.Glob(filepath.Join(shared(t, "corpus", folder), "*.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if (testing.Short() || raceDetector) && seen == 50 {
				break
			}
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want, wantQuality, media, _ := fullHashes(t, d, content)
			if min(media.Width, media.Height) < ReducedSide || wantQuality < hashmatch.DefaultQualityFloor {
				continue
			}
			seen++
			r, ok := tryReduce(context.Background(), d, content)
			if !ok {
				left++
				t.Logf("%s: left to Decode", filepath.Base(name))
				continue
			}
			got, quality := r.hashesOf(t)
			for i := range got {
				distances = append(distances, distance(got[i].Hash, want[i].Hash))
			}
			qualities = append(qualities, max(quality-wantQuality, wantQuality-quality))
		}
	}
	if len(qualities) == 0 {
		t.Fatal("no photo")
	}
	slices.Sort(distances)
	slices.Sort(qualities)
	at := func(list []int, share float64) int { return list[int(share*float64(len(list)-1))] }
	t.Logf("%d photos, %d left to Decode; bits off: median %d, 90 %% %d, max %d; quality off: 90 %% %d, max %d", seen, left,
		at(distances, .5), at(distances, .9), at(distances, 1), at(qualities, .9), at(qualities, 1))
	if at(distances, .5) > 0 || at(distances, .9) > 2 || at(distances, 1) > 10 || at(qualities, 1) > 5 || left*50 > seen {
		t.Error("farther off than was measured")
	}
}
