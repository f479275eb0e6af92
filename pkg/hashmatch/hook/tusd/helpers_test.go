package tusd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// wordChecker answers by the content: "clean" is allowed, "listed" blocked, "later" not scanned, the rest held.
type wordChecker struct {
	mu     sync.Mutex
	scans  []string // item IDs
	wait   chan struct{}
	words  map[string]hashmatch.Action // over the content's own
	failed bool
}

func (c *wordChecker) Check(_ context.Context, u gate.Upload) (gate.Outcome, error) {
	content, err := io.ReadAll(u.Content)
	c.mu.Lock()
	c.scans = append(c.scans, u.ID)
	wait, failed := c.wait, c.failed
	action, overruled := c.words[string(content)]
	c.mu.Unlock()
	if wait != nil {
		<-wait
	}
	o := gate.Outcome{Scanned: true, Verdict: hashmatch.Verdict{Item: u.ID}}
	switch {
	case err != nil:
	case overruled:
		o.Action = action
	case string(content) == "panic":
		panic("for the test")
	case string(content) == "clean":
		o.Action = hashmatch.Allow
	case string(content) == "listed":
		o.Action = hashmatch.Block
	case string(content) == "later":
		o.Scanned = false
	}
	if failed {
		o.Action, o.Failed = hashmatch.Hold, []gate.EffectError{{Effect: "audit", Err: io.ErrShortWrite}}
	}
	return o, nil
}

func (c *wordChecker) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.scans)
}

// app is the application's own hook.
type app struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string // "type id"
	bodies []string
	header http.Header
	status int    // 0: 200
	answer string // "": {}
}

func newApp(t testing.TB) *app {
	a := &app{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var e struct {
			Type  string
			Event struct{ Upload struct{ ID string } }
		}
		_ = json.Unmarshal(body, &e)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.got, a.bodies, a.header = append(a.got, e.Type+" "+e.Event.Upload.ID), append(a.bodies, string(body)), r.Header
		w.Header().Set("Content-Type", "application/json")
		if a.status != 0 {
			w.WriteHeader(a.status)
		}
		if a.answer == "" {
			fmt.Fprint(w, "{}")
		}
		fmt.Fprint(w, a.answer)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *app) events() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.got...)
}

func (a *app) set(status int, answer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.answer = status, answer
}

// place is a store, a folder for what is held, and a handler over them.
type place struct {
	t       testing.TB
	dir     string
	checker *wordChecker
	handler *Handler
	config  Config
}

func newPlace(t testing.TB, change func(*Config)) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), checker: &wordChecker{}}
	if err := os.Mkdir(filepath.Join(p.dir, "store"), 0o755); err != nil {
		t.Fatal(err)
	}
	surface := hooktest.Surface(t)
	p.config = Config{
		Checker: p.checker, Surface: func() (hashmatch.Surface, error) { return surface, nil },
		Store: filepath.Join(p.dir, "store"), Held: filepath.Join(p.dir, "held"),
		every: 10 * time.Millisecond, grace: 50 * time.Millisecond,
	}
	if change != nil {
		change(&p.config)
	}
	p.open()
	return p
}

func (p *place) open() {
	p.t.Helper()
	h, err := New(p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	p.handler = h
	p.t.Cleanup(func() { h.Close() })
}

// run runs the handler's Run until the test ends, or until the function that it returns is called.
func (p *place) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = p.handler.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	p.t.Cleanup(stop)
	return stop
}

// upload puts a finished upload into the store, as tusd does.
func (p *place) upload(id, content string) {
	p.t.Helper()
	for name, text := range map[string]string{id: content, id + infoSuffix: string(p.info(id, len(content)))} {
		if err := os.WriteFile(filepath.Join(p.config.Store, name), []byte(text), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *place) info(id string, size int) []byte {
	path := filepath.Join(p.config.Store, id)
	text, err := json.Marshal(map[string]any{
		"ID": id, "Size": size, "SizeIsDeferred": false, "Offset": size, "MetaData": map[string]string{"filename": "secret.jpg"},
		"IsPartial": false, "IsFinal": false, "PartialUploads": nil,
		"Storage": map[string]string{"Type": "filestore", "Path": path, "InfoPath": path + ".info"},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

func (p *place) event(kind eventType, id string, size int) []byte {
	return fmt.Appendf(nil, `{"Type":%q,"Event":{"Upload":%s,"HTTPRequest":{"Method":"PATCH","URI":"/files/x","RemoteAddr":"x","Header":{"Host":["x"]}}}}`, kind, p.info(id, size))
}

func post(h http.Handler, body []byte) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", bytes.NewReader(body)))
	return w
}

// finish uploads content and sends its pre-finish. It returns whether tusd's client would be told that all is well.
func (p *place) finish(id, content string) bool {
	p.t.Helper()
	p.upload(id, content)
	return p.passed(post(p.handler, p.event(preFinish, id, len(content))))
}

// passed reads an answer as tusd does.
func (p *place) passed(w *httptest.ResponseRecorder) bool {
	p.t.Helper()
	if w.Code < 200 || w.Code >= 300 {
		return false
	}
	var r response
	if w.Header().Get("Content-Type") != "application/json" || w.Body.Len() > 5<<10 {
		p.t.Errorf("tusd does not take this answer: %v %q", w.Header(), w.Body)
		return false
	}
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		p.t.Errorf("%v: %q", err, w.Body)
		return false
	}
	return !r.RejectUpload && r.HTTPResponse.StatusCode < 400
}

func (p *place) post(kind eventType, id string, size int) *httptest.ResponseRecorder {
	return post(p.handler, p.event(kind, id, size))
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// where returns where an upload is: "store", "held", "" if it is nowhere, and anything else for what must not be.
func (p *place) where(id string) string {
	var in []string
	for _, dir := range []string{p.config.Store, p.config.Held} {
		content, info := exists(filepath.Join(dir, id)), exists(filepath.Join(dir, id+infoSuffix))
		if content && info {
			in = append(in, filepath.Base(dir))
		} else if content || info {
			in = append(in, "half in "+filepath.Base(dir))
		}
	}
	return strings.Join(in, " and ")
}

func (p *place) expect(id, where string, s step) {
	p.t.Helper()
	if got := p.where(id); got != where {
		p.t.Errorf("%s is in %q, want %q", id, got, where)
	}
	j, err := p.handler.folders.load(id)
	if err != nil {
		p.t.Errorf("%s: %v", id, err)
	} else if got := stepOf(j); got != s {
		p.t.Errorf("%s is at step %q, want %q", id, got, s)
	}
}

func stepOf(j *journal) step {
	if j == nil {
		return ""
	}
	return j.Step
}

func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}
