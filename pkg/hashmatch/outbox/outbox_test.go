package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/exchange/fake"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

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

// bench is an outbox and the exchange that it sends to.
type bench struct {
	t      testing.TB
	fake   *fake.Server
	config Config
	clock  *clock
	truth  []fake.Record
}

const reason = "11111111-2222-3333-4444-555555555555"

func newBench(t testing.TB, entries int) *bench {
	t.Helper()
	server, err := fake.New(fake.Config{Dialect: "ncmec", Seed: 5, Entries: entries, User: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	b := &bench{t: t, fake: server, clock: &clock{now: time.Now().Truncate(time.Second)}}
	b.config = configOf(t, filepath.Join(t.TempDir(), "outbox"), listener.URL)
	b.config.now = b.clock.Now
	for _, r := range server.Truth() {
		if !r.Deleted {
			b.truth = append(b.truth, r)
		}
	}
	return b
}

func configOf(t testing.TB, folder, address string) Config {
	t.Helper()
	r, err := exchange.NewReporter(exchange.Config{
		List: "l", Dialect: exchange.NCMEC, Address: address, Credentials: exchange.Credentials{User: "u", Password: "p"}, Timeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return Config{Folder: folder, Send: map[string]func(context.Context, exchange.Feedback) error{"l": r.Send}}
}

func (b *bench) open() *Box {
	b.t.Helper()
	box, err := Open(b.config)
	if err != nil {
		b.t.Fatal(err)
	}
	return box
}

func (b *bench) feedback(n int, outcome exchange.Outcome) exchange.Feedback {
	r := b.truth[n]
	f := exchange.Feedback{Entry: hashmatch.EntryKey{Source: "ncmec", Member: r.Member, ID: r.ID}, Kind: "md5", Hash: "secret-hash", Outcome: outcome}
	if outcome == exchange.FalsePositive {
		f.Reasons = []string{reason}
	}
	return f
}

func (b *bench) add(box *Box, n int, outcome exchange.Outcome) {
	b.t.Helper()
	if err := box.Add("l", b.feedback(n, outcome), b.clock.Now()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) send(box *Box, all bool) Result {
	b.t.Helper()
	result, err := box.Send(b.t.Context(), all)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

func (b *bench) count(box *Box, state State) int {
	b.t.Helper()
	items, err := box.Items(state)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(items)
}

func TestOutbox(t *testing.T) {
	b := newBench(t, 40)
	box := b.open()
	b.add(box, 0, exchange.TruePositive)
	b.add(box, 1, exchange.FalsePositive)
	b.add(box, 1, exchange.FalsePositive)
	b.clock.Add(time.Second)
	b.add(box, 0, exchange.Seen) // less than what is known
	if b.count(box, Pending) != 2 {
		t.Fatal("what waits")
	}
	box = b.open() // as another process would
	if r := b.send(box, false); r.Sent != 2 || r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	votes := b.fake.Feedback()
	if len(votes) != 2 || b.count(box, Pending) != 0 || b.count(box, Done) != 2 {
		t.Errorf("%+v", votes)
	}
	files, _ := filepath.Glob(filepath.Join(b.config.Folder, "done", "*"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		info, errInfo := os.Stat(file)
		if err != nil || errInfo != nil || strings.Contains(string(text), "secret-hash") || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is kept: %v", text, err)
		}
	}
	// What was sent is not sent again; a later decision is, an earlier one is not.
	b.add(box, 0, exchange.TruePositive)
	if err := box.Add("l", b.feedback(0, exchange.FalsePositive), b.clock.Now().Add(-time.Hour)); err != nil || b.count(box, Pending) != 0 {
		t.Errorf("%v, %d wait", err, b.count(box, Pending))
	}
	b.clock.Add(time.Minute)
	b.add(box, 0, exchange.FalsePositive)
	b.send(box, false)
	changed := 0
	for _, v := range b.fake.Feedback() {
		if v.Entry == b.truth[0].ID && v.Outcome == "negative "+reason && v.Received == 2 {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("%+v", b.fake.Feedback())
	}
	// What is done is forgotten in the end.
	b.clock.Add(DefaultKeep + time.Hour)
	if err := box.clean(); err != nil || b.count(box, Done) != 0 {
		t.Errorf("%v, %d", err, b.count(box, Done))
	}
}

func TestFailures(t *testing.T) {
	b := newBench(t, 40)
	box := b.open()
	b.add(box, 0, exchange.TruePositive)
	b.fake.Misbehave(fake.Manners{Error: 1})
	var last time.Duration
	for n := range 8 {
		if r := b.send(box, false); r.Failed != 1 {
			t.Fatalf("%d: %+v", n, r)
		}
		items, err := box.Items(Pending)
		if err != nil || len(items) != 1 || items[0].Attempts != n+1 || items[0].Error == "" {
			t.Fatalf("%+v, %v", items, err)
		}
		pause := items[0].Due.Sub(b.clock.Now())
		if low := firstDelay << n / 2; pause < low || pause > 2*low || pause <= last/2 {
			t.Errorf("the pause after %d failures is %s", n+1, pause)
		}
		last = pause
		if r := b.send(box, false); r != (Result{}) {
			t.Errorf("sent before it is due: %+v", r)
		}
		b.clock.Add(pause)
	}
	b.fake.Misbehave(fake.Manners{Throttle: 1, RetryAfter: 3 * time.Hour})
	b.send(box, true)
	items, _ := box.Items(Pending)
	if pause := items[0].Due.Sub(b.clock.Now()); pause < 2*time.Hour+59*time.Minute {
		t.Errorf("it asks for three hours and gets %s", pause)
	}
	b.clock.Add(DefaultDeadline)
	if r := b.send(box, false); r.GivenUp != 1 || b.count(box, Dead) != 1 || b.count(box, Pending) != 0 {
		t.Errorf("%+v", r)
	}
	b.fake.Misbehave(fake.Manners{})
	dead, _ := box.Items(Dead)
	for _, id := range []string{"", "../lock", strings.Repeat("0", 64)} {
		if err := box.Retry(id); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := box.Retry(dead[0].Feedback.ID); err != nil {
		t.Fatal(err)
	}
	if r := b.send(box, false); r.Sent != 1 || b.count(box, Dead) != 0 {
		t.Errorf("%+v", r)
	}
	// What will never be taken is given up at once, a list that nobody sends for too; a later decision takes its place.
	bad := b.feedback(1, exchange.FalsePositive)
	bad.Reasons = nil
	if err := errors.Join(box.Add("l", bad, b.clock.Now()), box.Add("other", bad, b.clock.Now())); err != nil {
		t.Fatal(err)
	}
	if r := b.send(box, false); r.GivenUp != 2 || b.count(box, Dead) != 2 {
		t.Errorf("%+v", r)
	}
	b.clock.Add(time.Second)
	b.add(box, 1, exchange.TruePositive)
	if b.count(box, Dead) != 1 || b.send(box, false).Sent != 1 {
		t.Error("what was given up stays in the way")
	}
	// A file that is none is put out of the way, and keeps nothing else from being sent.
	if err := os.WriteFile(box.path(Pending, strings.Repeat("a", 64)), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.add(box, 2, exchange.TruePositive)
	if r := b.send(box, false); r.Sent != 1 {
		t.Errorf("%+v", r)
	}
	if _, err := box.Items(Dead); !errors.Is(err, ErrItem) {
		t.Errorf("the damaged file is not told of: %v", err)
	}
	for _, f := range []exchange.Feedback{{}, {Entry: hashmatch.EntryKey{ID: "x"}, Kind: "md5", Outcome: "perhaps"}, {Entry: hashmatch.EntryKey{ID: strings.Repeat("x", maxText)}, Kind: "md5", Outcome: exchange.Seen}} {
		if err := box.Add("l", f, b.clock.Now()); !errors.Is(err, ErrItem) {
			t.Errorf("%v", err)
		}
	}
}

// Whatever is decided, however often, while the exchange fails and others send too: in the end it holds the last
// judgement of each entry, and nothing waits.
func TestHistories(t *testing.T) {
	for seed := range uint64(4) {
		b := newBench(t, 30)
		random := rand.New(rand.NewPCG(seed, 1))
		want := make(map[string]string)
		boxes := []*Box{b.open(), b.open()}
		for range 60 {
			b.clock.Add(time.Duration(1+random.IntN(60)) * time.Second)
			box := boxes[random.IntN(2)]
			switch random.IntN(4) {
			case 0, 1:
				n := random.IntN(10)
				outcome := []exchange.Outcome{exchange.TruePositive, exchange.FalsePositive}[random.IntN(2)]
				b.add(box, n, outcome)
				want[b.truth[n].ID] = map[exchange.Outcome]string{exchange.TruePositive: "affirmative", exchange.FalsePositive: "negative " + reason}[outcome]
			case 2:
				b.fake.Misbehave(fake.Manners{Error: random.Float64(), Cut: random.Float64() / 2, Unauthorised: random.Float64() / 4})
			default:
				b.send(box, random.IntN(2) == 0)
			}
		}
		b.fake.Misbehave(fake.Manners{})
		b.send(boxes[0], true)
		if n := b.count(boxes[1], Pending); n != 0 || b.count(boxes[1], Dead) != 0 {
			t.Fatalf("%d wait", n)
		}
		votes := b.fake.Feedback()
		if len(votes) != len(want) || len(want) < 5 {
			t.Fatalf("%d votes, want %d", len(votes), len(want))
		}
		for _, v := range votes {
			if v.Outcome != want[v.Entry] {
				t.Errorf("seed %d: %s is %s, want %s", seed, v.Entry, v.Outcome, want[v.Entry])
			}
		}
	}
}

func TestRun(t *testing.T) {
	b := newBench(t, 20)
	b.config.now = nil
	box := b.open()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- box.Run(ctx) }()
	var adding sync.WaitGroup
	for n := range 8 {
		adding.Go(func() {
			if err := box.Add("l", b.feedback(n, exchange.TruePositive), time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	adding.Wait()
	for deadline := time.Now().Add(20 * time.Second); len(b.fake.Feedback()) < 8; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 8 arrived", len(b.fake.Feedback()))
		}
	}
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// childVariable tells the test binary to send, and to be killed.
const childVariable = "HASHMATCH_TEST_OUTBOX"

type childTask struct{ Folder, Address string }

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		var task childTask
		if err := json.Unmarshal([]byte(text), &task); err != nil {
			panic(err)
		}
		r, err := exchange.NewReporter(exchange.Config{List: "l", Dialect: exchange.NCMEC, Address: task.Address, Credentials: exchange.Credentials{User: "u", Password: "p"}})
		if err != nil {
			panic(err)
		}
		box, err := Open(Config{Folder: task.Folder, Send: map[string]func(context.Context, exchange.Feedback) error{"l": func(ctx context.Context, f exchange.Feedback) error {
			err := r.Send(ctx, f)
			fmt.Println("sent") // and not marked yet
			time.Sleep(20 * time.Millisecond)
			return err
		}}})
		if err == nil {
			_, err = box.Send(context.Background(), true)
		}
		if err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// line tells of each line that is written to it.
type line chan struct{}

func (l line) Write(p []byte) (int, error) {
	select {
	case l <- struct{}{}:
	default:
	}
	return len(p), nil
}

// Killed with SIGKILL between sending and marking, everything arrives, counts once, and nothing is sent for ever.
func TestKill(t *testing.T) {
	b := newBench(t, 60)
	b.config.now = nil
	server := httptest.NewServer(b.fake)
	defer server.Close()
	box := b.open()
	const total = 20
	for n := range total {
		b.add(box, n, exchange.TruePositive)
	}
	task, err := json.Marshal(childTask{b.config.Folder, server.URL})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 9))
	killed := 0
	for range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+string(task))
		sent := make(line, 100)
		cmd.Stdout = sent
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		over := make(chan error, 1)
		go func() { over <- cmd.Wait() }()
		select {
		case <-sent:
			time.Sleep(time.Duration(random.IntN(25)) * time.Millisecond)
			_ = cmd.Process.Kill()
			err = <-over
		case err = <-over:
		}
		var exited *exec.ExitError
		if errors.As(err, &exited) && !exited.Exited() {
			killed++
		} else if err != nil {
			t.Fatal(err)
		}
		if _, err := box.Items(Pending); err != nil {
			t.Fatal(err)
		}
	}
	b.send(box, true)
	votes := b.fake.Feedback()
	again := 0
	for _, v := range votes {
		if v.Outcome != "affirmative" {
			t.Errorf("%+v", v)
		}
		again += v.Received - 1
	}
	if len(votes) != total || b.count(box, Pending) != 0 || b.count(box, Done) != total {
		t.Errorf("%d of %d arrived, %d wait, %d are done", len(votes), total, b.count(box, Pending), b.count(box, Done))
	}
	if killed < 2 || again == 0 {
		t.Errorf("killed %d times, %d were sent again: nothing was shown", killed, again)
	}
	t.Logf("killed %d times, %d of %d were sent again", killed, again, total)
}

func FuzzItem(f *testing.F) {
	good := Item{Version: itemVersion, List: "l", Decided: time.Unix(1, 0).UTC(), Queued: time.Unix(2, 0).UTC(), Feedback: exchange.Feedback{
		Entry: hashmatch.EntryKey{Source: "s", Member: "m", ID: "i"}, Kind: "md5", Outcome: exchange.Seen, Reasons: []string{reason}}}
	good.Feedback.ID = id("l", &good.Feedback)
	text, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := parseItem(text); err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"list":"l","feedback":{"id":"x"},"decided":"2026-01-01T00:00:00Z"}x`))
	f.Fuzz(func(t *testing.T, text []byte) {
		i, err := parseItem(text)
		if err != nil {
			if !errors.Is(err, ErrItem) {
				t.Error(err)
			}
			return
		}
		again, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseItem(again); err != nil {
			t.Errorf("what was read is not read again: %v", err)
		}
	})
}
