package index

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// signature is one line of a test list.
type signature struct {
	hash    hashmatch.Hash
	ordinal uint32
}

func seq(list []signature) iter.Seq2[hashmatch.Hash, uint32] {
	return func(yield func(hashmatch.Hash, uint32) bool) {
		for _, s := range list {
			if !yield(s.hash, s.ordinal) {
				return
			}
		}
	}
}

// number gives the hashes the ordinals 0, 1, 2, …
func number(hashes []hashmatch.Hash) []signature {
	list := make([]signature, len(hashes))
	for i, h := range hashes {
		list[i] = signature{h, uint32(i)}
	}
	return list
}

// byTables sends every search that can be made by tables through them, however small the list and whatever it costs.
var byTables = Options{Workers: 2, tablesFrom: 1, costs: &costs{survivor: 1}}

// noCosts never gives up for the survivors' sake either: the allowance is budget/survivor/2 with survivor 1, which is
// 500 a record, while no record survives in more than 16 tables.

func build(t testing.TB, list []signature, options Options) *Index {
	t.Helper()
	x, err := Build(context.Background(), seq(list), options)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// bruteForce is the oracle: it shares no code with the index.
func bruteForce(list []signature, query hashmatch.Hash, threshold int) []Hit {
	entries := map[hashmatch.Hash]map[uint32]bool{}
	for _, s := range list {
		d := query.Distance(s.hash)
		if d < 0 || d > threshold || (query.Kind.Digest() && d > 0) {
			continue
		}
		if entries[s.hash] == nil {
			entries[s.hash] = map[uint32]bool{}
		}
		entries[s.hash][s.ordinal] = true
	}
	var hits []Hit
	for h, ordinals := range entries {
		hit := Hit{Hash: h, Distance: query.Distance(h)}
		for o := range ordinals {
			hit.Entries = append(hit.Entries, o)
		}
		slices.Sort(hit.Entries)
		hits = append(hits, hit)
	}
	sortHits(hits)
	return hits
}

func sortHits(hits []Hit) {
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), bytes.Compare(a.Hash.Bits[:], b.Hash.Bits[:]))
	})
}

func equalHits(a, b []Hit) bool {
	return slices.EqualFunc(a, b, func(a, b Hit) bool {
		return a.Hash == b.Hash && a.Distance == b.Distance && slices.Equal(a.Entries, b.Entries)
	})
}

// check compares Search and Scan with the oracle and returns the number of hits.
func check(t *testing.T, x *Index, list []signature, query hashmatch.Hash, threshold int) int {
	t.Helper()
	want := bruteForce(list, query, threshold)
	got := x.Search(nil, query, threshold)
	if !slices.IsSortedFunc(got, func(a, b Hit) int { return cmp.Compare(a.Distance, b.Distance) }) {
		t.Fatalf("threshold %d: hits are not sorted by distance", threshold)
	}
	scanned := x.Scan(nil, query, threshold)
	if !equalHits(got, scanned) {
		t.Fatalf("threshold %d, query %s: Search finds %d hits, Scan %d, or in another order", threshold, query, len(got), len(scanned))
	}
	sortHits(got)
	if !equalHits(got, want) {
		t.Fatalf("threshold %d, query %s, %d entries: %d hits, want %d\n got %v\nwant %v", threshold, query, len(list), len(got), len(want), got, want)
	}
	return len(got)
}

// perceptual are one kind of each length; the others share their code, and TestKinds covers them.
var perceptual = []hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash}

// thresholds are those to test for a kind: every one that changes the plan's shape, the defaults, the highest by
// tables, and beyond.
func thresholds(kind hashmatch.Kind) []int {
	if kind.Bits() == 64 {
		return []int{0, 1, 2, 3, 4, 6, 8, 10, 15, 19, 20, 33, 64, 65, math.MaxInt}
	}
	return []int{0, 1, 7, 14, 15, 16, 30, 31, 32, 40, 47, 48, 63, 64, 79, 80, 128, 256, 257, math.MaxInt}
}

// flipWithin returns h with n bits changed, all of them in as few chunks as possible, starting from the given one.
func flipWithin(random *rand.Rand, h hashmatch.Hash, n, chunk int) hashmatch.Hash {
	k := toKey(&h)
	chunks := h.Kind.Bits() / 16
	for n > 0 {
		for _, bit := range random.Perm(16)[:min(n, 16)] {
			k[chunk/4] ^= 1 << (48 - 16*(chunk%4) + bit)
			n--
		}
		chunk = (chunk + 1) % chunks
	}
	return toHash(h.Kind, &k)
}

// lists returns test lists of up to n hashes, by name; the query that they are made around is among the near ones.
func lists(random *rand.Rand, kind hashmatch.Kind, n int) (query hashmatch.Hash, made map[string][]signature) {
	query = randomHash(random, kind)
	made = map[string][]signature{}
	add := func(name string, one func(i int) hashmatch.Hash) {
		var hashes []hashmatch.Hash
		for i := 0; len(hashes) < n; i++ {
			if h := one(i); !h.Zero() {
				hashes = append(hashes, h)
			}
		}
		made[name] = number(hashes)
	}
	bits := kind.Bits()
	add("uniform", func(int) hashmatch.Hash { return randomHash(random, kind) })
	add("every distance", func(i int) hashmatch.Hash { return flip(random, query, i%(bits+1)) })
	add("near", func(int) hashmatch.Hash { return flip(random, query, random.IntN(bits/6)) })
	add("concentrated", func(i int) hashmatch.Hash {
		return flipWithin(random, query, i%(bits/3), random.IntN(bits/16))
	})
	add("one hash", func(int) hashmatch.Hash { return query })
	add("few hashes", func(int) hashmatch.Hash { return flip(rand.New(rand.NewPCG(random.Uint64N(5), 0)), query, 3) })
	add("near zero", func(i int) hashmatch.Hash {
		return flip(random, hashmatch.Hash{Kind: kind}, 1+random.IntN(4))
	})
	add("one bucket", func(i int) hashmatch.Hash {
		h := randomHash(random, kind)
		k, q := toKey(&h), toKey(&query)
		chunk := bits/16 - 1
		k[chunk/4] = q[chunk/4]
		return toHash(kind, &k)
	})
	add("last values", func(i int) hashmatch.Hash {
		k := key{}
		for w := range bits / 64 {
			k[w] = math.MaxUint64
		}
		return flip(random, toHash(kind, &k), i%3)
	})
	return query, made
}

// TestSearch holds Search against brute force: through tables, through what Build chooses, and by scanning, on lists
// of many shapes and sizes at many thresholds.
func TestSearch(t *testing.T) {
	for _, kind := range perceptual {
		for _, n := range []int{0, 1, 2, 3, 5, 17, 300} {
			t.Run(fmt.Sprintf("%s/%d", kind, n), func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(n), uint64(kind)))
				query, made := lists(random, kind, n)
				hits := 0
				for name, list := range made {
					x := build(t, list, byTables)
					if x.Stats(kind).Tables != (n > 0) {
						t.Fatalf("%s: no tables", name)
					}
					queries := []hashmatch.Hash{query, flip(random, query, 5), randomHash(random, kind), {Kind: kind}}
					if n > 0 {
						queries = append(queries, list[n/2].hash)
					}
					for _, q := range queries {
						for _, threshold := range thresholds(kind) {
							hits += check(t, x, list, q, threshold)
						}
					}
				}
				if n > 0 && hits < 100 {
					t.Fatalf("only %d hits: the test shows nothing", hits)
				}
			})
		}
	}
}

// TestEveryDistance plants neighbours at every distance from 0 to threshold + 2, spread over the hash and heaped in a
// few chunks, and wants those within the threshold found, by tables, at every threshold that tables serve.
func TestEveryDistance(t *testing.T) {
	for _, kind := range perceptual {
		t.Run(kind.String(), func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, uint64(kind)))
			chunks := kind.Bits() / 16
			last := maxThreshold(chunks)
			query := randomHash(random, kind)
			var hashes []hashmatch.Hash
			for distance := 0; distance <= last+2; distance++ {
				for range 4 {
					hashes = append(hashes, flip(random, query, distance), flipWithin(random, query, distance, random.IntN(chunks)))
				}
			}
			list := number(hashes)
			x := build(t, list, byTables)
			r := x.parts[kind].(*ranges)
			for threshold := range last + 1 {
				if check(t, x, list, query, threshold) < threshold {
					t.Fatalf("threshold %d: fewer hits than planted", threshold)
				}
				k := toKey(&query)
				if !r.searchTables(new(scratch), &k, threshold) {
					t.Fatalf("threshold %d was scanned", threshold)
				}
			}
			k := toKey(&query)
			if r.searchTables(new(scratch), &k, last+1) {
				t.Fatalf("threshold %d was searched by tables", last+1)
			}
		})
	}
}

// TestPlan holds the plans to what the proof needs of them.
func TestPlan(t *testing.T) {
	for _, chunks := range []int{4, 16} {
		for threshold := range maxThreshold(chunks) + 1 {
			p, ok := planFor(chunks, threshold)
			if !ok {
				t.Fatalf("no plan for %d", threshold)
			}
			sum, lists := 0, 0
			for i := range chunks {
				if p.radius[i] < -1 || p.radius[i] > maxRadius {
					t.Fatalf("threshold %d: radius %d", threshold, p.radius[i])
				}
				sum += int(p.radius[i]) + 1
				for v := range buckets {
					if p.radius[i] < 0 {
						break
					}
					if popcount16(v) <= int(p.radius[i]) {
						lists++
					}
				}
				if p.pair[i] != p.radius[i]+p.radius[(i+1)%chunks]+1 {
					t.Fatalf("threshold %d: pair %d", threshold, p.pair[i])
				}
			}
			if sum != threshold+1 || lists != p.lists {
				t.Fatalf("threshold %d of %d chunks: sum %d, %d lists, planned %d", threshold, chunks, sum, lists, p.lists)
			}
		}
	}
	seen := map[uint16]bool{}
	for i, f := range flips {
		if seen[f] || (i > 0 && popcount16(int(f)) < popcount16(int(flips[i-1]))) {
			t.Fatalf("flip %d is out of order or a double", i)
		}
		seen[f] = true
	}
	if len(flips) != ball[maxRadius] {
		t.Fatalf("%d flips, want %d", len(flips), ball[maxRadius])
	}
}

func popcount16(v int) (n int) {
	for ; v != 0; v &= v - 1 {
		n++
	}
	return n
}

// TestPermutation wants each bit in a place of its own, in the documented chunk, and back.
func TestPermutation(t *testing.T) {
	for _, kind := range hashmatch.Kinds() {
		places := map[key]bool{}
		for bit := range kind.Bits() {
			h := hashmatch.Hash{Kind: kind}
			h.Bits[bit/8] = 0x80 >> (bit % 8)
			k := toKey(&h)
			places[k] = true
			if toHash(kind, &k) != h {
				t.Fatalf("%s: bit %d does not come back", kind, bit)
			}
			want := bit / 16 // digests are left as they are
			switch {
			case kind.Digest():
			case kind.Bits() == 256:
				want = (7*(bit%16) + 3*(bit/16)) % 16
			default:
				want = (bit%8 + 2*(bit/8)) % 4
			}
			for chunk := range 16 {
				if ones := popcount16(int(k.chunk(chunk))); ones != 0 != (chunk == want) || ones > 1 {
					t.Fatalf("%s: bit %d: %d bits in chunk %d, want chunk %d", kind, bit, ones, chunk, want)
				}
			}
		}
		if len(places) != kind.Bits() {
			t.Fatalf("%s: %d places for %d bits", kind, len(places), kind.Bits())
		}
		random := rand.New(rand.NewPCG(6, 6))
		for range 100 {
			a := randomHash(random, kind)
			if k := toKey(&a); toHash(kind, &k) != a {
				t.Fatalf("%s does not come back", a)
			}
		}
	}
}

// TestKinds builds one index of every kind at once and wants each kind to answer for itself only.
func TestKinds(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var list []signature
	for i := range 2000 {
		for _, kind := range hashmatch.Kinds() {
			list = append(list, signature{randomHash(random, kind), uint32(i)})
		}
	}
	for i := range 500 { // equal hashes under other ordinals, and the same pair twice
		list = append(list, signature{list[i].hash, uint32(5000 - i)}, list[i])
	}
	for _, options := range []Options{{}, byTables, {Workers: 1}} {
		x := build(t, list, options)
		if x.Kinds() != hashmatch.SetOf(hashmatch.Kinds()...) {
			t.Fatalf("kinds %b", x.Kinds())
		}
		for _, kind := range hashmatch.Kinds() {
			if x.Len(kind) != 2000 || x.Entries(kind) != 2050 {
				t.Fatalf("%s: %d hashes, %d entries", kind, x.Len(kind), x.Entries(kind))
			}
			for _, s := range []signature{list[int(kind)-1], list[10000+int(kind)-1]} {
				if s.hash.Kind != kind {
					t.Fatal("wrong kind")
				}
				if check(t, x, list, s.hash, 6) != 1 || check(t, x, list, s.hash, 0) != 1 {
					t.Fatal("want one hit")
				}
				if check(t, x, list, flip(random, s.hash, 2), 6) != 1 && !kind.Digest() {
					t.Fatal("want one near hit")
				}
				if check(t, x, list, randomHash(random, kind), 6) != 0 {
					t.Fatal("want no hit")
				}
			}
			count := 0
			for h, entries := range x.All(kind) {
				if hits := x.Search(nil, h, 0); len(hits) != 1 || !slices.Equal(hits[0].Entries, entries) || hits[0].Hash != h {
					t.Fatalf("All yields %s, Search finds %v", h, hits)
				}
				count++
			}
			if count != 2000 {
				t.Fatalf("All yields %d", count)
			}
			for range x.All(kind) {
				break
			}
		}
	}
}

// TestDigests looks up digests that share all but their last byte, those next to them, and those before and after all.
func TestDigests(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	for _, kind := range []hashmatch.Kind{hashmatch.MD5, hashmatch.SHA1, hashmatch.SHA256} {
		for _, n := range []int{1, 2, 3, 100, 256} {
			var hashes []hashmatch.Hash
			base := randomHash(random, kind)
			for i := range n {
				base.Bits[kind.Bits()/8-1] = byte(i)
				hashes = append(hashes, base, randomHash(random, kind))
			}
			list := number(hashes)
			x := build(t, list, Options{})
			for _, s := range list {
				if check(t, x, list, s.hash, 0) != 1 || check(t, x, list, s.hash, 200) != 1 {
					t.Fatal("want one hit")
				}
				check(t, x, list, flip(random, s.hash, 1), 3)
			}
			lowest, highest := hashmatch.Hash{Kind: kind}, hashmatch.Hash{Kind: kind}
			for i := range kind.Bits() / 8 {
				highest.Bits[i] = 0xff
			}
			if check(t, x, list, lowest, 0)+check(t, x, list, highest, 0) != 0 {
				t.Fatal("want no hit")
			}
		}
	}
}

func TestNothing(t *testing.T) {
	var zero Index
	h := randomHash(rand.New(rand.NewPCG(1, 1)), hashmatch.PDQ)
	x := build(t, []signature{{h, 7}}, Options{})
	for _, hits := range [][]Hit{
		zero.Search(nil, h, 256), zero.Scan(nil, h, 256), build(t, nil, Options{}).Search(nil, h, 256),
		x.Search(nil, h, -1), x.Scan(nil, h, math.MinInt), x.Search(nil, hashmatch.Hash{}, 256),
		x.Search(nil, hashmatch.Hash{Kind: hashmatch.PHash}, 64), x.Search(nil, hashmatch.Hash{Kind: 200}, 64),
	} {
		if len(hits) != 0 {
			t.Fatalf("found %v", hits)
		}
	}
	if zero.Bytes() != 0 || zero.Kinds() != 0 || zero.Len(hashmatch.PDQ) != 0 {
		t.Fatal("the zero Index is not empty")
	}
	before := []Hit{{Distance: 99}}
	if hits := x.Search(before, h, 0); len(hits) != 2 || hits[0].Distance != 99 || hits[1].Entries[0] != 7 {
		t.Fatalf("Search does not append: %v", hits)
	}
}

func TestBuildRefuses(t *testing.T) {
	good := randomHash(rand.New(rand.NewPCG(1, 1)), hashmatch.MD5)
	long := good
	long.Bits[16] = 1
	for want, bad := range map[string]hashmatch.Hash{
		"entry 42: all-zero pdq hash":                {Kind: hashmatch.PDQ},
		"entry 42: all-zero sha1 hash":               {Kind: hashmatch.SHA1},
		"entry 42: hash of no kind":                  {},
		"entry 42: md5 hash with more than 128 bits": long,
	} {
		x, err := Build(context.Background(), seq([]signature{{good, 41}, {bad, 42}}), Options{})
		if x != nil || err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if err != nil && strings.Contains(err.Error(), good.Hex()) {
			t.Error("the error prints a hash")
		}
	}
}

// TestBuildStops cancels the build at its different stages.
func TestBuildStops(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	list := make([]signature, 0, prefixes)
	for i := range prefixes {
		list = append(list, signature{randomHash(random, hashmatch.PDQ), uint32(i)})
	}
	for _, after := range []int{0, 5000, len(list) - 1} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Build(ctx, func(yield func(hashmatch.Hash, uint32) bool) {
			for i, s := range list {
				if i == after {
					cancel()
				}
				if !yield(s.hash, s.ordinal) {
					return
				}
			}
		}, Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d: %v", after, err)
		}
		cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := stage{}
	for _, line := range list {
		s.add(toKey(&line.hash), line.ordinal)
	}
	if _, err := s.sorted(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("sorting: %v", err)
	}
	if _, err := newTables(ctx, &records{}, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("tables: %v", err)
	}
}

// TestLarge builds a list that takes the scattering path, with clusters and equal hashes, twice in different orders,
// and holds samples against brute force while several goroutines search.
func TestLarge(t *testing.T) {
	for _, kind := range perceptual {
		t.Run(kind.String(), func(t *testing.T) {
			random := rand.New(rand.NewPCG(11, uint64(kind)))
			var hashes []hashmatch.Hash
			centre := randomHash(random, kind)
			for len(hashes) < 90_000 {
				switch i := len(hashes); {
				case i%30 == 1:
					hashes = append(hashes, flip(random, centre, 1+random.IntN(kind.Bits()/8)))
				case i%50 == 2:
					hashes = append(hashes, hashes[random.IntN(i)])
				default:
					hashes = append(hashes, randomHash(random, kind))
				}
			}
			list := number(hashes)
			x := build(t, list, Options{})
			if !x.Stats(kind).Tables || x.Entries(kind) != len(list) || x.Len(kind) >= len(list) {
				t.Fatalf("%+v", x.Stats(kind))
			}
			shuffled := slices.Clone(list)
			random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			other := build(t, shuffled, Options{Workers: 3})
			threshold := map[int]int{256: 31, 64: 6}[kind.Bits()]
			var wait sync.WaitGroup
			for worker := range 4 {
				wait.Go(func() {
					random := rand.New(rand.NewPCG(uint64(worker), 12))
					hits := 0
					for i := range 6 {
						query := flip(random, hashes[random.IntN(len(hashes))], random.IntN(threshold+2))
						if i == 0 {
							query = centre
						}
						got, again := x.Search(nil, query, threshold), other.Search(nil, query, threshold)
						if !equalHits(got, again) {
							t.Error("the order of building shows")
						}
						sortHits(got)
						if !equalHits(got, bruteForce(list, query, threshold)) {
							t.Errorf("query %s: wrong hits", query)
						}
						hits += len(got)
					}
					if hits < 1000 {
						t.Errorf("%d hits: the test shows nothing", hits)
					}
				})
			}
			wait.Wait()
		})
	}
}

// TestGivesUp wants a scan instead of tables for lists made to be slow, and the same hits.
func TestGivesUp(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 13))
	for _, kind := range perceptual {
		query := randomHash(random, kind)
		shapes := map[string]func(int) hashmatch.Hash{
			"one bucket": func(int) hashmatch.Hash {
				h := randomHash(random, kind)
				k, q := toKey(&h), toKey(&query)
				k[0] = q[0]&(0xffff<<48) | k[0]&(1<<48-1)
				return toHash(kind, &k)
			},
			"cluster": func(int) hashmatch.Hash { return flip(random, query, kind.Bits()/12) },
		}
		for name, shape := range shapes {
			var hashes []hashmatch.Hash
			for len(hashes) < 50_000 {
				hashes = append(hashes, shape(len(hashes)), randomHash(random, kind))
			}
			list := number(hashes)
			x := build(t, list, Options{})
			r, k, threshold := x.parts[kind].(*ranges), toKey(&query), kind.Bits()/8-1
			if r.searchTables(new(scratch), &k, threshold) {
				t.Errorf("%s, %s: was searched by tables", kind, name)
			}
			check(t, x, list, query, threshold)
			far := randomHash(random, kind)
			if k = toKey(&far); kind == hashmatch.PDQ && !r.searchTables(new(scratch), &k, threshold) {
				t.Errorf("%s, %s: a random query was scanned", kind, name)
			}
		}
	}
}

// TestAllocates wants a search to take no memory of its own.
func TestAllocates(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 14))
	var list []signature
	for i := range 20_000 {
		for _, kind := range []hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash, hashmatch.SHA1} {
			list = append(list, signature{randomHash(random, kind), uint32(i)})
		}
	}
	x := build(t, list, Options{})
	dst := make([]Hit, 0, 10)
	for _, s := range list[:3] {
		allocations := testing.AllocsPerRun(100, func() { dst = x.Search(dst[:0], s.hash, 6) })
		if allocations > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", s.hash.Kind, allocations)
		}
		if len(dst) == 0 {
			t.Errorf("%s: not found", s.hash.Kind)
		}
	}
}

// FuzzSearch reads a list and a query from bytes: 2 bytes of kind and threshold, then hashes, the first the query.
// Hashes are given as differences from the query, so that they are near.
func FuzzSearch(f *testing.F) {
	f.Add([]byte{0, 31, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32})
	f.Add(append([]byte{1, 10, 255, 255, 255, 255, 255, 255, 255, 255}, make([]byte, 64)...))
	random := rand.New(rand.NewPCG(15, 15))
	for threshold := range byte(66) {
		data := []byte{threshold, threshold}
		for range 32 * 8 {
			data = append(data, byte(random.Uint32()&random.Uint32()&random.Uint32()))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 {
			return
		}
		kind, threshold := perceptual[data[0]%2], int(data[1])
		size := kind.Bits() / 8
		data = data[2:min(len(data), 2+64*size)]
		var query hashmatch.Hash
		var list []signature
		for i := 0; len(data) >= size; i++ {
			h, err := hashmatch.NewHash(kind, data[:size])
			if err != nil {
				t.Fatal(err)
			}
			data = data[size:]
			if i == 0 {
				query = h
				continue
			}
			for j := 0; j < size; j += 8 {
				word := binary.BigEndian.Uint64(h.Bits[j:]) ^ binary.BigEndian.Uint64(query.Bits[j:])
				binary.BigEndian.PutUint64(h.Bits[j:], word)
			}
			if !h.Zero() {
				list = append(list, signature{h, uint32(i % 5)})
			}
		}
		if len(list) == 0 {
			return
		}
		check(t, build(t, list, byTables), list, query, threshold)
	})
}
