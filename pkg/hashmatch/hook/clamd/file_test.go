//go:build unix

package clamd_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook/clamd"
)

const (
	refused    = "Hashmatch.Hold.Refused FOUND"
	unreadable = "Hashmatch.Hold.Unreadable FOUND"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScan has every kind of path.
func TestScan(t *testing.T) {
	base, outside := t.TempDir(), t.TempDir()
	inside := filepath.Join(base, "uploads")
	if err := os.MkdirAll(filepath.Join(inside, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(inside, "clean"), "clean")
	write(t, filepath.Join(inside, "sub", "listed"), "listed")
	write(t, filepath.Join(inside, "a b: OK"), "listed")
	write(t, filepath.Join(inside, "x: OK\n"), "listed")
	write(t, filepath.Join(base, "uploads-not"), "clean")
	write(t, filepath.Join(outside, "clean"), "clean")
	for link, target := range map[string]string{
		"out": filepath.Join(outside, "clean"), "out-dir": outside, "in": "sub/listed", "up": "../uploads-not", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(inside, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(inside, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(inside, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	l := listenUnix(t)
	serve(t, l, clamd.Config{Checker: stub{}, Folders: []string{"relative", "", "/nowhere", inside + "/"}})
	closed := listenUnix(t)
	serve(t, closed, clamd.Config{Checker: stub{}})
	for _, c := range []struct{ path, want string }{
		{inside + "/clean", "OK"},
		{inside + "//./sub/../clean", "OK"},
		{inside + "/sub/listed", "Hashmatch.Block.Match FOUND"},
		{inside + "/a b: OK", "Hashmatch.Block.Match FOUND"},
		{inside + "/\xe9\xff", unreadable},
		{inside + "/in", "Hashmatch.Block.Match FOUND"},
		{inside + "/out", unreadable},
		{inside + "/out-dir/clean", unreadable},
		{inside + "/up", unreadable},
		{inside + "/loop", unreadable},
		{inside + "/fifo", unreadable},
		{inside + "/s", unreadable},
		{inside + "/sub", unreadable},
		{inside + "/missing", unreadable},
		{inside, unreadable},
		{inside + "/../uploads-not", refused},
		{base + "/uploads-not", refused},
		{base, refused},
		{outside + "/clean", refused},
		{"/etc/passwd", refused},
		{"relative/clean", refused},
		{"clean", refused},
		{"/", refused},
		{"/" + strings.Repeat("x", 5000), refused},
	} {
		for _, verb := range []string{"SCAN", "CONTSCAN", "MULTISCAN", "ALLMATCHSCAN"} {
			if got := talk(t, dial(t, l), "n"+verb+" "+c.path+"\n"); got != c.path+": "+c.want+"\n" {
				t.Errorf("%s: got %q, want %q", verb, got, c.want)
			}
		}
		if got := talk(t, dial(t, closed), "nSCAN "+c.path+"\n"); got != c.path+": "+refused+"\n" {
			t.Errorf("without folders: got %q", got)
		}
	}
	// What could end the reply early is not repeated.
	got := talk(t, dial(t, l), "zSCAN "+inside+"/x: OK\n\x00")
	if want := inside + "/x: OK?: Hashmatch.Block.Match FOUND\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got = talk(t, dial(t, l), "nSCAN "+inside+"/clean\x00/x\n")
	if want := inside + "/clean?/x: " + refused + "\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Moodle's way, and a session's.
	if got := talk(t, dial(t, l), "nIDSESSION\nnSCAN "+inside+"/clean\nnSCAN "+inside+"/out\nnEND\n"); got !=
		"1: "+inside+"/clean: OK\n2: "+inside+"/out: "+unreadable+"\n" {
		t.Errorf("session: got %q", got)
	}
}

// changing changes the file while it reads it.
type changing struct{ change func() }

func (c changing) Check(ctx context.Context, u gate.Upload) (gate.Outcome, error) {
	if _, err := io.ReadFull(u.Content, make([]byte, 3)); err != nil {
		return gate.Outcome{}, err
	}
	c.change()
	u.Content = io.MultiReader(strings.NewReader("cle"), u.Content)
	return stub{}.Check(ctx, u)
}

func TestChangedWhileRead(t *testing.T) {
	folder := t.TempDir()
	for name, change := range map[string]func(path string) error{
		"grown":     func(path string) error { return os.WriteFile(path, []byte("clean as well"), 0) },
		"shrunk":    func(path string) error { return os.Truncate(path, 4) },
		"written":   func(path string) error { return os.WriteFile(path, []byte("listd"), 0) },
		"untouched": func(string) error { return nil },
	} {
		path := write(t, filepath.Join(folder, name), "clean")
		past := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
		l := listenUnix(t)
		serve(t, l, clamd.Config{Folders: []string{folder}, Checker: changing{func() {
			if err := change(path); err != nil {
				t.Error(err)
			}
		}}})
		want := "Hashmatch.Hold.NotScanned FOUND"
		if name == "untouched" {
			want = "OK"
		}
		if got := talk(t, dial(t, l), "nSCAN "+path+"\n"); got != path+": "+want+"\n" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// send writes bytes with descriptors.
func send(t *testing.T, conn net.Conn, text string, files ...*os.File) {
	t.Helper()
	var descriptors []int
	for _, f := range files {
		descriptors = append(descriptors, int(f.Fd()))
	}
	if _, _, err := conn.(*net.UnixConn).WriteMsgUnix([]byte(text), unix.UnixRights(descriptors...), nil); err != nil {
		t.Fatal(err)
	}
}

// withoutNumber cuts the descriptor's number out of replies.
func withoutNumber(replies string) string {
	var text strings.Builder
	for {
		before, after, found := strings.Cut(replies, "fd[")
		text.WriteString(before)
		if !found {
			return text.String()
		}
		_, replies, _ = strings.Cut(after, "]")
		text.WriteString("fd")
	}
}

// TestFildes has every kind of descriptor, and none of them stays open.
func TestFildes(t *testing.T) {
	folder := t.TempDir()
	open := func(name, content string, flags int) *os.File {
		path := filepath.Join(folder, name)
		if content != "" {
			write(t, path, content)
		}
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	clean, listed := open("clean", "clean", os.O_RDONLY), open("listed", "listed", os.O_RDONLY)
	writeOnly, empty, directory := open("write-only", "clean", os.O_WRONLY), open("empty", "", os.O_CREATE), open(".", "", os.O_RDONLY)
	moved := open("moved", "listed, if read from its beginning", os.O_RDONLY)
	if _, err := moved.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()

	l := listenUnix(t)
	serve(t, l, clamd.Config{Checker: stub{}, CommandTimeout: time.Second})
	const none = "fd: " + refused + "\n"
	cases := map[string]struct {
		send func(conn net.Conn)
		want string
	}{
		"clean":         {func(c net.Conn) { send(t, c, "nFILDES\n"); send(t, c, "\x00", clean) }, "fd: OK\n"},
		"bare":          {func(c net.Conn) { send(t, c, "FILDES\n"); send(t, c, "\x00", clean) }, "fd: OK\n"},
		"listed":        {func(c net.Conn) { send(t, c, "nFILDES\n"); send(t, c, "\x00", listed) }, "fd: Hashmatch.Block.Match FOUND\n"},
		"at its end":    {func(c net.Conn) { send(t, c, "nFILDES\n"); send(t, c, "\x00", moved) }, "fd: Hashmatch.Block.Match FOUND\n"},
		"with the byte": {func(c net.Conn) { send(t, c, "nFILDES\n\x00", clean) }, "fd: OK\n"},
		"none":          {func(c net.Conn) { send(t, c, "nFILDES\n\x00") }, none},
		"no byte":       {func(c net.Conn) { send(t, c, "nFILDES\n") }, none},
		"too early":     {func(c net.Conn) { send(t, c, "nFILDES\n", clean); send(t, c, "\x00") }, none},
		"two":           {func(c net.Conn) { send(t, c, "nFILDES\n\x00", clean, listed) }, none},
		"many": {func(c net.Conn) {
			send(t, c, "nFILDES\n\x00", clean, clean, clean, clean, clean, clean, clean, clean, clean, clean)
		}, none},
		"twice":      {func(c net.Conn) { send(t, c, "nFILDES\n", clean); send(t, c, "\x00", clean) }, none},
		"directory":  {func(c net.Conn) { send(t, c, "nFILDES\n\x00", directory) }, "fd: " + unreadable + "\n"},
		"pipe":       {func(c net.Conn) { send(t, c, "nFILDES\n\x00", reader) }, "fd: " + unreadable + "\n"},
		"device":     {func(c net.Conn) { send(t, c, "nFILDES\n\x00", null) }, "fd: " + unreadable + "\n"},
		"write-only": {func(c net.Conn) { send(t, c, "nFILDES\n\x00", writeOnly) }, "fd: Hashmatch.Hold.NotScanned FOUND\n"},
		"empty":      {func(c net.Conn) { send(t, c, "nFILDES\n\x00", empty) }, "fd: Hashmatch.Hold.NotScanned FOUND\n"},
		"without FILDES": {func(c net.Conn) { send(t, c, "nPING\n", clean) },
			"PROTOCOL ERROR: ancillary data sent without FILDES. ERROR\n"},
		"in a stream": {func(c net.Conn) { send(t, c, "nINSTREAM\n"); send(t, c, stream("clean", 2), clean) }, "stream: OK\n"},
		"session": {func(c net.Conn) {
			send(t, c, "nIDSESSION\nnFILDES\n\x00", clean)
			send(t, c, "nFILDES\n\x00", listed)
			send(t, c, "nFILDES\n\x00")
			send(t, c, "nFILDES\n\x00", clean)
			send(t, c, "nEND\n")
		}, "1: fd: OK\n2: fd: Hashmatch.Block.Match FOUND\n3: " + none + "4: fd: OK\n"},
		"of a later one": {func(c net.Conn) { send(t, c, "nIDSESSION\nnFILDES\n\x00nFILDES\n\x00", clean); send(t, c, "nEND\n") },
			"1: " + none + "2: fd: OK\n"},
		"left alone": {func(c net.Conn) { send(t, c, "nFIL", clean, listed); c.(*net.UnixConn).CloseWrite() }, "UNKNOWN COMMAND\n"},
	}
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("descriptors cannot be counted here: %v", err)
		}
		return len(entries)
	}
	before := count()
	for range 5 {
		for name, c := range cases {
			conn := dial(t, l)
			c.send(conn)
			replies, err := io.ReadAll(conn)
			if got := withoutNumber(string(replies)); err != nil || got != c.want {
				t.Errorf("%s: got %q, want %q: %v", name, got, c.want, err)
			}
			conn.Close()
			if name == "no byte" { // it waits for the byte: once is enough
				delete(cases, name)
			}
		}
	}
	for deadline := time.Now().Add(5 * time.Second); count() > before && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

// TestFildesNumber shows that the reply names a descriptor, as clamd's does.
func TestFildesNumber(t *testing.T) {
	file, err := os.Open(write(t, filepath.Join(t.TempDir(), "clean"), "clean"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	l := listenUnix(t)
	serve(t, l, clamd.Config{Checker: stub{}})
	conn := dial(t, l)
	send(t, conn, "zFILDES\x00")
	send(t, conn, "\x00", file)
	reply, err := io.ReadAll(conn)
	var number int
	if n, _ := fmt.Sscanf(string(reply), "fd[%d]: OK", &number); err != nil || n != 1 || number < 3 {
		t.Errorf("got %q: %v", reply, err)
	}
}
