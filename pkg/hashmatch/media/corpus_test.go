package media

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// shared returns a folder beside the checkout that only some machines have.
func shared(t *testing.T, parts ...string) string {
	t.Helper()
	dir := filepath.Join(append([]string{"..", "..", "..", "..", "shared"}, parts...)...)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("../shared is absent: %v", err)
	}
	return dir
}

func TestCorpus(t *testing.T) {
	for _, folder := range []string{"formats", "corrupt"} {
		t.Run(folder, func(t *testing.T) {
			dir := shared(t, "corpus", folder)
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			files := 0
			for _, entry := range entries {
				if entry.IsDir() || entry.Name() == "MANIFEST.tsv" {
					continue
				}
				content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
				if err != nil {
					t.Fatal(err)
				}
				files++
				decodeCorpusFile(t, entry.Name(), content)
			}
			if files == 0 {
				t.Fatal("no file in it")
			}
		})
	}
}

func decodeCorpusFile(t *testing.T, name string, content []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // a hang, on however busy a machine
	defer cancel()
	limits := Limits{}
	if raceDetector {
		limits.MaxPixels = 5_000_000 // what is larger takes the same paths
	}
	started := time.Now()
	d := New(Config{Limits: limits})
	frames := 0
	var views []string
	media, failures := d.Decode(ctx, content, func(f *hashmatch.Frame) error {
		frames++
		if len(views) < 6 {
			views = append(views, fmt.Sprintf("%T%v", f.Image, f.Image.Bounds().Size()))
		}
		return wellFormed(f.Image)
	})
	took := time.Since(started)
	if frames == 0 && len(failures) == 0 {
		t.Errorf("%s: neither a frame nor a failure", name)
	}
	for _, f := range failures {
		if f.Code == hashmatch.Panicked || f.Code == hashmatch.TimedOut {
			t.Errorf("%s: %v", name, f.Error())
		}
	}
	t.Logf("%-50s %6s %5dx%-5d %3d of %3d %6.0f ms %v %s", name, media.Format, media.Width, media.Height, frames, media.Frames,
		float64(took.Microseconds())/1000, failures, strings.Join(views, " "))
}

// wellFormed returns an error unless the picture is what Frame.Image promises.
func wellFormed(picture image.Image) error {
	if err := check(picture); err != nil {
		return err
	}
	if _, ok := picture.(*image.NRGBA); ok {
		return errors.New("transparency was not composited")
	}
	if m, ok := picture.(*image.RGBA); ok {
		if !opaque(&image.NRGBA{Pix: m.Pix, Stride: m.Stride, Rect: m.Rect}) {
			return errors.New("not opaque")
		}
	}
	return nil
}
