package review

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var secret = []byte("0123456789abcdef")

// receiver is the caller that is told of decisions, with its moods: each takes one request, and when none is left it
// takes what it gets.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	moods []http.HandlerFunc
	got   []Message
}

func newReceiver(t testing.TB, moods ...http.HandlerFunc) *receiver {
	r := &receiver{moods: moods}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(io.LimitReader(request.Body, 1<<20))
	if err != nil || request.Method != http.MethodPost || Sign(secret, body) != request.Header.Get(SignatureHeader) {
		http.Error(w, "signature", http.StatusForbidden)
		return
	}
	r.mu.Lock()
	if len(r.moods) > 0 {
		mood := r.moods[0]
		r.moods = r.moods[1:]
		r.mu.Unlock()
		mood(w, request)
		return
	}
	defer r.mu.Unlock()
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		http.Error(w, "JSON", http.StatusBadRequest)
		return
	}
	r.got = append(r.got, m)
}

func (r *receiver) callback() *Callback {
	return &Callback{URL: r.URL, Secret: secret, Timeout: 300 * time.Millisecond}
}

func (r *receiver) messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Message(nil), r.got...)
}

// wait waits until n messages were taken and returns them.
func (r *receiver) wait(t testing.TB, n int) []Message {
	t.Helper()
	for range 1500 {
		if got := r.messages(); len(got) >= n {
			return got
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d messages, want %d", len(r.messages()), n)
	return nil
}

// run runs the queue until the test ends.
func run(t testing.TB, q *Queue) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := q.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// settled waits until nothing is left to be sent.
func settled(t testing.TB, q *Queue) {
	t.Helper()
	for range 1500 {
		if s, err := q.count(t.Context()); err != nil {
			t.Fatal(err)
		} else if s.Undelivered == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("something is left to be sent")
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestCallbackIsSentUntilItIsTaken(t *testing.T) {
	elsewhere := newReceiver(t)
	hang := make(chan struct{})
	defer close(hang)
	receiver := newReceiver(t,
		status(http.StatusInternalServerError),
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		func(_ http.ResponseWriter, r *http.Request) { // hang
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		},
	)
	q := openTest(t, Config{Callback: receiver.callback(), now: fast()})
	submit(t, q, near("a", "e1"))
	if err := q.Release(t.Context(), Ref{Item: "a"}, By{Actor: "ann", Reason: `said "fine" <b>`}); err != nil {
		t.Fatal(err)
	}
	run(t, q)
	got := receiver.wait(t, 1)
	settled(t, q)
	decided := *mustShow(t, q, "a").Decided
	want := []Message{{ID: decided.UnixMicro(), Item: "a", Surface: "posts", Tenant: "t1", Decision: "release", Actor: "ann", Reason: `said "fine" <b>`, Time: decided}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(elsewhere.messages()); n != 0 {
		t.Error("a redirect was followed")
	}
}

// fast is a clock on which back-off takes no time: each look at it is a second later. Sleeps are of real time, and of
// firstDelay at most where the clock says that something is due.
func fast() func() time.Time {
	var mu sync.Mutex
	now := noon
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

func TestCallbackThatCloses(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) { // taken, with more to say than anybody reads
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}
	receiver := newReceiver(t, cut, endless)
	q := openTest(t, Config{Callback: receiver.callback(), now: fast()})
	submit(t, q, near("a", "e1"), near("b", "e1"))
	run(t, q)
	if err := q.Confirm(t.Context(), Ref{Item: "a"}, byAnn); err != nil {
		t.Fatal(err)
	}
	settled(t, q)
	if n := len(receiver.messages()); n != 0 { // the endless one has it
		t.Errorf("%d messages", n)
	}
	if err := q.Confirm(t.Context(), Ref{Item: "b"}, byAnn); err != nil {
		t.Fatal(err)
	}
	if got := receiver.wait(t, 1); got[0].Item != "b" || got[0].Decision != "confirm" {
		t.Errorf("%+v", got)
	}
}

// A decision does not wait for the caller to be told, and one that was replaced is not sent any more.
func TestDecisionsDoNotWaitForCallbacks(t *testing.T) {
	receiver := newReceiver(t)
	q := openTest(t, Config{Callback: receiver.callback()}) // nothing runs
	submit(t, q, near("a", "e1"), near("b", "e1"), near("c", "e1"))
	for _, item := range []string{"a", "b", "c"} {
		if err := q.Release(t.Context(), Ref{Item: item}, byAnn); err != nil {
			t.Fatal(err)
		}
	}
	correct := byAnn
	correct.Correct = true
	if err := q.Confirm(t.Context(), Ref{Item: "a"}, correct); err != nil {
		t.Fatal(err)
	}
	submit(t, q, exact("b", "e1")) // pending again: the caller must not be told to publish it
	run(t, q)
	receiver.wait(t, 2)
	settled(t, q)
	words := map[string]string{}
	for _, m := range receiver.messages() {
		words[m.Item] += m.Decision
	}
	if diff := cmp.Diff(map[string]string{"a": "confirm", "c": "release"}, words); diff != "" {
		t.Error(diff)
	}
}

func TestCallbackSurvivesARestart(t *testing.T) {
	receiver := newReceiver(t)
	path := file(t)
	first := openTest(t, Config{File: path, Callback: &Callback{URL: "http://127.0.0.1:1/", Secret: secret}})
	submit(t, first, near("a", "e1"))
	stop := run(t, first)
	if err := first.Release(t.Context(), Ref{Item: "a"}, byAnn); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, openTest(t, Config{File: path, Callback: receiver.callback(), now: func() time.Time { return time.Now().Add(time.Hour) }}))
	if got := receiver.wait(t, 1); got[0].Item != "a" || got[0].ID == 0 {
		t.Errorf("%+v", got)
	}
}

// A clock that was set back by a year does not keep a callback for a year.
func TestClockSetBack(t *testing.T) {
	receiver := newReceiver(t, status(500))
	now := noon
	q := openTest(t, Config{Callback: receiver.callback(), now: func() time.Time { return now }})
	submit(t, q, near("a", "e1"))
	if err := q.Release(t.Context(), Ref{Item: "a"}, byAnn); err != nil {
		t.Fatal(err)
	}
	if _, err := q.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if wait, err := q.deliver(t.Context()); err != nil || wait <= 0 || wait > firstDelay || len(receiver.messages()) != 0 {
		t.Fatalf("due in %s, %v", wait, err)
	}
	now = now.AddDate(-1, 0, 0)
	if _, err := q.deliver(t.Context()); err != nil || len(receiver.messages()) != 1 {
		t.Fatalf("%d messages, %v", len(receiver.messages()), err)
	}
}

func TestCallbackVerifiesTLS(t *testing.T) {
	receiver := &receiver{}
	receiver.Server = httptest.NewUnstartedServer(receiver)
	receiver.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	receiver.StartTLS()
	defer receiver.Close()
	c := receiver.callback()
	c.Timeout = 5 * time.Second
	strange, err := newSender(*c)
	if err != nil {
		t.Fatal(err)
	}
	var unknown x509.UnknownAuthorityError
	if err := strange.send(t.Context(), Message{ID: 1}); !errors.As(err, &unknown) {
		t.Fatalf("sent to whom nobody vouches for: %v", err)
	}
	c.Roots = x509.NewCertPool()
	c.Roots.AddCert(receiver.Certificate())
	known, err := newSender(*c)
	if err != nil {
		t.Fatal(err)
	}
	if err := known.send(t.Context(), Message{ID: 2}); err != nil || len(receiver.messages()) != 1 {
		t.Fatal(err)
	}
}

func TestCallbackConfig(t *testing.T) {
	for _, c := range []Callback{
		{}, {URL: "example.com", Secret: secret}, {URL: "ftp://h/", Secret: secret}, {URL: "http://", Secret: secret}, {URL: "http://:80/", Secret: secret},
		{URL: "https://u:p@h/", Secret: secret}, {URL: "https://h/", Secret: secret[:15]}, {URL: "https://h/\x7f", Secret: secret},
		{URL: "https://h/", Secret: secret, Timeout: -1},
	} {
		if _, err := Open(t.Context(), Config{File: file(t), Callback: &c}); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: %v", c.URL, err)
		}
	}
}

// The log says what failed, without the URL's query, the reason or the secret.
func TestLogKeepsSecrets(t *testing.T) {
	var text bytes.Buffer
	q := openTest(t, Config{
		Callback: &Callback{URL: "http://127.0.0.1:1/?password=hunter2", Secret: secret},
		Logger:   slog.New(slog.NewTextHandler(&text, nil)),
	})
	submit(t, q, near("a", "e1"))
	if err := q.Release(t.Context(), Ref{Item: "a"}, byAnn); err != nil {
		t.Fatal(err)
	}
	if _, err := q.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "telling of a decision failed") {
		t.Errorf("nothing is said: %s", text.String())
	}
	for _, word := range []string{"hunter2", string(secret), byAnn.Reason, "e1"} {
		if strings.Contains(text.String(), word) {
			t.Errorf("the log has %q: %s", word, text.String())
		}
	}
}

func TestBackOff(t *testing.T) {
	for attempts := range 100 {
		most := min(firstDelay<<min(attempts, 20), maxDelay)
		for range 20 {
			if d := backOff(attempts); d < most/2 || d >= most {
				t.Fatalf("%s: %s", strconv.Itoa(attempts), d)
			}
		}
	}
}
