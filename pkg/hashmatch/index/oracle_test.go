package index

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
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

// byTables sends every search that can be made by tables through them, however small the list and whatever it costs:
// survivors cost 1 of the 500 that a record may cost, and none survives in more than 16 tables.
var byTables = Options{Workers: 2, tablesFrom: 1, costs: &costs{compare: [2]int{1000, 1000}, survivor: 1}}

// byWideTables does so with the IDs of a list of more than 16,777,216 hashes.
var byWideTables = Options{Workers: 1, tablesFrom: 1, costs: byTables.costs, idWidth: 4}

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

// check compares Search, Scan, SearchMany and Any, by every kernel, with the oracle and returns the number of hits.
func check(t *testing.T, x *Index, list []signature, query hashmatch.Hash, threshold int) int {
	t.Helper()
	want := bruteForce(list, query, threshold)
	everyKernel(func(k kernel) {
		got := x.Search(nil, query, threshold)
		if !slices.IsSortedFunc(got, func(a, b Hit) int { return cmp.Compare(a.Distance, b.Distance) }) {
			t.Fatalf("%s, threshold %d: hits are not sorted by distance", k, threshold)
		}
		scanned := x.Scan(nil, query, threshold)
		if !equalHits(got, scanned) {
			t.Fatalf("%s, threshold %d, query %s: Search finds %d hits, Scan %d, or in another order", k, threshold, query, len(got), len(scanned))
		}
		one := []hashmatch.Hash{query}
		var many []Hit
		for _, hit := range x.SearchMany(nil, one, threshold) {
			if hit.Query != 0 {
				t.Fatalf("%s, threshold %d: a hit of query %d of 1", k, threshold, hit.Query)
			}
			many = append(many, hit.Hit)
		}
		if !equalHits(got, many) {
			t.Fatalf("%s, threshold %d, query %s: Search finds %d hits, SearchMany %d, or in another order", k, threshold, query, len(got), len(many))
		}
		if x.Any(one, threshold) != (len(want) > 0) {
			t.Fatalf("%s, threshold %d, query %s: Any is wrong about %d hits", k, threshold, query, len(want))
		}
		sortHits(got)
		if !equalHits(got, want) {
			t.Fatalf("%s, threshold %d, query %s, %d entries: %d hits, want %d\n got %v\nwant %v", k, threshold, query, len(list), len(got), len(want), got, want)
		}
	})
	return len(want)
}

// everyKernel calls do with each kernel that this machine has in use.
func everyKernel(do func(k kernel)) {
	before := using
	defer func() { using = before }()
	for _, using = range kernels {
		do(using)
	}
}

// swept reports whether a search is answered by a sweep, by the kernel in use.
func swept(r *ranges, s *scratch, query hashmatch.Hash, threshold int) bool {
	s.queries[0] = toKey(&query)
	r.find(s, 1, threshold, false)
	return s.work.swept > 0
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
