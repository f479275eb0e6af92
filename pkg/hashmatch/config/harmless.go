package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/imagehash"
	"example.org/hashmatch/pkg/hashmatch/pdq"
	"example.org/hashmatch/pkg/hashmatch/promotion"
)

// maxPictures bounds the folder of harmless pictures: hashing them takes minutes, and a file of hashes none.
const maxPictures = 2000

// sample are the hashes of guards.clean, and what it looked like when they were taken.
type sample struct {
	stamp  string
	hashes []hashmatch.Hash
}

func (e *Engine) log() *slog.Logger {
	if e.options.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return e.options.Logger
}

// commonHashes returns the hashes of those kinds of the pictures that everyone publishes. All kinds take seconds, PDQ alone
// a fraction of one: only those that a list holds are computed, once.
func commonHashes(kinds hashmatch.KindSet) (hashes []hashmatch.Hash, err error) {
	common.Lock()
	defer common.Unlock()
	for _, kind := range kinds.Perceptual().Kinds() {
		if common.of[kind] == nil {
			if common.of[kind], err = hashCommon(kind); err != nil {
				return nil, err
			}
		}
		hashes = append(hashes, common.of[kind]...)
	}
	return hashes, nil
}

var common = struct {
	sync.Mutex
	of map[hashmatch.Kind][]hashmatch.Hash
}{of: make(map[hashmatch.Kind][]hashmatch.Hash)}

func hashCommon(kind hashmatch.Kind) (hashes []hashmatch.Hash, err error) {
	for name, picture := range promotion.Common() {
		frame := hashmatch.Frame{Image: picture}
		var found []hashmatch.FrameHash
		for _, h := range []hashmatch.Hasher{pdq.Hasher{}, imagehash.Hasher{}} {
			if found, err = h.Hash(found, &frame, hashmatch.SetOf(kind), 0); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		for _, f := range found {
			if !f.Hash.Zero() {
				hashes = append(hashes, f.Hash)
			}
		}
	}
	return hashes, nil
}

// harmless returns the hashes that no list with hashes of those kinds should match. It is for one goroutine at a time.
func (e *Engine) harmless(ctx context.Context, c *Config, kinds hashmatch.KindSet) ([]hashmatch.Hash, error) {
	common, err := commonHashes(kinds)
	if err != nil || c.Guards.Clean == "" {
		return common, err
	}
	files, stamp, err := clean(c.Guards.Clean)
	if err != nil {
		return nil, err
	}
	if e.clean.stamp != stamp {
		hashes, err := e.hashClean(ctx, c.Guards.Clean, files)
		if err != nil {
			return nil, err
		}
		e.clean = sample{stamp, hashes}
	}
	return append(common[:len(common):len(common)], e.clean.hashes...), nil
}

// clean returns the pictures below a folder, none for a file, and a text that changes when one of them does.
func clean(path string) (files []string, stamp string, err error) {
	var text strings.Builder
	err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%q %d %d\n", file, info.Size(), info.ModTime().UnixNano())
		if file != path {
			files = append(files, file)
		}
		if len(files) > maxPictures {
			return fmt.Errorf("more than %d files: name a file of their hashes", maxPictures)
		}
		return nil
	})
	if err == nil && text.Len() == 0 {
		err = errors.New("no file in it")
	}
	return files, text.String(), err
}

func (e *Engine) hashClean(ctx context.Context, path string, files []string) (hashes []hashmatch.Hash, err error) {
	if len(files) == 0 {
		list, err := ReadList(path, "")
		if err != nil {
			return nil, err
		}
		for h := range list.Signatures() {
			hashes = append(hashes, h)
		}
		return hashes, nil
	}
	unread := 0
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := e.hashFile(ctx, file)
		if err != nil {
			return nil, err
		}
		if len(found.Failures) > 0 {
			unread++
		}
		hashes = append(hashes, found.Digests...)
		for _, f := range found.Frames {
			if f.Quality >= hashmatch.DefaultQualityFloor {
				hashes = append(hashes, f.Hash)
			}
		}
	}
	if unread > 0 {
		e.log().Warn("some harmless pictures could not be read in full", "files", unread, "of", len(files))
	}
	if len(hashes) == 0 {
		return nil, errors.New("no hash of any file in it")
	}
	return hashes, nil
}

func (e *Engine) hashFile(ctx context.Context, path string) (hashmatch.Hashes, error) {
	file, err := os.Open(path)
	if err != nil {
		return hashmatch.Hashes{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return hashmatch.Hashes{}, err
	}
	return e.Scanner.Hash(ctx, hashmatch.Item{Content: file, Size: info.Size()}, hashmatch.SetOf(hashmatch.Kinds()...), 0), nil
}
