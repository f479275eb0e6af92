package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// A list whose file is changed in place while it is mapped has no answer: neither a match nor "no match".
func TestMatchOfAChangedList(t *testing.T) {
	list, err := config.ReadList(filepath.Join("..", "..", "testdata", "lists", "demo.csv"), "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "demo.hml")
	if err := hashlist.WriteFile(file, list); err != nil {
		t.Fatal(err)
	}
	conf := config.Public(hashmatch.Hold)
	if err := conf.AddList(config.List{Name: "demo", File: file}); err != nil {
		t.Fatal(err)
	}
	engine, err := conf.Open(t.Context(), config.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if err := engine.LoadLists(t.Context()); err != nil {
		t.Fatal(err)
	}
	surface, err := conf.Surface(conf.Declarations[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	var listed hashmatch.Hash
	for h := range list.Signatures() {
		listed = h
		break
	}
	if matches, err := findMatches(engine, surface, listed, defaultThreshold); err != nil || len(matches) == 0 {
		t.Fatalf("before: %v, %v", matches, err)
	}
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	matches, err := findMatches(engine, surface, listed, defaultThreshold)
	if served := engine.Lists().Lists()[0]; served.Err() == nil {
		if err != nil || len(matches) == 0 { // the file was read and not mapped: nothing happened to the list
			t.Fatalf("after, in memory: %v, %v", matches, err)
		}
		return
	}
	if !errors.Is(err, hashlist.ErrChanged) || matches != nil {
		t.Errorf("after: %v, %v", matches, err)
	}
}
