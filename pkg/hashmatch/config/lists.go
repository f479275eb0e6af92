package config

import (
	"errors"
	"os"
	"slices"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
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
// format tells apart. The name matters for text that holds several lists only. A bad line is an error.
func ReadList(path, name string) (*hashlist.List, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, err
	}
	list, err := hashlist.Open(path)
	if !errors.Is(err, hashlist.ErrNotSnapshot) {
		return list, err
	}
	list, err = readText(path, "")
	if errors.Is(err, format.ErrSeveralLists) {
		list, err = readText(path, name)
	}
	return list, err
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
