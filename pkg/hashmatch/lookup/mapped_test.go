//go:build linux

package lookup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// childFile names the snapshot that a process is to serve in place of the tests.
const childFile = "HASHMATCH_TEST_SERVE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		os.Exit(child(path, os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// child opens the snapshot and says "open". It then searches for what is listed, from several goroutines, until every
// one has met the change of the file, and says how that went; and waits for its input to end.
func child(path string, in io.Reader, out io.Writer) int {
	snapshot, err := hashlist.Map(path)
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	served, err := ServeSnapshot(context.Background(), "list", snapshot)
	if err != nil || served.Built() != "" || snapshot.Memory() == nil {
		fmt.Fprintln(out, "not mapped with its index:", err)
		return 1
	}
	set, err := NewSet(served)
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	var listed []hashmatch.Hash
	for i := range 500 {
		listed = append(listed, served.List().Entry(uint32(i * served.List().Len() / 500)).Signatures[0].Hash)
	}
	fmt.Fprintln(out, "open")
	command, _ := bufio.NewReader(in).ReadString('\n')
	if command != "search\n" {
		return 0
	}
	fmt.Fprintln(out, "searching")

	search := map[string]func(h hashmatch.Hash) bool{
		"tables": func(h hashmatch.Hash) bool { return searchAt(set, h, 31) },
		"sweep":  func(h hashmatch.Hash) bool { return searchAt(set, h, 90) },
		"near":   func(h hashmatch.Hash) bool { return set.Near([]hashmatch.Hash{h}, func(string) int { return 31 }) },
		"scan":   func(h hashmatch.Hash) bool { return len(served.Index().Scan(nil, h, 0)) > 0 },
		"entries": func(h hashmatch.Hash) bool {
			for _, e := range served.List().Entries() {
				if e.Signatures[0].Hash == h {
					return true
				}
			}
			return false
		},
	}
	var missed, found, changed, other atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		for _, search := range search {
			all.Go(func() {
				random := rand.New(rand.NewPCG(rand.Uint64(), 1))
				for after := 0; after < 20; {
					func() {
						defer func() {
							if r := recover(); r != nil {
								after++
								if err, ok := r.(error); ok && errors.Is(err, hashlist.ErrChanged) {
									changed.Add(1)
								} else {
									fmt.Fprintln(out, "another panic:", r)
									other.Add(1)
								}
							}
						}()
						if search(listed[random.IntN(len(listed))]) {
							found.Add(1)
						} else {
							missed.Add(1)
						}
						if after > 0 {
							fmt.Fprintln(out, "an answer after the change")
							other.Add(1)
						}
					}()
				}
			})
		}
	}
	all.Wait()
	fmt.Fprintf(out, "missed %d, found %v, changed %d, other %d, kinds %v, error %v\n",
		missed.Load(), found.Load() > 0, changed.Load(), other.Load(), set.Kinds().Kinds(), served.Err())
	return 0
}

func searchAt(set *Set, h hashmatch.Hash, threshold int) bool {
	found := false
	set.Search(h, func(string) int { return threshold }, func(hashmatch.Match) { found = true })
	return found
}

// process is a child that serves a snapshot.
type process struct {
	*exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
}

func start(t *testing.T, path string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.Env = append(os.Environ(), childFile+"="+path)
	p.Stderr = os.Stderr
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "open")
	return p
}

func (p *process) expect(t *testing.T, want string) {
	t.Helper()
	if line, err := p.lines.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
		rest, _ := io.ReadAll(p.lines)
		t.Fatalf("the process says %q (%v), want %q\n%s", line, err, want, rest)
	}
}

func randomList(t *testing.T, n int) *hashlist.List {
	r := rand.New(rand.NewPCG(uint64(n), 9))
	var entries []hashmatch.Entry
	for i := range n {
		entries = append(entries, entry(strconv.Itoa(i), hashmatch.Active, randomHash(r, hashmatch.PDQ)))
	}
	return newList(t, entries...)
}

// A process that searches a list while its file is cut off or overwritten goes on, and no search of what is listed
// comes back empty: it finds it or says that the list is gone.
func TestFileChangedUnderSearches(t *testing.T) {
	list, other := randomList(t, 20_000), writeSnapshot(t, randomList(t, 20_001), true)
	damage := map[string]func(path string) error{
		"cut to nothing": func(path string) error { return os.Truncate(path, 0) },
		"cut in half":    func(path string) error { return os.Truncate(path, 2<<20) },
		"overwritten": func(path string) error {
			content, err := os.ReadFile(other)
			if err != nil {
				return err
			}
			return os.WriteFile(path, content, 0)
		},
		"overwritten from the middle": func(path string) error {
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			for at := int64(1 << 20); at < 5<<20 && err == nil; at += 4096 {
				_, err = file.WriteAt(make([]byte, 4096), at)
			}
			return errors.Join(err, file.Close())
		},
	}
	for what, damage := range damage {
		t.Run(what, func(t *testing.T) {
			path := writeSnapshot(t, list, true)
			p := start(t, path)
			if _, err := io.WriteString(p.in, "search\n"); err != nil {
				t.Fatal(err)
			}
			p.expect(t, "searching")
			time.Sleep(300 * time.Millisecond)
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			p.expect(t, fmt.Sprintf("missed 0, found true, changed 200, other 0, kinds [], error %v", hashlist.ErrChanged))
			p.in.Close()
			if err := p.Wait(); err != nil {
				t.Errorf("the process died: %v", err)
			}
		})
	}
}

// Replacing the file leaves a process that searches the old one alone.
func TestFileReplacedUnderSearches(t *testing.T) {
	list := randomList(t, 5_000)
	path := writeSnapshot(t, list, true)
	served := openServed(t, path)
	if err := hashlist.WriteFile(path, randomList(t, 10)); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	n := 0
	for h, ordinal := range list.Signatures() {
		if hits := served.Index().Search(nil, h, 0); len(hits) != 1 || hits[0].Entries[0] != ordinal {
			t.Fatal("not found in the list that was replaced")
		}
		n++
	}
	if n != 5_000 || served.Err() != nil {
		t.Errorf("%d hashes: %v", n, served.Err())
	}
}

// smaps sums fields of the mapping of a file in a process, in bytes.
func smaps(t *testing.T, pid int, path string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps"))
	if err != nil {
		t.Skipf("how much memory is shared is not told here: %v", err)
	}
	sums, inside := map[string]int{}, false
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case !strings.HasSuffix(fields[0], ":"):
			inside = strings.HasSuffix(strings.TrimSpace(line), path)
		case inside && len(fields) == 3:
			n, _ := strconv.Atoi(fields[1])
			sums[strings.TrimSuffix(fields[0], ":")] += n << 10
		}
	}
	return sums
}

// Processes that serve the same snapshot share its pages, and have next to none of their own for it.
func TestProcessesShareAList(t *testing.T) {
	path := writeSnapshot(t, randomList(t, 100_000), true)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	const processes = 3
	var all []*process
	for range processes {
		all = append(all, start(t, path))
	}
	for _, p := range all {
		m := smaps(t, p.Process.Pid, path)
		t.Logf("file %d KiB; in a process %d KiB, its share %d KiB, of its own %d KiB", info.Size()>>10, m["Rss"]>>10, m["Pss"]>>10,
			(m["Private_Clean"]+m["Private_Dirty"])>>10)
		if int64(m["Rss"]) < info.Size()*9/10 || m["Pss"] > m["Rss"]*2/5 || m["Private_Dirty"] != 0 {
			t.Errorf("pages are not shared: %v", m)
		}
	}
	for _, p := range all {
		p.in.Close()
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
}
