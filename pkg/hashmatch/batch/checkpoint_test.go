//go:build linux

package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.org/hashmatch/pkg/hashmatch"
)

var testTerms = Terms{
	Surface: "uploads", Policy: "p1", Revisions: map[string]string{"demo": "r1", "other": "r7"},
	Inputs: []string{"/data\xff"}, Results: "json /out",
}

func openCheckpoint(t *testing.T, path string, terms Terms, resume Resume) *Checkpoint {
	t.Helper()
	c, err := OpenCheckpoint(path, terms, resume)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// quickDir returns a folder in memory where there is one: a disk takes milliseconds for each fsync.
func quickDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "batch")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// interruptedRun scans a folder into an output and a checkpoint until n files are done.
func interruptedRun(t *testing.T, dir, output, checkpoint string, n int64) Summary {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	scanner := &readScanner{}
	scanner.before = func() {
		if scanner.scans.Load() == n {
			cancel()
		}
	}
	s, err := scanInto(ctx, dir, output, checkpoint, scanner)
	if !errors.Is(err, context.Canceled) || !s.Interrupted {
		t.Fatal(s, err)
	}
	return s
}

func scanInto(ctx context.Context, dir, output, checkpoint string, scanner Scanner) (Summary, error) {
	c, err := OpenCheckpoint(checkpoint, testTerms, Same)
	if err != nil {
		return Summary{}, err
	}
	defer c.Close()
	o, err := OpenOutput(output, c.Offset())
	if err != nil {
		return Summary{}, err
	}
	s, err := Run(ctx, Config{Source: Paths(dir), Scanner: scanner, Surface: testSurface, Results: JSON(o), Checkpoint: c,
		Workers: 2, commitEvery: 50, commitAfter: 5 * time.Millisecond})
	return s, errors.Join(err, o.Close())
}

// pathCounts reads the paths of the results in a file.
func pathCounts(t *testing.T, output string) map[string]int {
	t.Helper()
	data, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(data)) {
		var r struct{ Path string }
		if err := json.Unmarshal([]byte(line), &r); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%q: %v", line, err)
		}
		counts[r.Path]++
	}
	return counts
}

func TestResume(t *testing.T) {
	dir, state := tree(t, 300), t.TempDir()
	write(t, dir+"/05/match.png", "match")
	symlink(t, "match.png", dir+"/05/link")
	output, checkpoint := state+"/out", state+"/checkpoint"

	first := interruptedRun(t, dir, output, checkpoint, 200)
	info, err := os.Stat(checkpoint)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	if first.Files < 200 || first.Files >= 302 || first.Matched != 1 {
		t.Fatalf("first run: %+v", first)
	}
	changed := dir + "/05/match.png"
	write(t, changed, "no longer")

	scanner := &readScanner{}
	s, err := scanInto(t.Context(), dir, output, checkpoint, scanner)
	if err != nil {
		t.Fatal(err)
	}
	if s.Files != 302 || s.Resumed != first.Files-1 || s.Matched != 0 || s.NotScanned != 1 || s.Allowed != 301 || s.Interrupted {
		t.Errorf("second run: %+v after %+v", s, first)
	}
	if got := scanner.scans.Load(); got != 302-first.Files+1 {
		t.Errorf("%d scans, want the %d missing and the changed one", got, 302-first.Files)
	}
	counts := pathCounts(t, output)
	if len(counts) != 302 || counts[changed] != 2 {
		t.Errorf("%d paths; the changed file has %d results, want 2", len(counts), counts[changed])
	}
	for path, n := range counts {
		if n != 1 && path != changed {
			t.Errorf("%q: %d results", path, n)
		}
	}
	if _, err := os.Stat(checkpoint); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checkpoint of a complete run: %v", err)
	}
}

// TestResumeAfterReplacing goes on a second time after a changed file was replaced in the checkpoint.
func TestResumeAfterReplacing(t *testing.T) {
	dir, state := tree(t, 100), t.TempDir()
	write(t, dir+"/00/0match.png", "match")
	output, checkpoint := state+"/out", state+"/checkpoint"
	first := interruptedRun(t, dir, output, checkpoint, 20)
	write(t, dir+"/00/0match.png", "no longer")
	second := interruptedRun(t, dir, output, checkpoint, 20)
	if first.Matched != 1 || second.Matched != 0 || second.Files <= first.Files {
		t.Fatalf("%+v, then %+v", first, second)
	}
	c := openCheckpoint(t, checkpoint, testTerms, Same)
	if s := c.Summary(); s.Files != second.Files || s.Matched != 0 || s.Allowed != second.Allowed || s.Bytes != second.Bytes || s.Resumed != s.Files {
		t.Errorf("loaded %+v, want %+v", s, second)
	}
	c.Close()
	s, err := scanInto(t.Context(), dir, output, checkpoint, &readScanner{})
	if err != nil || s.Files != 101 || s.Allowed != 101 {
		t.Errorf("%+v, %v", s, err)
	}
	if n := pathCounts(t, output)[dir+"/00/0match.png"]; n != 2 {
		t.Errorf("%d results, want one for each state", n)
	}
}

func TestCheckpointTerms(t *testing.T) {
	state := t.TempDir()
	output, checkpoint := state+"/out", state+"/checkpoint"
	done := interruptedRun(t, tree(t, 100), output, checkpoint, 30)

	changes := map[string]func(*Terms){
		`list "demo": was "r1", is "r2"`:          func(t *Terms) { t.Revisions = map[string]string{"demo": "r2", "other": "r7"} },
		`list "other": is gone`:                   func(t *Terms) { t.Revisions = map[string]string{"demo": "r1"} },
		`list "new": is new`:                      func(t *Terms) { t.Revisions = map[string]string{"demo": "r1", "other": "r7", "new": ""} },
		`policy: was "p1", is "p2"`:               func(t *Terms) { t.Policy = "p2" },
		`surface: was "uploads", is "avatars"`:    func(t *Terms) { t.Surface = "avatars" },
		`results: was "json /out", is "csv /out"`: func(t *Terms) { t.Results = "csv /out" },
		"paths: others are to be scanned":         func(t *Terms) { t.Inputs = []string{"/elsewhere"} },
	}
	for want, change := range changes {
		terms := testTerms
		change(&terms)
		_, err := OpenCheckpoint(checkpoint, terms, Same)
		var changed *CheckpointChangedError
		if !errors.As(err, &changed) || len(changed.Changes) != 1 || changed.Changes[0] != want {
			t.Errorf("%s: %v", want, err)
		}
	}

	c := openCheckpoint(t, checkpoint, testTerms, Same)
	info, err := os.Stat(output)
	if err != nil || c.Offset() != info.Size() || c.Summary().Files != done.Files {
		t.Errorf("offset %d, %d files; want %d, %d", c.Offset(), c.Summary().Files, info.Size(), done.Files)
	}
	offset := c.Offset()
	c.Close()

	terms := testTerms
	terms.Policy = "p2"
	c = openCheckpoint(t, checkpoint, terms, Anyway)
	if c.Offset() != offset || c.Summary().Files != done.Files {
		t.Errorf("anyway: offset %d, %d files", c.Offset(), c.Summary().Files)
	}
	c.Close()
	if _, err := OpenCheckpoint(checkpoint, testTerms, Same); err == nil {
		t.Error("the terms that were agreed to were not kept")
	}
	terms.Results = "json /new"
	c = openCheckpoint(t, checkpoint, terms, Anyway)
	if c.Offset() != 0 || c.Summary().Files != done.Files {
		t.Errorf("new results: offset %d, %d files", c.Offset(), c.Summary().Files)
	}
	c.Close()
	c = openCheckpoint(t, checkpoint, terms, Same)
	if c.Offset() != 0 || c.Summary().Files != done.Files {
		t.Errorf("new results, opened again: offset %d, %d files", c.Offset(), c.Summary().Files)
	}
	c.Close()
	c = openCheckpoint(t, checkpoint, testTerms, Restart)
	if c.Offset() != 0 || c.Summary().Files != 0 {
		t.Errorf("restart: offset %d, %d files", c.Offset(), c.Summary().Files)
	}
	c.Close()
	if info, err := os.Stat(checkpoint); err != nil || info.Size() > 300 {
		t.Errorf("restarted: %v, %v", info.Size(), err)
	}
}

func TestCheckpointIsSafe(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/checkpoint"
	c := openCheckpoint(t, path, testTerms, Same)
	if _, err := OpenCheckpoint(path, testTerms, Restart); !errors.Is(err, ErrCheckpointLocked) {
		t.Errorf("a second run: %v", err)
	}
	if err := c.finish(); err != nil {
		t.Fatal(err)
	}
	second := openCheckpoint(t, path, testTerms, Same) // while the first still holds its removed file
	second.Close()
	c.Close()

	photo := write(t, dir+"/photo.jpg", "\xff\xd8\xff picture")
	for _, resume := range []Resume{Same, Anyway, Restart} {
		if _, err := OpenCheckpoint(photo, testTerms, resume); !errors.Is(err, ErrNotCheckpoint) {
			t.Errorf("a photo: %v", err)
		}
	}
	if data, err := os.ReadFile(photo); err != nil || string(data) != "\xff\xd8\xff picture" {
		t.Errorf("the photo is now %q, %v", data, err)
	}
	symlink(t, path, dir+"/link")
	if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "fifo", ".", "missing/checkpoint"} {
		if _, err := OpenCheckpoint(filepath.Join(dir, name), testTerms, Restart); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(path, testTerms, Same); err == nil || !strings.Contains(err.Error(), "others can write") {
		t.Errorf("writable by all: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	openCheckpoint(t, path, testTerms, Same).Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenCheckpoint(path, testTerms, Same); err == nil || !strings.Contains(err.Error(), "another user") {
			t.Errorf("of another user: %v", err)
		}
	}
}

// TestEveryTear cuts a checkpoint at every byte, and flips a bit in every byte: it always opens as the whole records
// before that, or refuses.
func TestEveryTear(t *testing.T) {
	path := quickDir(t) + "/checkpoint"
	c := openCheckpoint(t, path, testTerms, Same)
	offsets := map[int64]bool{0: true}
	var ends []int64
	for i := range 6 {
		tally := tally{bytes: 10, codes: []hashmatch.FailureCode{hashmatch.Corrupt}}
		if err := c.add(fileRecord{key: fmt.Append(nil, "/data/", i), tally: tally, output: int64(100 * (i + 1))}); err != nil {
			t.Fatal(err)
		}
		if err := c.commit(); err != nil {
			t.Fatal(err)
		}
		offsets[c.offset], ends = true, append(ends, c.size)
	}
	c.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	filesBefore := func(size int64) (n int64) {
		for _, end := range ends {
			if end <= size {
				n++
			}
		}
		return n
	}
	check := func(data []byte, want int64) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := OpenCheckpoint(path, testTerms, Same)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.Summary().Files; got != want || c.Offset() != 100*want || !offsets[c.Offset()] {
			t.Fatalf("%d files at offset %d, want %d", got, c.Offset(), want)
		}
		for i := range want {
			if _, position, err := c.lookup(fmt.Sprint("/data/", i)); err != nil || position == 0 {
				t.Fatalf("record %d: %v", i, err)
			}
		}
		// What is appended now is found again.
		if err := c.add(fileRecord{key: []byte("/after"), output: 7777}); err != nil {
			t.Fatal(err)
		}
		if err := c.commit(); err != nil {
			t.Fatal(err)
		}
		c.Close()
		again, err := OpenCheckpoint(path, testTerms, Same)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if again.Summary().Files != want+1 || again.Offset() != 7777 {
			t.Fatalf("after appending: %d files at %d", again.Summary().Files, again.Offset())
		}
	}
	cuts := 0
	for size := range len(whole) + 1 {
		check(whole[:size], filesBefore(int64(size)))
		if size >= len(checkpointMagic) { // a page that a power failure left empty
			check(append(whole[:size:size], make([]byte, 50)...), filesBefore(int64(size)))
		}
		cuts++
	}
	for i := len(checkpointMagic); i < len(whole); i++ {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x10
		check(flipped, filesBefore(int64(i)))
	}
	if cuts < 300 {
		t.Errorf("%d cuts", cuts)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, want := range []fileRecord{
		{key: []byte("/a")},
		{key: []byte("/b\n\xff"), stamp: Stamp{-1, -5}, output: 1 << 40, replaces: 77, tally: tally{bytes: 9, action: hashmatch.Block,
			matched: true, notScanned: true, codes: []hashmatch.FailureCode{hashmatch.Corrupt, "later"}}},
	} {
		payload := appendFile(nil, want)
		got, err := parseFile(payload[1:])
		if err != nil || payload[0] != recordFile || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v (%v)", got, want, err)
		}
	}
}

func TestCheckpointHoldsNoHash(t *testing.T) {
	state := t.TempDir()
	interruptedRun(t, tree(t, 60), state+"/out", state+"/checkpoint", 30)
	data, err := os.ReadFile(state + "/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"sha256", "demo,", "picture"} {
		if bytes.Contains(data, []byte(word)) {
			t.Errorf("it holds %q", word)
		}
	}
	if n := len(data) / 30; n > 200 {
		t.Errorf("%d bytes a file", n)
	}
}

// failingResults fails at the nth result or at the nth commit.
type failingResults struct {
	*Output
	results         Results
	writes, commits int
}

var errFull = errors.New("full")

func (f *failingResults) Write(r Result) error {
	if f.writes--; f.writes == 0 {
		return errFull
	}
	return f.results.Write(r)
}

func (f *failingResults) Commit() error {
	if f.commits--; f.commits == 0 {
		return errFull
	}
	return f.results.Commit()
}

// TestResultsThatCannotBeWritten stops the run, and whatever was not written is scanned again.
func TestResultsThatCannotBeWritten(t *testing.T) {
	for _, fail := range []failingResults{{writes: 70}, {commits: 2}, {commits: 1}, {writes: 1}} {
		dir, state := tree(t, 200), t.TempDir()
		c := openCheckpoint(t, state+"/checkpoint", testTerms, Same)
		o, err := OpenOutput(state+"/out", 0)
		if err != nil {
			t.Fatal(err)
		}
		fail.Output, fail.results = o, JSON(o)
		_, err = Run(t.Context(), Config{Source: Paths(dir), Scanner: &readScanner{}, Surface: testSurface, Results: &fail,
			Checkpoint: c, commitEvery: 30, commitAfter: time.Hour})
		var failed *WriteError
		if !errors.As(err, &failed) || failed.What != "results" || !errors.Is(err, errFull) {
			t.Fatal(err)
		}
		c.Close()
		o.Close()
		s, err := scanInto(t.Context(), dir, state+"/out", state+"/checkpoint", &readScanner{})
		if err != nil || s.Files != 200 {
			t.Fatal(s, err)
		}
		counts := pathCounts(t, state+"/out")
		for path, n := range counts {
			if n != 1 {
				t.Errorf("%q: %d results", path, n)
			}
		}
		if len(counts) != 200 {
			t.Errorf("%d files have a result, want 200", len(counts))
		}
	}
}

func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("/dev/full is absent: ", err)
	}
	for name, encode := range map[string]func(*Output) Results{
		"json": JSON, "csv": CSV, "table": func(o *Output) Results { return Table(o, 0) },
	} {
		o, err := OpenOutput("/dev/full", 0)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Run(t.Context(), Config{Source: Paths(tree(t, 50)), Scanner: &readScanner{}, Surface: testSurface, Results: encode(o)})
		var failed *WriteError
		if !errors.As(err, &failed) || failed.What != "results" || !errors.Is(err, unix.ENOSPC) || s.Interrupted {
			t.Errorf("%s: %v", name, err)
		}
		if err := o.Close(); err == nil {
			t.Errorf("%s: closed without an error", name)
		}
	}
}

// TestCheckpointThatCannotBeWritten closes the checkpoint's file under the run.
func TestCheckpointThatCannotBeWritten(t *testing.T) {
	c := openCheckpoint(t, t.TempDir()+"/checkpoint", testTerms, Same)
	c.Close()
	_, err := Run(t.Context(), Config{Source: Paths(tree(t, 50)), Scanner: &readScanner{}, Surface: testSurface,
		Results: &collector{t: t}, Checkpoint: c})
	var failed *WriteError
	if !errors.As(err, &failed) || failed.What != "checkpoint" {
		t.Error(err)
	}
}

// TestMemory scans 100,000 files, goes on from a checkpoint of them, and compares the memory in use.
func TestMemory(t *testing.T) {
	const n = 100_000
	state := t.TempDir()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := heap(), int64(0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	written := 0
	c := openCheckpoint(t, state+"/checkpoint", testTerms, Same)
	_, err := Run(ctx, Config{Source: madeUp(n + 100), Scanner: deafScanner{}, Surface: testSurface, Checkpoint: c,
		Results: ResultsFunc(func(Result) error {
			if written++; written%(n/4) == 0 {
				most = max(most, heap()-before)
			}
			if written == n {
				cancel()
			}
			return nil
		})})
	if !errors.Is(err, context.Canceled) || written < n {
		t.Fatal(written, err)
	}
	if most > 2<<20 {
		t.Errorf("grew by %d bytes over %d files", most, n)
	}
	c.Close()

	before = heap()
	c = openCheckpoint(t, state+"/checkpoint", testTerms, Same)
	if grown := heap() - before; len(c.done) != written || grown > 40*n {
		t.Errorf("%d files loaded into %d bytes", len(c.done), grown)
	}
	var scanned int
	s, err := Run(t.Context(), Config{Source: madeUp(n + 100), Scanner: deafScanner{}, Surface: testSurface, Checkpoint: c,
		Results: ResultsFunc(func(Result) error { scanned++; return nil })})
	if err != nil || s.Files != n+100 || scanned != n+100-written {
		t.Errorf("%d scanned after %d: %+v, %v", scanned, written, s, err)
	}
}

// madeUp is a Source of that many files.
type madeUp int

func (n madeUp) Files(_ context.Context, yield func(File) error) error {
	for i := range int(n) {
		if err := yield(File{Path: fmt.Sprintf("/data/uploads/%08d.png", i), Content: text("picture")}); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkLoad opens a checkpoint of 1,000,000 files.
func BenchmarkLoad(b *testing.B) {
	const n = 1_000_000
	path := b.TempDir() + "/checkpoint"
	c, err := OpenCheckpoint(path, testTerms, Same)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		key := fmt.Appendf(nil, "/data/uploads/2026/%03d/%08d.jpg", i%365, i)
		if err := c.add(fileRecord{key: key, stamp: Stamp{123456, 1790000000000000000 + int64(i)}, output: int64(i) * 300}); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.commit(); err != nil {
		b.Fatal(err)
	}
	c.Close()
	b.ReportMetric(float64(size(path))/n, "disk-B/file")
	for b.Loop() {
		c, err := OpenCheckpoint(path, testTerms, Same)
		if err != nil || len(c.done) != n {
			b.Fatal(len(c.done), err)
		}
		b.ReportMetric(float64(16*cap(c.done))/n, "memory-B/file")
		c.Close()
	}
}

// BenchmarkRun scans files of a few bytes with a scanner that only reads: what a file costs beside its scan.
func BenchmarkRun(b *testing.B) {
	dir := tree(b, 10_000)
	for _, checkpointed := range []bool{false, true} {
		b.Run(fmt.Sprintf("checkpoint=%t", checkpointed), func(b *testing.B) {
			state := b.TempDir()
			for b.Loop() {
				config := Config{Source: Paths(dir), Scanner: &readScanner{}, Surface: testSurface}
				o, err := OpenOutput(state+"/out", 0)
				if err != nil {
					b.Fatal(err)
				}
				config.Results = JSON(o)
				if checkpointed {
					if config.Checkpoint, err = OpenCheckpoint(state+"/checkpoint", testTerms, Same); err != nil {
						b.Fatal(err)
					}
				}
				if s, err := Run(b.Context(), config); err != nil || s.Files != 10_000 {
					b.Fatal(s, err)
				}
				if checkpointed {
					config.Checkpoint.Close()
				}
				o.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/10_000, "µs/file")
		})
	}
}
