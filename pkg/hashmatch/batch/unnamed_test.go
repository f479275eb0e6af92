//go:build linux

package batch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestUnnamed goes on from a checkpoint with other paths than before: it stays until all of its files were named again,
// were removed, or it was deleted.
func TestUnnamed(t *testing.T) {
	dir := quickDir(t)
	checkpoint := filepath.Join(dir, "checkpoint")
	var paths []string
	for i := range 9 {
		paths = append(paths, filepath.Join(dir, fmt.Sprint(i)))
		if err := os.WriteFile(paths[i], []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(stopAfter int64, named ...string) (Summary, error) {
		t.Helper()
		c := openCheckpoint(t, checkpoint, testTerms, Same)
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		scanner := &readScanner{}
		scanner.before = func() {
			if scanner.scans.Load() == stopAfter {
				cancel()
			}
		}
		return Run(ctx, Config{Source: Lines(strings.NewReader(strings.Join(named, "\n"))), Scanner: scanner,
			Surface: testSurface, Results: ResultsFunc(func(Result) error { return nil }), Checkpoint: c, Workers: 1})
	}
	want := func(s Summary, err error, files, unnamed int64) {
		t.Helper()
		var other *UnnamedError
		switch errors.As(err, &other); {
		case unnamed == 0 && err != nil, unnamed > 0 && (other == nil || other.Files != unnamed):
			t.Fatalf("%v, want %d that were not named", err, unnamed)
		case s.Files != files:
			t.Fatalf("%d files, want %d", s.Files, files)
		}
		if _, err := os.Stat(checkpoint); (err == nil) != (unnamed > 0) {
			t.Fatalf("checkpoint: %v, with %d that were not named", err, unnamed)
		}
	}
	if s, err := run(4, paths[:6]...); !errors.Is(err, context.Canceled) || s.Files == 0 || s.Files > 4 {
		t.Fatal(s, err)
	}
	held := openCheckpoint(t, checkpoint, testTerms, Same)
	done := held.Summary().Files
	held.Close()

	s, err := run(99, paths[6:]...)
	want(s, err, done+3, done)
	s, err = run(99, paths[1:]...) // all but the first; those of the other list are among them
	want(s, err, 9, 1)
	if err := os.Remove(paths[0]); err != nil {
		t.Fatal(err)
	}
	s, err = run(99, paths[1:]...)
	want(s, err, 9, 0)
}

// TestUnnamedUnderOneHash counts the files of a checkpoint whose hashes collide, and those that have several records.
func TestUnnamedUnderOneHash(t *testing.T) {
	path := filepath.Join(quickDir(t), "checkpoint")
	c := openCheckpoint(t, path, testTerms, Same)
	for _, key := range []string{"a", "b", "a", "c", "b", "d"} {
		if err := c.add(fileRecord{key: []byte(key)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.commit(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	for named := range 1 << 4 {
		for _, collide := range []bool{false, true} {
			c := openCheckpoint(t, path, testTerms, Same)
			if collide {
				for i := range c.done {
					c.done[i].hash = 7
				}
				slices.SortFunc(c.done, func(a, b doneFile) int { return cmp.Compare(a.position, b.position) })
			}
			for i, key := range []string{"a", "b", "c", "d"} {
				if named>>i&1 == 0 {
					continue
				}
				if collide { // as lookup would find it
					for j := range slices.Backward(c.done) {
						if record, err := c.at(c.done[j].position); err != nil {
							t.Fatal(err)
						} else if string(record.key) == key {
							c.named[0] |= 1 << j
							break
						}
					}
				} else if _, position, err := c.lookup(key); err != nil || position == 0 {
					t.Fatal(key, position, err)
				}
			}
			want := int64(0)
			for i := range 3 { // d is gone
				want += int64(1 - named>>i&1)
			}
			got, err := c.unnamed(func(key string) bool { return key == "d" })
			if err != nil || got != want {
				t.Errorf("named %04b, one hash %v: %d, %v, want %d", named, collide, got, err, want)
			}
			c.Close()
		}
	}
}

// TestHeldOtherwise holds that nothing which is not allowed goes without an exit code of its own.
func TestHeldOtherwise(t *testing.T) {
	failure := func(code hashmatch.FailureCode) []hashmatch.Failure { return []hashmatch.Failure{{Code: code}} }
	match := []hashmatch.Match{{List: "l", Kind: hashmatch.MD5}}
	for _, c := range []struct {
		verdict                      hashmatch.Verdict
		matched, notScanned, another bool
	}{
		{verdict: hashmatch.Verdict{Action: hashmatch.Allow}},
		{verdict: hashmatch.Verdict{Action: hashmatch.Allow, Failures: failure(hashmatch.NotImage)}},
		{verdict: hashmatch.Verdict{Action: hashmatch.Hold, Failures: failure(hashmatch.NotImage)}, another: true},
		{verdict: hashmatch.Verdict{Action: hashmatch.Block, Failures: failure(hashmatch.NotImage)}, another: true},
		{verdict: hashmatch.Verdict{Action: hashmatch.Hold, Notes: []hashmatch.Note{hashmatch.LowQuality}}, another: true},
		{verdict: hashmatch.Verdict{Action: hashmatch.Allow, Failures: failure(hashmatch.Corrupt)}, notScanned: true},
		{verdict: hashmatch.Verdict{Action: hashmatch.Hold, Failures: failure(hashmatch.Corrupt)}, notScanned: true},
		{verdict: hashmatch.Verdict{Action: hashmatch.Block, Matches: match, Failures: failure(hashmatch.NotImage)}, matched: true},
	} {
		var s Summary
		s.add(tallyOf(Result{Verdict: c.verdict}), 1)
		if s.AnyMatched() != c.matched || s.NotScanned > 0 != c.notScanned || s.HeldOtherwise > 0 != c.another ||
			s.AnyNotCleared() != (c.notScanned || c.another) {
			t.Errorf("%+v: %+v", c.verdict, s)
		}
		s.add(tallyOf(Result{Verdict: c.verdict}), -1)
		if s.Files != 0 || s.HeldOtherwise != 0 {
			t.Errorf("%+v: %+v after taking it back", c.verdict, s)
		}
	}
}
