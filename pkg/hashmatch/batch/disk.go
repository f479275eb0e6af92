package batch

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"example.org/hashmatch/pkg/hashmatch"
)

// diskFile is a file of the file system: one that was named itself, or one below a folder that was.
type diskFile struct {
	folder string // the folder that was named; "" if the file was
	name   string // below folder, or the file's path
	follow bool   // name may be a symbolic link; only for a file that was named
}

// place is where a name is looked up: in a folder that nothing leads out of, or anywhere.
type place struct{ root *os.Root }

func (f diskFile) place() (place, error) {
	if f.folder == "" {
		return place{}, nil
	}
	root, err := os.OpenRoot(f.folder)
	return place{root}, err
}

func (p place) lstat(f diskFile) (fs.FileInfo, error) {
	switch {
	case p.root != nil:
		return p.root.Lstat(f.name)
	case f.follow:
		return os.Stat(f.name)
	}
	return os.Lstat(f.name)
}

func (p place) open(f diskFile) (*os.File, error) {
	switch {
	case p.root != nil:
		return p.root.OpenFile(f.name, os.O_RDONLY|openFlags, 0)
	case f.follow:
		return os.OpenFile(f.name, os.O_RDONLY|openFlags&^openNoFollow, 0)
	}
	return os.OpenFile(f.name, os.O_RDONLY|openFlags, 0)
}

func (p place) close() {
	if p.root != nil {
		p.root.Close()
	}
}

// Stat looks at the path as a whole, which is quicker than Open's way and as good for a comparison, unless the path
// is longer than the system allows at once.
func (f diskFile) Stat() Stamp {
	if f.folder != "" {
		if info, err := os.Lstat(filepath.Join(f.folder, f.name)); err == nil {
			return stampOf(info)
		}
	}
	place, err := f.place()
	if err != nil {
		return Stamp{}
	}
	defer place.close()
	info, err := place.lstat(f)
	if err != nil {
		return Stamp{}
	}
	return stampOf(info)
}

// Open opens a regular file and nothing else. It looks before it opens, because opening a device can have effects
// and a pipe would wait for a writer; it looks again at what it opened, because the name can have been put to
// something else in between; and it neither waits nor follows when it opens.
func (f diskFile) Open() (io.ReadCloser, Stamp, error) {
	place, err := f.place()
	if err != nil {
		return nil, Stamp{}, unreadable("", err)
	}
	r, stamp, err := f.openIn(place)
	if err != nil {
		place.close()
		return nil, stamp, err
	}
	return r, stamp, nil
}

func (f diskFile) openIn(place place) (*diskReader, Stamp, error) {
	named, err := place.lstat(f)
	if err != nil {
		return nil, Stamp{}, unreadable("", err)
	}
	stamp := stampOf(named)
	if failure := special(named.Mode()); failure != nil {
		return nil, stamp, failure
	}
	file, err := place.open(f)
	if err != nil {
		return nil, stamp, unreadable("", err)
	}
	opened, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, stamp, unreadable("", err)
	}
	if !os.SameFile(named, opened) {
		file.Close()
		return nil, stamp, changed("replaced while it was opened")
	}
	return &diskReader{f: f, place: place, file: file, before: opened}, stampOf(opened), nil
}

func changed(detail string) *hashmatch.Failure {
	return &hashmatch.Failure{Code: hashmatch.ChangedWhileRead, Detail: detail}
}

// diskReader reads a file and, at its end, makes sure that what it gave is the file as it stood throughout, and still
// is.
type diskReader struct {
	f      diskFile
	place  place
	file   *os.File
	before fs.FileInfo
	n      int64
}

// Read returns a ChangedWhileRead failure in place of io.EOF if the file's size or modification time changed since it
// was opened, if it gave another number of bytes than its size, or if its name now leads to another file or nowhere. What it cannot see is a change of the
// same length within the tick of the file system's clock (up to 10 ms) in which the file was last written before.
func (r *diskReader) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	r.n += int64(n)
	switch {
	case err == io.EOF:
		if err := r.check(); err != nil {
			return n, err
		}
		return n, io.EOF
	case err != nil:
		return n, unreadable("", err)
	}
	return n, nil
}

func (r *diskReader) check() error {
	after, err := r.file.Stat()
	if err != nil {
		return unreadable("", err)
	}
	switch now, was := stampOf(after), stampOf(r.before); {
	case now.Size != was.Size:
		return changed(fmt.Sprintf("from %d to %d bytes", was.Size, now.Size))
	case now.Modified != was.Modified:
		return changed("written to")
	case r.n != was.Size:
		return changed(fmt.Sprintf("%d bytes read of %d", r.n, was.Size))
	}
	named, err := r.place.lstat(r.f)
	switch {
	case err != nil && os.IsNotExist(err):
		return changed("removed")
	case err != nil:
		return unreadable("", err)
	case !os.SameFile(named, after):
		return changed("replaced")
	}
	return nil
}

// Close closes the file.
func (r *diskReader) Close() error {
	defer r.place.close()
	return r.file.Close()
}
