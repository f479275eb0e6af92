package index

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestKernels says which kernels the other tests ran.
func TestKernels(t *testing.T) {
	if kernels[0] != portable || using != kernels[len(kernels)-1] {
		t.Fatalf("kernels %v, in use %s", kernels, using)
	}
	t.Logf("kernels of this machine: %v", kernels)
}

// TestFilter holds each kernel against a count bit by bit: lists of every length to 200 and of the longest, at every
// limit, anywhere in the tables and at their very end, with words around them that would pass.
func TestFilter(t *testing.T) {
	random := rand.New(rand.NewPCG(21, 21))
	const n = 1500
	made := &tables{chunks: 4, n: n, next: make([]byte, 2*4*n+nextPadding), ids: make([]byte, 4*4*n+idPadding), width: 4}
	lengths := []int{maxSpan, maxSpan - 1}
	for length := range 201 {
		lengths = append(lengths, length)
	}
	passed, all := 0, 0
	for round := range 12 {
		wanted := uint16(random.Uint32())
		for i := 0; i < len(made.next); i += 2 { // near, so that every limit parts them
			next := wanted
			for range random.IntN(8) * (round % 4) {
				next ^= 1 << random.IntN(16)
			}
			binary.LittleEndian.PutUint16(made.next[i:], next)
		}
		for at := 4 * n; at < 4*n+nextPadding/2; at++ {
			binary.LittleEndian.PutUint16(made.next[2*at:], wanted)
		}
		var lists []span
		var want []uint64
		for i, length := range lengths {
			at := uint64(random.IntN(4*n - length + 1))
			if i%3 == 0 {
				at = uint64(4*n - length)
			}
			list := span{uint64(i%4)<<postingBits | at, uint16(length), wanted, uint16((i + round) % 17)}
			lists = append(lists, list)
			for j := range uint64(length) {
				all++
				if popcount16(int(binary.LittleEndian.Uint16(made.next[2*(at+j):])^wanted)) <= int(list.limit) {
					want = append(want, list.at+j)
				}
			}
		}
		passed += len(want)
		everyKernel(func(k kernel) {
			var touched uint32
			for _, room := range []int{len(want) + maxSpan, 2 * maxSpan, maxSpan} {
				var got []uint64
				memory := make([]uint64, room+1)
				for left := lists; len(left) > 0; {
					memory[room] = 0xdead
					done, count := k.filter(left, made, memory[:room], &touched)
					if done == 0 || count > room || memory[room] != 0xdead {
						t.Fatalf("%s, room %d: %d lists done, %d survivors", k, room, done, count)
					}
					got, left = append(got, memory[:count]...), left[done:]
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s, round %d, room %d: %d survivors, want %d", k, round, room, len(got), len(want))
				}
			}
			if done, count := k.filter(lists, made, nil, &touched); done != 0 || count != 0 {
				t.Fatalf("%s: survivors without room", k)
			}
			if done, count := k.filter(nil, made, make([]uint64, maxSpan), &touched); done != 0 || count != 0 {
				t.Fatalf("%s: survivors without lists", k)
			}
		})
	}
	if passed < all/10 || passed > all-all/10 {
		t.Fatalf("%d of %d pass: the test shows nothing", passed, all)
	}
}

// TestLookUp holds each kernel's way from postings to near records against the arrays.
func TestLookUp(t *testing.T) {
	random := rand.New(rand.NewPCG(22, 22))
	for _, width := range []int{3, 4} {
		var list []hashmatch.Hash
		query := randomHash(random, hashmatch.PDQ)
		for range 3000 {
			list = append(list, flip(random, query, random.IntN(257)))
		}
		x := build(t, number(list), Options{tablesFrom: 1, idWidth: width})
		r, q := x.parts[hashmatch.PDQ].(*ranges), toKey(&query)
		everyKernel(func(k kernel) {
			for _, count := range []int{0, 1, 2, 3, 17, 2 * maxSpan} {
				survivors := make([]uint64, count+1)
				var found []uint64
				for i := range survivors[:count] {
					table, posting := random.IntN(16), random.IntN(r.n)
					if i < 2 { // the very last
						table, posting = 15, r.n-1
					}
					survivors[i] = uint64(table)<<postingBits | uint64(table*r.n+posting)
					found = append(found, uint64(table)<<postingBits|uint64(r.tables.id(table, posting)))
				}
				survivors[count] = 0xdead
				k.lookUp(r.tables, &r.records, survivors[:count])
				if !slices.Equal(survivors[:count], found) || survivors[count] != 0xdead {
					t.Fatalf("%s: wrong records of %d postings", k, count)
				}
				for _, threshold := range []int{0, 31, 60, 128, 256} {
					var near []uint64
					for _, survivor := range found {
						record := r.key(int(uint32(survivor)))
						distance := 0
						for chunk := range 8 {
							distance += popcount16(int(record.chunk(chunk) ^ q.chunk(chunk)))
						}
						if distance <= threshold {
							near = append(near, survivor|uint64(distance)<<32)
						}
					}
					got := slices.Clone(found)
					if got = got[:k.nearHeads(&r.records, got, &q, threshold)]; !slices.Equal(got, near) {
						t.Fatalf("%s: %d of %d records near at %d, want %d", k, len(got), count, threshold, len(near))
					}
				}
			}
		})
	}
}

// bound is the bound that a kernel compares with the threshold, bit by bit.
func bound(k kernel, words int, a, b *key) (sum int) {
	ones := func(word uint64) (n int) {
		for ; word != 0; word &= word - 1 {
			n++
		}
		return n
	}
	var d key
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	switch {
	case k == portable && words == 2:
		return ones(d[0]) + ones(d[1])
	case k == portable:
		return ones(d[0]) + ones(d[1]) + ones(d[2]) + ones(d[3])
	case words == 1:
		return ones(d[0])
	case words == 2:
		return ones(d[0] | d[1])
	case words == 3:
		return ones(d[0]|d[1]) + ones(d[2])
	}
	return ones(d[0]|d[1]) + ones(d[2]|d[3])
}

// TestNearGroup wants each kernel to stop at the first group that its bound does not rule out, from every group on,
// whatever the place of the record in it, and the bound to be no more than the distance. With the race detector it does
// so in 10 of the 40 rounds.
func TestNearGroup(t *testing.T) {
	step := 1
	if raceDetector {
		step = 4
	}
	random := rand.New(rand.NewPCG(23, 23))
	for words := 1; words <= 4; words++ {
		kind := hashmatch.PDQ
		if words == 1 {
			kind = hashmatch.PHash
		}
		const n = 96
		r := records{n: n, headWords: min(words, 2), tailWords: 2}
		if words == 1 {
			r.tailWords = 0
		}
		groups, stops := 0, 0
		for round := 0; round < 40; round += step {
			queries := make([]key, 1+round%9)
			for i := range queries {
				h := randomHash(random, kind)
				queries[i] = toKey(&h)
			}
			var keys [n]key
			r.head, r.tail = nil, nil
			for id := range keys {
				h := randomHash(random, kind)
				if id == round%n {
					query := toHash(kind, &queries[random.IntN(len(queries))])
					h = flip(random, query, random.IntN(kind.Bits()/2))
				}
				keys[id] = toKey(&h)
				r.head = append(r.head, keys[id][:r.headWords]...)
				r.tail = append(r.tail, keys[id][2:2+r.tailWords]...)
			}
			threshold := random.IntN(kind.Bits()/3 + 1)
			everyKernel(func(k kernel) {
				if k == portable && words == 3 {
					return
				}
				group := k.group()
				for first := 0; first <= n; first += group {
					for _, end := range []int{n, max(first, n-group)} {
						want := end
						for id := end - 1; id >= first; id-- {
							for i := range queries {
								b := bound(k, words, &keys[id], &queries[i])
								a, c := toHash(kind, &keys[id]), toHash(kind, &queries[i])
								if b > a.Distance(c) {
									t.Fatalf("%s, %d words: bound %d of distance %d", k, words, b, a.Distance(c))
								}
								if b <= threshold {
									want = id / group * group
								}
							}
						}
						groups++
						if want < end {
							stops++
						}
						if got := k.nearGroup(&r, words, first, end, queries, threshold); got != want {
							t.Fatalf("%s, %d words, threshold %d, %d queries: from %d to %d stops at %d, want %d",
								k, words, threshold, len(queries), first, end, got, want)
						}
					}
				}
			})
		}
		if stops < groups/50 || stops > groups-groups/50 {
			t.Fatalf("%d words: stopped %d times of %d: the test shows nothing", words, stops, groups)
		}
	}
}
