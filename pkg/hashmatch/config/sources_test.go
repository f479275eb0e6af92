package config

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Rules for sources come from the file into the verdict; a list of which nothing would be acted on is refused, and a
// source that no entry has is warned of.
func TestSourcesOfAList(t *testing.T) {
	folder := t.TempDir()
	list := "entry,kind,hash,list,label,status\nx/1/a,md5,5d41402abc4b2a76b9719d911017c592,,,\ny/1/b,md5,7d793037a0760186574b0282f2f435e7,,,\n"
	if err := os.WriteFile(filepath.Join(folder, "l.csv"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(rules string) (*Config, error) {
		path := filepath.Join(folder, "c.yaml")
		text := surface + "lists:\n  - {name: l, file: l.csv, sources: {" + rules + "}}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Open(t.Context(), OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if err := e.LoadLists(t.Context()); err != nil {
			return c, err
		}
		for text, want := range map[string]hashmatch.Action{"hello": hashmatch.Allow, "world": hashmatch.Hold} {
			s, err := e.Surface("s")
			if err != nil {
				t.Fatal(err)
			}
			verdict, err := e.Scanner.Scan(context.Background(), hashmatch.Item{ID: text, Surface: s, Content: strings.NewReader(text)})
			if err != nil {
				t.Fatal(err)
			}
			got := hashmatch.Block
			for _, m := range verdict.Matches {
				got = m.Action
			}
			if len(verdict.Matches) != 1 || strings.Contains(rules, "x: {trust: none}") && got != want {
				t.Errorf("%s, %s: %v, %+v", rules, text, got, verdict)
			}
		}
		return c, nil
	}
	c, err := open("x: {trust: none}, y: {min_votes: 1}, z: {trust: full}")
	if err != nil {
		t.Fatal(err)
	}
	warnings := append(c.Check(), c.CheckLists(t.Context(), time.Now())...)
	for _, want := range []string{"sources.z: no entry of the list is of this source", "sources.x.trust: none: what it lists is reported, and published"} {
		if !slices.ContainsFunc(warnings, func(w Warning) bool { return strings.Contains(w.Where+": "+w.Text, want) }) {
			t.Errorf("no warning %q in %v", want, warnings)
		}
	}
	const refusal = "all of its entries in force are of sources with trust none"
	c, err = open("x: {trust: none}, y: {trust: none}")
	if err == nil || !strings.Contains(err.Error(), refusal) {
		t.Errorf("a list of which nothing is acted on: %v", err)
	}
	if !slices.ContainsFunc(c.CheckLists(t.Context(), time.Now()), func(w Warning) bool { return w.Fatal && strings.Contains(w.Text, refusal) }) {
		t.Error("config check says nothing of it")
	}
}
