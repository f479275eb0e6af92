package isolated

import (
	"context"
	"fmt"
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
			if format == "" || !codecsLinked && wasmFormats[format] {
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
	if tried < 60 {
		t.Errorf("%d files tried", tried)
	}
}
