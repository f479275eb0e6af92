package edit

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"os"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/pdq"
)

var update = flag.Bool("update", false, "write testdata/distances.txt anew")

// TestDistances holds what every edit does to the PDQ hash of two pictures, turned back if need be, to what it did when
// it was published: an edit that comes to do something else would make figures incomparable. Six bits are left to the
// rounding of other processors.
func TestDistances(t *testing.T) {
	const golden, tolerance = "testdata/distances.txt", 6
	var got strings.Builder
	for _, name := range []string{"clean-landscape.jpg", "clean-poster.png"} {
		src := upload(t, name)
		original, _ := pdq.Compute(lumaOf(t, src))
		for _, e := range append(All(), chainOf(t, "mirror+crop2-left"), chainOf(t, "turn90+pad5-white")) {
			file, err := e.JPEG(src, 42)
			if err != nil {
				t.Fatal(err)
			}
			img, err := jpeg.Decode(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			copied := image.NewRGBA(img.Bounds())
			draw.Draw(copied, copied.Rect, img, image.Point{}, draw.Src)
			variants, _ := pdq.Dihedral(lumaOf(t, copied))
			near := 256
			for _, v := range variants {
				near = min(near, v.Hash.Distance(original))
			}
			fmt.Fprintf(&got, "%s %s %d %d %d\n", name, e.Name, img.Bounds().Dx(), img.Bounds().Dy(), near)
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want, have := strings.Split(string(text), "\n"), strings.Split(got.String(), "\n")
	if len(want) != len(have) || len(want) < 2*len(All()) {
		t.Fatalf("%d lines, want %d", len(have), len(want))
	}
	for i := range want[:len(want)-1] {
		var a, b line
		a.read(t, have[i])
		b.read(t, want[i])
		if a.picture != b.picture || a.edit != b.edit || a.w != b.w || a.h != b.h || max(a.near-b.near, b.near-a.near) > tolerance {
			t.Errorf("%q, published: %q", have[i], want[i])
		}
	}
}

type line struct {
	picture, edit string
	w, h, near    int
}

func (l *line) read(t *testing.T, text string) {
	t.Helper()
	if _, err := fmt.Sscan(text, &l.picture, &l.edit, &l.w, &l.h, &l.near); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

func lumaOf(t *testing.T, img *image.RGBA) pdq.Luma {
	t.Helper()
	luma, err := pdq.LumaOf(img)
	if err != nil {
		t.Fatal(err)
	}
	return luma
}

func chainOf(t *testing.T, name string) Edit {
	t.Helper()
	e, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
