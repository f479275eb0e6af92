package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/media/isolated"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// decodesHEIC reports whether this build decodes every format, as the golden values need: HEIC takes a build tag of its
// own.
func decodesHEIC() bool { return slices.Contains(isolated.Formats(), "heic") }

// goldenFiles returns golden/hashes.tsv: what the project's own decoders and hashers make of each file. It is compared
// with what they make of it later, so that no change of a decoder goes unseen; that they are right is tested elsewhere.
func goldenFiles(files []file) ([]file, error) {
	text := "# Digests of each file, and the PDQ hash of each frame and view that is decoded from it.\n" +
		"file\tframe\tview\tkind\tquality\thash\n"
	decoder := media.New(media.Config{Isolated: here{}})
	for _, f := range files {
		if strings.HasSuffix(f.name, ".tsv") {
			continue
		}
		for _, h := range digests(f.content) {
			text += fmt.Sprintf("%s\t-\t-\t%s\t-\t%s\n", f.name, h.Kind, h.Hex())
		}
		if !strings.HasPrefix(f.name, "formats/") {
			continue
		}
		frames := 0
		_, failures := decoder.Decode(context.Background(), f.content, func(frame *hashmatch.Frame) error {
			hashes, err := pdq.Hasher{}.Hash(nil, frame, hashmatch.SetOf(hashmatch.PDQ), 0)
			for _, h := range hashes {
				frames++
				text += fmt.Sprintf("%s\t%d\t%s\t%s\t%d\t%s\n", f.name, h.Frame, viewName(h.View), h.Hash.Kind, h.Quality, h.Hash.Hex())
			}
			return err
		})
		if len(failures) > 0 || frames == 0 {
			return nil, fmt.Errorf("%s: %d frames, failures %v", f.name, frames, failures)
		}
	}
	return []file{{"golden/hashes.tsv", []byte(text)}}, nil
}

// viewName names a view in one word; "shown" is the picture as a viewer shows it.
func viewName(v hashmatch.View) string {
	name := strings.Trim(v.Orientation+"+"+v.Background, "+")
	if name == "" {
		return "shown"
	}
	return name
}

// here decodes in this process what a service leaves to a child process: these files are known to be harmless.
type here struct{}

func (here) Decode(ctx context.Context, format string, content []byte, limits media.Limits, yield func(media.Picture) error) []hashmatch.Failure {
	return isolated.Decode(ctx, format, content, limits, yield)
}
