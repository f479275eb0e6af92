//go:build linux

package tusd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook/hooktest"
)

// childEnv tells a child process what to do: folder, application, point at which it is to die, upload, content.
const childEnv = "HASHMATCH_TUSD_CHILD"

func TestMain(m *testing.M) {
	if work := os.Getenv(childEnv); work != "" {
		child(strings.Split(work, "|"))
		return
	}
	os.Exit(m.Run())
}

// child serves the hooks of one upload and is killed at a point of them.
func child(work []string) {
	dir, forward, point, id, content := work[0], work[1], work[2], work[3], work[4]
	p := &place{t: fatal{}, dir: dir, checker: &wordChecker{}}
	surface := hooktest.Surface(p.t)
	p.config = Config{
		Checker: p.checker, Surface: func() (hashmatch.Surface, error) { return surface, nil },
		Store: filepath.Join(dir, "store"), Held: filepath.Join(dir, "held"), Forward: forward,
		at: func(at string) {
			if at == point {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		},
	}
	h, err := New(p.config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	p.handler = h
	_ = post(h, p.event(preFinish, id, len(content)))
	_ = post(h, p.event(postFinish, id, len(content)))
	os.Exit(4) // it was to be killed before
}

// fatal is a testing.TB for a process that is no test.
type fatal struct{ testing.TB }

func (fatal) Helper()           {}
func (fatal) Fatal(args ...any) { fmt.Fprintln(os.Stderr, args...); os.Exit(5) }

// TestKilled kills a process at every step of an upload. Nothing is then in the store that was not allowed, and after
// the next start nothing is lost, and nothing is in two places.
func TestKilled(t *testing.T) {
	before := []string{"journal taking", "out ", "out .info", "scanned"}
	for content, points := range map[string][]string{
		"clean":  append([]string{"journal returning", "back ", "back .info", "journal returned", "told"}, before...),
		"listed": append([]string{"journal kept"}, before...),
	} {
		for _, point := range points {
			t.Run(content+" "+point, func(t *testing.T) {
				t.Parallel()
				killed(t, content, point)
			})
		}
	}
}

func killed(t *testing.T, content, point string) {
	a := newApp(t)
	p := newPlace(t, func(c *Config) { c.Forward = a.URL })
	if err := p.handler.Close(); err != nil {
		t.Fatal(err)
	}
	const id = "k1"
	p.upload(id, content)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{p.dir, a.URL, point, id, content}, "|"))
	command.Stderr = os.Stderr
	err := command.Run()
	status, _ := command.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v", err)
	}
	switch where := p.where(id); {
	case point == "journal taking": // no answer was given, and nothing moved
		if where != "store" {
			t.Error(where)
		}
	case content == "listed" && strings.Contains(where, "store") && point != "out ":
		t.Errorf("a listed upload is in %q", where)
	case strings.HasPrefix(where, "store") && point != "back .info" && point != "journal returned" && point != "told":
		t.Errorf("an upload is in %q", where)
	}
	if point != "told" && len(a.events()) != 0 {
		t.Errorf("the application got %q", a.events())
	}

	p.open()
	p.run()
	want := "held"
	if content == "clean" {
		want = "store"
	}
	wait(t, "the upload to be "+want, func() bool {
		j, err := p.handler.folders.load(id)
		return err == nil && p.where(id) == want && (j == nil || j.Step == kept)
	})
	time.Sleep(20 * time.Millisecond)
	events := a.events()
	switch {
	case content == "listed":
		p.expect(id, "held", kept)
		if len(events) != 0 {
			t.Errorf("the application got %q", events)
		}
		text, err := os.ReadFile(filepath.Join(p.config.Held, id))
		if err != nil || string(text) != content {
			t.Errorf("%q, %v", text, err)
		}
	default:
		p.expect(id, "store", "")
		if len(events) == 0 || len(events) > 2 || point != "told" && len(events) != 1 || events[0] != "post-finish "+id {
			t.Errorf("the application got %q", events)
		}
		text, err := os.ReadFile(filepath.Join(p.config.Store, id))
		if err != nil || string(text) != content {
			t.Errorf("%q, %v", text, err)
		}
	}
	if names, err := filepath.Glob(filepath.Join(p.config.Held, "*.tmp")); err != nil || len(names) != 0 {
		t.Errorf("left: %q", names)
	}
}
