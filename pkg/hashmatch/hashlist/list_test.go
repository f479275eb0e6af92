package hashlist

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var day = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// testHash returns the hash of a kind whose bytes are all b.
func testHash(kind hashmatch.Kind, b byte) hashmatch.Hash {
	h := hashmatch.Hash{Kind: kind}
	for i := range h.Bits[:kind.Bits()/8] {
		h.Bits[i] = b
	}
	return h
}

func simple(id string, kind hashmatch.Kind, b byte) hashmatch.Entry {
	return hashmatch.Entry{
		Key: hashmatch.EntryKey{ID: id}, Signatures: []hashmatch.Signature{{Hash: testHash(kind, b)}},
		Added: day, Synced: day,
	}
}

// sample holds one entry of each shape that a record can have.
func sample() []hashmatch.Entry {
	everything := hashmatch.Entry{
		Key:            hashmatch.EntryKey{Source: "exchange", Member: "42", ID: "img/1 – é"},
		Labels:         []string{"A1", "synthetic"},
		Classification: "A1",
		Status:         hashmatch.Disputed,
		Added:          day, Updated: day.Add(-time.Hour + 1500*time.Microsecond), Synced: day.Add(time.Hour),
	}
	for i, kind := range hashmatch.Kinds() {
		everything.Signatures = append(everything.Signatures, hashmatch.Signature{Hash: testHash(kind, byte(i+1))})
	}
	everything.Signatures[2].Votes = hashmatch.Votes{Positive: 3, Negative: 1}
	everything.Signatures = append(everything.Signatures,
		hashmatch.Signature{Scheme: "photodna", Opaque: strings.Repeat("\x01\x80", 72)})
	derived := simple("", hashmatch.PDQ, 7)
	derived.Key.ID = DeriveID(derived.Signatures[0].Hash)
	opaque := hashmatch.Entry{
		Key:        hashmatch.EntryKey{ID: DeriveOpaqueID("photodna", "synthetic")},
		Signatures: []hashmatch.Signature{{Scheme: "photodna", Opaque: "synthetic"}},
		Status:     hashmatch.Suspended,
	}
	before := simple("before 1970", hashmatch.MD5, 9)
	before.Updated = time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)
	return []hashmatch.Entry{
		everything, derived, opaque, before, simple("plain", hashmatch.SHA1, 200),
		{Key: hashmatch.EntryKey{Source: "exchange", ID: "gone"}, Status: hashmatch.Withdrawn, Updated: day},
	}
}

func mustNew(t testing.TB, entries ...hashmatch.Entry) *List {
	t.Helper()
	l, err := New(slices.Values(entries))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func contents(l *List) map[string]hashmatch.Entry {
	all := make(map[string]hashmatch.Entry)
	for _, e := range l.Entries() {
		all[e.Key.String()] = e
	}
	return all
}

func TestListKeepsEntries(t *testing.T) {
	entries := sample()
	l := mustNew(t, entries...)
	if l.Len() != len(entries) {
		t.Fatalf("Len = %d, want %d", l.Len(), len(entries))
	}
	for _, want := range entries {
		i, found := l.Find(want.Key)
		if !found {
			t.Fatalf("%s: not found", want.Key)
		}
		if diff := cmp.Diff(want, l.Entry(i), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Key, diff)
		}
		if l.Key(i) != want.Key || l.Status(i) != want.Status || !slices.Equal(l.Labels(i), want.Labels) {
			t.Errorf("%s: Key, Status or Labels differ from Entry", want.Key)
		}
	}
	if _, found := l.Find(hashmatch.EntryKey{ID: "absent"}); found {
		t.Error("found an entry that is not there")
	}
	if want := hashmatch.SetOf(hashmatch.Kinds()...); l.Kinds() != want {
		t.Errorf("Kinds = %v", l.Kinds().Kinds())
	}
	counts := l.Counts()
	if counts[hashmatch.PDQ] != 2 || counts[hashmatch.MD5] != 2 || counts[hashmatch.DHash] != 1 || len(counts) != 10 {
		t.Errorf("Counts = %v", counts)
	}
	if got := l.OpaqueCounts(); len(got) != 1 || got["photodna"] != 2 {
		t.Errorf("OpaqueCounts = %v", got)
	}
	if got := l.StatusCounts(); got[hashmatch.Active] != 3 || got[hashmatch.Withdrawn] != 1 || len(got) != 4 {
		t.Errorf("StatusCounts = %v", got)
	}
}

func TestSignatures(t *testing.T) {
	l := mustNew(t, sample()...)
	searched, last := 0, uint32(0)
	for h, i := range l.Signatures() {
		searched++
		if i < last {
			t.Error("ordinals do not ascend")
		}
		last = i
		if !slices.ContainsFunc(l.Entry(i).Signatures, func(s hashmatch.Signature) bool { return s.Hash == h }) {
			t.Errorf("entry %d does not have %s", i, h.Kind)
		}
	}
	if searched != 10+3 {
		t.Errorf("%d hashes, want 13", searched)
	}
	opaque := 0
	for s, i := range l.OpaqueSignatures() {
		opaque++
		if s.Scheme != "photodna" || !slices.Contains(l.Entry(i).Signatures, s) {
			t.Errorf("entry %d does not have %s", i, s.Scheme)
		}
	}
	if opaque != 2 {
		t.Errorf("%d opaque signatures, want 2", opaque)
	}
	for range l.Signatures() {
		break // an iteration that is left early does not panic
	}
	for range l.OpaqueSignatures() {
		break
	}
	for range l.Entries() {
		break
	}
}

func TestEveryKindHasACode(t *testing.T) {
	for _, kind := range hashmatch.Kinds() {
		if code := codeOf[kind]; code == 0 || codes[code] != kind {
			t.Errorf("%s has no code: give it the next number, and the snapshot a new version", kind)
		}
	}
	if codeOf[0] != 0 {
		t.Error("no kind has a code")
	}
}

// The revisions below are contracts: a published list keeps its revision.
func TestRevisionIsStable(t *testing.T) {
	for _, test := range []struct {
		name    string
		entries []hashmatch.Entry
		want    string
	}{
		{"empty", nil, "39aa844d051f9ec5105426d22284187c69f151109e2421efce5f9aed360e17c7"},
		{"one", []hashmatch.Entry{simple("plain", hashmatch.PDQ, 1)}, "a748d21ea33d90f3068b8935a61e6aa158fab8e7941a61780e2e20e361b8730d"},
		{"sample", sample(), "157c437b6c3d71d100b177d8c3bed329f0279051c6786e1675b605451d444575"},
	} {
		r := mustNew(t, test.entries...).Revision()
		if r.String() != test.want {
			t.Errorf("%s: revision %s, want %s", test.name, r, test.want)
		}
		if len(r.Short()) != 12 || !strings.HasPrefix(r.String(), r.Short()) || r.IsZero() {
			t.Errorf("Short = %q", r.Short())
		}
		text, _ := r.MarshalText()
		var back Revision
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Errorf("%s: text form: %v", test.name, err)
		}
	}
	for _, text := range []string{"", "12", strings.Repeat("A", 64), strings.Repeat("x", 64)} {
		if _, err := ParseRevision(text); err == nil {
			t.Errorf("ParseRevision(%q) succeeded", text)
		}
	}
}

// What counts for a revision, and what does not.
func TestRevisionCoversContent(t *testing.T) {
	base := sample()[0]
	revision := func(edit func(*hashmatch.Entry)) Revision {
		e := base
		e.Signatures, e.Labels = slices.Clone(e.Signatures), slices.Clone(e.Labels)
		edit(&e)
		return mustNew(t, e).Revision()
	}
	same := map[string]func(*hashmatch.Entry){
		"nothing":            func(e *hashmatch.Entry) {},
		"added":              func(e *hashmatch.Entry) { e.Added = day.Add(time.Hour) },
		"synced":             func(e *hashmatch.Entry) { e.Synced = time.Time{} },
		"order":              func(e *hashmatch.Entry) { slices.Reverse(e.Signatures); slices.Reverse(e.Labels) },
		"doubles":            func(e *hashmatch.Entry) { e.Signatures = append(e.Signatures, e.Signatures[0]) },
		"double label":       func(e *hashmatch.Entry) { e.Labels = append(e.Labels, "A1") },
		"time zone":          func(e *hashmatch.Entry) { e.Updated = e.Updated.In(time.FixedZone("", 3600)) },
		"nanoseconds":        func(e *hashmatch.Entry) { e.Updated = e.Updated.Add(999) },
		"list name, in Info": func(e *hashmatch.Entry) {},
	}
	want := revision(func(*hashmatch.Entry) {})
	for name, edit := range same {
		if revision(edit) != want {
			t.Errorf("%s changes the revision", name)
		}
	}
	seen := map[Revision]string{want: "nothing"}
	for name, edit := range map[string]func(*hashmatch.Entry){
		"source":         func(e *hashmatch.Entry) { e.Key.Source = "" },
		"member":         func(e *hashmatch.Entry) { e.Key.Source, e.Key.Member = "exchange4", "2" },
		"id":             func(e *hashmatch.Entry) { e.Key.ID = "img1" },
		"updated":        func(e *hashmatch.Entry) { e.Updated = e.Updated.Add(time.Microsecond) },
		"no updated":     func(e *hashmatch.Entry) { e.Updated = time.Time{} },
		"status":         func(e *hashmatch.Entry) { e.Status = hashmatch.Active },
		"classification": func(e *hashmatch.Entry) { e.Classification = "A2" },
		"label":          func(e *hashmatch.Entry) { e.Labels = e.Labels[:1] },
		"votes":          func(e *hashmatch.Entry) { e.Signatures[2].Votes.Negative = 0 },
		"votes moved": func(e *hashmatch.Entry) {
			e.Signatures[1].Votes, e.Signatures[2].Votes = e.Signatures[2].Votes, e.Signatures[1].Votes
		},
		"signature": func(e *hashmatch.Entry) { e.Signatures = e.Signatures[1:] },
		"opaque":    func(e *hashmatch.Entry) { e.Signatures[10].Opaque = "x" },
		"scheme":    func(e *hashmatch.Entry) { e.Signatures[10].Scheme = "x" },
		"withdrawn": func(e *hashmatch.Entry) { e.Status = hashmatch.Withdrawn },
	} {
		r := revision(edit)
		if other, twice := seen[r]; twice {
			t.Errorf("%s has the revision of %s", name, other)
		}
		seen[r] = name
	}
	if len(seen) != 15 {
		t.Errorf("%d revisions, want 15", len(seen))
	}
}

func TestTombstoneKeepsNothing(t *testing.T) {
	e := sample()[0]
	e.Status = hashmatch.Withdrawn
	got := mustNew(t, e).Entry(0)
	want := hashmatch.Entry{Key: e.Key, Status: hashmatch.Withdrawn, Added: e.Added, Updated: e.Updated, Synced: e.Synced}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestDeriveIDShowsNoHash(t *testing.T) {
	h := testHash(hashmatch.PDQ, 0xab)
	id := DeriveID(h)
	if len(id) != derivedIDLength || !strings.HasPrefix(id, "h-") || strings.Contains(id, "abab") {
		t.Errorf("DeriveID = %q", id)
	}
	if id != DeriveID(h) || id == DeriveID(testHash(hashmatch.SHA256, 0xab)) || id == DeriveID(testHash(hashmatch.PDQ, 0xac)) {
		t.Error("DeriveID is not a function of kind and hash")
	}
}

func TestBuilderJoins(t *testing.T) {
	a, b := simple("x", hashmatch.PDQ, 1), simple("x", hashmatch.MD5, 2)
	a.Labels, b.Labels = []string{"one", "both"}, []string{"two", "both"}
	a.Signatures[0].Votes = hashmatch.Votes{Positive: 1}
	b.Added, b.Synced = day.Add(-time.Hour), day.Add(time.Hour)
	want := hashmatch.Entry{
		Key: a.Key, Signatures: append(slices.Clone(a.Signatures), b.Signatures...),
		Labels: []string{"both", "one", "two"}, Added: b.Added, Synced: b.Synced,
	}
	for _, order := range [][]hashmatch.Entry{{a, b}, {b, a}, {a, b, a, b, b}} {
		l := mustNew(t, order...)
		if diff := cmp.Diff([]hashmatch.Entry{want}, slices.Collect(values(l))); diff != "" {
			t.Error(diff)
		}
	}
	newer := simple("x", hashmatch.SHA1, 3)
	newer.Updated = day
	l := mustNew(t, a, newer, b)
	if e := l.Entry(0); l.Len() != 1 || len(e.Signatures) != 1 || e.Signatures[0].Hash != newer.Signatures[0].Hash {
		t.Errorf("a newer record did not replace the older: %+v", e)
	}
	gone := hashmatch.Entry{Key: a.Key, Status: hashmatch.Withdrawn}
	if l := mustNew(t, a, gone, b); l.Status(0) != hashmatch.Withdrawn || l.Kinds() != 0 {
		t.Error("a withdrawal of the same time did not win")
	}
}

func values(l *List) func(func(hashmatch.Entry) bool) {
	return func(yield func(hashmatch.Entry) bool) {
		for _, e := range l.Entries() {
			if !yield(e) {
				return
			}
		}
	}
}

func TestBuilderBounds(t *testing.T) {
	var b Builder
	for i := range 3 * MaxSignatures {
		e := simple("x", hashmatch.PDQ, 1)
		e.Signatures[0].Hash.Bits[0], e.Signatures[0].Hash.Bits[1] = byte(i), byte(i>>8)
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.List(); err == nil || !strings.Contains(err.Error(), `entry "x"`) {
		t.Errorf("an entry of 3,000 signatures: %v", err)
	}
	for range 5 * MaxSignatures {
		if err := b.Add(simple("x", hashmatch.PDQ, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := b.List(); err != nil || l.Len() != 1 {
		t.Errorf("5,000 equal records: %v", err)
	}
	if l, err := b.List(); err != nil || l.Len() != 0 {
		t.Errorf("a Builder that was emptied: %v", err)
	}
}

func TestValidate(t *testing.T) {
	if err := Validate(sample()[0]); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", MaxKeyBytes+1)
	tests := map[string]func(*hashmatch.Entry){
		"ID is empty":             func(e *hashmatch.Entry) { e.Key.ID = "" },
		"ID: 1025 bytes":          func(e *hashmatch.Entry) { e.Key.ID = long },
		"source: 1025 bytes":      func(e *hashmatch.Entry) { e.Key.Source = long },
		"member: 1025 bytes":      func(e *hashmatch.Entry) { e.Key.Member = long },
		"label: 257 bytes":        func(e *hashmatch.Entry) { e.Labels = []string{long[:257]} },
		"classification: 257":     func(e *hashmatch.Entry) { e.Classification = long[:257] },
		"ID: not UTF-8":           func(e *hashmatch.Entry) { e.Key.ID = "\xff" },
		"label: a control":        func(e *hashmatch.Entry) { e.Labels = []string{"a\nb"} },
		"source: a control":       func(e *hashmatch.Entry) { e.Key.Source = "a\x1b[2J" },
		"member: a control":       func(e *hashmatch.Entry) { e.Key.Member = "a\u202eb" },
		"ID: a control":           func(e *hashmatch.Entry) { e.Key.ID = "a\u0085b" },
		"ID: space":               func(e *hashmatch.Entry) { e.Key.ID = " a" },
		"label is empty":          func(e *hashmatch.Entry) { e.Labels = []string{""} },
		"101 labels":              func(e *hashmatch.Entry) { e.Labels = make([]string, 101) },
		"invalid status":          func(e *hashmatch.Entry) { e.Status = 4 },
		"no signature":            func(e *hashmatch.Entry) { e.Signatures = nil },
		"1001 signatures":         func(e *hashmatch.Entry) { e.Signatures = make([]hashmatch.Signature, 1001) },
		"of no kind":              func(e *hashmatch.Entry) { e.Signatures = make([]hashmatch.Signature, 1) },
		"past the end":            func(e *hashmatch.Entry) { e.Signatures[1].Hash.Bits[8] = 1 },
		"pdq: all zero":           func(e *hashmatch.Entry) { e.Signatures[0].Hash = hashmatch.Hash{Kind: hashmatch.PDQ} },
		"both a hash":             func(e *hashmatch.Entry) { e.Signatures[0].Scheme = "x" },
		"without the name":        func(e *hashmatch.Entry) { e.Signatures[10].Scheme = "" },
		"signature is empty":      func(e *hashmatch.Entry) { e.Signatures[10].Opaque = "" },
		"photodna: all zero":      func(e *hashmatch.Entry) { e.Signatures[10].Opaque = "\x00\x00" },
		"photodna: 4097 bytes":    func(e *hashmatch.Entry) { e.Signatures[10].Opaque = strings.Repeat("x", 4097) },
		"cannot be opaque":        func(e *hashmatch.Entry) { e.Signatures[10].Scheme = "pdq" },
		"scheme: 257 bytes":       func(e *hashmatch.Entry) { e.Signatures[10].Scheme = long[:257] },
		"outside of the years":    func(e *hashmatch.Entry) { e.Updated = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"md5: the digest of the":  emptyDigest(hashmatch.MD5, "d41d8cd98f00b204e9800998ecf8427e"),
		"sha1: the digest of the": emptyDigest(hashmatch.SHA1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
		"sha256: the digest of": emptyDigest(hashmatch.SHA256,
			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
	}
	for want, edit := range tests {
		e := sample()[0]
		edit(&e)
		if err := Validate(e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
		if _, err := New(slices.Values([]hashmatch.Entry{e})); err == nil {
			t.Errorf("%s: New took it", want)
		}
	}
	if err := Validate(hashmatch.Entry{Key: hashmatch.EntryKey{ID: "x"}, Status: hashmatch.Withdrawn}); err != nil {
		t.Error("a tombstone needs no signature:", err)
	}
}

func emptyDigest(kind hashmatch.Kind, digits string) func(*hashmatch.Entry) {
	return func(e *hashmatch.Entry) {
		h, err := hashmatch.ParseHex(kind, digits)
		if err != nil {
			panic(err)
		}
		e.Signatures = []hashmatch.Signature{{Hash: h}}
	}
}

func TestNewDoesNotWriteToItsInput(t *testing.T) {
	e := sample()[0]
	slices.Reverse(e.Signatures)
	slices.Reverse(e.Labels)
	signatures, labels := slices.Clone(e.Signatures), slices.Clone(e.Labels)
	mustNew(t, e)
	if !slices.Equal(signatures, e.Signatures) || !slices.Equal(labels, e.Labels) {
		t.Error("New sorted its caller's slices")
	}
}

func TestOrdinalsOutOfRangePanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	mustNew(t, sample()...).Entry(6)
}

// drawEntry draws an entry of one of a few keys, so that keys repeat.
func drawEntry(t *rapid.T) hashmatch.Entry {
	e := hashmatch.Entry{
		Key: hashmatch.EntryKey{
			Source: rapid.SampledFrom([]string{"", "a"}).Draw(t, "source"),
			ID:     fmt.Sprint(rapid.IntRange(1, 12).Draw(t, "id")),
		},
		Status:         rapid.SampledFrom([]hashmatch.Status{0, 0, 0, 1, 2, 3}).Draw(t, "status"),
		Classification: rapid.SampledFrom([]string{"", "A1", "B2"}).Draw(t, "classification"),
		Added:          day, Synced: day,
	}
	if n := rapid.IntRange(0, 4).Draw(t, "updated"); n > 0 {
		e.Updated = day.Add(time.Duration(n) * 700 * time.Millisecond)
	}
	e.Labels = rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 3).Draw(t, "labels")
	for range rapid.IntRange(1, 3).Draw(t, "signatures") {
		b := byte(rapid.IntRange(1, 4).Draw(t, "byte"))
		s := hashmatch.Signature{Scheme: "photodna", Opaque: string(bytes.Repeat([]byte{b}, 144))}
		if kind := rapid.SampledFrom(append(hashmatch.Kinds(), 0)).Draw(t, "kind"); kind != 0 {
			s = hashmatch.Signature{Hash: testHash(kind, b)}
		}
		s.Votes.Positive = uint32(rapid.IntRange(0, 2).Draw(t, "votes"))
		e.Signatures = append(e.Signatures, s)
	}
	if e.Signatures[0].Scheme == "" && rapid.Bool().Draw(t, "derived") {
		e.Key = hashmatch.EntryKey{ID: DeriveID(e.Signatures[0].Hash)}
	}
	return e
}

func TestRevisionDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(rapid.Custom(drawEntry), 0, 25).Draw(t, "entries")
		one, err := New(slices.Values(entries))
		if err != nil {
			t.Fatal(err)
		}
		two, err := New(slices.Values(rapid.Permutation(entries).Draw(t, "permuted")))
		if err != nil {
			t.Fatal(err)
		}
		if one.Revision() != two.Revision() {
			t.Fatal("the order of entries changes the revision")
		}
		if diff := cmp.Diff(contents(one), contents(two)); diff != "" {
			t.Fatal(diff)
		}
		again, err := New(values(one))
		if err != nil || again.Revision() != one.Revision() {
			t.Fatal("a list made of a list's entries has another revision", err)
		}
	})
}
