package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

func TestDocIsTheDefault(t *testing.T) {
	got, err := Parse([]byte(Doc()))
	if err != nil {
		t.Fatal(err)
	}
	if want := Default(); !reflect.DeepEqual(got, want) {
		t.Errorf("the documentation reads as\n%+v\nwant the default\n%+v", got, want)
	}
	uncommented := regexp.MustCompile(`(?m)^#([^ ]| {2,})`).ReplaceAllString(Doc(), "$1")
	example, err := Parse([]byte(uncommented))
	if err != nil {
		t.Fatalf("the example behind the signs is refused: %v", err)
	}
	if want := Example(); len(example.Declarations) != len(want.Declarations) || len(example.Lists) != len(want.Lists) {
		t.Errorf("the example declares %d surfaces and %d lists", len(example.Declarations), len(example.Lists))
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	n := 0
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || !strings.HasSuffix(typ.PkgPath(), "/config") {
			return
		}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
			if name != "" {
				n++
				if !regexp.MustCompile(`(?m)^#? *(- )?` + name + `:`).MatchString(Doc()) {
					t.Errorf("%s.%s: the key %q is not in the documentation", typ.Name(), typ.Field(i).Name, name)
				}
			}
			walk(typ.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[Config]())
	if n < 30 {
		t.Fatalf("%d keys seen", n)
	}
}

func TestPrintReadsBack(t *testing.T) {
	for _, c := range []*Config{Default(), Public(hashmatch.Allow), Public(hashmatch.Block)} {
		var text bytes.Buffer
		if err := c.Print(&text); err != nil {
			t.Fatal(err)
		}
		back, err := Parse(text.Bytes())
		if err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%v\n%s", err, text.String())
		}
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	surface := "surfaces:\n  - name: s\n    visibility: public\n    encrypted: false\n    not_image: hold\n"
	if _, err := Parse([]byte(surface)); err != nil {
		t.Fatalf("the surface that the cases change is itself refused: %v", err)
	}
	for text, want := range map[string]string{
		"":                                    "nothing is stated",
		"decryption_key: x\n":                 `unknown key "decryption_key"`,
		"limits:\n  timeout: 10s\n  key: 1\n": `unknown key "key"`,
		"limits: {timeout: 10s}\nlimits: {timeout: 5s}\n":                            "",
		"limits:\n  timeout: fast\n":                                                 "fast",
		"limits:\n  max_pixels: -1\n":                                                "limits.max_pixels",
		"---\nlimits: {timeout: 1s}\n---\nlimits: {timeout: 2s}\n":                   "second document",
		"limits: &a {timeout: 1s}\nworkers: *a\n":                                    "anchors",
		"failures:\n  corrupted: hold\n":                                             "corrupted",
		"failures:\n  corrupt: maybe\n":                                              "maybe",
		"notes:\n  not_ready: allow\n":                                               "not_ready",
		"notes:\n  overloaded: allow\n":                                              "overloaded",
		strings.Replace(surface, "public", "private", 1):                             "not declared public",
		strings.Replace(surface, "encrypted: false", "encrypted: true", 1):           "is encrypted",
		strings.Replace(surface, "    encrypted: false\n", "", 1):                    "encrypted",
		strings.Replace(surface, "    visibility: public\n", "", 1):                  "visibility",
		strings.Replace(surface, "    not_image: hold\n", "", 1):                     "not_image",
		surface + "lists:\n  - {name: a, file: a.csv, thresholds: {pdq: 300}}\n":     "want 0 to",
		surface + "lists:\n  - {name: a, file: a.csv}\n  - {name: a, file: b.csv}\n": "another list has this name",
		surface + "lists:\n  - {name: a, file: a.csv, quality_floor: 101}\n":         "quality_floor",
		surface + "lists:\n  - {name: a, file: a.csv, kinds: [photodna]}\n":          "photodna",
		"x: " + strings.Repeat("[", 1000):                                            "nested too deep",
		strings.Repeat("# \n", MaxBytes):                                             "longer than",
		"limits:\x00":                                                                "U+0000",
		"limits: \xff":                                                               "not UTF-8",
	} {
		c, err := Parse([]byte(text))
		if err == nil || c != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, %v; want an error with %q", text, c, err, want)
		}
	}
	_, err := Parse([]byte(strings.Replace(surface, "public", "private", 1)))
	if !errors.Is(err, hashmatch.ErrSurfaceRefused) {
		t.Errorf("%v does not wrap ErrSurfaceRefused", err)
	}
}

func TestSurfacesAreOnlyThoseDeclared(t *testing.T) {
	c := Public(hashmatch.Hold)
	s, err := c.Surface("public")
	if err != nil || !s.Declared() {
		t.Fatal(err)
	}
	if s, err := c.Surface("messages"); !errors.Is(err, hashmatch.ErrSurfaceRefused) || s.Declared() {
		t.Errorf("an undeclared surface: %v, %v", s, err)
	}
}

func TestCheckWarnsOfWhatFailsOpen(t *testing.T) {
	c, err := Parse([]byte("surfaces:\n  - {name: s, visibility: public, encrypted: false, not_image: hold}\n" +
		"lists:\n  - {name: a, file: missing.csv, thresholds: {pdq: 60}}\nfailures:\n  corrupt: allow\n"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, w := range c.Check() {
		all.WriteString(w.String() + "\n")
	}
	for _, want := range []string{"corrupt", "60", "missing.csv"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no warning of %q in:\n%s", want, all.String())
		}
	}
	if w := Public(hashmatch.Hold).Check(); len(w) > 1 {
		t.Errorf("the defaults are warned of: %v", w)
	}
}

// A list that cannot be read, or holds nothing, leaves what was in force in force.
func TestLoadListsIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const header = "entry,kind,hash,list,label,status\n"
	good := write("good.csv", header+"a,md5,0123456789abcdef0123456789abcdef,,,\n")
	c := Public(hashmatch.Hold)
	if err := c.AddList(List{Name: "good", File: good}); err != nil {
		t.Fatal(err)
	}
	if err := c.AddList(List{Name: "good", File: good}); err == nil || len(c.Lists) != 1 {
		t.Errorf("two lists of one name: %v, %d lists", err, len(c.Lists))
	}
	engine, err := c.Open(t.Context(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	surface, err := c.Surface("public")
	if err != nil {
		t.Fatal(err)
	}
	scan := func() hashmatch.Verdict {
		v, err := engine.Scanner.Scan(t.Context(), hashmatch.Item{Surface: surface, Content: strings.NewReader("not an image")})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := scan(); v.Action == hashmatch.Allow || len(v.Notes) != 1 || v.Notes[0] != hashmatch.NotReady {
		t.Errorf("without lists: %+v", v)
	}
	if err := engine.LoadLists(t.Context()); err != nil {
		t.Fatal(err)
	}
	revision := scan().Revisions["good"]
	if revision == "" {
		t.Fatal("the verdict names no revision")
	}
	for _, text := range []string{"", header, header + "a,,,,,withdrawn\n", header + "a,md5,01,,,\n", "\x89HML\r\n\x1a\nxxxx"} {
		write("good.csv", text)
		if err := engine.LoadLists(t.Context()); err == nil || !strings.Contains(err.Error(), `list "good"`) {
			t.Errorf("%q was loaded: %v", text, err)
		}
		if got := scan().Revisions["good"]; got != revision {
			t.Errorf("after %q the revision is %q, want %q", text, got, revision)
		}
	}
	write("good.csv", header+"a,,,,,withdrawn\n")
	if err := engine.LoadLists(t.Context()); !errors.Is(err, lookup.ErrEmptyList) {
		t.Errorf("a list of withdrawn entries: %v", err)
	}
	empty, err := Public(hashmatch.Hold).Open(t.Context(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if err := empty.LoadLists(t.Context()); err == nil {
		t.Error("no list at all was loaded")
	}
}

// What can never match would call everything clean: it is refused before it is in force.
func TestListsThatCanNeverMatchAreRefused(t *testing.T) {
	dir := t.TempDir()
	text := "entry,kind,hash,list,label,status\na,md5,0123456789abcdef0123456789abcdef,,,\n"
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "suspended.csv"), []byte(strings.Replace(text, ",,,\n", ",,,suspended\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := ReadList(filepath.Join(dir, "a.csv"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := hashlist.WriteFile(filepath.Join(dir, "known.hml"), known.WithInfo(hashlist.Info{Source: format.NSRL.String()})); err != nil {
		t.Fatal(err)
	}
	const surface = "surfaces:\n  - {name: s, visibility: public, encrypted: false, not_image: allow}\nlists:\n"
	for lists, want := range map[string]string{
		"  - {name: a, file: a.csv}\n":                                              "",
		"  - {name: a, file: a.csv}\n  - {name: b, file: a.csv, role: allow}\n":     "",
		"  - {name: a, file: a.csv, kinds: [pdq]}\n":                                "it can never match",
		"  - {name: a, file: a.csv}\n  - {name: b, file: a.csv, kinds: [pdq]}\n":    `list "b"`,
		"  - {name: a, file: a.csv, role: allow}\n":                                 "every list is an allow-list",
		"  - {name: a, file: suspended.csv}\n":                                      "are suspended",
		"  - {name: a, file: known.hml}\n":                                          "its role can only be allow",
		"  - {name: a, file: a.csv}\n  - {name: b, file: known.hml, role: allow}\n": "",
	} {
		path := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(path, []byte(surface+lists), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		engine, err := c.Open(t.Context(), OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = engine.LoadLists(t.Context())
		switch {
		case want == "" && (err != nil || engine.Lists() == nil):
			t.Errorf("%s: refused: %v", lists, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || engine.Lists() != nil):
			t.Errorf("%s: got %v, in force %v; want an error with %q", lists, err, engine.Lists() != nil, want)
		}
		_ = engine.Close()
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("surfaces:\n  - {name: s, visibility: public, encrypted: false, not_image: hold}\n"))
	f.Add([]byte("limits: {max_bytes: 1KiB, timeout: 1s}\nfailures: {corrupt: allow}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<12 {
			return
		}
		c, err := Parse(text)
		if (err == nil) == (c == nil) {
			t.Fatalf("got %v, %v", c, err)
		}
		if err != nil {
			return
		}
		for _, d := range c.Declarations { // no text makes a surface that may not be scanned
			if s, err := c.Surface(d.Name); err != nil || !s.Declared() || d.Visibility != hashmatch.Public || *d.Encrypted {
				t.Fatalf("surface %q: %v", d.Name, err)
			}
		}
	})
}
