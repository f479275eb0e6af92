package config

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // some of the photos

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/worker"
)

// TestMain makes the test binary stand in for the program that decodes WebP.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "decode" {
		os.Exit(worker.Main(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// withWorker returns what an Engine needs to decode every format.
func withWorker(t *testing.T) OpenOptions {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return OpenOptions{Worker: []string{self, "decode"}}
}

// TestRecallOnPhotos lists photos by PDQ, edits them as uploaders and platforms do, and scans the edits: every one must
// be found by its own entry, and by no other. It is optional: it needs ../shared, and looks at every 96th photo there
// unless HASHMATCH_CORPUS=all is set, which takes half an hour.
func TestRecallOnPhotos(t *testing.T) {
	photos := photosOf(t, 96)
	c := Public(hashmatch.Hold)
	engine, err := c.Open(t.Context(), withWorker(t))
	if err != nil {
		t.Fatal(err)
	}
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
	engine.Close()
	engine, err = c.Open(t.Context(), withWorker(t))
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

	webps := inWebP(t, slices.Collect(maps.Keys(listed)), 75)
	var mu sync.Mutex
	found, tried, others := map[string]int{}, 0, 0
	work := make(chan string)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for path := range work {
				edits := editsOf(t, path)
				if webps != "" {
					edits["webp75"] = func() []byte { return reencoded(t, webps, path) }
				}
				for name, edit := range edits {
					upload := edit()
					v, err := engine.Scanner.Scan(t.Context(), hashmatch.Item{Surface: surface, Content: bytes.NewReader(upload)})
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					if !slices.ContainsFunc(v.Matches, func(m hashmatch.Match) bool { return m.Entry == filepath.Base(path) }) {
						t.Logf("%s of %s is not found: %s, %v %v", name, filepath.Base(path), v.Action, v.Notes, v.Failures)
					} else {
						found[name]++
					}
					for _, m := range v.Matches {
						if m.Entry != filepath.Base(path) {
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
	if webps == "" {
		t.Log("webp75: NOT MEASURED")
	}
	for name, least := range recallWanted {
		if name == "webp75" && webps == "" {
			continue
		}
		share := float64(found[name]) / float64(tried)
		t.Logf("%-14s %4d of %4d  %.2f %%", name, found[name], tried, 100*share)
		if missed := tried - found[name]; float64(missed) > max(1, (1-least)*float64(tried)) { // one of a small sample may be
			t.Errorf("%s: recall %.2f %%, want %.0f %%", name, 100*share, 100*least)
		}
	}
	t.Logf("%d photos, %d matches of another photo", tried, others)
}

// photosOf returns every step-th photo of ../shared, or all of them if HASHMATCH_CORPUS=all is set.
func photosOf(t *testing.T, step int) (photos []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "..", "..", "..", "shared", "corpus", "photos", "*.*"))
	if err != nil || len(names) == 0 {
		t.Skip("../shared is absent: nothing was measured on photos")
	}
	if os.Getenv("HASHMATCH_CORPUS") == "all" {
		step = 1
	}
	for i := 0; i < len(names); i += step {
		if !strings.HasSuffix(names[i], ".tsv") {
			photos = append(photos, names[i])
		}
	}
	return photos
}

// inWebP writes the photos as WebP with the program that makes the test data, since Go has no encoder, and returns the
// folder; "" if that program cannot be had.
func inWebP(t *testing.T, photos []string, quality int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	absolute := []string{"run", "-tags", "nodynamic", "./testdata/make", "-webp", strconv.Itoa(quality), "-dir", dir}
	for _, path := range photos {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		absolute = append(absolute, path)
	}
	run := exec.CommandContext(t.Context(), "go", absolute...)
	run.Dir = filepath.Join("..", "..", "..")
	if out, err := run.CombinedOutput(); err != nil {
		t.Logf("no encoder of WebP: go run ./testdata/make: %v\n%s", err, out)
		return ""
	}
	return dir
}

func reencoded(t *testing.T, dir, path string) []byte {
	content, err := os.ReadFile(filepath.Join(dir, filepath.Base(path)+".webp"))
	if err != nil {
		t.Error(err)
	}
	return content
}

// recallWanted is what each edit must reach.
var recallWanted = map[string]float64{
	"jpeg90": .99, "jpeg70": .99, "jpeg50": .99, "jpeg30": .97, "webp75": .99, "png": .99, "resize75": .99, "resize50": .99, "resize25": .97,
	"gray": .99, "bright": .99, "contrast": .99, "gamma": .99, "blur": .99, "sharpen": .99,
	"mirror": .99, "turn90": .99, "turn180": .99, "turn270": .99,
}

// editsOf returns the edits of a photo by name. Each is made when it is called.
func editsOf(t *testing.T, path string) map[string]func() []byte {
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
	inJPEG := func(quality int) func() []byte { return func() []byte { return asJPEG(src, quality) } }
	resized := func(percent int) func() []byte { return func() []byte { return resize(percent) } }
	toned := func(f func(v float64) float64) func() []byte { return func() []byte { return values(f) } }
	return map[string]func() []byte{
		"jpeg90": inJPEG(90), "jpeg70": inJPEG(70), "jpeg50": inJPEG(50), "jpeg30": inJPEG(30),
		"resize75": resized(75), "resize50": resized(50), "resize25": resized(25),
		"png": func() []byte {
			var b bytes.Buffer
			if err := png.Encode(&b, src); err != nil {
				t.Error(err)
			}
			return b.Bytes()
		},
		"gray": func() []byte {
			gray := image.NewGray(src.Rect)
			draw.Draw(gray, gray.Rect, src, image.Point{}, draw.Src)
			return asJPEG(gray, 85)
		},
		"bright":   toned(func(v float64) float64 { return v * 1.1 }),
		"contrast": toned(func(v float64) float64 { return (v-.5)*1.15 + .5 }),
		"gamma":    toned(func(v float64) float64 { return math.Pow(v, .85) }),
		"blur":     func() []byte { return filter(.2, .2) },
		"sharpen":  func() []byte { return filter(2, -.25) },
		"mirror":   func() []byte { return place(w, h, func(x, y int) (int, int) { return w - 1 - x, y }) },
		"turn90":   func() []byte { return place(h, w, func(x, y int) (int, int) { return y, h - 1 - x }) },
		"turn180":  func() []byte { return place(w, h, func(x, y int) (int, int) { return w - 1 - x, h - 1 - y }) },
		"turn270":  func() []byte { return place(h, w, func(x, y int) (int, int) { return w - 1 - y, x }) },
	}
}
