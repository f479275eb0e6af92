package config

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/image/draw"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestRecallOnPhotos lists photos by PDQ, edits them as uploaders and platforms do, and scans the edits: every one must
// be found by its own entry, and by no other. It is optional: it needs ../shared, and looks at every 96th photo
// there unless HASHMATCH_CORPUS=all is set.
func TestRecallOnPhotos(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "corpus", "photos")
	names, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil || len(names) == 0 {
		t.Skip("../shared is absent: recall on photos was not measured")
	}
	step := 96
	if os.Getenv("HASHMATCH_CORPUS") == "all" {
		step = 1
	}
	var photos []string
	for i := 0; i < len(names); i += step {
		if !strings.HasSuffix(names[i], ".tsv") {
			photos = append(photos, names[i])
		}
	}
	c := Public(hashmatch.Hold)
	engine, err := c.Open(t.Context(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	var list strings.Builder
	list.WriteString("entry,kind,hash,list,label,status\n")
	listed := map[string]bool{}
	for _, path := range photos {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h := engine.Scanner.Hash(t.Context(), hashmatch.Item{Content: bytes.NewReader(content)}, hashmatch.SetOf(hashmatch.PDQ), 0)
		if len(h.Failures) > 0 || len(h.Frames) == 0 || h.Frames[0].Quality < hashmatch.DefaultQualityFloor {
			t.Logf("%s: not listed: %v, quality under %d or unreadable", filepath.Base(path), h.Failures, hashmatch.DefaultQualityFloor)
			continue
		}
		listed[path] = true
		fmt.Fprintf(&list, "%s,pdq,%s,,,\n", filepath.Base(path), h.Frames[0].Hash.Hex())
	}
	if len(listed) < 4 {
		t.Fatalf("%d photos listed", len(listed))
	}
	file := filepath.Join(t.TempDir(), "photos.csv")
	if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.AddList(List{Name: "photos", File: file}); err != nil {
		t.Fatal(err)
	}
	engine, err = c.Open(t.Context(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if err := engine.LoadLists(t.Context()); err != nil {
		t.Fatal(err)
	}
	surface, err := c.Surface("public")
	if err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	found, tried, others := map[string]int{}, 0, 0
	work := make(chan string)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for path := range work {
				for name, upload := range editsOf(t, path) {
					v, err := engine.Scanner.Scan(t.Context(), hashmatch.Item{Surface: surface, Content: bytes.NewReader(upload)})
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					for _, m := range v.Matches {
						if m.Entry == filepath.Base(path) {
							found[name]++
						} else {
							others++
							t.Errorf("%s of %s matches %s at %d", name, filepath.Base(path), m.Entry, m.Distance)
						}
					}
					mu.Unlock()
				}
			}
		})
	}
	for path := range listed {
		tried++
		work <- path
	}
	close(work)
	group.Wait()
	for name, least := range recallWanted {
		share := float64(found[name]) / float64(tried)
		t.Logf("%-14s %4d of %4d  %.2f %%", name, found[name], tried, 100*share)
		if share < least {
			t.Errorf("%s: recall %.2f %%, want %.0f %%", name, 100*share, 100*least)
		}
	}
	t.Logf("%d photos, %d matches of another photo", tried, others)
}

// recallWanted is what each edit must reach.
var recallWanted = map[string]float64{
	"jpeg90": .99, "jpeg70": .99, "jpeg50": .99, "jpeg30": .97, "png": .99, "resize75": .99, "resize50": .99, "resize25": .97,
	"gray": .99, "bright": .99, "contrast": .99, "gamma": .99, "blur": .99, "sharpen": .99,
	"mirror": .99, "turn90": .99, "turn180": .99, "turn270": .99,
}

func editsOf(t *testing.T, path string) map[string][]byte {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return nil
	}
	decoded, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		t.Error(err)
		return nil
	}
	src := image.NewRGBA(image.Rect(0, 0, decoded.Bounds().Dx(), decoded.Bounds().Dy()))
	draw.Draw(src, src.Rect, decoded, decoded.Bounds().Min, draw.Src)
	w, h := src.Rect.Dx(), src.Rect.Dy()
	asJPEG := func(m image.Image, quality int) []byte {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
			t.Error(err)
		}
		return b.Bytes()
	}
	resize := func(percent int) []byte {
		dst := image.NewRGBA(image.Rect(0, 0, w*percent/100, h*percent/100))
		draw.CatmullRom.Scale(dst, dst.Rect, src, src.Rect, draw.Src, nil)
		return asJPEG(dst, 85)
	}
	place := func(w, h int, from func(x, y int) (int, int)) []byte {
		dst := image.NewRGBA(image.Rect(0, 0, w, h))
		for y := range h {
			for x := range w {
				dst.SetRGBA(x, y, src.RGBAAt(from(x, y)))
			}
		}
		return asJPEG(dst, 85)
	}
	values := func(f func(v float64) float64) []byte {
		var table [256]uint8
		for i := range table {
			table[i] = uint8(math.Round(min(max(f(float64(i)/255), 0), 1) * 255))
		}
		dst := image.NewRGBA(src.Rect)
		for i, v := range src.Pix {
			dst.Pix[i] = table[v]
			if i%4 == 3 {
				dst.Pix[i] = 255
			}
		}
		return asJPEG(dst, 85)
	}
	filter := func(centre, side float64) []byte { // a cross of five pixels
		dst := image.NewRGBA(src.Rect)
		for y := range h {
			for x := range w {
				var sum [3]float64
				for i, d := range [][2]int{{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
					c := src.RGBAAt(min(max(x+d[0], 0), w-1), min(max(y+d[1], 0), h-1))
					weight := side
					if i == 0 {
						weight = centre
					}
					sum[0] += weight * float64(c.R)
					sum[1] += weight * float64(c.G)
					sum[2] += weight * float64(c.B)
				}
				to8 := func(v float64) uint8 { return uint8(min(max(v, 0), 255)) }
				dst.SetRGBA(x, y, color.RGBA{to8(sum[0]), to8(sum[1]), to8(sum[2]), 255})
			}
		}
		return asJPEG(dst, 85)
	}
	gray := image.NewGray(src.Rect)
	draw.Draw(gray, gray.Rect, src, image.Point{}, draw.Src)
	var asPNG bytes.Buffer
	if err := png.Encode(&asPNG, src); err != nil {
		t.Error(err)
	}
	return map[string][]byte{
		"jpeg90": asJPEG(src, 90), "jpeg70": asJPEG(src, 70), "jpeg50": asJPEG(src, 50), "jpeg30": asJPEG(src, 30),
		"png": asPNG.Bytes(), "gray": asJPEG(gray, 85),
		"resize75": resize(75), "resize50": resize(50), "resize25": resize(25),
		"bright": values(func(v float64) float64 { return v * 1.1 }), "contrast": values(func(v float64) float64 { return (v-.5)*1.15 + .5 }),
		"gamma": values(func(v float64) float64 { return math.Pow(v, .85) }),
		"blur":  filter(.2, .2), "sharpen": filter(2, -.25),
		"mirror":  place(w, h, func(x, y int) (int, int) { return w - 1 - x, y }),
		"turn90":  place(h, w, func(x, y int) (int, int) { return y, h - 1 - x }),
		"turn180": place(w, h, func(x, y int) (int, int) { return w - 1 - x, h - 1 - y }),
		"turn270": place(h, w, func(x, y int) (int, int) { return w - 1 - y, x }),
	}
}
