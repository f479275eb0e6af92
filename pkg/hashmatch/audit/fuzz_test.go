//go:build unix

package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParseLine: what is taken for a record is what appendLine writes, to the byte.
func FuzzParseLine(f *testing.F) {
	line, _ := appendLine(nil, 7, digest{1}, []byte(`"time":"2026-03-01T12:00:00Z","type":"e"`))
	f.Add(bytes.TrimSuffix(line, []byte("\n")))
	f.Add([]byte(`{"seq":1,"prev":"` + strings.Repeat("0", hexLength) + `","hash":"` + strings.Repeat("0", hexLength) + `"}`))
	f.Add([]byte(`{"seq":01,"prev":"`))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parseLine(text)
		if err != nil {
			return
		}
		again, hash := appendLine(nil, p.seq, p.prev, p.fields)
		if same := string(again) == string(text)+"\n"; same != (p.sound && hash == p.hash) {
			t.Errorf("sound: %v, the same again: %v", p.sound, same)
		}
		p.entry()
	})
}

// FuzzReadHeads: nothing but a head is one, and what was read is written and read again.
func FuzzReadHeads(f *testing.F) {
	h := Head{Log: "L", Seq: 1, Hash: strings.Repeat("0", hexLength), Signature: make([]byte, 64), Time: noon}
	f.Add([]byte(h.String()))
	f.Add([]byte("<85>1 - - - - - - " + h.String() + "\n{}\nx"))
	f.Add([]byte(`{"log":"\ud800","seq":1,"time":"0000-01-01T00:00:00+23:59"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		heads, _, err := ReadHeads(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, h := range heads {
			again, _, err := ReadHeads(strings.NewReader(h.String()))
			if err != nil || len(again) != 1 || string(again[0].message()) != string(h.message()) {
				t.Errorf("%s, then %v, %v", h, again, err)
			}
		}
	})
}

// FuzzTail: whatever stands behind the records of a log, it can be opened or is refused. If it is opened, the records
// are there, what is appended follows them, and the log is sound. Verify calls nothing sound that Open had to mend.
func FuzzTail(f *testing.F) {
	dir := f.TempDir()
	options := signedLog(f, dir, 0, someRecords(2)...)
	text, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil))
	f.Add([]byte("\n"))
	f.Add([]byte("{\"seq\":4"))
	f.Add(text)
	f.Add(bytes.Repeat([]byte{0}, 5000))
	f.Fuzz(func(t *testing.T, tail []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), append(text[:len(text):len(text)], tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		before := verify(t, dir, options)
		if before.OK() != (len(tail) == 0) {
			t.Fatalf("%+v", before)
		}
		c := Config{Directory: dir}
		(&faults{room: -1}).config(&c)
		l, err := Open(c)
		if err != nil {
			return
		}
		appendAll(t, l, append(someRecords(2), allowed("new"))...)
		closeLog(t, l)
		if seen := uploads(t, dir); len(seen) != 3 || seen["item-0"] != 1 || seen["new"] != 1 {
			t.Errorf("%v", seen)
		}
		if r := verify(t, dir, options); !r.OK() || (r.TornCuts == 1) != (len(tail) > 0) {
			t.Errorf("%+v", r)
		}
	})
}
