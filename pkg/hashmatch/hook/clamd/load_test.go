package clamd_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook/clamd"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// TestSlow has clients that stop in every part of a conversation: each is told something, in time, and never that its
// upload is clean.
func TestSlow(t *testing.T) {
	t.Parallel()
	const timedOut, hold = "COMMAND READ TIMED OUT\n", "stream: Hashmatch.Hold.NotScanned FOUND"
	l := listenTCP(t)
	serve(t, l, clamd.Config{
		Checker: stub{}, CommandTimeout: 100 * time.Millisecond, ReadTimeout: 150 * time.Millisecond,
		IdleTimeout: 200 * time.Millisecond, RequestTimeout: 500 * time.Millisecond,
	})
	for _, c := range []struct{ send, want string }{
		{"", timedOut},
		{"z", timedOut},
		{"zPIN", timedOut},
		{"zINSTREAM", timedOut},
		{"zINSTREAM\x00", hold + "\x00"},
		{"nINSTREAM\n\x00\x00", hold + "\n"},
		{"nINSTREAM\n" + chunk("clean"), hold + "\n"},
		{"nINSTREAM\n\x00\x00\x10\x00clean", hold + "\n"},
		{"nIDSESSION\n", timedOut},
		{"nIDSESSION\nnPING\n", "1: PONG\n" + timedOut},
		{"nIDSESSION\nnINSTREAM\n" + chunk("clean"), "1: " + hold + "\n"},
	} {
		started := time.Now()
		if got := talk(t, dial(t, l), c.send); got != c.want {
			t.Errorf("%q: got %q, want %q", c.send, got, c.want)
		}
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("%q took %s", c.send, took)
		}
	}
}

// TestDripping has a client that sends a byte at a time: it is not waited for without end.
func TestDripping(t *testing.T) {
	t.Parallel()
	l := listenTCP(t)
	serve(t, l, clamd.Config{
		Checker: stub{}, CommandTimeout: 200 * time.Millisecond, ReadTimeout: 200 * time.Millisecond, RequestTimeout: 300 * time.Millisecond,
	})
	for _, start := range []string{"zP", "zINSTREAM\x00\x7f\xff\xff\xff"} {
		conn := dial(t, l)
		if _, err := io.WriteString(conn, start); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var dripping sync.WaitGroup
		dripping.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					if _, err := conn.Write([]byte("x")); err != nil {
						return
					}
				}
			}
		})
		started := time.Now()
		reply, _ := io.ReadAll(conn) // the server closes while the client writes: a reset is no surprise
		close(stop)
		dripping.Wait()
		if took := time.Since(started); took > 4*time.Second {
			t.Errorf("%q: it took %s", start, took)
		}
		if !strings.Contains(string(reply), "FOUND") && !strings.Contains(string(reply), "TIMED OUT") {
			t.Errorf("%q: got %q", start, reply)
		}
	}
}

// TestIdleConnections has as many clients that say nothing as 10,000 connections allow for, under the limit on
// descriptors, of which each connection takes two here. They cost one goroutine each, another is served beside them,
// and they end with the server.
func TestIdleConnections(t *testing.T) {
	wanted := 10_000
	if testing.Short() {
		wanted = 2000
	}
	n := min(wanted, descriptors(t)/2-200)
	if n < 500 {
		t.Skipf("only %d connections are possible here", n)
	}
	before := runtime.NumGoroutine()
	l := listenUnix(t)
	surface := hooktest.Surface(t)
	s := clamd.New(clamd.Config{
		Checker: stub{}, MaxConnections: n + 1, Surface: func() (hashmatch.Surface, error) { return surface, nil },
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer s.Shutdown(context.Background())
	conns := make([]net.Conn, 0, n)
	for range n {
		conn, err := net.Dial("unix", l.Addr().String())
		for tries := 0; err != nil && tries < 1000; tries++ { // the queue of those to be accepted is full
			time.Sleep(5 * time.Millisecond)
			conn, err = net.Dial("unix", l.Addr().String())
		}
		if err != nil {
			t.Fatalf("after %d connections: %v", len(conns), err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	if got := talk(t, dial(t, l), "nINSTREAM\n"+stream("clean", 10)); got != "stream: OK\n" {
		t.Errorf("beside %d idle connections: got %q", n, got)
	}
	if extra := runtime.NumGoroutine() - before; extra > n+20 {
		t.Errorf("%d goroutines for %d connections", extra, n)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%d idle connections: %d KiB of heap each", n, memory.HeapInuse/uint64(n)>>10)
	for _, conn := range conns[:n/2] {
		conn.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // a second or two on a machine that does nothing else
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	<-served
	for deadline := time.Now().Add(3 * time.Second); runtime.NumGoroutine() > before+5 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before+5 {
		t.Errorf("%d goroutines are left, %d were before", after, before)
	}
}

// TestMaxConnections has more clients than there is room for: the others wait, and are served.
func TestMaxConnections(t *testing.T) {
	l := listenTCP(t)
	s := serve(t, l, clamd.Config{Checker: stub{}, MaxConnections: 4})
	var clients sync.WaitGroup
	for range 40 {
		clients.Go(func() {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(conn, "nINSTREAM\n"+stream("clean", 10))
			if got, err := io.ReadAll(conn); err != nil || string(got) != "stream: OK\n" {
				t.Errorf("got %q, %v", got, err)
			}
			if n := s.Connections(); n > 4 {
				t.Errorf("%d connections", n)
			}
		})
	}
	clients.Wait()
}

// blocking scans until it is let go.
type blocking struct{ begun, finish chan struct{} }

func (b blocking) Check(ctx context.Context, u gate.Upload) (gate.Outcome, error) {
	b.begun <- struct{}{}
	<-b.finish
	if ctx.Err() != nil {
		return gate.Outcome{}, ctx.Err()
	}
	return stub{}.Check(ctx, u)
}

// TestShutdown has one client in each state when the server shuts down: what is under way is finished, and nobody is
// left without a word.
func TestShutdown(t *testing.T) {
	checker := blocking{make(chan struct{}), make(chan struct{})}
	l := listenTCP(t)
	surface := hooktest.Surface(t)
	s := clamd.New(clamd.Config{Checker: checker, Surface: func() (hashmatch.Surface, error) { return surface, nil }})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()

	const notReady = "stream: Hashmatch.Hold.NotReady FOUND"
	states := []struct{ send, then, want string }{
		{"", "", notReady + "\n"},
		{"zPI", "", notReady + "\n"},
		{"zIDSESSION\x00zPING\x00", "", "1: PONG\x002: " + notReady + "\x00"},
		{"zINSTREAM\x00" + chunk("clean"), chunk(""), "stream: OK\x00"},
		{"zIDSESSION\x00zINSTREAM\x00" + chunk("clean"), chunk("") + "zINSTREAM\x00" + stream("clean", 10), "1: stream: OK\x002: " + notReady + "\x00"},
	}
	conns := make([]net.Conn, len(states))
	for i, state := range states {
		conns[i] = dial(t, l)
		if _, err := io.WriteString(conns[i], state.send); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(state.send, "INSTREAM") {
			<-checker.begun
		}
	}
	for s.Connections() < len(states) {
		time.Sleep(time.Millisecond)
	}
	pong := make([]byte, len("1: PONG\x00"))
	if _, err := io.ReadFull(conns[2], pong); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	if err := <-served; err == nil {
		t.Error("Serve returned no error")
	}
	close(checker.finish)
	var clients sync.WaitGroup
	for i, state := range states {
		clients.Go(func() {
			time.Sleep(100 * time.Millisecond) // it goes on while the server shuts down
			_, _ = io.WriteString(conns[i], state.then)
			got, _ := io.ReadAll(conns[i])
			if i == 2 {
				got = append(pong, got...)
			}
			if string(got) != state.want {
				t.Errorf("%q: got %q, want %q", state.send, got, state.want)
			}
			conns[i].Close()
		})
	}
	clients.Wait()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it takes connections after its end")
	}
}

// TestAborted has many clients that leave in the midst of a stream: nothing of them stays, and others are served.
func TestAborted(t *testing.T) {
	l := listenTCP(t)
	s := serve(t, l, clamd.Config{Checker: hooktest.Gate(t, nil)})
	before := runtime.NumGoroutine()
	for range 200 {
		conn := dial(t, l)
		text := "zINSTREAM\x00" + stream(strings.Repeat("x", 1000), 100)
		_, _ = io.WriteString(conn, text[:rand.IntN(len(text))])
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset
		conn.Close()
	}
	for deadline := time.Now().Add(5 * time.Second); s.Connections() > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if n := s.Connections(); n > 0 {
		t.Errorf("%d connections are left", n)
	}
	if after := runtime.NumGoroutine(); after > before+10 {
		t.Errorf("%d goroutines, %d were before", after, before)
	}
}
