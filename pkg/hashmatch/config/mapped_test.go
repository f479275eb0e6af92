//go:build linux

package config

import (
	"bytes"
	"crypto/md5"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// A list whose file is cut off or overwritten while it is mapped makes no verdict an allow, neither of what it lists nor
// of anything else, until a sound file is loaded.
func TestFileChangedWhileServed(t *testing.T) {
	picture, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "uploads", "clean-landscape.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	innocent, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "uploads", "turned.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	listed := hashmatch.Hash{Kind: hashmatch.MD5}
	sum := md5.Sum(picture)
	copy(listed.Bits[:], sum[:])
	far := hashmatch.Hash{Kind: hashmatch.PDQ, Bits: [32]byte{0: 1, 31: 1}}
	list, err := hashlist.New(slices.Values([]hashmatch.Entry{
		{Key: hashmatch.EntryKey{ID: "a"}, Signatures: []hashmatch.Signature{{Hash: listed}}},
		{Key: hashmatch.EntryKey{ID: "b"}, Signatures: []hashmatch.Signature{{Hash: far}}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	image, ok, err := lookup.Image(t.Context(), list)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	path := filepath.Join(t.TempDir(), "list.hml")
	write := func() {
		if err := hashlist.WriteFile(path, list, image); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	write()
	c := Public(hashmatch.Hold)
	if err := c.AddList(List{Name: "list", File: path}); err != nil {
		t.Fatal(err)
	}
	engine, err := c.Open(t.Context(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	surface, err := engine.Surface("public")
	if err != nil {
		t.Fatal(err)
	}
	scan := func(content []byte) hashmatch.Verdict {
		v, err := engine.Scanner.Scan(t.Context(), hashmatch.Item{Surface: surface, Content: bytes.NewReader(content), Size: int64(len(content))})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	sound := func() {
		t.Helper()
		if err := engine.LoadLists(t.Context()); err != nil {
			t.Fatal(err)
		}
		served := engine.Lists().Lists()[0]
		if served.Built() != "" || served.Err() != nil {
			t.Fatalf("built: %q, %v", served.Built(), served.Err())
		}
		if v := scan(picture); v.Action != hashmatch.Block || len(v.Failures) != 0 {
			t.Fatalf("listed: %+v", v)
		}
		if v := scan(innocent); v.Action != hashmatch.Allow || len(v.Failures) != 0 {
			t.Fatalf("not listed: %+v", v)
		}
	}
	sound()
	inForce := engine.Lists()
	sound()
	if inForce.Lists()[0] != engine.Lists().Lists()[0] {
		t.Error("a file that has not changed was loaded again")
	}
	damage := map[string]func() error{
		"cut":     func() error { return os.Truncate(path, 0) },
		"written": func() error { return os.WriteFile(path, bytes.Repeat([]byte("x"), 8000), 0) },
	}
	for what, damage := range damage {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for _, content := range [][]byte{picture, innocent} {
				v := scan(content)
				// Not a failure, which a configuration could let pass.
				if v.Action != hashmatch.Hold || !slices.Contains(v.Notes, hashmatch.NotReady) {
					t.Errorf("%s: %+v", what, v)
				}
			}
		}
		if engine.Lists().Lists()[0].Err() == nil {
			t.Errorf("%s: the list does not say that it cannot be searched", what)
		}
		if err := engine.LoadLists(t.Context()); err == nil {
			t.Errorf("%s: the file was loaded", what)
		}
		if v := scan(innocent); v.Action == hashmatch.Allow {
			t.Errorf("%s, after a load that failed: %+v", what, v)
		}
		write()
		sound()
	}
}
