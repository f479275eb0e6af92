//go:build linux

package batch

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// childEnv names the folder that a child process scans; "" in the tests themselves.
const childEnv = "HASHMATCH_BATCH_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child scans dir into the output and checkpoint beside it and prints its summary. It writes in small pieces, so that
// a death leaves half a line and lines that no record speaks of.
func child(dir string) {
	summary, err := func() (Summary, error) {
		c, err := OpenCheckpoint(dir+".checkpoint", testTerms, Same)
		if err != nil {
			return Summary{}, err
		}
		defer c.Close()
		o, err := OpenOutput(dir+".out", c.Offset())
		if err != nil {
			return Summary{}, err
		}
		defer o.Close()
		o.w = bufio.NewWriterSize(o.file, 700)
		scanner := &readScanner{before: func() { time.Sleep(50 * time.Microsecond) }}
		return Run(context.Background(), Config{Source: Paths(dir), Scanner: scanner, Surface: testSurface,
			Results: JSON(o), Checkpoint: c, Workers: 3, commitEvery: 64, commitAfter: 20 * time.Millisecond})
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(summary); err != nil {
		os.Exit(1)
	}
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// TestKilled kills a scan of 5,000 files again and again, at random points, and lets it go on.
func TestKilled(t *testing.T) {
	const files = 5000
	dir := tree(t, files)
	write(t, dir+"/00/match.png", "match")
	symlink(t, "match.png", dir+"/36/zz")
	random := rand.New(rand.NewPCG(1, 2))
	start := func() (*exec.Cmd, *bufio.Reader) {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), childEnv+"="+dir)
		command.Stderr = os.Stderr
		stdout, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		return command, bufio.NewReader(stdout)
	}
	kills, leftovers := 0, 0
	for range 10 {
		command, _ := start()
		target := size(dir+".out") + 1 + random.Int64N(90_000)
		for deadline := time.Now().Add(20 * time.Second); size(dir+".out") < target; time.Sleep(time.Millisecond / 2) {
			if time.Now().After(deadline) {
				t.Fatal("the child does not get on")
			}
		}
		if err := command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		err := command.Wait()
		if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("the child ended by itself: %v", err)
		}
		kills++
		c := openCheckpoint(t, dir+".checkpoint", testTerms, Same)
		if size(dir+".out") < c.Offset() {
			t.Fatalf("%d bytes of output, but the checkpoint was made at %d", size(dir+".out"), c.Offset())
		}
		if size(dir+".out") > c.Offset() {
			leftovers++
		}
		c.Close()
	}
	command, stdout := start()
	var s Summary
	if err := json.NewDecoder(stdout).Decode(&s); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	if s.Files != files+2 || s.Allowed != files || s.Matched != 1 || s.NotScanned != 1 || s.Resumed == 0 {
		t.Errorf("summary %+v", s)
	}
	counts := pathCounts(t, dir+".out")
	for path, n := range counts {
		if n != 1 {
			t.Errorf("%q: %d results", path, n)
		}
	}
	if len(counts) != files+2 {
		t.Errorf("%d files have a result, want %d", len(counts), files+2)
	}
	if kills != 10 || leftovers == 0 {
		t.Errorf("%d kills, %d of them with output that no record speaks of", kills, leftovers)
	}
	if size(dir+".checkpoint") != 0 {
		t.Error("the checkpoint of a complete run is still there")
	}
	t.Logf("%d kills, %d with results cut off, %d files taken over at the end", kills, leftovers, s.Resumed)
}
