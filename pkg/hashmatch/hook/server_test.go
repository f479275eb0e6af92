package hook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// serving serves a handler until the test ends.
func serving(t testing.TB, config ServerConfig) (*Server, net.Listener) {
	t.Helper()
	l, err := Listen("tcp", "127.0.0.1:0", ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(config)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		if err := <-ended; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l
}

func dial(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	return dialAddress(t, l.Addr().String())
}

func dialAddress(t testing.TB, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := Listen("unix", path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || l.Addr().String() != path {
		t.Fatalf("%v %v %v", info.Mode(), err, l.Addr())
	}
	if _, err := Listen("unix", path, ListenOptions{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a socket that is answered: %v", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a socket is left: %v", err)
	}

	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	l, err = Listen("unix", path, ListenOptions{UnixMode: 0o660})
	if err != nil {
		t.Fatalf("a socket that was left behind: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	// Another process has put its own socket there: ours is not to remove it.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := Listen("unix", path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("another's socket was removed: %v", err)
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		if _, err := Listen("unix", path, ListenOptions{}); !errors.Is(err, ErrNotSocket) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
	for _, address := range []string{"", "@abstract", filepath.Join(dir, "none", "s"), filepath.Join(dir, strings.Repeat("x", 200))} {
		if l, err := Listen("unix", address, ListenOptions{}); err == nil {
			l.Close()
			t.Errorf("%q: listening", address)
		}
	}
	if _, err := Listen("unix", filepath.Join(dir, "m"), ListenOptions{UnixMode: 0o4600}); err == nil {
		t.Error("a mode that is more than permissions")
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".s*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestListenTCP(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.org:0"} {
		if l, err := Listen("tcp", address, ListenOptions{}); !errors.Is(err, ErrExposed) {
			t.Errorf("%s: %v %v", address, l, err)
		}
	}
	for _, options := range []ListenOptions{{Insecure: true}, {Guarded: true}} {
		l, err := Listen("tcp", "0.0.0.0:0", options)
		if err != nil {
			t.Errorf("%+v: %v", options, err)
			continue
		}
		l.Close()
	}
	l, err := Listen("tcp", "localhost:0", ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen("tcp", l.Addr().String(), ListenOptions{}); err == nil {
		t.Error("two listeners on one port")
	}
	for _, c := range [][2]string{{"udp", "127.0.0.1:0"}, {"tcp", "127.0.0.1"}, {"", "x"}} {
		if _, err := Listen(c[0], c[1], ListenOptions{}); err == nil {
			t.Errorf("%v: listening", c)
		}
	}
}

func TestPanicIsAnswered(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	_, l := serving(t, ServerConfig{
		Logger: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil)),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				_, _ = io.WriteString(w, "allow")
			}
			panic("boom")
		}),
	})
	response, err := http.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != 500 || !bytes.Contains(body, []byte(`"hold"`)) || bytes.Contains(body, []byte("boom")) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if response, err := http.Get("http://" + l.Addr().String() + "/late"); err == nil {
		_, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil {
			t.Error("an answer that had begun looks whole")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), "boom") {
		t.Error("nothing in the log")
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Whatever a client is slow with, it is cut off.
func TestSlowClients(t *testing.T) {
	read := make(chan error, 10)
	_, l := serving(t, ServerConfig{
		ReadHeaderTimeout: 200 * time.Millisecond, ReadTimeout: 200 * time.Millisecond, IdleTimeout: 200 * time.Millisecond, RequestTimeout: 500 * time.Millisecond,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
		}),
	})
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
	for name, send := range map[string]func(net.Conn){
		"nothing":         func(net.Conn) {},
		"half a header":   func(c net.Conn) { _, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHo") },
		"half a body":     func(c net.Conn) { _, _ = io.WriteString(c, request+"x") },
		"drops of a body": func(c net.Conn) { _, _ = io.WriteString(c, request); drip(c) },
		"drops of header": func(c net.Conn) { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nX: "); drip(c) },
	} {
		conn := dial(t, l)
		started := time.Now()
		send(conn)
		_, err := io.Copy(io.Discard, conn)
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("%s: it took %v to be cut off: %v", name, took, err)
		}
	}
	for range 2 {
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a handler read to the end of half a body: %v", err)
		}
	}
}

func drip(c net.Conn) {
	for range 100 {
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Connections without a request make room for others; those with one do not.
func TestMaxConnections(t *testing.T) {
	const limit = 8
	entered, release := make(chan struct{}, 100), make(chan struct{})
	s, l := serving(t, ServerConfig{
		MaxConnections: limit,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				entered <- struct{}{}
				<-release
			}
			_, _ = io.WriteString(w, "done")
		}),
	})
	busy := dial(t, l)
	_, _ = io.WriteString(busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	for range 10 * limit {
		_, _ = io.WriteString(dial(t, l), "GET / HTTP/1.1\r\nHo") // a header that never ends
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 3 {
		response, err := client.Get("http://" + l.Addr().String() + "/")
		if err != nil {
			t.Fatalf("beside idle connections: %v", err)
		}
		response.Body.Close()
	}
	if n := s.Connections(); n > limit {
		t.Errorf("%d connections of %d", n, limit)
	}
	close(release)
	response, err := http.ReadResponse(bufio.NewReader(busy), nil)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("the connection with a request: %v", err)
	}
	response.Body.Close()
}

func TestAllConnectionsBusy(t *testing.T) {
	entered, release := make(chan struct{}, 10), make(chan struct{})
	_, l := serving(t, ServerConfig{MaxConnections: 2, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	})})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			response, err := http.Get("http://" + l.Addr().String() + "/")
			if err != nil {
				t.Errorf("a request that had to wait: %v", err)
				return
			}
			response.Body.Close()
		})
	}
	<-entered
	<-entered
	select {
	case <-entered:
		t.Error("more requests than connections")
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	group.Wait()
}

// Shutdown finishes what it has begun.
func TestShutdown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, l := serving(t, ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	})})
	got := make(chan string, 1)
	go func() {
		response, err := http.Get("http://" + l.Addr().String() + "/")
		if err != nil {
			got <- err.Error()
			return
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		got <- string(body)
	}()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("still accepting")
		}
	}
	close(release)
	if text := <-got; text != "done" {
		t.Errorf("the request under way: %q", text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	auth := newAuth(t, AuthConfig{Tokens: loadedTokens(t, Token{Name: "holder", Certificate: "app", Scopes: []Scope{ScopeScan}})})
	s, l := serving(t, ServerConfig{
		MaxConnections: 2,
		TLS:            &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven},
		Handler: auth.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, CallerOf(r.Context()).Name+" "+r.Proto)
		}), ScopeScan),
	})
	for _, c := range []struct {
		certificates []tls.Certificate
		status       int
		body         string
	}{{[]tls.Certificate{own}, 200, "holder HTTP/1.1"}, {nil, 401, ""}} {
		for range 4 { // more than there may be connections
			client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
				ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: c.certificates},
			}}
			response, err := client.Get("https://" + l.Addr().String() + "/")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != c.status || c.body != "" && string(body) != c.body {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		}
	}
	if n := s.Connections(); n > 2 {
		t.Errorf("%d connections", n)
	}
}
