package main

import (
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
)

// reencode writes a lossy WebP of each picture into dir, under the picture's name with .webp after it.
func reencode(dir string, quality int, pictures []string) error {
	for _, path := range pictures {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		m, _, err := image.Decode(file)
		file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)+".webp"), encodeWebP(m, quality), 0o644); err != nil {
			return err
		}
	}
	return nil
}
