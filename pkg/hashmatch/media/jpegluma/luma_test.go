package jpegluma

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

// kinds are the sampling factors that the standard library takes, of luma and chroma.
var kinds = [][][2]int{
	{{1, 1}}, {{2, 2}}, {{1, 1}, {1, 1}, {1, 1}}, {{2, 1}, {1, 1}, {1, 1}}, {{2, 2}, {1, 1}, {1, 1}}, {{1, 2}, {1, 1}, {1, 1}},
	{{4, 1}, {1, 1}, {1, 1}}, {{4, 2}, {1, 1}, {1, 1}}, {{2, 2}, {2, 1}, {2, 1}}, {{2, 1}, {2, 1}, {2, 1}}, {{1, 2}, {1, 2}, {1, 2}},
}

func decode(t testing.TB, file []byte, config Config) *Plane {
	t.Helper()
	plane, err := Decode(context.Background(), file, config)
	if err != nil {
		t.Fatal(err)
	}
	return plane
}

// TestY wants the Y of image/jpeg, byte for byte, of every kind of picture.
func TestY(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pictures := 0
	for i, factors := range kinds {
		for _, size := range []image.Point{{1, 1}, {8, 8}, {17, 9}, {33, 47}, {64, 64}, {100, 71}, {131, 5}} {
			for _, wild := range []float64{20, 200, 4000} {
				d := newDrawing(size.X, size.Y, factors...).scribble(random, wild)
				for _, restart := range []int{0, 1, 3, 13} {
					for _, progressive := range []bool{false, true} {
						d.restart, d.scans = restart, nil
						if progressive {
							d.scans = script(len(factors))
							if restart > 0 && len(factors) == 3 && factors[0] != [2]int{1, 1} {
								continue // image/jpeg loses its way
							}
							if factors[len(factors)-1] != [2]int{1, 1} && len(factors) == 3 {
								continue // in chroma, too
							}
						}
						file := d.encode()
						name := fmt.Sprintf("kind %d, %v, wild %v, restart %d, progressive %v", i, size, wild, restart, progressive)
						plane, err := Decode(context.Background(), file, scaled(1))
						if err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						same(t, name, plane, file)
						plane.Release()
						if pictures++; t.Failed() {
							t.FailNow()
						}
					}
				}
			}
		}
	}
	t.Logf("%d pictures", pictures)
}

// seen returns the luma of a picture as it is seen, before it is rounded.
func seen(m image.Image) (luma [][]float64) {
	size := m.Bounds().Size()
	for y := range size.Y {
		row := make([]float64, size.X)
		for x := range row {
			switch m := m.(type) {
			case *image.Gray:
				row[x] = float64(m.GrayAt(x, y).Y)
			case *image.YCbCr:
				c := m.YCbCrAt(x, y)
				r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
				row[x] = .299*float64(r) + .587*float64(g) + .114*float64(b)
			}
		}
		luma = append(luma, row)
	}
	return luma
}

// means returns the means of size x size pixels, fewer at the edges.
func means(luma [][]float64, size int) (out [][]float64) {
	for y := 0; y < len(luma); y += size {
		var row []float64
		for x := 0; x < len(luma[0]); x += size {
			sum, n := 0., 0.
			for _, line := range luma[y:min(y+size, len(luma))] {
				for _, v := range line[x:min(x+size, len(line))] {
					sum += v
					n++
				}
			}
			row = append(row, sum/n)
		}
		out = append(out, row)
	}
	return out
}

func (p *Plane) rows() (out [][]float64) {
	for y := range p.Height {
		var row []float64
		for _, v := range p.Pix[y*p.Stride:][:p.Width] {
			row = append(row, float64(v))
		}
		out = append(out, row)
	}
	return out
}

// apart returns the mean and the largest distance of two tables.
func apart(a, b [][]float64) (mean, most float64) {
	n := 0.
	for y := range a {
		for x, v := range a[y] {
			d := math.Abs(v - b[y][x])
			mean += d
			n++
			most = max(most, d)
		}
	}
	return mean / n, most
}

// TestSeen wants, at every scale, the means of the luma that is seen, over units of 16 or 32 pixels within what was
// promised; wild pictures are mostly out of range.
func TestSeen(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for i, factors := range kinds {
		for _, size := range []image.Point{{9, 9}, {96, 64}, {101, 83}} {
			for _, wild := range []float64{5, 60, 500, 4000} {
				for _, progressive := range []bool{false, true} {
					d := newDrawing(size.X, size.Y, factors...).scribble(random, wild)
					if progressive {
						if factors[len(factors)-1] != [2]int{1, 1} && len(factors) == 3 {
							continue
						}
						d.scans = script(len(factors))
					}
					near(t, fmt.Sprintf("kind %d, %v, wild %v, progressive %v", i, size, wild, progressive), d.encode())
				}
			}
		}
	}
}

// near fails the test unless the planes of all scales are near what is seen of a file.
func near(t *testing.T, name string, file []byte) {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("%s: image/jpeg: %v", name, err)
	}
	luma := seen(m)
	for _, scale := range []int{1, 2, 4, 8} {
		plane := decode(t, file, Config{Scale: scaled(scale).Scale})
		if plane.Width != len(means(luma, scale)[0]) || plane.Height != len(means(luma, scale)) || plane.Scale != scale {
			t.Fatalf("%s at 1/%d: %d x %d", name, scale, plane.Width, plane.Height)
		}
		// A whole unit at a time: the bound is one of the mean of a block.
		_, most := apart(means(plane.rows(), 32/scale), means(means(luma, scale), 32/scale))
		if most > tolerance+colourTolerance+.6 {
			t.Errorf("%s at 1/%d: a unit is %.1f levels off", name, scale, most)
		}
		plane.Release()
	}
}

// picture draws one whose colours are all in range.
func picture(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			v := 120 + 40*math.Sin(float64(x)/9)*math.Cos(float64(y)/7) + 20*math.Sin(float64(x*y)/40)
			m.SetRGBA(x, y, color.RGBA{uint8(v), uint8(v - 20), uint8(v + 15), 255})
		}
	}
	return m
}

// TestMeans wants, of a picture in range, every sample within a rounding.
func TestMeans(t *testing.T) {
	m := picture(203, 157)
	gray := image.NewGray(m.Rect)
	draw.Draw(gray, gray.Rect, m, image.Point{}, draw.Src)
	for name, m := range map[string]image.Image{"colour": m, "gray": gray} {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
			t.Fatal(err)
		}
		decoded, err := jpeg.Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
			t.Fatal(err)
		}
		for _, scale := range []int{1, 2, 4, 8} {
			plane := decode(t, b.Bytes(), Config{Scale: scaled(scale).Scale})
			mean, most := apart(plane.rows(), means(seen(decoded), scale))
			if mean > .4 || most > 1.7 {
				t.Errorf("%s at 1/%d: %.2f levels off, %.1f at most", name, scale, mean, most)
			}
			plane.Release()
		}
	}
}

func TestContext(t *testing.T) {
	for _, scans := range [][]scanOf{nil, script(1)} {
		d := newDrawing(64, 64, [2]int{1, 1})
		d.scans = scans
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := Decode(ctx, d.encode(), scaled(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
	}
}

func TestScale(t *testing.T) {
	file := newDrawing(64, 40, [2]int{2, 2}, [2]int{1, 1}, [2]int{1, 1}).encode()
	no := errors.New("no")
	if _, err := Decode(context.Background(), file, Config{Scale: func(h *Header) (int, error) {
		if h.Width != 64 || h.Height != 40 || h.Progressive || h.Memory(1) != 64*48 || h.Memory(8) != 8*6 {
			t.Errorf("%+v, memory %d", h, h.Memory(1))
		}
		return 0, no
	}}); !errors.Is(err, no) {
		t.Errorf("%v, want the error of Scale", err)
	}
	for _, scale := range []int{-1, 0, 3, 16} {
		if _, err := Decode(context.Background(), file, scaled(scale)); err == nil {
			t.Errorf("a scale of %d: no error", scale)
		}
	}
	plane := decode(t, file, Config{})
	if plane.Scale != 1 || plane.Width != 64 {
		t.Errorf("a zero Config gives %+v", plane)
	}
	plane.Release()
	plane.Release()
	if plane.Pix != nil {
		t.Error("released, and not empty")
	}
}

// TestScans wants the limit to hold.
func TestScans(t *testing.T) {
	d := newDrawing(64, 64, [2]int{1, 1})
	d.scans = script(1)
	n := len(d.scans)
	decode(t, d.encode(), Config{MaxScans: n}).Release()
	if _, err := Decode(context.Background(), d.encode(), Config{MaxScans: n - 1}); err == nil {
		t.Error("one scan too many: no error")
	}
}

// TestRefused holds that what is out of turn is refused, although image/jpeg takes some of it.
func TestRefused(t *testing.T) {
	all := []int{0}
	for name, scans := range map[string][]scanOf{
		"constant part twice":   {{all, 0, 0, 0, 0}, {all, 0, 0, 0, 0}},
		"band twice":            {{all, 0, 0, 0, 0}, {all, 1, 5, 0, 0}, {all, 5, 9, 0, 0}},
		"refined by two bits":   {{all, 0, 0, 0, 2}, {all, 0, 0, 2, 0}},
		"refined before":        {{all, 0, 0, 0, 0}, {all, 1, 5, 1, 0}},
		"band before constants": {{all, 1, 5, 0, 0}, {all, 0, 0, 0, 0}},
		"constants and band":    {{all, 0, 5, 0, 0}},
		"no constant parts":     {{all, 1, 5, 0, 0}},
		"too many bits":         {{all, 0, 0, 0, 14}},
	} {
		d := newDrawing(32, 32, [2]int{1, 1})
		d.scans = scans
		if _, err := Decode(context.Background(), d.encode(), scaled(1)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	file := newDrawing(32, 32, [2]int{1, 1}).scribble(rand.New(rand.NewPCG(1, 1)), 90).encode()
	for n := range file {
		if _, err := Decode(context.Background(), file[:n], scaled(1)); err == nil {
			t.Errorf("cut at %d of %d: no error", n, len(file))
		}
	}
}

// TestConcurrent decodes files of all kinds at once: nobody meets the memory of another.
func TestConcurrent(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	var group sync.WaitGroup
	for i := range 16 {
		d := newDrawing(40+5*i, 90-3*i, kinds[i%8]...).scribble(random, 100)
		if i >= 8 {
			d.scans = script(len(d.factors))
		}
		file := d.encode()
		group.Go(func() {
			for range 20 {
				plane, err := Decode(context.Background(), file, scaled(1))
				if err != nil {
					t.Error(err)
					return
				}
				same(t, fmt.Sprintf("file %d", i), plane, file)
				plane.Release()
			}
		})
	}
	group.Wait()
}
