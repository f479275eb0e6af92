package jpegluma

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// yOf returns the Y of what image/jpeg makes of a file; ok is false where it refuses or the picture is not of Y.
func yOf(content []byte) (pix []byte, stride int, size image.Point, err error) {
	m, err := jpeg.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, 0, image.Point{}, err
	}
	switch m := m.(type) {
	case *image.Gray:
		return m.Pix, m.Stride, m.Rect.Size(), nil
	case *image.YCbCr:
		return m.Y, m.YStride, m.Rect.Size(), nil
	}
	return nil, 0, m.Bounds().Size(), nil
}

func scaled(scale int) Config {
	return Config{Scale: func(*Header) (int, error) { return scale, nil }, stored: true}
}

// TestCorpus holds every JPEG of the shared corpus against image/jpeg.
func TestCorpus(t *testing.T) {
	seen, refused := 0, 0
	for _, folder := range []string{"photos", "hires", "formats", "corrupt"} {
		dir := filepath.Join("..", "..", "..", "..", "..", "shared", "corpus", folder)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Skipf("../shared is absent: %v", err)
		}
		for _, entry := range entries {
			content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil || !bytes.HasPrefix(content, []byte{0xff, 0xd8}) || strings.HasPrefix(entry.Name(), "bomb") {
				continue
			}
			seen++
			name := folder + "/" + entry.Name()
			plane, err := Decode(context.Background(), content, scaled(1))
			if err != nil {
				if _, _, _, other := yOf(content); other == nil && folder != "corrupt" {
					refused++
					t.Logf("%s: %v", name, err)
				}
				continue
			}
			same(t, name, plane, content)
			plane.Release()
		}
	}
	if seen == 0 {
		t.Fatal("no file")
	}
	t.Logf("%d files, %d refused that image/jpeg takes", seen, refused)
}

// same fails the test unless the plane, at 1/1, is the Y of image/jpeg.
func same(t testing.TB, name string, plane *Plane, content []byte) {
	t.Helper()
	pix, stride, size, err := yOf(content)
	if err != nil {
		t.Errorf("%s: image/jpeg refuses: %v", name, err)
		return
	}
	if pix == nil || size != image.Pt(plane.Width, plane.Height) {
		t.Errorf("%s: %v of %d x %d, want %v", name, pix != nil, plane.Width, plane.Height, size)
		return
	}
	for y := range size.Y {
		got, want := plane.Pix[y*plane.Stride:][:size.X], pix[y*stride:][:size.X]
		if !bytes.Equal(got, want) {
			for x := range got {
				if got[x] != want[x] {
					t.Errorf("%s: at %d, %d: %d, want %d", name, x, y, got[x], want[x])
					return
				}
			}
		}
	}
}
