package isolated

import (
	"context"
	"fmt"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/media"
)

// TestCorpus decodes every file of the shared corpus that is of a format of this package: pictures or named failures.
func TestCorpus(t *testing.T) {
	const corpus = "../../../../../shared/corpus"
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("../shared is absent: ", err)
	}
	formats := map[string]string{".webp": "webp", ".tif": "tiff", ".tiff": "tiff", ".avif": "avif", ".avifs": "avif",
		".heic": "heic", ".heif": "heic", ".jxl": "jxl"}
	tried := 0
	for _, folder := range []string{"formats", "corrupt"} {
		entries, err := os.ReadDir(filepath.Join(corpus, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			format := formats[strings.ToLower(filepath.Ext(entry.Name()))]
			if format == "" || missingTag(format) != "" || wasmFormats[format] && testing.Short() {
				continue
			}
			content, err := os.ReadFile(filepath.Join(corpus, folder, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			tried++
			started := time.Now()
			var pictures []string
			failures := Decode(context.Background(), format, content, media.Limits{}, func(p media.Picture) error {
				if err := checkPicture(p); err != nil {
					t.Errorf("%s: %v", entry.Name(), err)
				}
				pictures = append(pictures, fmt.Sprintf("%T %v %v", p.Image, p.Image.Bounds().Max, p.Time))
				return nil
			})
			if len(pictures) == 0 && len(failures) == 0 {
				t.Errorf("%s: neither a picture nor a failure", entry.Name())
			}
			if folder == "formats" && len(pictures) == 0 && format != "tiff" {
				t.Errorf("%s: no picture: %v", entry.Name(), failures)
			}
			t.Logf("%s %v: %d %.120v %v", entry.Name(), time.Since(started).Round(time.Millisecond), len(pictures), pictures, failures)
		}
	}
	if tried < 50 {
		t.Errorf("%d files tried", tried)
	}
}

// TestCorpusOrientation holds the pictures whose coding says how to turn them against the upright one.
func TestCorpusOrientation(t *testing.T) {
	const formats = "../../../../../shared/corpus/formats"
	if _, err := os.Stat(formats); err != nil {
		t.Skip("../shared is absent: ", err)
	}
	if !codecsLinked || testing.Short() {
		return
	}
	file, err := os.Open(filepath.Join(formats, "lighthouse-exif-orientation-1.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	upright, err := jpeg.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, format := range map[string]string{"lighthouse-avif-irot.avif": "avif", "lighthouse-avif-imir.avif": "avif",
		"lighthouse-jxl-jpeg-orientation-6.jxl": "jxl"} {
		content, err := os.ReadFile(filepath.Join(formats, name))
		if err != nil {
			t.Fatal(err)
		}
		pictures, failures := collect(t, format, content, media.Limits{})
		wantCodes(t, failures)
		if len(pictures) != 1 || pictures[0].image.Bounds() != upright.Bounds() {
			t.Errorf("%s: %d pictures", name, len(pictures))
			continue
		}
		sum, b := 0, upright.Bounds()
		for y := range b.Dy() {
			for x := range b.Dx() {
				d := int(color.GrayModel.Convert(upright.At(x, y)).(color.Gray).Y) - int(color.GrayModel.Convert(pictures[0].image.At(x, y)).(color.Gray).Y)
				sum += max(d, -d)
			}
		}
		if mean := float64(sum) / float64(b.Dx()*b.Dy()); mean > 6 {
			t.Errorf("%s: luma is off by %.1f of 255 on average", name, mean)
		}
	}
}
