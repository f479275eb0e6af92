package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/exchange/fake"
)

func (b *bench) reporter() *Reporter {
	b.t.Helper()
	c := b.config()
	c.Timeout = time.Second
	r, err := NewReporter(c)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// of returns feedback on the first entry in force that has a hash of the kind.
func (b *bench) of(kind string, outcome Outcome) Feedback {
	b.t.Helper()
	for _, r := range b.fake.Truth() {
		for _, s := range r.Signatures {
			if k, value, _ := strings.Cut(s, ":"); k == kind {
				return Feedback{ID: "key", Entry: hashmatch.EntryKey{Source: string(b.dialect), Member: r.Member, ID: r.ID}, Kind: kind, Hash: value,
					Outcome: outcome, Reasons: []string{"11111111-2222-3333-4444-555555555555"}}
			}
		}
	}
	b.t.Fatalf("no %s", kind)
	return Feedback{}
}

// Every outcome arrives in the exchange's words, once however often it is sent, and the last one counts.
func TestFeedback(t *testing.T) {
	t.Parallel()
	for dialect, words := range map[Dialect]map[Outcome]string{
		NCMEC:          {TruePositive: "affirmative", FalsePositive: "negative 11111111-2222-3333-4444-555555555555"},
		ThreatExchange: {Seen: "SAW_THIS_TOO", TruePositive: "HELPFUL", FalsePositive: "DISAGREE_WITH_TAGS"},
		StopNCII:       {Seen: "PendingReview", TruePositive: "Blocked", FalsePositive: "NotBlocked"},
	} {
		b := newBench(t, dialect, 60)
		r, sent := b.reporter(), 0
		for _, outcome := range []Outcome{Seen, TruePositive, FalsePositive, TruePositive} {
			word, spoken := words[outcome]
			err := r.Send(t.Context(), b.of("pdq", outcome))
			if !spoken {
				if !errors.Is(err, ErrFeedback) {
					t.Errorf("%s, %s: %v", dialect, outcome, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s, %s: %v", dialect, outcome, err)
			}
			sent++
			if votes := b.fake.Feedback(); len(votes) != 1 || votes[0].Outcome != word || votes[0].Received != sent {
				t.Errorf("%s: %+v, want %q", dialect, votes, word)
			}
		}
	}
	b := newBench(t, NCMEC, 60)
	for kind, word := range map[string]string{"md5": "MD5", "sha1": "SHA1", "pdq": "PDQ", "photodna": "PDNA"} {
		if err := b.reporter().Send(t.Context(), b.of(kind, TruePositive)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		found := false
		for _, v := range b.fake.Feedback() {
			found = found || v.Type == word
		}
		if !found {
			t.Errorf("%s did not arrive as %s", kind, word)
		}
	}
}

// What cannot succeed says so; what can is an error that goes by; none of them repeats a hash or a credential.
func TestFeedbackFails(t *testing.T) {
	t.Parallel()
	for _, d := range []Dialect{NCMEC, ThreatExchange, StopNCII} {
		b := newBench(t, d, 60)
		r, good := b.reporter(), b.of("pdq", TruePositive)
		check := func(what string, f Feedback, permanent bool) {
			t.Helper()
			err := r.Send(t.Context(), f)
			if err == nil || errors.Is(err, ErrFeedback) != permanent {
				t.Errorf("%s, %s: %v", d, what, err)
				return
			}
			silent(t, what, err.Error())
			if f.Hash != "" && strings.Contains(err.Error(), f.Hash) {
				t.Errorf("%s, %s: the hash is told", d, what)
			}
		}
		bad := good
		bad.Entry.ID, bad.Hash = "unknown", strings.Repeat("ab", 32)
		check("unknown", bad, true)
		for _, id := range []string{"", ".", ".."} {
			bad.Entry.ID, bad.Hash = id, ""
			check("no name", bad, true)
		}
		bad = good
		bad.Outcome = "perhaps"
		check("no outcome", bad, true)
		for manners, permanent := range map[string]bool{"error=1": false, "throttle=1": false, "unauthorised=1": false, "hang=1": false, "redirect=https://elsewhere.example/": false} {
			m, err := fake.ParseManners(manners)
			if err != nil {
				t.Fatal(err)
			}
			b.fake.Misbehave(m)
			check(manners, good, permanent)
		}
		b.fake.Misbehave(fake.Manners{Throttle: 1, RetryAfter: 7 * time.Second})
		var busy *BusyError
		if err := r.Send(t.Context(), good); !errors.As(err, &busy) || busy.After < 5*time.Second {
			t.Errorf("%s: %v", d, err)
		}
		b.fake.Misbehave(fake.Manners{})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Send(ended, good); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := r.Send(t.Context(), good); err != nil {
			t.Error(err)
		}
	}
	if _, err := NewReporter(Config{List: "l", Dialect: File, Address: "https://lists.example/l"}); err == nil {
		t.Error("a file takes feedback")
	}
	if _, err := NewReporter(Config{List: "l", Dialect: NCMEC, Address: "https://lists.example/l", Credentials: Credentials{User: "u", Password: "p", FeedbackFunctionKey: "k"}}); err == nil {
		t.Error("ncmec has a function key")
	}
}

// A name of an entry is a part of an address, whatever is in it; StopNCII's key for feedback is its own; nobody reacts to
// itself.
func TestFeedbackAddresses(t *testing.T) {
	t.Parallel()
	var paths, keys []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths, keys = append(paths, r.Method+" "+r.URL.EscapedPath()), append(keys, r.Header.Get("x-functions-key"))
		_ = json.NewEncoder(w).Encode(map[string]any{"data": []any{
			map[string]any{"id": "1", "owner": map[string]any{"id": "55"}}, map[string]any{"id": "2", "owner": map[string]any{"id": "66"}},
		}})
	}))
	defer server.Close()
	send := func(c Config) {
		t.Helper()
		c.List, c.Address = "l", server.URL+"/base"
		r, err := NewReporter(c)
		if err != nil {
			t.Fatal(err)
		}
		f := Feedback{ID: "k", Entry: hashmatch.EntryKey{Member: "a/../b", ID: "x y?&%2F"}, Kind: "md5", Hash: "00", Outcome: TruePositive}
		if err := r.Send(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	send(Config{Dialect: NCMEC, Credentials: Credentials{User: "u", Password: "p"}})
	send(Config{Dialect: StopNCII, Credentials: Credentials{FunctionKey: "fetch", SubscriptionKey: "s", FeedbackFunctionKey: "feedback"}})
	send(Config{Dialect: ThreatExchange, Group: "1", Credentials: Credentials{Token: "55|secret"}})
	want := "PUT /base/v2/entries/a%2F..%2Fb/x%20y%3F&%252F/MD5/feedback|POST /base/v1/SubmitFeedback|GET /base/x%20y%3F&%252F/descriptors|POST /base/2"
	if got := strings.Join(paths, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if keys[1] != "feedback" {
		t.Errorf("%q", keys)
	}
}
