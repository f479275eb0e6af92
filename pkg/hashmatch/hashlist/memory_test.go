//go:build linux || darwin

package hashlist

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// panics returns what f panics with.
func panics(f func()) (r any) {
	defer func() { r = recover() }()
	f()
	return nil
}

// readers is every way to look into a list.
func readers() map[string]func(l *List) {
	return map[string]func(l *List){
		"Entry":      func(l *List) { l.Entry(uint32(l.Len() - 1)) },
		"Key":        func(l *List) { l.Key(uint32(l.Len() - 1)) },
		"Status":     func(l *List) { l.Status(uint32(l.Len() - 1)) },
		"Labels":     func(l *List) { l.Labels(uint32(l.Len() - 1)) },
		"Select":     func(l *List) { l.Select([]uint32{uint32(l.Len() - 1)}, func(uint32, hashmatch.Entry) {}) },
		"Find":       func(l *List) { l.Find(hashmatch.EntryKey{ID: "0000ffff"}) },
		"Entries":    func(l *List) { drain(l.Entries()) },
		"Signatures": func(l *List) { drain(l.Signatures()) },
		"Opaque":     func(l *List) { drain(l.OpaqueSignatures()) },
		"Err":        func(l *List) { raise(l.Err()) },
		"Write":      func(l *List) { raise(Write(&bytes.Buffer{}, l)) },
		"Apply": func(l *List) {
			_, _, err := l.Apply(nil, day)
			raise(err)
		},
		"Merge": func(l *List) {
			_, _, err := l.Merge(mustNewList(), day)
			raise(err)
		},
		"Merge into": func(l *List) {
			_, _, err := mustNewList().Merge(l, day)
			raise(err)
		},
		"Replace": func(l *List) {
			_, _, err := mustNewList().Replace(l, day)
			raise(err)
		},
	}
}

func mustNewList() *List {
	l, err := New(slices.Values([]hashmatch.Entry(nil)))
	raise(err)
	return l
}

func raise(err error) {
	if err != nil {
		panic(err)
	}
}

func drain[K, V any](seq func(func(K, V) bool)) {
	for range seq {
	}
}

// Every reader of a mapped list whose file is cut off or written to in place says so, also one that the cut hits in the
// middle, and no process dies of it. What only needs no block goes on.
func TestChangedWhileMapped(t *testing.T) {
	l := mustNew(t, slices.Collect(benchEntries(5_000, false))...)
	damage := map[string]func(path string) error{
		"cut to nothing": func(path string) error { return os.Truncate(path, 0) },
		"cut in half":    func(path string) error { return os.Truncate(path, 250_000) },
		"written to": func(path string) error {
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteAt(bytes.Repeat([]byte{0xff}, 1<<18), 4096)
			return errors.Join(err, file.Close())
		},
		"overwritten by another list": func(path string) error {
			return os.WriteFile(path, snapshot(t, mustNew(t, slices.Collect(benchEntries(5_000, true))...)), 0)
		},
	}
	for what, damage := range damage {
		for name, read := range readers() {
			path := writeList(t, l)
			s := mapped(t, path)
			if s.Memory() == nil {
				t.Skip("files are not mapped here")
			}
			if r := panics(func() { read(s.List()) }); r != nil {
				t.Fatalf("%s: %s before: %v", what, name, r)
			}
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				r := panics(func() { read(s.List()) })
				if err, ok := r.(error); !ok || !errors.Is(err, ErrChanged) {
					t.Errorf("%s: %s: %v", what, name, r)
				}
			}
			if s.List().Len() != l.Len() || s.List().Revision() != l.Revision() {
				t.Errorf("%s: %s: what needs no block is gone", what, name)
			}
		}
	}
}

// Replacing a file by renaming, removing it and changing its mode leave those alone who have it mapped.
func TestReplacedWhileMapped(t *testing.T) {
	l := sampleList(t)
	path := writeList(t, l)
	s := mapped(t, path)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	equal(t, l, s.List())
	if err := WriteFile(path, mustNew(t)); err != nil {
		t.Fatal(err)
	}
	equal(t, l, s.List())
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	equal(t, l, s.List())
	if err := s.List().Err(); err != nil {
		t.Error(err)
	}
}

// The fault comes while a reader is at it, in code in assembly (SHA-256, copying, comparing) as well as in Go, and in
// many goroutines at once.
func TestFaultInMidRead(t *testing.T) {
	l := mustNew(t, slices.Collect(benchEntries(100_000, false))...)
	readers := map[string]func(data []byte){
		"SHA-256": func(data []byte) { sha256.Sum256(data) },
		"copy":    func(data []byte) { copy(make([]byte, len(data)), data) },
		"clone":   func(data []byte) { _ = bytes.Clone(data) },
		"string":  func(data []byte) { _ = string(data) },
		"compare": func(data []byte) {
			_ = bytes.Compare(data[:len(data)/2], data[len(data)/2:]) + bytes.Count(data, []byte{1})
		},
		"map": func(data []byte) { _ = map[string]bool{"x": true}[string(data)] },
		"go": func(data []byte) {
			sum := byte(0)
			for _, b := range data {
				sum += b
			}
			_ = sum
		},
	}
	for name, read := range readers {
		path := writeList(t, l)
		s := mapped(t, path)
		if s.Memory() == nil {
			t.Skip("files are not mapped here")
		}
		var started, all sync.WaitGroup
		started.Add(8)
		for i := range 8 {
			all.Go(func() {
				first := true
				for {
					err := s.Memory().Use(func() {
						for range 3 {
							read(s.memory.data)
							if first {
								started.Done()
								first = false
							}
						}
					})
					if err == nil {
						continue
					}
					if !errors.Is(err, ErrChanged) {
						t.Errorf("%s, reader %d: %v", name, i, err)
					}
					return
				}
			})
		}
		started.Wait()
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
		all.Wait()
	}
}

// Opening a file that is cut off, or written to, at that moment has an error.
func TestChangedWhileOpened(t *testing.T) {
	good := snapshot(t, mustNew(t, slices.Collect(benchEntries(100_000, false))...))
	path := writeList(t, mustNew(t))
	refusals := 0
	for i := range 60 {
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			time.Sleep(time.Duration(i) * 300 * time.Microsecond)
			done <- os.Truncate(path, int64(len(good)/2))
		}()
		s, err := Map(path)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err == nil && !errors.Is(s.List().Err(), ErrChanged) {
			t.Fatal("the change of the file went unnoticed")
		}
		if err != nil {
			refusals++
			if !errors.Is(err, ErrChanged) {
				refused(t, "file", err)
			}
		}
	}
	if refusals == 0 {
		t.Error("no opening was hit: the test shows nothing")
	}
}

// Panics that have nothing to do with the file pass as they are.
func TestOtherPanicsPass(t *testing.T) {
	s := mapped(t, writeList(t, sampleList(t)))
	if r := panics(func() { _ = s.Memory().Use(func() { panic("other") }) }); r != "other" {
		t.Error(r)
	}
	var none *List
	r := panics(func() { _ = s.Memory().Use(func() { _ = none.revision }) })
	if err, ok := r.(runtime.Error); !ok || strings.Contains(err.Error(), "snapshot") {
		t.Error(r)
	}
	if r := panics(func() { s.List().Entry(1 << 30) }); r == nil {
		t.Error("an entry that there is not")
	}
	if err := s.List().Err(); err != nil {
		t.Error("the list is taken for changed:", err)
	}
}

// The mapping goes when nothing refers to it any more, and not before.
func TestUnmapped(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	path := writeList(t, sampleList(t))
	isMapped := func() bool {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(maps), path)
	}
	list := mapped(t, path).List()
	if list.memory == nil {
		t.Skip("files are not mapped here")
	}
	for range 3 {
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
		if !isMapped() {
			t.Fatal("unmapped while there is a list in it")
		}
	}
	if list.Entry(0).Key.ID == "" {
		t.Error("no entry")
	}
	runtime.KeepAlive(list)
	list = nil
	for deadline := time.Now().Add(10 * time.Second); isMapped(); {
		if time.Now().After(deadline) {
			t.Fatal("still mapped")
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}

// A file that was just written is mapped only once a further write shows in its time.
func TestJustWritten(t *testing.T) {
	path := writeList(t, sampleList(t))
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		t.Fatal(err)
	}
	s := mapped(t, path)
	if waited := time.Since(now); s.Memory() != nil && waited < 20*time.Millisecond {
		t.Errorf("mapped after %s", waited)
	}
	whole := time.Now().Truncate(time.Second)
	if err := os.Chtimes(path, whole, whole); err != nil {
		t.Fatal(err)
	}
	if s := mapped(t, path); s.Memory() != nil {
		t.Error("mapped with a time of whole seconds that is now")
	}
}
