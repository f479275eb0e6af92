package hook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

func declared(t testing.TB, name string) hashmatch.Surface {
	t.Helper()
	s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{Name: name, Visibility: hashmatch.Public, Encrypted: new(false)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func surfaces(t testing.TB) Surfaces {
	known := map[string]hashmatch.Surface{"uploads": declared(t, "uploads"), "avatars": declared(t, "avatars")}
	return func(name string) (hashmatch.Surface, error) {
		if s, ok := known[name]; ok {
			return s, nil
		}
		return hashmatch.Surface{}, fmt.Errorf("%w: %q", hashmatch.ErrSurfaceRefused, name)
	}
}

// checker answers by the first word of the content, and remembers what it was given.
type checker struct {
	mu      sync.Mutex
	uploads []gate.Upload
	content []string
}

func (c *checker) Check(_ context.Context, u gate.Upload) (gate.Outcome, error) {
	text, err := io.ReadAll(u.Content)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uploads, c.content = append(c.uploads, u), append(c.content, string(text))
	if u.ID == "" {
		u.ID = "random"
	}
	v := hashmatch.Verdict{Item: u.ID, Surface: u.Surface.Name(), Action: hashmatch.Allow, Policy: "p1", Revisions: map[string]string{"demo": "r1"}}
	o := gate.Outcome{Scanned: true}
	word, _, _ := strings.Cut(string(text), " ")
	switch {
	case err != nil:
		v.Action, v.Failures = hashmatch.Hold, []hashmatch.Failure{hashmatch.AsFailure(err, hashmatch.Unreadable)}
	case word == "listed":
		v.Action = hashmatch.Block
		v.Matches = []hashmatch.Match{{List: "demo", Entry: "e1", Kind: hashmatch.MD5, Action: hashmatch.Block}}
	case word == "near":
		v.Action = hashmatch.Hold
		v.Matches = []hashmatch.Match{{List: "demo", Entry: "e2", Kind: hashmatch.PDQ, Distance: 7, Threshold: 31, Labels: []string{"x"}, Action: hashmatch.Hold}}
		v.AllowedBy = &hashmatch.Match{List: "allow", Entry: "a", Kind: hashmatch.PDQ}
		v.Failures, v.Notes = []hashmatch.Failure{{Code: hashmatch.Corrupt, Detail: "d"}}, []hashmatch.Note{hashmatch.LowQuality}
		o.Failed = []gate.EffectError{{Effect: "audit", Err: errors.New("/secret/path")}}
	case word == "busy":
		v.Action, v.Notes, o.Scanned = hashmatch.Hold, []hashmatch.Note{hashmatch.Overloaded}, false
	case word == "refused":
		return gate.Outcome{}, hashmatch.ErrSurfaceRefused
	case word == "item":
		return gate.Outcome{}, gate.ErrItemID
	case word == "error":
		return gate.Outcome{}, errors.New("/secret/path")
	case word == "panic":
		panic("/secret/path")
	}
	v.Would = v.Action
	o.Action, o.Verdict = v.Action, v
	return o, nil
}

func (c *checker) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.uploads)
}

type noHasher struct{}

func (noHasher) Hash(_ context.Context, item hashmatch.Item, kinds, dihedral hashmatch.KindSet) hashmatch.Hashes {
	text, _ := io.ReadAll(item.Content)
	h := hashmatch.Hashes{Media: hashmatch.Media{Format: "jpeg", Frames: 1}}
	if len(text) == 0 {
		h.Failures = []hashmatch.Failure{{Code: hashmatch.Empty}}
		return h
	}
	for _, k := range kinds.Kinds() {
		if k.Digest() {
			h.Digests = append(h.Digests, hashmatch.Hash{Kind: k, Bits: [32]byte{1}})
		} else {
			h.Frames = append(h.Frames, hashmatch.FrameHash{Hash: hashmatch.Hash{Kind: k, Bits: [32]byte{1}}, Quality: 100})
		}
	}
	for range dihedral.Kinds() {
		h.Frames = append(h.Frames, hashmatch.FrameHash{Hash: hashmatch.Hash{Kind: hashmatch.PDQ, Bits: [32]byte{2}}, View: hashmatch.View{Dihedral: hashmatch.FlipX}})
	}
	return h
}

func noLists() *lookup.Set { return nil }

// near is a policy whose threshold is 10 for PDQ and 0 for digests, and that does not search "unsearched".
type near struct{}

func (near) Revision() string { return "p1" }
func (near) Reach(_ hashmatch.Surface, list string, kind hashmatch.Kind, _ int) int {
	switch {
	case list == "unsearched":
		return -1
	case kind == hashmatch.PDQ:
		return 10
	}
	return 0
}
func (near) Dihedral(hashmatch.Surface) hashmatch.KindSet                 { return 0 }
func (near) Exact(hashmatch.Surface) bool                                 { return true }
func (near) Profile(hashmatch.Surface) hashmatch.Profile                  { return hashmatch.Plain }
func (near) ViewReach(hashmatch.Surface, string, hashmatch.Kind, int) int { return -1 }
func (near) Decide(f hashmatch.Findings) hashmatch.Decision {
	if len(f.Matches) == 0 {
		return hashmatch.Decision{Action: hashmatch.Allow}
	}
	return hashmatch.Decision{Action: hashmatch.Hold, Matches: f.Matches}
}

func hashAt(distance int) hashmatch.Hash {
	h := hashmatch.Hash{Kind: hashmatch.PDQ, Bits: [32]byte{31: 1}}
	for i := range distance {
		h.Bits[i/8] ^= 1 << (i % 8)
	}
	return h
}

func lists(t testing.TB) func() *lookup.Set {
	t.Helper()
	serve := func(name string, hashes ...hashmatch.Hash) *lookup.Served {
		e := hashmatch.Entry{Key: hashmatch.EntryKey{ID: "e-" + name}, Labels: []string{"x"}}
		for _, h := range hashes {
			e.Signatures = append(e.Signatures, hashmatch.Signature{Hash: h})
		}
		l, err := hashlist.New(func(yield func(hashmatch.Entry) bool) { yield(e) })
		if err != nil {
			t.Fatal(err)
		}
		served, err := lookup.Serve(t.Context(), name, l.WithSynced(time.Now().Add(-time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
		return served
	}
	set, err := lookup.NewSet(serve("demo", hashAt(0)), serve("unsearched", hashmatch.Hash{Kind: hashmatch.DHash, Bits: [32]byte{7}}))
	if err != nil {
		t.Fatal(err)
	}
	planted := set.WithPlanted(serve("(canary)", hashAt(200)))
	return func() *lookup.Set { return planted }
}

// queue is a review queue of one item, whose ID holds what IDs can hold.
type queue struct {
	decisions []ReviewDecision
	filters   []ReviewFilter
	err       error
}

const oddItem = "a/b c%2F?d#ü.."

func (q *queue) List(_ context.Context, f ReviewFilter) ([]ReviewItem, string, error) {
	q.filters = append(q.filters, f)
	return []ReviewItem{{Item: oddItem, State: ReviewPending, Matches: []ReviewMatch{{}}}}, "next", q.err
}

func (q *queue) Show(_ context.Context, ref ReviewRef) (ReviewItem, error) {
	if ref.Item != oddItem {
		return ReviewItem{}, fmt.Errorf("queue: %w", ErrReviewNotFound)
	}
	at := time.Now()
	return ReviewItem{Item: ref.Item, Surface: ref.Surface, State: ReviewReleased, Decided: &at, Caller: "app", Actor: "jane", Reason: "r", History: []ReviewEvent{{Event: "released"}}}, q.err
}

func (q *queue) Decide(_ context.Context, d ReviewDecision) error {
	q.decisions = append(q.decisions, d)
	return q.err
}

type trips struct{ lifts []Lift }

func (b *trips) Trips(context.Context) ([]Trip, error) {
	return []Trip{{ID: "t/1", Cause: "entry", Effect: "hold", List: "demo", Entry: "e1"}}, nil
}

func (b *trips) Lift(_ context.Context, l Lift) error {
	if b.lifts = append(b.lifts, l); l.Trip != "t/1" {
		return ErrTripNotFound
	}
	return nil
}

// service is an API under test: every answer is checked against the OpenAPI document.
type service struct {
	url     string
	checker *checker
	queue   *queue
	trips   *trips
	log     *bytes.Buffer
	seen    map[string]int
}

func newService(t testing.TB, change func(*APIConfig)) *service {
	t.Helper()
	s := &service{checker: &checker{}, queue: &queue{}, trips: &trips{}, log: new(bytes.Buffer), seen: map[string]int{}}
	tokens := loadedTokens(t,
		Token{Name: "app", SHA256: hashOf("scan"), Scopes: []Scope{ScopeScan}},
		Token{Name: "tool", SHA256: hashOf("lookup"), Scopes: []Scope{ScopeScan, ScopeLookup}},
		Token{Name: "desk", SHA256: hashOf("admin"), Scopes: []Scope{ScopeAdmin, ScopeScan}},
		Token{Name: "part", SHA256: hashOf("avatars"), Scopes: []Scope{ScopeScan, ScopeAdmin, ScopeLookup}, Surfaces: []string{"avatars"}},
		Token{Name: "slow", SHA256: hashOf("slow"), Scopes: Scopes(), Rate: 0.001, Burst: 1},
	)
	config := APIConfig{
		Checker: s.checker, Surfaces: surfaces(t), Auth: newAuth(t, AuthConfig{Tokens: tokens}), Hasher: noHasher{},
		Lists: lists(t), Policy: func() hashmatch.Policy { return near{} }, Status: func() any { return map[string]int{"queue": 1} },
		Review: s.queue, Breaker: s.trips, MaxBytes: 4 << 20, MaxParts: 64, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}
	if change != nil {
		change(&config)
	}
	h, err := NewAPI(config)
	if err != nil {
		t.Fatal(err)
	}
	_, l := serving(t, ServerConfig{Handler: checked(t, h, s.seen)})
	s.url = "http://" + l.Addr().String()
	return s
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) answer(t testing.TB) (a Answer) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &a); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return a
}

func (r reply) problem() string {
	var p Problem
	_ = json.Unmarshal([]byte(r.body), &p)
	if p.Action != "hold" || p.Status != r.status {
		return "no problem"
	}
	return strings.TrimPrefix(p.Type, problemPrefix)
}

// send sends a request; header are names and values by turns.
func (s *service) send(t testing.TB, token, method, path string, body string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(text)}
}

func TestScanRaw(t *testing.T) {
	s := newService(t, nil)
	for _, c := range []struct {
		body, query string
		status      int
		action      hashmatch.Action
		reasons     string
		retry       bool
	}{
		{"clean", "", 200, hashmatch.Allow, "[]", false},
		{"clean", "&status=1", 200, hashmatch.Allow, "[]", false},
		{"listed", "", 200, hashmatch.Block, "[match]", false},
		{"listed", "&status=1", 403, hashmatch.Block, "[match]", false},
		{"near", "", 200, hashmatch.Hold, "[match not_scanned record]", false},
		{"near", "&status=1", 403, hashmatch.Hold, "[match not_scanned record]", false},
		{"busy", "", 503, hashmatch.Hold, "[overloaded]", true},
		{"busy", "&status=1", 503, hashmatch.Hold, "[overloaded]", true},
	} {
		got := s.send(t, "scan", "POST", "/v1/scan?surface=uploads&item=it%2F1"+c.query, c.body, "Content-Type", "image/jpeg")
		a := got.answer(t)
		if got.status != c.status || a.Action != c.action || fmt.Sprint(a.Reasons) != c.reasons || a.Retry != c.retry ||
			a.Item != "it/1" || a.Surface != "uploads" || len(a.Results) != 1 || a.Results[0].Part != 1 {
			t.Errorf("%s%s: %d %+v", c.body, c.query, got.status, a)
		}
		for _, secret := range []string{"demo", "e1", "e2", "p1", "r1", "distance", "threshold", "secret"} {
			if strings.Contains(got.body, secret) {
				t.Errorf("%s: the coarse answer tells %s: %s", c.body, secret, got.body)
			}
		}
	}
	u := s.checker.uploads[0]
	if u.Caller != "app" || u.Dialect != "http" || u.ID != "it/1" || u.Size != 5 {
		t.Errorf("%+v", u)
	}
	if a := s.send(t, "scan", "POST", "/v1/scan", "clean", HeaderSurface, "avatars").answer(t); a.Item != "random" || a.Surface != "avatars" {
		t.Errorf("%+v", a)
	}
}

func TestScanDetail(t *testing.T) {
	s := newService(t, nil)
	for _, token := range []string{"lookup", "admin"} {
		got := s.send(t, token, "POST", "/v1/scan?surface=uploads&detail=1", "near")
		d := got.answer(t).Results[0].Detail
		if d == nil || len(d.Matches) != 1 || d.Matches[0].Entry != "e2" || d.Matches[0].Distance != 7 || d.AllowedBy == nil ||
			d.Unrecorded[0] != "audit" || d.Revisions["demo"] != "r1" || d.Policy != "p1" || strings.Contains(got.body, "secret") {
			t.Errorf("%s: %s", token, got.body)
		}
		if s.send(t, token, "POST", "/v1/scan?surface=uploads", "near").answer(t).Results[0].Detail != nil {
			t.Errorf("%s: a detail that nobody asked for", token)
		}
	}
	before := s.checker.count()
	if got := s.send(t, "scan", "POST", "/v1/scan?surface=uploads&detail=1", "near"); got.problem() != "forbidden" || s.checker.count() != before {
		t.Errorf("detail without the scope: %s", got.body)
	}
}

// Whatever is refused, nothing is scanned, and nobody is told more than a problem.
func TestScanRefuses(t *testing.T) {
	s := newService(t, nil)
	long := strings.Repeat("x", gate.MaxIDLength+1)
	for name, c := range map[string]struct {
		token, method, path string
		header              []string
		status              int
		problem             string
	}{
		"no token":            {"", "POST", "?surface=uploads", nil, 401, "unauthenticated"},
		"wrong token":         {"x", "POST", "?surface=uploads", nil, 401, "unauthenticated"},
		"method":              {"scan", "PUT", "?surface=uploads", nil, 405, "method-not-allowed"},
		"no surface":          {"scan", "POST", "", nil, 403, "surface-refused"},
		"unknown surface":     {"scan", "POST", "?surface=messages", nil, 403, "surface-refused"},
		"another's surface":   {"avatars", "POST", "?surface=uploads", nil, 403, "surface-refused"},
		"two surfaces":        {"scan", "POST", "?surface=uploads", []string{HeaderSurface, "avatars"}, 400, "bad-request"},
		"surface twice":       {"scan", "POST", "", []string{HeaderSurface, "avatars", HeaderSurface, "avatars"}, 400, "bad-request"},
		"misspelt parameter":  {"scan", "POST", "?surface=uploads&stauts=1", nil, 400, "bad-request"},
		"parameter twice":     {"scan", "POST", "?surface=uploads&status=1&status=0", nil, 400, "bad-request"},
		"odd flag":            {"scan", "POST", "?surface=uploads&status=yes", nil, 400, "bad-request"},
		"odd query":           {"scan", "POST", "?surface=uploads;status=1", nil, 400, "bad-request"},
		"long item":           {"scan", "POST", "?surface=uploads&item=" + long, nil, 400, "item-refused"},
		"item with a newline": {"scan", "POST", "?surface=uploads&item=a%0Ab", nil, 400, "item-refused"},
		"item not UTF-8":      {"scan", "POST", "?surface=uploads", []string{HeaderItem, "\xff"}, 400, "item-refused"},
		"compressed":          {"scan", "POST", "?surface=uploads", []string{"Content-Encoding", "gzip"}, 415, "content-refused"},
		"no boundary":         {"scan", "POST", "?surface=uploads", []string{"Content-Type", "multipart/form-data"}, 400, "bad-multipart"},
		"related":             {"scan", "POST", "?surface=uploads", []string{"Content-Type", "multipart/related; boundary=b"}, 400, "bad-multipart"},
		"too often":           {"slow", "POST", "?surface=messages", nil, 429, "too-many-requests"},
	} {
		if name == "too often" {
			s.send(t, "slow", "POST", "/v1/scan", "clean")
		}
		got := s.send(t, c.token, c.method, "/v1/scan"+c.path, "clean", c.header...)
		if got.status != c.status || got.problem() != c.problem {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if n := s.checker.count(); n != 0 {
		t.Errorf("%d uploads were scanned", n)
	}
	for body, want := range map[string]string{"refused": "surface-refused", "item": "item-refused", "error": "internal", "panic": "internal"} {
		if got := s.send(t, "scan", "POST", "/v1/scan?surface=uploads", body); got.problem() != want || strings.Contains(got.body, "secret") {
			t.Errorf("%s: %s", body, got.body)
		}
	}
	if got := s.send(t, "scan", "GET", "/v1/else", ""); got.problem() != "not-found" {
		t.Errorf("%s", got.body)
	}
}

// A client that asks first is refused before it sends a byte.
func TestRefusedBeforeTheBody(t *testing.T) {
	s := newService(t, nil)
	address := strings.TrimPrefix(s.url, "http://")
	for path, want := range map[string]string{
		"/v1/scan?surface=uploads": "100", "/v1/scan?surface=messages": "403", "/v1/scan": "403",
		"/v1/hash?surface=messages": "403", "/v1/hash?surface=uploads": "100",
	} {
		conn := dialAddress(t, address)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer lookup\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", path)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+want) {
			t.Errorf("%s: %q, %v; want %s", path, line, err, want)
		}
		conn.Close()
	}
}

func TestBoundSurface(t *testing.T) {
	s := newService(t, func(c *APIConfig) { c.Surface, c.StatusByVerdict = "avatars", true })
	if got := s.send(t, "scan", "POST", "/v1/scan", "listed"); got.status != 403 || got.answer(t).Surface != "avatars" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "scan", "POST", "/v1/scan?surface=avatars", "clean"); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "scan", "POST", "/v1/scan?surface=uploads", "clean"); got.problem() != "surface-refused" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "admin", "GET", "/v1/review?surface=uploads", ""); got.problem() != "surface-refused" {
		t.Errorf("review of another surface: %s", got.body)
	}
	config := APIConfig{Checker: s.checker, Surfaces: surfaces(t), Auth: newAuth(t, AuthConfig{}), Surface: "messages"}
	if _, err := NewAPI(config); !errors.Is(err, hashmatch.ErrSurfaceRefused) {
		t.Errorf("a listener for a private surface: %v", err)
	}
	config.Surfaces = func(string) (hashmatch.Surface, error) { return hashmatch.Surface{}, nil }
	if _, err := NewAPI(config); !errors.Is(err, hashmatch.ErrSurfaceRefused) {
		t.Errorf("a listener for an undeclared surface: %v", err)
	}
	for name, config := range map[string]APIConfig{
		"nothing": {}, "no surfaces": {Checker: s.checker}, "no auth": {Checker: s.checker, Surfaces: surfaces(t)},
		"no policy": {Checker: s.checker, Surfaces: surfaces(t), Auth: newAuth(t, AuthConfig{}), Lists: noLists},
	} {
		if _, err := NewAPI(config); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestTooLong(t *testing.T) {
	s := newService(t, func(c *APIConfig) { c.MaxBytes = 1000 })
	if got := s.send(t, "scan", "POST", "/v1/scan?surface=uploads", strings.Repeat("x", 1001)); got.problem() != "body-too-long" || s.checker.count() != 0 {
		t.Errorf("%d %s", got.status, got.body)
	}
	// A body that does not say how long it is.
	for n, want := range map[int]hashmatch.Action{1000: hashmatch.Allow, 1001: hashmatch.Hold, 500_000: hashmatch.Hold} {
		r, err := http.NewRequest("POST", s.url+"/v1/scan?surface=uploads", io.MultiReader(strings.NewReader(strings.Repeat("x", n))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer scan")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if a := (reply{body: string(text)}).answer(t); a.Action != want || response.StatusCode != 200 {
			t.Errorf("%d bytes: %d %s", n, response.StatusCode, text)
		}
	}
}

func TestScanMultipart(t *testing.T) {
	s := newService(t, nil)
	send := func(token, query string, parts ...seen) reply {
		body, boundary := written(t, parts...)
		return s.send(t, token, "POST", "/v1/scan?surface=uploads"+query, string(body), "Content-Type", "multipart/form-data; boundary="+boundary)
	}
	file := func(content string) seen { return seen{"f", "x.jpg", "image/jpeg", content} }
	a := send("scan", "&item=base", seen{"title", "", "", "a title"}, file("clean"), file("listed"), file("near")).answer(t)
	if a.Action != hashmatch.Block || a.Item != "base" || len(a.Results) != 3 || a.Results[0].Item != "base/2" || a.Results[0].Action != hashmatch.Allow ||
		a.Results[1].Action != hashmatch.Block || a.Results[2].Part != 4 || fmt.Sprint(a.Reasons) != "[match not_scanned record]" {
		t.Errorf("%+v", a)
	}
	if got := send("scan", "", file("clean"), file("clean")); got.status != 200 || got.answer(t).Action != hashmatch.Allow {
		t.Errorf("%s", got.body)
	}
	if got := send("scan", "", file("clean"), file("busy")); got.status != 503 || !got.answer(t).Retry || got.answer(t).Action != hashmatch.Hold {
		t.Errorf("one allowed, one that found no room: %d %s", got.status, got.body)
	}
	if got := send("scan", "", file("near"), file("busy")); got.status != 200 || got.answer(t).Retry {
		t.Errorf("one held, one that found no room: %d %s", got.status, got.body)
	}
	if got := send("scan", "", seen{"title", "", "", "a title"}); got.problem() != "no-upload" {
		t.Errorf("%s", got.body)
	}
	if got := send("scan", "&item="+strings.Repeat("x", gate.MaxIDLength), file("clean")); got.problem() != "item-refused" {
		t.Errorf("%s", got.body)
	}
	before := s.checker.count()
	many := make([]seen, 10_000)
	for i := range many {
		many[i] = file("clean")
	}
	if got := send("scan", "", many...); got.problem() != "too-many-parts" || s.checker.count()-before != 64 {
		t.Errorf("10,000 parts: %s after %d", got.body, s.checker.count()-before)
	}
	raw := func(body string) reply {
		return s.send(t, "scan", "POST", "/v1/scan?surface=uploads&part_items=1", body, "Content-Type", "multipart/form-data; boundary=b")
	}
	const head = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n"
	own := head + "Hashmatch-Item: own\r\n\r\nclean\r\n"
	if a := raw(own + "--b--\r\n").answer(t); a.Results[0].Item != "own" {
		t.Errorf("%+v", a)
	}
	if got := s.send(t, "scan", "POST", "/v1/scan?surface=uploads", own+"--b--\r\n", "Content-Type", "multipart/form-data; boundary=b"); got.problem() != "item-refused" {
		t.Errorf("an ID that the uploader may have stated: %s", got.body)
	}
	for name, body := range map[string]string{
		"one ID for two":     own + own + "--b--\r\n",
		"an ID not to print": head + "Hashmatch-Item: a\xc2\x85b\r\n\r\nclean\r\n--b--\r\n",
	} {
		if got := raw(body); got.problem() != "item-refused" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	for name, body := range map[string]string{
		"cut off":          head + "\r\nclean",
		"a hidden part":    head + "\r\nclean\r\n--b--\r\n" + head + "\r\nlisted\r\n--b--\r\n",
		"preamble":         "listed\r\n" + head + "\r\nclean\r\n--b--\r\n",
		"nested":           head + "Content-Type: multipart/mixed; boundary=c\r\n\r\nclean\r\n--b--\r\n",
		"boundary in line": head + "\r\nclean--b\r\n\r\nx\r\n--b--\r\n",
	} {
		if got := raw(body); got.problem() != "bad-multipart" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

func TestHash(t *testing.T) {
	s := newService(t, nil)
	got := s.send(t, "lookup", "POST", "/v1/hash?surface=uploads&kinds=pdq,md5&dihedral=1", "x")
	if got.status != 200 || !strings.Contains(got.body, `"md5":"01`) || !strings.Contains(got.body, `"dihedral":"flip_x"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "lookup", "POST", "/v1/hash?surface=uploads", ""); got.status != 200 || !strings.Contains(got.body, `"code":"empty"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	for path, want := range map[string]string{
		"?surface=uploads&kinds=pdq,x": "bad-request", "?surface=messages": "surface-refused", "?surface=uploads&dihedral=x": "bad-request", "?x=1": "bad-request",
	} {
		if got := s.send(t, "lookup", "POST", "/v1/hash"+path, "x"); got.problem() != want {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	if got := s.send(t, "scan", "POST", "/v1/hash?surface=uploads", "x"); got.problem() != "forbidden" {
		t.Errorf("%s", got.body)
	}
	if got := s.send(t, "lookup", "POST", "/v1/hash?surface=uploads", "x", "Content-Type", "multipart/form-data; boundary=b"); got.problem() != "content-refused" {
		t.Errorf("%s", got.body)
	}
	if got := s.send(t, "lookup", "POST", "/v1/hash?surface=uploads", strings.Repeat("x", 5<<20)); got.problem() != "body-too-long" {
		t.Errorf("%s", got.body)
	}
}

func TestMatch(t *testing.T) {
	ready := error(nil)
	s := newService(t, func(c *APIConfig) { c.Ready = func() error { return ready } })
	ask := func(body string) reply {
		return s.send(t, "lookup", "POST", "/v1/match", body, "Content-Type", "application/json")
	}
	result := func(h hashmatch.Hash, more string) MatchResult {
		t.Helper()
		got := ask(`{"surface":"uploads","hashes":["` + h.String() + `"]` + more + `}`)
		var a MatchAnswer
		if err := json.Unmarshal([]byte(got.body), &a); err != nil || len(a.Results) != 1 || got.status != 200 {
			t.Fatalf("%v: %s", err, got.body)
		}
		return a.Results[0]
	}
	for distance, want := range map[int]int{0: 1, 10: 1, 11: 0} {
		if r := result(hashAt(distance), ""); len(r.Matches) != want || want == 1 && (r.Matches[0].Distance != distance || r.Action != hashmatch.Hold) {
			t.Errorf("distance %d: %+v", distance, r)
		}
	}
	if r := result(hashAt(10), `,"thresholds":{"pdq":9}`); len(r.Matches) != 0 {
		t.Errorf("a narrower threshold: %+v", r)
	}
	if r := result(hashAt(11), `,"thresholds":{"pdq":256}`); len(r.Matches) != 0 {
		t.Errorf("a wider threshold: %+v", r)
	}
	if r := result(hashAt(200), ""); len(r.Matches) != 0 || fmt.Sprint(r.Searched) != "[demo]" {
		t.Errorf("the canary is shown: %+v", r)
	}
	for _, kind := range []hashmatch.Kind{hashmatch.DHash, hashmatch.MD5} {
		if r := result(hashmatch.Hash{Kind: kind, Bits: [32]byte{7}}, ""); r.Action != hashmatch.Hold || len(r.Searched) != 0 {
			t.Errorf("%s, which is searched in no list: %+v", kind, r)
		}
	}
	pdq := hashAt(0).String()
	for body, want := range map[string]string{
		``: "bad-request", `[]`: "bad-request", `{"surface":"uploads"}`: "bad-request", `{"surface":"uploads","hashes":[]}`: "bad-request",
		`{"surface":"uploads","hashes":["` + pdq + `"],"x":1}`:                                           "bad-request",
		`{"surface":"uploads","hashes":["` + pdq + `"]}{}`:                                               "bad-request",
		`{"surface":"uploads","hashes":["` + pdq + `"],"thresholds":{"pdq":-1}}`:                         "bad-request",
		`{"surface":"uploads","hashes":["` + pdq + `"],"thresholds":{"x":1}}`:                            "bad-request",
		`{"surface":"uploads","hashes":["` + pdq + `"` + strings.Repeat(`,"`+pdq+`"`, maxQueries) + `]}`: "bad-request",
		`{"surface":"uploads","hashes":["x"]}`:                                                           "bad-hash",
		`{"surface":"uploads","hashes":["photodna:AAAA"]}`:                                               "bad-hash",
		`{"surface":"uploads","hashes":["md5:` + strings.Repeat("0", 32) + `"]}`:                         "bad-hash",
		`{"surface":"messages","hashes":["` + pdq + `"]}`:                                                "surface-refused",
		`{"surface":"uploads","hashes":["` + strings.Repeat("x", maxJSON) + `"]}`:                        "body-too-long",
	} {
		if got := ask(body); got.problem() != want {
			t.Errorf("%.80s: %d %.200s", body, got.status, got.body)
		}
	}
	if got := s.send(t, "lookup", "POST", "/v1/match", "{}", "Content-Type", "text/plain"); got.problem() != "content-refused" {
		t.Errorf("%s", got.body)
	}
	ready = errors.New("stale list at /secret/path")
	if got := ask(`{"surface":"uploads","hashes":["` + pdq + `"]}`); got.problem() != "not-ready" || got.header.Get("Retry-After") == "" {
		t.Errorf("not ready: %s", got.body)
	}
	none := newService(t, func(c *APIConfig) { c.Lists = noLists })
	if got := none.send(t, "lookup", "POST", "/v1/match", `{"surface":"uploads","hashes":["`+pdq+`"]}`); got.problem() != "not-ready" {
		t.Errorf("no lists: %s", got.body)
	}
	if got := none.send(t, "lookup", "GET", "/v1/lists", ""); got.problem() != "not-ready" {
		t.Errorf("no lists: %s", got.body)
	}
}

func TestStateOfTheService(t *testing.T) {
	ready := func() error { return nil }
	s := newService(t, func(c *APIConfig) { c.Ready = func() error { return ready() } })
	if got := s.send(t, "lookup", "GET", "/v1/lists", ""); got.status != 200 || !strings.Contains(got.body, `"pdq":1`) ||
		strings.Contains(got.body, hashAt(0).Hex()) || strings.Contains(got.body, "e-demo") || strings.Contains(got.body, "canary") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "", "GET", "/healthz", ""); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "", "GET", "/readyz", ""); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "", "HEAD", "/readyz", ""); got.status != 200 || got.body != "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, ready = range []func() error{func() error { return errors.New("stale: /secret/path") }, func() error { panic("x") }} {
		if got := s.send(t, "", "GET", "/readyz", ""); got.problem() != "not-ready" || strings.Contains(got.body, "secret") {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := s.send(t, "lookup", "GET", "/v1/status", ""); got.status != 200 || !strings.Contains(got.body, `"ready":false`) {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if got := s.send(t, "scan", "GET", "/v1/status", ""); got.problem() != "forbidden" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "", "GET", "/v1/openapi.json", ""); got.status != 200 || got.body != string(openAPI) {
		t.Errorf("%d", got.status)
	}
}

// No path is redirected: a client that follows sends an upload as something else.
func TestNoRedirect(t *testing.T) {
	s := newService(t, nil)
	for _, path := range []string{"/v1//lists", "//v1/lists", "/v1/./lists", "/v1/x/../lists", "/v1/lists/", "/v1/review/../lists", "/v1//scan"} {
		for _, method := range []string{"GET", "POST"} {
			if got := s.send(t, "admin", method, path, ""); got.status != 404 {
				t.Errorf("%s %s: %d", method, path, got.status)
			}
		}
	}
	if got := s.send(t, "lookup", "GET", "/v1/lists", ""); got.status != 200 {
		t.Errorf("%d", got.status)
	}
}

func TestReviewOverHTTP(t *testing.T) {
	s := newService(t, nil)
	at := "/v1/review/" + url.PathEscape(oddItem)
	if got := s.send(t, "admin", "GET", "/v1/review?state=pending&limit=5&cursor=c&tenant=t", ""); got.status != 200 || !strings.Contains(got.body, `"next":"next"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if f := s.queue.filters[0]; f != (ReviewFilter{State: ReviewPending, Tenant: "t", Limit: 5, Cursor: "c"}) {
		t.Errorf("%+v", f)
	}
	if got := s.send(t, "admin", "GET", at, ""); got.status != 200 || !strings.Contains(got.body, "released") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "admin", "GET", "/v1/review/other", ""); got.problem() != "not-found" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "admin", "POST", at+"/release?surface=uploads", `{"reason":"a mistake","actor":"jane","correct":true,"version":3}`); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "admin", "POST", at+"/confirm", `{"reason":"r"}`); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	want := ReviewDecision{ReviewRef: ReviewRef{Item: oddItem, Surface: "uploads"}, Release: true, Actor: "jane (by desk)", Reason: "a mistake", Correct: true, Version: 3}
	if s.queue.decisions[0] != want || s.queue.decisions[1].Release || s.queue.decisions[1].Actor != "desk" {
		t.Errorf("%+v", s.queue.decisions)
	}
	for body, want := range map[string]string{
		``: "bad-request", `{}`: "bad-request", `{"reason":"r","actor":"a\nb"}`: "bad-request", `{"reason":"` + strings.Repeat("x", maxReason+1) + `"}`: "bad-request",
		`{"reason":"r","version":-1}`: "bad-request", `{"reason":"r","release":true}`: "bad-request",
	} {
		if got := s.send(t, "admin", "POST", at+"/release", body); got.problem() != want {
			t.Errorf("%.50s: %s", body, got.body)
		}
	}
	for _, token := range []string{"scan", "lookup"} {
		if got := s.send(t, token, "POST", at+"/release", `{"reason":"r"}`); got.problem() != "forbidden" {
			t.Errorf("%s: %s", token, got.body)
		}
		if got := s.send(t, token, "GET", "/v1/review", ""); got.problem() != "forbidden" {
			t.Errorf("%s: %s", token, got.body)
		}
	}
	// The application may ask what was decided, and not by whom.
	if got := s.send(t, "lookup", "GET", at, ""); got.status != 200 || !strings.Contains(got.body, `"state":"released"`) ||
		!strings.Contains(got.body, `"actor":""`) || strings.Contains(got.body, "jane") || !strings.Contains(got.body, `"history":[]`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "scan", "GET", at, ""); got.problem() != "forbidden" || !strings.Contains(got.body, "admin or lookup") {
		t.Errorf("%d %s", got.status, got.body)
	}
	// A token for one surface sees and decides on that one only.
	if got := s.send(t, "avatars", "GET", "/v1/review", ""); got.status != 200 || s.queue.filters[len(s.queue.filters)-1].Surface != "avatars" {
		t.Errorf("%s %+v", got.body, s.queue.filters)
	}
	if got := s.send(t, "avatars", "POST", at+"/release?surface=uploads", `{"reason":"r"}`); got.problem() != "surface-refused" {
		t.Errorf("%s", got.body)
	}
	for err, want := range map[error]string{
		ErrReviewNotFound: "not-found", ErrReviewAmbiguous: "ambiguous", ErrReviewDecided: "already-decided", ErrReviewChanged: "changed",
		ErrReviewRefused: "bad-request", errors.New("disk full at /secret/path"): "internal",
	} {
		s.queue.err = fmt.Errorf("review: %w", err)
		if got := s.send(t, "admin", "POST", at+"/confirm", `{"reason":"r"}`); got.problem() != want || strings.Contains(got.body, "secret") {
			t.Errorf("%v: %s", err, got.body)
		}
	}
	s.queue.err = nil
	for path, want := range map[string]string{"?state=x&limit=0": "bad-request", "?limit=x": "bad-request", "?limit=100000": "bad-request", "?x=1": "bad-request"} {
		if got := s.send(t, "admin", "GET", "/v1/review"+path, ""); got.problem() != want {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}

func TestBreakerOverHTTP(t *testing.T) {
	s := newService(t, nil)
	if got := s.send(t, "admin", "GET", "/v1/breaker", ""); got.status != 200 || !strings.Contains(got.body, "t/1") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.send(t, "admin", "POST", "/v1/breaker/t%2F1/lift", `{"reason":"over","actor":"jane"}`); got.status != 204 || s.trips.lifts[0] != (Lift{"t/1", "jane (by desk)", "over"}) {
		t.Errorf("%d %s %+v", got.status, got.body, s.trips.lifts)
	}
	if got := s.send(t, "admin", "POST", "/v1/breaker/x/lift", `{"reason":"over"}`); got.problem() != "not-found" {
		t.Errorf("%s", got.body)
	}
	if got := s.send(t, "admin", "POST", "/v1/breaker/t%2F1/lift", `{}`); got.problem() != "bad-request" {
		t.Errorf("%s", got.body)
	}
	for token, want := range map[string]string{"lookup": "forbidden", "avatars": "surface-refused"} {
		if got := s.send(t, token, "GET", "/v1/breaker", ""); got.problem() != want {
			t.Errorf("%s: %s", token, got.body)
		}
		if got := s.send(t, token, "POST", "/v1/breaker/t%2F1/lift", `{"reason":"over"}`); got.problem() != want {
			t.Errorf("%s: %s", token, got.body)
		}
	}
	without := newService(t, func(c *APIConfig) { c.Breaker, c.Review, c.Hasher, c.Lists = nil, nil, nil, nil })
	for _, path := range []string{"/v1/breaker", "/v1/review", "/v1/lists"} {
		if r := httptest.NewRequest("GET", path, nil); r.URL.Path != path {
			t.Fatal(path)
		}
		response, err := http.Get(without.url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 404 {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
}

// Every documented operation is answered with what the document says, and refuses a caller without a token as it says.
func TestEveryOperation(t *testing.T) {
	s := newService(t, nil)
	bodies := map[string]string{
		"/v1/match":               `{"surface":"uploads","hashes":["` + hashAt(1).String() + `"]}`,
		"/v1/review/{id}/release": `{"reason":"r"}`, "/v1/review/{id}/confirm": `{"reason":"r"}`, "/v1/breaker/{id}/lift": `{"reason":"r"}`,
	}
	d := readDocument(t)
	for path, operations := range d.Paths {
		for method, o := range operations {
			id := oddItem
			if strings.HasPrefix(path, "/v1/breaker") {
				id = "t/1"
			}
			target := strings.ReplaceAll(path, "{id}", url.PathEscape(id))
			if path == "/v1/scan" || path == "/v1/hash" {
				target += "?surface=uploads"
			}
			method = strings.ToUpper(method)
			succeeded := 0
			for _, token := range []string{"scan", "lookup", "admin"} {
				if got := s.send(t, token, method, target, bodies[path]); got.status < 300 {
					succeeded++
				}
			}
			if succeeded == 0 {
				t.Errorf("%s %s: nobody is answered", method, path)
			}
			if _, guarded := o.Responses["401"]; guarded {
				if got := s.send(t, "", method, target, bodies[path]); got.status != 401 {
					t.Errorf("%s %s without a token: %d", method, path, got.status)
				}
			}
			if got := s.send(t, "admin", "DELETE", target, ""); got.status != 405 {
				t.Errorf("DELETE %s: %d", path, got.status)
			}
		}
	}
	if len(s.seen) < 3*len(d.Paths) {
		t.Errorf("%d operations and statuses were checked", len(s.seen))
	}
}

// FuzzJSON: no JSON body makes anything but an answer that is documented.
func FuzzJSON(f *testing.F) {
	f.Add("/v1/match", `{"surface":"uploads","hashes":["`+hashAt(3).String()+`"],"thresholds":{"pdq":5}}`)
	f.Add("/v1/match", `{"hashes":["md5:00000000000000000000000000000001"],"surface":"avatars"}`)
	f.Add("/v1/review/x/release", `{"reason":"r","actor":"a","correct":true,"version":9223372036854775807}`)
	f.Add("/v1/breaker/t%2F1/lift", `{"reason":"r"}`)
	f.Add("/v1/match", `{"thresholds":{"pdq":1e99}}`)
	auth := newAuth(f, AuthConfig{Tokens: loadedTokens(f, Token{Name: "all", SHA256: hashOf("all"), Scopes: Scopes()})})
	h, err := NewAPI(APIConfig{
		Checker: &checker{}, Surfaces: surfaces(f), Auth: auth, Lists: lists(f), Policy: func() hashmatch.Policy { return near{} },
		Review: &queue{}, Breaker: &trips{},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		if path != "/v1/match" && path != "/v1/review/x/release" && path != "/v1/breaker/t%2F1/lift" {
			return
		}
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer all")
		w := httptest.NewRecorder()
		checked(t, h, map[string]int{}).ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
