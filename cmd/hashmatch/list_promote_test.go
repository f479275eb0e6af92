package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/config"
)

// running is the real program that serves one list of digests; entry i is that of the upload "upload i".
type running struct {
	t       *testing.T
	dir     string
	config  string
	list    string
	process *exec.Cmd
	log     *bytes.Buffer
}

func newRunning(t *testing.T) *running {
	t.Helper()
	dir, err := os.MkdirTemp("", "guards") // short: the path of a unix socket is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &running{t: t, dir: dir, config: filepath.Join(dir, "c.yaml"), list: filepath.Join(dir, "list.csv")}
	text := `surfaces:
  - {name: uploads, visibility: public, encrypted: false, not_image: allow}
lists:
  - {name: demo, file: list.csv}
serve: {watch_interval: 50ms}
listeners:
  - {name: api, dialect: http, address: "unix:api.sock", surface: uploads, anonymous: [scan]}
  - {name: watch, dialect: metrics, address: "unix:watch.sock"}
`
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

// put writes the list with these entries into its file as cp does: in place.
func (s *running) put(from, to int) {
	s.t.Helper()
	var text strings.Builder
	text.WriteString("entry,kind,hash\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&text, "e%d,md5,%x\n", i, md5.Sum(upload(i)))
	}
	if err := os.WriteFile(s.list, []byte(text.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func upload(i int) []byte { return fmt.Appendf(nil, "upload %d", i) }

func (s *running) start() {
	s.t.Helper()
	s.log = new(bytes.Buffer)
	s.process = exec.Command("hashmatch", "serve", "--config", s.config)
	s.process.Stderr = s.log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// kill is kill -9.
func (s *running) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
	for _, name := range []string{"api.sock", "watch.sock"} {
		os.Remove(filepath.Join(s.dir, name))
	}
}

func (s *running) ask(socket, path string, body []byte) (string, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.dir, socket))
		},
	}}
	var answer *http.Response
	var err error
	if body == nil {
		answer, err = client.Get("http://service" + path)
	} else {
		answer, err = client.Post("http://service"+path, "application/octet-stream", bytes.NewReader(body))
	}
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// until waits until something holds.
func (s *running) until(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// answers says whether the service answers so for an upload.
func (s *running) answers(i int, action string) func() bool {
	return func() bool {
		text, err := s.ask("api.sock", "/v1/scan", upload(i))
		return err == nil && strings.Contains(text, `"action":"`+action+`"`)
	}
}

// run runs a command of the program and returns what it prints and its exit code.
func (s *running) run(args ...string) (string, int) {
	s.t.Helper()
	out, err := exec.Command("hashmatch", args...).CombinedOutput()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		s.t.Fatal(err)
	}
	if exited != nil {
		return string(out), exited.ExitCode()
	}
	return string(out), 0
}

func (s *running) must(code int, args ...string) string {
	s.t.Helper()
	out, got := s.run(args...)
	if got != code {
		s.t.Fatalf("%v: exit code %d, want %d\n%s", args, got, code, out)
	}
	return out
}

func (s *running) pending(text string) func() bool {
	return func() bool {
		out, _ := s.run("list", "pending", "--config", s.config)
		return strings.Contains(out, text)
	}
}

// A revision is set aside, refused, accepted and rolled back while the real program serves; uploads that are listed in
// what is in force are blocked throughout.
func TestRevisionsOfARunningService(t *testing.T) {
	s := newRunning(t)
	s.put(0, 40)
	s.must(0, "list", "pending", "--config", s.config)
	s.start()
	s.until("39 is blocked", s.answers(39, "block"))

	// While the list is cut off, restored, cut off, and the service killed, upload 39 is never allowed.
	var stop atomic.Bool
	var asking sync.WaitGroup
	var allowed, asked atomic.Int64
	asking.Go(func() {
		for ; !stop.Load(); time.Sleep(5 * time.Millisecond) {
			if text, err := s.ask("api.sock", "/v1/scan", upload(39)); err == nil {
				asked.Add(1)
				if strings.Contains(text, `"action":"allow"`) {
					allowed.Add(1)
				}
			}
		}
	})
	s.put(0, 5)
	s.until("set aside", s.pending("shrink: 35 of 40"))
	if out, err := s.ask("watch.sock", "/metrics", nil); err != nil || !strings.Contains(out, "hashmatch_lists_set_aside 1") {
		t.Errorf("%v\n%s", err, out)
	}
	s.must(1, "list", "pending", "--config", s.config)
	s.must(1, "list", "pending", "--config", s.config, "--output", "json", "demo")
	s.kill()
	s.start()
	s.until("39 is blocked after kill -9", s.answers(39, "block"))
	s.must(2, "list", "refuse", "--config", s.config, "demo")
	s.must(2, "list", "refuse", "--config", s.config, "--reason", "cut off", "other")
	s.must(2, "list", "refuse", "--config", s.config, "--reason", "cut off", "demo", "00000000")
	s.must(0, "list", "refuse", "--config", s.config, "--reason", "cut off", "--by", "ann", "demo")
	s.until("refused", s.pending("refused: by ann"))
	stop.Store(true)
	asking.Wait()
	if allowed.Load() > 0 || asked.Load() < 10 {
		t.Errorf("%d of %d answers are allow", allowed.Load(), asked.Load())
	}

	s.put(0, 4)
	s.until("set aside again", s.pending("shrink: 36 of 40"))
	s.must(0, "list", "promote", "--config", s.config, "--reason", "the source says so", "demo")
	s.until("39 is allowed", s.answers(39, "allow"))
	if !s.answers(3, "block")() {
		t.Error("3 is not blocked")
	}
	s.until("recorded", s.pending("nothing is set aside"))
	s.must(2, "list", "promote", "--config", s.config, "--reason", "again", "demo")

	s.must(0, "list", "rollback", "--config", s.config, "--reason", "the source was wrong", "demo")
	s.until("39 is blocked again", s.answers(39, "block"))
	s.until("rolled back", s.pending("rollback: by "))
	s.must(2, "list", "rollback", "--config", s.config, "--reason", "further", "demo")
	s.must(0, "list", "promote", "--config", s.config, "--reason", "it was right", "demo")
	s.until("39 is allowed again", s.answers(39, "allow"))
	s.until("recorded again", s.pending("nothing is set aside"))
	s.scansSince()
}

// scansSince compares stored uploads with what is new in the list since the revision that is in force.
func (s *running) scansSince() {
	s.t.Helper()
	kept := regexp.MustCompile(`serving ([0-9a-f]{64});`).FindStringSubmatch(s.must(0, "list", "pending", "--config", s.config))
	if kept == nil {
		s.t.Fatal("list pending names no revision")
	}
	stored := filepath.Join(s.dir, "stored")
	if err := os.Mkdir(stored, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for i := range 8 {
		if err := os.WriteFile(filepath.Join(stored, fmt.Sprint(i)), upload(i), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	scan := []string{"scan", "--config", s.config, "--surface", "uploads", "--output", "csv", "--quiet", "--since", kept[1][:8], stored}
	if out := s.must(2, scan...); !strings.Contains(out, "nothing is new") {
		s.t.Errorf("nothing has changed: %s", out)
	}
	s.put(0, 6) // 4 and 5 are new
	s.until("served", s.answers(5, "block"))
	out := s.must(1, scan...)
	for i := range 8 {
		if got, want := strings.Contains(out, fmt.Sprintf(",e%d,md5,", i)), i == 4 || i == 5; got != want {
			s.t.Errorf("upload %d: matched %v, want %v\n%s", i, got, want, out)
		}
	}
	scan[len(scan)-2] = "00000000"
	s.must(2, scan...)
}

// After a kill at any moment of a promotion what is recorded can be read, each revision that it names is there, and the
// service serves.
func TestKilledWhilePromoting(t *testing.T) {
	s := newRunning(t)
	s.put(0, 400)
	s.start()
	s.until("it serves", s.answers(0, "block"))
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		last := 401 + round
		s.put(0, last)
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		s.kill()
		c, err := config.Load(s.config)
		if err != nil {
			t.Fatal(err)
		}
		store := c.Revisions(c.Lists[0])
		state, err := store.State()
		if err != nil || len(state.Kept) == 0 {
			t.Fatalf("round %d: %v, %+v", round, err, state)
		}
		for _, k := range state.Kept {
			kept, err := config.ReadList(store.Path(k.Revision), "demo")
			if err != nil || kept.Revision() != k.Revision {
				t.Fatalf("round %d: revision %s: %v", round, k.Revision.Short(), err)
			}
		}
		s.start()
		s.until("it serves what the file holds", s.answers(last-1, "block"))
	}
}
