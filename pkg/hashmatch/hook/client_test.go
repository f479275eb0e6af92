package hook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

func newClient(t testing.TB, url, token string) *Client {
	t.Helper()
	c, err := NewClient(ClientConfig{URL: url, Token: token, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	c.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func TestClient(t *testing.T) {
	s := newService(t, nil)
	c := newClient(t, s.url, "lookup")
	for text, want := range map[string]hashmatch.Action{"clean": hashmatch.Allow, "listed": hashmatch.Block, "near": hashmatch.Hold, "busy": hashmatch.Hold} {
		a, err := c.Scan(t.Context(), Upload{Surface: "uploads", Content: strings.NewReader(text), Detail: true})
		if err != nil || a.Action != want || a.Allowed() != (want == hashmatch.Allow) || a.Surface != "uploads" || a.Results[0].Detail == nil {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	// What cannot be sent again is sent once.
	before := s.checker.count()
	if a, err := c.Scan(t.Context(), Upload{Surface: "uploads", Content: io.MultiReader(strings.NewReader("busy"))}); err != nil || !a.Retry || a.Allowed() || s.checker.count() != before+1 {
		t.Errorf("%+v, %v, sent %d times", a, err, s.checker.count()-before)
	}
	for name, u := range map[string]Upload{
		"surface": {Surface: "messages", Content: strings.NewReader("clean")}, "none": {Content: strings.NewReader("clean")},
		"item": {Surface: "uploads", Item: "a\nb", Content: strings.NewReader("clean")}, "multipart": {Surface: "uploads", ContentType: "multipart/form-data; boundary=b"},
	} {
		if a, err := c.Scan(t.Context(), u); err == nil || a.Allowed() {
			t.Errorf("%s: %+v", name, a)
		}
	}
	var p Problem
	if _, err := c.Scan(t.Context(), Upload{Surface: "messages"}); !errors.As(err, &p) || p.Type != problemSurface.Type || p.Status != 403 {
		t.Errorf("%v", err)
	}
	if a, err := c.Match(t.Context(), MatchQuery{Surface: "uploads", Hashes: []hashmatch.Hash{hashAt(2), hashAt(99)}}); err != nil || len(a.Results[0].Matches) != 1 || len(a.Results[1].Matches) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if l, err := c.Lists(t.Context()); err != nil || len(l) != 2 || *l[0].AgeSeconds < 3599 {
		t.Errorf("%+v, %v", l, err)
	}
	if _, _, err := c.ReviewList(t.Context(), ReviewFilter{}); !errors.As(err, &p) || p.Status != 403 {
		t.Errorf("without the scope: %v", err)
	}
	admin := newClient(t, s.url, "admin")
	if items, next, err := admin.ReviewList(t.Context(), ReviewFilter{State: ReviewPending, Limit: 3}); err != nil || len(items) != 1 || next != "next" {
		t.Errorf("%v %v %v", items, next, err)
	}
	ref := ReviewRef{Item: oddItem, Surface: "uploads"}
	if item, err := admin.ReviewShow(t.Context(), ref); err != nil || item.Item != oddItem || item.Surface != "uploads" {
		t.Errorf("%+v %v", item, err)
	}
	for _, id := range []string{".", "..", "a/../b", "%2e"} {
		if _, err := admin.ReviewShow(t.Context(), ReviewRef{Item: id}); !errors.As(err, &p) || p.Status != 404 {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := admin.ReviewDecide(t.Context(), ReviewDecision{ReviewRef: ref, Release: true, Reason: "r", Actor: "jane"}); err != nil {
		t.Error(err)
	}
	if d := s.queue.decisions[0]; !d.Release || d.Item != oddItem || d.Actor != "jane (by desk)" {
		t.Errorf("%+v", d)
	}
}

// No answer that is not one is an allow.
func TestClientFailsClosed(t *testing.T) {
	const item = "it"
	good := Answer{Action: hashmatch.Allow, Item: item, Surface: "uploads", Reasons: []gate.Reason{}, Results: []Result{{Part: 1, Item: item, Action: hashmatch.Allow}}}
	text := func(change func(*Answer)) string {
		a := good
		a.Results = []Result{good.Results[0]}
		change(&a)
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, c := range map[string]struct {
		status      int
		contentType string
		body        string
		allowed     bool
	}{
		"allow":                 {200, "application/json", text(func(*Answer) {}), true},
		"another item":          {200, "application/json", text(func(a *Answer) { a.Item = "x" }), false},
		"another result":        {200, "application/json", text(func(a *Answer) { a.Results[0].Item = "x" }), false},
		"another surface":       {200, "application/json", text(func(a *Answer) { a.Surface = "x" }), false},
		"a result that is held": {200, "application/json", text(func(a *Answer) { a.Results[0].Action = hashmatch.Hold }), false},
		"no result":             {200, "application/json", text(func(a *Answer) { a.Results = nil }), false},
		"two results":           {200, "application/json", text(func(a *Answer) { a.Results = append(a.Results, a.Results[0]) }), false},
		"held":                  {200, "application/json", text(func(a *Answer) { a.Action = hashmatch.Hold }), false},
		"allow with 403":        {403, "application/json", text(func(*Answer) {}), false},
		"allow with 503":        {503, "application/json", text(func(*Answer) {}), false},
		"allow with 201":        {201, "application/json", text(func(*Answer) {}), false},
		"allow with 500":        {500, "application/json", text(func(*Answer) {}), false},
		"a redirect":            {302, "application/json", text(func(*Answer) {}), false},
		"another content type":  {200, "text/html", text(func(*Answer) {}), false},
		"no action":             {200, "application/json", `{"item":"it","surface":"uploads","results":[{"item":"it"}]}`, false},
		"an unknown action":     {200, "application/json", `{"action":"pass","item":"it","surface":"uploads","results":[{"item":"it","action":"allow"}]}`, false},
		"half an answer":        {200, "application/json", text(func(*Answer) {})[:60], false},
		"nothing":               {200, "application/json", "", false},
		"null":                  {200, "application/json", "null", false},
		"a problem":             {403, "application/problem+json", `{"type":"x","status":200}`, false},
		"far too long":          {200, "application/json", strings.Repeat(" ", 100_000) + text(func(*Answer) {}), false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.contentType)
			w.Header().Set("Location", "/")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		client := newClient(t, server.URL, "")
		client.longest = 100_000
		a, err := client.Scan(t.Context(), Upload{Item: item, Surface: "uploads", Content: strings.NewReader("x")})
		if a.Allowed() != c.allowed || c.allowed && err != nil {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		server.Close()
	}
	if good.Allowed() || (Answer{}).Allowed() {
		t.Error("an answer that no client has received is an allow")
	}
	if a, err := newClient(t, "http://127.0.0.1:1", "").Scan(t.Context(), Upload{Content: strings.NewReader("x")}); err == nil || a.Allowed() {
		t.Error("nobody answered, and it is an allow")
	}
}

// Tries are of one item and of the whole content, and there are no more than were asked for.
func TestClientTriesAgain(t *testing.T) {
	var tries atomic.Int32
	items := make(chan string, 20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := tries.Add(1)
		items <- r.Header.Get(HeaderItem)
		switch n {
		case 1: // without reading: what is sent is still on its way
			w.Header().Set("Retry-After", "1")
			WriteProblem(w, problemRate)
			return
		case 2:
			panic(http.ErrAbortHandler)
		}
		text, _ := io.ReadAll(r.Body)
		id := r.Header.Get(HeaderItem)
		action := hashmatch.Hold
		if len(text) == 3<<20 {
			action = hashmatch.Allow
		}
		writeJSON(w, 200, Answer{Action: action, Item: id, Results: []Result{{Part: 1, Item: id, Action: action}}})
	}))
	defer server.Close()
	c := newClient(t, server.URL, "")
	content := strings.NewReader(strings.Repeat("x", 3<<20+100))
	_, _ = content.Seek(100, io.SeekStart)
	a, err := c.Scan(t.Context(), Upload{Content: content})
	if err != nil || !a.Allowed() || tries.Load() != 3 {
		t.Errorf("%+v, %v after %d tries", a, err, tries.Load())
	}
	if first, second, third := <-items, <-items, <-items; first == "" || first != second || second != third {
		t.Errorf("%q, %q, %q", first, second, third)
	}
	tries.Store(100)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		WriteProblem(w, problemNotReady)
	}))
	defer down.Close()
	if _, err := newClient(t, down.URL, "").Scan(t.Context(), Upload{Content: strings.NewReader("x")}); err == nil || tries.Load() != 100+DefaultTries {
		t.Errorf("%v after %d tries", err, tries.Load()-100)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient(t, down.URL, "").Scan(ctx, Upload{Content: strings.NewReader("x")}); err == nil {
		t.Error("an answer to a caller that went away")
	}
}

func TestClientOnUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen("unix", path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewAPI(APIConfig{Checker: &checker{}, Surfaces: surfaces(t), Auth: newAuth(t, AuthConfig{Anonymous: []Scope{ScopeScan}}), Surface: "uploads"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(ServerConfig{Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l) //nolint:errcheck // ended below
	defer s.Shutdown(t.Context())
	if a, err := newClient(t, "unix:"+path, "").Scan(t.Context(), Upload{Content: strings.NewReader("clean")}); err != nil || !a.Allowed() {
		t.Errorf("%+v, %v", a, err)
	}
	for _, url := range []string{"", "x", "ftp://x", "http://", "unix:", "http://u:p@x", "http://x?y=1"} {
		if _, err := NewClient(ClientConfig{URL: url}); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
}
