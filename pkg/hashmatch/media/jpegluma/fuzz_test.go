package jpegluma

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"math/rand/v2"
	"testing"
)

// FuzzDecode wants that whatever is taken is taken by image/jpeg too, that the Y is the same, and that at every other
// scale a plane of the right size comes out or the same refusal.
func FuzzDecode(f *testing.F) {
	random := rand.New(rand.NewPCG(5, 6))
	for i, factors := range kinds[:8] {
		d := newDrawing(20+3*i, 17, factors...).scribble(random, 150)
		f.Add(d.encode())
		d.scans = script(len(factors))
		f.Add(d.encode())
	}
	d := newDrawing(40, 24, [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1}).scribble(random, 3000)
	d.restart = 2
	f.Add(d.encode())
	d.scans = script(3)
	f.Add(d.encode())
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture(24, 17), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())

	f.Fuzz(func(t *testing.T, content []byte) { held(t, content) })
}

var errLarge = errors.New("too large")

// held holds what is made of a file at every scale against image/jpeg. It returns whether the file was taken.
func held(t *testing.T, content []byte) bool {
	t.Helper()
	at := func(scale int, stored bool) (*Plane, error) {
		return Decode(context.Background(), content, Config{stored: stored, MaxScans: 40, Scale: func(h *Header) (int, error) {
			if h.Width*h.Height > 1<<16 || h.Memory(scale) > 1<<21 {
				return 0, errLarge
			}
			return scale, nil
		}})
	}
	plane, refusal := at(1, true)
	if errors.Is(refusal, errLarge) {
		return false
	}
	if refusal == nil {
		same(t, "at 1/1", plane, content)
	}
	for _, scale := range []int{1, 2, 4, 8} {
		smaller, err := at(scale, false)
		if (err == nil) != (refusal == nil) {
			t.Fatalf("at 1/%d: %v, at 1/1: %v", scale, err, refusal)
		}
		if err != nil {
			continue
		}
		if smaller.Width != ceil(plane.Width, scale) || smaller.Height != ceil(plane.Height, scale) ||
			len(smaller.Pix) < (smaller.Height-1)*smaller.Stride+smaller.Width {
			t.Errorf("at 1/%d: %d x %d of %d x %d", scale, smaller.Width, smaller.Height, plane.Width, plane.Height)
		}
		smaller.Release()
	}
	if plane != nil {
		plane.Release()
	}
	return refusal == nil
}

// TestDamaged changes files in a few places, mostly in their scans, and holds what is taken of them.
func TestDamaged(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 9))
	taken, refused, files := 0, 0, 3000
	if raceDetector {
		files = 400
	}
	for i := range files {
		factors := kinds[i%8]
		d := newDrawing(1+random.IntN(70), 1+random.IntN(50), factors...).scribble(random, []float64{10, 300, 3000}[random.IntN(3)])
		d.restart = max(0, random.IntN(12)-6)
		if random.IntN(2) == 0 {
			d.scans = script(len(factors))
		}
		file := d.encode()
		scans := bytes.Index(file, []byte{0xff, markerSOS})
		for range random.IntN(4) {
			at := scans + random.IntN(len(file)-scans)
			if random.IntN(6) == 0 {
				at = random.IntN(len(file))
			}
			switch random.IntN(6) {
			case 0:
				file[at] = byte(random.IntN(256))
			case 1:
				file = append(file[:at:at], file[min(at+1+random.IntN(3), len(file)):]...)
			case 2:
				file = append(file[:at:at], append([]byte{byte(random.IntN(256))}, file[at:]...)...)
			case 3:
				file[at] = 0xff
			default:
				file[at] ^= 1 << random.IntN(8)
			}
			if len(file) <= scans {
				break
			}
		}
		if held(t, file) {
			taken++
		} else {
			refused++
		}
		if t.Failed() {
			t.Fatalf("file %d", i)
		}
	}
	t.Logf("%d taken, %d refused", taken, refused)
	if taken < files/6 || refused < files/6 {
		t.Errorf("%d taken, %d refused: too few of one kind", taken, refused)
	}
}
