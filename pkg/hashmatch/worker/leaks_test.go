package worker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

// process is what /proc says of one.
type process struct {
	pid    int
	zombie bool
	cpu    time.Duration
}

// children returns the children of this process, those that ended and were not waited for included.
func children(t testing.TB) []process {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Error(err)
	}
	var list []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // gone meanwhile
		}
		// The name, in brackets, may hold anything; behind it come state, parent and, as 12th and 13th, the time in
		// hundredths of a second.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 13 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		list = append(list, process{pid, fields[0] == "Z" || fields[0] == "X", time.Duration(user+system) * 10 * time.Millisecond})
	}
	return list
}

// onlyLinux reports whether there is a /proc to look into.
func onlyLinux(t testing.TB) bool {
	if runtime.GOOS != "linux" {
		t.Log("processes are looked up in /proc: not tested")
		return false
	}
	return true
}

// killAtWork kills, with a signal that no process can handle, whichever child has used processor time of at least cpu,
// until stop is closed. It returns those that it killed.
func killAtWork(t testing.TB, cpu time.Duration, stop <-chan struct{}) (killed []int) {
	for {
		for _, c := range children(t) {
			if c.zombie || c.cpu < cpu || slices.Contains(killed, c.pid) {
				continue
			}
			if p, err := os.FindProcess(c.pid); err == nil && p.Kill() == nil {
				killed = append(killed, c.pid)
			}
		}
		select {
		case <-stop:
			return killed
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestAChildKilledWhileItDecodes(t *testing.T) {
	if !onlyLinux(t) {
		return
	}
	p := testPool(t, "spin on demand", func(c *Config) { c.Deadline = time.Minute })
	content, want := tiffFile(t, 40, 30, 1)
	var dead []int
	good := func() {
		t.Helper()
		pix, count, failures := decodeGray(p, t.Context(), content)
		if count != 1 || len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
			t.Fatalf("a sound file: %d pictures, failures %v", count, failures)
		}
		c := <-p.free
		defer func() { p.free <- c }()
		if slices.Contains(dead, c.cmd.Process.Pid) {
			t.Fatalf("it was decoded by %d, which is dead", c.cmd.Process.Pid)
		}
	}
	bad := func(end []byte, pictures, children int) {
		t.Helper()
		stop, killed := make(chan struct{}), make(chan []int, 1)
		count := 0
		if pictures == 0 {
			go func() { killed <- killAtWork(t, time.Second, stop) }()
		} else { // as soon as there is a picture of it
			killed <- nil
		}
		failures := p.Decode(t.Context(), "tiff", slices.Concat(content, end), media.Limits{}, func(media.Picture) error {
			count++
			once := make(chan struct{})
			close(once)
			dead = append(dead, killAtWork(t, 0, once)...)
			return nil
		})
		close(stop)
		dead = append(dead, <-killed...)
		if len(failures) != 1 || failures[0].Code != hashmatch.Panicked || !strings.Contains(failures[0].Detail, "died") || count != pictures {
			t.Fatalf("%d pictures, failures %v; want %d and that the decoder died", count, failures, pictures)
		}
		if len(dead) != children {
			t.Fatalf("%d children were killed so far, want %d", len(dead), children)
		}
	}
	bad(spinAtOnce, 0, 1) // a fresh child
	good()
	bad(spinAtOnce, 0, 3) // a used one, and the fresh one that the file was given once more
	good()
	good()
	bad(spinAfterwards, 1, 4) // with a picture out
	good()
}

// held is what this process holds beside memory.
type held struct{ files, goroutines, children int }

func holds(t testing.TB) held {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return held{len(files), runtime.NumGoroutine(), len(children(t))}
}

// wantNoMore fails unless this process comes to hold no more than before; what is being given back has time for it.
func wantNoMore(t testing.TB, before held) {
	t.Helper()
	for started := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		now := holds(t)
		if now.files <= before.files && now.goroutines <= before.goroutines && now.children <= before.children {
			return
		}
		if time.Since(started) > 20*time.Second {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Fatalf("%+v, before it was %+v\n%s", now, before, stacks)
		}
	}
}

// Whatever becomes of files and children, nothing is left of them: no descriptor, no goroutine, no zombie.
func TestNothingIsLeftOver(t *testing.T) {
	if !onlyLinux(t) {
		return
	}
	content, _ := tiffFile(t, 40, 30, 1)
	use := func(how string, deadline time.Duration, files int, code hashmatch.FailureCode) {
		p := testPool(t, how, func(c *Config) { c.Size, c.Deadline = 2, deadline })
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				for range files {
					_, _, failures := decodeGray(p, t.Context(), content)
					if code == "" && len(failures) != 0 || code != "" && (len(failures) != 1 || failures[0].Code != code) {
						t.Errorf("%s: failures %v, want %q", how, failures, code)
					}
				}
			})
		}
		group.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	use("decode", time.Minute, 1, "") // what Go itself opens once
	before := holds(t)
	if before.children != 0 {
		t.Fatalf("%d children after Close", before.children)
	}
	for _, tc := range []struct {
		how      string
		deadline time.Duration
		files    int
		code     hashmatch.FailureCode
	}{
		{"decode", time.Minute, 100, ""},
		{"worn out by one file", time.Minute, 6, ""},
		{"crash", time.Minute, 6, hashmatch.Panicked},
		{"picture then crash", time.Minute, 3, hashmatch.Panicked},
		{"garbage", time.Minute, 3, hashmatch.Panicked},
		{"hang", 200 * time.Millisecond, 4, hashmatch.TimedOut},
		{"spin", 200 * time.Millisecond, 2, hashmatch.TimedOut},
		{"slow to warm", 200 * time.Millisecond, 2, hashmatch.TimedOut}, // closed while they warm
	} {
		use(tc.how, tc.deadline, tc.files, tc.code)
		if n := len(children(t)); n != 0 {
			t.Errorf("%s: %d children after Close", tc.how, n)
		}
	}
	wantNoMore(t, before)

	// A receiver that refuses, and one whose context ends.
	p := testPool(t, "decode", nil)
	for range 10 {
		_ = p.Decode(t.Context(), "tiff", content, media.Limits{}, func(media.Picture) error { return os.ErrClosed })
		ctx, cancel := context.WithCancel(t.Context())
		_ = p.Decode(ctx, "tiff", content, media.Limits{}, func(media.Picture) error { cancel(); return nil })
		cancel()
	}
	_ = p.Close()
	wantNoMore(t, before)
}

// However many close a pool, and whoever still decodes: every call returns, every file has its picture or a failure
// that says why not, and no child is left when any of the Closes has returned.
func TestConcurrentClose(t *testing.T) {
	if !onlyLinux(t) {
		return
	}
	content, want := tiffFile(t, 40, 30, 1)
	shut := 0
	for round := range 4 {
		p := testPool(t, "decode", func(c *Config) { c.Size, c.Deadline = 2, time.Minute })
		begun := make(chan struct{}, 1000)
		var mu sync.Mutex
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for closed := false; !closed; {
					pix, count, failures := decodeGray(p, t.Context(), content)
					closed = len(failures) == 1 && failures[0].Detail == ErrClosed.Error()
					if !closed && (len(failures) != 0 || count != 1 || !bytes.Equal(pix, want.Pix)) {
						t.Errorf("%d pictures, failures %v", count, failures)
						return
					}
					select {
					case begun <- struct{}{}:
					default:
					}
				}
				mu.Lock()
				shut++
				mu.Unlock()
			})
		}
		for range round * 3 { // close it earlier or later
			<-begun
		}
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				if list := children(t); len(list) != 0 {
					t.Errorf("children after Close: %+v", list)
				}
			})
		}
		closers.Wait()
		group.Wait()
	}
	if shut != 16 {
		t.Errorf("%d of 16 were told that the pool is closed", shut)
	}
}
