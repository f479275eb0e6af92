//go:build linux

package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"example.org/hashmatch/pkg/hashmatch"
)

// checkpointBytes is a checkpoint of two files and a replaced one.
func checkpointBytes(t testing.TB) []byte {
	terms, err := appendTerms(nil, termsRecord{Terms: testTerms})
	if err != nil {
		t.Fatal(err)
	}
	data := appendRecord([]byte(checkpointMagic), terms)
	first := int64(len(data))
	for _, r := range []fileRecord{
		{key: []byte("/a"), stamp: Stamp{3, 4}, output: 10, tally: tally{action: hashmatch.Block, matched: true}},
		{key: []byte("/b"), output: 20, tally: tally{notScanned: true, codes: []hashmatch.FailureCode{hashmatch.Unreadable}}},
		{key: []byte("/a"), stamp: Stamp{5, 6}, output: 30, replaces: first},
	} {
		data = appendRecord(data, appendFile(nil, r))
	}
	return data
}

// FuzzCheckpoint opens any bytes: it fails, or gives a checkpoint that can be gone on from.
func FuzzCheckpoint(f *testing.F) {
	whole := checkpointBytes(f)
	f.Add(whole, false)
	f.Add(whole[:len(whole)-3], false)
	f.Add(whole[len(checkpointMagic)+8:], true)
	f.Add([]byte(checkpointMagic), false)
	f.Add([]byte{}, false)
	f.Add(appendFile(nil, fileRecord{key: []byte("/c"), replaces: 40}), true)
	f.Fuzz(func(t *testing.T, data []byte, framed bool) {
		if framed { // past the checksum, which no mutation gets by
			data = appendRecord(bytes.Clone(whole), append(data, 'F'))
		}
		path := quickDir(t) + "/checkpoint"
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := OpenCheckpoint(path, testTerms, Anyway)
		if err != nil {
			return
		}
		defer c.Close()
		if c.Offset() < 0 || len(c.done) > len(data) {
			t.Fatalf("offset %d, %d files", c.Offset(), len(c.done))
		}
		for _, d := range c.done {
			record, err := c.at(d.position)
			if err != nil {
				t.Fatal(err)
			}
			if _, position, err := c.lookup(string(record.key)); err != nil || position == 0 {
				t.Fatalf("%q is not found: %v", record.key, err)
			}
		}
		files := c.Summary().Files
		if err := c.add(fileRecord{key: []byte("/after"), output: 99}); err != nil {
			t.Fatal(err)
		}
		if err := c.commit(); err != nil {
			t.Fatal(err)
		}
		c.Close()
		again, err := OpenCheckpoint(path, testTerms, Same)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if again.Offset() != 99 || again.Summary().Files != files+1 {
			t.Fatalf("opened again: offset %d, %d files, want 99, %d", again.Offset(), again.Summary().Files, files+1)
		}
	})
}

// FuzzLines reads any list of paths: each comes out once, in order, as it stands there.
func FuzzLines(f *testing.F) {
	for _, text := range []string{"", "a\nb\n", "\n\n", "a\x00b", " a \r\n", strings.Repeat("x", maxLine+1) + "\ny", "\xff\xfe\n"} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, nul bool) {
		end := "\n"
		if nul {
			end = "\x00"
		}
		var want []string
		for line := range strings.SplitSeq(text, end) {
			switch {
			case len(line) > maxLine:
				want = append(want, line[:256])
			case line != "":
				want = append(want, line)
			}
		}
		source := Lines(strings.NewReader(text))
		source.NUL = nul
		i := 0
		if err := source.Files(context.Background(), func(file File) error {
			if i >= len(want) || file.Path != want[i] || file.Key == "" {
				t.Fatalf("path %d is %q", i, file.Path)
			}
			i++
			return nil
		}); err != nil || i != len(want) {
			t.Fatalf("%d paths, want %d (%v)", i, len(want), err)
		}
	})
}

// FuzzResults writes any path and detail: JSON stays JSON and gives the path back, and a table stays one line a
// reason, without a byte that drives a terminal.
func FuzzResults(f *testing.F) {
	f.Add("a.png", "bad")
	f.Add("a\n\x1b[2J\xff\u202e\u2028", "x\r\n")
	f.Add("=cmd|", "")
	f.Fuzz(func(t *testing.T, path, detail string) {
		r := Result{Path: path, Verdict: hashmatch.Verdict{Failures: []hashmatch.Failure{{Code: hashmatch.Corrupt, Detail: detail}}}}
		write := func(encode func(*Output) Results) []byte {
			var b bytes.Buffer
			w := encode(NewOutput(&b))
			if err := w.Write(r); err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		line := write(JSON)
		var got struct {
			Path       string
			PathBase64 []byte `json:"path_base64"`
		}
		if err := json.Unmarshal(line, &got); err != nil || !utf8.Valid(line) || bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%q: %v", line, err)
		}
		if got.PathBase64 != nil {
			got.Path = string(got.PathBase64)
		}
		if got.Path != path {
			t.Fatalf("path %q came back as %q", path, got.Path)
		}
		table := string(write(func(o *Output) Results { return Table(o, 0) }))
		if n := strings.Count(table, "\n"); n > 3 || !utf8.ValidString(table) || Printable(strings.ReplaceAll(table, "\n", "")) != strings.ReplaceAll(table, "\n", "") {
			t.Fatalf("%q", table)
		}
	})
}
