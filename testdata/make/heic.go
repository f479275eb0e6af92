package main

import (
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
)

// heicPicture is what is to be encoded as HEIC. No encoder for it is written in Go, so Debian's heif-enc is run where
// it is installed; elsewhere the file that was checked in stays.
type heicPicture struct {
	image   image.Image
	options []string // of heif-enc
}

func heifEnc() error {
	_, err := exec.LookPath("heif-enc")
	return err
}

// encodeHEIC runs heif-enc. Its bytes depend on its version.
func encodeHEIC(name string, p heicPicture) (content []byte, err error) {
	dir, err := os.MkdirTemp("", "heic")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	in, out := filepath.Join(dir, "in.png"), filepath.Join(dir, "out.heic")
	if err := os.WriteFile(in, encodePNG(p.image), 0o600); err != nil {
		return nil, err
	}
	if said, err := exec.Command("heif-enc", append(p.options, in, "-o", out)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: heif-enc: %w: %s", name, err, said)
	}
	return os.ReadFile(out)
}
