//go:build nodynamic && heic

package isolated

import (
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/media"
)

// formats holds the files that the project's own program made.
const formats = "../../../../testdata/formats"

func readFormat(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(formats, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// A HEIC file gives the picture that was encoded, and its transparency, which the library leaves out.
func TestHEICGivesThePicture(t *testing.T) {
	for name, original := range map[string]string{"lossy.heic": "rgb8.png", "alpha.heic": "alpha-vignette.png"} {
		file, err := os.Open(filepath.Join(formats, original))
		if err != nil {
			t.Fatal(err)
		}
		want, err := png.Decode(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		pictures, failures := collect(t, "heic", readFormat(t, name), media.Limits{})
		wantCodes(t, failures)
		if len(pictures) != 1 || pictures[0].image.Bounds() != want.Bounds() {
			t.Fatalf("%s: %d pictures", name, len(pictures))
		}
		sum, b := 0, want.Bounds()
		for y := range b.Dy() {
			for x := range b.Dx() {
				g, w := pictures[0].at(x, y), color.NRGBAModel.Convert(want.At(x, y)).(color.NRGBA)
				for _, d := range []int{int(g.R) - int(w.R), int(g.G) - int(w.G), int(g.B) - int(w.B), int(g.A) - int(w.A)} {
					sum += max(d, -d)
				}
			}
		}
		if mean := float64(sum) / float64(4*b.Dx()*b.Dy()); mean > 4 {
			t.Errorf("%s: mean error %.2f of 255", name, mean)
		} else {
			t.Logf("%s: mean error %.2f of 255", name, mean)
		}
	}
}

// A HEIC file that is cut off anywhere, or damaged, is a named failure.
func TestHEICCutOff(t *testing.T) {
	content := readFormat(t, "lossy.heic")
	for _, part := range []int{2, 50, 90, 99} {
		if _, failures := collect(t, "heic", content[:len(content)*part/100], media.Limits{}); len(failures) == 0 {
			t.Errorf("%d%% of it are taken for whole", part)
		}
	}
}
