//go:build unix

package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// badDisk is a disk that fails when it is told to.
type badDisk struct {
	*os.File
	faults *faults
}

type faults struct {
	mu        sync.Mutex
	room      int64 // bytes that can still be written; less than 0: any number
	noCut     bool  // Truncate fails
	noSync    error
	noOpen    error
	syncs     int
	rewritten int64         // bytes written below the end
	hang      chan struct{} // if set, Sync waits for it
}

func (f *faults) config(c *Config) {
	c.openFile = func(name string, flag int) (disk, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.noOpen != nil {
			return nil, f.noOpen
		}
		file, err := os.OpenFile(name, flag, 0o600)
		if err != nil {
			return nil, err
		}
		return badDisk{file, f}, nil
	}
}

func (f *faults) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (d badDisk) WriteAt(b []byte, offset int64) (int, error) {
	d.faults.mu.Lock()
	defer d.faults.mu.Unlock()
	if info, err := d.Stat(); err == nil && offset < info.Size() {
		d.faults.rewritten += int64(len(b))
	}
	if d.faults.room >= 0 && int64(len(b)) > d.faults.room {
		n, _ := d.File.WriteAt(b[:d.faults.room], offset)
		d.faults.room = 0
		return n, &os.PathError{Op: "write", Path: "/secret/path", Err: unix.ENOSPC}
	}
	if d.faults.room >= 0 {
		d.faults.room -= int64(len(b))
	}
	return d.File.WriteAt(b, offset)
}

func (d badDisk) Truncate(size int64) error {
	d.faults.mu.Lock()
	defer d.faults.mu.Unlock()
	if d.faults.noCut {
		return unix.EIO
	}
	return d.File.Truncate(size)
}

func (d badDisk) Sync() error {
	d.faults.mu.Lock()
	hang := d.faults.hang
	d.faults.syncs++
	err := d.faults.noSync
	d.faults.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

func TestDiskFull(t *testing.T) {
	for _, noCut := range []bool{false, true} {
		for room := range int64(700) {
			if room%37 != 0 {
				continue
			}
			dir := t.TempDir()
			f := &faults{room: -1}
			l := openLog(t, dir, f.config)
			appendAll(t, l, matched("before"))
			f.set(func() { f.room, f.noCut = room, noCut })
			for range 3 {
				if err := l.Append(t.Context(), matched("m")); !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EIO) {
					t.Fatal(err)
				}
			}
			if !noCut {
				wantSound(t, dir)
			}
			f.set(func() { f.room, f.noCut = -1, false })
			appendAll(t, l, matched("m"), allowed("after"))
			closeLog(t, l)
			if seen := uploads(t, dir); len(seen) != 3 || seen["m"] != 1 {
				t.Errorf("%v", seen)
			}
			wantSound(t, dir)
		}
	}
}

// A disk that is full when a segment ends: the old one goes on when there is room, nothing is left of the new one.
func TestDiskFullAtRotation(t *testing.T) {
	dir := t.TempDir()
	f := &faults{room: -1}
	l := openLog(t, dir, func(c *Config) { f.config(c); c.SegmentBytes = 1200 })
	appendAll(t, l, matched("1"))
	for name, fault := range map[string]func(){
		"no file": func() { f.noOpen = unix.ENOSPC },
		"no room": func() { f.room = 30 },
		"no sync": func() { f.noSync = unix.EIO },
	} {
		f.set(fault)
		if err := l.Append(t.Context(), matched("2")); err == nil {
			t.Errorf("%s: no error", name)
		}
		f.set(func() { f.noOpen, f.room, f.noSync = nil, -1, nil })
		if names, _ := segmentNames(dir); len(names) != 1 {
			t.Errorf("%s: %v", name, names)
		}
		wantSound(t, dir)
	}
	appendAll(t, l, matched("2"), matched("3"))
	closeLog(t, l)
	if r := wantSound(t, dir); r.Segments != 3 || r.Records != 6 {
		t.Errorf("%+v", r)
	}
}

// After a failed fsync the system may say yes to the next one without having written: the bytes are written again.
func TestFailedSync(t *testing.T) {
	dir := t.TempDir()
	f := &faults{room: -1}
	l := openLog(t, dir, f.config)
	appendAll(t, l, matched("1"))
	f.set(func() { f.noSync = unix.EIO })
	if err := l.Append(t.Context(), matched("2")); !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	if s := l.Stats(); s.Seq != 3 || s.Synced != 2 {
		t.Errorf("%+v", s)
	}
	if err := l.Append(t.Context(), matched("2")); !errors.Is(err, unix.EIO) { // known, but not on disk
		t.Fatal(err)
	}
	f.set(func() { f.noSync, f.rewritten = nil, 0 })
	appendAll(t, l, matched("2"))
	if f.rewritten < 400 {
		t.Errorf("%d bytes written again", f.rewritten)
	}
	if s := l.Stats(); s.Synced != 3 {
		t.Errorf("%+v", s)
	}
	closeLog(t, l)
	if seen := uploads(t, dir); seen["2"] != 1 {
		t.Errorf("%v", seen)
	}
	wantSound(t, dir)
}

func TestWhatIsForcedToDisk(t *testing.T) {
	shadow := allowed("shadow")
	shadow.Shadow = true
	failed := allowed("failed")
	failed.Verdict.Failures = matched("").Verdict.Failures
	for _, c := range []struct {
		sync         Sync
		plain, other int
	}{{"", 0, 1}, {SyncMatches, 0, 1}, {SyncAll, 1, 1}, {SyncNone, 0, 0}} {
		f := &faults{room: -1}
		l := openLog(t, t.TempDir(), func(config *Config) { f.config(config); config.Sync = c.sync })
		count := func(what string, want int, run func() error) {
			t.Helper()
			before := f.syncs
			if err := run(); err != nil {
				t.Fatal(err)
			}
			if got := f.syncs - before; got != want {
				t.Errorf("%s, %q: %d syncs, want %d", what, c.sync, got, want)
			}
		}
		count("an allow", c.plain, func() error { return l.Append(t.Context(), allowed("a")) })
		count("a match", c.other, func() error { return l.Append(t.Context(), matched("m")) })
		count("shadow", c.other, func() error { return l.Append(t.Context(), shadow) })
		count("a failure", c.other, func() error { return l.Append(t.Context(), failed) })
		count("an event", c.other, func() error { return l.Event(t.Context(), Event{Type: "e"}) })
		appendAll(t, l, allowed("b"))
		last := 1
		if c.sync == SyncAll {
			last = 0
		}
		count("close", last, l.Close)
	}
}

// Run forces plain allows to disk within about a second.
func TestRunForces(t *testing.T) {
	l := openLog(t, t.TempDir(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go l.Run(ctx)
	appendAll(t, l, allowed("a"))
	for deadline := time.Now().Add(10 * time.Second); l.Stats().Synced != 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not forced to disk")
		}
	}
}

// A disk that hangs keeps nobody longer than the time that the caller has, and what waits is bounded.
func TestHangingDisk(t *testing.T) {
	f := &faults{room: -1}
	dir := t.TempDir()
	l := openLog(t, dir, f.config)
	hang := make(chan struct{})
	f.set(func() { f.hang = hang })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Append(ctx, matched("m")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), allowed("a")); err != nil { // needs no fsync
		t.Fatal(err)
	}
	busy := false
	for i := range 2 * maxPending {
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		busy = busy || errors.Is(l.Append(ctx, matched(fmt.Sprint(i))), ErrBusy)
		cancel()
	}
	l.mu.Lock()
	waiting, pending := len(l.waiting), len(l.pending)
	l.mu.Unlock()
	if waiting > 2*maxPending || pending > maxPending {
		t.Errorf("%d wait, %d are pending, busy: %v", waiting, pending, busy)
	}
	f.set(func() { f.hang = nil })
	close(hang)
	appendAll(t, l, matched("m"))
	closeLog(t, l)
	if n := uploads(t, dir)["m"]; n != 1 {
		t.Errorf("recorded %d times", n)
	}
	wantSound(t, dir)
}

// A segment that someone removes, replaces or cuts off under the log: nothing more is said to be recorded.
func TestSegmentTakenAway(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, make([]byte, 9999), 0o600))
		},
		"cut off": func(path string) error { return os.Truncate(path, 10) },
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"written to": func(path string) error {
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteString("x")
			return errors.Join(err, file.Close())
		},
		"removed with its folder": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"moved with its folder":   func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+"2") },
	} {
		dir := filepath.Join(t.TempDir(), "log")
		l := openLog(t, dir, nil)
		appendAll(t, l, matched("1"))
		if err := spoil(filepath.Join(dir, segmentName(1))); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(t.Context(), allowed("clean")); !errors.Is(err, ErrLost) { // which nothing forces to disk
			t.Errorf("%s: %v", name, err)
		}
		if err := l.Append(t.Context(), matched("2")); !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
		if err := l.Append(t.Context(), allowed("3")); !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
		if err := l.Close(); !errors.Is(err, ErrLost) && name != "written to" { // all that was recorded is there
			t.Errorf("%s: close: %v", name, err)
		}
	}
}
