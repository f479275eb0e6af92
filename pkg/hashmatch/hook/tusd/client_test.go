package tusd

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// server is a real tusd whose hooks go to a Handler.
type server struct {
	*place
	app   *app
	url   string // of its uploads
	calls atomic.Int64
}

// startTusd starts tusd with downloads enabled, so that the tests see what it would serve.
func startTusd(t *testing.T, change func(*Config)) *server {
	t.Helper()
	program := hooktest.Tool(t, "tusd")
	s := &server{app: newApp(t)}
	s.place = newPlace(t, func(c *Config) {
		c.Forward = s.app.URL
		if change != nil {
			change(c)
		}
	})
	s.run()
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		s.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(hooks.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	var output bytes.Buffer
	command := exec.Command(program, "-host", "127.0.0.1", "-port", port, "-upload-dir", s.config.Store, "-hooks-http", hooks.URL,
		"-hooks-http-retry", "1", "-hooks-enabled-events", "pre-create,post-create,pre-finish,post-finish,pre-terminate,post-terminate",
		"-shutdown-timeout", "1s")
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("tusd: %s", &output)
		}
	})
	s.url = "http://127.0.0.1:" + port + "/files/"
	wait(t, "tusd to listen", func() bool {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return s
}

// call sends one request of the tus protocol.
func (s *server) call(method, url string, body []byte, header ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(text))
	return response
}

// send uploads content in pieces, as a client that was interrupted and goes on. It returns the upload's URL, "" if it
// was refused at once, and whether the client was told that all is well.
func (s *server) send(content []byte, pieces int) (url string, ok bool) {
	s.t.Helper()
	created := s.call("POST", s.url, nil, "Upload-Length", fmt.Sprint(len(content)),
		"Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("secret.jpg")))
	if created.StatusCode != http.StatusCreated {
		return "", false
	}
	url = created.Header.Get("Location")
	for offset, size := 0, max(1, len(content)/pieces); offset < len(content); {
		end := min(offset+size, len(content))
		patched := s.call("PATCH", url, content[offset:end], "Upload-Offset", fmt.Sprint(offset), "Content-Type", "application/offset+octet-stream")
		if patched.StatusCode >= 300 {
			return url, false
		}
		if end < len(content) { // the client comes back and asks how far it was
			if head := s.call("HEAD", url, nil); head.Header.Get("Upload-Offset") != fmt.Sprint(end) {
				s.t.Errorf("HEAD: %s %q, want offset %d", head.Status, head.Header.Get("Upload-Offset"), end)
			}
		}
		offset = end
	}
	return url, true
}

// id returns the upload ID of a URL.
func (s *server) id(url string) string { return strings.TrimPrefix(url, s.url) }

// TestTusd sends what every dialect must answer rightly through a real tusd, in every state of the service.
func TestTusd(t *testing.T) {
	hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(*testing.T, string) bool {
		s := startTusd(t, func(c *Config) {
			c.Checker, c.Surface = checker, func() (hashmatch.Surface, error) { return surface, nil }
			c.every = time.Hour
		})
		return func(t *testing.T, path string) bool {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			url, ok := s.send(content, 3)
			got := s.call("GET", url, nil)
			body, _ := io.ReadAll(got.Body)
			if served := got.StatusCode == 200 && bytes.Equal(body, content); served != ok || !ok && got.StatusCode != 404 {
				t.Errorf("the client was told %v, and GET gives %s", ok, got.Status)
			}
			told := func() bool { return slices.Contains(s.app.events(), "post-finish "+s.id(url)) }
			if ok {
				wait(t, "post-finish", told)
			} else if time.Sleep(20 * time.Millisecond); told() {
				t.Error("the application was told of an upload that was not allowed")
			}
			return ok
		}
	})
}

func TestTusdOddities(t *testing.T) {
	s := startTusd(t, nil)
	// An upload in one request, and an empty one.
	one := s.call("POST", s.url, []byte("clean"), "Upload-Length", "5", "Content-Type", "application/offset+octet-stream")
	if one.StatusCode != 201 || s.where(s.id(one.Header.Get("Location"))) != "store" {
		t.Errorf("in one request: %s", one.Status)
	}
	if empty := s.call("POST", s.url, nil, "Upload-Length", "0"); empty.StatusCode != 403 {
		t.Errorf("an empty one: %s", empty.Status)
	}
	// A final upload made of pieces is scanned, the pieces are not.
	for content, want := range map[string]int{"clean": 201, "listed": 403} {
		var pieces []string
		for _, piece := range []string{content[:2], content[2:]} {
			made := s.call("POST", s.url, []byte(piece), "Upload-Length", fmt.Sprint(len(piece)), "Upload-Concat", "partial", "Content-Type", "application/offset+octet-stream")
			if made.StatusCode != 201 {
				t.Fatalf("a piece: %s", made.Status)
			}
			pieces = append(pieces, made.Header.Get("Location"))
		}
		final := s.call("POST", s.url, nil, "Upload-Concat", "final;"+strings.Join(pieces, " "))
		if final.StatusCode != want {
			t.Errorf("%s of pieces: %s, want %d", content, final.Status, want)
		}
	}
	// What is held is out of the sender's reach, for good.
	url, ok := s.send([]byte("listed"), 2)
	if ok {
		t.Error("listed: passed")
	}
	for _, method := range []string{"GET", "HEAD", "DELETE"} {
		if got := s.call(method, url, nil); got.StatusCode != 404 {
			t.Errorf("%s: %s", method, got.Status)
		}
	}
	s.expect(s.id(url), "held", kept)
	// A person releases it: it is served, and announced.
	if err := s.handler.Release(t.Context(), "tusd/"+s.id(url)); err != nil {
		t.Fatal(err)
	}
	if got := s.call("GET", url, nil); got.StatusCode != 200 {
		t.Errorf("released: %s", got.Status)
	}
	wait(t, "the announcement", func() bool { return slices.Contains(s.app.events(), "post-finish "+s.id(url)) })
	if got := s.call("DELETE", url, nil); got.StatusCode != 204 {
		t.Errorf("DELETE: %s", got.Status)
	}
	// The application's own refusals reach the sender.
	s.app.set(0, `{"RejectUpload":true,"HTTPResponse":{"StatusCode":422,"Body":"no","Header":{}}}`)
	if refused := s.call("POST", s.url, nil, "Upload-Length", "5"); refused.StatusCode != 422 {
		t.Errorf("%s", refused.Status)
	}
	// An application that is down: nothing new is taken.
	s.app.Close()
	if refused := s.call("POST", s.url, nil, "Upload-Length", "5"); refused.StatusCode != 503 || refused.Header.Get("Retry-After") == "" {
		t.Errorf("the application is down: %s", refused.Status)
	}
	if s.calls.Load() < 10 {
		t.Errorf("only %d hooks were called", s.calls.Load())
	}
	if names, err := os.ReadDir(filepath.Join(s.config.Held)); err != nil || len(names) == 0 {
		t.Error("nothing is held", err)
	}
}
