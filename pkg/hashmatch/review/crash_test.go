package review

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// childFile names the database that this process submits to and decides in until it is killed.
const childFile = "HASHMATCH_REVIEW_TEST_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		child(path)
	}
	os.Exit(m.Run())
}

// child submits from several sides, releases every third item, and prints each ID once it is acknowledged.
func child(path string) {
	q, err := Open(context.Background(), Config{File: path, Callback: &Callback{URL: "http://127.0.0.1:1/", Secret: secret}})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	say := func(words ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(words...)
	}
	go func() { _ = q.Run(context.Background()) }()
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if err := q.Submit(context.Background(), near(id, "e1")); err != nil {
					say("error", err)
					os.Exit(1)
				}
				say("held", id)
				if i%3 == 0 {
					if err := q.Release(context.Background(), Ref{Item: id}, byAnn); err != nil {
						say("error", err)
						os.Exit(1)
					}
					say("released", id)
				}
			}
		}()
	}
	time.Sleep(30 * time.Second) // should nobody kill it
	os.Exit(1)
}

// kill -9 in the middle of everything, several times over: what was acknowledged is there, once.
func TestKilled(t *testing.T) {
	path := file(t)
	acknowledged := map[string]State{}
	for round := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childFile+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			word, id, _ := strings.Cut(scanner.Text(), " ")
			switch word {
			case "held":
				acknowledged[id] = Pending
			case "released":
				acknowledged[id] = Released
			default:
				t.Errorf("child: %s", scanner.Text())
			}
			if lines++; lines == 60+17*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || lines < 60 {
			t.Fatalf("the child was not killed: %v, %d lines", err, lines)
		}
	}
	q := openTest(t, Config{File: path, now: func() time.Time { return time.Now().Add(time.Hour) }})
	found := map[string]State{}
	for f := (Filter{Limit: 50}); ; {
		items, next, err := q.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			if _, twice := found[i.Item]; twice {
				t.Errorf("%s is there twice", i.Item)
			}
			found[i.Item] = i.State
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	var untold int
	for id, state := range acknowledged {
		if found[id] != state && !(state == Pending && found[id] == Released) { // killed between the deed and the word
			t.Errorf("%s: acknowledged as %s, found as %q", id, state, found[id])
		}
	}
	released := 0
	for _, state := range found {
		if state == Released {
			released++
		}
	}
	if err := q.db.QueryRow("SELECT count(*) FROM outbox").Scan(&untold); err != nil || untold != released || released < 20 {
		t.Errorf("%d released, %d to be sent, %v", released, untold, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := file(t)
	q := openTest(t, Config{File: good})
	for i := range 200 { // enough pages for the damage to lie among them
		submit(t, q, near(fmt.Sprint(i), "e1"))
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(good)
	if err != nil || len(content) < 100<<10 {
		t.Fatal(len(content), err)
	}
	damaged := func(change func(b []byte) []byte) func(path string) error {
		return func(path string) error { return os.WriteFile(path, change(append([]byte(nil), content...)), 0o600) }
	}
	pragma := func(text string) func(path string) error {
		return func(path string) error {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				return err
			}
			_, err = db.Exec(text)
			return errors.Join(err, db.Close())
		}
	}
	for name, c := range map[string]struct {
		make func(path string) error
		want error
	}{
		"text":             {damaged(func([]byte) []byte { return []byte(strings.Repeat("no database\n", 1000)) }), ErrNotReview},
		"a byte":           {damaged(func([]byte) []byte { return []byte("x") }), ErrNotReview},
		"cut off":          {damaged(func(b []byte) []byte { return b[:len(b)/2] }), ErrCorrupt},
		"pages of zeros":   {damaged(func(b []byte) []byte { clear(b[len(b)/3 : 2*len(b)/3]); return b }), ErrCorrupt},
		"pages of noise":   {damaged(func(b []byte) []byte { noise(b[4096*3:]); return b }), ErrCorrupt},
		"another program":  {pragma("CREATE TABLE items (a)"), ErrNotReview},
		"a newer schema":   {pragma(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = 99", applicationID)), ErrNewerSchema},
		"a schema below 1": {pragma(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = -1", applicationID)), ErrCorrupt},
		"a folder":         {func(path string) error { return os.Mkdir(path, 0o700) }, ErrNotReview},
		"no folder":        {func(path string) error { return os.Symlink(filepath.Join(path, "x", "y"), path) }, os.ErrExist},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t)
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path)
			if err := os.Chmod(path, 0o755); err != nil && c.want != os.ErrExist {
				t.Fatal(err)
			}
			q, err := Open(t.Context(), Config{File: path})
			if err == nil {
				q.Close()
			}
			if c.want == os.ErrExist { // a link to nowhere: refused, however the system says it
				if err == nil {
					t.Error("opened")
				}
				return
			}
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("what was refused was changed")
			}
			// A damaged one is ours: only what belongs to others is left to them.
			if info, err := os.Stat(path); err != nil || c.want == ErrNotReview && info.Mode().Perm() != 0o755 {
				t.Errorf("the mode of what was refused was changed: %v %v", info.Mode(), err)
			}
		})
	}
}

func noise(b []byte) {
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := file(t)
	q := openTest(t, Config{File: path})
	if other, err := Open(t.Context(), Config{File: path}); !errors.Is(err, ErrInUse) {
		t.Errorf("%v %v", other, err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFile+"="+path)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), ErrInUse.Error()) {
		t.Errorf("%v: %s", err, out)
	}
	submit(t, q, near("a", "e1")) // none of which disturbed it
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	mustShow(t, openTest(t, Config{File: path}), "a")
}

// The disk fills up: Submit fails, what was there stays, and once there is room it goes on.
func TestDiskFull(t *testing.T) {
	t.Run("page limit", func(t *testing.T) {
		fill(t, Config{File: file(t), maxPages: 40}, func(q *Queue) error {
			_, err := q.db.Exec("PRAGMA max_page_count(4000)")
			return err
		})
	})
	t.Run("file system", func(t *testing.T) {
		dir := t.TempDir()
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "none", dir).CombinedOutput(); err != nil {
			t.Skipf("no small file system can be mounted here: %v: %s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
		fill(t, Config{File: filepath.Join(dir, "review.db")}, func(*Queue) error {
			out, err := exec.Command("mount", "-o", "remount,size=8m", dir).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	})
}

func fill(t *testing.T, config Config, makeRoom func(*Queue) error) {
	q := openTest(t, config)
	n := 0
	var full error
	for ; full == nil; n++ {
		if n > 5000 {
			t.Fatal("it never fills up")
		}
		full = q.Submit(t.Context(), near(fmt.Sprint(n), "e1"))
	}
	if n < 20 {
		t.Fatalf("only %d items: %v", n, full)
	}
	if !strings.Contains(full.Error(), "full") {
		t.Errorf("the error does not say why: %v", full)
	}
	if err := q.Release(t.Context(), Ref{Item: "0"}, By{Actor: "ann", Reason: strings.Repeat("r", MaxReason)}); err == nil {
		t.Log("a decision still had room")
	} else if got := mustShow(t, q, "0"); got.State != Pending {
		t.Errorf("a decision that failed counts: %+v", got)
	}
	for i := range n - 1 {
		mustShow(t, q, fmt.Sprint(i))
	}
	if err := makeRoom(q); err != nil {
		t.Fatal(err)
	}
	submit(t, q, near("again", "e1"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	config.maxPages = 0
	q = openTest(t, config)
	items, _, err := q.List(t.Context(), Filter{Limit: MaxLimit})
	if err != nil || len(items) < min(n, MaxLimit) {
		t.Fatal(len(items), n, err)
	}
}

// A file of an older schema is brought to the newest with what is in it; a step that fails leaves it as it was.
func TestMigration(t *testing.T) {
	path := file(t)
	q := openTest(t, Config{File: path})
	submit(t, q, near("a", "e1"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	next := "ALTER TABLE items ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"
	if _, err := open(t.Context(), Config{File: path}, append(schema[:len(schema):len(schema)], next, "CREATE NONSENSE")); err == nil {
		t.Fatal("a step that cannot be done was done")
	}
	q = openTest(t, Config{File: path}) // as it was
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q, err := open(t.Context(), Config{File: path}, append(schema[:len(schema):len(schema)], next))
	if err != nil {
		t.Fatal(err)
	}
	mustShow(t, q, "a")
	var note string
	if err := q.db.QueryRow("SELECT note FROM items").Scan(&note); err != nil || note != "none" {
		t.Error(note, err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{File: path}); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("an older program opened it: %v", err)
	}
}

// FuzzCursor: no cursor makes List fail otherwise than by name, and those that are taken are those that List returns.
func FuzzCursor(f *testing.F) {
	for _, text := range []string{"", "s", "s0", "s1", "szz", "s-1", "S1", "s+1", "s1z141z4", "s1y2p0ij32e8e7", "s1y2p0ij32e8e8", "s1' OR 1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seq, err := parseCursor(text)
		switch {
		case err != nil && !errors.Is(err, ErrFilter):
			t.Error(err)
		case err == nil && text != "" && formatCursor(seq) != text:
			t.Errorf("%q is taken for %d", text, seq)
		}
	})
}

func BenchmarkSubmit(b *testing.B) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("at once=%d", n), func(b *testing.B) {
			q := openTest(b, Config{})
			ids := make(chan string, n)
			var all sync.WaitGroup
			b.ResetTimer()
			for range n {
				all.Go(func() {
					for id := range ids {
						if err := q.Submit(context.Background(), near(id, "e1")); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				ids <- fmt.Sprint(i)
			}
			close(ids)
			all.Wait()
		})
	}
}
