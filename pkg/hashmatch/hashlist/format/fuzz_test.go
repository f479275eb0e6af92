package format

import (
	"bytes"
	"slices"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// fuzzRecords: no input panics; what is taken can be in a list, its keys are of the stated source, and what is exported
// to the project's own format and, where one exists, to the format itself is read back the same.
func fuzzRecords(f *testing.F, o Options, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, skips bool) {
		o := o
		o.AllowSkips = skips
		l, result, err := Import(bytes.NewReader(data), o)
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
		for _, e := range l.Entries() {
			if err := hashlist.Validate(e); err != nil {
				t.Fatal(err)
			}
		}
		if skips || o.Format == VICS { // a constant that many files share is known at the end only
			parsed := 0
			again, err := Parse(bytes.NewReader(data), o, func(hashmatch.Entry) error { parsed++; return nil })
			if err != nil || parsed > again.Rows {
				t.Fatalf("%d entries, %+v, %v", parsed, again, err)
			}
		}
		roundTrip(t, l, CSV, Options{})
		if slices.Contains(Exports(), o.Format.String()) {
			roundTrip(t, l, o.Format, o)
		}
	})
}

// roundTrip exports a list and reads it back: the same, if nothing was said to be left out.
func roundTrip(t fataler, l *hashlist.List, f Format, o Options) {
	var out bytes.Buffer
	exported, err := ExportMapped(&out, l, f, o.Map)
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	o.Format = f
	back, result, err := Import(bytes.NewReader(out.Bytes()), o)
	if exported.Entries == 0 {
		if back != nil {
			t.Fatalf("%s: entries of nothing", f)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: %v of %q", f, err, out.String())
	}
	if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != exported.Lines || result.Lines != lines {
		t.Fatalf("%s: %d lines, exported %d, read %d", f, lines, exported.Lines, result.Lines)
	}
	if len(exported.Omitted) == 0 && len(result.Remarks) == 0 && back.Revision() != l.Revision() {
		t.Fatalf("%s: export and import made another list of %q", f, out.String())
	}
	if back.Len() > exported.Entries && f != HMA { // of which an entry may take several lines
		t.Fatalf("%s: %d entries of %d", f, back.Len(), exported.Entries)
	}
}

type fataler interface{ Fatalf(string, ...any) }

func FuzzNCMEC(f *testing.F) {
	fuzzRecords(f, Options{Format: NCMEC}, string(read(f, "ncmec.xml")), prints("<md5>"+md51+"</md5>"), ncmecHead+ncmecTail)
}

func FuzzVICS(f *testing.F) {
	fuzzRecords(f, Options{Format: VICS, Map: vicsMap}, string(read(f, "vics-cases.json")), string(read(f, "vics.json")[:2000])+`}]}`,
		media(`"MD5":"`+md51+`","Tags":["a","b"],"Series":"s","DateUpdated":"2026-01-01"`), `[{"Category":"2","SHA1":"`+sha11+`"}]`)
}

func FuzzThreatExchange(f *testing.F) {
	fuzzRecords(f, Options{Format: ThreatExchange}, string(read(f, "threatexchange.json")), indicator(`,"last_updated":5`), indicator(`,"last_updated":"5","should_delete":true`))
}

func FuzzStopNCII(f *testing.F) {
	fuzzRecords(f, Options{Format: StopNCII}, string(read(f, "stopncii.json")), stop(`,"signalType":"ImagePDQ","hashValue":"`+pdq1+`"`))
}

func FuzzHMA(f *testing.F) {
	fuzzRecords(f, Options{Format: HMA}, string(read(f, "hma.json")), `[{"pdq":"`+pdq1+`","note":"n"},{"video_md5":"`+md51+`"}]`)
}

func FuzzICSE(f *testing.F) {
	fuzzRecords(f, Options{Format: ICSE}, string(read(f, "icse.csv")), icseHead+md51+";;;1;yes;\"no\"\n")
}

func FuzzNSRL(f *testing.F) {
	fuzzRecords(f, Options{Format: NSRL, AllowList: true}, string(read(f, "nsrl.txt")), nsrlHead+`"`+sha11+`","`+md51+`","0","a""b","","","",""`+"\n")
}

func FuzzColumns(f *testing.F) {
	o := nationalOptions()
	o.Columns.Hashes = map[string]string{"phash": "hash2"}
	fuzzRecords(f, o, string(read(f, "national.tsv")), "hash\talgorithm\tgrade\tkeywords\tstate\tlast changed\tref\thash2\n"+md51+"\tmd5\tA\tx|y\t\t5\t\t0123456789abcdef\n")
}
