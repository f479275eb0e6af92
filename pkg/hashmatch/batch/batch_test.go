package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

var testSurface = func() hashmatch.Surface {
	encrypted := false
	s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{
		Name: "uploads", Visibility: hashmatch.Public, Encrypted: &encrypted,
	})
	if err != nil {
		panic(err)
	}
	return s
}()

// readScanner allows what it can read to its end, blocks what begins with "match", and calls what begins with "text"
// not an image.
type readScanner struct {
	before func() // called before each scan; nil for nothing
	scans  atomic.Int64
}

func (s *readScanner) Scan(ctx context.Context, item hashmatch.Item) (hashmatch.Verdict, error) {
	s.scans.Add(1)
	if s.before != nil {
		s.before()
	}
	v := hashmatch.Verdict{Item: "x", Surface: item.Surface.Name(), Policy: "p1"}
	content, err := io.ReadAll(item.Content)
	switch {
	case ctx.Err() != nil:
		v.Failures = []hashmatch.Failure{{Code: hashmatch.TimedOut, Detail: "while reading"}}
	case err != nil:
		v.Failures = []hashmatch.Failure{hashmatch.AsFailure(err, hashmatch.Unreadable)}
	case bytes.HasPrefix(content, []byte("match")):
		v.Action = hashmatch.Block
		v.Matches = []hashmatch.Match{{List: "demo", Entry: "7", Kind: hashmatch.SHA256}}
	case bytes.HasPrefix(content, []byte("text")):
		v.Failures = []hashmatch.Failure{{Code: hashmatch.NotImage}}
	default:
		v.Action = hashmatch.Allow
	}
	return v, nil
}

// collector keeps results by path, and fails the test on a second one for a path.
type collector struct {
	t       *testing.T
	results map[string]Result
}

func (c *collector) Write(r Result) error {
	if c.results == nil {
		c.results = map[string]Result{}
	}
	if _, twice := c.results[r.Path]; twice {
		c.t.Errorf("%q has a second result", r.Path)
	}
	c.results[r.Path] = r
	return nil
}
func (c *collector) Commit() error { return nil }
func (c *collector) Offset() int64 { return 0 }

// failure returns the only failure of a path as text.
func (c *collector) failure(path string) string {
	r, ok := c.results[path]
	if !ok || len(r.Verdict.Failures) != 1 {
		return fmt.Sprintf("%d failures (result: %t)", len(r.Verdict.Failures), ok)
	}
	return r.Verdict.Failures[0].Error()
}

func write(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// tree makes n files in a few folders and returns the folder.
func tree(t testing.TB, n int) string {
	dir := t.TempDir()
	for i := range n {
		write(t, filepath.Join(dir, fmt.Sprintf("%02d", i%37), fmt.Sprintf("%06d.img", i)), fmt.Sprint("picture ", i))
	}
	return dir
}

// filesOf is a Source of made-up files.
type filesOf []File

func (s filesOf) Files(_ context.Context, yield func(File) error) error {
	for _, f := range s {
		if err := yield(f); err != nil {
			return err
		}
	}
	return nil
}

// text is a Content.
type text string

func (c text) Stat() Stamp { return Stamp{int64(len(c)), 1} }
func (c text) Open() (io.ReadCloser, Stamp, error) {
	return io.NopCloser(strings.NewReader(string(c))), c.Stat(), nil
}

func TestRunCounts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.png", "picture")
	write(t, dir+"/b.png", "match one")
	write(t, dir+"/sub/c.png", "match two")
	write(t, dir+"/notes.txt", "text")
	if err := os.Symlink("a.png", dir+"/link.png"); err != nil {
		t.Fatal(err)
	}
	c := &collector{t: t}
	var progress Progress
	s, err := Run(t.Context(), Config{
		Source: Paths(dir), Scanner: &readScanner{}, Surface: testSurface, Results: c, Progress: &progress,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Summary{Files: 5, Bytes: 7 + 9 + 9 + 4, Allowed: 1, Held: 2, Blocked: 2, Matched: 2, NotScanned: 1, HeldOtherwise: 1}
	got := s
	got.Failures, got.Started, got.Ended = nil, time.Time{}, time.Time{}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("summary\n%+v, want\n%+v", got, want)
	}
	if s.Failures[hashmatch.NotImage] != 1 || s.Failures[hashmatch.Unreadable] != 1 || len(s.Failures) != 2 {
		t.Errorf("failures %v", s.Failures)
	}
	if !s.AnyMatched() || !s.AnyNotCleared() || s.Started.IsZero() || s.Ended.Before(s.Started) {
		t.Errorf("summary %+v", s)
	}
	if len(c.results) != 5 {
		t.Errorf("%d results, want 5", len(c.results))
	}
	p := progress.Snapshot()
	if p.Files != 5 || p.Blocked != 2 || p.Matched != 2 || p.NotScanned != 1 || !p.Finished || p.Elapsed <= 0 {
		t.Errorf("progress %+v", p)
	}
}

func TestRunRefusesUndeclaredSurface(t *testing.T) {
	scanner := &readScanner{}
	_, err := Run(t.Context(), Config{Source: filesOf{{Path: "a", Content: text("a")}}, Scanner: scanner, Results: &collector{t: t}})
	if !errors.Is(err, hashmatch.ErrSurfaceRefused) || scanner.scans.Load() != 0 {
		t.Errorf("error %v after %d scans", err, scanner.scans.Load())
	}
	for name, config := range map[string]Config{
		"source":  {Scanner: scanner, Results: &collector{}, Surface: testSurface},
		"scanner": {Source: filesOf{}, Results: &collector{}, Surface: testSurface},
		"results": {Source: filesOf{}, Scanner: scanner, Surface: testSurface},
	} {
		if _, err := Run(t.Context(), config); err == nil {
			t.Errorf("no %s: no error", name)
		}
	}
}

// deafScanner allows everything and reads nothing, or reads and does not look at the error.
type deafScanner struct{ read bool }

func (s deafScanner) Scan(_ context.Context, item hashmatch.Item) (hashmatch.Verdict, error) {
	if s.read {
		_, _ = io.Copy(io.Discard, item.Content)
	}
	return hashmatch.Verdict{Action: hashmatch.Allow}, nil
}

func TestUnreadableIsNeverClean(t *testing.T) {
	for _, read := range []bool{false, true} {
		c := &collector{t: t}
		s, err := Run(t.Context(), Config{
			Source: Paths("/nonexistent/file"), Scanner: deafScanner{read}, Surface: testSurface, Results: c,
		})
		if err != nil || s.Held != 1 || s.NotScanned != 1 {
			t.Errorf("summary %+v, error %v", s, err)
		}
		if got := c.failure("/nonexistent/file"); got != "unreadable: no such file or directory" {
			t.Error(got)
		}
	}
}

type errorScanner struct{ after atomic.Int64 }

var errScanner = errors.New("scanner is broken")

func (s *errorScanner) Scan(context.Context, hashmatch.Item) (hashmatch.Verdict, error) {
	if s.after.Add(-1) < 0 {
		return hashmatch.Verdict{Action: hashmatch.Allow}, errScanner
	}
	return hashmatch.Verdict{Action: hashmatch.Allow}, nil
}

func TestScannerErrorEndsRun(t *testing.T) {
	scanner := &errorScanner{}
	scanner.after.Store(10)
	s, err := Run(t.Context(), Config{Source: Paths(tree(t, 200)), Scanner: scanner, Surface: testSurface,
		Results: &collector{t: t}, Workers: 2})
	if !errors.Is(err, errScanner) || s.Interrupted || s.Files > 10 {
		t.Errorf("summary %+v, error %v", s, err)
	}
}

type brokenSource struct{}

func (brokenSource) Files(_ context.Context, yield func(File) error) error {
	if err := yield(File{Path: "a", Content: text("a")}); err != nil {
		return err
	}
	return errors.New("the source is broken")
}

func TestSourceErrorEndsRun(t *testing.T) {
	s, err := Run(t.Context(), Config{Source: brokenSource{}, Scanner: &readScanner{}, Surface: testSurface, Results: &collector{t: t}})
	if err == nil || err.Error() != "the source is broken" || s.Files != 1 || s.Interrupted {
		t.Errorf("summary %+v, error %v", s, err)
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	scanner := &readScanner{}
	scanner.before = func() {
		if scanner.scans.Load() == 20 {
			cancel()
		}
	}
	c := &collector{t: t}
	started := time.Now()
	s, err := Run(ctx, Config{Source: Paths(tree(t, 500)), Scanner: scanner, Surface: testSurface, Results: c, Workers: 3})
	if !errors.Is(err, context.Canceled) || !s.Interrupted {
		t.Fatalf("summary %+v, error %v", s, err)
	}
	if s.Files < 20 || s.Files > 30 || int64(len(c.results)) != s.Files || s.Files != scanner.scans.Load() {
		t.Errorf("%d files counted, %d results, %d scans: those in flight are to be written", s.Files, len(c.results), scanner.scans.Load())
	}
	if s.Allowed != s.Files {
		t.Errorf("%d allowed of %d: a scan was cut short", s.Allowed, s.Files)
	}
	if took := time.Since(started); took > 4*time.Second {
		t.Errorf("took %v", took)
	}
}

// hangingScanner ends when its context does, or never.
type hangingScanner struct {
	begun chan struct{}
	never bool
}

func (s hangingScanner) Scan(ctx context.Context, _ hashmatch.Item) (hashmatch.Verdict, error) {
	s.begun <- struct{}{}
	if s.never {
		select {}
	}
	<-ctx.Done()
	return hashmatch.Verdict{Failures: []hashmatch.Failure{{Code: hashmatch.TimedOut}}}, nil
}

func TestInterruptAbandonsWhatHangs(t *testing.T) {
	for _, never := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		scanner := hangingScanner{begun: make(chan struct{}, 10), never: never}
		go func() { <-scanner.begun; cancel() }()
		c := &collector{t: t}
		s, err := Run(ctx, Config{Source: filesOf{{Path: "a", Content: text("a")}, {Path: "b", Content: text("b")}},
			Scanner: scanner, Surface: testSurface, Results: c, Workers: 1, Grace: 20 * time.Millisecond})
		if !errors.Is(err, context.Canceled) || !s.Interrupted || s.Files != 0 || len(c.results) != 0 {
			t.Errorf("never %t: summary %+v, error %v: a scan that was cut short has no result", never, s, err)
		}
	}
}

func TestInterruptWhileSourceWaits(t *testing.T) {
	r, w := io.Pipe() // a list of paths whose writer says nothing
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s, err := Run(ctx, Config{Source: Lines(r), Scanner: &readScanner{}, Surface: testSurface, Results: &collector{t: t}})
	if !errors.Is(err, context.DeadlineExceeded) || !s.Interrupted {
		t.Errorf("summary %+v, error %v", s, err)
	}
}

func TestCancelAfterTheLastFileIsComplete(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var files filesOf
	for i := range 20 {
		files = append(files, File{Path: fmt.Sprint(i), Content: text("x")})
	}
	n := 0
	s, err := Run(ctx, Config{Source: files, Scanner: &readScanner{}, Surface: testSurface, Workers: 2,
		Results: ResultsFunc(func(Result) error {
			if n++; n == len(files) {
				time.Sleep(20 * time.Millisecond) // so that the source has come to its end too
				cancel()
			}
			return nil
		})})
	if err != nil || s.Interrupted || s.Files != 20 {
		t.Errorf("summary %+v, error %v", s, err)
	}
}

// weighScanner notes the most bytes that were in flight.
type weighScanner struct {
	mu        sync.Mutex
	now, most int64
	workers   int64
	peak      int64
}

func (s *weighScanner) Scan(_ context.Context, item hashmatch.Item) (hashmatch.Verdict, error) {
	s.mu.Lock()
	s.now, s.workers = s.now+item.Size, s.workers+1
	s.most, s.peak = max(s.most, s.now), max(s.peak, s.workers)
	s.mu.Unlock()
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	s.now, s.workers = s.now-item.Size, s.workers-1
	s.mu.Unlock()
	return hashmatch.Verdict{Action: hashmatch.Allow}, nil
}

func TestBounds(t *testing.T) {
	var files filesOf
	for i := range 40 {
		files = append(files, File{Path: fmt.Sprint(i), Content: text(strings.Repeat("x", 10+i%3))})
	}
	scanner := &weighScanner{}
	if _, err := Run(t.Context(), Config{Source: files, Scanner: scanner, Surface: testSurface, Results: &collector{t: t},
		Workers: 8, MaxInFlight: 25}); err != nil {
		t.Fatal(err)
	}
	if scanner.most > 25 || scanner.most < 20 {
		t.Errorf("%d bytes in flight, want 20 to 25", scanner.most)
	}
	scanner = &weighScanner{}
	if _, err := Run(t.Context(), Config{Source: files, Scanner: scanner, Surface: testSurface, Results: &collector{t: t},
		Workers: 3}); err != nil {
		t.Fatal(err)
	}
	if scanner.peak != 3 {
		t.Errorf("%d workers, want 3", scanner.peak)
	}
	scanner = &weighScanner{}
	if _, err := Run(t.Context(), Config{Source: files, Scanner: scanner, Surface: testSurface, Results: &collector{t: t},
		Workers: 4, MaxInFlight: 3}); err != nil {
		t.Fatal(err)
	}
	if scanner.peak != 1 {
		t.Errorf("%d files over the bound at a time, want 1", scanner.peak)
	}
}

func TestTallies(t *testing.T) {
	demo := hashmatch.Match{List: "demo"}
	overruled := hashmatch.Match{List: "demo", Action: hashmatch.Allow}
	allow := &hashmatch.Match{List: "mine", Action: hashmatch.Allow}
	cases := []struct {
		name                string
		verdict             hashmatch.Verdict
		matched, notScanned bool
		codes               []hashmatch.FailureCode
	}{
		{"clean", hashmatch.Verdict{Action: hashmatch.Allow}, false, false, nil},
		{"match", hashmatch.Verdict{Matches: []hashmatch.Match{demo}}, true, false, nil},
		{"omitted", hashmatch.Verdict{MatchesOmitted: 3}, true, false, nil},
		{"suspended", hashmatch.Verdict{Matches: []hashmatch.Match{overruled}}, true, false, nil},
		{"overruled", hashmatch.Verdict{Matches: []hashmatch.Match{overruled}, AllowedBy: allow}, false, false, nil},
		{"one of two overruled", hashmatch.Verdict{Matches: []hashmatch.Match{overruled, demo}, AllowedBy: allow}, true, false, nil},
		{"not an image", hashmatch.Verdict{Failures: []hashmatch.Failure{{Code: hashmatch.NotImage}}}, false, false,
			[]hashmatch.FailureCode{hashmatch.NotImage}},
		{"twice corrupt", hashmatch.Verdict{Failures: []hashmatch.Failure{{Code: hashmatch.Truncated}, {Code: hashmatch.Corrupt}, {Code: hashmatch.Truncated}}},
			false, true, []hashmatch.FailureCode{hashmatch.Corrupt, hashmatch.Truncated}},
		{"no list", hashmatch.Verdict{Notes: []hashmatch.Note{hashmatch.NotReady}}, false, true, nil},
		{"low quality", hashmatch.Verdict{Notes: []hashmatch.Note{hashmatch.LowQuality}}, false, false, nil},
	}
	for _, code := range hashmatch.FailureCodes() {
		got := tallyOf(Result{Verdict: hashmatch.Verdict{Failures: []hashmatch.Failure{{Code: code}}}})
		if got.notScanned != (code != hashmatch.NotImage) {
			t.Errorf("%s: not scanned %t", code, got.notScanned)
		}
	}
	for _, c := range cases {
		got := tallyOf(Result{Verdict: c.verdict})
		if got.matched != c.matched || got.notScanned != c.notScanned || !slices.Equal(got.codes, c.codes) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	var s Summary
	for _, c := range cases {
		s.add(tallyOf(Result{Bytes: 3, Verdict: c.verdict}), 1)
	}
	for _, c := range cases {
		s.add(tallyOf(Result{Bytes: 3, Verdict: c.verdict}), -1)
	}
	if len(s.Failures) != 0 || s.Files != 0 || s.Matched != 0 || s.NotScanned != 0 || s.Bytes != 0 || s.Allowed != 0 || s.Held != 0 {
		t.Errorf("all taken back: %+v", s)
	}
}

func TestProgressRateAndRemaining(t *testing.T) {
	var p Progress
	if s := p.Snapshot(); s.Remaining >= 0 || s.Elapsed != 0 || s.Finished {
		t.Errorf("before the run: %+v", s)
	}
	begun := time.Now().Add(-10 * time.Second)
	p.set(Summary{Files: 100, Bytes: 1000, Resumed: 100, Started: begun})
	p.count(400, 4000)
	p.set(Summary{Files: 200, Bytes: 2000, Started: begun})
	if s := p.Snapshot(); s.Remaining >= 0 || s.KnownFiles != 400 || s.Counted {
		t.Errorf("still counting: %+v", s)
	}
	p.countedAll()
	s := p.Snapshot()
	if s.FilesPerSecond < 9 || s.FilesPerSecond > 10.1 || s.BytesPerSecond < 90 || s.BytesPerSecond > 101 {
		t.Errorf("100 files in 10 s: %+v", s)
	}
	if s.Remaining < 19*time.Second || s.Remaining > 23*time.Second || s.Resumed != 100 || s.KnownBytes != 4000 {
		t.Errorf("200 files left at 10 a second: %+v", s)
	}
}
