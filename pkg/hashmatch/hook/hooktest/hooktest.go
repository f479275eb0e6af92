// Package hooktest is the conformance suite of the upload hooks: Run sends the same uploads through a dialect in every
// state that the service can be in, and checks that only the clean ones pass.
package hooktest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// MaxBytes is the longest upload that the gates of this package decode; MaxDigestBytes the longest that they read.
const (
	MaxBytes       = 1 << 20
	MaxDigestBytes = 2 << 20
)

// Data returns the path of a file below the project's testdata folder.
func Data(t testing.TB, elements ...string) string {
	t.Helper()
	_, self, _, _ := runtime.Caller(0)
	path := filepath.Join(append([]string{filepath.Dir(self), "..", "..", "..", "..", "testdata"}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Tool returns the path of a program that stands for the real clients: one that ./test installs. Where it is absent
// the test is skipped, unless HASHMATCH_CLIENTS=required says that it must be there, as ./test does.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("HASHMATCH_CLIENTS") == "required" {
		t.Fatalf("%s is not installed: ./test installs it", name)
	}
	t.Skipf("%s is not installed: nothing was tested with it; ./test installs it", name)
	return ""
}

// Surface returns a declared surface called "uploads".
func Surface(t testing.TB) hashmatch.Surface {
	t.Helper()
	s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{
		Name: "uploads", Visibility: hashmatch.Public, Encrypted: new(false),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Engine returns the project's scanner with the synthetic demonstration list. It decodes in this process only.
func Engine(t testing.TB) *config.Engine {
	t.Helper()
	c := config.Public(hashmatch.Hold)
	c.Limits.MaxBytes, c.Limits.MaxDigestBytes = MaxBytes, MaxDigestBytes
	if err := c.AddList(config.List{Name: "demo", File: Data(t, "lists", "demo.csv")}); err != nil {
		t.Fatal(err)
	}
	engine, err := c.Open(t.Context(), config.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	if err := engine.LoadLists(t.Context()); err != nil {
		t.Fatal(err)
	}
	return engine
}

// Gate returns a gate over Engine; change may change its configuration first.
func Gate(t testing.TB, change func(*gate.Config)) *gate.Gate {
	t.Helper()
	c := gate.Config{Scanner: Engine(t).Scanner, MaxBytes: MaxBytes}
	if change != nil {
		change(&c)
	}
	g, err := gate.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// NotReady returns a gate that is not ready.
func NotReady(t testing.TB) *gate.Gate {
	return Gate(t, func(c *gate.Config) { c.Ready = func() error { return errors.New("not ready, for the test") } })
}

// Overloaded returns a gate in which every turn is taken until the test ends.
func Overloaded(t testing.TB) *gate.Gate {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	g := Gate(t, func(c *gate.Config) {
		c.Scanner, c.Concurrency, c.Queue, c.QueueTimeout = blocking{ctx}, 1, 1, 20*time.Millisecond
	})
	var taken sync.WaitGroup
	for _, size := range []int{5, MaxBytes + 1} { // those that are held in memory and those that are not have turns of their own
		taken.Go(func() {
			_, _ = g.Check(context.Background(), gate.Upload{Surface: Surface(t), Content: bytes.NewReader(make([]byte, size))})
		})
	}
	t.Cleanup(func() { stop(); taken.Wait() })
	for g.Stats().Scanning < 2 {
		time.Sleep(time.Millisecond)
	}
	return g
}

type blocking struct{ ctx context.Context }

func (b blocking) Scan(context.Context, hashmatch.Item) (hashmatch.Verdict, error) {
	<-b.ctx.Done()
	return hashmatch.Verdict{}, nil
}

// Upload is one file that every dialect must answer rightly.
type Upload struct {
	Name string
	Path string
	Pass bool // whether a service that is ready calls it clean
}

// Uploads returns the files: some clean, some listed, near, mirrored, damaged, no image, empty, too long to decode and
// too long to read.
func Uploads(t testing.TB) []Upload {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	clean, err := os.ReadFile(Data(t, "uploads", "clean-landscape.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	return []Upload{
		{"clean JPEG", Data(t, "uploads", "clean-landscape.jpg"), true},
		{"clean PNG", Data(t, "uploads", "clean-poster.png"), true},
		{"listed", Data(t, "uploads", "exact-copy.jpg"), false},
		{"near", Data(t, "uploads", "near-resized.jpg"), false},
		{"mirrored", Data(t, "uploads", "mirrored.jpg"), false},
		{"near in a frame", Data(t, "uploads", "near-frame3of4.gif"), false},
		{"truncated", Data(t, "uploads", "unreadable-truncated.jpg"), false},
		{"garbled", Data(t, "uploads", "unreadable-garbled.png"), false},
		{"no image", Data(t, "uploads", "notes.txt"), false},
		{"too long to decode", write("long.jpg", append(bytes.Clone(clean), make([]byte, MaxBytes)...)), false},
		{"too long to read", write("longer.jpg", append(bytes.Clone(clean), make([]byte, MaxDigestBytes)...)), false},
	}
}

// Run checks a dialect. start is called once for each state of the service, with the gate to serve; it starts the
// server, registers its end with t.Cleanup, and returns a function that sends the file at a path, as a client of the
// dialect does, and returns whether the client was told that it is clean. Anything else, an error or a refusal, is not
// clean.
func Run(t *testing.T, start func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(t *testing.T, path string) bool) {
	t.Helper()
	uploads := Uploads(t)
	for _, state := range []struct {
		name  string
		gate  func(testing.TB) *gate.Gate
		ready bool
	}{
		{"ready", func(t testing.TB) *gate.Gate { return Gate(t, nil) }, true},
		{"not ready", NotReady, false},
		{"overloaded", Overloaded, false},
	} {
		t.Run(state.name, func(t *testing.T) {
			g := state.gate(t)
			send := start(t, g, Surface(t))
			passed := 0
			for _, u := range uploads {
				want := u.Pass && state.ready
				if got := send(t, u.Path); got != want {
					t.Errorf("%s: passed %v, want %v", u.Name, got, want)
				}
				if want {
					passed++
				}
			}
			if state.ready && passed < 2 {
				t.Errorf("only %d uploads were to pass: the suite shows nothing", passed)
			}
		})
	}
}
