//go:build unix

package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// TestMain makes the test binary stand in for a process that is killed, or that runs out of room.
func TestMain(m *testing.M) {
	if behaviour := os.Getenv(childEnv); behaviour != "" {
		child(behaviour)
		return
	}
	os.Exit(m.Run())
}

func openLog(t testing.TB, dir string, change func(*Config)) *Log {
	t.Helper()
	c := Config{Directory: dir}
	if change != nil {
		change(&c)
	}
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// allowed is the answer to an upload that nothing speaks against.
func allowed(item string) gate.Record {
	return gate.Record{
		Item: item, Surface: "avatars", Tenant: "t1", Region: "eu", Dialect: "http", Caller: "app", Time: noon, Action: hashmatch.Allow,
		Verdict: hashmatch.Verdict{
			Item: item, Surface: "avatars", Action: hashmatch.Allow, Would: hashmatch.Allow,
			Revisions: map[string]string{"demo": "r1"}, Policy: "p1",
		},
	}
}

// matched is the answer to one that matched.
func matched(item string) gate.Record {
	r := allowed(item)
	r.Action, r.Verdict.Action, r.Verdict.Would, r.Quarantined = hashmatch.Block, hashmatch.Block, hashmatch.Block, true
	r.Verdict.Matches = []hashmatch.Match{{
		List: "demo", Entry: "src/m/e1", Kind: hashmatch.PDQ, Distance: 7, Threshold: 31, Frame: 2, Action: hashmatch.Block,
		View: hashmatch.View{Geometry: "trim"}, Labels: []string{"label"},
	}}
	r.Verdict.Failures = []hashmatch.Failure{{Code: hashmatch.Corrupt, Detail: "SECRET detail"}, {Code: hashmatch.Corrupt}}
	r.Verdict.Notes = []hashmatch.Note{hashmatch.LowQuality}
	r.Failed = []gate.EffectError{{Effect: "review", Err: errors.New("SECRET path")}}
	return r
}

func appendAll(t testing.TB, l *Log, records ...gate.Record) {
	t.Helper()
	for _, r := range records {
		if err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func entries(t testing.TB, dir string) []Entry {
	t.Helper()
	var all []Entry
	for e, err := range Records(dir) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// uploads returns how often each item is in the log.
func uploads(t testing.TB, dir string) map[string]int {
	t.Helper()
	seen := make(map[string]int)
	for _, e := range entries(t, dir) {
		if e.Type == TypeUpload {
			seen[e.Item]++
		}
	}
	return seen
}

func verify(t testing.TB, dir string, options Options) Report {
	t.Helper()
	r, err := Verify(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantSound(t testing.TB, dir string) Report {
	t.Helper()
	r := verify(t, dir, Options{})
	if !r.OK() {
		t.Fatalf("findings: %v", r.Findings)
	}
	return r
}

func TestWhatIsRecorded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := openLog(t, dir, nil)
	shadow := matched("b")
	shadow.Action, shadow.Shadow = hashmatch.Allow, true
	excused := allowed("c")
	excused.Verdict.AllowedBy = &hashmatch.Match{List: "harmless", Entry: "h1", Kind: hashmatch.SHA256}
	appendAll(t, l, allowed("a"), matched("m"), shadow, excused)
	err := l.Event(t.Context(), Event{Type: "review.release", Actor: "ann", Reason: "a <drawing>", Item: "m", Detail: map[string]string{"previous": "pending"}})
	if err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)

	all := entries(t, dir)
	if len(all) != 6 {
		t.Fatalf("%d records", len(all))
	}
	for i, want := range []string{
		`"type":"segment","log":"` + l.ID() + `","format":1,`,
		`"time":"2026-03-01T12:00:00Z","type":"upload","item":"a","surface":"avatars","tenant":"t1","region":"eu","dialect":"http","caller":"app","action":"allow","verdict":"allow","would":"allow","revisions":{"demo":"r1"},"policy":"p1",`,
		`"action":"block","verdict":"block","would":"block","quarantined":true,"reasons":["match","not_scanned","record"],"matches":[{"list":"demo","entry":"src/m/e1","kind":"pdq","distance":7,"threshold":31,"view":{"geometry":"trim"},"frame":2,"status":"active","action":"block"}],"failures":["corrupt"],"notes":["low_quality"],"revisions":{"demo":"r1"},"policy":"p1","effects_failed":["review"],`,
		`"action":"allow","verdict":"block","would":"block","shadow":true,`,
		`"allowed_by":{"list":"harmless","entry":"h1","kind":"sha256","distance":0,"threshold":0,"frame":0,"status":"active",`,
		`"type":"review.release","item":"m","actor":"ann","reason":"a <drawing>","detail":{"previous":"pending"},`,
	} {
		if !strings.Contains(string(all[i].Raw), want) {
			t.Errorf("record %d: %s\nwant in it %s", i+1, all[i].Raw, want)
		}
		if all[i].Seq != uint64(i+1) {
			t.Errorf("record %d has seq %d", i+1, all[i].Seq)
		}
		if strings.Contains(string(all[i].Raw), "SECRET") || strings.Contains(string(all[i].Raw), "label") {
			t.Errorf("record %d: %s", i+1, all[i].Raw)
		}
	}
	if r := wantSound(t, dir); r.Records != 6 || r.First != 1 || r.Last != 6 || r.Log != l.ID() || r.Segments != 1 {
		t.Errorf("%+v", r)
	}
	if info, err := os.Stat(filepath.Join(dir, segmentName(1))); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestIdempotentByItem(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, func(c *Config) { c.SegmentBytes = 1500 })
	later := matched("m")
	later.Time = later.Time.Add(time.Hour)
	appendAll(t, l, matched("m"), later, allowed("a"), allowed("a"))
	other := matched("m")
	other.Action = hashmatch.Hold
	appendAll(t, l, other, other, matched("m")) // back to the first answer: that is news
	elsewhere := matched("m")
	elsewhere.Surface = "posts"
	tenant := matched("m")
	tenant.Tenant = "t2"
	appendAll(t, l, elsewhere, tenant)
	want := map[string]int{"m": 5, "a": 1}
	check := func() {
		t.Helper()
		for item, n := range uploads(t, dir) {
			if n != want[item] {
				t.Errorf("%s is there %d times, want %d", item, n, want[item])
			}
		}
	}
	check()
	closeLog(t, l)
	l = openLog(t, dir, func(c *Config) { c.SegmentBytes = 1500 })
	appendAll(t, l, matched("m"), allowed("a"), tenant, elsewhere)
	check()
	if s := l.Stats(); s.Repeated != 4 || s.Records != 0 {
		t.Errorf("%+v", s)
	}
	if n, _ := segmentNames(dir); len(n) < 3 {
		t.Errorf("%d segments", len(n))
	}
}

// The memory of items is bounded: an answer that comes again after too many others is recorded again.
func TestRecentIsBounded(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, func(c *Config) { c.recent = 4 })
	for range 3 {
		for i := range 5 {
			appendAll(t, l, allowed(fmt.Sprint(i)))
		}
	}
	if len(l.recent.answers) > 4 || len(l.recent.ring) != 4 {
		t.Errorf("%d answers", len(l.recent.answers))
	}
	if n := uploads(t, dir)["0"]; n != 3 {
		t.Errorf("recorded %d times", n)
	}
	appendAll(t, l, allowed("4"), allowed("3"))
	if n := uploads(t, dir)["4"]; n != 3 {
		t.Errorf("recorded %d times", n)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, nil)
	if err := l.Append(t.Context(), gate.Record{}); !errors.Is(err, ErrNoItem) {
		t.Error(err)
	}
	for _, name := range []string{"", "upload", "segment", "torn", "A", "a b", "a\n", strings.Repeat("a", 65), "ü"} {
		if err := l.Event(t.Context(), Event{Type: name}); !errors.Is(err, ErrType) {
			t.Errorf("type %q: %v", name, err)
		}
	}
	if err := l.Event(t.Context(), Event{Type: "e", Reason: strings.Repeat("r", maxLine)}); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	huge := matched("m")
	huge.Verdict.Revisions = map[string]string{strings.Repeat("r", maxLine): ""}
	if err := l.Append(t.Context(), huge); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	late := matched("m")
	late.Time = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := l.Append(t.Context(), late); err == nil {
		t.Error("a time that cannot be written")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(gone, matched("m")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Open(Config{Directory: dir}); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	closeLog(t, l)
	closeLog(t, l)
	if err := l.Append(t.Context(), matched("m")); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := l.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if s := l.Stats(); s.Failed != 15 {
		t.Errorf("%d failed", s.Failed)
	}
	if n := len(entries(t, dir)); n != 1 {
		t.Errorf("%d records", n)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o770)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Config{
		"no directory":       {},
		"writable by others": {Directory: open},
		"sync":               {Directory: dir, Sync: "sometimes"},
		"segments":           {Directory: dir, SegmentBytes: -1},
		"interval":           {Directory: dir, HeadInterval: -1},
		"a short key":        {Directory: dir, Key: make([]byte, 3)},
		"sinks without key":  {Directory: dir, Sinks: []Sink{FileSink("x")}},
		"a file":             {Directory: filepath.Join(dir, segmentName(1))},
	} {
		if l, err := Open(c); err == nil {
			l.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

// Texts of any kind and length make a record that can be read.
func TestOddTexts(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, nil)
	r := matched("\"},\"hash\":\"\n\xff\u2028<&>")
	r.Dialect, r.Caller = strings.Repeat("ü", 1000), "\x00"
	for range 300 {
		r.Verdict.Matches = append(r.Verdict.Matches, hashmatch.Match{List: strings.Repeat("l", 4000), Entry: strings.Repeat("\xff", 3000)})
		r.Verdict.Failures = append(r.Verdict.Failures, hashmatch.Failure{Code: hashmatch.FailureCode(strings.Repeat("f", len(r.Verdict.Failures)))})
		r.Verdict.Notes = append(r.Verdict.Notes, "n")
	}
	appendAll(t, l, r, r)
	closeLog(t, l)
	all := entries(t, dir)
	if len(all) != 2 || len(all[1].Matches) != hashmatch.MaxReportedMatches || all[1].MatchesOmitted != 201 {
		t.Errorf("%d records, %d matches, %d omitted", len(all), len(all[1].Matches), all[1].MatchesOmitted)
	}
	wantSound(t, dir)
	l = openLog(t, dir, nil)
	appendAll(t, l, r)
	if n := len(entries(t, dir)); n != 2 {
		t.Errorf("%d records: an item with odd bytes is not known again", n)
	}
}

func TestConcurrentAppends(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, func(c *Config) { c.SegmentBytes = 20_000 })
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	const goroutines, each = 16, 40
	var wait sync.WaitGroup
	for g := range goroutines {
		wait.Go(func() {
			for i := range each {
				r := allowed(fmt.Sprint(g, "-", i))
				if i%4 == 0 {
					r = matched(fmt.Sprint("same-", i)) // by all of them
				}
				if err := l.Append(context.Background(), r); err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					if err := l.Event(context.Background(), Event{Type: "e"}); err != nil {
						t.Error(err)
					}
				}
				l.Stats()
			}
		})
	}
	for range 5 { // beside the writers
		if r, err := Verify(dir, Options{}); err != nil || !r.OK() {
			t.Error(r.Findings, err)
		}
	}
	wait.Wait()
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	closeLog(t, l)
	seen := uploads(t, dir)
	if len(seen) != goroutines*each*3/4+each/4 {
		t.Errorf("%d items", len(seen))
	}
	for item, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", item, n)
		}
	}
	if r := wantSound(t, dir); r.Segments < 5 {
		t.Errorf("%d segments", r.Segments)
	}
}

// Close waits for what was begun: each Append that returned nil is in the log, and on disk.
func TestCloseWhileAppending(t *testing.T) {
	for range 10 {
		dir := t.TempDir()
		l := openLog(t, dir, nil)
		var mu sync.Mutex
		acknowledged := make(map[string]bool)
		var wait sync.WaitGroup
		for g := range 4 {
			wait.Go(func() {
				for i := 0; ; i++ {
					item := fmt.Sprint(g, "-", i)
					err := l.Append(context.Background(), matched(item))
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					acknowledged[item] = true
					mu.Unlock()
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		closeLog(t, l)
		wait.Wait()
		seen := uploads(t, dir)
		for item := range acknowledged {
			if seen[item] != 1 {
				t.Errorf("%s is there %d times", item, seen[item])
			}
		}
		wantSound(t, dir)
	}
}
