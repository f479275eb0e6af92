package service

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A collector gets the spans of an upload, and nothing that could say what was uploaded.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var got []byte
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		mu.Lock()
		got = append(got, body...)
		mu.Unlock()
	}))
	defer collector.Close()
	d := newDir(t)
	d.write(t, "hashmatch.yaml", configuration+"traces: {endpoint: \""+collector.URL+"/v1/traces\"}\n")
	r := start(t, d)
	if got := r.scan(t, "exact-copy.jpg"); got != "block" {
		t.Error(got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"upload", "decode", "search", "hashmatch.surface", "uploads", "block"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is in no span", want)
		}
	}
	for _, secret := range []string{"synthetic-harbour", "exact-copy", "demo"} {
		if strings.Contains(string(got), secret) {
			t.Errorf("%q is in a span", secret)
		}
	}
}

// A collector that cannot be reached holds nothing up.
func TestTracesWithoutACollector(t *testing.T) {
	d := newDir(t)
	d.write(t, "hashmatch.yaml", configuration+"traces: {endpoint: \"http://127.0.0.1:1/v1/traces\"}\n")
	r := start(t, d)
	if got := r.scan(t, "clean-landscape.jpg"); got != "allow" {
		t.Error(got)
	}
}
