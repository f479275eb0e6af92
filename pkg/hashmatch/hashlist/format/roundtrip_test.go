package format

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawFor draws an entry of which the format can carry everything.
func drawFor(f Format) func(t *rapid.T) hashmatch.Entry {
	kinds := map[Format][]hashmatch.Kind{
		NCMEC: {hashmatch.MD5, hashmatch.SHA1, hashmatch.PDQ, 0},
		VICS:  {hashmatch.MD5, hashmatch.SHA1, hashmatch.SHA256, hashmatch.PDQ, 0},
		HMA:   {hashmatch.MD5, hashmatch.PDQ, 0},
	}[f]
	return func(t *rapid.T) hashmatch.Entry {
		e := drawEntry(t)
		old := e.Signatures
		e.Signatures = nil
		seen := make(map[hashmatch.Kind]bool)
		for i := range old {
			bits := bytes.Repeat([]byte{byte(rapid.IntRange(1, 255).Draw(t, "bits")), byte(i), 7}, 48)
			kind := rapid.SampledFrom(kinds).Draw(t, "kind of this")
			if seen[kind] && f == HMA {
				continue
			}
			seen[kind] = true
			s := hashmatch.Signature{Scheme: photoDNA, Opaque: string(bits)}
			if kind != 0 {
				h, err := hashmatch.NewHash(kind, bits[:kind.Bits()/8])
				if err != nil {
					t.Fatal(err)
				}
				s = hashmatch.Signature{Hash: h}
			}
			e.Signatures = append(e.Signatures, s)
		}
		slices.SortFunc(e.Signatures, func(a, b hashmatch.Signature) int { return rank(&a) - rank(&b) })
		switch f {
		case NCMEC:
			e.Key.Source, e.Key.Member = "ncmec", e.Key.ID+"m"
			e.Status = []hashmatch.Status{hashmatch.Active, hashmatch.Withdrawn}[rapid.IntRange(0, 1).Draw(t, "gone")]
			e.Updated = time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "micros"))
			e.Labels, e.Classification = nil, ""
			if rapid.Bool().Draw(t, "classified") {
				e.Classification = "<A1> & more"
				e.Labels = append(e.Labels, e.Classification)
			}
			if e.Status == hashmatch.Active && rapid.Bool().Draw(t, "video") {
				e.Labels = append(e.Labels, labelVideo)
			}
		case VICS:
			e.Status, e.Classification = hashmatch.Active, rapid.SampledFrom([]string{"A1", "B2"}).Draw(t, "category")
			e.Labels = []string{e.Classification}
			e.Labels = append(e.Labels, rapid.SliceOfN(rapid.SampledFrom([]string{labelDistributed, labelVictim, labelOffender, `a "tag"`, labelSeries + "s;,|"}), 0, 3).Draw(t, "labels of this")...)
			if !e.Updated.IsZero() {
				e.Updated = time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "micros"))
			}
		case HMA:
			e.Status, e.Updated = hashmatch.Active, time.Time{}
			e.Labels = e.Labels[:min(len(e.Labels), 1)]
		}
		if f != NCMEC {
			e.Key = hashmatch.EntryKey{Source: f.String(), ID: derivedID(e.Signatures)}
		}
		return e
	}
}

func TestIndustryRoundTrip(t *testing.T) {
	for _, f := range []Format{NCMEC, VICS, HMA} {
		t.Run(f.String(), func(t *testing.T) {
			lossless := 0
			rapid.Check(t, func(t *rapid.T) {
				l, err := hashlist.New(slices.Values(rapid.SliceOfN(rapid.Custom(drawFor(f)), 1, 6).Draw(t, "entries")))
				if err != nil {
					t.Skip(err)
				}
				var out bytes.Buffer
				exported, err := ExportMapped(&out, l, f, mapOf(f))
				if err != nil {
					t.Fatal(err)
				}
				if len(exported.Omitted) == 0 {
					lossless++
					if exported.Entries != l.Len() {
						t.Fatalf("%d of %d entries", exported.Entries, l.Len())
					}
				}
				roundTrip(t, l, f, Options{Map: mapOf(f)})
				if got := Detect(out.Bytes()); got != f {
					t.Fatalf("detected as %s: %s", got, out.String())
				}
			})
			if lossless == 0 {
				t.Error("no list was carried whole")
			}
		})
	}
}

// What the golden files say comes through their own formats, but for what is counted.
func TestGoldenRoundTrip(t *testing.T) {
	for file, want := range map[string]Exported{
		"ncmec.xml": {6, 13, map[string]int{"votes": 1, "disputed": 1}},
		"vics.json": {12, 15, map[string]int{}},
		"hma.json":  {4, 4, map[string]int{}},
	} {
		l := load(t, file)
		var f Format
		for _, test := range industryFiles {
			if test.file == file {
				f = test.want.Format
			}
		}
		var out bytes.Buffer
		exported, err := ExportMapped(&out, l, f, mapOf(f))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, exported); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
		roundTrip(t, l, f, Options{Map: mapOf(f)})
		if _, err := ExportMapped(failing{}, l, f, mapOf(f)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: a writer that fails: %v", f, err)
		}
	}
}

func TestIndustryExportSaysWhatItOmits(t *testing.T) {
	h, _ := hashmatch.ParseHex(hashmatch.MD5, md51)
	p, _ := hashmatch.ParseHex(hashmatch.PHash, "0123456789abcdef")
	entry := func(id string, status hashmatch.Status) hashmatch.Entry {
		return hashmatch.Entry{
			Key: hashmatch.EntryKey{Source: "other", Member: "1", ID: id}, Status: status, Classification: "A1", Updated: day,
			Labels:     []string{"x,y", "A1", "series:a", "series:b;"},
			Signatures: []hashmatch.Signature{{Hash: h, Votes: hashmatch.Votes{Positive: 1}}, {Hash: p}, {Scheme: "tmk", Opaque: "x"}},
		}
	}
	no := entry("e", 0)
	no.Key, no.Classification = hashmatch.EntryKey{ID: "e"}, ""
	bare := entry("f", 0)
	bare.Signatures = bare.Signatures[1:]
	undated := entry("g", 0)
	undated.Updated = time.Time{}
	odd := entry("h\ufffe", 0)
	l, err := hashlist.New(slices.Values([]hashmatch.Entry{entry("a", 0), entry("b", 1), entry("c", 2), entry("d", 3), no, bare, undated, odd}))
	if err != nil {
		t.Fatal(err)
	}
	for f, want := range map[Format]Exported{
		NCMEC: {2, 9, map[string]int{"votes": 1, "phash": 2, "tmk": 2, "label": 1, "source": 2, "disputed": 1, "suspended": 1,
			"entry without a member": 1, "entry without an update time": 1, "entry with characters that XML cannot hold": 1}},
		VICS: {3, 6, map[string]int{"votes": 3, "phash": 4, "tmk": 4, "label": 3, "entry key": 3, "disputed": 1, "suspended": 1, "withdrawn": 1,
			"entry whose classification has no category": 1}},
		HMA: {4, 4, map[string]int{"votes": 4, "phash": 5, "tmk": 5, "label": 4, "entry key": 4, "classification": 3, "update time": 3,
			"disputed": 1, "suspended": 1, "withdrawn": 1}},
	} {
		var out bytes.Buffer
		got, err := ExportMapped(&out, l, f, mapOf(f))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s%s", f, diff, out.String())
		}
	}
	for _, f := range []Format{ThreatExchange, StopNCII, ICSE, NSRL, Columns} {
		if _, err := Export(&bytes.Buffer{}, l, f); !errors.Is(err, ErrNoExport) || !strings.Contains(err.Error(), f.String()) {
			t.Errorf("%s: %v", f, err)
		}
		if slices.Contains(Exports(), f.String()) {
			t.Errorf("%s is said to be written", f)
		}
	}
	if _, err := Export(&bytes.Buffer{}, l, VICS); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}
