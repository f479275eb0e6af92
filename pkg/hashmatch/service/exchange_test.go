package service

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A list that an exchange fills is fetched by the service itself: it is not ready before, and what changes there comes
// into force here.
func TestExchange(t *testing.T) {
	full := string(testdata(t, "lists", "demo.csv"))
	lines := strings.SplitAfter(full, "\n")
	var first strings.Builder // without the picture that is uploaded
	for _, line := range lines {
		if !strings.HasPrefix(line, "synthetic-harbour,") {
			first.WriteString(line)
		}
	}
	var content atomic.Pointer[string]
	var asked atomic.Int64
	text := first.String()
	content.Store(&text)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 { // the exchange is down at first
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(*content.Load()))
	}))
	defer origin.Close()

	d := newDir(t)
	d.write(t, "hashmatch.yaml", strings.Replace(configuration, "demo.csv", "demo.hml", 1)+
		"exchanges:\n  - {list: demo, dialect: file, address: \""+origin.URL+"/demo.csv\", interval: 1s}\n")
	r := start(t, d)
	await := func(want string) {
		t.Helper()
		got := ""
		for deadline := time.Now().Add(60 * time.Second); got != want; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s, want %s", got, want)
			}
			got = r.scan(t, "exact-copy.jpg")
		}
	}
	if got := r.scan(t, "clean-landscape.jpg"); got != "hold" && asked.Load() < 2 {
		t.Errorf("before the list was there: %s", got)
	}
	await("allow")
	content.Store(&full)
	await("block")
}
