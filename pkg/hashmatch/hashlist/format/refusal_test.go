package format

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"pgregory.net/rapid"
)

const (
	ncmecHead = `<queryResult xmlns="` + ncmecNamespace + `"><images>`
	ncmecTail = `</images></queryResult>`
	icseHead  = "MD5;SHA1;PhotoDNA;Image ID;Is distributed;Baseline\n"
	nsrlHead  = `"SHA-1","MD5","CRC32","FileName","FileSize","ProductCode","OpSystemCode","SpecialCode"` + "\n"
	sha11     = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"
)

func image(inside string) string {
	return ncmecHead + `<image><member id="42"/><timestamp>2026-01-01T00:00:00Z</timestamp><id>a</id>` + inside + `</image>` + ncmecTail
}

func prints(inside string) string { return image("<fingerprints>" + inside + "</fingerprints>") }

func media(fields string) string { return `{"value":[{"Category":1,` + fields + `}]}` }

func indicator(fields string) string {
	return `{"data":[{"id":"1","type":"HASH_PDQ","indicator":"` + pdq1 + `","descriptors":{"data":[{"owner":{"id":5},"status":"MALICIOUS"}]}` + fields + `}]}`
}

func stop(fields string) string {
	return `{"hashRecords":[{"lastModtimestamp":1,"hashStatus":"Active"` + fields + `}]}`
}

// Each text is refused for that reason, whether bad records may be left out or not: nothing else is in it.
func TestRefusedRecords(t *testing.T) {
	zero := strings.Repeat("0", 64)
	flat := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, photoDNABytes))
	long := strings.Repeat("x", 2<<20)
	for _, test := range []struct {
		format     Format
		text, want string
	}{
		{NCMEC, prints("<pdq>" + pdq1[1:] + "</pdq>"), "line 1: record 1: pdq: 63 hex digits, want 64"},
		{NCMEC, prints("<pdq>" + zero + "</pdq>"), "line 1: record 1: pdq: all zero"},
		{NCMEC, prints("<md5>D41D8CD98F00B204E9800998ECF8427E</md5>"), "line 1: record 1: md5: the digest of the empty file"},
		{NCMEC, prints("<pdna>AAAA</pdna>"), "line 1: record 1: photodna: not 144 bytes"},
		{NCMEC, prints("<pdna>!</pdna>"), "line 1: record 1: photodna: not base64"},
		{NCMEC, prints("<md5/>"), "line 1: record 1: md5: no value"},
		{NCMEC, prints(`<md5 href="/x"/>`), "line 1: record 1: md5: no value"},
		{NCMEC, prints("<netclean/>"), "line 1: record 1: netclean: no value"},
		{NCMEC, prints(""), "line 1: record 1: no hash"},
		{NCMEC, image(""), "line 1: record 1: no hash"},
		{NCMEC, strings.Replace(prints("<md5>"+md51+"</md5>"), "42", "", 1), "line 1: record 1: no member"},
		{NCMEC, strings.Replace(prints("<md5>"+md51+"</md5>"), "<id>a</id>", "", 1), "line 1: record 1: no id"},
		{NCMEC, strings.Replace(prints("<md5>"+md51+"</md5>"), "2026-01-01T00:00:00Z", "yesterday", 1), "line 1: record 1: timestamp: want a time"},
		{NCMEC, strings.Replace(prints("<md5>"+md51+"</md5>"), "2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z", 1), "line 1: record 1: timestamp: want a time"},
		{NCMEC, ncmecHead + "\n\n<deletedImage><member id='4'/><id>a</id></deletedImage>" + ncmecTail, "line 3: record 1: timestamp: want"},
		{NCMEC, strings.Replace(prints("<md5>"+md51+"</md5>"), "<id>a", "<id>"+strings.Repeat("a", 1025), 1), "line 1: record 1: ID: 1025 bytes"},
		{NCMEC, image("<classification>" + strings.Repeat("a", 300) + "</classification>" + "<fingerprints><md5>" + md51[1:] + "</md5></fingerprints>"),
			"2 lines refused: line 1: record 1: a classification of more than 256 bytes; line 1: record 1: md5: 31"},
		{VICS, media(`"MD5":"` + md51[1:] + `"`), "line 1: record 1: md5: 31 hex digits, want 32"},
		{VICS, media(`"MD5":""`), "line 1: record 1: no hash"},
		{VICS, media(`"PhotoDNA":"` + flat + `"`), "no entry in it"},
		{VICS, media(`"MD5":"` + md51 + `","DateUpdated":"soon"`), "line 1: record 1: DateUpdated: want a time"},
		{VICS, media(`"MD5":["` + md51 + `"]`), "line 1: record 1: a list or an object where a plain value belongs"},
		{VICS, media(`"MD5":"` + md51 + `","AlternativeHashes":"` + md51 + `"`), "line 1: record 1: AlternativeHashes: it cannot be a JSON string"},
		{VICS, media(`"MD5":"` + md51 + `","X":"` + long + `"`), "line 1: record 1: more than 1048576 bytes"},
		{VICS, media(`"MD5":"` + md51 + `","Series":"` + "\xff" + `"`), "line 1: record 1: not UTF-8"},
		{VICS, "{\"value\":[\n\n{\"Category\":1,\"MD5\":\"\\x\"}]}", "line 3: record 1: not JSON"},
		{VICS, `{"value":[{"MD5":"` + md51 + `"}]}`, "line 1: record 1: no category"},
		{VICS, `{"value":[{"MD5":"` + md51 + `","Category":7}]}`, `line 1: record 1: category "7" is not mapped`},
		{VICS, `{"value":[{"MD5":"` + md51 + `","Category":"` + md51 + `"}]}`, "line 1: record 1: a category that is not mapped"},
		{VICS, `{"value":[7]}`, "line 1: record 1: want an object"},
		{VICS, `{"value":[{"Media":[{"Category":9,"MD5":"` + md51 + `"}]}]}`, `record 1: category "9" is not mapped`},
		{ThreatExchange, indicator(""), "line 1: record 1: last_updated: want seconds since 1970"},
		{ThreatExchange, indicator(`,"last_updated":-5`), "line 1: record 1: last_updated: want seconds since 1970"},
		{ThreatExchange, strings.Replace(indicator(`,"last_updated":5`), pdq1, pdq1[2:], 1), "line 1: record 1: pdq: 62 hex digits"},
		{ThreatExchange, strings.Replace(indicator(`,"last_updated":5`), `"status"`, `"tags":{"x":[1]},"tags":7,"status"`, 1), "line 1: record 1: tags: neither"},
		{ThreatExchange, `{"data":[{"last_updated":5,"should_delete":true}]}`, "line 1: record 1: neither an ID nor a hash"},
		{StopNCII, stop(`,"signalType":"ImagePDQ","hashValue":"` + zero + `"`), "line 1: record 1: pdq: all zero"},
		{StopNCII, stop(`,"signalType":"ImagePDQ"`), "line 1: record 1: imagepdq: no value"},
		{StopNCII, stop(`,"lastModtimestamp":"","signalType":"ImagePDQ","hashValue":"` + pdq1 + `"`), "line 1: record 1: lastModtimestamp: want"},
		{HMA, `{"pdq":"` + zero + `"}`, "line 1: record 1: pdq: all zero"},
		{HMA, `{"note":"x"}`, "line 1: record 1: no hash"},
		{HMA, `{"pdq":"` + pdq1 + `","note":"` + strings.Repeat("x", 300) + `"}`, "line 1: record 1: a label of more than 256 bytes"},
		{HMA, `[1]`, "line 1: record 1: want an object"},
		{ICSE, icseHead + md51[1:] + ";;;1;;\n", "line 2: md5: 31 hex digits"},
		{ICSE, icseHead + md51 + ";;;;;\n", "line 2: no image id"},
		{ICSE, icseHead + ";;;1;;\n", "line 2: no hash"},
		{ICSE, icseHead + md51 + ";;;1\n", "line 2: 4 fields, the header has 6"},
		{NSRL, nsrlHead + `"` + sha11[1:] + `","","","","","","",""`, "line 2: sha1: 39 hex digits"},
		{NSRL, nsrlHead + `"","","","","","","",""`, "line 2: no hash"},
		{Columns, "h,s\n" + md51 + ",\n" + md51 + ",gone\n", `line 3: unknown status "gone": map it`},
		{Columns, "h,s\n" + md51 + "," + md51 + "\n", "line 2: unknown status: map it"},
		{Columns, "h,s\n" + md51[3:] + ",active\n", "line 2: md5: 29 hex digits"},
		{Columns, "h,s\n,active\n", "line 2: no hash"},
		{Columns, "h,s\n,withdrawn\n", "line 2: neither an ID nor a hash"},
	} {
		o := Options{Format: test.format, AllowList: true}
		switch test.format {
		case VICS:
			o.Map = vicsMap
		case Columns:
			o.Columns = ColumnNames{Hashes: map[string]string{"md5": "h"}, Status: "s"}
		}
		shown := test.text[:min(len(test.text), 200)]
		l, _, err := importText(test.text, o)
		if err == nil || l != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q: %v, want %s", test.format, shown, err, test.want)
			continue
		}
		if strings.Contains(err.Error(), md51[:16]) || strings.Contains(err.Error(), pdq1[:16]) {
			t.Errorf("%s: %q: the error repeats the hash: %v", test.format, shown, err)
		}
		if strings.Count(test.text, md51) > 1 {
			continue // another line is sound
		}
		o.AllowSkips = true
		if l, result, err := importText(test.text, o); l != nil && !strings.Contains(test.want, "label of more") || result.Skipped == 0 && test.want != ErrEmpty.Error() {
			t.Errorf("%s: %q: left out: %+v, %v", test.format, shown, result, err)
		}
	}
}

// A bad hash does not take the good ones of its record with it, where bad ones may be left out.
func TestSkippedPartsOfRecords(t *testing.T) {
	var reported []LineError
	o := Options{AllowSkips: true, Report: func(e LineError) { reported = append(reported, e) }}
	text := strings.Replace(prints("<md5>"+md51+"</md5><pdq>12</pdq>"), ncmecTail,
		"\n<image><member id='1'/><id>b</id></image>\n<image><member id='1'/><id>c</id><timestamp>2026-01-01T00:00:00Z</timestamp>"+
			"<fingerprints><pdq>"+pdq1+"</pdq></fingerprints></image>"+ncmecTail, 1)
	l, result, err := importText(text, o)
	if err != nil || l.Len() != 2 || result.Skipped != 2 || result.Rows != 2 {
		t.Fatalf("%+v %v", result, err)
	}
	want := []LineError{{1, "pdq: 2 hex digits, want 64", 1}, {2, "timestamp: want a time as 2026-01-31T12:00:00Z", 2}}
	if !slices.Equal(reported, want) {
		t.Errorf("%+v", reported)
	}
	check(t, l, hashmatch.EntryKey{Source: "ncmec", Member: "42", ID: "a"}, `active md5+0-0 [] `)
}

func TestRefusedDocuments(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for _, test := range []struct {
		format Format
		text   string
		want   error
		reason string
	}{
		{NCMEC, `<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v3"/>`, ErrFormat, "want <queryResult"},
		{NCMEC, `<other/>`, ErrFormat, "want <queryResult"},
		{NCMEC, `<queryResult/>`, ErrFormat, "want <queryResult"},
		{NCMEC, "hello", ErrEmpty, ""},
		{NCMEC, ncmecHead, ErrMalformed, "it ends in the middle"},
		{NCMEC, ncmecHead + "</queryResult>", ErrMalformed, "an end tag that does not fit"},
		{NCMEC, ncmecHead + strings.Repeat("<a>", 40), ErrMalformed, "more than 32 elements"},
		{NCMEC, ncmecHead + "&nbsp;" + ncmecTail, ErrMalformed, "line 1"},
		{NCMEC, ncmecHead + "<!--" + strings.Repeat("<x>", 1<<20) + "-->" + ncmecTail, ErrMalformed, "more than 1048576 bytes"},
		{NCMEC, ncmecHead + "<a b='" + strings.Repeat("x", 2<<20) + "'/>" + ncmecTail, ErrMalformed, "more than 1048576 bytes"},
		{NCMEC, prints("<md5>" + strings.Repeat("x", 2<<20) + "</md5>"), ErrMalformed, "more than 1048576 bytes"},
		{NCMEC, prints("<md5>" + strings.Repeat(strings.Repeat("x", 1<<19)+"<!-- -->", 4) + "</md5>"), ErrMalformed, "more than 1048576 bytes"},
		{NCMEC, `<?xml version="1.0" encoding="ISO-8859-1"?>` + prints(""), ErrEncoding, "convert it"},
		{NCMEC, `<!DOCTYPE x [<!ENTITY a "b">]>` + strings.Replace(prints("<md5>&a;</md5>"), "x", "x", 1), ErrMalformed, ""},
		{NCMEC, ncmecHead + "\xff" + ncmecTail, ErrMalformed, "UTF-8"},
		{VICS, `{"value":[{"Category":1,"MD5":"` + md51 + `"}`, ErrMalformed, "it ends in the middle"},
		{VICS, `{"value":[{"Category":1,"MD5":"` + md51 + `"}]} x`, ErrMalformed, "want '{'"},
		{VICS, `{"value":[{"Category":1 "MD5":"` + md51 + `"}]}`, ErrMalformed, "want ',' or '}'"},
		{VICS, `{"value":[{"Category":1,"MD5":"` + md51 + `"},]}`, ErrMalformed, "want a value"},
		{VICS, `{"value":[{"Category":1,"MD5":"` + md51 + `"` + "\x00" + `}]}`, ErrEncoding, "NUL"},
		{VICS, `{"x":` + deep + `}`, ErrMalformed, "nested more than 64 deep"},
		{VICS, `{"value":[{"Category":1,"X":` + deep + `}]}`, ErrMalformed, "nested more than 64 deep"},
		{VICS, `{"` + strings.Repeat("x", 2000) + `":1}`, ErrMalformed, "a name of more than 1024 bytes"},
		{VICS, `{"x":` + strings.Repeat("1", 100) + `}`, ErrMalformed, "a number of more than 64 digits"},
		{VICS, `{"x":nul}`, ErrMalformed, "want a value"},
		{VICS, `{"\u":1}`, ErrMalformed, "a name that is no string"},
		{VICS, `{"value":[]}`, ErrEmpty, ""},
		{VICS, `{}`, ErrEmpty, ""},
		{ThreatExchange, `{"error":{"message":"` + md51 + `"}}`, ErrMalformed, "the answer to a request that failed"},
		{ThreatExchange, `{"data":[],"paging":[]}`, ErrMalformed, "not what it should be"},
		{StopNCII, `{"hashRecords":[],"hasMoreRecords":{}}`, ErrMalformed, "not what it should be"},
		{ICSE, "MD5;Image ID;Colour\n", ErrFormat, "header: column 3 is none of"},
		{ICSE, "MD5;SHA1\n", ErrFormat, "header: there is no column image id"},
		{NSRL, `"SHA-1","MD5"` + "\n", ErrFormat, "there is no column crc32"},
	} {
		for _, skips := range []bool{false, true} {
			l, _, err := importText(test.text, Options{Format: test.format, AllowList: true, AllowSkips: skips, Map: mapOf(test.format)})
			if !errors.Is(err, test.want) || l != nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("%s: %q: %v, want %v: %s", test.format, test.text[:min(len(test.text), 100)], err, test.want, test.reason)
			}
		}
	}
	// A NUL byte past the beginning is not taken for the end.
	text := `{"value":[{"Category":1,"MD5":"` + md51 + `"}]}` + strings.Repeat(" ", 2*HeadBytes) + "\x00" + `{"value":[]}`
	if _, _, err := importText(text, Options{Format: VICS, Map: vicsMap}); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func mapOf(f Format) map[string]string {
	if f == VICS {
		return vicsMap
	}
	return nil
}

func TestOptionsThatDoNotFit(t *testing.T) {
	hashes := ColumnNames{Hashes: map[string]string{"md5": "h"}}
	for _, test := range []struct {
		name string
		o    Options
		want string
	}{
		{"vics without a mapping", Options{Format: VICS}, "what a category number means differs by country"},
		{"vics, mapped to nothing", Options{Format: VICS, Map: map[string]string{"category:1": ""}}, "the mapping of"},
		{"vics, another field", Options{Format: VICS, Map: map[string]string{"grade:1": "A"}}, `vics maps category, not "grade"`},
		{"no colon", Options{Format: VICS, Map: map[string]string{"1": "A"}}, `vics maps category, not "1"`},
		{"ncmec with a mapping", Options{Format: NCMEC, Map: map[string]string{"category:1": "A"}}, `ncmec maps nothing`},
		{"csv with columns", Options{Format: CSV, Columns: hashes}, "csv has columns of its own"},
		{"csv with a source", Options{Format: CSV, Source: "x"}, "csv states the source"},
		{"columns without any", Options{Format: Columns}, "no column with a hash"},
		{"a hash of no kind", Options{Format: Columns, Columns: ColumnNames{Hash: "h"}}, "hash and kind need each other"},
		{"a delimiter that is none", Options{Format: Columns, Columns: ColumnNames{Hashes: hashes.Hashes, Delimiter: '"'}}, "this cannot be a delimiter"},
	} {
		if _, _, err := importText("h\n"+md51+"\n", test.o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	for text, want := range map[string]string{
		"x\n" + md51 + "\n":         `header: there is no column "h"`,
		"h,H\n" + md51 + "," + md51: `header: column "h" stands there twice`,
		"\"h\n" + md51:              "in quoted-field",
	} {
		if _, _, err := importText(text, Options{Format: Columns, Columns: hashes}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	var c ColumnNames
	for _, pair := range [][2]string{{"", "x"}, {"md5", " "}} {
		if err := c.Set(pair[0], pair[1]); !errors.Is(err, ErrOptions) {
			t.Errorf("%q: %v", pair, err)
		}
	}
	// Known files do not come into a list to block by, whether the format was named or detected.
	for _, f := range []Format{NSRL, Unknown} {
		if l, _, err := Import(bytes.NewReader(read(t, "nsrl.txt")), Options{Format: f}); !errors.Is(err, ErrAllowList) || l != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// What a file calls pHash is of the program that made it, and never one of ours, unless the operator says so.
func TestKindsOfOtherPrograms(t *testing.T) {
	const phash = "0123456789abcdef"
	o := Options{Format: Columns, Columns: ColumnNames{Kind: "k", Hash: "h", Hashes: map[string]string{"md5": "m"}}}
	text := "k,h,m\nphash," + phash + "," + md51 + "\n"
	l, result, err := importText(text, o)
	if err != nil || l.Kinds() != hashmatch.SetOf(hashmatch.MD5) || result.Uncomputed["phash"] != 1 {
		t.Errorf("%+v %v", result, err)
	}
	o.Map = map[string]string{"kind:phash": "phash"}
	if l, _, err := importText(text, o); err != nil || !l.Kinds().Has(hashmatch.PHash) {
		t.Error(err)
	}
	o.Map = map[string]string{"kind:phash": Leave}
	if _, result, err := importText(text, o); !errors.Is(err, ErrEmpty) || result.Remarks[remarkMapped] != 1 {
		t.Errorf("%+v %v", result, err)
	}
	o = Options{Format: Columns, Columns: ColumnNames{Hashes: map[string]string{"phash": "H", "netclean": "m"}}}
	if l, result, err := importText(text, o); err != nil || !l.Kinds().Has(hashmatch.PHash) || result.Uncomputed["netclean"] != 1 {
		t.Errorf("%+v %v", result, err)
	}
	if l, _, err := importText(`{"phash":"`+phash+`","pdq":"`+pdq1+`"}`, Options{Format: HMA}); err != nil || l.Kinds() != hashmatch.SetOf(hashmatch.PDQ) {
		t.Error(err)
	}
}

// The names of schemes come from the file: they are bounded, and none may be a hash.
func TestUncomputedNamesAreBounded(t *testing.T) {
	var text strings.Builder
	fmt.Fprintf(&text, `{"pdq":"%s"`, pdq1)
	for i := range 1000 {
		fmt.Fprintf(&text, `,"scheme%d":"x"`, i)
	}
	fmt.Fprintf(&text, `,"%s":"x"}`, md51)
	_, result, err := importText(text.String(), Options{Format: HMA})
	total := 0
	for name, n := range result.Uncomputed {
		total += n
		if strings.Contains(name, md51[:8]) {
			t.Error(name)
		}
	}
	if err != nil || total != 1001 || len(result.Uncomputed) > maxCounted+1 {
		t.Errorf("%d names, %d in all, %v", len(result.Uncomputed), total, err)
	}
}

// The PhotoDNA value that an exporter writes into every file is left out; pictures that recur are not.
func TestConstantPhotoDNA(t *testing.T) {
	build := func(n int, value func(i int) []byte) string {
		var b strings.Builder
		b.WriteString(`{"value":[`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"Category":1,"MD5":"%032x","PhotoDNA":"%s"}`, i+1, base64.StdEncoding.EncodeToString(value(i)))
		}
		b.WriteString(`]}`)
		return b.String()
	}
	distinct := func(i int) []byte {
		return bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, photoDNABytes/4)
	}
	constant := bytes.Repeat([]byte{9, 8, 7}, photoDNABytes/3)
	for name, test := range map[string]struct {
		n, want int
		value   func(i int) []byte
	}{
		"all different":     {5000, 5000, distinct},
		"all the same":      {5000, 0, func(int) []byte { return constant }},
		"seven of the same": {7, 7, func(int) []byte { return constant }},
		"eight of the same": {8, 0, func(int) []byte { return constant }},
		"a few recur":       {5000, 5000, func(i int) []byte { return distinct(i / 3) }},
		"half of them": {5000, 2500, func(i int) []byte {
			if i%2 == 0 {
				return constant
			}
			return distinct(i)
		}},
		"flat ones": {20, 10, func(i int) []byte {
			if i%2 == 0 {
				return bytes.Repeat([]byte{byte(i + 1)}, photoDNABytes)
			}
			return distinct(i)
		}},
	} {
		for _, now := range []bool{false, true} {
			o := Options{Format: VICS, Map: vicsMap}
			if now {
				o.Now = day
			}
			l, result, err := importText(build(test.n, test.value), o)
			if err != nil || l.Len() != test.n || l.OpaqueCounts()[photoDNA] != test.want {
				t.Errorf("%s: %+v, %v", name, result, err)
				continue
			}
			if got := result.Remarks[constantRemark]; got != test.n-test.want {
				t.Errorf("%s: %d said to be left out, want %d", name, got, test.n-test.want)
			}
		}
	}
	only := strings.ReplaceAll(build(2*constantLimit, func(int) []byte { return constant }), `"MD5"`, `"MediaID"`)
	if l, _, err := importText(only, Options{Format: VICS, Map: vicsMap}); !errors.Is(err, ErrEmpty) || l != nil {
		t.Error("a list of nothing but the constant:", err)
	}
}

// splitRecord splits as encoding/csv does.
func TestSplitRecord(t *testing.T) {
	quoted := 0
	rapid.Check(t, func(t *rapid.T) {
		delimiter := rapid.SampledFrom([]byte(",;")).Draw(t, "delimiter")
		field := rapid.OneOf(
			rapid.SampledFrom([]string{"", "a", `"a"`, `""`, `"a,b;c"`, `"a""b"`, `""""`}),
			rapid.StringOfN(rapid.SampledFrom([]rune(`ab";,é `)), 0, 4, -1))
		line := strings.Join(rapid.SliceOfN(field, 1, 5).Draw(t, "fields"), string(delimiter))
		if line == "" {
			return // encoding/csv passes over it
		}
		r := csv.NewReader(strings.NewReader(line))
		r.Comma = rune(delimiter)
		want, wantErr := r.Read()
		got, err := splitRecord(nil, []byte(line), delimiter)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, encoding/csv: %v", line, err, wantErr)
		}
		if err != nil {
			return
		}
		if strings.Contains(line, `"`) {
			quoted++
		}
		var texts []string
		for _, field := range got {
			texts = append(texts, string(field))
		}
		if !slices.Equal(texts, want) {
			t.Fatalf("%q: %q, encoding/csv: %q", line, texts, want)
		}
	})
	if quoted == 0 {
		t.Error("no line with quotes was drawn")
	}
}

// stream repeats records between a head and a tail, and says how the heap grew while it was read.
type stream struct {
	head, tail string
	record     func(i int) string
	left       int
	i          int
	buffer     []byte
	ended      bool
	base, peak uint64
	unmeasured bool
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.buffer) < len(p) && !s.ended {
		switch {
		case s.i == 0 && s.head != "":
			s.buffer = append(s.buffer, s.head...)
			s.head = ""
		case s.left > 0:
			text := s.record(s.i)
			s.i++
			s.left -= len(text)
			s.buffer = append(s.buffer, text...)
			if s.i%200_000 == 0 {
				s.measure()
			}
		default:
			s.buffer = append(s.buffer, s.tail...)
			s.ended = true
		}
	}
	if len(s.buffer) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.buffer)
	s.buffer = append(s.buffer[:0], s.buffer[n:]...)
	return n, nil
}

func (s *stream) measure() {
	if s.unmeasured {
		return
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if s.base == 0 {
		s.base = m.HeapAlloc
	}
	s.peak = max(s.peak, m.HeapAlloc)
}

// BenchmarkRecords reads 16 MB of each format.
func BenchmarkRecords(b *testing.B) {
	for _, test := range soundStreams() {
		b.Run(test.options.Format.String(), func(b *testing.B) {
			s := test.stream
			s.left, s.unmeasured = 16<<20, true
			text, err := io.ReadAll(s)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(bytes.NewReader(text), test.options, func(hashmatch.Entry) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type streamTest struct {
	options Options
	stream  *stream
	broken  bool
}

// soundStreams returns streams of good records.
func soundStreams() map[string]streamTest {
	return map[string]streamTest{
		"ncmec": {Options{Format: NCMEC}, &stream{head: ncmecHead, tail: ncmecTail, record: func(i int) string {
			return fmt.Sprintf("<image><member id=\"%d\">x</member><timestamp>2026-01-01T00:00:00Z</timestamp><id>%d</id><classification>A1</classification>"+
				"<fingerprints><md5>%032x</md5><pdq>%064x</pdq></fingerprints><feedback><affirmativeFeedback type=\"Md5\"><members><member id=\"%d\"/></members></affirmativeFeedback></feedback></image>\n",
				i%50, i, i+1, i+1, i)
		}}, false},
		"vics": {Options{Format: VICS, Map: vicsMap}, &stream{head: `{"value":[{"Media":[{"Category":4}`, tail: "]}]}", record: func(i int) string {
			return fmt.Sprintf(",\n{\"Category\":1,\"MD5\":\"%032x\",\"MediaID\":%d,\"AlternativeHashes\":[{\"HashName\":\"PhotoDNA\",\"HashValue\":\"%s\"}]}", i+1, i,
				base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, photoDNABytes/4)))
		}}, false},
		"threatexchange": {Options{Format: ThreatExchange}, &stream{record: func(i int) string {
			return fmt.Sprintf("{\"data\":[{\"id\":%d,\"type\":\"HASH_PDQ\",\"indicator\":\"%064x\",\"last_updated\":5,\"descriptors\":{\"data\":[{\"owner\":{\"id\":5},\"status\":\"MALICIOUS\"}]}}]}\n", i, i+1)
		}}, false},
		"nsrl": {Options{Format: NSRL, AllowList: true}, &stream{head: nsrlHead, record: func(i int) string {
			return fmt.Sprintf("\"%040X\",\"%032X\",\"00000000\",\"name\",1,1,\"1\",\"\"\n", i/4+1, i/4+1)
		}}, false},
	}
}

// A stream of 200 MB takes no more memory than one of a few records, and neither does one value without an end.
func TestMemoryOfStreams(t *testing.T) {
	size := 200 << 20
	if testing.Short() || raceDetector { // which is for other faults than this test
		size = 20 << 20
	}
	endless := func(head, filler string) *stream {
		return &stream{head: head, record: func(int) string { return filler }}
	}
	tests := map[string]streamTest{
		"a text without an end in xml": {Options{Format: NCMEC}, endless(ncmecHead+"<image><id>", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), true},
		"texts and comments in turn":   {Options{Format: NCMEC}, endless(ncmecHead+"<image><id>", "xxxxxxxxxxxxxxx<!-- xxxxxxxxxxxxxxx -->"), true},
		"an attribute without an end":  {Options{Format: NCMEC}, endless(ncmecHead+"<image><id a='", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), true},
		"elements without an end":      {Options{Format: NCMEC}, endless(ncmecHead, "<image>"), true},
		"voters without an end":        {Options{Format: NCMEC}, &stream{head: ncmecHead + "<image><feedback><negativeFeedback type='Md5'><members>", record: func(i int) string { return fmt.Sprintf("<member id='%d'/>", i) }}, true},
		"types of votes without an end": {Options{Format: NCMEC}, &stream{head: ncmecHead + "<image><feedback>", record: func(i int) string {
			return fmt.Sprintf("<negativeFeedback type='%d'><a><member id='1'/></a></negativeFeedback>", i)
		}}, true},
		"fingerprints without an end":      {Options{Format: NCMEC, AllowSkips: true}, &stream{head: ncmecHead + "<image><fingerprints>", record: func(i int) string { return fmt.Sprintf("<md5>%032x</md5>", i+1) }}, true},
		"a string without an end":          {Options{Format: VICS, Map: vicsMap}, endless(`{"value":[{"MD5":"`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), true},
		"a string without an end, outside": {Options{Format: VICS, Map: vicsMap}, endless(`{"x":"`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), true},
		"a name without an end":            {Options{Format: HMA}, endless(`{"`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), true},
		"lists without an end":             {Options{Format: HMA}, endless(`[`, "[[[[[[[[[[[[[[[["), true},
		"a number without an end":          {Options{Format: HMA}, endless(`[{"pdq":`, "1111111111111111"), true},
		"paging without an end":            {Options{Format: ThreatExchange}, endless(`{"paging":{"next":"`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), true},
		"members of a record":              {Options{Format: HMA}, &stream{head: `{"a":1`, record: func(i int) string { return fmt.Sprintf(`,"%d":1`, i) }}, true},
		"a line without an end":            {Options{Format: ICSE}, endless(icseHead+`"`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), true},
	}
	maps.Copy(tests, soundStreams())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := test.stream
			s.left = size
			switch {
			case test.broken:
				s.left = size / 10
			case test.options.Format != NCMEC && test.options.Format != VICS: // one of each kind of stream is enough
				s.left = size / 4
			}
			s.measure()
			n := 0
			result, err := Parse(s, test.options, func(hashmatch.Entry) error { n++; return nil })
			s.measure()
			if test.broken != (err != nil) || !test.broken && n == 0 {
				t.Fatalf("%d entries, %+v, %v", n, result, err)
			}
			if grown := int64(s.peak) - int64(s.base); grown > 16<<20 {
				t.Errorf("the heap grew by %d MiB over %d records", grown>>20, s.i)
			} else {
				t.Logf("%d records, %d entries: the heap grew by %d KiB", s.i, n, grown>>10)
			}
		})
	}
}
