package hashlist

import (
	"bufio"
	"bytes"
	"slices"
	"testing"
)

func bufioReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

// FuzzRead: a file is either refused with a named error or read and written back byte for byte.
func FuzzRead(f *testing.F) {
	f.Add(snapshot(f, mustNew(f)))
	f.Add(snapshot(f, sampleList(f)))
	f.Add(snapshot(f, mustNew(f, slices.Collect(benchEntries(40, true))...)))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Read(bytes.NewReader(data))
		if err != nil {
			refused(t, "file", err)
			return
		}
		again, err := Read(bytes.NewReader(snapshot(t, l)))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, l, again)
	})
}

// FuzzSegment goes where checksums keep FuzzRead from going: a block is either refused, or the one canonical form of
// what is read from it.
func FuzzSegment(f *testing.F) {
	seeds := 0
	for bucket, s := range sampleList(f).segments {
		if s != nil {
			f.Add(s.block, bucket)
			seeds++
		}
	}
	if seeds < 5 {
		f.Fatalf("%d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, block []byte, bucket int) {
		s, err := openSegment(block, bucket, nil)
		if err != nil {
			refused(t, "block", err)
			return
		}
		var b Builder
		for i := range s.entries {
			d := s.draft(i)
			e, err := d.entry()
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		l, err := b.List()
		if err != nil {
			t.Fatal(err)
		}
		if l.segments[bucket] == nil || l.segments[bucket].digest != s.digest || l.Len() != s.entries {
			t.Fatal("the entries of a block make another block")
		}
	})
}
