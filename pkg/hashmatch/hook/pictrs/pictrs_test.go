package pictrs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
	"example.org/hashmatch/pkg/hashmatch/hook/pictrs"
)

// stub allows what is "clean" to its last byte, and answers otherwise as the content says.
type stub struct{}

func (stub) Check(_ context.Context, u gate.Upload) (gate.Outcome, error) {
	content, err := io.ReadAll(u.Content)
	o := gate.Outcome{Scanned: true}
	switch {
	case err != nil:
		o.Verdict.Failures = []hashmatch.Failure{{Code: hashmatch.Unreadable}}
	case string(content) == "clean":
		o.Action = hashmatch.Allow
	case string(content) == "listed":
		o.Action, o.Verdict.Matches = hashmatch.Block, []hashmatch.Match{{Action: hashmatch.Block}}
	case string(content) == "overloaded":
		o.Scanned, o.Verdict.Notes = false, []hashmatch.Note{hashmatch.Overloaded}
	case string(content) == "not ready":
		o.Scanned, o.Verdict.Notes = false, []hashmatch.Note{hashmatch.NotReady}
	case string(content) == "panic":
		panic("for the test")
	case string(content) == "refused":
		return gate.Outcome{Action: hashmatch.Allow}, hashmatch.ErrSurfaceRefused
	}
	return o, nil
}

func handler(t testing.TB) http.Handler {
	t.Helper()
	surface := hooktest.Surface(t)
	return pictrs.New(pictrs.Config{Checker: stub{}, Surface: func() (hashmatch.Surface, error) { return surface, nil }})
}

func TestAnswers(t *testing.T) {
	h := handler(t)
	for name, c := range map[string]struct {
		method, content string
		header          string // NAME: VALUE
		want            int
	}{
		"clean":               {"POST", "clean", "", 204},
		"clean, typed":        {"POST", "clean", "Content-Type: image/png", 204},
		"clean, PUT":          {"PUT", "clean", "", 204},
		"clean, PATCH":        {"PATCH", "clean", "", 204},
		"clean, GET":          {"GET", "clean", "", 204},
		"clean, identity":     {"POST", "clean", "Content-Encoding: identity", 204},
		"listed":              {"POST", "listed", "", 403},
		"held":                {"POST", "x", "", 403},
		"nothing":             {"POST", "", "", 403},
		"panic":               {"POST", "panic", "", 403},
		"refused":             {"POST", "refused", "", 403},
		"overloaded":          {"POST", "overloaded", "", 503},
		"not ready":           {"POST", "not ready", "", 503},
		"GET of nothing":      {"GET", "", "", 405},
		"HEAD":                {"HEAD", "clean", "", 405},
		"DELETE":              {"DELETE", "clean", "", 405},
		"OPTIONS":             {"OPTIONS", "", "", 405},
		"a form":              {"POST", "clean", "Content-Type: multipart/form-data; boundary=x", 415},
		"a form, odd":         {"POST", "clean", "Content-Type: Multipart/Form-Data; boundary", 415},
		"a form, damaged":     {"POST", "clean", "Content-Type: multipart/form-data ;;boundary=x", 415},
		"a form, encoded":     {"POST", "clean", "Content-Type: application/x-www-form-urlencoded", 415},
		"compressed":          {"POST", "clean", "Content-Encoding: gzip", 415},
		"a part of an upload": {"PUT", "clean", "Content-Range: bytes 0-4/10", 415},
		"a form, with a tab":  {"POST", "clean", "Content-Type: multipart\t/form-data; boundary=x", 415},
		"a form, in a list":   {"POST", "clean", "Content-Type: text/plain, multipart/form-data; boundary=x", 415},
		"no media type":       {"POST", "clean", "Content-Type: image", 415},
		"a message":           {"POST", "clean", "Content-Type: message/rfc822", 415},
		"a part, tus":         {"PATCH", "clean", "Upload-Offset: 0", 415},
	} {
		r := httptest.NewRequest(c.method, "/any/path?x=y", strings.NewReader(c.content))
		if key, value, found := strings.Cut(c.header, ": "); found {
			r.Header.Set(key, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", name, w.Code, c.want)
		}
		if (w.Header().Get("Retry-After") != "") != (w.Code == 503) {
			t.Errorf("%s: Retry-After: %q", name, w.Header().Get("Retry-After"))
		}
		if strings.Contains(strings.ToLower(w.Body.String()), "match") {
			t.Errorf("%s: the answer tells what it is about: %s", name, w.Body)
		}
	}
}

// TestSurfaceRefused shows that nothing is read.
func TestSurfaceRefused(t *testing.T) {
	surface := func() (hashmatch.Surface, error) { return hashmatch.Surface{}, errors.New("for the test") }
	for name, c := range map[string]pictrs.Config{
		"refused": {Checker: stub{}, Surface: surface}, "none": {Checker: stub{}}, "no checker": {Surface: surface}, "nothing": {},
	} {
		w := httptest.NewRecorder()
		pictrs.New(c).ServeHTTP(w, httptest.NewRequest("POST", "/", untouchable{t}))
		if w.Code != 403 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

type untouchable struct{ t *testing.T }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// TestConformance is the suite of the dialects, through curl: with a length, in chunks of no stated length as pict-rs
// sends them, and with Expect: 100-continue.
func TestConformance(t *testing.T) {
	curl := hooktest.Tool(t, "curl")
	for name, c := range map[string]struct {
		arguments func(path string) []string
		stdin     bool
	}{
		"length": {func(path string) []string {
			return []string{"--data-binary", "@" + path, "-H", "Content-Type: image/jpeg"}
		}, false},
		"chunked":  {func(string) []string { return []string{"-X", "POST", "-T", "-", "-H", "Content-Type: image/jpeg"} }, true},
		"continue": {func(path string) []string { return []string{"-T", path, "-H", "Expect: 100-continue"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(*testing.T, string) bool {
				s := httptest.NewServer(pictrs.New(pictrs.Config{
					Checker: checker, Surface: func() (hashmatch.Surface, error) { return surface, nil },
				}))
				t.Cleanup(s.Close)
				return func(t *testing.T, path string) bool {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					arguments := append([]string{"-sS", "-o", os.DevNull, "-w", "%{http_code}"}, c.arguments(path)...)
					command := exec.CommandContext(ctx, curl, append(arguments, s.URL+"/upload")...)
					if c.stdin {
						file, err := os.Open(path)
						if err != nil {
							t.Fatal(err)
						}
						defer file.Close()
						command.Stdin = file
					}
					out, err := command.Output()
					if code := string(out); code != "204" && code != "403" && code != "503" {
						t.Errorf("%s: status %s: %v", path, code, err)
					}
					return string(out) == "204"
				}
			})
		})
	}
}

// TestCutOff has clients that leave before the end of what they announced: they are never told that it is clean.
func TestCutOff(t *testing.T) {
	s := httptest.NewServer(handler(t))
	defer s.Close()
	for name, text := range map[string]string{
		"of a length":      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nclean",
		"of a chunk":       "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nclean",
		"before the last":  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nclean\r\n",
		"in the last":      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nclean\r\n0",
		"a damaged length": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nclean\r\n0\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).CloseWrite()
		reply, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || bytes.HasPrefix(reply, []byte("HTTP/1.1 2")) {
			t.Errorf("%s: %q, %v", name, reply, err)
		}
	}
}
