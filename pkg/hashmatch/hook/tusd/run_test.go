package tusd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// write puts a file into Held.
func (p *place) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.config.Held, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// What could not be scanned in its hook is scanned by Run, and announced by it.
func TestLateVerdicts(t *testing.T) {
	a := newApp(t)
	ready := make(chan error, 1)
	ready <- errors.New("no list")
	p := newPlace(t, func(c *Config) {
		c.Forward = a.URL
		c.Ready = func() error { err := <-ready; ready <- err; return err }
	})
	p.run()
	for _, id := range []string{"l1", "l2"} {
		if p.finish(id, "later") {
			t.Error("passed")
		}
		p.post(postFinish, id, 5)
	}
	time.Sleep(50 * time.Millisecond)
	if n := p.checker.count(); n != 2 {
		t.Errorf("%d scans while nothing can be judged", n)
	}
	p.checker.mu.Lock()
	p.checker.words = map[string]hashmatch.Action{"later": hashmatch.Allow}
	p.checker.mu.Unlock()
	<-ready
	ready <- nil
	wait(t, "both to be announced", func() bool { return len(a.events()) >= 2 })
	wait(t, "both to be forgotten", func() bool { return p.where("l1") == "store" && len(p.journals()) == 0 })
	if got := a.events(); !slices.Equal(got, []string{"post-finish l1", "post-finish l2"}) {
		t.Errorf("%q", got)
	}
	var e struct {
		Event struct {
			Upload      struct{ MetaData map[string]string }
			HTTPRequest struct{ Header map[string][]string }
		}
	}
	if err := json.Unmarshal([]byte(a.bodies[0]), &e); err != nil || e.Event.Upload.MetaData["filename"] != "secret.jpg" || len(e.Event.HTTPRequest.Header) != 0 {
		t.Errorf("announced as %s", a.bodies[0])
	}
	if ids := p.checker.scans; slices.ContainsFunc(ids, func(id string) bool { return !strings.HasPrefix(id, "tusd/l") }) {
		t.Errorf("item IDs %q", ids)
	}
}

func (p *place) journals() []string {
	names, err := filepath.Glob(filepath.Join(p.config.Held, "*"+journalSuffix))
	if err != nil {
		p.t.Fatal(err)
	}
	return names
}

// A verdict that could not be recorded is none: the upload waits until it can.
func TestEffectsThatFail(t *testing.T) {
	p := newPlace(t, nil)
	p.checker.failed = true
	for id, content := range map[string]string{"e1": "clean", "e2": "listed"} {
		if p.finish(id, content) {
			t.Error("passed")
		}
		p.expect(id, "held", taking)
	}
	p.checker.mu.Lock()
	p.checker.failed = false
	p.checker.mu.Unlock()
	p.run()
	wait(t, "the verdicts", func() bool {
		j, err := p.handler.folders.load("e2")
		return p.where("e1") == "store" && err == nil && stepOf(j) == kept
	})
}

// An application that is down, or fails, gets every post-finish when it is back.
func TestAnnouncementsWait(t *testing.T) {
	a := newApp(t)
	a.set(500, "")
	p := newPlace(t, func(c *Config) { c.Forward = a.URL })
	p.run()
	for _, id := range []string{"w1", "w2", "w3"} {
		if !p.finish(id, "clean") {
			t.Error("rejected")
		}
	}
	if w := p.post(postFinish, "w1", 5); w.Code != 500 {
		t.Error(w.Code)
	}
	time.Sleep(100 * time.Millisecond)
	for _, id := range []string{"w1", "w2", "w3"} {
		p.expect(id, "store", returned)
	}
	a.set(0, "")
	wait(t, "all to be forgotten", func() bool { return len(p.journals()) == 0 })
	for _, id := range []string{"w1", "w2", "w3"} {
		if !slices.Contains(a.events(), "post-finish "+id) {
			t.Errorf("%s was not announced", id)
		}
	}
}

func TestRelease(t *testing.T) {
	a := newApp(t)
	p := newPlace(t, func(c *Config) { c.Forward = a.URL })
	p.run()
	p.finish("r1", "odd")
	p.finish("r2", "listed")
	p.finish("r3", "later")
	ctx := t.Context()
	if err := p.handler.Release(ctx, "tusd/r3"); !errors.Is(err, ErrUndecided) {
		t.Error(err)
	}
	for _, id := range []string{"unknown", "tusd/unknown", "", "tusd/", "../store/x", "clean.info"} {
		if err := p.handler.Release(ctx, id); !errors.Is(err, ErrNotHeld) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := p.handler.Release(ctx, "tusd/r1"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the announcement", func() bool { return slices.Contains(a.events(), "post-finish r1") })
	wait(t, "the end", func() bool { return len(p.journals()) == 2 })
	p.expect("r1", "store", "")
	p.expect("r2", "held", kept)
	if err := p.handler.Release(ctx, "tusd/r1"); !errors.Is(err, ErrNotHeld) {
		t.Error(err)
	}
	// A file of that name in the store is not replaced.
	p.upload("r2", "clean")
	if err := p.handler.Release(ctx, "r2"); err == nil {
		t.Error("a file of the store was replaced")
	}
	if text, err := os.ReadFile(filepath.Join(p.config.Store, "r2")); err != nil || string(text) != "clean" {
		t.Error(string(text), err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	unlock, _ := p.handler.locks.take(ctx, "r2")
	defer unlock()
	if err := p.handler.Release(gone, "r2"); !errors.Is(err, ErrUndecided) {
		t.Error(err)
	}
}

func TestExpiry(t *testing.T) {
	now := time.Now()
	p := newPlace(t, func(c *Config) { c.now = func() time.Time { return now } })
	p.finish("x1", "listed")
	p.finish("x2", "later")
	p.write("x1~2", "listed")
	p.write("x1~2.info", "{}")
	p.write("stray", "what")
	p.write(".x9.tmp", "{")
	p.write("broken.journal", "{")
	p.write("broken", "listed")
	p.handler.expire(t.Context())
	now = now.Add(-48 * time.Hour) // a clock that was set back
	p.handler.expire(t.Context())
	if p.where("x1") != "held" || !exists(filepath.Join(p.config.Held, "stray")) {
		t.Error("deleted too early")
	}
	now = now.Add(48*time.Hour + DefaultKeep + time.Minute)
	p.handler.expire(t.Context())
	names, err := os.ReadDir(p.config.Held)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, n := range names {
		left = append(left, n.Name())
	}
	if want := []string{lockName, "broken", "broken.journal", "x2", "x2.info", "x2.journal"}; !slices.Equal(left, want) {
		t.Errorf("left: %q, want %q", left, want)
	}
}

// What lies in Held without a journal is scanned before it can be put back; with one that cannot be read it stays.
func TestUnknownUploadsInHeld(t *testing.T) {
	p := newPlace(t, nil)
	for id, content := range map[string]string{"u1": "clean", "u2": "listed"} {
		p.write(id, content)
		p.write(id+infoSuffix, string(p.info(id, len(content))))
	}
	p.write("u3", "clean")
	p.write("u3.info", "{}")
	p.write("u4", "clean")
	p.write("u4.info", string(p.info("another", 5)))
	for id, journal := range map[string]string{
		"u5": "", "u6": `{"version":1,"id":"other","step":"returning"}`, "u7": `{"version":2,"id":"u7","step":"returning"}`,
		"u8": `{"version":1,"id":"u8","step":"allowed"}`,
	} {
		p.write(id, "listed")
		p.write(id+infoSuffix, string(p.info(id, 6)))
		p.write(id+journalSuffix, journal)
	}
	p.upload("u9", "clean") // an upload of its own under the ID
	p.write("u9", "listed")
	p.write("u9.info", string(p.info("u9", 6)))
	p.run()
	wait(t, "u1", func() bool { return p.where("u1") == "store" })
	wait(t, "u2", func() bool { j, err := p.handler.folders.load("u2"); return err == nil && stepOf(j) == kept })
	for _, id := range []string{"u3", "u4", "u5", "u6", "u7", "u8"} {
		if p.where(id) != "held" {
			t.Errorf("%s: %s", id, p.where(id))
		}
		if _, err := p.handler.folders.load(id); (err == nil) != (id < "u5") {
			t.Errorf("%s: %v", id, err)
		}
	}
	if p.checker.count() != 2 {
		t.Errorf("scanned: %q", p.checker.scans)
	}
	if p.passed(p.post(preFinish, "u9", 5)) {
		t.Error("passed")
	}
	if exists(filepath.Join(p.config.Store, "u9")) || !exists(filepath.Join(p.config.Held, "u9~2.info")) {
		t.Error("the second upload of an ID stays in the store")
	}
	p.upload("u5", "clean")
	if p.passed(p.post(preFinish, "u5", 5)) || exists(filepath.Join(p.config.Store, "u5")) {
		t.Error("an upload under an unreadable journal passed")
	}
}

// An ID that is used again never comes under the verdict of the upload that had it first.
func TestIDsUsedAgain(t *testing.T) {
	p := newPlace(t, nil)
	p.finish("i1", "clean")
	if p.finish("i1", "listed") { // replaces what is in the store, as tusd would
		t.Error("passed")
	}
	p.expect("i1", "held", kept)
	for range 3 {
		if p.finish("i1", "clean") {
			t.Error("passed")
		}
	}
	if text, err := os.ReadFile(filepath.Join(p.config.Held, "i1")); err != nil || string(text) != "listed" {
		t.Error(string(text), err)
	}
	if exists(filepath.Join(p.config.Store, "i1")) || !exists(filepath.Join(p.config.Held, "i1~4.info")) {
		t.Error("an upload stays in the store")
	}
	if err := p.handler.Release(t.Context(), "i1"); err != nil {
		t.Fatal(err)
	}
	p.expect("i1", "store", returned)
}

// Files that change, or are not as long as tusd says, are not scanned in full.
func TestLength(t *testing.T) {
	p := newPlace(t, nil)
	for id, size := range map[string]int{"n1": 4, "n2": 6} {
		p.upload(id, "clean")
		if p.passed(p.post(preFinish, id, size)) {
			t.Errorf("%d bytes stated: passed", size)
		}
		p.expect(id, "held", kept)
	}
}

// No room on the disk for the journal: the upload is out of reach all the same, and the hook has failed.
func TestNoJournal(t *testing.T) {
	p := newPlace(t, nil)
	if err := os.Mkdir(filepath.Join(p.config.Held, ".j1.tmp"), 0o700); err != nil { // in the journal's way
		t.Fatal(err)
	}
	p.upload("j1", "clean")
	if w := p.post(preFinish, "j1", 5); w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	p.expect("j1", "held", "")
	if p.checker.count() != 0 {
		t.Error("scanned without a journal")
	}
	if err := os.Remove(filepath.Join(p.config.Held, ".j1.tmp")); err != nil {
		t.Fatal(err)
	}
	p.run()
	wait(t, "the upload", func() bool { return p.where("j1") == "store" })
}

func TestPanics(t *testing.T) {
	p := newPlace(t, nil)
	p.upload("p1", "panic")
	if w := p.post(preFinish, "p1", 5); w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	p.expect("p1", "held", taking)
	stop := p.run()
	wait(t, "Run to try it", func() bool { return p.checker.count() > 2 })
	stop()
	p.expect("p1", "held", taking)
	p.handler.config.Ready = func() error { panic("for the test") }
	if w := p.post(preCreate, "", 5); w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if p.finish("p2", "clean") != true {
		t.Error("the handler is out of order after a panic")
	}
}

func TestClose(t *testing.T) {
	p := newPlace(t, func(c *Config) { c.Timeout = 30 * time.Millisecond })
	p.checker.wait = make(chan struct{})
	p.upload("c1", "clean")
	p.post(preFinish, "c1", 5)
	closed := make(chan struct{})
	go func() { defer close(closed); p.handler.Close() }()
	select {
	case <-closed:
		t.Fatal("closed during a scan")
	case <-time.After(30 * time.Millisecond):
	}
	close(p.checker.wait)
	<-closed
	if p.where("c1") != "store" {
		t.Error(p.where("c1"))
	}
	if w := p.post(preFinish, "c1", 5); w.Code != 503 {
		t.Errorf("after Close: %d", w.Code)
	}
	if err := p.handler.Run(t.Context()); err != nil {
		t.Error(err)
	}
}

// A sender who hangs up while something is at the upload does not keep it in the store.
func TestSenderHangsUp(t *testing.T) {
	p := newPlace(t, nil)
	p.upload("h1", "listed")
	unlock, _ := p.handler.locks.take(t.Context(), "h1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, httptest.NewRequest("POST", "/", bytes.NewReader(p.event(preFinish, "h1", 6))).WithContext(ctx))
	if p.passed(w) {
		t.Error("passed")
	}
	unlock()
	wait(t, "the verdict", func() bool { j, err := p.handler.folders.load("h1"); return err == nil && stepOf(j) == kept })
	p.expect("h1", "held", kept)
}
