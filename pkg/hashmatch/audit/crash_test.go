//go:build unix

package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.org/hashmatch/pkg/hashmatch/gate"
)

const childEnv = "HASHMATCH_AUDIT_TEST_CHILD"

// child is the other process: it prints what was acknowledged.
func child(behaviour string) {
	dir := os.Getenv(childEnv + "_DIR")
	if behaviour == "limited" { // files cannot grow beyond this: the same as a full disk
		signal.Ignore(unix.SIGXFSZ)
		limit := unix.Rlimit{Cur: 5000, Max: 5000}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			fmt.Println("error", err)
			return
		}
	}
	l, err := Open(Config{Directory: dir, SegmentBytes: 8000})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	round := os.Getenv(childEnv + "_ROUND")
	var writing sync.WaitGroup
	for g := range 4 {
		writing.Go(func() {
			for i := range 100_000 {
				item := fmt.Sprintf("%s-%d-%d", round, g, i)
				if err := l.Append(context.Background(), childRecord(item)); err != nil {
					fmt.Println("error", err)
					return
				}
				fmt.Println("ok", item)
			}
		})
	}
	writing.Wait()
}

// childRecord returns the answer to an item of the child: each eighth matches.
func childRecord(item string) gate.Record {
	if i, err := strconv.Atoi(item[strings.LastIndex(item, "-")+1:]); err == nil && i%8 == 0 {
		return matched(item)
	}
	return allowed(item)
}

func startChild(t *testing.T, behaviour, dir, round string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+behaviour, childEnv+"_DIR="+dir, childEnv+"_ROUND="+round)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// A process that is killed while it appends: every record that it acknowledged is there, once, and the log is sound.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	acknowledged := make(map[string]bool)
	for round := range 10 {
		cmd, lines := startChild(t, "append", dir, fmt.Sprint(round))
		before := len(acknowledged)
		for first := true; lines.Scan(); first = false {
			if first {
				time.AfterFunc(rand.N(100*time.Millisecond), func() { cmd.Process.Kill() })
			}
			item, ok := strings.CutPrefix(lines.Text(), "ok ")
			if !ok {
				if strings.HasPrefix(lines.Text(), "error") {
					t.Fatal(lines.Text())
				}
				continue // half a line
			}
			acknowledged[item] = true
		}
		cmd.Wait()
		l, err := Open(Config{Directory: dir})
		if err != nil {
			t.Fatal(err)
		}
		if len(acknowledged) == before {
			t.Fatalf("round %d: nothing was acknowledged", round)
		}
		// The caller that had no answer asks again.
		for item := range acknowledged {
			if strings.HasPrefix(item, fmt.Sprint(round)+"-0-") {
				appendAll(t, l, childRecord(item))
			}
		}
		closeLog(t, l)
		wantSound(t, dir)
		seen := uploads(t, dir)
		for item, n := range seen {
			if n != 1 {
				t.Fatalf("round %d: %s is there %d times", round, item, n)
			}
		}
		for item := range acknowledged {
			if seen[item] != 1 {
				t.Fatalf("round %d: %s was acknowledged and is not there", round, item)
			}
		}
	}
	if len(acknowledged) < 200 {
		t.Errorf("only %d records", len(acknowledged))
	}
	r := wantSound(t, dir)
	t.Logf("%d acknowledged, %d records, %d segments, %d torn", len(acknowledged), r.Records, r.Segments, r.TornCuts)
}

// A process whose files cannot grow any more gets errors from the system itself.
func TestLimitedFile(t *testing.T) {
	dir := t.TempDir()
	cmd, lines := startChild(t, "limited", dir, "0")
	acknowledged, failed := 0, 0
	for lines.Scan() {
		switch {
		case strings.HasPrefix(lines.Text(), "ok "):
			acknowledged++
		case strings.Contains(lines.Text(), "file too large"):
			failed++
		default:
			t.Error(lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if r := wantSound(t, dir); acknowledged < 5 || failed != 4 || r.Records != uint64(acknowledged)+1 || r.TornCuts != 0 {
		t.Errorf("%d acknowledged, %d failed, %+v", acknowledged, failed, r)
	}
}

// tornLog returns the bytes of a segment with three records, and where the last one begins.
func tornLog(t *testing.T) (text []byte, last int) {
	t.Helper()
	dir := t.TempDir()
	l := openLog(t, dir, nil)
	appendAll(t, l, matched("1"))
	last = int(l.Stats().Bytes)
	appendAll(t, l, matched("2"))
	closeLog(t, l)
	text, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	return text, last
}

// Wherever a crash cuts the last record, the log goes on, says so, and keeps what there was of it.
func TestTorn(t *testing.T) {
	text, last := tornLog(t)
	for end := last + 1; end < len(text); end += 41 {
		dir := t.TempDir()
		path := filepath.Join(dir, segmentName(1))
		if err := os.WriteFile(path, text[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir, Options{}); r.OK() || r.Findings[0].Problem != Torn || r.Findings[0].Line != 3 || r.Findings[0].Seq != 3 {
			t.Fatalf("cut at %d: %v", end, r.Findings)
		}
		l := openLog(t, dir, nil)
		appendAll(t, l, matched("2"))
		closeLog(t, l)
		if r := wantSound(t, dir); r.Records != 4 || r.TornCuts != 1 {
			t.Fatalf("cut at %d: %+v", end, r)
		}
		if kept, err := os.ReadFile(path + ".torn1"); err != nil || string(kept) != string(text[last:end]) {
			t.Fatalf("cut at %d: kept %q, %v", end, kept, err)
		}
		if e := entries(t, dir)[2]; e.Type != TypeTorn || e.Detail["bytes"] != fmt.Sprint(end-last) || e.Detail["file"] != segmentName(1)+".torn1" {
			t.Fatalf("%s", e.Raw)
		}
	}
}

// What a power cut can leave: zeros, or anything else, for records that were not forced to disk.
func TestTornByPowerCut(t *testing.T) {
	text, last := tornLog(t)
	for name, tail := range map[string]string{
		"zeros":                strings.Repeat("\x00", 5000),
		"lines":                "abc\n\n{}\n",
		"no end":               strings.TrimSuffix(string(text[last:]), "\n"),
		"a hole and its end":   strings.Repeat("\x00", 100) + string(text[last+100:]),
		"longer than a record": strings.Repeat("x", 3*maxLine),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), append(text[:last:last], tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		l := openLog(t, dir, nil)
		appendAll(t, l, matched("2"))
		closeLog(t, l)
		if r := wantSound(t, dir); r.Records != 4 || r.TornCuts != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A crash while a segment is begun leaves an empty file, or a part of its first record.
func TestTornBeginning(t *testing.T) {
	for _, first := range []bool{true, false} {
		for _, left := range []string{"", `{"seq":`} {
			dir, next := t.TempDir(), uint64(1)
			id := ""
			if !first {
				l := openLog(t, dir, nil)
				appendAll(t, l, matched("1"))
				closeLog(t, l)
				next, id = 3, l.ID()
			}
			if err := os.WriteFile(filepath.Join(dir, segmentName(next)), []byte(left), 0o600); err != nil {
				t.Fatal(err)
			}
			l := openLog(t, dir, nil)
			appendAll(t, l, matched("1"), matched("2"))
			closeLog(t, l)
			r := wantSound(t, dir)
			if id != "" && l.ID() != id || r.TornCuts != min(len(left), 1) || uploads(t, dir)["1"] != 1 {
				t.Errorf("first %v, left %q: %+v", first, left, r)
			}
		}
	}
}

// Damage that no crash leaves is not touched.
func TestOpenRefusesDamage(t *testing.T) {
	text, last := tornLog(t)
	lines := strings.SplitAfter(string(text), "\n")
	for name, spoilt := range map[string]string{
		"a changed byte":  strings.Replace(string(text[:last]), `"distance":7`, `"distance":8`, 1) + string(text[last:]),
		"a removed line":  lines[0] + lines[2],
		"an inserted one": lines[0] + "{}\n" + lines[1] + lines[2],
		"swapped":         lines[0] + lines[2] + lines[1],
		"no beginning":    lines[1] + lines[2],
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, segmentName(1))
		if err := os.WriteFile(path, []byte(spoilt), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{Directory: dir}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != spoilt {
			t.Errorf("%s: the file was changed", name)
		}
	}
	newer, err := os.ReadFile(filepath.Join("testdata", "newer.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Directory: dir}); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

// A segment before the last one that was changed at its end, removed, or is of another log, is seen at Open.
func TestOpenRefusesGapBetweenSegments(t *testing.T) {
	build := func() string {
		dir := t.TempDir()
		l := openLog(t, dir, func(c *Config) { c.SegmentBytes = 1000 })
		appendAll(t, l, matched("1"), matched("2"), matched("3"))
		closeLog(t, l)
		if names, _ := segmentNames(dir); len(names) != 3 {
			t.Fatal(names)
		}
		return dir
	}
	for name, spoil := range map[string]func(dir string, names []string) error{
		"cut":     func(dir string, names []string) error { return os.Truncate(filepath.Join(dir, names[1]), 400) },
		"emptied": func(dir string, names []string) error { return os.Truncate(filepath.Join(dir, names[1]), 0) },
		"removed": func(dir string, names []string) error { return os.Remove(filepath.Join(dir, names[1])) },
		"another's": func(dir string, names []string) error {
			text, err := os.ReadFile(filepath.Join(build(), names[1]))
			return errors.Join(err, os.WriteFile(filepath.Join(dir, names[1]), text, 0o600))
		},
	} {
		dir := build()
		names, _ := segmentNames(dir)
		if err := spoil(dir, names); err != nil {
			t.Fatal(err)
		}
		if l, err := Open(Config{Directory: dir}); !errors.Is(err, ErrDamaged) {
			l.Close()
			t.Errorf("%s: %v", name, err)
		}
	}
	// Older segments that were removed on purpose are none of its business.
	dir := build()
	if err := os.Remove(filepath.Join(dir, segmentName(1))); err != nil {
		t.Fatal(err)
	}
	closeLog(t, openLog(t, dir, nil))
}
