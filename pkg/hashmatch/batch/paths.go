package batch

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// PathSource gives the files that were named, and all files below the folders that were named, in the order of the
// names. Within a folder the order is that of the names' bytes, folders in their place among the files; a folder of
// more than 16,384 entries is taken in portions of that many, each sorted, in the folder's own order.
//
// A name that is given twice, or that lies below a folder that is also named, is taken once. Hard links to one file
// are files of their own. Nothing leads out of a folder that was named: symbolic links below it are not followed, and
// a folder that is exchanged for a link meanwhile cannot be left.
type PathSource struct {
	// FollowLinks follows a symbolic link that was itself named. Without it a link is a failure, because a shell's
	// "uploads/*" names what an uploader may have put there. (A name that ends in a slash leads to the folder behind
	// the link either way.)
	FollowLinks bool
	// Exclude are paths that are not given: the checkpoint and the results, should they lie in a folder that is
	// scanned.
	Exclude []string

	names []string
}

// Paths returns the source of the named files and folders.
func Paths(names ...string) *PathSource { return &PathSource{names: slices.Clone(names)} }

// folderPortion is how many entries of a folder are held (and sorted) at once: about 2 MB.
const folderPortion = 1 << 14

// Files calls yield with each file and with each folder that cannot be listed.
func (s *PathSource) Files(ctx context.Context, yield func(File) error) error {
	w := s.walker(ctx)
	w.yield = yield
	for _, name := range w.names() {
		if err := w.named(name); err != nil {
			return err
		}
	}
	return nil
}

// Count calls add for each file, with its size.
func (s *PathSource) Count(ctx context.Context, add func(files, bytes int64)) error {
	return s.Files(ctx, func(f File) error {
		add(1, countable(f.Content))
		return nil
	})
}

// countable returns the bytes that are going to be read of a file.
func countable(content Content) int64 {
	if file, ok := content.(diskFile); ok {
		return file.Stat().Size
	}
	return 0
}

// walker is one pass over a PathSource.
type walker struct {
	source  *PathSource
	ctx     context.Context
	yield   func(File) error
	exclude map[string]bool // absolute paths

	root   *os.Root // the folder being walked
	folder string   // its name
	key    string   // its absolute path
}

func (s *PathSource) walker(ctx context.Context) *walker {
	w := &walker{source: s, ctx: ctx, exclude: map[string]bool{}}
	for _, path := range s.Exclude {
		w.exclude[absolute(path)] = true
	}
	return w
}

// absolute returns the path from the root of the file system; path itself if the working directory is gone.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}

// names returns the names without those that another one covers.
func (w *walker) names() []string {
	folders := map[string]bool{}
	for _, name := range w.source.names {
		if info, err := w.stat(name); err == nil && info.IsDir() {
			folders[absolute(name)] = true
		}
	}
	seen := map[string]bool{}
	var names []string
	for _, name := range w.source.names {
		key := absolute(name)
		covered := seen[key]
		seen[key] = true
		for dir := filepath.Dir(key); !covered; dir = filepath.Dir(dir) {
			covered = folders[dir] && dir != key
			if dir == filepath.Dir(dir) {
				break
			}
		}
		if !covered {
			names = append(names, name)
		}
	}
	return names
}

// stat looks at a named path, through a link if links are followed.
func (w *walker) stat(name string) (fs.FileInfo, error) {
	if w.source.FollowLinks {
		return os.Stat(name)
	}
	return os.Lstat(name)
}

// named gives one named file, or walks one named folder.
func (w *walker) named(name string) error {
	key := absolute(name)
	info, err := w.stat(name)
	if err != nil || !info.IsDir() {
		return w.give(File{Path: name, Key: key, Content: diskFile{name: name, follow: w.source.FollowLinks}})
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return w.give(File{Path: name, Key: key, Content: failed{*unreadable("folder: ", err), stampOf(info)}})
	}
	defer root.Close()
	w.root, w.folder, w.key = root, name, key
	return w.walk(".")
}

func (w *walker) give(f File) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.exclude[f.Key] {
		return nil
	}
	return w.yield(f)
}

// below returns what is found under a name below the folder being walked.
func (w *walker) below(name string, content Content) File {
	return File{Path: filepath.Join(w.folder, name), Key: filepath.Join(w.key, name), Content: content}
}

// walk gives every file below a folder of the root.
func (w *walker) walk(name string) error {
	unlisted := func(what string, err error) error {
		stamp := Stamp{}
		if info, err := w.root.Lstat(name); err == nil {
			stamp = stampOf(info)
		}
		return w.give(w.below(name, failed{*unreadable(what, err), stamp}))
	}
	dir, err := w.root.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return unlisted("folder: ", err)
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(folderPortion)
		last := len(entries) < folderPortion
		if last {
			dir.Close() // before it goes deeper: an open file a level would be many
		}
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
		for _, entry := range entries {
			if err := w.entry(filepath.Join(name, entry.Name()), entry); err != nil {
				return err
			}
		}
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return unlisted("folder, listed in part: ", err)
		case last:
			return nil
		}
	}
}

// entry gives one entry of a folder, or goes down into it.
func (w *walker) entry(name string, entry fs.DirEntry) error {
	if entry.IsDir() {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		return w.walk(name)
	}
	failure := special(entry.Type())
	if failure == nil {
		return w.give(w.below(name, diskFile{folder: w.folder, name: name}))
	}
	stamp := Stamp{}
	if info, err := entry.Info(); err == nil {
		stamp = stampOf(info)
	}
	return w.give(w.below(name, failed{*failure, stamp}))
}

// Gone reports whether no file has that path any more.
func (s *PathSource) Gone(key string) bool { return gone(key) }

var _ interface {
	Source
	Counter
	Goner
} = (*PathSource)(nil)

// tooLong is the failure of a path that no system opens.
var tooLong = hashmatch.Failure{Code: hashmatch.Unreadable, Detail: "path too long"}
