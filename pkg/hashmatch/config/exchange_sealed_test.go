package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/exchange/fake"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
)

// syncedFolder is a folder whose list "demo" is signed, encrypted and filled by an exchange.
type syncedFolder struct {
	*sealedFolder
	fake  *fake.Server
	ahead atomic.Int64 // of the clock here: what happens now is over
	asked atomic.Pointer[func()]
}

func newSyncedFolder(t *testing.T, dialect exchange.Dialect, entries int) *syncedFolder {
	f := &syncedFolder{sealedFolder: newSealedFolder(t)}
	var err error
	f.fake, err = fake.New(fake.Config{
		Dialect: string(dialect), Seed: 3, Entries: entries, PageSize: 50, User: "synthetic", Password: "synthetic",
		Now: func() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) },
	})
	f.must(err)
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked := f.asked.Load(); asked != nil {
			(*asked)()
		}
		f.fake.ServeHTTP(w, r)
	}))
	t.Cleanup(listener.Close)
	f.must(f.key.Write(filepath.Join(f.path, "lists.key")))
	f.write("credentials", "user=synthetic\npassword=synthetic\n")
	f.rewrite("keys: {", "keys: {sign: lists.key, ")
	f.append(fmt.Sprintf("exchanges:\n  - {list: demo, dialect: %s, address: %q, credentials: credentials}\n", dialect, listener.URL))
	return f
}

func (f *syncedFolder) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *syncedFolder) read(name string) []byte {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.path, name))
	f.must(err)
	return text
}

// rewrite changes the configuration.
func (f *syncedFolder) rewrite(old, replacement string) {
	f.t.Helper()
	text := string(f.read("h.yaml"))
	if !strings.Contains(text, old) {
		f.t.Fatalf("no %q in %s", old, text)
	}
	f.write("h.yaml", strings.Replace(text, old, replacement, 1))
}

func (f *syncedFolder) append(text string) { f.write("h.yaml", string(f.read("h.yaml"))+text) }

// syncer saves after every answer.
func (f *sealedFolder) syncer() (*exchange.Syncer, error) {
	c := f.load()
	settings, err := c.exchange(c.Exchanges[0], SyncOptions{})
	if err != nil {
		return nil, err
	}
	settings.SaveEvery, settings.Backoff = -1, time.Millisecond
	return exchange.New(settings)
}

func (f *syncedFolder) sync() (exchange.Result, error) {
	f.t.Helper()
	s, err := f.syncer()
	f.must(err)
	return s.Sync(f.t.Context())
}

// change lets things happen at the exchange, long enough ago to be told of.
func (f *syncedFolder) change(n int) {
	f.ahead.Add(int64(5 * time.Second))
	f.fake.Change(n)
	f.ahead.Add(int64(5 * time.Second))
}

// equal fails unless the list's file is signed, encrypted, and what the exchange holds.
func (f *syncedFolder) equal() seal.Statement {
	f.t.Helper()
	c := f.load()
	reading, err := c.Reading(c.Lists[0], time.Now())
	f.must(err)
	snapshot, statement, err := seal.Open(c.Lists[0].File, reading)
	f.must(err)
	if !bytes.HasPrefix(f.read("demo.hml"), []byte("age-encryption.org/")) || statement.List != "demo" || statement.Key != f.key.Public().ID() {
		f.t.Fatalf("%+v", statement)
	}
	if different := fake.Differences(snapshot.List(), f.fake.Truth()); different != nil {
		f.t.Fatalf("%d differences, such as %s", len(different), different[0])
	}
	return statement
}

// What an exchange fills is signed and encrypted, goes on from the checkpoint in it, and can be served; its serials grow.
func TestSealedSync(t *testing.T) {
	for _, dialect := range []exchange.Dialect{exchange.NCMEC, exchange.File} {
		f := newSyncedFolder(t, dialect, 300)
		for _, w := range f.load().Check() {
			if w.Fatal && !strings.Contains(w.Text, "no such file") {
				t.Error(w)
			}
		}
		first, err := f.sync()
		if err != nil || !first.Whole {
			t.Fatal(first, err)
		}
		before := f.equal()
		e, err := f.load().Open(t.Context(), OpenOptions{})
		f.must(err)
		defer e.Close()
		f.must(e.LoadLists(t.Context()))
		for range 3 {
			f.change(20)
			next, err := f.sync()
			if err != nil || next.Whole != (dialect == exchange.File) || next.Added+next.Changed+next.Withdrawn == 0 {
				t.Fatalf("%+v, %v", next, err)
			}
			after := f.equal()
			if after.Serial <= before.Serial {
				t.Errorf("serial %d after %d", after.Serial, before.Serial)
			}
			before = after
			f.must(e.LoadLists(t.Context()))
			if e.Lists().Lists()[0].List().Revision() != after.Revision {
				t.Error("another revision is served")
			}
		}
	}
}

// A sync goes on from nothing that may have been put there by others: it is refused and stays as it is, or, where nobody
// signed it, is fetched anew.
func TestSealedSyncRefuses(t *testing.T) {
	f := newSyncedFolder(t, exchange.NCMEC, 200)
	_, err := f.sync()
	f.must(err)
	older := f.read("demo.hml")
	f.change(20)
	_, err = f.sync()
	f.must(err)
	sound := f.read("demo.hml")
	altered := bytes.Clone(sound)
	altered[len(altered)/2] ^= 1
	w, err := f.load().Writing("demo", time.Now())
	f.must(err)
	serial := uint64(time.Now().UnixMicro())
	foreign, other := w, w
	foreign.Key, other.List = f.other, "/partial of demo"
	for what, c := range map[string]struct {
		text []byte
		want error
	}{
		"altered":   {altered, nil},
		"truncated": {sound[:len(sound)-5], nil},
		"foreign":   {[]byte(f.snapshot(9, serial, foreign)), seal.ErrForeign},
		"partial":   {[]byte(f.snapshot(9, serial, other)), seal.ErrOtherList},
		"older":     {older, seal.ErrReplayed},
	} {
		f.write("demo.hml", string(c.text))
		_, err := f.sync()
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
		if !bytes.Equal(f.read("demo.hml"), c.text) {
			t.Errorf("%s: replaced", what)
		}
	}
	f.write("demo.hml", f.snapshot(9, serial, seal.Writing{}))
	result, err := f.sync()
	if err != nil || !result.Whole {
		t.Errorf("unsigned: %+v, %v", result, err)
	}
	f.equal()

	// An older one that a person accepts is gone on from.
	c := f.load()
	f.write("demo.hml", string(older))
	reading, err := c.Reading(c.Lists[0], time.Now())
	f.must(err)
	reading.Last = seal.Serial{}
	_, statement, err := seal.Open(c.Lists[0].File, reading)
	f.must(err)
	f.must(c.Lower(statement))
	if result, err = f.sync(); err != nil || result.Whole {
		t.Errorf("accepted: %+v, %v", result, err)
	}
	f.equal()
}

// With a key that signs and nothing that verifies, a sync trusts what it signed itself.
func TestSealedSyncWithoutVerify(t *testing.T) {
	f := newSyncedFolder(t, exchange.NCMEC, 100)
	f.rewrite(", verify: [lists.pub]", "")
	f.rewrite("seen: seen, ", "")
	for range 2 {
		_, err := f.sync()
		f.must(err)
		f.equal()
		f.change(5)
	}
	f.write("demo.hml", f.snapshot(9, uint64(time.Now().UnixMicro()), seal.Writing{Key: f.other, List: "demo"}))
	if _, err := f.sync(); !errors.Is(err, seal.ErrForeign) {
		t.Error(err)
	}
}

// Keys with which nothing could be read again are found before anything is written.
func TestSealedSyncNeedsKeys(t *testing.T) {
	for what, c := range map[string]struct{ old, new, want string }{
		"no signature": {"sign: lists.key, ", "", "keys.sign must be stated"},
		"no identity":  {"identities: [id.txt], ", "", "no identity is named"},
		"foreign key":  {"sign: lists.key", "sign: other.key", "which it does not accept"},
		"other person": {"identities: [id.txt]", "identities: [other.txt]", "none of the identities"},
	} {
		f := newSyncedFolder(t, exchange.NCMEC, 10)
		f.must(f.other.Write(filepath.Join(f.path, "other.key")))
		other, err := age.GenerateX25519Identity()
		f.must(err)
		f.write("other.txt", other.String()+"\n")
		f.rewrite(c.old, c.new)
		_, err = f.load().Syncers(SyncOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
		found := false
		for _, w := range f.load().Check() {
			found = found || w.Fatal && strings.Contains(w.Text, c.want)
		}
		if !found {
			t.Errorf("%s: config check says nothing", what)
		}
	}
}

// childFolder tells the test binary to sync the list of a folder, and to be killed.
const childFolder = "HASHMATCH_TEST_SEALED_SYNC"

func TestSealedSyncChild(t *testing.T) {
	path := os.Getenv(childFolder)
	if path == "" {
		t.Skip("it is the process that TestSealedSyncKilled kills")
	}
	s, err := (&sealedFolder{t: t, path: path}).syncer()
	if err == nil {
		_, err = s.Sync(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Killed at any moment, what is on disk is sealed and true; the next sync makes it equal to the exchange.
func TestSealedSyncKilled(t *testing.T) {
	f := newSyncedFolder(t, exchange.NCMEC, 400)
	random := rand.New(rand.NewPCG(5, 6))
	killed, kills := 0, 6
	if testing.Short() {
		kills = 3
	}
	for range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSealedSyncChild$")
		cmd.Env = append(os.Environ(), childFolder+"="+f.path)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		left, pause := int32(random.IntN(20)), time.Duration(random.IntN(8000))*time.Microsecond
		var asked atomic.Int32
		started := make(chan struct{}) // it asks before Start has returned
		f.asked.Store(new(func() {
			if asked.Add(1) == left+1 {
				time.AfterFunc(pause, func() {
					<-started
					_ = cmd.Process.Kill()
				})
			}
		}))
		f.must(cmd.Start())
		close(started)
		err := cmd.Wait()
		f.asked.Store(nil)
		var exited *exec.ExitError
		if errors.As(err, &exited) && !exited.Exited() {
			killed++
		} else if err != nil {
			t.Fatalf("%v: %s", err, said.String())
		}
		for _, name := range []string{"demo.hml", "demo.hml.partial"} {
			text, err := os.ReadFile(filepath.Join(f.path, name))
			if err == nil && !bytes.HasPrefix(text, []byte("age-encryption.org/")) {
				t.Fatalf("%s is not encrypted", name)
			}
		}
		f.change(10)
	}
	if killed < kills/3 {
		t.Errorf("%d of %d were killed", killed, kills)
	}
	_, err := f.sync()
	f.must(err)
	f.equal()
	t.Logf("%d of %d killed", killed, kills)
}
