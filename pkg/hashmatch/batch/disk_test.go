//go:build linux

package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.org/hashmatch/pkg/hashmatch"
)

// scanPaths runs a source and returns its results.
func scanPaths(t *testing.T, source Source) *collector {
	t.Helper()
	c := &collector{t: t}
	if _, err := Run(t.Context(), Config{Source: source, Scanner: &readScanner{}, Surface: testSurface, Results: c}); err != nil {
		t.Fatal(err)
	}
	return c
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	outside := t.TempDir()
	write(t, outside+"/secret.png", "picture")
	write(t, dir+"/a.png", "picture")
	write(t, dir+"/new\nline.png", "picture")
	write(t, dir+"/bad\xff\xfeutf8.png", "picture")
	write(t, dir+"/ctrl\x1b[2J.png", "picture")
	write(t, dir+"/empty", "")
	symlink(t, "a.png", dir+"/link")
	symlink(t, outside, dir+"/linkdir")
	symlink(t, "loop", dir+"/loop")
	symlink(t, "gone", dir+"/dangling")
	if err := unix.Mkfifo(dir+"/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	c := scanPaths(t, Paths(dir))
	for _, name := range []string{"a.png", "new\nline.png", "bad\xff\xfeutf8.png", "ctrl\x1b[2J.png", "empty"} {
		if r, ok := c.results[dir+"/"+name]; !ok || r.Verdict.Action != hashmatch.Allow {
			t.Errorf("%q: %+v", name, r)
		}
	}
	want := map[string]string{
		"link": "symbolic link, not followed", "linkdir": "symbolic link, not followed",
		"loop": "symbolic link, not followed", "dangling": "symbolic link, not followed",
		"fifo": "named pipe", "socket": "socket",
	}
	for name, detail := range want {
		if got := c.failure(dir + "/" + name); got != "unreadable: "+detail {
			t.Errorf("%s: %s", name, got)
		}
	}
	if len(c.results) != 11 {
		t.Errorf("%d results, want 11", len(c.results))
	}

	var named []string // the same, each named itself
	for name := range want {
		named = append(named, dir+"/"+name)
	}
	named = append(named, "/dev/null", dir+"/gone", dir+"/a.png/below")
	want["/dev/null"], want["gone"], want["a.png/below"] = "device", "no such file or directory", "not a directory"
	for _, source := range []Source{Paths(named...), Lines(strings.NewReader(strings.Join(named, "\n")))} {
		c = scanPaths(t, source)
		if len(c.results) != len(named) {
			t.Errorf("%d results, want %d", len(c.results), len(named))
		}
		for name, detail := range want {
			if !filepath.IsAbs(name) {
				name = dir + "/" + name
			}
			if got := c.failure(name); got != "unreadable: "+detail {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

func TestFollowLinks(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, outside+"/a.png", "picture")
	symlink(t, "a.png", outside+"/inner")
	symlink(t, outside, dir+"/folder")
	symlink(t, outside+"/a.png", dir+"/file")
	source := Paths(dir+"/folder", dir+"/file")
	source.FollowLinks = true
	c := scanPaths(t, source)
	if len(c.results) != 3 || c.results[dir+"/folder/a.png"].Verdict.Action != hashmatch.Allow ||
		c.results[dir+"/file"].Verdict.Action != hashmatch.Allow {
		t.Errorf("results %v", c.results)
	}
	if got := c.failure(dir + "/folder/inner"); got != "unreadable: symbolic link, not followed" {
		t.Error(got)
	}
	if c := scanPaths(t, Paths(dir+"/folder/")); len(c.results) != 2 {
		t.Errorf("a name that ends in a slash: %v", c.results)
	}
}

// unprivileged runs f on a thread that may not read what belongs to root only.
func unprivileged(t *testing.T, f func()) {
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
			t.Error(errno)
			return
		}
		f()
	}()
	<-done
}

func TestWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/a.png", "picture")
	write(t, dir+"/b.png", "picture")
	write(t, dir+"/closed/c.png", "picture")
	write(t, dir+"/open/d.png", "picture")
	chmod := func(path string, mode os.FileMode) {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(dir+"/b.png", 0)
	chmod(dir+"/closed", 0)
	t.Cleanup(func() { chmod(dir+"/closed", 0o755) })

	got := map[string]string{}
	unprivileged(t, func() {
		for _, source := range []*PathSource{Paths(dir), Paths(dir + "/closed")} {
			if err := source.Files(context.Background(), func(f File) error {
				r, stamp, err := f.Content.Open()
				name, _ := filepath.Rel(dir, f.Path)
				got[name] = fmt.Sprint(err)
				if err == nil {
					r.Close()
				} else if stamp == (Stamp{}) || stamp != f.Content.Stat() {
					t.Errorf("%s: stamp %+v, then %+v", name, stamp, f.Content.Stat())
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
	})
	want := map[string]string{
		"a.png": "<nil>", "open/d.png": "<nil>",
		"b.png": "unreadable: permission denied", "closed": "unreadable: folder: permission denied",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestChanges has a file changed between its first read and its end, in every way there is.
func TestChanges(t *testing.T) {
	cases := map[string]struct {
		change func(t *testing.T, path string)
		want   string
	}{
		"nothing": {func(*testing.T, string) {}, "EOF"},
		"grown": {func(t *testing.T, path string) { write(t, path, strings.Repeat("y", 200)) },
			"changed_while_read: from 100 to 200 bytes"},
		"shrunk": {func(t *testing.T, path string) { write(t, path, "y") }, "changed_while_read: from 100 to 1 bytes"},
		"rewritten": {func(t *testing.T, path string) {
			write(t, path, strings.Repeat("y", 100))
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(path, later, later); err != nil {
				t.Fatal(err)
			}
		}, "changed_while_read: written to"},
		"removed": {func(t *testing.T, path string) { os.Remove(path) }, "changed_while_read: removed"},
		"replaced": {func(t *testing.T, path string) {
			if err := os.Rename(write(t, path+".new", strings.Repeat("y", 100)), path); err != nil {
				t.Fatal(err)
			}
		}, "changed_while_read: replaced"},
	}
	for name, c := range cases {
		for _, below := range []bool{false, true} {
			dir := t.TempDir()
			path := write(t, dir+"/a.png", strings.Repeat("x", 100))
			file := diskFile{name: path}
			if below {
				file = diskFile{folder: dir, name: "a.png"}
			}
			r, stamp, err := file.Open()
			if err != nil || stamp.Size != 100 {
				t.Fatal(stamp, err)
			}
			if _, err := r.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			c.change(t, path)
			for err == nil {
				_, err = r.Read(make([]byte, 64))
			}
			if err.Error() != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
			r.Close()
		}
	}
}

func TestSwappedForLinkOrPipe(t *testing.T) {
	outside := t.TempDir()
	write(t, outside+"/sub/a.png", "secret")
	swap := map[string]func(path string) error{
		"link out": func(path string) error { return os.Symlink(outside+"/sub/a.png", path) },
		"pipe":     func(path string) error { return unix.Mkfifo(path, 0o644) },
		"gone":     func(string) error { return nil },
		"folder":   func(path string) error { return os.Mkdir(path, 0o755) },
	}
	for name, put := range swap {
		dir := t.TempDir()
		path := write(t, dir+"/sub/a.png", "picture")
		var files []File
		if err := Paths(dir).Files(t.Context(), func(f File) error { files = append(files, f); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(files) != 1 {
			t.Fatal(files)
		}
		os.Remove(path)
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		if _, _, err := files[0].Content.Open(); err == nil {
			t.Errorf("%s: opened", name)
		}
		// The folder itself is exchanged for a link out of the tree.
		if err := os.RemoveAll(dir + "/sub"); err != nil {
			t.Fatal(err)
		}
		symlink(t, outside+"/sub", dir+"/sub")
		if _, _, err := files[0].Content.Open(); err == nil {
			t.Errorf("%s: led out of the folder", name)
		}
	}
}

// stubScanner is the real Scanner with stages that find nothing.
func stubScanner(t *testing.T) *hashmatch.Scanner {
	s, err := hashmatch.NewScanner(hashmatch.Config{
		Digester: stubStages{}, Decoder: stubStages{}, Hashers: []hashmatch.Hasher{stubStages{}},
		Rules: func() (hashmatch.Lists, hashmatch.Policy) { return nil, stubStages{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type stubStages struct{}

func (stubStages) Digest(r io.Reader, w io.Writer, _ hashmatch.KindSet) ([]hashmatch.Hash, int64, error) {
	n, err := io.Copy(w, r)
	return nil, n, err
}
func (stubStages) Decode(context.Context, []byte, func(*hashmatch.Frame) error) (hashmatch.Media, []hashmatch.Failure) {
	return hashmatch.Media{}, nil
}
func (stubStages) Probe([]byte) (hashmatch.Media, []hashmatch.Failure) {
	return hashmatch.Media{}, nil
}
func (stubStages) Kinds() hashmatch.KindSet { return hashmatch.SetOf(hashmatch.PDQ) }
func (stubStages) Hash(dst []hashmatch.FrameHash, _ *hashmatch.Frame, _, _ hashmatch.KindSet) ([]hashmatch.FrameHash, error) {
	return dst, nil
}
func (stubStages) Revision() string                                             { return "p1" }
func (stubStages) Reach(hashmatch.Surface, string, hashmatch.Kind, int) int     { return -1 }
func (stubStages) Dihedral(hashmatch.Surface) hashmatch.KindSet                 { return 0 }
func (stubStages) Exact(hashmatch.Surface) bool                                 { return true }
func (stubStages) Profile(hashmatch.Surface) hashmatch.Profile                  { return hashmatch.Plain }
func (stubStages) ViewReach(hashmatch.Surface, string, hashmatch.Kind, int) int { return -1 }
func (stubStages) Decide(hashmatch.Findings) (decision hashmatch.Decision)      { return }

// TestRealScanner has a sparse file of 100 GB end early, and the failures of sources keep their codes.
func TestRealScanner(t *testing.T) {
	dir := t.TempDir()
	sparse := write(t, dir+"/sparse", "")
	if err := os.Truncate(sparse, 100<<30); err != nil {
		t.Fatal(err)
	}
	symlink(t, "sparse", dir+"/link")
	c := &collector{t: t}
	started := time.Now()
	s, err := Run(t.Context(), Config{Source: Paths(dir), Scanner: stubScanner(t), Surface: testSurface, Results: c})
	if err != nil || s.Held != 2 || s.NotScanned != 2 {
		t.Fatalf("summary %+v, error %v", s, err)
	}
	if got := c.failure(dir + "/link"); got != "unreadable: symbolic link, not followed" {
		t.Error(got)
	}
	if got := c.failure(sparse); !strings.HasPrefix(got, "too_large: ") || c.results[sparse].Bytes > 1<<20 {
		t.Errorf("%s after %d bytes", got, c.results[sparse].Bytes)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func pathsOf(t *testing.T, source Source) []string {
	t.Helper()
	var paths []string
	if err := source.Files(t.Context(), func(f File) error { paths = append(paths, f.Path); return nil }); err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestPathsOrderAndDoubles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a/z", "a/y", "c/1", "c/0/deep/er", "d"} {
		write(t, dir+"/"+name, "picture")
	}
	t.Chdir(dir)
	if got, want := pathsOf(t, Paths(".")), []string{"a/y", "a/z", "b", "c/0/deep/er", "c/1", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got := pathsOf(t, Paths("d", "./a", "a/z", "d", dir+"/d", "c/1", "a/"))
	if want := []string{"d", "a/y", "a/z", "c/1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := pathsOf(t, Paths("d", ".")); !slices.Equal(got, []string{"a/y", "a/z", "b", "c/0/deep/er", "c/1", "d"}) {
		t.Errorf("covered by a folder: %v", got)
	}
	source := Paths(".")
	source.Exclude = []string{"b", dir + "/c/1"}
	if got, want := pathsOf(t, source), []string{"a/y", "a/z", "c/0/deep/er", "d"}; !slices.Equal(got, want) {
		t.Errorf("without the excluded: %v, want %v", got, want)
	}
	var files, bytes int64
	if err := source.Count(t.Context(), func(f, b int64) { files, bytes = files+f, bytes+b }); err != nil || files != 4 || bytes != 28 {
		t.Errorf("counted %d files of %d bytes (%v), want 4 of 28", files, bytes, err)
	}
	var keys []string
	if err := Paths("a").Files(t.Context(), func(f File) error { keys = append(keys, f.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []string{dir + "/a/y", dir + "/a/z"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
}

func TestPathsStops(t *testing.T) {
	dir := tree(t, 100)
	stop := errors.New("enough")
	n := 0
	if err := Paths(dir).Files(t.Context(), func(File) error {
		if n++; n == 10 {
			return stop
		}
		return nil
	}); err != stop || n != 10 {
		t.Errorf("error %v after %d files", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Paths(dir).Files(ctx, func(File) error { t.Error("given"); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestDeepFolders is a path longer than the system opens at once.
func TestDeepFolders(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("d", 200)
	for range 25 {
		if err := root.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
		below, err := root.OpenRoot(name)
		if err != nil {
			t.Fatal(err)
		}
		root.Close()
		root = below
	}
	defer root.Close()
	if err := root.WriteFile("a.png", []byte("picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := scanPaths(t, Paths(dir))
	if len(c.results) != 1 {
		t.Fatalf("%d results", len(c.results))
	}
	for path, r := range c.results {
		if len(path) < 5000 || r.Verdict.Action != hashmatch.Allow {
			t.Errorf("%d bytes of path: %+v", len(path), r.Verdict)
		}
	}
	if err := Paths(dir).Files(t.Context(), func(f File) error {
		if f.Content.Stat().Size != 7 {
			t.Errorf("stamp %+v", f.Content.Stat())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	cases := []struct {
		text string
		nul  bool
		want []string
	}{
		{"", false, nil},
		{"\n\n", false, nil},
		{"a\nb", false, []string{"a", "b"}},
		{"a\n\n b \r\nc\n", false, []string{"a", " b \r", "c"}},
		{"a\nb\x00c\x00", true, []string{"a\nb", "c"}},
		{"a\xff\n", false, []string{"a\xff"}},
		{long + "\nb\n", false, []string{long, "b"}},
		{long + "y\nb\n", false, []string{long[:256], "b"}},
		{long + long + long, false, []string{long[:256]}},
	}
	for i, c := range cases {
		source := Lines(strings.NewReader(c.text))
		source.NUL = c.nul
		if got := pathsOf(t, source); !slices.Equal(got, c.want) {
			t.Errorf("case %d: %d paths, want %d", i, len(got), len(c.want))
		}
	}
	c := scanPaths(t, Lines(strings.NewReader(long+"y\n"+t.TempDir())))
	if got := c.failure(long[:256]); got != "unreadable: path too long" {
		t.Error(got)
	}
	if len(c.results) != 2 {
		t.Fatalf("%d results", len(c.results))
	}
	for path := range c.results {
		if path != long[:256] && c.failure(path) != "unreadable: a folder" {
			t.Error(c.failure(path))
		}
	}
}

type brokenReader struct{ text string }

func (r *brokenReader) Read(p []byte) (int, error) {
	if r.text == "" {
		return 0, errors.New("broken")
	}
	n := copy(p, r.text)
	r.text = r.text[n:]
	return n, nil
}

func TestLinesThatBreakOff(t *testing.T) {
	var got []string
	err := Lines(&brokenReader{"/a\n/etc/pass"}).Files(t.Context(), func(f File) error { got = append(got, f.Path); return nil })
	if err == nil || !slices.Equal(got, []string{"/a"}) {
		t.Errorf("paths %v, error %v: half a line is no path", got, err)
	}
}
