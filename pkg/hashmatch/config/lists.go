package config

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
)

// AddList adds a list to those of the configuration, with the rules that it states and the defaults for the rest. An
// error names what is wrong and leaves c as it was.
func (c *Config) AddList(l List) error {
	extended := *c
	extended.Lists = append(slices.Clone(c.Lists), l)
	if failure := extended.complete(); failure != nil {
		return failure
	}
	*c = extended
	return nil
}

// ReadList reads the list of the given name from a file: a snapshot, or text in one of the formats that package
// format tells apart. The name matters for text that holds several lists only: those lines are read that have it, and
// those that have none. A bad line is an error.
func ReadList(path, name string) (*hashlist.List, error) {
	list, _, err := readList(path, name, seal.Reading{})
	return list, err
}

// ReadSealedList is ReadList for a file that may be an encrypted snapshot, and has to be what reading wants it to be.
func ReadSealedList(path, name string, reading seal.Reading) (*hashlist.List, error) {
	list, _, err := readList(path, name, reading)
	return list, err
}

// readList is ReadList. Of text that holds several lists it returns the names of all of them.
func readList(path, name string, reading seal.Reading) (list *hashlist.List, holds []string, err error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, nil, err
	}
	encrypted, err := seal.Encrypted(path)
	if err != nil {
		return nil, nil, err
	}
	if encrypted || len(reading.Trust) > 0 {
		snapshot, _, err := seal.Open(path, reading)
		if err != nil {
			return nil, nil, notSnapshot(reading, err)
		}
		return snapshot.List(), nil, nil
	}
	list, err = hashlist.Open(path)
	if !errors.Is(err, hashlist.ErrNotSnapshot) {
		return list, nil, err
	}
	list, err = readText(path, "")
	if !errors.Is(err, format.ErrSeveralLists) {
		return list, nil, err
	}
	several := err
	if holds, err = listNamesOf(path); err != nil {
		return nil, nil, err
	}
	if name == "" {
		return nil, nil, fmt.Errorf("%w; they are %s", several, quoted(holds))
	}
	if list, err = readText(path, name); errors.Is(err, format.ErrEmpty) {
		err = fmt.Errorf("%w; it holds the lists %s", err, quoted(holds))
	}
	return list, holds, err
}

func readText(path, name string) (*hashlist.List, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	list, _, err := format.Import(file, format.Options{List: name})
	return list, err
}
