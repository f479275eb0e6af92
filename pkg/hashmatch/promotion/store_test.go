package promotion

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

func revision(i int) (r hashlist.Revision) {
	r[0], r[31] = byte(i), 1
	return r
}

func unchanged(os.FileInfo) bool { return true }

func newStore(t *testing.T) (Store, string) {
	t.Helper()
	dir := t.TempDir()
	list := filepath.Join(dir, "list.csv")
	if err := os.WriteFile(list, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Store{Folder: filepath.Join(dir, "list.csv.revisions", "demo"), Keep: 3}, list
}

func TestStoreKeepsTheLast(t *testing.T) {
	s, list := newStore(t)
	if state, err := s.State(); err != nil || len(state.Kept) != 0 || state.Aside != nil {
		t.Fatalf("%v, %+v", err, state)
	}
	for i := 1; i <= 5; i++ {
		if err := os.WriteFile(list, []byte{byte('0' + i)}, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Accept(Kept{Revision: revision(i), Entries: i}, list, unchanged); err != nil {
			t.Fatal(err)
		}
	}
	state, err := s.State()
	if err != nil || len(state.Kept) != 3 || state.Kept[0].Revision != revision(5) || state.Kept[2].Revision != revision(3) {
		t.Fatalf("%v, %+v", err, state)
	}
	for i := 1; i <= 5; i++ {
		text, err := os.ReadFile(s.Path(revision(i)))
		if i < 3 && !os.IsNotExist(err) || i >= 3 && string(text) != string(rune('0'+i)) {
			t.Errorf("revision %d: %q, %v", i, text, err)
		}
	}
	if err := s.Accept(Kept{Revision: revision(3), Entries: 3}, list, unchanged); err != nil {
		t.Fatal(err)
	}
	if state, _ := s.State(); state.Kept[0].Revision != revision(3) || len(state.Kept) != 3 {
		t.Errorf("accepted again: %+v", state.Kept)
	}
	if text, _ := os.ReadFile(s.Path(revision(3))); string(text) != "3" {
		t.Errorf("its copy is %q", text)
	}
}

// A file that is replaced while it is copied is not taken for the revision that was read.
func TestStoreDoesNotKeepAnotherFile(t *testing.T) {
	s, list := newStore(t)
	if err := s.Accept(Kept{Revision: revision(1)}, list, func(os.FileInfo) bool { return false }); err == nil {
		t.Fatal("kept")
	}
	if state, err := s.State(); err != nil || len(state.Kept) != 0 {
		t.Errorf("%v, %+v", err, state)
	}
	left, err := os.ReadDir(s.Folder)
	if err != nil || len(left) != 0 {
		t.Errorf("%v, %v", err, left)
	}
}

func TestStoreSetAside(t *testing.T) {
	s, list := newStore(t)
	if err := s.Accept(Kept{Revision: revision(1)}, list, unchanged); err != nil {
		t.Fatal(err)
	}
	first := Aside{List: "demo", Revision: revision(2), Since: time.Unix(100, 0).UTC(), Reasons: []Reason{{GuardShrink, "x"}}}
	later := first
	later.Since, later.Reasons = time.Unix(200, 0).UTC(), []Reason{{GuardRefused, "y"}}
	for _, a := range []Aside{first, later} {
		if err := s.SetAside(a); err != nil {
			t.Fatal(err)
		}
	}
	state, err := s.State()
	if err != nil || state.Aside == nil || !state.Aside.Since.Equal(first.Since) || state.Aside.Reasons[0].Guard != GuardRefused || len(state.Kept) != 1 {
		t.Fatalf("%v, %+v", err, state.Aside)
	}
	if err := s.Accept(Kept{Revision: revision(1)}, list, unchanged); err != nil {
		t.Fatal(err)
	}
	if state, _ := s.State(); state.Aside != nil {
		t.Error("still set aside")
	}
}

func TestDecisions(t *testing.T) {
	s, list := newStore(t)
	if all, err := s.Decisions(); err != nil || len(all) != 0 {
		t.Fatal(err, all)
	}
	decide := func(act Act, r int) error {
		return s.Decide(Decision{Act: act, Revision: revision(r), By: "ann", Reason: "because", Time: time.Unix(1, 0).UTC()})
	}
	if err := decide(Rollback, 1); err == nil {
		t.Error("rolled back to what is not kept")
	}
	if err := s.Accept(Kept{Revision: revision(1)}, list, unchanged); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []Decision{
		{Act: Accept, Revision: revision(1), By: "ann"}, {Act: Accept, Revision: revision(1), Reason: "x"}, {Act: Accept, By: "a", Reason: "x"},
		{Act: "allow", Revision: revision(1), By: "a", Reason: "x"}, {Act: Accept, Revision: revision(1), By: "a", Reason: strings.Repeat("x", 1001)},
	} {
		if err := s.Decide(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	for _, one := range []struct {
		act Act
		r   int
	}{{Accept, 2}, {Refuse, 2}, {Rollback, 1}, {Refuse, 3}} {
		if err := decide(one.act, one.r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Decisions()
	if err != nil || len(all) != 4 || all[2].Act != Rollback {
		t.Fatal(err, all)
	}
	if pin, ok := all.Pinned(); !ok || pin.Revision != revision(1) {
		t.Error(pin, ok)
	}
	if d, ok := all.On(revision(2)); !ok || d.Act != Refuse {
		t.Error(d, ok)
	}
	if _, ok := all.On(revision(1)); ok {
		t.Error("a roll-back is an acceptance")
	}
	if err := decide(Accept, 3); err != nil {
		t.Fatal(err)
	}
	if all, _ = s.Decisions(); len(all) != 5 {
		t.Fatal(all)
	}
	if pin, ok := all.Pinned(); ok {
		t.Error("still pinned", pin)
	}
	// One that is damaged may be what keeps a revision out.
	if err := os.WriteFile(s.decisionPath(3), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Decisions(); err == nil {
		t.Error("a damaged decision is passed over")
	}
}

// Of many who decide at once, each decision is there.
func TestDecisionsAtOnce(t *testing.T) {
	s, _ := newStore(t)
	const n = 40
	var deciding sync.WaitGroup
	for i := range n {
		deciding.Go(func() {
			if err := s.Decide(Decision{Act: Refuse, Revision: revision(i), By: "ann", Reason: "x"}); err != nil {
				t.Error(err)
			}
		})
	}
	deciding.Wait()
	all, err := s.Decisions()
	seen := make(map[hashlist.Revision]bool)
	for _, d := range all {
		seen[d.Revision] = true
	}
	if err != nil || len(all) != n || len(seen) != n {
		t.Errorf("%v: %d decisions on %d revisions", err, len(all), len(seen))
	}
}

// What a kill between two steps leaves is a folder as before or after a step: a copy without a state, a state and a copy
// too many, halves of files.
func TestStoreAfterAKill(t *testing.T) {
	s, list := newStore(t)
	if err := s.Accept(Kept{Revision: revision(1)}, list, unchanged); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		revision(2).String() + ".list": "copied, and the state not written", ".state.json.1.tmp": `{"kept":`, "." + revision(3).String() + ".list.9.tmp": "half",
	} {
		if err := os.WriteFile(filepath.Join(s.Folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, err := s.State()
	if err != nil || len(before.Kept) != 1 {
		t.Fatal(err, before)
	}
	if err := s.Accept(Kept{Revision: revision(4)}, list, unchanged); err != nil {
		t.Fatal(err)
	}
	var names []string
	left, err := os.ReadDir(s.Folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		names = append(names, e.Name())
	}
	want := []string{revision(1).String() + ".list", revision(4).String() + ".list", "state.json"}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"kept":[{"revision":"`+revision(1).String()+`","entries":3,"accepted":"2026-01-02T03:04:05Z"}]}`), []byte(`{"act":"accept"}`))
	f.Add([]byte(`{"version":2}`), []byte(`{"act":"refuse","revision":"`+revision(1).String()+`","by":"a","reason":"b","time":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, state, decision []byte) {
		s := Store{Folder: t.TempDir(), Keep: 2}
		if err := os.Mkdir(s.DecisionsFolder(), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.statePath(), state, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.decisionPath(1), decision, 0o600); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Decisions(); err == nil && (len(all) != 1 || all[0].check() != nil) {
			t.Errorf("%+v is taken for decisions", all)
		}
		if got, err := s.State(); err == nil {
			if err := s.writeState(got); err != nil {
				t.Fatal(err)
			}
			if again, err := s.State(); err != nil || !reflect.DeepEqual(got, again) {
				t.Errorf("%+v is read back as %+v, %v", got, again, err)
			}
		}
	})
}
