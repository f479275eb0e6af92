package quarantine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func open(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func record(item string) gate.Record {
	return gate.Record{
		Item: item, Surface: "avatars", Time: time.Unix(1_790_000_000, 0).UTC(),
		Verdict: hashmatch.Verdict{Policy: "p1", Media: hashmatch.Media{Format: "jpeg"}, Matches: []hashmatch.Match{{List: "demo", Entry: "e1", Kind: hashmatch.PDQ, Distance: 3}}},
	}
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRoundTrip(t *testing.T) {
	dir, ann, bob, eve := filepath.Join(t.TempDir(), "q"), identity(t), identity(t), identity(t)
	s := open(t, Config{Directory: dir, Recipients: []string{ann.Recipient().String(), bob.Recipient().String()}})
	for n, size := range []int{0, 1, 1000, 1 << 16, 1<<20 + 7} {
		item, content := fmt.Sprintf("item/%d\u00e9", n), bytes.Repeat([]byte("secret content "), size/15+1)[:size]
		if err := s.Store(t.Context(), record(item), content); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fileName("", "avatars", item))
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(kept, []byte("secret content")) || bytes.Contains(kept, []byte("avatars")) {
			t.Error("it can be read without a key")
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("mode %v", info.Mode())
		}
		for _, who := range []*age.X25519Identity{ann, bob} {
			var out bytes.Buffer
			header, err := Extract(&out, bytes.NewReader(kept), who)
			if err != nil || !bytes.Equal(out.Bytes(), content) || header.Item != item || header.Surface != "avatars" ||
				header.Matches[0].Entry != "e1" || header.Format != "jpeg" || !header.Time.Equal(record("").Time) {
				t.Errorf("%d bytes: %+v, %v", size, header, err)
			}
		}
		if _, err := Extract(&bytes.Buffer{}, bytes.NewReader(kept), eve); err == nil {
			t.Error("a stranger can read it")
		}
		for _, cut := range []int{0, 10, len(kept) / 2, len(kept) - 1} {
			if _, err := Extract(&bytes.Buffer{}, bytes.NewReader(kept[:cut]), ann); err == nil {
				t.Errorf("%d of %d bytes were taken for all", cut, len(kept))
			}
		}
	}
	stats := s.Stats()
	if again := open(t, s.config).Stats(); stats.Files != 5 || again != stats {
		t.Errorf("%+v, opened again %+v", stats, again)
	}
}

// The same item again takes the place of the first, and is counted once.
func TestStoreIsIdempotent(t *testing.T) {
	dir, ann := filepath.Join(t.TempDir(), "q"), identity(t)
	s := open(t, Config{Directory: dir, Recipients: []string{ann.Recipient().String()}})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := s.Store(t.Context(), record("same"), []byte("content")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	names := files(t, dir)
	info, err := os.Stat(filepath.Join(dir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	if stats := s.Stats(); len(names) != 1 || stats.Files != 1 || stats.Bytes != info.Size() {
		t.Errorf("%v, %+v, want %d bytes", names, stats, info.Size())
	}
	other := record("same")
	other.Surface = "posts"
	if err := s.Store(t.Context(), other, []byte("content")); err != nil || len(files(t, dir)) != 2 {
		t.Errorf("the same ID on another surface: %v, %v", files(t, dir), err)
	}
}

func TestFull(t *testing.T) {
	dir, ann := filepath.Join(t.TempDir(), "q"), identity(t)
	s := open(t, Config{Directory: dir, Recipients: []string{ann.Recipient().String()}, MaxBytes: 20 << 10})
	stored := 0
	for n := range 10 {
		err := s.Store(t.Context(), record(fmt.Sprint(n)), make([]byte, 5<<10))
		if err == nil {
			stored++
		} else if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	if stats := s.Stats(); stored == 0 || stored == 10 || len(files(t, dir)) != stored || stats.Files != stored || stats.Bytes > 20<<10 {
		t.Errorf("%d stored, %v, %+v", stored, files(t, dir), stats)
	}
	if err := s.Delete("", "avatars", "0"); err != nil {
		t.Fatal(err)
	}
	if err := s.Store(t.Context(), record("after"), make([]byte, 5<<10)); err != nil {
		t.Errorf("after a deletion: %v", err)
	}
}

// A directory that cannot be written to is an error, and nothing is left or counted.
func TestWriteThatFails(t *testing.T) {
	dir, ann := filepath.Join(t.TempDir(), "q"), identity(t)
	s := open(t, Config{Directory: dir, Recipients: []string{ann.Recipient().String()}})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Store(t.Context(), record("x"), []byte("content")); err == nil {
		t.Error("no error")
	}
	if stats := s.Stats(); stats != (Stats{}) {
		t.Errorf("%+v", stats)
	}
}

func TestExpiry(t *testing.T) {
	dir, ann, now := filepath.Join(t.TempDir(), "q"), identity(t), time.Now()
	s := open(t, Config{Directory: dir, Recipients: []string{ann.Recipient().String()}, Expire: time.Hour, now: func() time.Time { return now }})
	if err := s.Store(t.Context(), record("old"), []byte("content")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		files int
	}{{-24 * time.Hour, 1}, {59 * time.Minute, 1}, {61 * time.Minute, 0}} {
		now = time.Now().Add(step.after)
		s.expire()
		if got := files(t, dir); len(got) != step.files || s.Stats().Files != step.files {
			t.Errorf("after %v: %v", step.after, got)
		}
	}
	if stats := s.Stats(); stats.Bytes != 0 {
		t.Errorf("%+v", stats)
	}
}

func TestOpen(t *testing.T) {
	ann := identity(t).Recipient().String()
	dir := filepath.Join(t.TempDir(), "q")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{temporary + "123": "half", "notes.txt": "somebody's"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, Config{Directory: dir, Recipients: []string{ann}})
	if got := files(t, dir); len(got) != 1 || got[0] != "notes.txt" || s.Stats() != (Stats{}) {
		t.Errorf("%v, %+v", got, s.Stats())
	}
	loose := filepath.Join(t.TempDir(), "loose")
	if err := os.Mkdir(loose, 0o755); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Config{
		"no directory":       {Recipients: []string{ann}},
		"no recipient":       {Directory: dir},
		"recipient":          {Directory: dir, Recipients: []string{"age1nonsense"}},
		"others have access": {Directory: loose, Recipients: []string{ann}},
	} {
		if runtime.GOOS == "windows" && want == "others have access" {
			continue
		}
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func BenchmarkStore(b *testing.B) {
	s := open(b, Config{Directory: filepath.Join(b.TempDir(), "q"), Recipients: []string{identity(b).Recipient().String()}})
	content := make([]byte, 200<<10)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if err := s.Store(b.Context(), record("same"), content); err != nil {
			b.Fatal(err)
		}
	}
}
