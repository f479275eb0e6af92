package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/exchange/fake"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// The credentials of the tests: none of them may ever be seen.
const (
	secretPassword = "pa55 w0rd&that=nobody+may/see"
	secretToken    = "tok|en that/nobody=may&see"
	secretFunction = "function-key-that-nobody-may-see"
	secretKey      = "subscription-key-that-nobody-may-see"
)

var testCredentials = map[Dialect]Credentials{
	NCMEC:          {User: "synthetic", Password: secretPassword},
	ThreatExchange: {Token: secretToken},
	StopNCII:       {FunctionKey: secretFunction, SubscriptionKey: secretKey},
	File:           {Token: secretToken},
}

// clock is a clock that is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is an exchange and a list of it.
type bench struct {
	t       testing.TB
	clock   *clock
	fake    *fake.Server
	address string
	file    string
	dialect Dialect
	log     *bytes.Buffer
	adjust  func(*Config)
	asked   atomic.Pointer[func()] // called before each answer; nil for nothing
}

func newBench(t testing.TB, dialect Dialect, entries int) *bench {
	t.Helper()
	return newBenchOf(t, dialect, entries, 7, 20)
}

func newBenchOf(t testing.TB, dialect Dialect, entries int, seed uint64, page int) *bench {
	t.Helper()
	b := &bench{t: t, clock: newClock(), dialect: dialect, log: &bytes.Buffer{}, file: filepath.Join(t.TempDir(), "list.hml")}
	c := testCredentials[dialect]
	server, err := fake.New(fake.Config{
		Dialect: string(dialect), Seed: seed, Entries: entries, PageSize: page, Now: b.clock.Now,
		User: c.User, Password: c.Password, Token: c.Token, FunctionKey: c.FunctionKey, SubscriptionKey: c.SubscriptionKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.fake = server
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked := b.asked.Load(); asked != nil {
			(*asked)()
		}
		server.ServeHTTP(w, r)
		b.clock.Add(300 * time.Millisecond) // so that what happens between two answers has a time of its own, at times
	}))
	t.Cleanup(listener.Close)
	b.address = listener.URL
	return b
}

// saveAlways is an adjust: it saves after every answer, so that there is much to be cut short.
func saveAlways(c *Config) { c.SaveEvery = -1 }

// config is that of the bench's list.
func (b *bench) config() Config {
	c := Config{
		List: "synthetic", File: b.file, Dialect: b.dialect, Address: b.address, Credentials: testCredentials[b.dialect],
		PageSize: 20, Timeout: 5 * time.Second, Stall: 2 * time.Second, Backoff: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if b.dialect == ThreatExchange {
		c.Group = "4711"
	}
	if b.adjust != nil {
		b.adjust(&c)
	}
	return c
}

func (b *bench) syncer() *Syncer {
	b.t.Helper()
	s, err := New(b.config())
	if err != nil {
		b.t.Fatal(err)
	}
	s.now = b.clock.Now
	s.client.wait = func(ctx context.Context, d time.Duration) error { b.clock.Add(d); return ctx.Err() }
	return s
}

func (b *bench) list() *hashlist.List {
	b.t.Helper()
	l, err := hashlist.Open(b.file)
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

// equal fails if the list is not what the exchange holds.
func (b *bench) equal() {
	b.t.Helper()
	if different := fake.Differences(b.list(), b.fake.Truth()); different != nil {
		b.t.Fatalf("%d differences, such as\n%s", len(different), strings.Join(different[:min(10, len(different))], "\n"))
	}
}

func (b *bench) sync() Result {
	b.t.Helper()
	result, err := b.syncer().Sync(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// silent fails if a credential is in a text.
func silent(t testing.TB, what, text string) {
	t.Helper()
	for dialect, c := range testCredentials {
		for _, secret := range c.secrets() {
			if strings.Contains(text, secret) {
				t.Errorf("%s repeats the credentials of %s", what, dialect)
			}
		}
	}
}

// silent looks for credentials in the log and in every file of the list.
func (b *bench) silent() {
	b.t.Helper()
	silent(b.t, "the log", b.log.String())
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(b.file), "*"))
	if len(files) < 2 {
		b.t.Fatalf("%q", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			b.t.Fatal(err)
		}
		silent(b.t, file, string(text))
	}
}

func eachDialect(t *testing.T, f func(t *testing.T, d Dialect)) {
	for _, d := range Dialects() {
		t.Run(string(d), func(t *testing.T) { t.Parallel(); f(t, d) })
	}
}

func TestSync(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, d Dialect) {
		b := newBench(t, d, 300)
		b.clock.Add(time.Hour)
		first := b.sync()
		b.equal()
		l := b.list()
		if !first.Whole || first.Entries != l.Len() || first.Revision != l.Revision() || l.Info().Name != "synthetic" ||
			l.Info().Source != string(d) || l.Synced().IsZero() || l.Len() < 250 {
			t.Errorf("%+v, %+v", first, l.Info())
		}
		if _, err := os.Stat(b.file + ".partial"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the partial file: %v", err)
		}
		// Nothing changes: only the time of the sync moves.
		b.clock.Add(time.Hour)
		again := b.sync()
		if again.Revision != first.Revision || !b.list().Synced().After(l.Synced()) || again.Added+again.Changed+again.Withdrawn+again.Removed != 0 {
			t.Errorf("%+v after %+v", again, first)
		}
		for range 6 {
			b.fake.Change(30)
			b.clock.Add(10 * time.Minute)
			if result := b.sync(); d != File && result.Whole {
				t.Error("fetched as a whole")
			}
			b.equal()
		}
		status, err := ReadStatus(b.file)
		if err != nil || status.Failures != 0 || status.Gap != nil || status.Result.Revision != b.list().Revision() {
			t.Errorf("%+v, %v", status, err)
		}
		b.silent()
	})
}

// manners are the misbehaviours under which a sync must come to the truth in the end.
var manners = []string{
	"error=0.4", "throttle=0.4", "throttle=0.2,retry-after=60s", "cut=0.4", "malformed=0.4", "duplicate=0.7", "reorder=1",
	"expire=0.3", "bad-record=0.3", "skew=26h", "skew=-26h", "skew=20m", "date=26h", "date=-26h", "date=20m", "changes=1", "changes=3,duplicate=0.5",
	"error=0.1,throttle=0.1,cut=0.1,malformed=0.1,duplicate=0.3,reorder=0.3,expire=0.1,bad-record=0.1,changes=1",
}

func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, d Dialect) {
		for _, text := range manners {
			t.Run(text, func(t *testing.T) {
				t.Parallel()
				m, err := fake.ParseManners(text)
				if err != nil {
					t.Fatal(err)
				}
				b := newBench(t, d, 150)
				b.clock.Add(time.Hour)
				b.fake.Misbehave(m)
				// While it misbehaves syncs may fail; the list is true to its checkpoint all the same.
				for range 3 {
					_, err := b.syncer().Sync(t.Context())
					silent(t, "an error", fmt.Sprint(err))
					b.fake.Change(15)
					b.clock.Add(time.Hour)
				}
				b.fake.Misbehave(fake.Manners{Duplicate: m.Duplicate, Reorder: m.Reorder})
				b.clock.Add(time.Minute + max(0, m.Skew)) // so that what has a time in the future is not any more
				b.sync()
				b.equal()
				b.silent()
			})
		}
	})
}

// TestChangesMeanwhile has so much happen between two answers that paging by offset loses entries.
func TestChangesMeanwhile(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, d Dialect) {
		b := newBench(t, d, 400)
		b.adjust = saveAlways
		b.clock.Add(time.Minute)
		b.fake.Burst(130) // several pages of one second
		b.clock.Add(time.Minute)
		done := false
		for range 30 {
			b.fake.Misbehave(fake.Manners{Changes: 1})
			if _, err := b.syncer().Sync(t.Context()); err == nil {
				done = true
				break
			}
		}
		if !done && d != StopNCII {
			t.Error("it never came to an end")
		}
		// What the list has now must be true of everything that was not changed since: a sync that reads only what
		// changed afterwards makes it equal.
		b.fake.Misbehave(fake.Manners{})
		b.clock.Add(time.Minute)
		if result := b.sync(); done && d != File && result.Whole {
			t.Error("fetched as a whole")
		}
		b.equal()
	})
}

// TestBurst has many pages of entries in one second.
func TestBurst(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, d Dialect) {
		b := newBench(t, d, 10)
		b.clock.Add(time.Minute)
		b.sync()
		b.fake.Burst(1000)
		b.clock.Add(time.Minute)
		b.fake.Misbehave(fake.Manners{Expire: 0.002})
		if result := b.sync(); result.Added != 1000 {
			t.Errorf("%+v", result)
		}
		b.equal()
	})
}
