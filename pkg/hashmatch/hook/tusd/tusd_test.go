package tusd

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

func TestUploads(t *testing.T) {
	a := newApp(t)
	p := newPlace(t, func(c *Config) { c.Forward = a.URL })
	if !p.finish("a1", "clean") {
		t.Error("a clean upload was rejected")
	}
	p.expect("a1", "store", returned)
	if w := p.post(postFinish, "a1", 5); w.Code != 200 {
		t.Error(w.Code)
	}
	p.expect("a1", "store", "")
	for id, content := range map[string]string{"b1": "listed", "b2": "odd", "b3": ""} {
		if p.finish(id, content) {
			t.Errorf("%s passed", content)
		}
		p.expect(id, "held", kept)
		if w := p.post(postFinish, id, len(content)); w.Code != 200 || w.Body.String() != "{}\n" {
			t.Error(w.Code, w.Body)
		}
	}
	if p.finish("c1", "later") {
		t.Error("what was not scanned passed")
	}
	p.expect("c1", "held", taking)
	p.post(postFinish, "c1", 5)
	p.post(postFinish, "unknown", 5)
	p.post(postFinish, "a1", 5) // again
	if got := a.events(); !slices.Equal(got, []string{"post-finish a1"}) {
		t.Errorf("the application got %q", got)
	}
}

// The answer tells a sender neither why, nor which of a hold and a block it was.
func TestAnswersAreCoarse(t *testing.T) {
	p := newPlace(t, nil)
	answers := make(map[string]bool)
	for i, content := range []string{"listed", "odd", "later"} {
		id := fmt.Sprint("x", i)
		p.upload(id, content)
		answers[post(p.handler, p.event(preFinish, id, len(content))).Body.String()] = true
	}
	if len(answers) != 1 {
		t.Errorf("%d answers: %v", len(answers), answers)
	}
	for text := range answers {
		if !strings.Contains(text, `"StatusCode":403`) {
			t.Error(text)
		}
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	store, open := filepath.Join(dir, "store"), filepath.Join(dir, "open")
	for path, mode := range map[string]os.FileMode{store: 0o755, open: 0o755} {
		if err := os.Mkdir(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(store, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held := filepath.Join(dir, "held")
	for want, change := range map[string]func(*Config){
		"no checker":        func(c *Config) { c.Checker = nil },
		"no surface":        func(c *Config) { c.Surface = nil },
		"no store":          func(c *Config) { c.Store = "" },
		"no folder for":     func(c *Config) { c.Held = "" },
		"timeout of 15s":    func(c *Config) { c.Timeout = 15 * time.Second },
		"no such file":      func(c *Config) { c.Store = filepath.Join(dir, "absent") },
		"not a folder":      func(c *Config) { c.Store = filepath.Join(dir, "file") },
		"outside":           func(c *Config) { c.Held = filepath.Join(store, "held") },
		"outside of it":     func(c *Config) { c.Held = filepath.Join(dir, "link", "held") },
		"store outside":     func(c *Config) { c.Held = dir },
		"only its owner":    func(c *Config) { c.Held = open },
		"http or https":     func(c *Config) { c.Forward = "ftp://u:secret@h/" },
		"http or https URL": func(c *Config) { c.Forward = "http://u:secret@h:x/" },
	} {
		c := Config{Checker: &wordChecker{}, Surface: func() (hashmatch.Surface, error) { return hashmatch.Surface{}, nil }, Store: store, Held: held}
		change(&c)
		_, err := New(c)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", want, err)
		}
	}
	p := newPlace(t, nil)
	if _, err := New(p.config); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("two handlers over one folder: %v", err)
	}
	if err := p.handler.Close(); err != nil {
		t.Fatal(err)
	}
	p.open()
	if _, err := os.Stat("/dev/shm"); err == nil {
		other, err := os.MkdirTemp("/dev/shm", "hashmatch-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(other) })
		c := p.config
		c.Held = filepath.Join(other, "held")
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), "one file system") {
			t.Errorf("two file systems: %v", err)
		}
	}
	if names, err := os.ReadDir(p.config.Store); err != nil || len(names) != 0 {
		t.Errorf("New left %v in the store", names)
	}
}

// A hook for a file that is not an upload's own in the store is refused, and the file not touched.
func TestOutsideOfTheStore(t *testing.T) {
	var log bytes.Buffer
	p := newPlace(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	outside := filepath.Join(p.dir, "outside")
	if err := os.WriteFile(outside, []byte("clean"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.upload("mine", "clean")
	if err := os.Symlink(outside, filepath.Join(p.config.Store, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(p.config.Store, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(p.config.Store, name) }
	for name, c := range map[string][3]string{ // ID, Path, InfoPath
		"outside":           {"outside", outside, outside + ".info"},
		"above":             {"..", in(".."), in("..") + ".info"},
		"through the store": {"outside", in("../outside"), in("../outside.info")},
		"ID with a folder":  {"../outside", in("../outside"), in("../outside.info")},
		"another's file":    {"yours", in("mine"), in("mine.info")},
		"another's info":    {"mine", in("mine"), in("yours.info")},
		"relative":          {"mine", "store/mine", "store/mine.info"},
		"a link":            {"link", in("link"), in("link.info")},
		"a folder":          {"folder", in("folder"), in("folder.info")},
		"absent":            {"absent", in("absent"), in("absent.info")},
		"an info file":      {"mine.info", in("mine.info"), in("mine.info.info")},
		"a lock":            {"mine.lock", in("mine.lock"), in("mine.lock.info")},
		"hidden":            {".mine", in(".mine"), in(".mine.info")},
		"NUL":               {"mi\x00ne", in("mi\x00ne"), in("mi\x00ne.info")},
		"no path":           {"mine", "", ""},
	} {
		body := fmt.Appendf(nil, `{"Type":"pre-finish","Event":{"Upload":{"ID":%s,"Size":5,"Offset":5,"Storage":{"Path":%s,"InfoPath":%s}}}}`,
			quote(c[0]), quote(c[1]), quote(c[2]))
		if w := post(p.handler, body); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for _, text := range []string{
		`{"ID":"mine","Size":5,"Offset":5,"Storage":{"Type":"s3store","Bucket":"b","Key":"k"}}`,
		`{"ID":"mine","Size":5,"Offset":5,"Storage":null}`,
		`{"ID":"mine","Size":5,"Offset":4,"Storage":{"Path":` + quote(in("mine")) + `,"InfoPath":` + quote(in("mine.info")) + `}}`,
		`{"ID":"mine","Size":0,"SizeIsDeferred":true,"Storage":{"Path":` + quote(in("mine")) + `,"InfoPath":` + quote(in("mine.info")) + `}}`,
	} {
		w := post(p.handler, []byte(`{"Type":"pre-finish","Event":{"Upload":`+text+`}}`))
		if w.Code != http.StatusForbidden || strings.Contains(text, "s3") != strings.Contains(w.Body.String(), "object store") {
			t.Errorf("%s: %d %s", text, w.Code, w.Body)
		}
	}
	if p.where("mine") != "store" || !exists(outside) || !exists(in("link")) || p.checker.count() != 0 {
		t.Error("something was touched")
	}
	if log.Len() == 0 || strings.Contains(log.String(), p.dir) || strings.Contains(log.String(), "outside.info") {
		t.Errorf("the log: %s", &log)
	}
}

func quote(s string) string { return fmt.Sprintf("%q", strings.ReplaceAll(s, "\x00", "?")) }

func TestPartialUploads(t *testing.T) {
	a := newApp(t)
	p := newPlace(t, func(c *Config) { c.Forward = a.URL })
	p.upload("piece", "listed")
	for _, kind := range []eventType{preFinish, postFinish} {
		body := bytes.Replace(p.event(kind, "piece", 6), []byte(`"IsPartial":false`), []byte(`"IsPartial":true`), 1)
		if w := post(p.handler, body); w.Code != 200 {
			t.Error(w.Code, w.Body)
		}
	}
	if p.where("piece") != "store" || p.checker.count() != 0 || len(a.events()) != 0 {
		t.Error("a piece was taken for an upload")
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	p := newPlace(t, nil)
	for name, body := range map[string]string{
		"empty":        "",
		"no object":    `[]`,
		"cut":          `{"Type":"pre-finish"`,
		"no event":     `{"Type":"pre-finish"}`,
		"twice":        `{"Type":"pre-finish","Type":"post-create","Event":{"Upload":{}}}`,
		"ID twice":     `{"Type":"pre-finish","Event":{"Upload":{"ID":"a","ID":"b"}}}`,
		"wrong type":   `{"Type":"pre-finish","Event":{"Upload":{"ID":1}}}`,
		"null":         `{"Type":"pre-finish","Event":{"Upload":{"ID":null}}}`,
		"size":         `{"Type":"pre-finish","Event":{"Upload":{"Size":"5"}}}`,
		"huge size":    `{"Type":"pre-finish","Event":{"Upload":{"Size":99999999999999999999}}}`,
		"more":         `{"Type":"post-create","Event":{"Upload":{}}} {}`,
		"storage":      `{"Type":"pre-finish","Event":{"Upload":{"Storage":[]}}}`,
		"unknown type": `{"Type":"pre-publish","Event":{"Upload":{}}}`,
		"no type":      `{"Event":{"Upload":{}}}`,
		"case":         `{"type":"post-create","event":{"Upload":{}}}`,
		"deep":         `{"Type":"post-create","Event":{"Upload":{"MetaData":` + strings.Repeat("[", 1<<16) + `}}}`,
	} {
		if w := post(p.handler, []byte(body)); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Error(w.Code)
	}
	if w := post(p.handler, make([]byte, MaxBody+1)); w.Code != http.StatusRequestEntityTooLarge {
		t.Error(w.Code)
	}
}

// The sender of an upload chooses its metadata and headers: they must not keep the hook from taking it.
func TestSenderCannotSpoilTheHook(t *testing.T) {
	p := newPlace(t, nil)
	for i, meta := range []string{
		`{"a":"1","a":"2","A":"3"}`, `null`, `{"Type":"x","ID":"y"}`,
		`{"x":"` + strings.Repeat(`\ufffd`, 1<<15) + `"}`,
	} {
		id := fmt.Sprint("m", i)
		p.upload(id, "listed")
		body := bytes.Replace(p.event(preFinish, id, 6), []byte(`{"filename":"secret.jpg"}`), []byte(meta), 1)
		if p.passed(post(p.handler, body)) {
			t.Error("passed")
		}
		p.expect(id, "held", kept)
	}
}

func TestOtherEvents(t *testing.T) {
	a := newApp(t)
	a.set(0, `{"HTTPResponse":{"Header":{"X":"y"}}}`)
	ready, refused := error(nil), error(nil)
	p := newPlace(t, func(c *Config) {
		c.Forward = a.URL
		surface := c.Surface
		c.Ready = func() error { return ready }
		c.Surface = func() (hashmatch.Surface, error) {
			if refused != nil {
				return hashmatch.Surface{}, refused
			}
			return surface()
		}
	})
	all := []eventType{preCreate, postCreate, postReceive, preTerminate, postTerminate}
	for _, kind := range all {
		body := p.event(kind, "a1", 5)
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header.Set("Cookie", "a=b")
		r.Header.Set("Authorization", "Bearer token")
		p.handler.ServeHTTP(w, r)
		if w.Code != 200 || w.Body.String() != `{"HTTPResponse":{"Header":{"X":"y"}}}` || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
		}
		if a.bodies[len(a.bodies)-1] != string(body) || a.header.Get("Cookie") != "a=b" || a.header.Get("Authorization") != "" {
			t.Errorf("%s did not arrive as it was: %v", kind, a.header)
		}
	}
	a.set(418, "no")
	for _, kind := range all {
		if w := p.post(kind, "a1", 5); w.Code != 418 || w.Body.String() != "no" {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
		}
	}
	for name, answer := range map[string]string{
		"another place": `{"ChangeFileInfo":{"Storage":{"Path":"/elsewhere"}}}`,
		"a folder":      `{"ChangeFileInfo":{"ID":"a/b"}}`,
		"no JSON":       `ok`,
	} {
		a.set(0, answer)
		if w := p.post(preCreate, "", 5); w.Code != http.StatusBadGateway {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	p.finish("used", "listed")
	a.set(0, `{"ChangeFileInfo":{"ID":"used"}}`)
	if w := p.post(preCreate, "", 5); w.Code != http.StatusBadGateway {
		t.Errorf("an ID in use: %d %s", w.Code, w.Body)
	}
	a.set(0, `{"ChangeFileInfo":{"ID":"fresh"}}`)
	if w := p.post(preCreate, "", 5); !p.passed(w) {
		t.Errorf("a fresh ID: %d %s", w.Code, w.Body)
	}
	a.set(0, strings.Repeat(" ", maxReply+1))
	for _, kind := range all[1:] {
		if w := p.post(kind, "a1", 5); w.Code != http.StatusBadGateway {
			t.Errorf("%s: %d", kind, w.Code)
		}
	}
	a.set(302, "")
	if w := p.post(postCreate, "a1", 5); w.Code != http.StatusBadGateway {
		t.Errorf("a redirect: %d", w.Code)
	}

	a.set(0, "")
	before := len(a.events())
	refusal := func(name, status string) {
		t.Helper()
		w := p.post(preCreate, "", 5)
		if p.passed(w) || w.Code != 200 || !strings.Contains(w.Body.String(), `"RejectUpload":true`) || !strings.Contains(w.Body.String(), `"StatusCode":`+status) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	ready = errors.New("no list")
	refusal("not ready", "503")
	ready, refused = nil, hashmatch.ErrSurfaceRefused
	refusal("surface", "403")
	if len(a.events()) != before {
		t.Error("the application was asked about an upload that was refused")
	}
	if p.finish("f1", "clean") {
		t.Error("an upload to a refused surface passed")
	}
	p.expect("f1", "held", taking)
	refused = nil
	a.Close()
	refusal("application down", "503")
	for _, kind := range all[1:] {
		if w := p.post(kind, "a1", 5); w.Code != http.StatusBadGateway {
			t.Errorf("%s: %d", kind, w.Code)
		}
	}
}

func TestPlaces(t *testing.T) {
	p := newPlace(t, func(c *Config) { c.MaxUploads, c.Timeout = 1, 500*time.Millisecond })
	p.checker.wait = make(chan struct{})
	p.upload("slow", "clean")
	w := p.post(preFinish, "slow", 5)
	if p.passed(w) || w.Code != 200 {
		t.Errorf("without a verdict: %d %s", w.Code, w.Body)
	}
	p.expect("slow", "held", taking)
	if w := p.post(postFinish, "slow", 5); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a request too many: %d", w.Code)
	}
	close(p.checker.wait)
	wait(t, "the verdict", func() bool { return p.where("slow") == "store" })
	wait(t, "the place", func() bool { return p.post(postFinish, "slow", 5).Code == 200 })
	p.expect("slow", "store", "")
	p.run() // takes no place
	if !p.finish("next", "clean") {
		t.Error("no place is left")
	}
}

func TestManyAtOnce(t *testing.T) {
	a := newApp(t)
	p := newPlace(t, func(c *Config) { c.Forward = a.URL })
	p.run()
	var group sync.WaitGroup
	words := []string{"clean", "listed", "odd"}
	for i := range 60 {
		id, word := fmt.Sprint("id", i), words[i%3]
		p.upload(id, word)
		for range 2 { // tusd repeats what it took for lost
			group.Go(func() {
				if p.passed(p.post(preFinish, id, len(word))) && word != "clean" {
					t.Errorf("%s passed", word)
				}
				p.post(postFinish, id, len(word))
			})
		}
	}
	group.Wait()
	told := func() int {
		events := a.events()
		slices.Sort(events)
		return len(slices.Compact(events))
	}
	wait(t, "every clean upload to be announced", func() bool { return told() == 20 })
	wait(t, "the end", func() bool { p.handler.mu.Lock(); defer p.handler.mu.Unlock(); return len(p.handler.due) == 0 })
	for i := range 60 {
		want, s := "held", kept
		if i%3 == 0 {
			want, s = "store", step("")
		}
		p.expect(fmt.Sprint("id", i), want, s)
	}
	if n := len(p.handler.locks.held); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}
