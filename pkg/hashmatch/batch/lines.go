package batch

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
)

// LineSource gives the files whose paths stand in a text, one a line. Empty lines are left out; nothing else is: a
// space, a tab or a carriage return is part of the name. Symbolic links are not followed. A folder is a failure ("a
// folder"), not walked, because lists of files (find's, for one) name each folder beside all that it holds. A path
// that stands there twice is scanned twice, unless it was done in the run that a checkpoint continues.
type LineSource struct {
	// NUL ends paths with a zero byte in place of a newline, so that a name may hold one (find -print0).
	NUL bool

	r io.Reader
}

// Lines returns the source of the files that r lists. It can be run once. r is read as files are needed, so that it
// may come from a program that is still at work; a Run that ends early may leave a read of r behind.
func Lines(r io.Reader) *LineSource { return &LineSource{r: r} }

// maxLine is the longest path that is taken: 16 times Linux's longest.
const maxLine = 1 << 16

// Files calls yield with each path. A path of more than 65,536 bytes is a failure under its first 256.
func (s *LineSource) Files(ctx context.Context, yield func(File) error) error {
	end := byte('\n')
	if s.NUL {
		end = 0
	}
	r := bufio.NewReaderSize(s.r, maxLine+1)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := r.ReadSlice(end)
		full := err == bufio.ErrBufferFull
		if full {
			line = bytes.Clone(line[:256])
			for err == bufio.ErrBufferFull {
				_, err = r.ReadSlice(end)
			}
		} else {
			line = bytes.TrimSuffix(line, []byte{end})
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("list of paths: %w", err) // half a line may be another file's name
		}
		if len(line) > 0 {
			path := string(line)
			f := File{Path: path, Key: absolute(path), Content: diskFile{name: path}}
			if full {
				f.Content = failed{failure: tooLong}
			}
			if err := yield(f); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// Gone reports whether no file has that path any more.
func (s *LineSource) Gone(key string) bool { return gone(key) }

var _ interface {
	Source
	Goner
} = (*LineSource)(nil)
