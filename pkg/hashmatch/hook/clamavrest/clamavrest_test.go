package clamavrest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
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
	"example.org/hashmatch/pkg/hashmatch/hook/clamavrest"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// stub allows what is "clean" to its last byte, blocks "listed", holds the rest, and panics on "panic".
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
	case string(content) == "panic":
		panic("for the test")
	default:
		o.Verdict.Failures = []hashmatch.Failure{{Code: hashmatch.NotImage}}
	}
	return o, nil
}

func handler(t testing.TB, change func(*clamavrest.Config)) http.Handler {
	t.Helper()
	surface := hooktest.Surface(t)
	c := clamavrest.Config{
		Checker: stub{}, Surface: func() (hashmatch.Surface, error) { return surface, nil }, MaxParts: 5, Version: "1.2.3",
	}
	if change != nil {
		change(&c)
	}
	return clamavrest.New(c)
}

// form makes a multipart body of pairs of file name and content; a pair without a name is a plain field.
func form(t testing.TB, pairs ...string) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		create := func() (io.Writer, error) { return w.CreateFormFile("file", pairs[i]) }
		if pairs[i] == "" {
			create = func() (io.Writer, error) { return w.CreateFormField("field") }
		}
		part, err := create()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(part, pairs[i+1])
	}
	w.Close()
	return w.FormDataContentType(), b.Bytes()
}

func post(h http.Handler, path, contentType string, body []byte) (int, string) {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestScan(t *testing.T) {
	const match = `"Status":"FOUND","Description":"Hashmatch.Block.Match"`
	const missing = `{"Status":"ERROR","Description":"MimePart FileName missing"}`
	for name, c := range map[string]struct {
		pairs []string
		code  int
		body  string
	}{
		"clean":                  {[]string{"a", "clean"}, 200, `[{"Status":"OK","Description":"","FileName":"a"}]`},
		"listed":                 {[]string{"a", "listed"}, 406, `[{` + match + `,"FileName":"a"}]`},
		"held":                   {[]string{"a", "text"}, 406, `[{"Status":"FOUND","Description":"Hashmatch.Hold.NotImage","FileName":"a"}]`},
		"a checker that panics":  {[]string{"a", "panic"}, 406, `[{"Status":"FOUND","Description":"Hashmatch.Hold.NotScanned","FileName":"a"}]`},
		"clean and listed":       {[]string{"a", "clean", "b", "listed"}, 406, `[{"Status":"OK","Description":"","FileName":"a"},{` + match + `,"FileName":"b"}]`},
		"listed and clean":       {[]string{"b", "listed", "a", "clean"}, 406, `[{` + match + `,"FileName":"b"},{"Status":"OK","Description":"","FileName":"a"}]`},
		"no name":                {[]string{"", "clean"}, 422, `[` + missing + `]`},
		"clean and no name":      {[]string{"a", "clean", "", "x"}, 422, `[{"Status":"OK","Description":"","FileName":"a"},` + missing + `]`},
		"no name and clean":      {[]string{"", "x", "a", "clean"}, 422, `[` + missing + `,{"Status":"OK","Description":"","FileName":"a"}]`},
		"nothing":                {nil, 422, `[{"Status":"ERROR","Description":"no file"}]`},
		"a name to be escaped":   {[]string{`<b>",ü`, "clean"}, 200, `[{"Status":"OK","Description":"","FileName":"\u003cb\u003e\",ü"}]`},
		"one part too many":      {strings.Fields(strings.Repeat("a clean ", 6)), 413, ""},
		"listed among too many":  {strings.Fields("a listed " + strings.Repeat("a clean ", 20)), 406, ""},
		"as many as are allowed": {strings.Fields(strings.Repeat("a clean ", 5)), 200, ""},
	} {
		h := handler(t, nil)
		contentType, body := form(t, c.pairs...)
		code, got := post(h, "/v2/scan", contentType, body)
		if code != c.code || c.body != "" && strings.TrimSpace(got) != c.body {
			t.Errorf("%s: %d %s", name, code, got)
		}
		var results []map[string]any
		if err := json.Unmarshal([]byte(got), &results); err != nil || len(results) == 0 {
			t.Errorf("%s: not an array of results: %v", name, err)
		}
		if old, _ := post(h, "/scan", contentType, body); old != c.code {
			t.Errorf("%s: /scan: %d", name, old)
		}
	}
	contentType, body := form(t, "a", "clean", "b", "listed")
	if _, got := post(handler(t, nil), "/scan", contentType, body); got != `{"Status":"OK","Description":""}{`+match+`}` {
		t.Errorf("/scan: %s", got)
	}
}

// TestDamaged cuts a request off after each byte, and changes each: it is never 200 unless every file was clean and
// there.
func TestDamaged(t *testing.T) {
	h := handler(t, nil)
	contentType, whole := form(t, "a", "clean", "b", "clean")
	if code, got := post(h, "/v2/scan", contentType, whole); code != 200 || strings.Count(got, "OK") != 2 {
		t.Fatalf("the whole request: %d %s", code, got)
	}
	end := len(whole) - len("\r\n") // Go's reader needs no line end after the last boundary
	for n := range end {
		if code, got := post(h, "/v2/scan", contentType, whole[:n]); code == 200 {
			t.Errorf("after %d of %d bytes: %s", n, len(whole), got)
		}
	}
	for name, c := range map[string]struct{ contentType, body string }{
		"no multipart":   {"application/json", "{}"},
		"no type":        {"", "clean"},
		"no boundary":    {"multipart/form-data", string(whole)},
		"wrong boundary": {"multipart/form-data; boundary=x", string(whole)},
		"empty":          {contentType, ""},
	} {
		for _, path := range []string{"/v2/scan", "/scan"} {
			if code, got := post(h, path, c.contentType, []byte(c.body)); code == 200 {
				t.Errorf("%s: %s: %s", path, name, got)
			}
		}
	}
}

func TestScanBody(t *testing.T) {
	h := handler(t, nil)
	for content, want := range map[string]string{
		"clean":  "200 {OK   200}",
		"listed": "406 {FOUND Hashmatch.Block.Match  406}",
		"":       "406 {FOUND Hashmatch.Hold.NotImage  406}",
	} {
		code, got := post(h, "/scanHandlerBody", "image/jpeg", []byte(content))
		if answer := fmt.Sprint(code, " ", got); answer != want {
			t.Errorf("%q: %s, want %s", content, answer, want)
		}
	}
}

// TestEncoded has uploads that are not sent as they will be published.
func TestEncoded(t *testing.T) {
	h := handler(t, nil)
	for _, encoding := range []string{"base64", "quoted-printable", "x-uuencode"} {
		body := "--x\r\nContent-Disposition: form-data; name=f; filename=a\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\nclean\r\n--x--\r\n"
		if code, got := post(h, "/v2/scan", "multipart/form-data; boundary=x", []byte(body)); code != 406 {
			t.Errorf("%s: %d %s", encoding, code, got)
		}
	}
	contentType, body := form(t, "a", "clean")
	for path, body := range map[string][]byte{"/v2/scan": body, "/scan": body, "/scanHandlerBody": []byte("clean")} {
		r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Content-Encoding", "gzip")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 400 {
			t.Errorf("%s: compressed: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestSurfaceRefused shows that nothing is read.
func TestSurfaceRefused(t *testing.T) {
	for name, change := range map[string]func(*clamavrest.Config){
		"refused": func(c *clamavrest.Config) {
			c.Surface = func() (hashmatch.Surface, error) { return hashmatch.Surface{}, errors.New("for the test") }
		},
		"none":       func(c *clamavrest.Config) { c.Surface = nil },
		"no checker": func(c *clamavrest.Config) { c.Checker = nil },
	} {
		h := handler(t, change)
		for _, path := range []string{"/v2/scan", "/scan", "/scanHandlerBody"} {
			r := httptest.NewRequest(http.MethodPost, path, untouchable{t})
			r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 406 || !strings.Contains(w.Body.String(), "Hashmatch.Hold.Refused") {
				t.Errorf("%s: %s: %d %s", name, path, w.Code, w.Body)
			}
		}
	}
}

type untouchable struct{ t *testing.T }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestOthers(t *testing.T) {
	ready := errors.New("not yet")
	h := handler(t, func(c *clamavrest.Config) { c.Ready = func() error { return ready } })
	get := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := get("GET", "/version"); code != 200 || !strings.Contains(body, `"Clamav":"hashmatch-1.2.3"`) {
		t.Errorf("version: %d %s", code, body)
	}
	if code, _ := get("GET", "/"); code != 503 {
		t.Errorf("health while not ready: %d", code)
	}
	ready = nil
	if code, body := get("GET", "/"); code != 200 || !strings.Contains(body, "VALID PRIMARY") {
		t.Errorf("health: %d %s", code, body)
	}
	for _, c := range [][2]string{{"GET", "/v2/scan"}, {"PUT", "/scan"}, {"GET", "/scanFile?path=/etc/passwd"}, {"GET", "/scanPath?path=/"}, {"POST", "/"}, {"POST", "/v2/scan/x"}} {
		if code, body := get(c[0], c[1]); code != 404 && code != 405 {
			t.Errorf("%s: %d %s", c, code, body)
		}
	}
}

// TestConformance is the suite of the dialects, through curl.
func TestConformance(t *testing.T) {
	curl := hooktest.Tool(t, "curl")
	for name, arguments := range map[string]func(url, path string) []string{
		"v2": func(url, path string) []string { return []string{"-F", "file=@" + path, url + "/v2/scan"} },
		"body": func(url, path string) []string {
			return []string{"--data-binary", "@" + path, url + "/scanHandlerBody"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			hooktest.Run(t, func(t *testing.T, checker hook.Checker, surface hashmatch.Surface) func(*testing.T, string) bool {
				s := httptest.NewServer(clamavrest.New(clamavrest.Config{
					Checker: checker, Surface: func() (hashmatch.Surface, error) { return surface, nil },
				}))
				t.Cleanup(s.Close)
				return func(t *testing.T, path string) bool {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					out, err := exec.CommandContext(ctx, curl, append([]string{"-sS", "-o", os.DevNull, "-w", "%{http_code}"}, arguments(s.URL, path)...)...).Output()
					if code := string(out); code != "200" && code != "406" {
						t.Errorf("%s: status %s: %v", path, code, err)
					}
					return string(out) == "200"
				}
			})
		})
	}
}

// FuzzScan has any body. 200 needs as many clean files as there are results.
func FuzzScan(f *testing.F) {
	for _, pairs := range [][]string{{"a", "clean"}, {"a", "clean", "b", "listed"}, {"", "x", "a", "clean"}, {}} {
		contentType, body := form(f, pairs...)
		f.Add(contentType, body)
	}
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; filename=a\r\n\r\nclean\r\n--x--\r\n"))
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: form-data; filename*=UTF-8''a\r\n\r\nclean\r\n--x--"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		code, got := post(handler(t, nil), "/v2/scan", contentType, body)
		var results []struct{ Status, Description, FileName string }
		if err := json.Unmarshal([]byte(got), &results); err != nil || len(results) == 0 {
			t.Fatalf("not an array of results: %v: %q", err, got)
		}
		for _, one := range results {
			if code == 200 && one.Status != "OK" {
				t.Errorf("200 with %+v", one)
			}
		}
		if code == 200 && bytes.Count(body, []byte("clean")) < len(results) {
			t.Errorf("200 for %q", body)
		}
	})
}
