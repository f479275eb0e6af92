package hashmatch

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The fakes stand in for the stages: each does the least that its interface says, and what a test tells it to.

type fakeDigester struct{ panics bool }

func (f fakeDigester) Digest(r io.Reader, w io.Writer, kinds KindSet) ([]Hash, int64, error) {
	if f.panics {
		panic("digester")
	}
	n, err := io.Copy(w, r)
	var digests []Hash
	for _, k := range kinds.Kinds() {
		digests = append(digests, Hash{Kind: k, Bits: [32]byte{1}})
	}
	return digests, n, err
}

type fakeDecoder struct {
	frames   int
	failures []Failure
	panics   bool
	sleeps   time.Duration
	probed   *int
	probe    []Failure
}

func (f fakeDecoder) Decode(ctx context.Context, content []byte, yield func(*Frame) error) (Media, []Failure) {
	if f.panics {
		panic("decoder")
	}
	if f.sleeps > 0 {
		time.Sleep(f.sleeps)
	}
	for i := range f.frames {
		if yield(&Frame{Index: i, Image: image.NewGray(image.Rect(0, 0, 8, 8))}) != nil {
			break
		}
	}
	return Media{Format: "fake", Frames: f.frames}, f.failures
}

func (f fakeDecoder) Probe(head []byte) (Media, []Failure) {
	if f.probed != nil {
		*f.probed++
	}
	return Media{Format: "fake"}, f.probe
}

type fakeHasher struct {
	hash    Hash
	quality int
	panics  bool
	err     error
}

func (f fakeHasher) Kinds() KindSet { return SetOf(PDQ) }

func (f fakeHasher) Hash(dst []FrameHash, frame *Frame, kinds, dihedral KindSet) ([]FrameHash, error) {
	if f.panics {
		panic("hasher")
	}
	return append(dst, FrameHash{Hash: f.hash, Quality: f.quality, Frame: frame.Index}), f.err
}

type fakeLists struct {
	kinds   KindSet
	entries map[Hash]string
	panics  bool
	// nearFrom is the distance of the nearest entry to anything; 0 means that only what is listed is near.
	nearFrom int
}

func (f fakeLists) Revisions() map[string]string { return map[string]string{"list": "r1"} }
func (f fakeLists) Kinds() KindSet               { return f.kinds }
func (f fakeLists) Search(h Hash, reach func(string) int, found func(Match)) {
	if f.panics {
		panic("lists")
	}
	if reach("list") < 0 {
		return
	}
	if entry, ok := f.entries[h]; ok {
		found(Match{List: "list", Entry: entry, Kind: h.Kind})
	}
}

func (f fakeLists) Near(hashes []Hash, reach func(string) int) bool {
	r := reach("list")
	if r < 0 {
		return false
	}
	if f.nearFrom > 0 && r >= f.nearFrom {
		return true
	}
	return slices.ContainsFunc(hashes, func(h Hash) bool { return f.entries[h] != "" })
}

// fakePolicy allows whatever has no match and no failure in it.
type fakePolicy struct {
	panics bool
	allows bool // whatever it is told
	exact  bool
	views  Profile
}

func (f fakePolicy) Revision() string { return "p1" }
func (f fakePolicy) Reach(_ Surface, _ string, kind Kind, quality int) int {
	if quality < 50 {
		return -1
	}
	return 31
}
func (f fakePolicy) Dihedral(Surface) KindSet { return 0 }
func (f fakePolicy) Exact(Surface) bool       { return f.exact }
func (f fakePolicy) Profile(Surface) Profile  { return f.views }
func (f fakePolicy) ViewReach(_ Surface, _ string, _ Kind, quality int) int {
	if quality < 50 {
		return -1
	}
	return 20
}
func (f fakePolicy) Decide(found Findings) Decision {
	if f.panics {
		panic("policy")
	}
	if f.allows || len(found.Matches)+len(found.Failures) == 0 {
		return Decision{Action: Allow}
	}
	return Decision{Action: Hold, Matches: found.Matches}
}

var (
	listed   = Hash{Kind: PDQ, Bits: [32]byte{7}}
	unlisted = Hash{Kind: PDQ, Bits: [32]byte{8}}
)

func testSurface(t testing.TB) Surface {
	no := false
	s, err := DeclareSurface(SurfaceDeclaration{Name: "avatars", Visibility: Public, Encrypted: &no})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cleanConfig is a scanner to which a picture is clean; tests change one part of it.
func cleanConfig() Config {
	return Config{
		Digester: fakeDigester{}, Decoder: fakeDecoder{frames: 1}, Hashers: []Hasher{fakeHasher{hash: unlisted, quality: 100}},
		Rules: func() (Lists, Policy) {
			return fakeLists{kinds: SetOf(PDQ, MD5), entries: map[Hash]string{listed: "e1"}}, fakePolicy{}
		},
	}
}

func (c *Config) setLists(lists func() Lists) {
	rules := c.Rules
	c.Rules = func() (Lists, Policy) { _, p := rules(); return lists(), p }
}

func (c *Config) setPolicy(policy func() Policy) {
	rules := c.Rules
	c.Rules = func() (Lists, Policy) { l, _ := rules(); return l, policy() }
}

func scanWith(t *testing.T, c Config, content io.Reader, size int64) Verdict {
	t.Helper()
	s, err := NewScanner(c)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Scan(t.Context(), Item{ID: "i1", Surface: testSurface(t), Content: content, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestScanCleanAndMatched(t *testing.T) {
	v := scanWith(t, cleanConfig(), strings.NewReader("picture"), 7)
	if v.Action != Allow || len(v.Failures) != 0 || v.Policy != "p1" || v.Revisions["list"] != "r1" || v.Surface != "avatars" || v.Item != "i1" {
		t.Errorf("clean picture: %+v", v)
	}
	c := cleanConfig()
	c.Hashers = []Hasher{fakeHasher{hash: listed, quality: 100}}
	v = scanWith(t, c, strings.NewReader("picture"), 7)
	if v.Action != Hold || len(v.Matches) != 1 || v.Matches[0].Entry != "e1" || v.Matches[0].Quality != 100 {
		t.Errorf("listed picture: %+v", v)
	}
}

// Whatever goes wrong at whatever stage is in the verdict, and the verdict is no allow.
func TestNothingUnscannedIsAllowed(t *testing.T) {
	pdqOnly := func() Lists { return fakeLists{kinds: SetOf(PDQ), entries: map[Hash]string{listed: "e1"}} }
	cases := []struct {
		name    string
		change  func(*Config)
		content io.Reader
		size    int64
		code    FailureCode
		note    Note
	}{
		{name: "unreadable", content: io.MultiReader(strings.NewReader("x"), errorReader{errors.New("input/output error")}), code: Unreadable},
		{name: "changed while read", content: errorReader{&Failure{ChangedWhileRead, ""}}, code: ChangedWhileRead},
		{name: "digester panics", change: func(c *Config) { c.Digester = fakeDigester{panics: true} }, code: Panicked},
		{name: "decoder panics", change: func(c *Config) { c.Decoder = fakeDecoder{panics: true} }, code: Panicked},
		{name: "decoder fails", change: func(c *Config) { c.Decoder = fakeDecoder{failures: []Failure{{Corrupt, ""}}} }, code: Corrupt},
		{name: "decoder fails after a frame", change: func(c *Config) { c.Decoder = fakeDecoder{frames: 1, failures: []Failure{{Truncated, ""}}} }, code: Truncated},
		{name: "decoder says nothing", change: func(c *Config) { c.Decoder = fakeDecoder{} }, code: Corrupt},
		{name: "hasher panics", change: func(c *Config) { c.Hashers = []Hasher{fakeHasher{panics: true}} }, code: Panicked},
		{name: "hasher fails", change: func(c *Config) { c.Hashers = []Hasher{fakeHasher{err: errors.New("no")}} }, code: Panicked},
		{name: "no hasher for a listed kind", change: func(c *Config) {
			c.setLists(func() Lists { return fakeLists{kinds: SetOf(PDQ, DHash)} })
		}, code: Unsupported},
		{name: "search panics", change: func(c *Config) {
			c.setLists(func() Lists { return fakeLists{kinds: SetOf(PDQ), panics: true} })
		}, code: Panicked, note: NotReady},
		{name: "search panics, and a policy that allows anything", change: func(c *Config) {
			c.setLists(func() Lists { return fakeLists{kinds: SetOf(PDQ), panics: true} })
			c.setPolicy(func() Policy { return fakePolicy{allows: true} })
		}, code: Panicked, note: NotReady},
		{name: "policy panics", change: func(c *Config) { c.setPolicy(func() Policy { return fakePolicy{panics: true} }) }, code: Panicked},
		{name: "no lists", change: func(c *Config) { c.setLists(func() Lists { return nil }) }, note: NotReady},
		{name: "empty lists", change: func(c *Config) { c.setLists(func() Lists { return fakeLists{} }) }, note: NotReady},
		{name: "empty lists and a policy that allows anything", change: func(c *Config) {
			c.setLists(func() Lists { return fakeLists{} })
			c.setPolicy(func() Policy { return fakePolicy{allows: true} })
		}, note: NotReady},
		{name: "too large to decode", change: func(c *Config) { c.MaxBytes = 4 }, code: TooLarge},
		{name: "too large to decode, no digest listed", change: func(c *Config) { c.MaxBytes = 4; c.setLists(pdqOnly) }, code: TooLarge},
		{name: "too large to digest", change: func(c *Config) { c.MaxBytes, c.MaxDigestBytes = 4, 6 }, code: TooLarge},
		{name: "too large by its own word", size: 100 << 30, code: TooLarge, content: endless{}},
		{name: "endless", change: func(c *Config) { c.MaxBytes, c.MaxDigestBytes = 1<<10, 1<<20 }, code: TooLarge, content: endless{}},
		{name: "slow to decode", change: func(c *Config) {
			c.Decoder = fakeDecoder{sleeps: 30 * time.Millisecond}
			c.Timeout = 10 * time.Millisecond
		}, code: TimedOut},
		{name: "slow to decode, with a frame", change: func(c *Config) {
			c.Decoder = fakeDecoder{frames: 1, sleeps: 30 * time.Millisecond}
			c.Timeout = 10 * time.Millisecond
		}, code: TimedOut},
		{name: "slow to decode, beside another failure", change: func(c *Config) {
			c.Decoder = fakeDecoder{frames: 1, sleeps: 30 * time.Millisecond, failures: []Failure{{Truncated, ""}}}
			c.Timeout = 10 * time.Millisecond
		}, code: TimedOut},
		{name: "no policy", change: func(c *Config) { c.setPolicy(func() Policy { return nil }) }, code: Panicked},
		{name: "lists that cannot be had", change: func(c *Config) { c.setLists(func() Lists { panic("lists") }) }, code: Panicked},
		{name: "slow to read", change: func(c *Config) { c.Timeout = 10 * time.Millisecond }, content: slowReader{}, code: TimedOut},
		{name: "digests only, and no image", change: func(c *Config) {
			c.Decoder = fakeDecoder{frames: 1, probe: []Failure{{NotImage, ""}}}
			c.setLists(func() Lists { return fakeLists{kinds: SetOf(MD5)} })
		}, code: NotImage},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := cleanConfig()
			if tc.change != nil {
				tc.change(&c)
			}
			content := tc.content
			if content == nil {
				content = strings.NewReader("picture")
			}
			v := scanWith(t, c, content, tc.size)
			if v.Action == Allow {
				t.Errorf("allowed: %+v", v)
			}
			if tc.code != "" && !slices.ContainsFunc(v.Failures, func(f Failure) bool { return f.Code == tc.code }) {
				t.Errorf("failures %v, want %s", v.Failures, tc.code)
			}
			if tc.note != "" && !slices.Contains(v.Notes, tc.note) {
				t.Errorf("notes %v, want %s", v.Notes, tc.note)
			}
			if v.Item != "i1" || v.Surface != "avatars" {
				t.Errorf("the verdict does not name its item and surface: %+v", v)
			}
		})
	}
}

// A file that cannot be decoded can still match by its digest, a damaged one by what could be decoded.
func TestFailuresDoNotHideMatches(t *testing.T) {
	md5 := Hash{Kind: MD5, Bits: [32]byte{1}}
	c := cleanConfig()
	c.setLists(func() Lists {
		return fakeLists{kinds: SetOf(PDQ, MD5), entries: map[Hash]string{md5: "exact", listed: "near"}}
	})
	c.Hashers = []Hasher{fakeHasher{hash: listed, quality: 100}}
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"corrupt", func(c *Config) { c.Decoder = fakeDecoder{failures: []Failure{{Corrupt, ""}}} }, []string{"exact"}},
		{"panicked", func(c *Config) { c.Decoder = fakeDecoder{panics: true} }, []string{"exact"}},
		{"truncated", func(c *Config) { c.Decoder = fakeDecoder{frames: 1, failures: []Failure{{Truncated, ""}}} }, []string{"exact", "near"}},
		{"too large to decode", func(c *Config) { c.MaxBytes = 3 }, []string{"exact"}},
	} {
		c := c
		tc.change(&c)
		v := scanWith(t, c, strings.NewReader("picture"), 7)
		var got []string
		for _, m := range v.Matches {
			got = append(got, m.Entry)
		}
		if !slices.Equal(got, tc.want) || len(v.Failures) == 0 {
			t.Errorf("%s: matched %v with failures %v, want %v", tc.name, got, v.Failures, tc.want)
		}
	}
}

func TestUndeclaredSurfaceIsRefusedBeforeAByteIsRead(t *testing.T) {
	s, err := NewScanner(cleanConfig())
	if err != nil {
		t.Fatal(err)
	}
	content := strings.NewReader("private")
	v, err := s.Scan(t.Context(), Item{Content: content})
	if !errors.Is(err, ErrSurfaceRefused) || v.Action == Allow {
		t.Errorf("got %+v, %v", v, err)
	}
	if content.Len() != len("private") {
		t.Error("bytes were read")
	}
}

func TestLowQualityIsANoteAndNotSearched(t *testing.T) {
	for _, h := range []fakeHasher{{hash: listed, quality: 10}, {hash: Hash{Kind: PDQ}, quality: 100}} {
		c := cleanConfig()
		c.Hashers = []Hasher{h}
		c.setLists(func() Lists {
			return fakeLists{kinds: SetOf(PDQ, MD5), entries: map[Hash]string{listed: "e1", {Kind: PDQ}: "zero"}}
		})
		v := scanWith(t, c, strings.NewReader("picture"), 7)
		if v.Action != Allow || len(v.Matches) != 0 || !slices.Equal(v.Notes, []Note{LowQuality}) {
			t.Errorf("quality %d, %v: %+v", h.quality, h.hash, v)
		}
	}
}

func TestDigestOnlyListsNeedNoDecoding(t *testing.T) {
	c := cleanConfig()
	probed := 0
	c.Decoder = fakeDecoder{panics: true, probed: &probed}
	c.setLists(func() Lists { return fakeLists{kinds: SetOf(MD5)} })
	if v := scanWith(t, c, strings.NewReader("picture"), 7); v.Action != Allow || probed != 1 {
		t.Errorf("probed %d times: %+v", probed, v)
	}
}

func TestAnExactSizeAtTheLimitPasses(t *testing.T) {
	c := cleanConfig()
	c.MaxBytes, c.MaxDigestBytes = 7, 7
	if v := scanWith(t, c, strings.NewReader("picture"), 0); v.Action != Allow {
		t.Errorf("%+v", v)
	}
	if v := scanWith(t, c, strings.NewReader("pictures"), 7); v.Action == Allow {
		t.Errorf("one byte more than the limit, and than it said: %+v", v)
	}
}

func TestReportedMatchesAreBounded(t *testing.T) {
	c := cleanConfig()
	c.setPolicy(func() Policy { return floodPolicy{} })
	v := scanWith(t, c, strings.NewReader("picture"), 7)
	if len(v.Matches) != MaxReportedMatches || v.MatchesOmitted != 900 || v.Action != Block {
		t.Errorf("%d matches, %d omitted, %s", len(v.Matches), v.MatchesOmitted, v.Action)
	}
}

type floodPolicy struct{ fakePolicy }

func (floodPolicy) Decide(Findings) Decision {
	return Decision{Action: Block, Matches: make([]Match, 1000)}
}

func TestOneVerdictNamesOneRevision(t *testing.T) {
	c := cleanConfig()
	calls := 0
	rules := c.Rules
	c.Rules = func() (Lists, Policy) { calls++; return rules() }
	scanWith(t, c, strings.NewReader("picture"), 7)
	if calls != 1 {
		t.Errorf("the lists were asked for %d times in one item", calls)
	}
}

func TestScannerNamesWhatItLacks(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"digester": func(c *Config) { c.Digester = nil },
		"decoder":  func(c *Config) { c.Decoder = nil },
		"hasher":   func(c *Config) { c.Hashers = nil },
		"rules":    func(c *Config) { c.Rules = nil },
	} {
		c := cleanConfig()
		change(&c)
		if _, err := NewScanner(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without a %s: %v", want, err)
		}
	}
}

// The buffers are pooled: no item may see another's bytes.
func TestConcurrentScansDoNotMixContents(t *testing.T) {
	c := cleanConfig()
	c.Decoder = echoDecoder{}
	c.Hashers = []Hasher{fakeHasher{hash: unlisted, quality: 100}}
	s, err := NewScanner(c)
	if err != nil {
		t.Fatal(err)
	}
	surface := testSurface(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				content := bytes.Repeat([]byte{byte('a' + i)}, 1000*(i+1))
				v, err := s.Scan(context.Background(), Item{Surface: surface, Content: bytes.NewReader(content)})
				if err != nil || v.Media.Format != string(content[:1]) || v.Media.Width != len(content) || v.Item == "" {
					t.Errorf("got %+v, %v", v.Media, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// echoDecoder reports what it was given.
type echoDecoder struct{ fakeDecoder }

func (echoDecoder) Decode(_ context.Context, content []byte, yield func(*Frame) error) (Media, []Failure) {
	for _, b := range content {
		if b != content[0] {
			return Media{}, []Failure{{Corrupt, "mixed"}}
		}
	}
	_ = yield(&Frame{})
	return Media{Format: string(content[:1]), Width: len(content)}, nil
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type slowReader struct{}

func (slowReader) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return 1, nil
}

// frameHasher gives every frame the same hash, and each a quality of its own.
type frameHasher struct {
	fakeHasher
	qualities []int
}

func (f frameHasher) Hash(dst []FrameHash, frame *Frame, _, _ KindSet) ([]FrameHash, error) {
	return append(dst, FrameHash{Hash: f.hash, Quality: f.qualities[frame.Index], Frame: frame.Index}), nil
}

// A picture in weak contrast has the hash of the same picture in strong contrast, and must not hide it.
func TestEqualHashesOfDifferentQuality(t *testing.T) {
	for _, tc := range []struct {
		qualities []int
		frame     int
		others    []int
	}{
		{qualities: []int{20, 100}, frame: 1},
		{qualities: []int{100, 20}, frame: 0},
		{qualities: []int{20, 60, 30, 100}, frame: 1, others: []int{3}},
		{qualities: []int{20, 30}, frame: -1},
	} {
		c := cleanConfig()
		c.Decoder = fakeDecoder{frames: len(tc.qualities)}
		c.Hashers = []Hasher{frameHasher{fakeHasher{hash: listed}, tc.qualities}}
		v := scanWith(t, c, strings.NewReader("picture"), 7)
		if !slices.Contains(v.Notes, LowQuality) {
			t.Errorf("%v: no note of low quality", tc.qualities)
		}
		if tc.frame < 0 {
			if len(v.Matches) > 0 {
				t.Errorf("%v: a match: %+v", tc.qualities, v.Matches)
			}
			continue
		}
		if v.Action != Hold || len(v.Matches) != 1 || v.Matches[0].Frame != tc.frame || v.Matches[0].Quality != tc.qualities[tc.frame] {
			t.Fatalf("%v: %v %+v", tc.qualities, v.Action, v.Matches)
		}
		var others []int
		for _, o := range v.Matches[0].Others {
			others = append(others, o.Frame)
		}
		if !slices.Equal(others, tc.others) {
			t.Errorf("%v: also in frames %v, want %v", tc.qualities, others, tc.others)
		}
	}
}
