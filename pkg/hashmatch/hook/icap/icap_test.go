package icap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// serve starts a server on loopback and returns its address. change may change its configuration first.
func serve(t testing.TB, checker hook.Checker, surface hashmatch.Surface, change func(*Config)) (string, *Server) {
	t.Helper()
	config := Config{
		Checker: checker,
		Surface: func() (hashmatch.Surface, error) { return surface, nil },
		ISTag:   func() string { return "T-1" },
	}
	if change != nil {
		change(&config)
	}
	s := New(config)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		if err := <-done; !errors.Is(err, hook.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return l.Addr().String(), s
}

// ways are the ways in which c-icap-client sends a file.
var ways = []struct {
	name string
	args []string
}{
	{"REQMOD, no preview", []string{"-req", "http://app.test/upload", "-method", "POST", "-nopreview"}},
	{"RESPMOD, preview", []string{"-w", "4096"}},
	{"REQMOD, preview", []string{"-req", "http://app.test/upload", "-method", "POST", "-w", "512"}},
	{"REQMOD, no 204", []string{"-req", "http://app.test/upload", "-method", "PUT", "-nopreview", "-no204"}},
	{"RESPMOD, no preview", []string{"-resp", "http://app.test/picture", "-nopreview"}},
	{"RESPMOD, no 204", []string{"-resp", "http://app.test/picture", "-nopreview", "-no204"}},
}

// TestClient sends every upload of the suite with c-icap-client, in the first two ways.
func TestClient(t *testing.T) {
	client := hooktest.Tool(t, "c-icap-client")
	for _, way := range ways[:2] {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(*testing.T, string) bool {
				addr, _ := serve(t, checker, surface, nil)
				return func(t *testing.T, path string) bool { return clientPasses(t, client, addr, path, way.args) }
			})
		})
	}
}

// TestClientWays sends two files in every way.
func TestClientWays(t *testing.T) {
	client := hooktest.Tool(t, "c-icap-client")
	addr, _ := serve(t, hooktest.Gate(t, nil), hooktest.Surface(t), nil)
	for _, way := range ways {
		for name, want := range map[string]bool{"clean-landscape.jpg": true, "exact-copy.jpg": false} {
			if got := clientPasses(t, client, addr, hooktest.Data(t, "uploads", name), way.args); got != want {
				t.Errorf("%s, %s: passed %v, want %v", way.name, name, got, want)
			}
		}
	}
}

// clientPasses says what c-icap-client was told of a file. Its exit code says nothing: what it prints must be either of
// the two answers, to the letter.
func clientPasses(t *testing.T, client, addr, path string, args []string) bool {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out := t.TempDir() + "/out"
	cmd := exec.CommandContext(ctx, client, append([]string{"-i", host, "-p", port, "-s", "scan", "-f", path, "-o", out, "-v"}, args...)...)
	printed, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("c-icap-client: %v\n%s", err, printed)
	}
	text := string(printed)
	infected := strings.Contains(text, "X-Infection-Found: Type=0; Resolution=2; Threat=Hashmatch.")
	echoed := strings.Contains(text, "ICAP/1.0 200 OK") && !infected
	unmodified := strings.Contains(text, "ICAP/1.0 204 ") || strings.Contains(text, "No modification needed")
	if n := count(infected, echoed, unmodified); n != 1 {
		t.Fatalf("%d answers in what c-icap-client printed:\n%s", n, text)
	}
	received, err := os.ReadFile(out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	switch {
	case echoed:
		if sent, err := os.ReadFile(path); err != nil || !bytes.Equal(sent, received) {
			t.Errorf("%d bytes came back, not the file: %v", len(received), err)
		}
	case infected:
		if !strings.Contains(text, "HTTP/1.1 403 Forbidden") && !strings.Contains(text, "HTTP/1.1 503 Service Unavailable") {
			t.Errorf("no page of a block:\n%s", text)
		}
		if !bytes.HasPrefix(received, []byte("The upload ")) {
			t.Errorf("the page is %q", received)
		}
	}
	return !infected
}

func count(those ...bool) int {
	n := 0
	for _, one := range those {
		if one {
			n++
		}
	}
	return n
}

// TestClientOptions has c-icap-client read what the server can do.
func TestClientOptions(t *testing.T) {
	client := hooktest.Tool(t, "c-icap-client")
	addr, _ := serve(t, hooktest.Gate(t, nil), hooktest.Surface(t), nil)
	host, port, _ := net.SplitHostPort(addr)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	printed, err := exec.CommandContext(ctx, client, "-i", host, "-p", port, "-s", "avscan").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	for _, want := range []string{"Allow 204: Yes", "Preview: -1", "ISTag: \"T-1\""} {
		if !strings.Contains(squeezed(string(printed)), squeezed(want)) {
			t.Errorf("no %q in\n%s", want, printed)
		}
	}
}

func squeezed(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }

// dial returns a connection that gives up after some seconds.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// say sends text and returns all that comes back until the server closes.
func say(t testing.TB, addr, text string) string {
	t.Helper()
	conn := dial(t, addr)
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", reply, err)
	}
	return string(reply)
}

// reqmodOf returns a whole REQMOD request: fields go into its ICAP header, each with its CRLF; the body goes into
// chunks of up to 1,000 bytes.
func reqmodOf(fields, httpHeader, body string) string {
	return fmt.Sprintf("REQMOD icap://localhost/reqmod ICAP/1.0\r\nHost: localhost\r\n%sEncapsulated: req-hdr=0, req-body=%d\r\n\r\n%s%s",
		fields, len(httpHeader), httpHeader, chunked(body))
}

func chunked(body string) string {
	var text strings.Builder
	for len(body) > 0 {
		n := min(1000, len(body))
		fmt.Fprintf(&text, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return text.String() + "0\r\n\r\n"
}

const closing = "Allow: 204\r\nConnection: close\r\n"

func upload(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(hooktest.Data(t, "uploads", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func clean(reply string) bool {
	return strings.HasPrefix(reply, "ICAP/1.0 204 ") && !strings.Contains(reply, "X-Infection-Found")
}

// blocked says whether every client there is takes the reply for a block.
func blocked(reply string) bool {
	return strings.Contains(reply, "\r\nX-Infection-Found: Type=0; Resolution=2; Threat=") && !strings.Contains(reply, "ICAP/1.0 204")
}
