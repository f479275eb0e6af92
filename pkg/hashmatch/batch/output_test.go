package batch

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"example.org/hashmatch/pkg/hashmatch"
)

var outputResults = []Result{
	{Path: "clean.png", Verdict: hashmatch.Verdict{
		Surface: "uploads", Action: hashmatch.Allow, Policy: "p1", Revisions: map[string]string{"demo": "r1"},
		Timings: hashmatch.Timings{Read: 1234567, Total: 2 * time.Millisecond},
	}},
	{Path: "found.png", Verdict: hashmatch.Verdict{
		Surface: "uploads", Action: hashmatch.Block, Policy: "p1", MatchesOmitted: 5,
		Matches: []hashmatch.Match{
			{List: "demo", Entry: "17", Kind: hashmatch.SHA256, Labels: []string{"a", "b"}},
			{List: "demo", Entry: "18", Kind: hashmatch.PDQ, Distance: 4, Threshold: 31, Frame: 2,
				View: hashmatch.View{Dihedral: hashmatch.FlipY, Background: "black"}, Status: hashmatch.Disputed},
		},
	}},
	{Path: "odd\n\x1b[2J\u202e\xff.png", Verdict: hashmatch.Verdict{
		Surface:  "uploads",
		Failures: []hashmatch.Failure{{Code: hashmatch.Corrupt, Detail: "bad\x07"}, {Code: hashmatch.NotImage}},
		Notes:    []hashmatch.Note{hashmatch.LowQuality},
	}},
	{Path: "=1+1.png", Verdict: hashmatch.Verdict{
		Surface: "uploads", Action: hashmatch.Allow,
		AllowedBy: &hashmatch.Match{List: "mine", Entry: "3", Kind: hashmatch.MD5},
	}},
}

func written(t *testing.T, encode func(*Output) Results) string {
	t.Helper()
	var b bytes.Buffer
	o := NewOutput(&b)
	w := encode(o)
	for _, r := range outputResults {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() != 0 || w.Offset() != 0 {
		t.Errorf("%d bytes before Commit, offset %d", b.Len(), w.Offset())
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestJSON(t *testing.T) {
	got := strings.Split(strings.TrimSuffix(written(t, JSON), "\n"), "\n")
	odd := base64.StdEncoding.EncodeToString([]byte(outputResults[2].Path))
	want := []string{
		`{"path":"clean.png","surface":"uploads","verdict":"allow","matches":[],"failures":[],"notes":[],"allowed_by":null,"revisions":{"demo":"r1"},"policy":"p1","ms":{"read":1.235,"decode":0,"hash":0,"search":0,"total":2}}`,
		`{"path":"found.png","surface":"uploads","verdict":"block","matches":[` +
			`{"list":"demo","entry":"17","kind":"sha256","distance":0,"threshold":0,"view":{},"frame":0,"labels":["a","b"],"status":"active"},` +
			`{"list":"demo","entry":"18","kind":"pdq","distance":4,"threshold":31,"view":{"background":"black","dihedral":"flip_y"},"frame":2,"labels":[],"status":"disputed"}],` +
			`"matches_omitted":5,"failures":[],"notes":[],"allowed_by":null,"revisions":{},"policy":"p1","ms":{"read":0,"decode":0,"hash":0,"search":0,"total":0}}`,
		`{"path":"odd\n\u001b[2J` + "\u202e" + `\ufffd.png","path_base64":"` + odd + `","surface":"uploads","verdict":"hold","matches":[],` +
			`"failures":[{"code":"corrupt","detail":"bad\u0007"},{"code":"not_image","detail":""}],"notes":["low_quality"],"allowed_by":null,"revisions":{},"policy":"","ms":{"read":0,"decode":0,"hash":0,"search":0,"total":0}}`,
		`{"path":"=1+1.png","surface":"uploads","verdict":"allow","matches":[],"failures":[],"notes":[],"allowed_by":{"list":"mine","entry":"3","kind":"md5"},"revisions":{},"policy":"","ms":{"read":0,"decode":0,"hash":0,"search":0,"total":0}}`,
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d:\n%s, want\n%s", i, got[i], want[i])
		}
		if !json.Valid([]byte(got[i])) || !utf8.ValidString(got[i]) {
			t.Errorf("line %d is not JSON", i)
		}
	}
}

func TestCSV(t *testing.T) {
	records, err := csv.NewReader(strings.NewReader(written(t, CSV))).ReadAll()
	if err != nil || len(records) != 5 {
		t.Fatal(len(records), err)
	}
	want := []string{
		strings.Join(csvColumns, "|"),
		"clean.png|uploads|allow|0|||||||||||||demo=r1|p1|2",
		"found.png|uploads|block|7|demo|17|sha256|0|0||0|a b|active||||" + "|p1|0",
		outputResults[2].Path + "|uploads|hold|0||||||||||corrupt: bad\a; not_image|low_quality||||0",
		"./=1+1.png|uploads|allow|0||||||||||||mine 3 md5|||0",
	}
	for i, record := range records {
		if got := strings.Join(record, "|"); got != want[i] {
			t.Errorf("record %d:\n%q, want\n%q", i, got, want[i])
		}
	}
}

func TestTable(t *testing.T) {
	got := written(t, func(o *Output) Results { return Table(o, 60) })
	want := `VERDICT  PATH                      WHY
allow    clean.png
block    found.png                 exact match: list demo, entry 17 (sha256) a b
                                   near match: list demo, entry 18 (pdq, distance 4 of 31, frame 2, on black, flip_y, disputed)
                                   and 4 more
hold     "odd\n\x1b[2J\u202e\xff.png"
                                   not scanned in full: "corrupt: bad\a"
                                   not_image
                                   low_quality
allow    =1+1.png                  allowed by list mine, entry 3 (md5)
`
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestOpenOutput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	o, err := OpenOutput(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := CSV(o)
	if err := w.Write(outputResults[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	first := w.Offset()
	if err := w.Write(outputResults[1]); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != w.Offset() || first >= w.Offset() {
		t.Fatal(info, err, first, w.Offset())
	}
	if o, err = OpenOutput(path, first); err != nil {
		t.Fatal(err)
	}
	w = CSV(o)
	if err := w.Write(outputResults[3]); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil || len(records) != 3 || records[0][0] != "path" || records[1][0] != "clean.png" || records[2][0] != "./=1+1.png" {
		t.Errorf("%q, %v", records, err)
	}
	if _, err := OpenOutput(path, 1<<20); err == nil {
		t.Error("a file that is too short for its checkpoint was taken")
	}
	if _, err := OpenOutput(t.TempDir(), 0); err == nil {
		t.Error("a folder was taken")
	}
}

func BenchmarkJSON(b *testing.B) {
	o := NewOutput(discard{})
	w := JSON(o)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(outputResults[1]); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
