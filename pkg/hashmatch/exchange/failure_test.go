package exchange

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/exchange/fake"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// TestFailures has failures that no second attempt mends: the list stays as it was, and what failed is said.
func TestFailures(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked, with %q", r.Header)
	}))
	t.Cleanup(elsewhere.Close)
	for name, test := range map[string]struct {
		manners fake.Manners
		adjust  func(*Config)
		want    error
		gap     bool
		quick   bool // without a second attempt
	}{
		"unauthorised":           {manners: fake.Manners{Unauthorised: 1}, want: ErrRefused, gap: true, quick: true},
		"malformed":              {manners: fake.Manners{Malformed: 1}, want: ErrMalformed, gap: true},
		"bad record":             {manners: fake.Manners{BadRecord: 1}, gap: true},
		"error":                  {manners: fake.Manners{Error: 1}, gap: true},
		"cut":                    {manners: fake.Manners{Cut: 1}, gap: true},
		"redirect":               {manners: fake.Manners{Redirect: elsewhere.URL + "/v2/entries"}, want: ErrRedirected, gap: true, quick: true},
		"redirect to plain HTTP": {manners: fake.Manners{Redirect: "http://exchange.example/"}, want: ErrRedirected, gap: true, quick: true},
		"endless": {manners: fake.Manners{Endless: 1}, want: ErrTooLarge, gap: true, quick: true,
			adjust: func(c *Config) { c.MaxPageBytes, c.MaxFileBytes = 1<<20, 1<<20 }},
		"hang": {manners: fake.Manners{Hang: 1}, want: errStalled, gap: true,
			adjust: func(c *Config) { c.Stall, c.Attempts = 50*time.Millisecond, 2 }},
		"slow": {manners: fake.Manners{Slow: 100 * time.Millisecond}, gap: true,
			adjust: func(c *Config) { c.Timeout, c.Attempts = 300*time.Millisecond, 2 }},
		"patience": {manners: fake.Manners{Throttle: 1, RetryAfter: time.Hour}, gap: true, quick: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDialect(t, func(t *testing.T, d Dialect) {
				b := newBench(t, d, 50)
				b.clock.Add(time.Minute)
				b.sync()
				before := b.list()
				b.fake.Change(20)
				b.clock.Add(time.Hour)
				b.fake.Misbehave(test.manners)
				b.adjust = test.adjust
				s := b.syncer()
				asked := b.fake.Requests()
				_, err := s.Sync(t.Context())
				want, quick := test.want, test.quick
				if d == File && (name == "malformed" || name == "endless") { // the errors of package format
					want, quick = nil, false
				}
				if err == nil || want != nil && !errors.Is(err, want) {
					t.Fatalf("%v, want %v", err, want)
				}
				// What was there before stays, but for records that came before the failure.
				after := b.list()
				if d == File && after.Revision() != before.Revision() || after.Len() < before.Len() || !after.Synced().Equal(before.Synced()) {
					t.Errorf("%+v, before it was %+v", after.Info(), before.Info())
				}
				b.trueToCheckpoint(b.file)
				var gap *GapError
				if errors.As(err, &gap) != test.gap {
					t.Errorf("%v", err)
				}
				if n := b.fake.Requests() - asked; quick && n != 1 || !quick && gap.Attempts != s.config.Attempts {
					t.Errorf("asked %d times, %d attempts at the gap", n, gap.Attempts)
				}
				status, failed := ReadStatus(b.file)
				if failed != nil || status.Failures != 1 || status.Error == "" || status.Gap == nil || status.Gap.Attempts != gap.Attempts ||
					!status.Gap.From.Equal(gap.From) || !status.Synced.Equal(before.Synced()) && status.Synced.Sub(before.Synced()) > time.Second {
					t.Errorf("%+v, %v", status, failed)
				}
				silent(t, "the error", fmt.Sprintf("%v %+v %#v", err, s.config, s.config))
				b.silent()
				// It is over some time, and nothing is missing.
				b.fake.Misbehave(fake.Manners{})
				b.adjust = nil
				b.clock.Add(time.Minute)
				b.sync()
				b.equal()
				if status, err := ReadStatus(b.file); err != nil || status.Gap != nil || status.Failures != 0 || status.Error != "" {
					t.Errorf("%+v, %v", status, err)
				}
			})
		})
	}
}

// TestContextEndsItAtOnce stops a sync that waits for a body, and one that pauses.
func TestContextEndsItAtOnce(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]fake.Manners{"body": {Hang: 1}, "pause": {Throttle: 1, RetryAfter: time.Minute}} {
		b := newBench(t, NCMEC, 10)
		b.fake.Misbehave(m)
		s := b.syncer()
		s.client.wait = sleep
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		_, err := s.Sync(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("%s: %v after %s", name, err, time.Since(began))
		}
	}
}

// TestWholeAgain has the reasons for which a list is fetched anew: what the exchange does not tell of any more is gone.
func TestWholeAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dialect Dialect
		pause   time.Duration
		adjust  func(*Config)
		whole   bool
	}{
		{ThreatExchange, 84 * 24 * time.Hour, nil, false}, {ThreatExchange, 86 * 24 * time.Hour, nil, true},
		{StopNCII, 29 * 24 * time.Hour, nil, false}, {StopNCII, 31 * 24 * time.Hour, nil, true},
		{NCMEC, 400 * 24 * time.Hour, nil, false},
		{NCMEC, time.Hour, func(c *Config) { c.SkipBadEntries = true }, true},
		{ThreatExchange, time.Hour, func(c *Config) { c.Group = "4712" }, true},
	} {
		b := newBench(t, test.dialect, 60)
		b.clock.Add(time.Minute)
		b.sync()
		added := make(map[string]time.Time)
		for _, e := range b.list().Entries() {
			added[e.Key.ID] = e.Added
		}
		b.fake.Change(20)
		b.clock.Add(test.pause)
		b.adjust = test.adjust
		if result := b.sync(); result.Whole != test.whole {
			t.Errorf("%s after %s: whole %t", test.dialect, test.pause, result.Whole)
		}
		b.equal()
		kept := 0
		for _, e := range b.list().Entries() {
			if at, known := added[e.Key.ID]; known && e.Added.Equal(at) {
				kept++
			}
		}
		if kept < 30 {
			t.Errorf("%s after %s: only %d entries kept the time at which they were added", test.dialect, test.pause, kept)
		}
	}
}

// TestSettle compares what is put together from any two lists with the second.
func TestSettle(t *testing.T) {
	t.Parallel()
	b := newBench(t, NCMEC, 200)
	b.clock.Add(time.Minute)
	b.sync()
	one := b.list()
	b.fake.Change(300)
	b.clock.Add(time.Minute)
	b.sync()
	two := b.list()
	none, err := emptyList()
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]*hashlist.List{{one, two}, {two, one}, {none, one}, {one, one}, {one, none}} {
		settled, _, err := settle(pair[0], pair[1], b.clock.Now())
		if err != nil || settled.Revision() != pair[1].Revision() {
			t.Errorf("%v", err)
		}
	}
}

// TestGuards keeps a list in force that an exchange takes back as a whole, and one whose successor is not accepted.
func TestGuards(t *testing.T) {
	t.Parallel()
	b := newBench(t, File, 30)
	b.sync()
	before := b.list().Revision()
	b.fake.Change(5)
	b.adjust = func(c *Config) {
		c.Accept = func(old, next *hashlist.List) error {
			if old.Revision() != before || next.Len() == 0 {
				t.Error("asked of something else")
			}
			return errors.New("too sudden")
		}
	}
	if _, err := b.syncer().Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "too sudden") || b.list().Revision() != before {
		t.Errorf("%v", err)
	}
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "kind,hash,entry,status\n,,gone,withdrawn\n")
	}))
	defer empty.Close()
	b.adjust = func(c *Config) { c.Address = empty.URL }
	if _, err := b.syncer().Sync(t.Context()); !errors.Is(err, ErrEmptied) || b.list().Revision() != before {
		t.Errorf("%v", err)
	}
}

// TestHostileExchange has answers that no request asked for.
func TestHostileExchange(t *testing.T) {
	t.Parallel()
	const head = `<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images>`
	record := `<image><member id="1">S</member><timestamp>2001-01-01T00:00:00Z</timestamp><id>x</id><fingerprints><md5>0123456789abcdef0123456789abcdef</md5></fingerprints></image>`
	for name, test := range map[string]struct {
		body string
		want error
	}{
		"other times, for ever": {head + record + `</images><paging><next>/v2/entries?start=2</next></paging></queryResult>`, ErrMalformed},
		"another host":          {head + strings.Replace(record, "2001-01-01", "1970-01-01", 1) + `</images><paging><next>https://elsewhere.example/v2/entries</next></paging></queryResult>`, nil},
		"another document":      {`<html/>`, ErrMalformed},
		"nothing":               {"", ErrMalformed},
		"two documents":         {head + `</images></queryResult>` + head + `</images></queryResult>`, ErrMalformed},
		"an entity":             {`<!DOCTYPE x [<!ENTITY e "eeee">]>` + head + `<image>&e;</image></images></queryResult>`, ErrMalformed},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/status") {
				return
			}
			fmt.Fprint(w, test.body)
		}))
		b := newBench(t, NCMEC, 0)
		b.adjust = func(c *Config) { c.Address = server.URL + "/base/" }
		_, err := b.syncer().Sync(t.Context())
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if _, err := os.Stat(b.file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: there is a list", name)
		}
		server.Close()
	}
}

// TestTLS trusts no certificate that it cannot check.
func TestTLS(t *testing.T) {
	t.Parallel()
	b := newBench(t, NCMEC, 20)
	server := httptest.NewUnstartedServer(b.fake)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	b.clock.Add(time.Minute)
	b.adjust = func(c *Config) { c.Address, c.Attempts = server.URL, 2 }
	var untrusted *tls.CertificateVerificationError
	if _, err := b.syncer().Sync(t.Context()); !errors.As(err, &untrusted) {
		t.Errorf("%v", err)
	}
	s := b.syncer()
	s.client.http.Transport = server.Client().Transport
	if _, err := s.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	b.equal()
}

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockFile(path); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	unlock()
	again, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// TestRun syncs at its interval until it is told to stop.
func TestRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, File, 20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	syncs := 0
	b.adjust = func(c *Config) {
		c.Interval = time.Millisecond
		c.Done = func(result Result, err error) {
			if syncs++; syncs == 5 {
				cancel()
			}
			if (err == nil) == (syncs == 2) || result.List != "synthetic" {
				t.Errorf("sync %d: %+v, %v", syncs, result, err)
			}
			b.fake.Misbehave(fake.Manners{})
			if syncs == 1 {
				b.fake.Misbehave(fake.Manners{Error: 1})
			}
		}
	}
	if err := Run(ctx, []*Syncer{b.syncer()}); err != nil || syncs != 5 {
		t.Errorf("%v after %d", err, syncs)
	}
}

// What an incremental sync brings takes the list's place only if it is accepted, each time that it is saved; refused, the
// list and its checkpoint stay, and the same comes again.
func TestAcceptIncremental(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, d Dialect) {
		b := newBench(t, d, 120)
		b.clock.Add(time.Hour)
		b.sync()
		held := b.list()
		b.fake.Change(60)
		b.clock.Add(time.Hour)
		refusal, asked := errors.New("too much"), 0
		b.adjust = func(c *Config) {
			c.SaveEvery = -1
			c.Accept = func(old, next *hashlist.List) error {
				asked++
				if old == nil || old.Revision() != held.Revision() || next.Revision() == old.Revision() {
					t.Errorf("asked of %d and %d entries", old.Len(), next.Len())
				}
				return refusal
			}
		}
		for n := 1; n <= 2; n++ {
			if _, err := b.syncer().Sync(t.Context()); !errors.Is(err, refusal) || asked != n {
				t.Fatalf("%v, asked %d times", err, asked)
			}
			if b.list().Revision() != held.Revision() {
				t.Fatal("the list has changed")
			}
			b.trueToCheckpoint(b.file) // which may go on up to what was refused
		}
		saved := held.Revision()
		b.adjust = func(c *Config) {
			c.SaveEvery = -1
			c.Accept = func(old, next *hashlist.List) error {
				asked++
				if old.Revision() != saved || next.Revision() == saved {
					t.Error("asked of something else than what the file holds")
				}
				saved = next.Revision()
				return nil
			}
		}
		asked = 0
		b.sync()
		b.equal()
		if asked == 0 || saved != b.list().Revision() {
			t.Errorf("asked %d times", asked)
		}
		asked = 0
		b.sync()
		if asked != 0 {
			t.Error("asked although nothing has changed")
		}
	})
}
