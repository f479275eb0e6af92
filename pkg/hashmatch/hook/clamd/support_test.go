package clamd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/clamd"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// stub allows what starts with "clean", blocks what starts with "listed", holds the rest, and panics on "panic".
type stub struct{}

func (stub) Check(_ context.Context, u gate.Upload) (gate.Outcome, error) {
	content, err := io.ReadAll(io.LimitReader(u.Content, 1<<20))
	o := gate.Outcome{Scanned: true}
	switch {
	case err != nil:
		o.Verdict.Failures = []hashmatch.Failure{hashmatch.AsFailure(err, hashmatch.Unreadable)}
	case bytes.HasPrefix(content, []byte("clean")):
		o.Action = hashmatch.Allow
	case bytes.HasPrefix(content, []byte("listed")):
		o.Action = hashmatch.Block
		o.Verdict.Matches = []hashmatch.Match{{Action: hashmatch.Block}}
	case bytes.HasPrefix(content, []byte("panic")):
		panic("for the test")
	case bytes.HasPrefix(content, []byte("text")):
		o.Verdict.Failures = []hashmatch.Failure{{Code: hashmatch.NotImage}}
	default:
		o.Verdict.Failures = []hashmatch.Failure{{Code: hashmatch.Corrupt}}
	}
	return o, nil
}

// unread holds everything without reading it.
type unread struct{}

func (unread) Check(context.Context, gate.Upload) (gate.Outcome, error) {
	return gate.Outcome{Verdict: hashmatch.Verdict{Notes: []hashmatch.Note{hashmatch.NotReady}}}, nil
}

// careless allows everything without reading it.
type careless struct{}

func (careless) Check(context.Context, gate.Upload) (gate.Outcome, error) {
	return gate.Outcome{Action: hashmatch.Allow}, nil
}

// serve starts a server until the test ends and returns it.
func serve(t testing.TB, l net.Listener, config clamd.Config) *clamd.Server {
	t.Helper()
	if config.Surface == nil {
		surface := hooktest.Surface(t)
		config.Surface = func() (hashmatch.Surface, error) { return surface, nil }
	}
	s := clamd.New(config)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, hook.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func listenUnix(t testing.TB) net.Listener {
	t.Helper()
	dir, err := os.MkdirTemp("", "clamd") // t.TempDir's paths can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dial connects, with a deadline for the whole conversation.
func dial(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// talk sends everything at once and returns all that comes until the server closes.
func talk(t testing.TB, conn net.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	replies, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%v after %q", err, replies)
	}
	return string(replies)
}

// chunk is one chunk of a stream.
func chunk(content string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(content)))) + content
}

// stream is a whole stream, in chunks of size bytes.
func stream(content string, size int) string {
	var text string
	for len(content) > 0 {
		n := min(size, len(content))
		text, content = text+chunk(content[:n]), content[n:]
	}
	return text + chunk("")
}
