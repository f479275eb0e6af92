package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"

	"example.org/hashmatch/pkg/hashmatch"
)

var testBinding = [32]byte{1, 2, 3}

// imageOf returns the image in memory that is aligned as that of a file is.
func imageOf(t testing.TB, x *Index, entries int) []byte {
	t.Helper()
	parts := x.Image(testBinding, entries)
	if parts == nil {
		t.Fatal("no image")
	}
	return aligned(bytes.Join(parts, nil))
}

func aligned(b []byte) []byte {
	words := make([]uint64, (len(b)+7)/8+1)
	out := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(b))
	copy(out, b)
	return out
}

// reopen returns the index of x's image, with x's costs.
func reopen(t testing.TB, x *Index, entries int) *Index {
	t.Helper()
	opened, err := OpenImage(t.Context(), imageOf(t, x, entries), testBinding, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	for kind, part := range x.parts {
		if r, ok := part.(*ranges); ok {
			opened.parts[kind].(*ranges).costs = r.costs
		}
	}
	return opened
}

// TestImageSearch wants of an index that is opened from its image what brute force finds, as of one that is built: on
// lists of many shapes, through tables and without, with IDs of either width, at every threshold from 0 to 64; with the
// race detector on the largest lists, at every eighth.
func TestImageSearch(t *testing.T) {
	sizes, step := []int{1, 2, 3, 300}, 1
	if raceDetector {
		sizes, step = []int{300}, 8
	}
	for _, kind := range perceptual {
		for _, n := range sizes {
			random := rand.New(rand.NewPCG(uint64(n), 40+uint64(kind)))
			query, made := lists(random, kind, n)
			hits := 0
			for name, list := range made {
				for _, options := range []Options{{}, byTables, byWideTables} {
					x := build(t, list, options)
					opened := reopen(t, x, n)
					if x.Stats(kind) != opened.Stats(kind) || opened.Kinds() != x.Kinds() || opened.Bytes() != x.Bytes() {
						t.Fatalf("%s: %+v, want %+v", name, opened.Stats(kind), x.Stats(kind))
					}
					for threshold := 0; threshold < 65; threshold += step {
						for _, q := range []hashmatch.Hash{query, list[n/2].hash} {
							got, want := opened.Search(nil, q, threshold), x.Search(nil, q, threshold)
							if !equalHits(got, want) {
								t.Fatalf("%s, threshold %d: %d hits, want %d", name, threshold, len(got), len(want))
							}
							hits += len(got)
						}
					}
					check(t, opened, list, query, 31)
				}
			}
			if hits < 100 {
				t.Fatalf("only %d hits: the test shows nothing", hits)
			}
		}
	}
}

// allKinds is a list with hashes of every kind, some of them under several ordinals.
func allKinds(random *rand.Rand, n int) (list []signature) {
	for i := range n {
		for _, kind := range hashmatch.Kinds() {
			list = append(list, signature{randomHash(random, kind), uint32(i)})
		}
	}
	for i := range n / 2 {
		list = append(list, signature{list[i].hash, uint32(n - 1 - i/2)})
	}
	return list
}

func TestImageOfEveryKind(t *testing.T) {
	random := rand.New(rand.NewPCG(41, 41))
	for _, n := range []int{1, 40, 5000} {
		list := allKinds(random, n)
		x := build(t, list, Options{})
		opened := reopen(t, x, n)
		if opened.Kinds() != hashmatch.SetOf(hashmatch.Kinds()...) {
			t.Fatalf("kinds %v", opened.Kinds().Kinds())
		}
		for _, s := range list[:len(hashmatch.Kinds())] {
			for _, q := range []hashmatch.Hash{s.hash, flip(random, s.hash, 3)} {
				for _, threshold := range []int{0, 3, 10, 64} {
					check(t, opened, list, q, threshold)
				}
			}
		}
		for _, kind := range x.Kinds().Kinds() {
			type pair struct {
				hash    hashmatch.Hash
				entries string
			}
			all := func(x *Index) (pairs []pair) {
				for h, entries := range x.All(kind) {
					pairs = append(pairs, pair{h, fmt.Sprint(entries)})
				}
				return pairs
			}
			if got, want := all(opened), all(x); !slices.Equal(got, want) || len(got) < n {
				t.Fatalf("%s: All yields %d hashes, want %d", kind, len(got), len(want))
			}
			for range opened.All(kind) {
				break
			}
		}
	}
}

// An image that is written in another way needs another version: programs that know this one would misread it.
func TestImageIsPinned(t *testing.T) {
	list := allKinds(rand.New(rand.NewPCG(42, 42)), 60)
	sum := sha256.Sum256(imageOf(t, build(t, list, Options{tablesFrom: 1}), 60))
	const want = "8bff8a2900ae97f7f28307e5714b6b58e1b0a7c81b0bc24735e01ba67a8ba213"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("the image is another one: raise imageVersion, and state here %s", got)
	}
	if imageVersion != 1 {
		t.Error("state the version here, with the digest")
	}
}

func TestNoImage(t *testing.T) {
	if x := build(t, nil, Options{}); x.Image(testBinding, 0) != nil {
		t.Error("an empty index has an image")
	}
	list := allKinds(rand.New(rand.NewPCG(43, 43)), 10)
	if opened := reopen(t, build(t, list, Options{}), 10); opened.Image(testBinding, 10) != nil {
		t.Error("an image has an image")
	}
}

// refusedImage wants ErrImage.
func refusedImage(t *testing.T, what string, image []byte, binding [32]byte, entries int) {
	t.Helper()
	if x, err := OpenImage(t.Context(), image, binding, entries, nil); !errors.Is(err, ErrImage) || x != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestImageRefused(t *testing.T) {
	const n = 40
	x := build(t, allKinds(rand.New(rand.NewPCG(44, 44)), n), byTables)
	good := imageOf(t, x, n)
	refusedImage(t, "nothing", nil, testBinding, n)
	refusedImage(t, "another revision", good, [32]byte{1}, n)
	refusedImage(t, "fewer entries", good, testBinding, n-1)
	refusedImage(t, "more entries", good, testBinding, n+1)
	refusedImage(t, "odd address", aligned(append([]byte{0}, good...))[1:], testBinding, n)
	refusedImage(t, "a byte more", aligned(append(slices.Clone(good), 0)), testBinding, n)
	slow := 200
	if raceDetector { // the cuts are farther apart
		slow = 5
	}
	for i := 0; i < len(good); i += 1 + i/slow {
		refusedImage(t, fmt.Sprint("cut at ", i), good[:i], testBinding, n)
	}
	edits := map[string]func(b []byte){
		"version":    func(b []byte) { b[8]++ },
		"byte order": func(b []byte) { slices.Reverse(b[8:12]) },
		"kind":       func(b []byte) { copy(b[imageHead:], "md4") },
		"kind twice": func(b []byte) { copy(b[imageHead+imageRow:], b[imageHead:imageHead+imageRow]) },
		"no hash":    func(b []byte) { clear(b[imageHead+16 : imageHead+24]) },
		"many": func(b []byte) {
			binary.LittleEndian.PutUint64(b[imageHead+16:], 1<<62)
			binary.LittleEndian.PutUint64(b[imageHead+24:], 1<<62)
		},
		"width": func(b []byte) { b[imageHead+32] = 2 },
		"kinds": func(b []byte) { b[12] = 200 },
	}
	for what, edit := range edits {
		bad := aligned(good)
		edit(bad)
		refusedImage(t, what, bad, testBinding, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenImage(ctx, good, testBinding, n, nil); !errors.Is(err, context.Canceled) {
		t.Error("cancelled:", err)
	}
}

// exercise searches in every way; what it finds does not matter.
func exercise(x *Index, queries []hashmatch.Hash) {
	for _, q := range queries {
		for _, threshold := range []int{0, 9, 31, 64, 300} {
			x.Search(nil, q, threshold)
		}
		x.Scan(nil, q, 31)
	}
	x.SearchMany(nil, queries, 31)
	x.Any(queries, 0)
	for _, kind := range x.Kinds().Kinds() {
		x.Stats(kind)
		for range x.All(kind) {
		}
	}
}

// TestImageDamagedAtEveryByte: whatever one byte is made, the image is refused or searched without a panic. With the
// race detector one byte in 13 is changed, in one way of three.
func TestImageDamagedAtEveryByte(t *testing.T) {
	const n = 12
	step, flips := 1, []byte{0x01, 0x80, 0xff}
	if raceDetector {
		step, flips = 13, flips[2:]
	}
	random := rand.New(rand.NewPCG(45, 45))
	kinds := map[string][]hashmatch.Kind{"scanned and digests": hashmatch.Kinds(), "tables of 64 bits": {hashmatch.PHash}}
	for name, kinds := range kinds {
		options := Options{}
		if len(kinds) == 1 {
			options = byTables
		}
		list := slices.DeleteFunc(allKinds(random, n), func(s signature) bool { return !slices.Contains(kinds, s.hash.Kind) })
		x := build(t, list, options)
		good := imageOf(t, x, n)
		bad := aligned(good)
		accepted, refusals := 0, 0
		for i := 0; i < len(good); i += step {
			if i > 4000 && i < len(good)-1000 {
				i += 999 // within a megabyte of offsets, which have few values
			}
			for _, flip := range flips {
				bad[i] = good[i] ^ flip
				opened, err := OpenImage(t.Context(), bad, testBinding, n, nil)
				switch {
				case err == nil:
					accepted++
					if accepted%7 == 0 || len(good) < 10_000 {
						exercise(opened, []hashmatch.Hash{list[0].hash, list[len(list)-1].hash})
					}
				case errors.Is(err, ErrImage):
					refusals++
				default:
					t.Fatal(err)
				}
			}
			bad[i] = good[i]
			if i < imageHead && accepted > 0 {
				t.Fatalf("%s: a head with another byte %d is taken", name, i)
			}
		}
		if cases := step * 3 / len(flips); refusals < 500/cases || accepted < max(1, 20/cases) {
			t.Errorf("%s: %d refused, %d accepted: the test shows nothing", name, refusals, accepted)
		}
	}
}

// failing is memory that fails from some call on.
type failing struct{ calls atomic.Int64 }

func failingAfter(calls int64) *failing {
	f := new(failing)
	f.calls.Store(calls)
	return f
}

var errGone = errors.New("gone")

func (f *failing) Use(read func()) error {
	left := f.calls.Add(-1)
	if left < 0 {
		return errGone
	}
	read()
	if left == 0 {
		return errGone // it failed while it was read
	}
	return nil
}

// A search in memory that fails must not look like one that found nothing.
func TestImageInMemoryThatFails(t *testing.T) {
	list := allKinds(rand.New(rand.NewPCG(46, 46)), 20)
	image := imageOf(t, build(t, list, Options{}), 20)
	for _, calls := range []int64{0, 1} {
		if _, err := OpenImage(t.Context(), image, testBinding, 20, failingAfter(calls)); !errors.Is(err, errGone) {
			t.Errorf("opened with %d calls left: %v", calls, err)
		}
	}
	searches := map[string]func(x *Index, h hashmatch.Hash){
		"Search":     func(x *Index, h hashmatch.Hash) { x.Search(nil, h, 3) },
		"Scan":       func(x *Index, h hashmatch.Hash) { x.Scan(nil, h, 3) },
		"SearchMany": func(x *Index, h hashmatch.Hash) { x.SearchMany(nil, []hashmatch.Hash{h}, 3) },
		"Any":        func(x *Index, h hashmatch.Hash) { x.Any([]hashmatch.Hash{h}, 3) },
		"All": func(x *Index, h hashmatch.Hash) {
			for range x.All(h.Kind) {
			}
		},
	}
	for name, search := range searches {
		for _, s := range list[:len(hashmatch.Kinds())] {
			for _, calls := range []int64{0, 1} {
				memory := failingAfter(1 << 30)
				x, err := OpenImage(t.Context(), image, testBinding, 20, memory)
				if err != nil {
					t.Fatal(err)
				}
				memory.calls.Store(calls)
				func() {
					defer func() {
						if err, ok := recover().(error); !ok || !errors.Is(err, errGone) {
							t.Errorf("%s of %s with %d calls left: no panic with the error", name, s.hash.Kind, calls)
						}
					}()
					search(x, s.hash)
				}()
			}
		}
	}
}

// Hits of an image are the caller's: they stay as they are when the memory is something else.
func TestImageHitsAreCopies(t *testing.T) {
	list := allKinds(rand.New(rand.NewPCG(47, 47)), 50)
	image := imageOf(t, build(t, list, Options{}), 50)
	x, err := OpenImage(t.Context(), image, testBinding, 50, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list[:len(hashmatch.Kinds())] {
		hits := x.Search(nil, s.hash, 0)
		many := x.SearchMany(nil, []hashmatch.Hash{s.hash}, 0)
		for _, entries := range [][]uint32{hits[0].Entries, many[0].Entries} {
			at := uintptr(unsafe.Pointer(&entries[0]))
			if start := uintptr(unsafe.Pointer(&image[0])); at >= start && at < start+uintptr(len(image)) {
				t.Errorf("%s: a hit points into the image", s.hash.Kind)
			}
		}
	}
}

// FuzzOpenImage: an image made of anything is refused, or searched without a panic or a read out of its bounds. The
// head is made to fit where that takes the fuzzer further.
func FuzzOpenImage(f *testing.F) {
	random := rand.New(rand.NewPCG(48, 48))
	for _, kind := range hashmatch.Kinds() {
		var list []signature
		for i := range 5 {
			h := randomHash(random, kind)
			list = append(list, signature{h, uint32(i)}, signature{h, uint32(i + 1)})
		}
		f.Add(imageOf(f, build(f, list, Options{}), 6), byte(6), true)
		f.Add(imageOf(f, build(f, list[:1], Options{}), 6), byte(6), false)
	}
	f.Add(imageOf(f, build(f, allKinds(random, 3), Options{}), 3), byte(3), true)
	queries := []hashmatch.Hash{{Kind: hashmatch.PDQ}}
	for _, kind := range hashmatch.Kinds() {
		queries = append(queries, randomHash(random, kind))
	}
	f.Fuzz(func(t *testing.T, data []byte, entries byte, repair bool) {
		image := aligned(data)
		if repair && len(image) >= imageHead {
			copy(image, imageMagic[:])
			binary.LittleEndian.PutUint32(image[8:], imageVersion)
			copy(image[16:], testBinding[:])
			binary.LittleEndian.PutUint64(image[48:], uint64(entries))
			binary.LittleEndian.PutUint64(image[56:], uint64(len(image)))
		}
		x, err := OpenImage(context.Background(), image, testBinding, int(entries), nil)
		if err != nil {
			if !errors.Is(err, ErrImage) {
				t.Fatal(err)
			}
			return
		}
		exercise(x, queries)
		for _, kind := range x.Kinds().Kinds() {
			for h, ordinals := range x.All(kind) {
				if h.Zero() || len(ordinals) == 0 || slices.Max(ordinals) >= uint32(entries) {
					t.Fatalf("%s of entries %v", kind, ordinals)
				}
			}
		}
	})
}
