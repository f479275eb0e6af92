package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/review"
)

// heldRecord is what a gate submits of an upload that came near to an entry.
func heldRecord(item, surface string) gate.Record {
	return gate.Record{
		Item: item, Surface: surface, Dialect: "http", Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Action: hashmatch.Hold, Quarantined: true,
		Verdict: hashmatch.Verdict{
			Action: hashmatch.Hold, Would: hashmatch.Hold, Policy: "p1", Revisions: map[string]string{"demo": "r1"},
			Matches:  []hashmatch.Match{{List: "demo", Entry: "e\u202e1", Kind: hashmatch.PDQ, Distance: 12, Threshold: 31, Labels: []string{"synthetic"}, Action: hashmatch.Hold}},
			Failures: []hashmatch.Failure{{Code: hashmatch.Truncated, Detail: "cut \x1b[31moff"}},
		},
	}
}

// blockedRecord is what a gate submits of an upload that is a listed file.
func blockedRecord(item, surface string) gate.Record {
	r := heldRecord(item, surface)
	r.Action, r.Verdict.Action, r.Verdict.Would = hashmatch.Block, hashmatch.Block, hashmatch.Block
	r.Verdict.Matches[0].Kind, r.Verdict.Matches[0].Action, r.Verdict.Failures = hashmatch.MD5, hashmatch.Block, nil
	return r
}

func fillReview(file string, records ...gate.Record) error {
	q, err := review.Open(context.Background(), review.Config{File: file})
	if err != nil {
		return err
	}
	for _, r := range records {
		err = errors.Join(err, q.Submit(context.Background(), r))
	}
	return errors.Join(err, q.Close())
}

// makeReviewDatabase makes a database with four items: reviewdb FILE
func makeReviewDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: reviewdb FILE")
	}
	ts.Check(fillReview(ts.MkAbs(args[0]), heldRecord("post-1", "posts"), blockedRecord("post-2", "posts"), heldRecord("twice", "posts"), heldRecord("twice", "avatars")))
}

// serviceQueue is a review.Queue as a service shows it.
type serviceQueue struct{ database }

func (q serviceQueue) List(ctx context.Context, f hook.ReviewFilter) ([]hook.ReviewItem, string, error) {
	items, next, err := q.ReviewList(ctx, f)
	return items, next, asHook(err)
}

func (q serviceQueue) Show(ctx context.Context, ref hook.ReviewRef) (hook.ReviewItem, error) {
	item, err := q.ReviewShow(ctx, ref)
	return item, asHook(err)
}

func (q serviceQueue) Decide(ctx context.Context, d hook.ReviewDecision) error {
	return asHook(q.ReviewDecide(ctx, d))
}

func asHook(err error) error {
	for from, to := range map[error]error{
		review.ErrNotFound: hook.ErrReviewNotFound, review.ErrAmbiguous: hook.ErrReviewAmbiguous, review.ErrDecided: hook.ErrReviewDecided,
		review.ErrChanged: hook.ErrReviewChanged, review.ErrWho: hook.ErrReviewRefused, review.ErrFilter: hook.ErrReviewRefused,
	} {
		if errors.Is(err, from) {
			return to
		}
	}
	return err
}

// reviewService serves the API of a queue with some items, and returns its URL and the file of a token.
func reviewService(t *testing.T, records ...gate.Record) (address, tokenFile string, q *review.Queue) {
	t.Helper()
	dir := t.TempDir()
	q, err := review.Open(t.Context(), review.Config{File: filepath.Join(dir, "review.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	for _, r := range records {
		if err := q.Submit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	token, hash := hook.NewToken()
	tokens := filepath.Join(dir, "tokens")
	tokenFile = filepath.Join(dir, "token")
	text, err := json.Marshal([]hook.Token{{Name: "desk", SHA256: hash, Scopes: []hook.Scope{hook.ScopeAdmin}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(tokens, text, 0o600), os.WriteFile(tokenFile, []byte(token+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	loaded, err := hook.LoadTokens(tokens)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := hook.NewAuth(hook.AuthConfig{Tokens: loaded})
	if err != nil {
		t.Fatal(err)
	}
	api, err := hook.NewAPI(hook.APIConfig{
		Checker: noUploads{}, Auth: auth, Review: serviceQueue{database{q}},
		Surfaces: func(string) (hashmatch.Surface, error) { return hashmatch.Surface{}, hashmatch.ErrSurfaceRefused },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return server.URL, tokenFile, q
}

type noUploads struct{}

func (noUploads) Check(context.Context, gate.Upload) (gate.Outcome, error) {
	return gate.Outcome{}, hashmatch.ErrSurfaceRefused
}

// ran runs the program and returns its exit code and what it wrote.
func ran(args ...string) (code int, stdout, stderr string) {
	var out, failed bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &failed)
	return code, out.String(), failed.String()
}

func TestReviewOverHTTP(t *testing.T) {
	odd := "a/b?c#d%41 é"
	records := []gate.Record{heldRecord(odd, "posts"), blockedRecord("..", "posts"), heldRecord("twice", "posts"), heldRecord("twice", "avatars")}
	for i := range 2*review.DefaultLimit + 10 {
		records = append(records, heldRecord(fmt.Sprint("many-", i), "many"))
	}
	address, tokenFile, q := reviewService(t, records...)
	t.Setenv("HASHMATCH_URL", address)
	t.Setenv("HASHMATCH_TOKEN_FILE", tokenFile)
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"list", "--limit", "0"}, 0, "  many-209  ", ""},
		{[]string{"list", "--action", "block", "--output", "json"}, 0, `{"item":"..","surface":"posts"`, ""},
		{[]string{"show", odd}, 0, "near, pdq at 12 of 31", ""},
		{[]string{"show", ".."}, 0, "exact, md5", ""},
		{[]string{"show", "nothing"}, exitNoItem, "", "there is nothing here"},
		{[]string{"show", "twice"}, exitConflict, "", "several surfaces"},
		{[]string{"show", "--surface", "avatars", "twice"}, 0, "avatars", ""},
		{[]string{"release", "--reason", "harmless", "--version", "7", odd}, exitConflict, "", "changed"},
		{[]string{"release", "--reason", "harmless", "--actor", "ann", odd}, 0, "released", ""},
		{[]string{"release", "--reason", "harmless", odd}, 0, "released", ""},
		{[]string{"confirm", "--reason", "no", odd}, exitConflict, "", "decided already"},
		{[]string{"confirm", "--reason", "no", "--correct", "--output", "json", odd}, 0, `"state":"confirmed"`, ""},
		{[]string{"confirm", "--reason", strings.Repeat("x", 5000), ".."}, exitUsage, "", "reason"},
		{[]string{"list", "--url", "http://127.0.0.1:1"}, exitUnreachable, "", "cannot be reached"},
		{[]string{"list", "--url", address + "/nowhere"}, exitNoItem, "", "there is nothing here"},
	} {
		code, stdout, stderr := ran(append([]string{"review"}, c.args...)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%.60q: exit code %d, want %d\n%s%s", c.args, code, c.code, stdout, stderr)
		}
	}
	item, err := q.Show(t.Context(), review.Ref{Item: odd})
	if err != nil || item.State != review.Confirmed || len(item.History) != 2 || !strings.Contains(item.History[0].Actor, "ann") || item.Actor != "desk" {
		t.Errorf("%+v %v", item, err)
	}
}

// A service that is none, or that means ill.
func TestReviewOddServices(t *testing.T) {
	address, tokenFile, _ := reviewService(t)
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		code    int
	}{
		"refuses":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, exitUnreachable},
		"redirects": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, http.StatusFound) }, exitUnreachable},
		"endless pages": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"items":[],"next":"x"}`)
		}, exitUnreachable},
		"drives the terminal": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"type":"urn:hashmatch:problem:x","title":"\u001b[2Jgone\u202e"}`)
		}, exitConflict},
		"items that drive it": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"items":[{"item":"\u001b[2J","surface":"\u009b","state":"\u202e","matches":[{"kind":"\u001b","list":"\u0007"}],"notes":["\u001b"]}],"next":""}`)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			code, stdout, stderr := ran("review", "list", "--url", server.URL, "--token-file", tokenFile)
			if code != c.code {
				t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
			if text := stdout + stderr; strings.ContainsAny(text, "\x1b\x07\u009b\u202e") {
				t.Errorf("%q", text)
			}
		})
	}
}
