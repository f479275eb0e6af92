package digest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"example.org/hashmatch/pkg/hashmatch"
)

var every = hashmatch.SetOf(hashmatch.MD5, hashmatch.SHA1, hashmatch.SHA256)

// want returns the digests that Digest must give.
func want(content []byte, kinds hashmatch.KindSet) []hashmatch.Hash {
	one, two, three := md5.Sum(content), sha1.Sum(content), sha256.Sum256(content)
	var all []hashmatch.Hash
	for _, c := range []struct {
		kind hashmatch.Kind
		sum  []byte
	}{{hashmatch.MD5, one[:]}, {hashmatch.SHA1, two[:]}, {hashmatch.SHA256, three[:]}} {
		if kinds.Has(c.kind) {
			h, err := hashmatch.NewHash(c.kind, c.sum)
			if err != nil {
				panic(err)
			}
			all = append(all, h)
		}
	}
	return all
}

func content(n int) []byte {
	b := make([]byte, n)
	random := rand.New(rand.NewPCG(uint64(n), 7))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func TestDigest(t *testing.T) {
	sizes := []int{0, 1, 55, 56, 63, 64, 65, 4096, BufferSize - 1, BufferSize, BufferSize + 1, 3*BufferSize + 17}
	readers := map[string]func(io.Reader) io.Reader{
		"plain":         func(r io.Reader) io.Reader { return r },
		"half reads":    iotest.HalfReader,
		"data with EOF": iotest.DataErrReader,
		"empty reads":   func(r io.Reader) io.Reader { return &sluggish{r: r, empty: maxEmptyReads - 1} },
	}
	for name, wrap := range readers {
		for _, size := range sizes {
			for kinds := range every + 1 {
				if kinds&^every != 0 && size > 64 {
					continue
				}
				text := content(size)
				var copied bytes.Buffer
				got, n, err := Digester{}.Digest(wrap(bytes.NewReader(text)), &copied, kinds)
				if err != nil || n != int64(size) || !slices.Equal(got, want(text, kinds)) {
					t.Fatalf("%s, %d bytes, %v: %v, %d, %v", name, size, kinds.Kinds(), got, n, err)
				}
				if !bytes.Equal(copied.Bytes(), text) {
					t.Fatalf("%s, %d bytes: the copy differs", name, size)
				}
			}
		}
	}
}

func TestOneByteReads(t *testing.T) {
	text := content(1000)
	got, n, err := Digester{}.Digest(iotest.OneByteReader(bytes.NewReader(text)), nil, every)
	if err != nil || n != 1000 || !slices.Equal(got, want(text, every)) {
		t.Fatalf("%v, %d, %v", got, n, err)
	}
}

// The published digests of "abc".
func TestKnown(t *testing.T) {
	got, _, err := Digester{}.Digest(bytes.NewReader([]byte("abc")), io.Discard, every)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(got)
	if text != "[md5:900150983cd24fb0d6963f7d28e17f72 sha1:a9993e364706816aba3e25717850c26c9cd0d89d "+
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad]" {
		t.Error(text)
	}
}

// sluggish gives nothing a number of times before each read.
type sluggish struct {
	r           io.Reader
	empty, done int
}

func (s *sluggish) Read(p []byte) (int, error) {
	if s.done < s.empty {
		s.done++
		return 0, nil
	}
	s.done = 0
	return s.r.Read(p)
}

type faulty struct{ count int }

func (f faulty) Read(p []byte) (int, error) { return f.count, nil }

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("full")
	}
	return len(p), nil
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	text := content(BufferSize + 5)
	partial := func(err error) io.Reader { return io.MultiReader(bytes.NewReader(text), iotest.ErrReader(err)) }
	for name, c := range map[string]struct {
		r    io.Reader
		w    io.Writer
		n    int64
		want error
	}{
		"at once":        {iotest.ErrReader(broken), io.Discard, 0, broken},
		"after a part":   {partial(broken), io.Discard, BufferSize + 5, broken},
		"with the bytes": {iotest.DataErrReader(partial(broken)), io.Discard, BufferSize + 5, broken},
		"unexpected EOF": {partial(io.ErrUnexpectedEOF), io.Discard, BufferSize + 5, io.ErrUnexpectedEOF},
		"no progress":    {&sluggish{bytes.NewReader(text), maxEmptyReads, 0}, io.Discard, 0, io.ErrNoProgress},
		"too many":       {faulty{BufferSize + 1}, io.Discard, 0, nil},
		"negative":       {faulty{-1}, io.Discard, 0, nil},
		"full":           {bytes.NewReader(text), &full{BufferSize}, BufferSize + 5, nil},
	} {
		digests, n, err := Digester{}.Digest(c.r, c.w, every)
		if digests != nil || n != c.n || err == nil || c.want != nil && err != c.want {
			t.Errorf("%s: %v, %d bytes, %v", name, digests, n, err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			text := content(BufferSize*i/5 + i)
			got, _, err := Digester{}.Digest(bytes.NewReader(text), io.Discard, every)
			if err != nil || !slices.Equal(got, want(text, every)) {
				t.Errorf("%d bytes: %v, %v", len(text), got, err)
			}
		})
	}
	group.Wait()
}

func FuzzDigest(f *testing.F) {
	f.Add([]byte(nil), uint32(every), uint8(1))
	f.Add([]byte("abc"), uint32(hashmatch.SetOf(hashmatch.SHA1)), uint8(2))
	f.Add(bytes.Repeat([]byte{0}, 1000), uint32(0), uint8(200))
	f.Fuzz(func(t *testing.T, text []byte, set uint32, piece uint8) {
		kinds := hashmatch.KindSet(set)
		r := &pieces{text, int(piece)%(len(text)+1) + 1}
		got, n, err := Digester{}.Digest(r, io.Discard, kinds)
		if err != nil || n != int64(len(text)) || !slices.Equal(got, want(text, kinds)) {
			t.Errorf("%v, %d, %v", got, n, err)
		}
	})
}

// pieces reads so many bytes at a time.
type pieces struct {
	text []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

func BenchmarkDigest(b *testing.B) {
	text := content(4 << 20)
	for _, kinds := range []hashmatch.KindSet{
		0, hashmatch.SetOf(hashmatch.MD5), hashmatch.SetOf(hashmatch.SHA1), hashmatch.SetOf(hashmatch.SHA256), every,
	} {
		b.Run(fmt.Sprint(kinds.Kinds()), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := (Digester{}).Digest(bytes.NewReader(text), io.Discard, kinds); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
