package clamd

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

var (
	errOutside = errors.New("the path is in none of the folders")
	errNoFile  = errors.New("not a regular file")
)

// open opens the regular file at a path below one of the folders. Links are followed as long as they stay inside the
// folder. Opening does not wait for the writer of a pipe.
func open(folders []string, path string) (*upload, error) {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return nil, errOutside
	}
	path = filepath.Clean(path)
	for _, folder := range folders {
		if !filepath.IsAbs(folder) {
			continue
		}
		inside, err := filepath.Rel(filepath.Clean(folder), path)
		if err != nil || !filepath.IsLocal(inside) {
			continue
		}
		return openInside(folder, inside)
	}
	return nil, errOutside
}

func openInside(folder, inside string) (*upload, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := root.OpenFile(inside, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	return reading(file)
}

// upload reads a regular file from its first byte to its last, as it stood when it was opened. It does not use or move
// the file's own position, which a descriptor shares with the client's.
type upload struct {
	file   *os.File
	before os.FileInfo
	offset int64
}

// reading returns an upload of the file, which it closes if it is no regular one.
func reading(file *os.File) (*upload, error) {
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &upload{file: file, before: info}, nil
}

func (u *upload) size() int64 { return u.before.Size() }

// Read returns a ChangedWhileRead failure in place of io.EOF if the file's size or time of modification is not what it
// was. It never reads beyond the size that it began with: a file of the kernel's has none, and reading it could block.
func (u *upload) Read(p []byte) (int, error) {
	left := u.size() - u.offset
	if left <= 0 {
		return 0, u.unchanged()
	}
	n, err := u.file.ReadAt(p[:min(int64(len(p)), left)], u.offset)
	u.offset += int64(n)
	switch {
	case n > 0 || err == nil:
		return n, nil
	case err == io.EOF:
		return 0, &hashmatch.Failure{Code: hashmatch.ChangedWhileRead, Detail: "it became shorter"}
	}
	return 0, &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: "the file could not be read"}
}

// unchanged returns io.EOF, or the failure.
func (u *upload) unchanged() error {
	after, err := u.file.Stat()
	switch {
	case err != nil:
		return &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: "the file could not be read"}
	case after.Size() != u.size() || !after.ModTime().Equal(u.before.ModTime()):
		return &hashmatch.Failure{Code: hashmatch.ChangedWhileRead, Detail: "it was written to"}
	}
	return io.EOF
}

// Close closes the file.
func (u *upload) Close() error { return u.file.Close() }
