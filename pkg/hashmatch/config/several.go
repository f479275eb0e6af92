package config

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// maxListNames is how many lists a text is taken to hold: beyond it the column holds something else.
const maxListNames = 1000

// listNamesOf is listNames of a file.
func listNamesOf(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return listNames(file)
}

// listNames returns the names in the column "list" of a CSV that package format takes, sorted. It holds a line at a
// time.
func listNames(text io.Reader) ([]string, error) {
	r := bufio.NewReaderSize(text, 1<<16)
	names, column := map[string]bool{}, -1
	for first := true; ; first = false {
		line, err := r.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		if first {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			fields := strings.Split(string(line), ",")
			if bytes.IndexByte(line, '"') >= 0 {
				if fields, err = csv.NewReader(bytes.NewReader(line)).Read(); err != nil {
					return nil, fmt.Errorf("the names of its lists: %w", err)
				}
			}
			switch {
			case column < 0:
				column = slices.IndexFunc(fields, func(f string) bool { return strings.EqualFold(strings.TrimSpace(f), "list") })
				if column < 0 {
					return nil, errors.New("it holds several lists, and no column says which")
				}
			case column < len(fields):
				if name := strings.TrimSpace(fields[column]); name != "" {
					names[name] = true
				}
			}
		}
		if len(names) > maxListNames {
			return nil, fmt.Errorf("it holds more than %d lists", maxListNames)
		}
		if err == io.EOF {
			return slices.Sorted(maps.Keys(names)), nil
		}
	}
}

// checkTaken returns an error if a text holds a list that no list of the configuration with that file has the name of:
// it would not be searched, and nobody would know.
func checkTaken(lists []List, files map[string]loaded) error {
	for _, l := range lists {
		file := files[l.Name]
		left := map[string]bool{}
		for _, name := range file.holds {
			left[name] = true
		}
		for _, other := range lists {
			if os.SameFile(file.info, files[other.Name].info) {
				delete(left, other.Name)
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("list %q: %s holds the lists %s, and nothing searches %s: state a list with that file for each, under its name",
				l.Name, l.File, quoted(file.holds), quoted(slices.Sorted(maps.Keys(left))))
		}
	}
	return nil
}

// quoted returns names for people, a dozen at most.
func quoted(names []string) string {
	const most = 12
	var parts []string
	for _, name := range names[:min(len(names), most)] {
		parts = append(parts, fmt.Sprintf("%q", name))
	}
	text := strings.Join(parts, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
