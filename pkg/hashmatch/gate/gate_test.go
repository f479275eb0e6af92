package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

func surface(t testing.TB) hashmatch.Surface {
	t.Helper()
	s, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{Name: "avatars", Visibility: hashmatch.Public, Encrypted: new(false)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stub is a scanner that reads everything and answers by what it read.
type stub struct {
	scans   atomic.Int64
	entered chan struct{} // if set, told of every scan
	proceed chan struct{} // if set, waited for
	panics  bool
}

func (s *stub) Scan(_ context.Context, item hashmatch.Item) (hashmatch.Verdict, error) {
	s.scans.Add(1)
	if s.entered != nil {
		s.entered <- struct{}{}
	}
	if s.proceed != nil {
		<-s.proceed
	}
	if s.panics {
		panic("scanner")
	}
	content, v := item.Held, hashmatch.Verdict{Item: item.ID, Surface: item.Surface.Name(), Policy: "p"}
	if content == nil {
		var err error
		if content, err = io.ReadAll(item.Content); err != nil {
			v.Failures = append(v.Failures, hashmatch.AsFailure(err, hashmatch.Unreadable))
			return v, nil
		}
	}
	v.Action = hashmatch.Allow
	switch text := string(content); {
	case strings.HasPrefix(text, "listed"):
		v.Action = hashmatch.Block
		v.Matches = []hashmatch.Match{{List: "demo", Entry: "e1", Kind: hashmatch.MD5, Action: hashmatch.Block}}
	case strings.HasPrefix(text, "near"):
		v.Action = hashmatch.Hold
		v.Matches = []hashmatch.Match{{List: "demo", Entry: "e2", Kind: hashmatch.PDQ, Distance: 5, Action: hashmatch.Hold}}
	case strings.HasPrefix(text, "broken"):
		v.Action, v.Failures = hashmatch.Hold, []hashmatch.Failure{{Code: hashmatch.Corrupt}}
	case text == "":
		v.Action, v.Failures = hashmatch.Hold, []hashmatch.Failure{{Code: hashmatch.Empty}}
	}
	v.Would = v.Action
	return v, nil
}

// effects records what it is told and fails when it is told to.
type effects struct {
	mu      sync.Mutex
	done    []string
	records []Record
	kept    map[string]string
	fail    map[string]error
	panics  string
}

func (e *effects) note(name string, r Record) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.panics == name {
		panic(name)
	}
	if err := e.fail[name]; err != nil {
		return err
	}
	e.done = append(e.done, name)
	e.records = append(e.records, r)
	return nil
}

func (e *effects) Store(_ context.Context, r Record, content []byte) error {
	e.mu.Lock()
	if e.kept == nil {
		e.kept = make(map[string]string)
	}
	e.kept[r.Item] = string(content)
	e.mu.Unlock()
	return e.note("quarantine", r)
}
func (e *effects) Submit(_ context.Context, r Record) error { return e.note("review", r) }
func (e *effects) Append(_ context.Context, r Record) error { return e.note("audit", r) }

func newGate(t testing.TB, s Scanner, change func(*Config)) (*Gate, *effects) {
	t.Helper()
	e := &effects{fail: make(map[string]error)}
	c := Config{Scanner: s, Quarantine: e, Review: e, Audit: e, MaxBytes: 1 << 20, Memory: 16 << 20, Concurrency: 2}
	if change != nil {
		change(&c)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g, e
}

func check(t testing.TB, g *Gate, text string) Outcome {
	t.Helper()
	o, err := g.Check(t.Context(), Upload{ID: "i1", Surface: surface(t), Dialect: "test", Content: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	if n := g.Stats(); n.Bytes != 0 || n.Scanning != 0 || n.Waiting != 0 {
		t.Fatalf("left behind: %+v", n)
	}
	return o
}

func TestWhatFollows(t *testing.T) {
	for _, tc := range []struct {
		content string
		action  hashmatch.Action
		effects []string
		reasons []Reason
	}{
		{"clean", hashmatch.Allow, []string{"audit"}, nil},
		{"listed", hashmatch.Block, []string{"quarantine", "review", "audit"}, []Reason{ReasonMatch}},
		{"near", hashmatch.Hold, []string{"quarantine", "review", "audit"}, []Reason{ReasonMatch}},
		{"broken", hashmatch.Hold, []string{"review", "audit"}, []Reason{ReasonNotScanned}},
		{"", hashmatch.Hold, []string{"review", "audit"}, []Reason{ReasonNotScanned}},
	} {
		g, e := newGate(t, &stub{}, nil)
		o := check(t, g, tc.content)
		if o.Action != tc.action || !slices.Equal(e.done, tc.effects) || !slices.Equal(o.Reasons(), tc.reasons) || !o.Scanned {
			t.Errorf("%q: %v, %v, %v", tc.content, o.Action, e.done, o.Reasons())
		}
		for _, r := range e.records {
			if r.Item != "i1" || r.Surface != "avatars" || r.Dialect != "test" || r.Action != tc.action || r.Time.IsZero() {
				t.Errorf("%q: %+v", tc.content, r)
			}
		}
		if quarantined := slices.Contains(tc.effects, "quarantine"); quarantined != (e.kept["i1"] == tc.content && tc.content != "") {
			t.Errorf("%q: kept %q", tc.content, e.kept["i1"])
		}
		if last := e.records[len(e.records)-1]; last.Quarantined != slices.Contains(tc.effects, "quarantine") {
			t.Errorf("%q: the audit says quarantined: %v", tc.content, last.Quarantined)
		}
	}
}

// Each effect that fails or panics, for each content: never an allow, never less strict than the verdict, and the
// effects after it still happen.
func TestFailedEffectHolds(t *testing.T) {
	for _, content := range []string{"clean", "listed", "near", "broken"} {
		for _, effect := range []string{"quarantine", "review", "audit"} {
			for _, panics := range []bool{false, true} {
				whole, all := newGate(t, &stub{}, nil)
				without := check(t, whole, content)
				g, e := newGate(t, &stub{}, nil)
				if panics {
					e.panics = effect
				} else {
					e.fail[effect] = errors.New("disk full")
				}
				o := check(t, g, content)
				if !slices.Contains(all.done, effect) {
					if o.Action != without.Action || len(o.Failed) > 0 {
						t.Errorf("%s, %s: %+v", content, effect, o)
					}
					continue
				}
				want := without.Action.Stricter(hashmatch.Hold)
				if o.Action != want || len(o.Failed) != 1 || o.Failed[0].Effect != effect || !slices.Contains(o.Reasons(), ReasonRecord) {
					t.Errorf("%s, %s fails: %v, %v, want %v", content, effect, o.Action, o.Failed, want)
				}
				if len(e.done) != len(all.done)-1 {
					t.Errorf("%s, %s fails: then %v, of %v", content, effect, e.done, all.done)
				}
				if effect != "audit" {
					if last := e.records[len(e.records)-1]; last.Action != want || len(last.Failed) != 1 || last.Quarantined && effect == "quarantine" {
						t.Errorf("the audit was told %+v", last)
					}
				}
			}
		}
	}
}

func TestNotReadyHoldsUnread(t *testing.T) {
	for name, ready := range map[string]func() error{
		"not ready": func() error { return errors.New("no") },
		"panics":    func() error { panic("no") },
	} {
		s := &stub{}
		g, e := newGate(t, s, func(c *Config) { c.Ready = ready })
		content := strings.NewReader("clean")
		o, err := g.Check(t.Context(), Upload{Surface: surface(t), Content: content})
		if err != nil || o.Action != hashmatch.Hold || o.Scanned || content.Len() != 5 || s.scans.Load() != 0 || len(e.done) != 0 {
			t.Errorf("%s: %+v, %v, effects %v, %d bytes left", name, o, err, e.done, content.Len())
		}
		if !slices.Equal(o.Reasons(), []Reason{ReasonNotReady}) {
			t.Errorf("%s: %v", name, o.Reasons())
		}
	}
}

func TestRefusals(t *testing.T) {
	g, e := newGate(t, &stub{}, nil)
	content := strings.NewReader("clean")
	for name, u := range map[string]Upload{
		"undeclared surface": {Content: content},
		"long ID":            {Surface: surface(t), ID: strings.Repeat("x", MaxIDLength+1), Content: content},
		"control character":  {Surface: surface(t), ID: "a\nb", Content: content},
		"not UTF-8":          {Surface: surface(t), ID: "\xff", Content: content},
	} {
		o, err := g.Check(t.Context(), u)
		if !errors.Is(err, ErrItemID) && !errors.Is(err, hashmatch.ErrSurfaceRefused) || o.Action == hashmatch.Allow {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
	if content.Len() != 5 || len(e.done) != 0 {
		t.Errorf("%d bytes left, effects %v", content.Len(), e.done)
	}
}

func TestEmptyIDBecomesARandomOne(t *testing.T) {
	g, e := newGate(t, &stub{}, nil)
	for range 2 {
		if _, err := g.Check(t.Context(), Upload{Surface: surface(t), Content: strings.NewReader("clean")}); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := e.records[0].Item, e.records[1].Item; a == "" || a == b {
		t.Errorf("%q and %q", a, b)
	}
}

func TestShadowSurface(t *testing.T) {
	for _, content := range []string{"clean", "listed", "near", "broken"} {
		g, e := newGate(t, &stub{}, func(c *Config) { c.Shadow = func(hashmatch.Surface) bool { return true } })
		o := check(t, g, content)
		if o.Action != hashmatch.Allow || !o.Shadow || len(o.Reasons()) != 0 {
			t.Errorf("%s: %+v", content, o)
		}
		if last := e.records[len(e.records)-1]; !last.Shadow || last.Verdict.Action != o.Verdict.Action || content == "listed" && last.Verdict.Action != hashmatch.Block {
			t.Errorf("%s: the audit was told %+v", content, last)
		}
	}
}

func TestScannerThatPanics(t *testing.T) {
	g, _ := newGate(t, &stub{panics: true}, nil)
	o := check(t, g, "clean")
	if o.Action != hashmatch.Hold || len(o.Verdict.Failures) != 1 || o.Verdict.Failures[0].Code != hashmatch.Panicked || o.Verdict.Item != "i1" {
		t.Errorf("%+v", o)
	}
}

// Whatever breaks an upload off, and wherever: what came is no whole upload.
func TestBrokenOff(t *testing.T) {
	for _, n := range []int{0, 1, 1000, firstStep, firstStep + 1, 500_000, 1 << 20, 1<<20 + 5} {
		for _, failure := range []error{io.ErrUnexpectedEOF, &hashmatch.Failure{Code: hashmatch.ChangedWhileRead}, context.Canceled} {
			g, e := newGate(t, &stub{}, nil)
			o, err := g.Check(t.Context(), Upload{Surface: surface(t), Content: io.MultiReader(strings.NewReader(strings.Repeat("c", n)), iotest.ErrReader(failure))})
			if err != nil || o.Action != hashmatch.Hold || len(o.Verdict.Failures) != 1 {
				t.Errorf("%d bytes, %v: %+v, %v", n, failure, o, err)
			}
			// Beyond what is held in memory only the scanner sees the break: then a person is asked.
			if n <= 1<<20 && slices.Contains(e.done, "review") {
				t.Errorf("%d bytes: a person was asked about an upload that was broken off", n)
			}
		}
	}
}

// Content of every length around the steps of the buffer arrives as it was sent, in small reads and in large ones.
func TestContentIsWhole(t *testing.T) {
	for _, n := range []int{1, 100, firstStep - 1, firstStep, firstStep + 1, 3 * firstStep, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "half": iotest.HalfReader, "data and error": iotest.DataErrReader} {
			want := bytes.Repeat([]byte("listed content "), n/15+1)[:n]
			seen := &echo{}
			g, e := newGate(t, seen, nil)
			if _, err := g.Check(t.Context(), Upload{ID: "i1", Surface: surface(t), Content: wrap(bytes.NewReader(want))}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(seen.content, want) {
				t.Errorf("%d bytes, %s: %d were scanned", n, name, len(seen.content))
			}
			if kept, fits := e.kept["i1"], n <= 1<<20; fits && kept != string(want) || !fits && kept != "" && kept != string(want) {
				t.Errorf("%d bytes, %s: %d were kept", n, name, len(kept))
			}
			if n := g.Stats(); n.Bytes != 0 {
				t.Errorf("left behind: %+v", n)
			}
		}
	}
}

// echo matches everything and remembers what it read.
type echo struct{ content []byte }

func (e *echo) Scan(_ context.Context, item hashmatch.Item) (hashmatch.Verdict, error) {
	e.content = bytes.Clone(item.Held)
	if item.Held == nil {
		e.content, _ = io.ReadAll(item.Content)
	}
	return hashmatch.Verdict{Item: item.ID, Action: hashmatch.Block, Would: hashmatch.Block, Matches: []hashmatch.Match{{Action: hashmatch.Block}}}, nil
}

// What is too long to be kept is held for that reason too; the match stays a block.
func TestMatchTooLongToKeep(t *testing.T) {
	g, e := newGate(t, &echo{}, nil)
	o := check(t, g, strings.Repeat("x", 2<<20))
	if o.Action != hashmatch.Block || len(o.Failed) != 1 || !errors.Is(o.Failed[0], errNotHeld) || len(e.kept) != 0 {
		t.Errorf("%+v", o)
	}
}

func TestEqualUploadsAreScannedOnce(t *testing.T) {
	s := &stub{entered: make(chan struct{}, 100), proceed: make(chan struct{})}
	g, e := newGate(t, s, nil)
	var group sync.WaitGroup
	outcomes := make([]Outcome, 20)
	for i := range outcomes {
		group.Go(func() {
			outcomes[i], _ = g.Check(t.Context(), Upload{ID: "i" + string(rune('a'+i)), Surface: surface(t), Content: strings.NewReader("near the same")})
		})
	}
	<-s.entered
	for g.Stats().Bytes < 20*firstStep {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // from their memory to the scan of the first
	close(s.proceed)
	group.Wait()
	if n := s.scans.Load(); n > 2 {
		t.Errorf("%d scans of the same bytes", n)
	}
	ids := make(map[string]bool)
	for _, o := range outcomes {
		ids[o.Verdict.Item] = true
		if o.Action != hashmatch.Hold || len(o.Verdict.Matches) != 1 {
			t.Errorf("%+v", o)
		}
	}
	if len(ids) != 20 || len(e.kept) != 20 || len(e.done) != 60 {
		t.Errorf("%d item IDs, %d kept, %d effects", len(ids), len(e.kept), len(e.done))
	}
	if g.Stats().Shared == 0 {
		t.Error("none was shared")
	}
}

// A caller that goes away does not spoil the scan for the others who wait for it.
func TestCallerThatGoesAway(t *testing.T) {
	s := &stub{entered: make(chan struct{}, 1), proceed: make(chan struct{})}
	g, _ := newGate(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Outcome)
	go func() {
		o, _ := g.Check(ctx, Upload{Surface: surface(t), Content: strings.NewReader("clean")})
		done <- o
	}()
	<-s.entered
	cancel()
	close(s.proceed)
	if o := <-done; o.Action != hashmatch.Allow || !o.Scanned {
		t.Errorf("%+v", o)
	}
}

func TestOverload(t *testing.T) {
	s := &stub{entered: make(chan struct{}, 100), proceed: make(chan struct{})}
	g, e := newGate(t, s, func(c *Config) { c.Concurrency, c.Queue, c.QueueTimeout = 2, 3, 50*time.Millisecond })
	var group sync.WaitGroup
	var mu sync.Mutex
	actions := map[hashmatch.Action]int{}
	overloaded := 0
	for i := range 40 {
		group.Go(func() {
			o, err := g.Check(t.Context(), Upload{Surface: surface(t), Content: strings.NewReader("clean " + string(rune('a'+i)))})
			mu.Lock()
			defer mu.Unlock()
			actions[o.Action]++
			if slices.Contains(o.Verdict.Notes, hashmatch.Overloaded) {
				overloaded++
				if o.Action != hashmatch.Hold || o.Scanned || err != nil {
					t.Errorf("%+v, %v", o, err)
				}
			}
		})
	}
	<-s.entered
	<-s.entered
	time.Sleep(150 * time.Millisecond)
	close(s.proceed)
	group.Wait()
	if overloaded != 38 || actions[hashmatch.Allow] != 2 || len(e.done) != 2 {
		t.Errorf("%d overloaded, %v, %d effects", overloaded, actions, len(e.done))
	}
	if n := g.Stats(); n.Bytes != 0 || n.Waiting != 0 || n.Scanning != 0 {
		t.Errorf("left behind: %+v", n)
	}
	if o := check(t, g, "clean"); o.Action != hashmatch.Allow {
		t.Errorf("after the load: %+v", o)
	}
}

// Memory is bounded whatever arrives, and an upload that finds none is held, not refused for good.
func TestMemoryIsBounded(t *testing.T) {
	g, _ := newGate(t, &stub{}, func(c *Config) { c.Memory, c.QueueTimeout, c.Concurrency = 4<<20, 30*time.Millisecond, 4 })
	most := atomic.Int64{}
	release := make(chan struct{})
	var group sync.WaitGroup
	overloaded := atomic.Int64{}
	for i := range 30 {
		group.Go(func() {
			text := strings.Repeat(string(rune('a'+i)), 1<<20)
			o, err := g.Check(t.Context(), Upload{Surface: surface(t), Content: io.MultiReader(strings.NewReader(text), waiting{release})})
			if err != nil {
				t.Error(err)
			}
			if !o.Scanned {
				overloaded.Add(1)
			}
			if o.Action == hashmatch.Allow && !o.Scanned {
				t.Errorf("%+v", o)
			}
		})
	}
	for range 50 {
		if n := g.Stats().Bytes; n > most.Load() {
			most.Store(n)
		}
		time.Sleep(4 * time.Millisecond)
	}
	close(release)
	group.Wait()
	if most.Load() > 4<<20 || most.Load() == 0 {
		t.Errorf("%d bytes in memory, want 4 MiB at most", most.Load())
	}
	if overloaded.Load() < 20 {
		t.Errorf("only %d were overloaded", overloaded.Load())
	}
	if o := check(t, g, strings.Repeat("z", 1<<20)); o.Action != hashmatch.Allow {
		t.Errorf("after the load: %+v", o)
	}
}

type waiting struct{ release chan struct{} }

func (w waiting) Read([]byte) (int, error) { <-w.release; return 0, io.EOF }

// A sender that is slow with a long upload does not take the turn of others.
func TestSlowLongUpload(t *testing.T) {
	g, _ := newGate(t, &stub{}, func(c *Config) { c.Concurrency, c.QueueTimeout = 1, 50*time.Millisecond })
	release := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = g.Check(t.Context(), Upload{Surface: surface(t), Content: io.MultiReader(strings.NewReader(strings.Repeat("x", 2<<20)), waiting{release})})
	}()
	for g.Stats().Scanning == 0 {
		time.Sleep(time.Millisecond)
	}
	o, err := g.Check(t.Context(), Upload{Surface: surface(t), Content: strings.NewReader("clean")})
	if err != nil || o.Action != hashmatch.Allow {
		t.Errorf("%+v, %v", o, err)
	}
	close(release)
	<-done
}

// The log has one line an upload, and nothing of the content.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	g, e := newGate(t, &stub{}, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&out, nil)) })
	e.fail["review"] = errors.New("disk full")
	for _, content := range []string{"clean secretname.jpg", "listed secretname.jpg", "broken secretname.jpg"} {
		out.Reset()
		check(t, g, content)
		line := out.String()
		if strings.Count(line, "\n") != 1 || strings.Contains(line, "secretname") || !strings.Contains(line, "item=i1") || !strings.Contains(line, "surface=avatars") {
			t.Errorf("%q: %s", content, line)
		}
		if content != "clean secretname.jpg" && (!strings.Contains(line, `review_failed="disk full"`) || !strings.Contains(line, "level=ERROR")) {
			t.Errorf("%q: %s", content, line)
		}
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	for want, c := range map[string]Config{
		"no scanner": {},
		"memory":     {Scanner: &stub{}, Memory: 1 << 20, MaxBytes: 1 << 20},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	g, _ := newGate(b, &echoAllow{}, func(c *Config) { c.Quarantine, c.Review, c.Audit = nil, nil, nil })
	content := make([]byte, 50<<10)
	s := surface(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if o, err := g.Check(b.Context(), Upload{Surface: s, Content: bytes.NewReader(content)}); err != nil || o.Action != hashmatch.Allow {
			b.Fatal(o, err)
		}
	}
}

type echoAllow struct{}

func (*echoAllow) Scan(_ context.Context, item hashmatch.Item) (hashmatch.Verdict, error) {
	return hashmatch.Verdict{Item: item.ID, Action: hashmatch.Allow, Would: hashmatch.Allow}, nil
}
