package clamd_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/clamd"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// stuck reads an upload to its end and then allows it, but not before it is let go.
type stuck struct{ begun, release chan struct{} }

func (s stuck) Check(_ context.Context, u gate.Upload) (gate.Outcome, error) {
	_, err := io.ReadAll(u.Content)
	s.begun <- struct{}{}
	<-s.release
	if err != nil {
		return gate.Outcome{}, err
	}
	return gate.Outcome{Action: hashmatch.Allow, Scanned: true}, nil
}

// TestLastWord has uploads that are not answered when the time of a shutdown is over: half a stream, one that is still
// being scanned, half a command in a session. Each is told that it is held before its connection closes.
func TestLastWord(t *testing.T) {
	for name, c := range map[string]struct {
		send, want string
		scanned    bool // wait until the upload is being scanned
	}{
		"half a stream":           {send: "zINSTREAM\x00" + chunk("clean")[:6], want: "stream: Hashmatch.Hold.NotReady FOUND\x00"},
		"a stream without an end": {send: "nINSTREAM\n" + chunk("clean"), want: "stream: Hashmatch.Hold.NotReady FOUND\n"},
		"half a stream, numbered": {send: "nIDSESSION\nnPING\nnINSTREAM\n" + chunk("clean"), want: "1: PONG\n2: stream: Hashmatch.Hold.NotReady FOUND\n"},
		"a scan that takes long":  {send: "nINSTREAM\n" + stream("clean", 10), want: "stream: Hashmatch.Hold.NotReady FOUND\n", scanned: true},
		"half a command":          {send: "nINSTR", want: "stream: Hashmatch.Hold.NotReady FOUND\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checker := stuck{make(chan struct{}, 1), make(chan struct{})}
			surface := hooktest.Surface(t)
			s := clamd.New(clamd.Config{Checker: checker, Surface: func() (hashmatch.Surface, error) { return surface, nil }})
			l := listenTCP(t)
			served := make(chan error, 1)
			go func() { served <- s.Serve(l) }()
			conn := dial(t, l)
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			if c.scanned {
				<-checker.begun
			} else {
				time.Sleep(200 * time.Millisecond) // for the server to read it
			}
			ended := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				ended <- s.Shutdown(ctx)
			}()
			replies, err := io.ReadAll(conn)
			close(checker.release)
			if string(replies) != c.want || err != nil {
				t.Errorf("got %q, %v; want %q", replies, err, c.want)
			}
			conn.Close()
			<-ended
			if err := <-served; !errors.Is(err, hook.ErrServerClosed) {
				t.Error(err)
			}
		})
	}
}
