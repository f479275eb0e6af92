package lookup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/index"
)

// The section of a snapshot file in which the index over its list stands.
const indexSection = "INDX"

// ImageFrom is the number of hashes from which a list's snapshot should have its index with it: with fewer, building
// the index takes less than a fifth of a second.
const ImageFrom = 100_000

// Image builds the index of a list and returns it as a section for the list's snapshot file, so that ServeSnapshot need
// not build it again. The file takes 116 bytes more for each PDQ hash, see package index. ok is false where there can be
// none: for a list without a hash to search, and on a machine with another byte order than the file's.
func Image(ctx context.Context, list *hashlist.List) (extra hashlist.Extra, ok bool, err error) {
	built, err := build(ctx, list)
	if err != nil {
		return hashlist.Extra{}, false, err
	}
	parts := built.Image(list.Revision(), list.Len())
	return hashlist.Extra{Name: indexSection, Parts: parts}, parts != nil, nil
}

// Hashes returns the number of hashes of a list that its index would hold.
func Hashes(list *hashlist.List) int {
	n := 0
	for _, count := range list.Counts() {
		n += count
	}
	return n
}

// build is index.Build for a list that may be mapped from a file: a change of the file is an error.
func build(ctx context.Context, list *hashlist.List) (x *index.Index, err error) {
	defer recoverChanged(&err)
	return index.Build(ctx, list.Signatures(), index.Options{})
}

// recoverChanged is deferred to make an error of what a mapped list panics with. Other panics pass.
func recoverChanged(err *error) {
	if r := recover(); r != nil {
		changed, ok := r.(error)
		if !ok || !errors.Is(changed, hashlist.ErrChanged) {
			panic(r)
		}
		*err = changed
	}
}

// ServeSnapshot makes an opened snapshot ready to be searched, as Serve does of a list: with the index that its file
// has, or, where it has none that can be used, with one that is built; Built says which. It looks up a few of the list's
// own hashes before it takes an index from a file.
func ServeSnapshot(ctx context.Context, name string, snapshot *hashlist.Snapshot) (*Served, error) {
	list := snapshot.List()
	reason := "the snapshot has no index with it"
	if image := snapshot.Extra(indexSection); len(image) > 0 {
		opened, err := index.OpenImage(ctx, image, list.Revision(), list.Len(), snapshot.Memory())
		if err == nil {
			err = sample(opened, list)
		}
		switch {
		case err == nil:
			return &Served{name: name, entries: list, index: opened, memory: snapshot.Memory(), opaque: new(opaqueIndex)}, nil
		case !errors.Is(err, index.ErrImage):
			return nil, fmt.Errorf("list %q: %w", name, err)
		}
		reason = err.Error()
	}
	served, err := Serve(ctx, name, list)
	if err != nil {
		return nil, err
	}
	served.memory, served.built = snapshot.Memory(), reason
	return served, nil
}

// sample looks for some of the list's entries in an index that comes from a file.
func sample(x *index.Index, list *hashlist.List) (err error) {
	defer recoverChanged(&err)
	if x.Kinds() != list.Kinds() {
		return fmt.Errorf("%w: it holds other kinds of hashes than the list", index.ErrImage)
	}
	const entries = 64
	n := list.Len()
	for i := range min(n, entries) {
		ordinal := uint32(uint64(i) * uint64(n) / uint64(min(n, entries)))
		for _, signature := range list.Entry(ordinal).Signatures {
			if signature.Scheme != "" {
				continue
			}
			hits := x.Search(nil, signature.Hash, 0)
			if len(hits) != 1 || !slices.Contains(hits[0].Entries, ordinal) {
				return fmt.Errorf("%w: it does not find the list's hashes", index.ErrImage)
			}
		}
	}
	return nil
}

// Built says why the index was built and not taken from the list's file; "" if it was taken from there.
func (s *Served) Built() string { return s.built }

// Err returns why the list cannot be searched any more: hashlist.ErrChanged, once its file was changed in place while
// it was mapped. Every search panics with it then. nil: it can be searched.
func (s *Served) Err() error {
	if err := s.memory.Err(); err != nil {
		return err
	}
	return s.entries.Err()
}
