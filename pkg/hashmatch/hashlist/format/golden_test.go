package format

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"github.com/google/go-cmp/cmp"
)

// vicsMap and nationalOptions are what an operator would state for the golden files.
var vicsMap = map[string]string{"category:1": "A1", "category:2": "B2", "category:0": Leave, "category:4": Leave}

func nationalOptions() Options {
	o := Options{
		Format: Columns, Source: "national", Now: day,
		Map: map[string]string{"status:Live": "active", "status:Removed": "withdrawn", "classification:N": Leave},
	}
	for role, column := range map[string]string{
		"hash": "hash", "kind": "Algorithm", "classification": "GRADE", "labels": "Keywords", "status": "State",
		"updated": "Last changed", "entry": "Ref",
	} {
		if err := o.Columns.Set(role, column); err != nil {
			panic(err)
		}
	}
	o.Columns.Delimiter = '\t'
	return o
}

const (
	remarkWithdrawn = "entries taken as withdrawn: none of their hashes is kept"
	remarkMapped    = "records left out by the mapping"
)

// industryFiles are the golden files of the industry's formats, and what must come of them for ever.
var industryFiles = []struct {
	file     string
	options  Options
	detected Format
	revision string
	want     Result
}{
	{"ncmec.xml", Options{Now: day}, NCMEC, "3779f68efc32", Result{
		Format: NCMEC, Lines: 46, Rows: 9, Opaque: 1, Superseded: 2, Entries: 7, More: true,
		Uncomputed: map[string]int{"netclean": 1, "ssvh-safer-hash": 1, "tmk-pdqf": 1, "videntifier": 1},
		Remarks:    map[string]int{remarkWithdrawn: 1},
	}},
	{"vics.json", Options{Map: vicsMap, Now: day}, VICS, "7c06712fc124", Result{
		Format: VICS, Lines: 17, Rows: 12, Opaque: 11, Entries: 12,
		Uncomputed: map[string]int{"f1-md5": 1, "videodna": 1},
		Remarks:    map[string]int{constantRemark: 9, remarkMapped: 2},
	}},
	{"vics-cases.json", Options{Map: vicsMap, Now: day}, VICS, "0dda5415bf26", Result{Format: VICS, Lines: 1, Rows: 3, Entries: 3}},
	{"threatexchange.json", Options{Now: day}, ThreatExchange, "ead54408e9d6", Result{
		Format: ThreatExchange, Lines: 163, Rows: 9, Superseded: 1, Entries: 8,
		Uncomputed: map[string]int{"hash-tmk": 1, "trend-query": 1},
		Remarks:    map[string]int{remarkWithdrawn: 2, "descriptors with an unknown status, taken for UNKNOWN": 1},
	}},
	{"stopncii.json", Options{Now: day}, StopNCII, "8db06e55feb8", Result{
		Format: StopNCII, Lines: 153, Rows: 8, Superseded: 1, Entries: 7,
		Uncomputed: map[string]int{"audionew": 1, "videotmk": 1},
		Remarks:    map[string]int{remarkBare: 2, "records with an unknown hashStatus, taken as disputed": 1},
	}},
	{"icse.csv", Options{Now: day}, ICSE, "d6091bac8b63", Result{Format: ICSE, Lines: 4, Rows: 3, Opaque: 2, Entries: 3}},
	{"nsrl.txt", Options{AllowList: true, Now: day}, NSRL, "3dd141dd441f", Result{
		Format: NSRL, Lines: 6, Rows: 4, Entries: 3,
		Uncomputed: map[string]int{"crc32": 5}, Remarks: map[string]int{"the empty file, left out": 1},
	}},
	{"hma.json", Options{Now: day}, HMA, "3da7159aa440", Result{
		Format: HMA, Lines: 4, Rows: 4, Opaque: 1, Entries: 4, Uncomputed: map[string]int{"vpdq": 1},
	}},
	{"national.tsv", nationalOptions(), Unknown, "fe04ddc5ede4", Result{
		Format: Columns, Lines: 8, Rows: 6, Opaque: 1, Entries: 4,
		Uncomputed: map[string]int{"netclean": 1}, Remarks: map[string]int{remarkMapped: 1, remarkWithdrawn: 1, "columns that were given no role": 1},
	}},
}

func TestIndustryGoldenFiles(t *testing.T) {
	for _, test := range industryFiles {
		data := read(t, test.file)
		if got := Detect(data); got != test.detected {
			t.Errorf("%s: detected as %s", test.file, got)
		}
		l, result, err := Import(bytes.NewReader(data), test.options)
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		if diff := cmp.Diff(test.want, result); diff != "" {
			t.Errorf("%s: %s", test.file, diff)
		}
		if l.Revision().Short() != test.revision {
			t.Errorf("%s: revision %s, want %s", test.file, l.Revision().Short(), test.revision)
		}
		if info := l.Info(); info.Source != test.want.Format.String() || !info.Synced.Equal(day) {
			t.Errorf("%s: %+v", test.file, info)
		}
		for name, r := range map[string]func() ([]byte, bool){
			"one byte": func() ([]byte, bool) { return data, true },
			"CRLF": func() ([]byte, bool) {
				return bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n")), false
			},
			"mark": func() ([]byte, bool) {
				return append(slices.Clone(byteOrderMark), bytes.TrimPrefix(data, byteOrderMark)...), false
			},
		} {
			text, slow := r()
			in := iotest.HalfReader(bytes.NewReader(text))
			if slow {
				in = iotest.OneByteReader(bytes.NewReader(text))
			}
			again, _, err := Import(in, test.options)
			if err != nil || again.Revision() != l.Revision() {
				t.Errorf("%s: %s: %v", test.file, name, err)
			}
		}
		// What is cut off is never taken for the whole: not in XML and JSON, where the end says so.
		if f := test.want.Format; f == NCMEC || f == VICS || f == StopNCII {
			whole := bytes.TrimSpace(data)
			for _, n := range []int{len(whole) - 1, len(whole) / 2, len(whole) / 3} {
				o := test.options
				o.Format, o.AllowSkips = f, true
				if l, _, err := Import(bytes.NewReader(whole[:n]), o); err == nil || l != nil {
					t.Errorf("%s: cut off after %d of %d bytes: taken", test.file, n, len(whole))
				}
			}
		}
		// Every list is carried by the project's own format, but for votes and classifications.
		var out bytes.Buffer
		exported, err := Export(&out, l, CSV)
		if err != nil {
			t.Fatal(err)
		}
		for what := range exported.Omitted {
			if what != "votes" && what != "classification" {
				t.Errorf("%s: csv does not carry: %s", test.file, what)
			}
		}
	}
}

// load imports a golden file.
func load(t *testing.T, name string) *hashlist.List {
	t.Helper()
	for _, test := range industryFiles {
		if test.file == name {
			l, _, err := Import(bytes.NewReader(read(t, name)), test.options)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
	}
	t.Fatal("no golden file", name)
	return nil
}

func kindsOf(e hashmatch.Entry) string {
	var kinds []string
	for _, s := range e.Signatures {
		name := s.Scheme
		if name == "" {
			name = s.Hash.Kind.String()
		}
		kinds = append(kinds, fmt.Sprintf("%s+%d-%d", name, s.Votes.Positive, s.Votes.Negative))
	}
	return strings.Join(kinds, " ")
}

// check compares an entry with "STATUS KIND+FOR-AGAINST… [LABELS] CLASSIFICATION".
func check(t *testing.T, l *hashlist.List, key hashmatch.EntryKey, want string) hashmatch.Entry {
	t.Helper()
	e := find(t, l, key)
	if got := fmt.Sprintf("%s %s %q %s", e.Status, kindsOf(e), e.Labels, e.Classification); got != want {
		t.Errorf("%s: %s, want %s", key, got, want)
	}
	return e
}

func TestNCMECEntries(t *testing.T) {
	l := load(t, "ncmec.xml")
	key := func(member, id string) hashmatch.EntryKey {
		return hashmatch.EntryKey{Source: "ncmec", Member: member, ID: id}
	}
	// The newest record wins, wherever in the file it stands; votes are kept for each signature.
	one := check(t, l, key("42", "img1"), `active pdq+0-0 md5+2-0 sha1+0-0 photodna+1-0 ["A1"] A1`)
	if !one.Updated.Equal(time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)) {
		t.Error(one.Updated)
	}
	// The same ID of another member is another entry; a member counts once, however many reasons it gives.
	check(t, l, key("43", "img1"), `disputed pdq+0-0 sha1+1-2 ["A2"] A2`)
	check(t, l, key("42", "img3"), `withdrawn  [] `) // listed and deleted in one file
	check(t, l, key("43", "img4"), `withdrawn  [] `) // deleted, never seen
	check(t, l, key("42", "vid1"), `active md5+0-0 ["B1" "video"] B1`)
	check(t, l, key("42", "vid2"), `withdrawn  [] `) // nothing that could be kept
	check(t, l, key("42", "vid3"), `withdrawn  [] `)
}

func TestVICSEntries(t *testing.T) {
	l := load(t, "vics.json")
	byMD5 := func(n int) hashmatch.EntryKey {
		return hashmatch.EntryKey{Source: "vics", ID: hashlist.DeriveID(synthetic(hashmatch.MD5, fmt.Sprintf("vics%d", n)))}
	}
	check(t, l, byMD5(1), `active md5+0-0 sha1+0-0 photodna+0-0 ["A1" "distributed" "one" "series:Synthetic Series" "three" "two" "victim-identified"] A1`)
	check(t, l, byMD5(2), `active md5+0-0 sha1+0-0 photodna+0-0 ["B2" "four" "offender-identified"] B2`)
	for _, left := range []int{3, 4} {
		if _, found := l.Find(byMD5(left)); found {
			t.Errorf("media %d, of a category that is left out, is in the list", left)
		}
	}
	for n := 5; n < 14; n++ {
		check(t, l, byMD5(n), `active md5+0-0 sha1+0-0 ["A1"] A1`) // the PhotoDNA that all have is none
	}
	bySHA1 := hashmatch.EntryKey{Source: "vics", ID: hashlist.DeriveID(synthetic(hashmatch.SHA1, "vics14"))}
	check(t, l, bySHA1, `active sha1+0-0 sha256+0-0 ["B2"] B2`)
	// In a file of cases each case counts its media from 1: numbers do not tell files apart.
	cases := load(t, "vics-cases.json")
	check(t, cases, byMD5(1), `active md5+0-0 sha1+0-0 ["A1"] A1`)
	check(t, cases, byMD5(3), `active md5+0-0 sha1+0-0 ["B2"] B2`)
}

func TestThreatExchangeEntries(t *testing.T) {
	l := load(t, "threatexchange.json")
	key := func(id string) hashmatch.EntryKey { return hashmatch.EntryKey{Source: "threatexchange", ID: id} }
	check(t, l, key("1"), `disputed pdq+3-1 ["MALICIOUS" "owner:5" "synthetic"] MALICIOUS`) // 5, 7 and 8 against 6
	check(t, l, key("2"), `active md5+1-0 ["MALICIOUS" "media_type_video" "owner:5" "owner:6"] MALICIOUS`)
	check(t, l, key("3"), `withdrawn  [] `) // should_delete
	check(t, l, key("4"), `withdrawn  [] `) // no descriptors
	check(t, l, key("5"), `withdrawn  [] `) // not a hash
	check(t, l, key("6"), `withdrawn  [] `) // not computed
	check(t, l, key("7"), `disputed sha256+0-1 ["NON_MALICIOUS" "owner:5"] NON_MALICIOUS`)
	check(t, l, key("8"), `active pdq+0-0 ["UNKNOWN" "owner:5" "second page"] UNKNOWN`)
}

func TestStopNCIIEntries(t *testing.T) {
	l := load(t, "stopncii.json")
	key := func(kind hashmatch.Kind, name string) hashmatch.EntryKey {
		return hashmatch.EntryKey{Source: "stopncii", ID: hashlist.DeriveID(synthetic(kind, name))}
	}
	check(t, l, key(hashmatch.PDQ, "s1"), `active pdq+2-0 ["region:UK" "tagged"] `)
	check(t, l, key(hashmatch.PDQ, "s2"), `disputed pdq+1-1 ["region:UK"] `)
	check(t, l, key(hashmatch.MD5, "s3"), `active md5+0-0 [] `)
	check(t, l, key(hashmatch.PDQ, "s4"), `withdrawn  [] `)
	check(t, l, key(hashmatch.PDQ, "s5"), `withdrawn  [] `)
	check(t, l, key(hashmatch.PDQ, "s6"), `disputed pdq+0-0 ["region:UK"] `)
	check(t, l, key(hashmatch.PDQ, "s7"), `active pdq+0-0 ["region:UK" "region:US"] `)
}

func TestTableEntries(t *testing.T) {
	icse := load(t, "icse.csv")
	key := func(source, id string) hashmatch.EntryKey { return hashmatch.EntryKey{Source: source, ID: id} }
	check(t, icse, key("icse", "1001"), `active md5+0-0 sha1+0-0 photodna+0-0 ["baseline" "distributed" "series:Synthetic; Series" "victim-identified"] `)
	check(t, icse, key("icse", "1002"), `active md5+0-0 ["video"] `)
	check(t, icse, key("icse", "1003"), `active photodna+0-0 ["offender-identified"] `)
	nsrl := load(t, "nsrl.txt")
	for n, want := range []string{1: `active md5+0-0 sha1+0-0 [] `, 2: `active md5+0-0 sha1+0-0 [] `, 3: `active md5+0-0 sha1+0-0 ["special-M"] special-M`} {
		if want != "" {
			check(t, nsrl, key("nsrl", hashlist.DeriveID(synthetic(hashmatch.MD5, fmt.Sprintf("n%d", n)))), want)
		}
	}
	if !AllowListOnly(nsrl.Info()) || AllowListOnly(icse.Info()) {
		t.Error("AllowListOnly does not tell known files from listed ones")
	}
	national := load(t, "national.tsv")
	check(t, national, key("national", "R1"), `active md5+0-0 sha256+0-0 ["A" "one" "two"] A`)
	check(t, national, key("national", "R2"), `active pdq+0-0 photodna+0-0 ["B"] B`)
	check(t, national, key("national", "R3"), `withdrawn  [] `)
	check(t, national, key("national", "R5"), `withdrawn  [] `)
	if _, found := national.Find(key("national", "R4")); found {
		t.Error("a grade that is left out is in the list")
	}
	hma := load(t, "hma.json")
	check(t, hma, key("hma", hashlist.DeriveID(synthetic(hashmatch.PDQ, "h1"))), `active pdq+0-0 ["synthetic bank"] `)
	check(t, hma, key("hma", hashlist.DeriveID(synthetic(hashmatch.MD5, "h2"))), `active pdq+0-0 md5+0-0 [] `)
}

// Values of PhotoDNA come through as they are, in base64 and in hexadecimal digits.
func TestPhotoDNAOfExchanges(t *testing.T) {
	value := strings.Repeat("\x01\xc8\x07", 48)
	for _, text := range []string{base64.StdEncoding.EncodeToString([]byte(value)), fmt.Sprintf("%x", value), fmt.Sprintf("%X", value)} {
		l, _, err := importText(`{"photodna":"`+text+`"}`, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for s := range l.OpaqueSignatures() {
			if s.Opaque != value || s.Scheme != photoDNA {
				t.Error("the value changed")
			}
		}
		if l.OpaqueCounts()[photoDNA] != 1 {
			t.Error(l.OpaqueCounts())
		}
	}
}

// synthetic returns the hash that the golden files have under a name.
func synthetic(kind hashmatch.Kind, name string) hashmatch.Hash {
	var sum []byte
	switch text := []byte("synthetic " + name); kind {
	case hashmatch.MD5:
		digest := md5.Sum(text)
		sum = digest[:]
	case hashmatch.SHA1:
		digest := sha1.Sum(text)
		sum = digest[:]
	case hashmatch.PDQ:
		digest := sha256.Sum256([]byte("synthetic pdq " + name))
		sum = digest[:]
	default:
		digest := sha256.Sum256(text)
		sum = digest[:]
	}
	h, err := hashmatch.NewHash(kind, sum)
	if err != nil {
		panic(err)
	}
	return h
}
