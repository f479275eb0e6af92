package hook

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// behind records what a handler behind the middleware sees.
type behind struct {
	checker *checker
	reached int
	parts   []seen
	body    string
	length  int64
}

// pass sends a request through a middleware.
func (b *behind) pass(t testing.TB, r *http.Request, change func(*MiddlewareConfig)) *httptest.ResponseRecorder {
	t.Helper()
	if b.checker == nil {
		b.checker = &checker{}
	}
	config := MiddlewareConfig{
		Checker: b.checker, MaxBytes: 4 << 20, MaxParts: 8,
		Surface: func(r *http.Request) (hashmatch.Surface, bool) {
			return declared(t, "uploads"), r.URL.Path != "/private"
		},
		Item: func(*http.Request) string { return "it" },
	}
	if change != nil {
		change(&config)
	}
	h := Middleware(config)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.reached++
		b.length = r.ContentLength
		if reader, err := r.MultipartReader(); err == nil {
			b.parts = nil
			for {
				one, err := reader.NextRawPart()
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Errorf("the handler cannot read what it was given: %v", err)
					return
				}
				content, err := io.ReadAll(one)
				if err != nil {
					t.Error(err)
				}
				b.parts = append(b.parts, seen{one.FormName(), one.FileName(), one.Header.Get("Content-Type"), string(content)})
			}
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		b.body = string(text)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= 400 && !strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json") {
		t.Errorf("%d as %s", w.Code, w.Header().Get("Content-Type"))
	}
	return w
}

func posted(body, contentType string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func TestMiddlewareRaw(t *testing.T) {
	b := &behind{}
	long := "clean " + strings.Repeat("0123456789", 300_000)
	for _, body := range []string{"clean", long} {
		if w := b.pass(t, posted(body, "image/jpeg"), nil); w.Code != 200 || b.body != body || b.length != int64(len(body)) {
			t.Errorf("%d, %d bytes of %d", w.Code, len(b.body), len(body))
		}
	}
	chunked := posted("", "")
	chunked.Body, chunked.ContentLength, chunked.TransferEncoding = io.NopCloser(strings.NewReader("clean")), -1, []string{"chunked"}
	if w := b.pass(t, chunked, nil); w.Code != 200 || b.body != "clean" || b.length != 5 {
		t.Errorf("%d %q %d", w.Code, b.body, b.length)
	}
	reached := b.reached
	for body, want := range map[string]int{"listed": 403, "near": 403, "busy": 503, "error": 500, "panic": 500, "refused": 403} {
		w := b.pass(t, posted(body, "image/jpeg"), nil)
		if w.Code != want || b.reached != reached {
			t.Errorf("%s: %d, want %d; the handler was reached %d times", body, w.Code, want, b.reached-reached)
		}
		if (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: %v", body, w.Header())
		}
		for _, secret := range []string{"demo", "e1", "distance", "secret", "reason"} {
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("%s: the uploader is told %s: %s", body, secret, w.Body)
			}
		}
	}
	var rejection Rejection
	w := b.pass(t, posted("near", ""), func(c *MiddlewareConfig) {
		c.OnReject = func(w http.ResponseWriter, _ *http.Request, r Rejection) { rejection = r; w.WriteHeader(200) }
	})
	if w.Code != 200 || b.reached != reached || len(rejection.Answer.Results) != 1 || rejection.Answer.Results[0].Detail.Matches[0].Entry != "e2" || rejection.Answer.Item != "it" {
		t.Errorf("%+v", rejection)
	}
}

func TestMiddlewarePassesOthersUnread(t *testing.T) {
	b := &behind{}
	r := httptest.NewRequest(http.MethodPost, "/private", strings.NewReader("listed"))
	if w := b.pass(t, r, nil); w.Code != 200 || b.body != "listed" || b.checker.count() != 0 {
		t.Errorf("%d %q, %d scanned", w.Code, b.body, b.checker.count())
	}
	if w := b.pass(t, httptest.NewRequest(http.MethodGet, "/", nil), nil); w.Code != 200 || b.checker.count() != 0 {
		t.Errorf("%d, %d scanned", w.Code, b.checker.count())
	}
	// A body is scanned whatever the method is: handlers read those of any.
	for _, method := range []string{http.MethodGet, http.MethodDelete, "PROPPATCH"} {
		if w := b.pass(t, httptest.NewRequest(method, "/", strings.NewReader("listed")), nil); w.Code != 403 {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

func TestMiddlewareRefusesUnread(t *testing.T) {
	unread := errors.New("the body was read")
	for name, c := range map[string]struct {
		change func(*http.Request)
		config func(*MiddlewareConfig)
		status int
	}{
		"undeclared surface": {nil, func(c *MiddlewareConfig) {
			c.Surface = func(*http.Request) (hashmatch.Surface, bool) { return hashmatch.Surface{}, true }
		}, 403},
		"too long":          {func(r *http.Request) { r.ContentLength = 5 << 20 }, nil, 413},
		"compressed":        {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, nil, 415},
		"a range":           {func(r *http.Request) { r.Header.Set("Content-Range", "bytes 0-1/2") }, nil, 415},
		"a tus chunk":       {func(r *http.Request) { r.Header.Set("Upload-Offset", "0") }, nil, 415},
		"parsed before":     {func(r *http.Request) { r.MultipartForm = &multipart.Form{} }, nil, 500},
		"two content types": {func(r *http.Request) { r.Header["Content-Type"] = []string{"a/b", "multipart/form-data; boundary=b"} }, nil, 400},
		"odd multipart":     {func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=b; x") }, nil, 400},
		"item":              {nil, func(c *MiddlewareConfig) { c.Item = func(*http.Request) string { return "a\nb" } }, 400},
		"no memory":         {nil, func(c *MiddlewareConfig) { c.Memory = 100 }, 503},
	} {
		b := &behind{}
		r := posted("", "image/jpeg")
		r.Body, r.ContentLength = io.NopCloser(failingReader{unread}), 5
		if c.change != nil {
			c.change(r)
		}
		if w := b.pass(t, r, c.config); w.Code != c.status || b.reached != 0 || b.checker.count() != 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	// Bodies that are not as they say.
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		status int
	}{
		"longer than the limit": {strings.NewReader(strings.Repeat("x", 5<<20)), -1, 413},
		"shorter than it says":  {strings.NewReader("clean"), 6, 400},
		"read by another":       {strings.NewReader(""), 6, 400},
		"broken off":            {io.MultiReader(strings.NewReader("clean"), failingReader{io.ErrUnexpectedEOF}), 100, 400},
	} {
		b := &behind{}
		r := posted("", "image/jpeg")
		r.Body, r.ContentLength = io.NopCloser(c.body), c.length
		if w := b.pass(t, r, nil); w.Code != c.status || b.reached != 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestMiddlewareMultipart(t *testing.T) {
	b := &behind{}
	parts := []seen{
		{"title", "", "", "a title, wörds"},
		{"file", `a "b" \c.jpg`, "image/jpeg", "clean " + strings.Repeat("\xff\x00", 100_000)},
		{"more", "ü.png", "", "clean \r\n--x"},
		{"none", "", "text/plain", ""},
	}
	body, boundary := written(t, parts...)
	if w := b.pass(t, posted(string(body), "multipart/form-data; boundary="+boundary), nil); w.Code != 200 || len(b.parts) != len(parts) {
		t.Fatalf("%d %s: %d parts", w.Code, w.Body, len(b.parts))
	}
	for i := range parts {
		if b.parts[i] != parts[i] {
			t.Errorf("part %d: %.100q, want %.100q", i+1, b.parts[i], parts[i])
		}
	}
	if n := b.checker.count(); n != 2 || b.checker.uploads[0].ID != "it/2" || b.checker.uploads[1].ID != "it/3" {
		t.Errorf("%d scanned: %+v", n, b.checker.uploads)
	}
	reached := b.reached
	for name, c := range map[string]struct {
		parts  []seen
		status int
	}{
		"listed last":           {[]seen{parts[1], {"f", "x", "", "listed"}}, 403},
		"listed, no file name":  {[]seen{{"f", "", "image/jpeg", "listed"}}, 403},
		"listed, as a value":    {[]seen{{"f", "", "", "listed \x00"}}, 403},
		"no room for the last":  {[]seen{parts[1], {"f", "x", "", "busy"}}, 503},
		"more parts than there": {append(make([]seen, 8), parts...), 413},
	} {
		body, boundary := written(t, c.parts...)
		if w := b.pass(t, posted(string(body), "multipart/form-data; boundary="+boundary), nil); w.Code != c.status || b.reached != reached {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	const head = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n"
	for name, body := range map[string]string{
		"a hidden part":     head + "\r\nclean\r\n--b--\r\n" + head + "\r\nlisted\r\n--b--\r\n",
		"preamble":          "x\r\n" + head + "\r\nclean\r\n--b--\r\n",
		"line ends of LF":   strings.ReplaceAll(head+"\r\nclean\r\n--b--\r\n", "\r\n", "\n"),
		"another boundary":  head + "\r\nclean\n--b\r\n\r\nlisted\r\n--b--\r\n",
		"base64":            head + "Content-Transfer-Encoding: base64\r\n\r\nY2xlYW4=\r\n--b--\r\n",
		"cut off":           head + "\r\nclean",
		"second file names": "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"; filename=\"y\"\r\n\r\nclean\r\n--b--\r\n",
	} {
		if w := b.pass(t, posted(body, "multipart/form-data; boundary=b"), nil); w.Code != 400 || b.reached != reached {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	values, boundary := written(t, parts[0])
	before := b.checker.count()
	if w := b.pass(t, posted(string(values), "multipart/form-data; boundary="+boundary), nil); w.Code != 200 || b.checker.count() != before || b.parts[0] != parts[0] {
		t.Errorf("form values alone: %d %s", w.Code, w.Body)
	}
}

// Whatever is held at once stays under the bound, and all of it is given back.
func TestMiddlewareMemory(t *testing.T) {
	release := make(chan struct{})
	c := MiddlewareConfig{
		Checker: &checker{}, Memory: 256 << 10, MaxBytes: 2 << 20,
		Surface: func(*http.Request) (hashmatch.Surface, bool) { return declared(t, "uploads"), true },
	}
	h := Middleware(c)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	codes := make(chan int, 40)
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, posted("clean "+strings.Repeat("x", 100<<10), ""))
			codes <- w.Code
		})
	}
	refused := 0
	for range 38 { // no more than two fit
		if code := <-codes; code == 503 {
			refused++
		}
	}
	close(release)
	group.Wait()
	if refused != 38 {
		t.Errorf("%d refused of 40, with room for two", refused)
	}
	for range 20 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, posted("clean "+strings.Repeat("x", 100<<10), ""))
		if w.Code != 200 {
			t.Fatalf("memory was not given back: %d", w.Code)
		}
	}
}

func TestMiddlewareWithoutChecker(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a middleware that scans nothing")
		}
	}()
	Middleware(MiddlewareConfig{})
}

// FuzzMiddleware: whatever reaches the handler was scanned, byte for byte, or is a form value.
func FuzzMiddleware(f *testing.F) {
	const head = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n"
	f.Add("multipart/form-data; boundary=b", []byte(head+"Content-Type: image/png\r\n\r\nclean\r\n--b\r\nContent-Disposition: form-data; name=v\r\n\r\ntext\r\n--b--\r\n"))
	f.Add("image/jpeg", []byte("clean"))
	f.Add("multipart/mixed; boundary=b", []byte("--b\r\n\r\n\x00\r\n--b--\r\n"))
	f.Add("multipart/form-data; boundary=\"b\"", []byte(head+"\r\nx\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		b := &behind{}
		w := b.pass(t, r, nil)
		if b.reached == 0 {
			if w.Code < 400 {
				t.Fatalf("%d, and nothing was passed on", w.Code)
			}
			return
		}
		scanned := map[string]bool{}
		for _, text := range b.checker.content {
			scanned[text] = true
		}
		if b.parts == nil {
			if len(b.checker.content) > 0 && !scanned[b.body] || b.body != string(body) && len(b.checker.content) > 0 && b.body != "" {
				t.Fatalf("the handler sees %q; scanned was %q", b.body, b.checker.content)
			}
		}
		for _, p := range b.parts {
			value := p.content == "" || len(p.content) <= MaxFormValue && plainText([]byte(p.content)) && p.filename == "" && plainType(p.contentType)
			if !scanned[p.content] && !value {
				t.Fatalf("the handler sees %+v; scanned was %q", p, b.checker.content)
			}
		}
	})
}
