package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const csvHead = "entry,kind,hash,list,label,status\n"

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func md5Line(entry, list, label string) string {
	return entry + ",md5,0123456789abcdef0123456789abcde" + entry + "," + list + "," + label + ",\n"
}

// TestCheckLists states one list of each kind of trouble.
func TestCheckLists(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"old.csv": csvHead + md5Line("1", "", "seen"), "bad.csv": csvHead + "x,md5,00,,,\n", "several.csv": csvHead + md5Line("1", "a", "") + md5Line("2", "b", ""),
		"gone.csv": csvHead + "gone,,,,,withdrawn\n", "good.csv": csvHead + md5Line("1", "x", "seen"),
		"c.yaml": `
surfaces: [{name: s, visibility: public, encrypted: false, not_image: hold}]
defaults: {labels: {everywhere: {actions: {near: hold}}}}
lists:
  - {name: old, file: old.csv, max_age: 1h, labels: {seen: {actions: {exact: hold}}, never: {actions: {exact: hold}}}}
  - {name: bad, file: bad.csv}
  - {name: a, file: several.csv, kinds: [md5, pdq]}
  - {name: other, file: several.csv}
  - {name: gone, file: gone.csv}
  - {name: never, file: good.csv, kinds: [pdq]}
  - {name: good, file: good.csv, max_age: 1000h}
  - {name: missing, file: missing.csv}
`})
	c, err := Load(filepath.Join(dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.CheckLists(t.Context(), time.Now().Add(2*time.Hour)) {
		line := w.String()
		if w.Fatal {
			line = "fatal: " + line
		}
		got = append(got, line)
	}
	want := []string{
		`lists[0] "old": labels.never: no entry of the list has this label`,
		`fatal: lists[0] "old": max_age: 1h: the list is 2h`,
		`fatal: lists[1] "bad": file: line 2: md5: 2 hex digits, want 32`,
		`lists[2] "a": kinds: pdq: the list holds no such hash`,
		`fatal: lists[3] "other": file: no entry in it: 2 lines of other lists than "other"; it holds the lists "a", "b"`,
		`fatal: lists[4] "gone": file: nothing to search in it`,
		`fatal: lists[5] "never": kinds: it holds [md5], and [pdq] are searched: it can never match`,
	}
	if len(got) != len(want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	c.Lists = []List{c.Lists[0], c.Lists[6]}
	w := c.CheckLists(t.Context(), time.Now())
	if last := w[len(w)-1].String(); last != "defaults.labels.everywhere: no entry of any list has this label" {
		t.Errorf("the last warning is %s", last)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w := c.CheckLists(ctx, time.Now()); len(w) != 0 {
		t.Errorf("%d warnings of a check that was called off", len(w))
	}
}

// TestEveryListOfAFileIsTaken loads a text of several lists with the names that are searched.
func TestEveryListOfAFileIsTaken(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"l.csv": "\ufeff" + csvHead + md5Line("1", "a", "") + "\n#" + md5Line("2", `"b"`, "x;y") + md5Line("3", "", ""),
		"m.csv": csvHead + md5Line("4", "a", ""),
	})
	for _, c := range []struct {
		lists string // NAME=FILE, between spaces
		wrong string // part of the error; "" for none
	}{
		{"a=l.csv b=l.csv", ""},
		{"a=l.csv", `holds the lists "a", "b", and nothing searches "b"`},
		{"b=l.csv other=m.csv", `nothing searches "a"`},
		{"b=l.csv a=m.csv", `nothing searches "a"`}, // that name, but not that file
		{"c=l.csv a=l.csv b=l.csv", ""},             // the line that names no list is of each
		{"any=m.csv", ""},
		{"c=l.csv b=l.csv", `nothing searches "a"`},
	} {
		public := Public(0)
		for _, list := range strings.Fields(c.lists) {
			name, file, _ := strings.Cut(list, "=")
			if err := public.AddList(List{Name: name, File: filepath.Join(dir, file)}); err != nil {
				t.Fatal(err)
			}
		}
		engine, err := public.Open(t.Context(), OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = engine.LoadLists(t.Context())
		engine.Close()
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: %v, want %q", c.lists, err, c.wrong)
		}
	}
	if _, err := ReadList(filepath.Join(dir, "l.csv"), ""); err == nil || !strings.Contains(err.Error(), `they are "a", "b"`) {
		t.Error(err)
	}
}
