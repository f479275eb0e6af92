package format

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var day = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

const (
	pdq1 = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
	pdq2 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	md51 = "0cc175b9c0f1b6a831c399e269772661"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func importText(text string, o Options) (*hashlist.List, Result, error) {
	return Import(strings.NewReader(text), o)
}

func find(t *testing.T, l *hashlist.List, key hashmatch.EntryKey) hashmatch.Entry {
	t.Helper()
	i, found := l.Find(key)
	if !found {
		t.Fatalf("%s: not found", key)
	}
	return l.Entry(i)
}

// The golden files, and the revisions that they must have for ever.
func TestGoldenFiles(t *testing.T) {
	for _, test := range []struct {
		file     string
		format   Format
		revision string
		want     Result
	}{
		{"list.csv", CSV, "3c9873d36781", Result{Format: CSV, List: "national", Lines: 9, Rows: 8, Opaque: 1, Entries: 6}},
		{"pytx.txt", PytxText, "f831c3af191f", Result{Format: PytxText, Lines: 8, Rows: 6, Opaque: 1, Entries: 5}},
		{"pytx.csv", PytxCSV, "b3a72909ae2a", Result{Format: PytxCSV, Lines: 5, Rows: 4, Entries: 4}},
	} {
		data := read(t, test.file)
		if got := Detect(data); got != test.format {
			t.Errorf("%s: detected as %s", test.file, got)
		}
		l, result, err := Import(bytes.NewReader(data), Options{Now: day})
		if err != nil {
			t.Fatalf("%s: %v", test.file, err)
		}
		if !cmp.Equal(result, test.want) {
			t.Errorf("%s: %+v, want %+v", test.file, result, test.want)
		}
		if l.Revision().Short() != test.revision {
			t.Errorf("%s: revision %s, want %s", test.file, l.Revision().Short(), test.revision)
		}
		slow, _, err := Import(iotest.HalfReader(bytes.NewReader(data)), Options{Format: test.format})
		if err != nil || slow.Revision() != l.Revision() {
			t.Errorf("%s: read in small pieces: %v", test.file, err)
		}
	}
}

func TestCSV(t *testing.T) {
	l, _, err := Import(bytes.NewReader(read(t, "list.csv")), Options{Now: day})
	if err != nil {
		t.Fatal(err)
	}
	if info := l.Info(); info.Name != "national" || info.Source != "csv" || !info.Synced.Equal(day) || !info.Created.Equal(day) {
		t.Errorf("%+v", info)
	}
	one := find(t, l, hashmatch.EntryKey{ID: "img-1"})
	if len(one.Signatures) != 3 || !slices.Equal(one.Labels, []string{"A1", "extra", "synthetic"}) || !one.Added.Equal(day) {
		t.Errorf("%+v", one)
	}
	two := find(t, l, hashmatch.EntryKey{Source: "exchange", Member: "42", ID: "a/b"})
	if two.Status != hashmatch.Disputed || !slices.Equal(two.Labels, []string{"100%", "semi;colon", "with, comma"}) {
		t.Errorf("%+v", two)
	}
	if e := find(t, l, hashmatch.EntryKey{ID: `quoted "id"`}); e.Status != hashmatch.Suspended {
		t.Errorf("%+v", e)
	}
	if e := find(t, l, hashmatch.EntryKey{Source: "exchange", Member: "42", ID: "gone"}); e.Status != hashmatch.Withdrawn {
		t.Errorf("%+v", e)
	}
	if l.OpaqueCounts()["photodna"] != 1 || l.Counts()[hashmatch.SHA1] != 1 {
		t.Errorf("%v %v", l.OpaqueCounts(), l.Counts())
	}
}

func TestPytxCSV(t *testing.T) {
	l, _, err := Import(bytes.NewReader(read(t, "pytx.csv")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	statuses := make(map[string]hashmatch.Status)
	for _, e := range l.Entries() {
		statuses[e.Classification] = e.Status
		if !slices.Contains(e.Labels, e.Classification) || e.Signatures[0].Hash == (hashmatch.Hash{}) {
			t.Errorf("%+v", e)
		}
		if want := hashlist.DeriveID(e.Signatures[0].Hash); e.Key.ID != want {
			t.Errorf("ID %q, want %q", e.Key.ID, want)
		}
		if e.Key.Source != "Synthetic Collab" && e.Key.Source != "Other, Collab" {
			t.Errorf("source %q", e.Key.Source)
		}
		if e.Classification == "POSITIVE_CLASS" && !slices.Equal(e.Labels, []string{"POSITIVE_CLASS", "one", "two"}) {
			t.Errorf("labels %q", e.Labels)
		}
	}
	want := map[string]hashmatch.Status{
		"POSITIVE_CLASS": hashmatch.Active, "INVESTIGATION_SEED": hashmatch.Active,
		"DISPUTED": hashmatch.Disputed, "NEGATIVE_CLASS": hashmatch.Disputed,
	}
	if diff := cmp.Diff(want, statuses); diff != "" {
		t.Error(diff)
	}
}

func TestTextVariants(t *testing.T) {
	plain := "pdq " + pdq1 + "\nmd5 " + md51 + "\n"
	want, _, err := importText(plain, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"CRLF":          strings.ReplaceAll(plain, "\n", "\r\n"),
		"byte order":    "\xef\xbb\xbf" + plain,
		"no last end":   strings.TrimSuffix(plain, "\n"),
		"upper case":    "PDQ " + strings.ToUpper(pdq1) + "\nMD5 " + strings.ToUpper(md51),
		"comments":      "# one\n\n \t\n  # two\n" + plain + "#three",
		"tabs":          strings.ReplaceAll(plain, " ", "\t \t"),
		"pytx's name":   strings.ReplaceAll(plain, "md5 ", "video_md5 "),
		"twice":         plain + plain,
		"native":        "kind,hash\npdq," + pdq1 + "\nmd5," + md51 + "\n",
		"native, more":  "hash,entry,kind\r\n" + pdq1 + ",,pdq\r\n\r\n\"" + md51 + "\",,\"md5\"",
		"native, space": " kind , hash\n pdq , " + pdq1 + " \nmd5\t,\t" + md51,
	} {
		l, _, err := importText(text, Options{})
		if err != nil || l.Revision() != want.Revision() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedLines(t *testing.T) {
	zero := strings.Repeat("0", 64)
	const csvHead = "entry,kind,hash,list,label,status\n"
	const csvDated = "kind,hash,entry,updated\n"
	const pytxHead = "signal_type,signal_str,collab,category,tags\n"
	for text, want := range map[string]string{
		"pdq " + pdq1 + "\npdq " + pdq1[1:]:                               "line 2: pdq: 63 hex digits, want 64",
		"pdq " + pdq1 + "0":                                               "line 1: pdq: 65 hex digits, want 64",
		"pdq " + pdq1[1:] + "g":                                           "line 1: pdq: not hexadecimal",
		"pdq " + zero:                                                     "line 1: pdq: all zero",
		"\n#\nmd5 D41D8CD98F00B204E9800998ECF8427E":                       "line 3: md5: the digest of the empty file",
		"sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709":                   "line 1: sha1: the digest of the empty file",
		"pdq " + pdq1 + "\nurl_md5 " + md51:                               `line 2: unknown kind of hash "url_md5"`,
		"pdq " + pdq1 + "\n" + pdq1 + " pdq":                              "line 2: unknown kind of hash",
		"pdq " + pdq1 + "\npdq":                                           "line 2: 1 fields, want 2: KIND HASH",
		"pdq " + pdq1 + "\npdq " + pdq1 + " x":                            "line 2: 3 fields, want 2: KIND HASH",
		"pdq " + pdq1 + "\npdq \x00" + pdq1[1:]:                           "NUL bytes",
		"photodna AAAA":                                                   "line 1: photodna: 3 bytes, want 144",
		"photodna !":                                                      "line 1: photodna: not base64",
		"photodna " + strings.Repeat("A", 192):                            "line 1: photodna: all zero",
		csvHead + "a,pdq," + pdq1 + ",,":                                  "line 2: 5 fields, the header has 6",
		csvHead + "a,pdq," + pdq1 + ",,,gone":                             `line 2: unknown status "gone"`,
		csvHead + "a,pdq," + pdq1 + ",,," + pdq1:                          "line 2: unknown status",
		csvDated + "pdq," + pdq1 + ",a,2026-01-31":                        "line 2: updated: want a time",
		csvDated + "pdq," + pdq1 + ",a," + pdq1:                           "line 2: updated: want a time",
		csvDated + "pdq," + pdq1 + ",a,9999-12-31T23:59:59-01:00":         "line 2: a time is outside of the years",
		csvDated + "pdq," + pdq1 + ",a,2026-02-30T00:00:00Z":              "line 2: updated: want a time",
		csvHead + "a,,,,,":                                                "line 2: no kind of hash",
		csvHead + "a,," + pdq1 + ",,,":                                    "line 2: no kind of hash",
		csvHead + ",,,,,withdrawn":                                        "line 2: neither an entry nor a hash",
		csvHead + "a,pdq,,,,withdrawn":                                    "line 2: pdq: 0 hex digits, want 64",
		csvHead + "a/b,pdq," + pdq1 + ",,,":                               "line 2: entry \"a/b\": want ID or SOURCE/MEMBER/ID",
		csvHead + strings.Repeat("a", 1025) + ",md5," + md51 + ",,,":      "line 2: ID: 1025 bytes, at most 1024 are allowed",
		csvHead + strings.Repeat("a", 99999) + ",md5," + md51 + ",,,":     "line 2: entry: 99999 bytes",
		csvHead + "a\x1b,pdq," + pdq1 + ",,,":                             "line 2: ID: a control character",
		csvHead + "a,pdq," + pdq1 + ",,\xff,":                             "line 2: label: not UTF-8",
		csvHead + "\"a,pdq," + pdq1 + ",,,\nb,md5," + md51 + ",,,":        "line 2: extraneous or missing \" in quoted-field (a field cannot go on",
		csvHead + "a\"b,pdq," + pdq1 + ",,,":                              "line 2: bare \" in non-quoted-field",
		csvHead + "a,pdq," + pdq1 + "," + strings.Repeat("l", 257) + ",,": "line 2: list: 257 bytes",
		csvHead + "a,pdq," + pdq1 + ",," + strings.Repeat("x;", 500<<10) + ",\nb,md5," + md51 + ",,,x": "line 2: 512000 labels",
		csvHead + "a,pdq," + pdq1 + ",," + strings.Repeat("x", 2<<20) + ",\n":                          "line 2: more than 1048576 bytes",
		pytxHead + "pdq," + pdq1 + ",c,POSITIVE_CLASS":                                                 "line 2: 4 fields, the header has 5",
		pytxHead + "raw_text,hello,c,POSITIVE_CLASS,":                                                  `line 2: unknown kind of hash "raw_text"`,
		pytxHead + "pdq," + zero + ",c,POSITIVE_CLASS,":                                                "line 2: pdq: all zero",
	} {
		shown := text[:min(len(text), 200)]
		l, _, err := importText(text, Options{})
		if err == nil || l != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", shown, err, want)
			continue
		}
		if strings.Contains(err.Error(), pdq1[:16]) || len(err.Error()) > 300 {
			t.Errorf("%q: the error repeats the line: %v", shown, err)
		}
		var failed *RefusedError
		if strings.HasPrefix(want, "line") && !errors.As(err, &failed) {
			t.Errorf("%q: %T", shown, err)
		}
	}
}

func TestSkips(t *testing.T) {
	text := "pdq " + pdq1 + "\npdq 12\nmd5 " + md51 + "\n" + strings.Repeat("x", 2<<20) + "\nmd5 \x01\n\nsha1 x y\n"
	text += strings.Repeat("# filler\n", HeadBytes/8) + "md5 \x00\npdq " + pdq2 // NUL is past the head: one line's fault
	var reported []LineError
	o := Options{AllowSkips: true, Report: func(e LineError) { reported = append(reported, e) }}
	l, result, err := importText(text, o)
	if err != nil || l.Len() != 3 || result.Skipped != 5 || result.Rows != 3 || len(reported) != 5 {
		t.Fatalf("%+v %v %v", result, reported, err)
	}
	if reported[0] != (LineError{Line: 2, Reason: "pdq: 2 hex digits, want 64"}) || reported[1].Line != 4 || reported[4].Reason != "a NUL byte" {
		t.Errorf("%v", reported)
	}
	o.AllowSkips, reported = false, nil
	_, result, err = importText(text, o)
	var failed *RefusedError
	if !errors.As(err, &failed) || failed.Refused != 5 || failed.More || len(reported) != 5 || result.Skipped != 5 {
		t.Fatalf("%+v %v", result, err)
	}
	if want := "5 lines refused: line 2: pdq: 2 hex digits, want 64; line 4: "; !strings.HasPrefix(err.Error(), want) {
		t.Error(err)
	}
	// A wrong file of many lines is not read to its end.
	_, result, err = importText("pdq 1\n"+strings.Repeat("pdq 2\n", 5000), Options{})
	if !errors.As(err, &failed) || !failed.More || result.Lines != maxRefused || len(failed.First) != 10 {
		t.Errorf("%+v %v", result, err)
	}
	if _, _, err := importText("pdq 1\npdq 2\n", Options{AllowSkips: true}); !errors.Is(err, ErrEmpty) {
		t.Error("every line skipped:", err)
	}
}

func TestRefusedFiles(t *testing.T) {
	const head = "entry,kind,hash,list\n"
	for text, want := range map[string]error{
		"":                          ErrEmpty,
		"\n \n":                     ErrEmpty,
		"\xef\xbb\xbf":              ErrEmpty,
		head:                        ErrEmpty,
		"hello\n":                   ErrFormat,
		"# only a comment\n":        ErrFormat,
		pdq1 + "\n":                 ErrFormat,
		"kind,hash,colour\n":        ErrFormat,
		"kind,hash,kind\n":          ErrFormat,
		"kind,entry\n":              ErrFormat,
		"\xff\xfep\x00d\x00":        ErrEncoding,
		"\xfe\xff\x00p\x00d":        ErrEncoding,
		"p\x00d\x00q\x00":           ErrEncoding,
		"\x89HML\r\n\x1a\n\x00\x00": ErrEncoding,
	} {
		if l, _, err := importText(text, Options{}); !errors.Is(err, want) || l != nil {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	if _, _, err := importText("pdq "+pdq1, Options{Format: CSV}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "line 1: header") {
		t.Error("a format that was named, but is not the file's:", err)
	}
	if _, _, err := importText("pdq "+pdq1, Options{Format: formatEnd}); !errors.Is(err, ErrFormat) {
		t.Error("a format that does not exist:", err)
	}
	broken := errors.New("broken")
	for _, r := range []int{0, 10, 100} {
		text := strings.NewReader(strings.Repeat("pdq "+pdq1+"\n", 1000)[:r])
		if l, _, err := Import(iotest.TimeoutReader(iotest.OneByteReader(text)), Options{}); r > 1 && (err == nil || l != nil) {
			t.Error("a reader that fails:", err)
		}
	}
	if _, _, err := Import(iotest.ErrReader(broken), Options{}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestSeveralLists(t *testing.T) {
	text := "kind,hash,list\npdq," + pdq1 + ",a\npdq," + pdq2 + ",b\nmd5," + md51 + ",\n"
	l, _, err := importText(text, Options{})
	if !errors.Is(err, ErrSeveralLists) || l != nil || err.Error() != `line 3: it holds several lists: say which one to read: "a" and "b"` {
		t.Error(err)
	}
	l, result, err := importText(text, Options{List: "a"})
	if err != nil || l.Len() != 2 || l.Info().Name != "a" || result.OtherLists != 1 || result.List != "a" {
		t.Errorf("%+v %v", result, err)
	}
	if _, _, err := importText(text[:strings.Index(text, "md5")], Options{List: "c"}); !errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), "2 lines of other lists") {
		t.Error(err)
	}
}

func TestParseStopsAtTheCallersError(t *testing.T) {
	enough := errors.New("enough")
	n := 0
	_, err := Parse(bytes.NewReader(read(t, "pytx.txt")), Options{AllowSkips: true}, func(e hashmatch.Entry) error {
		if n++; n == 2 {
			return enough
		}
		return hashlist.Validate(e)
	})
	if err != enough || n != 2 {
		t.Errorf("%d entries, %v", n, err)
	}
	n = 0
	result, err := Parse(bytes.NewReader(read(t, "list.csv")), Options{}, func(hashmatch.Entry) error { n++; return nil })
	if err != nil || n != 8 || result.Rows != 8 {
		t.Errorf("%d entries, %+v, %v", n, result, err)
	}
	if _, err := Parse(strings.NewReader("pdq "+strings.Repeat("0", 64)), Options{}, func(hashmatch.Entry) error { n = -1; return nil }); err == nil || n < 0 {
		t.Error("an all-zero hash was handed out:", err)
	}
}

func TestFormatNames(t *testing.T) {
	n := 0
	for f := CSV; f < formatEnd; f++ {
		if got, err := ParseFormat(f.String()); err != nil || got != f {
			t.Errorf("%v: %v", f, err)
		}
		n++
	}
	if n != 11 {
		t.Errorf("%d formats", n)
	}
	if _, err := ParseFormat("unknown"); err == nil {
		t.Error("unknown is no format to ask for")
	}
	if formatEnd.String() != "unknown" {
		t.Error(formatEnd)
	}
}

// A line of any length takes no more memory than the bound of a line.
func TestMemoryOfOneLine(t *testing.T) {
	endless := &repeat{text: []byte(`"a,`), left: 256 << 20}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, result, err := Import(endless, Options{Format: CSV})
	runtime.ReadMemStats(&after)
	if err == nil || result.Rows != 0 {
		t.Error(err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
		t.Errorf("took %d MiB", took>>20)
	}
}

type repeat struct {
	text []byte
	left int
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, fmt.Errorf("the end")
	}
	n := 0
	for n+len(r.text) <= len(p) {
		n += copy(p[n:], r.text)
	}
	r.left -= n
	return n, nil
}

// drawEntry draws an entry of which CSV can carry everything.
func drawEntry(t *rapid.T) hashmatch.Entry {
	text := rapid.StringOfN(rapid.SampledFrom([]rune(`ab%/;,"#' é漢25BF=`)), 1, 6, -1)
	name := func(what string) string {
		return strings.Trim(text.Draw(t, what), " ") + "."
	}
	e := hashmatch.Entry{
		Key:    hashmatch.EntryKey{ID: name("id")},
		Status: hashmatch.Status(rapid.IntRange(0, 3).Draw(t, "status")),
	}
	if rapid.Bool().Draw(t, "exchange") {
		e.Key.Source, e.Key.Member = name("source"), name("member")
	}
	if rapid.Bool().Draw(t, "dated") {
		micros := rapid.Int64Range(-62135596799_000_000, 253402300799_999_999).Draw(t, "updated")
		e.Updated = time.UnixMicro(micros).In(time.FixedZone("", 3600*rapid.IntRange(-12, 12).Draw(t, "zone")))
	}
	for range rapid.IntRange(0, 2).Draw(t, "labels") {
		e.Labels = append(e.Labels, name("label"))
	}
	for range rapid.IntRange(1, 3).Draw(t, "signatures") {
		bits := [144]byte(bytes.Repeat([]byte{byte(rapid.IntRange(1, 255).Draw(t, "byte"))}, 144))
		s := hashmatch.Signature{Scheme: photoDNA, Opaque: string(bits[:])}
		if kind := rapid.SampledFrom(append(hashmatch.Kinds(), 0)).Draw(t, "kind"); kind != 0 {
			h, err := hashmatch.NewHash(kind, bits[:kind.Bits()/8])
			if err != nil {
				t.Fatal(err)
			}
			s = hashmatch.Signature{Hash: h}
		}
		e.Signatures = append(e.Signatures, s)
	}
	return e
}

func TestCSVRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := hashlist.New(slices.Values(rapid.SliceOfN(rapid.Custom(drawEntry), 1, 8).Draw(t, "entries")))
		if err != nil {
			t.Fatal(err)
		}
		l = l.WithInfo(hashlist.Info{Name: rapid.SampledFrom([]string{"", "national"}).Draw(t, "name")})
		var out bytes.Buffer
		exported, err := Export(&out, l, CSV)
		if err != nil || len(exported.Omitted) > 0 || exported.Entries != l.Len() {
			t.Fatal(exported, err)
		}
		back, result, err := Import(bytes.NewReader(out.Bytes()), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if back.Revision() != l.Revision() || back.Info().Name != l.Info().Name {
			t.Fatalf("%+v\n%s", result, out.String())
		}
		if result.Lines != exported.Lines {
			t.Fatalf("%d lines exported, %d read", exported.Lines, result.Lines)
		}
	})
}

// Which of two records of an entry wins is decided by their times, in one file and over several.
func TestUpdated(t *testing.T) {
	const head = "kind,hash,entry,status,updated\n"
	older := "md5," + md51 + ",a,,2026-01-31T12:00:00+01:00\n"
	newer := "pdq," + pdq1 + ",a,disputed,2026-01-31T11:00:00.000001Z\npdq," + pdq2 + ",a,disputed,2026-01-31T11:00:00.000001Z\n"
	undated := "md5," + md51 + ",a,,\n"
	withdrawn := ",,a,withdrawn,2026-02-01T00:00:00Z\n"
	load := func(text string) (*hashlist.List, Result) {
		l, result, err := importText(head+text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return l, result
	}
	want, _ := load(newer)
	if e := find(t, want, hashmatch.EntryKey{ID: "a"}); len(e.Signatures) != 2 || e.Updated.UnixMicro() != 1769857200000001 {
		t.Errorf("%+v", e)
	}
	for text, superseded := range map[string]int{
		newer + older: 1, older + newer: 1, undated + newer + undated + older: 3, newer + newer: 0,
	} {
		if l, result := load(text); l.Revision() != want.Revision() || result.Superseded != superseded {
			t.Errorf("%q: another list, or %d superseded", text, result.Superseded)
		}
	}
	if l, result := load(undated + withdrawn + newer); l.StatusCounts()[hashmatch.Withdrawn] != 1 || result.Superseded != 3 {
		t.Errorf("%v, %+v", l.StatusCounts(), result)
	}
	for _, old := range []string{older, undated} {
		merged, _ := load(old)
		merged, _, err := merged.Merge(want, day)
		if err != nil || merged.Revision() != want.Revision() {
			t.Errorf("the newer record does not win: %v", err)
		}
		earlier, _ := load(old)
		if again, summary, err := merged.Merge(earlier, day); err != nil || again.Revision() != want.Revision() || summary.Stale != 1 {
			t.Errorf("the older record wins: %+v, %v", summary, err)
		}
	}
}

func TestPytxRoundTrip(t *testing.T) {
	for file, f := range map[string]Format{"pytx.txt": PytxText, "pytx.csv": PytxCSV} {
		l, _, err := Import(bytes.NewReader(read(t, file)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		exported, err := Export(&out, l, f)
		if err != nil {
			t.Fatal(err)
		}
		if f == PytxText && len(exported.Omitted) > 0 {
			t.Errorf("%v", exported.Omitted)
		}
		if got := Detect(out.Bytes()); got != f {
			t.Errorf("%s: what was exported is detected as %s", f, got)
		}
		back, _, err := Import(&out, Options{})
		if err != nil || exported.Entries != l.Len() {
			t.Fatal(exported, err)
		}
		if f == PytxText && back.Revision() != l.Revision() {
			t.Errorf("%s: another revision", f)
		}
		for _, e := range l.Entries() {
			got := find(t, back, e.Key)
			if got.Status != e.Status || !slices.Equal(got.Signatures, e.Signatures) {
				t.Errorf("%+v, want %+v", got, e)
			}
		}
	}
}

func TestExportSaysWhatItOmits(t *testing.T) {
	h, _ := hashmatch.ParseHex(hashmatch.PDQ, pdq1)
	entry := func(id string, status hashmatch.Status) hashmatch.Entry {
		return hashmatch.Entry{
			Key: hashmatch.EntryKey{ID: id}, Status: status, Classification: "A1", Updated: day,
			Labels: []string{"two words", "A1", "x"},
			Signatures: []hashmatch.Signature{
				{Hash: h, Votes: hashmatch.Votes{Positive: 1}}, {Scheme: "tmk", Opaque: "x"}, {Scheme: photoDNA, Opaque: "x"},
			},
		}
	}
	l, err := hashlist.New(slices.Values([]hashmatch.Entry{entry("a", 0), entry("b", 1), entry("c", 2), entry("d", 3)}))
	if err != nil {
		t.Fatal(err)
	}
	for f, want := range map[Format]Exported{
		CSV: {4, 5, map[string]int{"votes": 3, "classification": 3, "tmk": 3, photoDNA: 3}},
		PytxText: {1, 1, map[string]int{"votes": 1, "classification": 1, "update time": 1, "tmk": 1, photoDNA: 1, "label": 1,
			"disputed": 1, "suspended": 1, "withdrawn": 1}},
		PytxCSV: {2, 3, map[string]int{"votes": 2, "classification": 1, "update time": 2, "tmk": 2, photoDNA: 2, "label": 2,
			"suspended": 1, "withdrawn": 1}},
	} {
		var out bytes.Buffer
		got, err := Export(&out, l, f)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", f, diff)
		}
		if lines := strings.Count(out.String(), "\n"); lines != want.Lines {
			t.Errorf("%s: %d lines:\n%s", f, lines, out.String())
		}
		if f == PytxCSV && !strings.Contains(out.String(), ",DISPUTED,A1 x\n") {
			t.Errorf("%s", out.String())
		}
		if _, err := Export(failing{}, l, f); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: a writer that fails: %v", f, err)
		}
	}
	if _, err := Export(&bytes.Buffer{}, l, Unknown); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

// fuzzImport: no input panics; what is taken is written and read back the same.
func fuzzImport(f *testing.F, format Format, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, skips bool) {
		l, result, err := Import(bytes.NewReader(data), Options{Format: format, AllowSkips: skips})
		if err != nil {
			if l != nil {
				t.Fatal("a list and an error")
			}
			return
		}
		if l.Len() == 0 || l.Len() > result.Rows || !skips && result.Skipped > 0 || result.Entries != l.Len() {
			t.Fatalf("%+v", result)
		}
		if lines := bytes.Count(data, []byte("\n")); result.Lines < lines || result.Lines > lines+1 {
			t.Fatalf("%d lines, counted %d", lines, result.Lines)
		}
		var out bytes.Buffer
		exported, err := Export(&out, l, CSV)
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := Import(&out, Options{Format: CSV})
		if err != nil {
			t.Fatal(err)
		}
		if len(exported.Omitted) == 0 && back.Revision() != l.Revision() {
			t.Fatal("export and import made another list")
		}
	})
}

func FuzzCSV(f *testing.F) {
	fuzzImport(f, CSV, string(read(f, "list.csv")), "kind,hash\nmd5,"+md51, "hash,kind,label\n\""+md51+"\",md5,\"a\"\"b;%3B\"\n")
}

func FuzzPytxText(f *testing.F) {
	fuzzImport(f, PytxText, string(read(f, "pytx.txt")), "md5 "+md51, "#\r\n\r\nMD5\t"+md51)
}

func FuzzPytxCSV(f *testing.F) {
	fuzzImport(f, PytxCSV, string(read(f, "pytx.csv")), "signal_type,signal_str\nvideo_md5,"+md51)
}

func FuzzDetect(f *testing.F) {
	for _, seed := range []string{"list.csv", "pytx.txt", "pytx.csv"} {
		f.Add(read(f, seed))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		if got := Detect(head); got >= formatEnd {
			t.Fatal(got)
		}
	})
}

// BenchmarkImport reads a million lines; without -short ten million too. Run it with -benchtime 1x.
func BenchmarkImport(b *testing.B) {
	for _, n := range []int{1e6, 1e7} {
		if testing.Short() && n > 1e6 {
			continue
		}
		for name, line := range map[string]func(i int) string{
			"pytx-text": func(i int) string { return fmt.Sprintf("pdq %032x%032x\n", i+1, i*7919) },
			"csv": func(i int) string {
				return fmt.Sprintf("id-%07d,pdq,%032x%032x,national,A1;synthetic,\n", i, i+1, i*7919)
			},
		} {
			b.Run(fmt.Sprintf("%s-%dM", name, n/1e6), func(b *testing.B) {
				var file bytes.Buffer
				if name == "csv" {
					file.WriteString("entry,kind,hash,list,label,status\n")
				}
				for i := range n {
					file.WriteString(line(i))
				}
				b.SetBytes(int64(file.Len()))
				for b.Loop() {
					l, _, err := Import(bytes.NewReader(file.Bytes()), Options{})
					if err != nil || l.Len() != n {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func TestPhotoDNAIsKept(t *testing.T) {
	value := bytes.Repeat([]byte{1, 200}, 72)
	l, result, err := importText("photodna "+base64.StdEncoding.EncodeToString(value), Options{})
	if err != nil || result.Opaque != 1 || l.Kinds() != 0 {
		t.Fatal(result, err)
	}
	n := 0
	for s := range l.OpaqueSignatures() {
		n++
		if s.Opaque != string(value) {
			t.Error("the value changed")
		}
	}
	if n != 1 {
		t.Error(n)
	}
}
