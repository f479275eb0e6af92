package config

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/promotion"
)

// guarded is a service's engine with one list, "demo", in list.csv or list.hml.
type guarded struct {
	t      *testing.T
	dir    string
	config *Config
	engine *Engine
	log    bytes.Buffer
}

func newGuarded(t *testing.T, more string) *guarded {
	t.Helper()
	g := &guarded{t: t, dir: writeFiles(t, map[string]string{"c.yaml": surface + "lists: [{name: demo, file: list.csv}]\n" + more})}
	g.reread()
	return g
}

// start is a service that starts.
func (g *guarded) start() error {
	g.t.Helper()
	if g.engine != nil {
		g.engine.Close()
	}
	var err error
	g.log.Reset()
	g.engine, err = g.config.Open(g.t.Context(), OpenOptions{Guard: true, Logger: slog.New(slog.NewTextHandler(&g.log, nil))})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { g.engine.Close() })
	return g.engine.LoadLists(g.t.Context())
}

func (g *guarded) reread() {
	g.t.Helper()
	c, err := Load(filepath.Join(g.dir, "c.yaml"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.config = c
}

func (g *guarded) file() string { return g.config.Lists[0].File }

// line is one of the csv; the same number gives the same hash.
func line(i int, status string) string {
	r := rand.New(rand.NewPCG(uint64(i), 77))
	h := hashmatch.Hash{Kind: hashmatch.PDQ}
	for j := range h.Bits {
		h.Bits[j] = byte(r.Uint32())
	}
	if status == "withdrawn" {
		return fmt.Sprintf("e%d,,,%s\n", i, status)
	}
	return fmt.Sprintf("e%d,pdq,%s,%s\n", i, h.Hex(), status)
}

func hashOf(i int) hashmatch.Hash {
	h, err := hashmatch.ParseHash("pdq:" + strings.Split(line(i, ""), ",")[2])
	if err != nil {
		panic(err)
	}
	return h
}

func lines(from, to int) string {
	var text strings.Builder
	for i := from; i < to; i++ {
		text.WriteString(line(i, ""))
	}
	return text.String()
}

// put replaces the list's file by renaming, or writes into it.
func (g *guarded) put(inPlace bool, text string) {
	g.t.Helper()
	path := g.file()
	if !inPlace {
		path += ".new"
	}
	if err := os.WriteFile(path, []byte("entry,kind,hash,status\n"+text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if !inPlace {
		if err := os.Rename(path, g.file()); err != nil {
			g.t.Fatal(err)
		}
	}
}

func (g *guarded) reload() error { return g.engine.Reload(g.t.Context(), g.config) }

// finds says which of some entries match.
func (g *guarded) finds(numbers ...int) []bool {
	g.t.Helper()
	var out []bool
	for _, i := range numbers {
		found := false
		g.engine.Lists().Search(hashOf(i), func(string) int { return 0 }, func(m hashmatch.Match) {
			found = found || m.Status == hashmatch.Active
		})
		out = append(out, found)
	}
	return out
}

func (g *guarded) want(what string, numbers []int, found ...bool) {
	g.t.Helper()
	if got := g.finds(numbers...); fmt.Sprint(got) != fmt.Sprint(found) {
		g.t.Errorf("%s: entries %v found %v, want %v\n%s", what, numbers, got, found, g.log.String())
	}
}

// aside returns the guards that the list's file trips; "" if what it holds is served.
func (g *guarded) aside() string {
	g.t.Helper()
	var names []string
	for _, a := range g.engine.SetAside() {
		for _, r := range a.Reasons {
			names = append(names, string(r.Guard))
		}
	}
	state, err := g.store().State()
	if err != nil {
		g.t.Fatal(err)
	}
	if (state.Aside != nil) != (len(names) > 0) {
		g.t.Errorf("set aside for %v, and recorded is %+v", names, state.Aside)
	}
	return strings.Join(names, " ")
}

func (g *guarded) store() promotion.Store { return g.config.Revisions(g.config.Lists[0]) }

func (g *guarded) decide(act promotion.Act, r hashlist.Revision) {
	g.t.Helper()
	err := g.store().Decide(promotion.Decision{Act: act, Revision: r, By: "ann", Reason: "looked at it", Time: time.Unix(1e9, 0).UTC()})
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *guarded) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatalf("%v\n%s", err, g.log.String())
	}
}

// A list of 13 entries that becomes one of 1, as a copy in progress does, is not served, in either way of writing it;
// neither after a restart. A person accepts it.
func TestCutOffListIsSetAside(t *testing.T) {
	for _, inPlace := range []bool{false, true} {
		t.Run(fmt.Sprint("in place ", inPlace), func(t *testing.T) {
			g := newGuarded(t, "")
			g.put(inPlace, lines(0, 13))
			g.must(g.start())
			g.put(inPlace, lines(0, 1))
			g.must(g.reload())
			g.want("cut off", []int{0, 12}, true, true)
			if g.aside() != "shrink" || !strings.Contains(g.log.String(), "level=WARN") {
				t.Errorf("set aside for %q\n%s", g.aside(), g.log.String())
			}
			g.must(g.start())
			g.want("after a restart", []int{0, 12}, true, true)
			if g.aside() != "shrink" {
				t.Errorf("set aside for %q", g.aside())
			}
			g.decide(promotion.Accept, g.engine.SetAside()[0].Revision)
			g.must(g.reload())
			g.want("accepted", []int{0, 12}, true, false)
			g.must(g.start())
			g.want("accepted, after a restart", []int{0, 12}, true, false)
			if g.aside() != "" {
				t.Errorf("set aside for %q", g.aside())
			}
		})
	}
}

// The rest of the copy arrives: what was set aside is forgotten.
func TestCopyThatEndsIsServed(t *testing.T) {
	g := newGuarded(t, "")
	g.put(true, lines(0, 13))
	g.must(g.start())
	g.put(true, lines(0, 2))
	g.must(g.reload())
	if g.aside() != "shrink" {
		t.Fatalf("set aside for %q", g.aside())
	}
	g.put(true, lines(0, 14))
	g.must(g.reload())
	g.want("whole again", []int{12, 13}, true, true)
	if g.aside() != "" {
		t.Errorf("set aside for %q", g.aside())
	}
}

func TestRefusedRevision(t *testing.T) {
	g := newGuarded(t, "")
	g.put(false, lines(0, 30))
	g.must(g.start())
	g.put(false, lines(0, 5))
	g.must(g.reload())
	g.decide(promotion.Refuse, g.engine.SetAside()[0].Revision)
	g.must(g.reload())
	g.want("refused", []int{0, 29}, true, true)
	if g.aside() != "refused" {
		t.Errorf("set aside for %q", g.aside())
	}
	g.put(false, lines(0, 29)) // the next one is compared with what is in force
	g.must(g.reload())
	g.want("the next one", []int{0, 29}, true, false)
	g.put(false, lines(0, 5))
	g.must(g.reload())
	if g.aside() != "refused" {
		t.Errorf("the refused one again: set aside for %q", g.aside())
	}
}

func TestRollback(t *testing.T) {
	g := newGuarded(t, "")
	g.put(false, lines(0, 20))
	g.must(g.start())
	first := g.engine.Lists().Lists()[0].List().Revision()
	g.put(false, lines(0, 25))
	g.must(g.reload())
	g.want("before", []int{0, 24}, true, true)
	g.decide(promotion.Rollback, first)
	g.must(g.reload())
	g.want("rolled back", []int{0, 24}, true, false)
	if g.aside() != "rollback" {
		t.Errorf("set aside for %q", g.aside())
	}
	g.put(false, line(3, "withdrawn")+lines(4, 26)) // whatever comes waits, but for what it withdraws
	g.must(g.reload())
	g.want("still", []int{0, 3, 24, 25}, true, false, false, false)
	g.must(g.start())
	g.want("after a restart", []int{0, 3, 24, 25}, true, false, false, false)
	if err := os.WriteFile(g.file(), []byte("not a list"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.must(g.start())
	g.want("with a file that is none", []int{0, 24}, true, false)
	g.put(false, lines(0, 26))
	g.must(g.reload())
	g.decide(promotion.Accept, g.engine.SetAside()[0].Revision)
	g.must(g.reload())
	g.want("accepted", []int{0, 3, 24, 25}, true, true, true, true)
}

// What a set-aside revision withdraws and suspends is so at once; the rest of it waits.
func TestWithdrawalsDoNotWait(t *testing.T) {
	g := newGuarded(t, "")
	g.put(false, lines(0, 40))
	g.must(g.start())
	g.put(false, line(0, "withdrawn")+line(1, "suspended")+lines(2, 20)+lines(50, 52))
	g.must(g.reload())
	if g.aside() != "shrink" || g.engine.SetAside()[0].Applied != 2 {
		t.Errorf("set aside for %q: %+v", g.aside(), g.engine.SetAside())
	}
	g.want("set aside", []int{0, 1, 2, 39, 50}, false, false, true, true, false)
	g.must(g.start())
	g.want("after a restart", []int{0, 1, 2, 39, 50}, false, false, true, true, false)
	// A revision that withdraws everything cannot leave nothing to search for.
	var all strings.Builder
	for i := range 40 {
		all.WriteString(line(i, "withdrawn"))
	}
	g.put(false, all.String()+lines(90, 91))
	g.must(g.reload())
	if g.engine.Lists().Kinds() == 0 {
		t.Error("nothing is searched any more")
	}
}

func TestHarmlessPicturesAreNotListed(t *testing.T) {
	g := newGuarded(t, "guards: {clean: clean}\n")
	picture, err := os.ReadFile("../../../testdata/uploads/clean-landscape.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(g.dir, "clean"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "clean", "one.jpg"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
	g.put(false, lines(0, 20))
	g.must(g.start())
	hashes := g.engine.Scanner.Hash(t.Context(), hashmatch.Item{Content: bytes.NewReader(picture), Size: int64(len(picture))}, hashmatch.SetOf(hashmatch.PDQ), 0)
	common, err := commonHashes(hashmatch.SetOf(hashmatch.PDQ))
	if err != nil || len(hashes.Frames) != 1 || len(common) < 80 {
		t.Fatal(err, hashes, len(common))
	}
	shade := slicesFirst(t, common, hashmatch.PDQ)
	for name, h := range map[string]hashmatch.Hash{"of the folder": hashes.Frames[0].Hash, "of the shipped ones": shade} {
		g.put(false, lines(0, 20)+fmt.Sprintf("x,pdq,%s,\n", h.Hex()))
		g.must(g.reload())
		if g.aside() != "harmless" || len(g.engine.SetAside()[0].Matching) != 1 {
			t.Errorf("%s: set aside for %q, %+v", name, g.aside(), g.engine.SetAside())
		}
	}
	g.put(false, lines(0, 21))
	g.must(g.reload())
	if g.aside() != "" {
		t.Errorf("set aside for %q", g.aside())
	}
	// The sample as a file of hashes.
	if err := os.RemoveAll(filepath.Join(g.dir, "clean")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "clean"), []byte("kind,hash\npdq,"+hashOf(500).Hex()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.put(false, lines(0, 21)+line(500, ""))
	g.must(g.reload())
	if g.aside() != "harmless" {
		t.Errorf("a file of hashes: set aside for %q", g.aside())
	}
}

// An allow-list holds harmless pictures: it is what it is for.
func TestAllowListMayHoldHarmlessPictures(t *testing.T) {
	g := newGuarded(t, "")
	text, err := os.ReadFile(filepath.Join(g.dir, "c.yaml"))
	g.must(err)
	more := strings.Replace(string(text), "]\n", ", {name: fine, file: fine.csv, role: allow, thresholds: {pdq: 10}}]\n", 1)
	g.must(os.WriteFile(filepath.Join(g.dir, "c.yaml"), []byte(more), 0o600))
	g.reread()
	common, err := commonHashes(hashmatch.SetOf(hashmatch.PDQ))
	g.must(err)
	fine := g.config.Lists[1].File
	g.must(os.WriteFile(fine, []byte("entry,kind,hash,status\n"+lines(0, 5)), 0o600))
	g.put(false, lines(100, 120))
	g.must(g.start())
	g.must(os.WriteFile(fine, []byte("entry,kind,hash,status\n"+lines(0, 5)+"x,pdq,"+slicesFirst(t, common, hashmatch.PDQ).Hex()+",\n"), 0o600))
	g.must(g.reload())
	if aside := g.engine.SetAside(); len(aside) > 0 {
		t.Errorf("%+v", aside)
	}
	if n := g.engine.Lists().Lists()[1].List().Len(); n != 6 {
		t.Errorf("%d entries", n)
	}
}

func BenchmarkCommonHashes(b *testing.B) {
	for b.Loop() {
		if _, err := hashCommon(hashmatch.PDQ); err != nil {
			b.Fatal(err)
		}
	}
}

func slicesFirst(t *testing.T, all []hashmatch.Hash, kind hashmatch.Kind) hashmatch.Hash {
	t.Helper()
	for _, h := range all[len(all)/2:] {
		if h.Kind == kind {
			return h
		}
	}
	t.Fatal("no hash of that kind")
	return hashmatch.Hash{}
}

// A snapshot that is cut off in place is not what was in force: the kept copy is.
func TestSnapshotThatIsCutOffInPlace(t *testing.T) {
	g := newGuarded(t, "")
	g.put(false, lines(0, 50))
	list, err := ReadList(g.file(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	g.must(hashlist.WriteFile(g.file(), list))
	g.must(g.start())
	info, err := os.Stat(g.file())
	if err != nil {
		t.Fatal(err)
	}
	g.must(os.Truncate(g.file(), info.Size()/2))
	g.must(g.reload())
	g.want("cut off in place", []int{0, 49}, true, true)
	if g.aside() != "unreadable" {
		t.Errorf("set aside for %q", g.aside())
	}
	g.must(g.start())
	g.want("after a restart", []int{0, 49}, true, true)
}

// An engine that looks once, and one that cannot write, do not mind.
func TestGuardIsForServicesOnly(t *testing.T) {
	g := newGuarded(t, "")
	g.put(false, lines(0, 13))
	plain, err := g.config.Open(t.Context(), OpenOptions{})
	g.must(err)
	defer plain.Close()
	g.must(plain.LoadLists(t.Context()))
	if _, err := os.Stat(g.file() + ".revisions"); !os.IsNotExist(err) {
		t.Error("something is kept")
	}
	// A file where the folder should be: nothing can be recorded, and the old list serves on all the same.
	g.must(os.WriteFile(g.file()+".revisions", nil, 0o600))
	if err := g.start(); err == nil || !strings.Contains(err.Error(), `list "demo"`) {
		t.Errorf("a folder that is a file: %v", err)
	}
}

// A list whose index is not that of its entries fails its proof.
func TestProofFailsForAnotherIndex(t *testing.T) {
	g := newGuarded(t, "")
	g.put(false, lines(0, 50))
	g.must(g.start())
	g.put(false, lines(0, 51))
	other, err := ReadList(g.file(), "demo")
	g.must(err)
	p := promoting{Engine: g.engine, c: g.config, list: g.config.Lists[0]}
	served, err := lookup.Serve(t.Context(), "demo", other)
	g.must(err)
	var a promotion.Aside
	if err := p.prove(t.Context(), served, nil, &a); err != nil || len(a.Reasons) > 0 {
		t.Errorf("%v, %v", err, a.Reasons)
	}
	gone := hashmatch.Entry{Key: hashmatch.EntryKey{ID: "e7"}, Signatures: []hashmatch.Signature{{Hash: hashOf(7)}}}
	if err := p.prove(t.Context(), served, []promotion.Change{{Old: &gone}}, &a); err != nil || len(a.Reasons) != 1 || a.Reasons[0].Guard != promotion.GuardProof {
		t.Errorf("an entry that should be gone: %v, %v", err, a.Reasons)
	}
}
