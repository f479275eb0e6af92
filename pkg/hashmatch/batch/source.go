package batch

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"example.org/hashmatch/pkg/hashmatch"
)

// Source gives the files of a run.
type Source interface {
	// Files calls yield with one file after the other, from one goroutine and without holding the list of them. It
	// returns the error of yield as soon as there is one, or its own if it cannot go on: what it can name (a file or
	// folder that cannot be read) is a File whose Content fails, not an error.
	Files(ctx context.Context, yield func(File) error) error
}

// Counter is a Source that can say beforehand how much there is. Run calls it beside Files, for the progress.
type Counter interface {
	// Count calls add with the number of further files and their bytes, as often as it likes.
	Count(ctx context.Context, add func(files, bytes int64)) error
}

// Goner is a Source that can say of a file which an earlier run did, and which it does not give any more, that there is
// nothing left to scan.
type Goner interface {
	// Gone reports whether the file of that key was removed. It is called after Files has returned.
	Gone(key string) bool
}

// gone reports whether no file has that name any more. A folder that cannot be looked into may still hold it.
func gone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// File is one item of a Source.
type File struct {
	Path    string // as results name it: any bytes, as the system gives them
	Key     string // what it is called in the checkpoint, the same from whichever directory; "" means Path
	Content Content
}

// Content is how a File is read. Workers call it, one at a time for one File.
type Content interface {
	// Stat returns the stamp without reading or opening; the zero Stamp if there is none. It is called only for files
	// that the checkpoint holds: those whose stamp is still the same are not scanned again.
	Stat() Stamp
	// Open returns the bytes and the stamp that they had then. If err is not nil, the file is not scanned, and that
	// is its failure: err itself if it is a *hashmatch.Failure, else Unreadable. The stamp is still returned as far
	// as it is known. A reader that finds that the file changed under it returns a *hashmatch.Failure in place of
	// io.EOF.
	Open() (io.ReadCloser, Stamp, error)
}

// Stamp tells one state of a file from another. It is comparable; the zero Stamp stands for none.
type Stamp struct {
	Size     int64 // bytes
	Modified int64 // Unix time in nanoseconds
}

func stampOf(info fs.FileInfo) Stamp {
	return Stamp{Size: info.Size(), Modified: info.ModTime().UnixNano()}
}

// failed is the Content of what a Source cannot give the bytes of.
type failed struct {
	failure hashmatch.Failure
	stamp   Stamp
}

func (f failed) Stat() Stamp                         { return f.stamp }
func (f failed) Open() (io.ReadCloser, Stamp, error) { return nil, f.stamp, &f.failure }

// unreadable returns a Failure with the reason that the system gave, without the path.
func unreadable(what string, err error) *hashmatch.Failure {
	var own *hashmatch.Failure
	if errors.As(err, &own) {
		return own
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: what + err.Error()}
}

// special returns the failure of what is not a regular file, or nil if mode is that of one.
func special(mode fs.FileMode) *hashmatch.Failure {
	detail := ""
	switch {
	case mode.IsRegular():
		return nil
	case mode&fs.ModeSymlink != 0:
		detail = "symbolic link, not followed"
	case mode.IsDir():
		detail = "a folder"
	case mode&fs.ModeNamedPipe != 0:
		detail = "named pipe"
	case mode&fs.ModeSocket != 0:
		detail = "socket"
	case mode&fs.ModeDevice != 0:
		detail = "device"
	default:
		detail = "not a regular file"
	}
	return &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: detail}
}
