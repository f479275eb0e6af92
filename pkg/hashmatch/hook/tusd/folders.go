package tusd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// infoSuffix is what tusd adds to an upload's ID for the file that describes it.
const infoSuffix = ".info"

// lockName is the name of the file in Held by which one process keeps others out.
const lockName = ".lock"

// folders are the store and the folder of what is held. Files go from one to the other by renaming: the content is
// neither copied nor, on the way, in both.
type folders struct {
	store, held       *os.Root
	storeDir, heldDir *os.File // the same folders, to sync and to rename within
	names             []string // by which tusd may call the store
	unlock            func()
}

// openFolders opens both folders, creates Held where it is missing, and proves that files can be renamed from one to the
// other.
func openFolders(config Config) (*folders, error) {
	store, err := realFolder(config.Store)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	held, err := heldFolder(config.Held, store)
	if err != nil {
		return nil, fmt.Errorf("held: %w", err)
	}
	f := &folders{names: []string{store}}
	if config.StoreAs != "" {
		f.names = []string{filepath.Clean(config.StoreAs)}
	} else if absolute, err := filepath.Abs(config.Store); err == nil && absolute != store {
		f.names = append(f.names, absolute)
	}
	if err := f.open(store, held); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// heldFolder returns the folder of what is held, created if it is missing.
func heldFolder(path, store string) (string, error) {
	parent, err := realFolder(filepath.Dir(filepath.Clean(path)))
	if err != nil {
		return "", err
	}
	errInside := errors.New("it must be outside of the store, and the store outside of it")
	if within(filepath.Join(parent, filepath.Base(path)), store) {
		return "", errInside
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	held, err := realFolder(path)
	if err != nil {
		return "", err
	}
	if within(held, store) || within(store, held) {
		return "", errInside
	}
	info, err := os.Stat(held)
	if err != nil {
		return "", err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("mode %#o: only its owner may have access: want 0700", info.Mode().Perm())
	}
	return held, nil
}

func (f *folders) open(store, held string) (err error) {
	if f.store, err = os.OpenRoot(store); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if f.held, err = os.OpenRoot(held); err != nil {
		return fmt.Errorf("held: %w", err)
	}
	if f.storeDir, err = f.store.Open("."); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if f.heldDir, err = f.held.Open("."); err != nil {
		return fmt.Errorf("held: %w", err)
	}
	if f.unlock, err = lockFolder(f.held); err != nil {
		return fmt.Errorf("held: %w", err)
	}
	return f.prove()
}

func realFolder(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(absolute)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(resolved)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a folder")
	}
	return resolved, err
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, string(filepath.Separator))+string(filepath.Separator))
}

// prove renames an empty file there and back: the same device is not enough, since mounts can part a file system. The
// name begins with a dot, which no upload's does.
func (f *folders) prove() error {
	name := ".hashmatch-" + rand.Text()
	file, err := f.held.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("held: %w", err)
	}
	file.Close()
	defer f.held.Remove(name)
	if err := rename(f.heldDir, f.storeDir, name, name); err != nil {
		return fmt.Errorf("held and store must be on one file system, and both must be writable: %w", err)
	}
	if err := rename(f.storeDir, f.heldDir, name, name); err != nil {
		_ = f.store.Remove(name)
		return fmt.Errorf("held and store must be on one file system, and both must be writable: %w", err)
	}
	return nil
}

func (f *folders) close() {
	if f.unlock != nil {
		f.unlock()
	}
	for _, file := range []*os.File{f.storeDir, f.heldDir} {
		if file != nil {
			file.Close()
		}
	}
	for _, root := range []*os.Root{f.store, f.held} {
		if root != nil {
			root.Close()
		}
	}
}

// errNotRegular is why a file is not moved.
var errNotRegular = errors.New("it is not a regular file")

// has reports whether there is a regular file of that name. Anything else of that name is an error.
func has(root *os.Root, name string) (bool, error) {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, bare(err)
	case !info.Mode().IsRegular():
		return false, errNotRegular
	}
	return true, nil
}

// sync makes what was renamed in both folders last.
func (f *folders) sync() error {
	return errors.Join(syncFolder(f.storeDir), syncFolder(f.heldDir))
}

func syncFolder(dir *os.File) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot be done there, and need not
	}
	return bare(dir.Sync())
}

// bare returns the reason without the name of the file: the log names uploads by their item IDs only.
func bare(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	case errors.As(err, &link):
		return fmt.Errorf("%s: %w", link.Op, link.Err)
	}
	return err
}
