package config

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
)

// FuzzListNames compares the names that are found with what package format takes: a list is left out by it if, and
// only if, another name is found.
func FuzzListNames(f *testing.F) {
	for _, text := range []string{
		csvHead + md5Line("1", "a", "") + md5Line("2", "b", ""),
		"\ufeff" + csvHead + md5Line("1", "a", "") + "\r\n\r\n" + md5Line("2", `" b"`, ""),
		csvHead + md5Line("1", `"a,""b"`, "") + md5Line("2", "", `"x"`) + md5Line("3", " c ", ""),
		"list,hash,kind\nb,0123456789abcdef0123456789abcdef,md5\n#a,0123456789abcdef0123456789abcdef,md5\n",
		"LIST,Hash,KIND\nb,0123456789abcdef0123456789abcdef,md5\n,0123456789abcdef0123456789abcdee,md5",
		csvHead + md5Line("1", "a\x00", "") + md5Line("2", "a", ""),
	} {
		f.Add(text, "a")
		f.Add(text, "b")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		names, err := listNames(strings.NewReader(text)) // does not panic, whatever it is
		if name == "" || name != strings.TrimSpace(name) || format.Detect([]byte(text)) != format.CSV {
			return
		}
		_, result, failure := format.Import(strings.NewReader(text), format.Options{List: name, Format: format.CSV})
		if failure != nil && !(errors.Is(failure, format.ErrEmpty) && result.OtherLists > 0) {
			return
		}
		if err != nil {
			return // it is refused then
		}
		others := slices.ContainsFunc(names, func(found string) bool { return found != name })
		if others != (result.OtherLists > 0) {
			t.Fatalf("%d lines of other lists than %q, and the names %q in %q", result.OtherLists, name, names, text)
		}
	})
}
