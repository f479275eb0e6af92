package eval

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPhotos measures on real photos of different scenes what docs/accuracy.md states. It is optional: it needs
// ../shared, beside the project.
func TestPhotos(t *testing.T) {
	files, err := filepath.Glob("../../../../shared/corpus/photos/*.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("NOT MEASURED: no photos in ../shared/corpus/photos")
	}
	if info, err := os.Stat(files[0]); err != nil || info.Size() == 0 {
		t.Fatalf("%v, %v", info, err)
	}
	c := withEdits(t, "jpeg50", "resize25", "mirror", "crop2-total", "crop10-each", "pad20-black", "collage2x2")
	c.Photos, c.Sample = nil, 30
	for i := 0; i < len(files); i += 4 {
		c.Photos = append(c.Photos, files[i])
	}
	if testing.Short() || raceDetector {
		c.Sample = 8
	}
	result := mustRun(t, c)
	turned := result.Measures[1]
	if turned.Photos < len(c.Photos)*9/10 || turned.Pairs.Pairs < 1000 {
		t.Fatalf("%+v: %d of quality, %d pairs", result.Photos, turned.Photos, turned.Pairs.Pairs)
	}
	if turned.Pairs.Nearest < 60 || turned.Among.Matched > 0 {
		t.Errorf("two photos are %d apart, %d match", turned.Pairs.Nearest, turned.Among.Matched)
	}
	for i, want := range [][2]float64{{.9, 1}, {.9, 1}, {.9, 1}, {.2, 1}, {0, .15}, {0, .15}, {0, .15}} {
		r := turned.Recall[i]
		if rate := float64(r.Found) / float64(r.Copies); r.Copies < 6 || rate < want[0] || rate > want[1] {
			t.Errorf("%s: %d of %d found, want %.0f to %.0f %%", r.Edit, r.Found, r.Copies, 100*want[0], 100*want[1])
		}
	}
}
