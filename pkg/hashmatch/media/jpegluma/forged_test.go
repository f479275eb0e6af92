package jpegluma

import (
	"bytes"
	"image/jpeg"
	"math"
	"testing"
)

// paint transforms the pixels of component i, around 0 and of any size, into coefficients.
func (d *drawing) paint(i int, pixel func(x, y int) float64) {
	wide, high := d.size(i, false)
	for by := range high {
		for bx := range wide {
			var rows [8][8]float64 // transformed along x
			for y := range 8 {
				for u := range 8 {
					for x := range 8 {
						rows[y][u] += pixel(8*bx+x, 8*by+y) * wave(x, u)
					}
				}
			}
			b := &d.blocks[i][by*wide+bx]
			for k, at := range natural {
				sum := 0.
				for y := range 8 {
					sum += rows[y][at%8] * wave(y, int(at/8))
				}
				b[k] = int32(math.Round(sum / float64(d.step)))
			}
		}
	}
}

func wave(x, u int) float64 {
	w := math.Cos(float64(2*x+1) * float64(u) * math.Pi / 16)
	if u == 0 {
		w = math.Sqrt(.5)
	}
	return w / 2
}

// forgeries are pictures whose coefficients show something else than their pixels.
var forgeries = map[string]func(d *drawing){
	// Four pixels of each block are far out of range: their mean is that of another picture until they are clipped.
	"spikes": func(d *drawing) {
		d.paint(0, func(x, y int) float64 {
			hidden := 128 + 90*math.Sin(float64(x/8)*.9)*math.Sin(float64(y/8)*.7)
			shown := 128 + 90*math.Cos(float64(x/8)*.4+float64(y/8)*.5)
			limit := 0.
			if hidden > shown {
				limit = 255
			}
			base := (shown - limit/16) * 16 / 15
			if x%4 == 1 && y%4 == 2 {
				return 16*hidden - 15*base - 128
			}
			return base - 128
		})
	},
	// Bright Y, and a red that there is not in such a brightness.
	"colours": func(d *drawing) {
		d.paint(0, func(x, y int) float64 { return 100 })
		d.paint(1, func(x, y int) float64 { return -60 })
		d.paint(2, func(x, y int) float64 { return 60 + 60*math.Sin(float64(x/8)*.8)*math.Cos(float64(y/8)*.6) })
	},
	// The same, with chroma that is neutral in the mean of each block.
	"stripes of chroma": func(d *drawing) {
		d.paint(0, func(x, y int) float64 { return 100 })
		d.paint(1, func(x, y int) float64 { return 0 })
		d.paint(2, func(x, y int) float64 {
			return (1 - 2*float64(x%2)) * (60 + 60*math.Sin(float64(x/8)*.8)*math.Cos(float64(y/8)*.6))
		})
	},
	// Dots of white on black, all in range, in a colour that neither has.
	"dots in colour": func(d *drawing) {
		d.paint(0, func(x, y int) float64 { return -128 + 255*float64((x%2)*(y%2)) })
		d.paint(1, func(x, y int) float64 { return -100 * float64(x/8%3) / 2 })
		d.paint(2, func(x, y int) float64 { return 100 * float64(y/8%3) / 2 })
	},
}

// TestForged wants of a forged picture what is seen of it; with the race detector in two ways of sampling only.
func TestForged(t *testing.T) {
	if len(forgeries) == 0 {
		t.Fatal("none")
	}
	ways := kinds[1:8]
	if raceDetector {
		ways = [][][2]int{kinds[1], kinds[4]}
	}
	for name, draw := range forgeries {
		for _, factors := range ways {
			if len(factors) == 1 && name != "spikes" {
				continue
			}
			d := newDrawing(256, 160, factors...)
			draw(d)
			file := d.encode()
			m, err := jpeg.Decode(bytes.NewReader(file))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			// What the constant parts alone show, which is what a decoder at 1/8 of the size makes of the file.
			constants := make([][]float64, 20)
			wide, _ := d.size(0, false)
			for y := range constants {
				for x := range 32 {
					v := float64(d.blocks[0][y*wide+x][0]*int32(d.step))/8 + 128
					constants[y] = append(constants[y], min(max(v, 0), 255))
				}
			}
			off, _ := apart(constants, means(seen(m), 8))
			if off < 8 {
				t.Errorf("%s: the constant parts are %.1f levels off what is seen: nothing is forged", name, off)
			}
			near(t, name, file)
			d.scans = script(len(factors))
			near(t, name+", progressive", d.encode())

			plane := decode(t, file, Config{Scale: scaled(8).Scale})
			is, _ := apart(plane.rows(), means(seen(m), 8))
			t.Logf("%s, %v: constant parts %.1f levels off, the plane %.2f", name, factors, off, is)
			plane.Release()
		}
	}
}
