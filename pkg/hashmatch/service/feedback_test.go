package service

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/outbox"
)

// What a person decides reaches the exchange of the list: a confirmed match as a true positive; a release of the very
// file as a false positive, an appeal that is granted too; a release of a picture that is only near, as nothing.
func TestFeedback(t *testing.T) {
	var mu sync.Mutex
	var told []string
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entry, descriptors := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/descriptors")
		switch {
		case r.Method == http.MethodPost:
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			told = append(told, strings.TrimPrefix(r.URL.Path, "/")+" "+string(body))
			mu.Unlock()
		case descriptors:
			_ = json.NewEncoder(w).Encode(map[string]any{"data": []any{map[string]any{"id": "of-" + entry, "owner": map[string]any{"id": "9"}}}})
		default:
			w.WriteHeader(http.StatusInternalServerError) // the list stays as it is
		}
	}))
	defer origin.Close()
	d := newDir(t)
	d.write(t, "credentials", "token=5|secret\n")
	d.write(t, "hashmatch.yaml", configuration+"exchanges:\n  - {list: demo, dialect: threatexchange, group: \"1\", address: \""+origin.URL+"\", credentials: credentials}\n"+
		"feedback: {folder: feedback, lists: [demo]}\n")
	r := start(t, d)
	bearer := "Bearer " + d.token
	decide := func(item, decision, more string) {
		t.Helper()
		status, text := r.request(t, "api", "POST", "/v1/review/"+item+"/"+decision, []byte(`{"reason":"looked at"`+more+`}`),
			"Authorization", bearer, "Content-Type", "application/json")
		if status/100 != 2 {
			t.Fatalf("%d %s", status, text)
		}
		for until := time.Now().Add(time.Minute); r.review.Stats().Undelivered != 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatal("the decision is not passed on")
			}
		}
	}
	item := func(upload, want string) string {
		t.Helper()
		if got := r.scan(t, upload); got != want {
			t.Fatal(got)
		}
		_, text := r.request(t, "api", "GET", "/v1/review?state=pending", nil, "Authorization", bearer)
		var queue struct{ Items []hook.ReviewItem }
		if err := json.Unmarshal([]byte(text), &queue); err != nil || len(queue.Items) != 1 {
			t.Fatalf("%s: %v", text, err)
		}
		return queue.Items[0].Item
	}
	await := func(want string) {
		t.Helper()
		for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			mu.Lock()
			arrived := slices.Contains(told, want)
			mu.Unlock()
			if arrived {
				return
			}
			if time.Now().After(until) {
				t.Fatalf("%q did not arrive, but %q", want, told)
			}
		}
	}
	near := item("near-resized.jpg", "hold")
	decide(near, "release", "")
	if waiting, err := r.outbox.Items(outbox.Pending); err != nil || len(waiting) != 0 {
		t.Errorf("a near match that was released: %+v, %v", waiting, err)
	}
	decide(near, "confirm", `,"correct":true`)
	await("of-synthetic-quarry reactions=HELPFUL")
	exact := item("exact-copy.jpg", "block")
	mu.Lock()
	told = nil
	mu.Unlock()
	decide(exact, "release", "") // on appeal
	await("of-synthetic-harbour reactions=DISAGREE_WITH_TAGS")
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		done, err := r.outbox.Items(outbox.Done)
		if err == nil && len(done) >= 2 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%d done, %v", len(done), err)
		}
	}
}
