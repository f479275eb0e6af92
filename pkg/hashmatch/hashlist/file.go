package hashlist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// WriteFile writes the list, with the sections of others, as a snapshot file; ReplaceFile says how.
func WriteFile(path string, l *List, extras ...Extra) error {
	return ReplaceFile(path, func(w io.Writer) error { return Write(w, l, extras...) })
}

// ReplaceFile writes a file that only its owner can read. It is written beside path under another name, forced to disk and then renamed: at any moment path is the old file, the new one, or still absent,
// never a part of one. If it fails, what was at path is untouched (unless all that failed was to force the renaming to
// disk), and nothing is left beside it unless the process was killed: a file ".NAME.*.tmp" may then be deleted.
func ReplaceFile(path string, write func(io.Writer) error) (err error) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	file, err := os.CreateTemp(dir, "."+name+".*.tmp") // mode 0600
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			file.Close() // a second Close is harmless
			os.Remove(file.Name())
		}
	}()
	if err := write(file); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes a rename last through a power cut. Windows cannot, and does without.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	err = d.Sync()
	if err := errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// Open reads the snapshot file at path into memory of the list's own, and checks all that can be checked of it: that
// each entry is in its canonical form and at its place, and that the revision is that of the entries. Map is faster.
func Open(path string) (*List, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	l, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", path, err)
	}
	return l, nil
}
