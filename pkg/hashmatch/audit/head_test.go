//go:build unix

package audit

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.key")
	public, private, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteKeyFiles(path, private); err != nil {
		t.Fatal(err)
	}
	read, err := ReadKey(path)
	if err != nil || !read.Equal(private) {
		t.Fatal(err)
	}
	keys, err := ReadPublicKeys(path + PublicKeySuffix)
	if err != nil || len(keys) != 1 || !keys[0].Equal(public) {
		t.Fatal(keys, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := WriteKeyFiles(path, private); !errors.Is(err, os.ErrExist) {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := WriteKeyFiles(path, private); !errors.Is(err, os.ErrExist) { // the public one is there
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("half a pair was left behind")
	}
	if _, err := ReadKey(path + PublicKeySuffix); !errors.Is(err, ErrKey) { // mode 0644, and no private key
		t.Error(err)
	}

	write := func(name string, mode os.FileMode, text []byte) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, text, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(private)
	pkix, _ := x509.MarshalPKIXPublicKey(public)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherPrivate, _ := x509.MarshalPKCS8PrivateKey(curve)
	otherPublic, _ := x509.MarshalPKIXPublicKey(&curve.PublicKey)
	block := func(name string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: name, Bytes: b}) }
	for name, text := range map[string][]byte{
		"empty": nil, "text": []byte("key"), "type": block("X", pkcs8), "content": block("PRIVATE KEY", []byte("x")),
		"curve": block("PRIVATE KEY", otherPrivate), "long": bytes.Repeat([]byte("x"), maxKeyFile+1), "public": block("PUBLIC KEY", pkix),
	} {
		if _, err := ReadKey(write("private-"+name, 0o600, text)); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o644} {
		if _, err := ReadKey(write("mode", mode, block("PRIVATE KEY", pkcs8))); !errors.Is(err, ErrKey) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	for name, text := range map[string][]byte{
		"empty": nil, "text": []byte("key"), "private": block("PRIVATE KEY", pkcs8), "content": block("PUBLIC KEY", []byte("x")),
		"curve": block("PUBLIC KEY", otherPublic), "a private one behind it": append(block("PUBLIC KEY", pkix), block("PRIVATE KEY", pkcs8)...),
	} {
		if _, err := ReadPublicKeys(write("public-"+name, 0o600, text)); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if keys, err := ReadPublicKeys(write("two", 0o600, append(block("PUBLIC KEY", pkix), block("PUBLIC KEY", pkix)...))); err != nil || len(keys) != 2 {
		t.Error(keys, err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKey(pipe); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

func TestReadHeads(t *testing.T) {
	public, private, _ := GenerateKey()
	l := openLog(t, t.TempDir(), func(c *Config) { c.Key = private })
	h, err := l.Head()
	if err != nil || !h.SignedBy(public) || h.Seq != 1 || h.Log != l.ID() {
		t.Fatal(h, err)
	}
	other, _, _ := GenerateKey()
	if h.SignedBy(other) || h.SignedBy(nil) {
		t.Error("signed by any key")
	}
	for name, change := range map[string]func(h *Head){
		"log": func(h *Head) { h.Log += "x" }, "seq": func(h *Head) { h.Seq++ }, "hash": func(h *Head) { h.Hash = strings.Repeat("0", 64) },
		"time": func(h *Head) { h.Time = h.Time.Add(1) }, "signature": func(h *Head) { h.Signature = make([]byte, 64) },
	} {
		changed := h
		change(&changed)
		if changed.SignedBy(public) {
			t.Errorf("%s: still signed", name)
		}
	}
	text := h.String() + "\n\n<85>1 2026-03-01T12:00:00Z host hashmatch 1 audit-head - " + h.String() + "\r\nnothing\n{}\n" + h.String()[:50] + "\n" + h.String()
	heads, others, err := ReadHeads(strings.NewReader(text))
	if err != nil || others != 3 || len(heads) != 3 {
		t.Fatalf("%d heads, %d others, %v", len(heads), others, err)
	}
	for _, read := range heads {
		if read.String() != h.String() || !read.SignedBy(public) {
			t.Errorf("%s", read)
		}
	}
	if _, _, err := ReadHeads(strings.NewReader(strings.Repeat("x", maxHead+1))); err == nil {
		t.Error("a line without end")
	}
	if _, err := openLog(t, t.TempDir(), nil).Head(); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
}

// Heads are signed at intervals if there is something new, at the end of each segment, and by Close.
func TestWhenHeadsAreSigned(t *testing.T) {
	_, private, _ := GenerateKey()
	kept := &keeper{}
	l := openLog(t, t.TempDir(), func(c *Config) {
		c.Key, c.Sinks, c.HeadInterval, c.SegmentBytes = private, []Sink{kept}, 20*time.Millisecond, 2000
	})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	heads := func() []Head {
		kept.mu.Lock()
		defer kept.mu.Unlock()
		return append([]Head(nil), kept.heads...)
	}
	wait := func(seq uint64) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if h := heads(); len(h) > 0 && h[len(h)-1].Seq == seq {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("no head of record %d: %v", seq, heads())
			}
		}
	}
	wait(1) // of what was there before
	appendAll(t, l, allowed("a"))
	wait(2)
	n := len(heads())
	time.Sleep(100 * time.Millisecond)
	if len(heads()) != n {
		t.Error("a head with nothing new")
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	appendAll(t, l, allowed("b"), allowed("c"), allowed("d"), allowed("e"), allowed("f"))
	closeLog(t, l)
	last := heads()
	if len(last) < n+2 || last[len(last)-1].Seq != l.Stats().Seq {
		t.Errorf("%v", last)
	}
}

func TestFileSink(t *testing.T) {
	_, private, _ := GenerateKey()
	path := filepath.Join(t.TempDir(), "heads")
	sink := FileSink(path)
	l := openLog(t, t.TempDir(), func(c *Config) { c.Key, c.Sinks = private, []Sink{sink} })
	h, err := l.Head()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := sink.Send(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	text, _ := os.ReadFile(path)
	if err := os.WriteFile(path, text[:len(text)-20], 0o600); err != nil { // the disk was full
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	text, _ = os.ReadFile(path)
	if heads, others, err := ReadHeads(bytes.NewReader(text)); err != nil || others != 1 || len(heads) != 2 {
		t.Errorf("%d heads, %d others, %v", len(heads), others, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
	for _, wrong := range []string{t.TempDir(), filepath.Join(path, "below")} {
		if err := FileSink(wrong).Send(t.Context(), h); err == nil {
			t.Errorf("%s: sent", wrong)
		}
	}
}

func TestSyslogSink(t *testing.T) {
	for _, wrong := range []string{"", "unix:", "host", ":514", "host:"} {
		if _, err := SyslogSink(wrong); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
	dir := t.TempDir()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	datagrams, err := net.ListenPacket("unixgram", filepath.Join(dir, "d"))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 3)
	for _, conn := range []net.PacketConn{udp, datagrams} {
		t.Cleanup(func() { conn.Close() })
		go func() {
			b := make([]byte, 2048)
			n, _, _ := conn.ReadFrom(b)
			got <- string(b[:n])
		}()
	}
	t.Cleanup(func() { stream.Close() })
	go func() {
		conn, err := stream.Accept()
		if err != nil {
			return
		}
		text, _ := io.ReadAll(conn)
		conn.Close()
		got <- strings.TrimSuffix(string(text), "\n")
	}()
	_, private, _ := GenerateKey()
	l := openLog(t, t.TempDir(), func(c *Config) { c.Key = private })
	h, _ := l.Head()
	for _, address := range []string{udp.LocalAddr().String(), "unix:" + filepath.Join(dir, "d"), "unix:" + filepath.Join(dir, "s")} {
		sink, err := SyslogSink(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := sink.Send(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		text := <-got
		if heads, _, err := ReadHeads(strings.NewReader(text)); err != nil || len(heads) != 1 || heads[0].String() != h.String() {
			t.Errorf("%s: %q", address, text)
		}
		if !strings.HasPrefix(text, "<85>1 20") || !strings.Contains(text, fmt.Sprintf(" hashmatch %d audit-head - {", os.Getpid())) {
			t.Errorf("%s: %q", address, text)
		}
	}
	if err := (syslogSink{ways: [][2]string{{"unixgram", dir + "/none"}, {"unix", dir + "/none"}}}).Send(t.Context(), h); err == nil {
		t.Error("sent to nowhere")
	}
}

func TestHTTPSink(t *testing.T) {
	for _, wrong := range []string{"", "ftp://h/", "http://", "http://u:p@h/", "://", "http://h:x/"} {
		if _, err := HTTPSink(HTTP{URL: wrong}); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
	if _, err := HTTPSink(HTTP{URL: "http://h/", Timeout: -1}); err == nil {
		t.Error("a negative timeout")
	}
	var body, authorization string
	status := http.StatusNoContent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body, authorization = string(text), r.Header.Get("Authorization")
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		if status == 0 {
			time.Sleep(300 * time.Millisecond)
			status = http.StatusOK
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	sink, err := HTTPSink(HTTP{URL: server.URL + "/secret?token=secret", Header: http.Header{"Authorization": {"Bearer x"}}, Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sink.Name(), "secret") {
		t.Error(sink.Name())
	}
	_, private, _ := GenerateKey()
	l := openLog(t, t.TempDir(), func(c *Config) { c.Key = private })
	h, _ := l.Head()
	if err := sink.Send(t.Context(), h); err != nil || body != h.String() || authorization != "Bearer x" {
		t.Error(err, body, authorization)
	}
	for _, status = range []int{302, 404, 500, 0} {
		if err := sink.Send(t.Context(), h); err == nil || strings.Contains(err.Error(), "secret") {
			t.Error(status, err)
		}
	}
	server.Close()
	if err := sink.Send(t.Context(), h); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

// badSink fails, panics or hangs until it is told not to.
type badSink struct {
	keeper
	calls atomic.Int64
	fail  atomic.Value // func(ctx) error
}

func (b *badSink) Send(ctx context.Context, h Head) error {
	b.calls.Add(1)
	if err := b.fail.Load().(func(context.Context) error)(ctx); err != nil {
		return err
	}
	return b.keeper.Send(ctx, h)
}

// A sink that fails is tried again, told of in the log and the numbers, and hinders neither appends nor other sinks.
func TestFailingSink(t *testing.T) {
	_, private, _ := GenerateKey()
	bad, good := &badSink{}, &keeper{}
	bad.fail.Store(func(context.Context) error { return errors.New("down") })
	var text syncBuffer
	l := openLog(t, t.TempDir(), func(c *Config) {
		c.Key, c.Sinks, c.SegmentBytes, c.Sync = private, []Sink{bad, good}, 700, SyncNone
		c.Logger = slog.New(slog.NewTextHandler(&text, nil))
	})
	l.sinks[0].first = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	appendAll(t, l, someRecords(maxQueued+20)...) // each begins a segment, and so signs a head
	await := func(what string, ok func(s []SinkStats) bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(l.Stats().SinkStats); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v", what, l.Stats().SinkStats)
			}
		}
	}
	await("failures", func(s []SinkStats) bool {
		return s[0].Failed > 2 && s[0].Queued == maxQueued && s[0].Dropped > 0 && s[1].Sent > 50
	})
	if !strings.Contains(text.String(), "could not be sent") || !strings.Contains(text.String(), "down") {
		t.Error(text.String())
	}
	bad.fail.Store(func(context.Context) error { panic("sink") })
	await("panics", func(s []SinkStats) bool { return s[0].Failed > 4 })
	bad.fail.Store(func(context.Context) error { return nil })
	l.head()
	await("recovery", func(s []SinkStats) bool { return s[0].Queued == 0 && s[0].Seq == l.Stats().Head })
	bad.fail.Store(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	appendAll(t, l, allowed("last"))
	l.head()
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	bad.fail.Store(func(context.Context) error { return errors.New("still down") })
	closeLog(t, l)
	if last := good.heads[len(good.heads)-1]; last.Seq != l.Stats().Seq {
		t.Errorf("%+v", last)
	}
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(text)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
