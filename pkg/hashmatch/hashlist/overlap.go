package hashlist

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"

	"example.org/hashmatch/pkg/hashmatch"
)

// Overlap says how many hashes two sources have in common.
type Overlap struct {
	Sources [2]string // in ascending order
	Hashes  int
}

// Cluster is a group of near hashes: those within the radius of its centre. Of a list in which no more than about 2,000
// hashes are compared with all others, every group is found; of a larger one, those around hashes that were drawn evenly,
// so that a group of a hundredth of the list is certainly among them and a group of a few is most likely not. Centres are
// farther from each other than the radius.
type Cluster struct {
	Kind   hashmatch.Kind
	Radius int
	Hashes int                // the centre included
	Centre hashmatch.EntryKey // an entry that has it
}

// overlaps compares the hashes of all sources. It takes them in parts, by their digests, to bound its memory.
func (l *List) overlaps(ctx context.Context) ([]Overlap, error) {
	type holding struct {
		hash   uint64 // of kind and bits
		source uint32
	}
	const atOnce = 8 << 20
	hashes := 0
	for _, n := range l.counts {
		hashes += n
	}
	passes := uint64(hashes/atOnce + 1)
	seed := maphash.MakeSeed()
	numbers := make(map[string]uint32)
	var names []string
	counts := make(map[[2]uint32]int)
	for pass := range passes {
		holdings := make([]holding, 0, hashes/int(passes)+hashes/16+1)
		for _, bucket := range inUse(l) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s := l.segments[bucket]
			err := l.memory.Use(func() {
				of := make([]uint32, s.descriptors)
				for d := range of {
					c := cursor{rest: s.descriptor(d)[1:]}
					name := string(c.text())
					number, known := numbers[name]
					if !known {
						number = uint32(len(names))
						numbers[name], names = number, append(names, name)
					}
					of[d] = number
				}
				for i := range s.entries {
					c := cursor{rest: s.rawRecord(i)}
					source := of[c.uvarint()]
					c.varint()
					c.varint()
					content := readContent(c.rest)
					for sig, ok := content.next(); ok; sig, ok = content.next() {
						if sig.code == codeOpaque {
							continue
						}
						var buffer [33]byte
						buffer[0] = sig.code
						h := maphash.Bytes(seed, buffer[:1+copy(buffer[1:], sig.value)])
						if high, _ := bits.Mul64(h, passes); high == pass {
							holdings = append(holdings, holding{h, source})
						}
					}
				}
			})
			if err != nil {
				return nil, err
			}
		}
		slices.SortFunc(holdings, func(a, b holding) int {
			return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.source, b.source))
		})
		holdings = slices.Compact(holdings)
		for i := 0; i < len(holdings); {
			j := i + 1
			for j < len(holdings) && holdings[j].hash == holdings[i].hash {
				j++
			}
			group := holdings[i:min(j, i+64)] // a hash that more sources have is counted for the first of them
			for a := range group {
				for b := range a {
					if pair := [2]uint32{group[b].source, group[a].source}; counts[pair] > 0 || len(counts) < 1<<16 {
						counts[pair]++
					}
				}
			}
			i = j
		}
	}
	var out []Overlap
	for pair, n := range counts {
		o := Overlap{Sources: [2]string{names[pair[0]], names[pair[1]]}, Hashes: n}
		slices.Sort(o.Sources[:])
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b Overlap) int {
		return cmp.Or(b.Hashes-a.Hashes, slices.Compare(a.Sources[:], b.Sources[:]))
	})
	return out[:min(len(out), MaxStats)], nil
}

// comparisons is the number of distances that are computed for a kind at the most: some seconds on two cores.
const comparisons = 4 << 30

// maxCentres is the number of hashes that are compared with all others at the most.
const maxCentres = 2048

// centre is a hash that all others are compared with.
type centre struct {
	words   [4]uint64
	ordinal uint32
	near    int
}

func wordsOf(value []byte) (w [4]uint64) {
	for i := 0; i < len(w) && len(value) >= 8*(i+1); i++ {
		w[i] = binary.LittleEndian.Uint64(value[8*i:])
	}
	return w
}

func distance(a, b *[4]uint64) int {
	return bits.OnesCount64(a[0]^b[0]) + bits.OnesCount64(a[1]^b[1]) + bits.OnesCount64(a[2]^b[2]) + bits.OnesCount64(a[3]^b[3])
}

// clusters finds the largest groups of each perceptual kind.
func (l *List) clusters(ctx context.Context, radius func(hashmatch.Kind) int) (out []Cluster, err error) {
	for code, n := range l.counts {
		if n < 2 || codes[code].Digest() {
			continue
		}
		within := radius(codes[code])
		centres, err := l.centres(byte(code), n)
		if err == nil {
			err = l.countNear(ctx, byte(code), centres, within)
		}
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(centres, func(a, b centre) int { return b.near - a.near })
		var chosen []centre
		for _, c := range centres {
			far := !slices.ContainsFunc(chosen, func(other centre) bool { return distance(&c.words, &other.words) <= within })
			if c.near > 1 && far && len(chosen) < MaxStats {
				chosen = append(chosen, c)
				out = append(out, Cluster{Kind: codes[code], Radius: within, Hashes: c.near, Centre: l.Key(c.ordinal)})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Cluster) int { return b.Hashes - a.Hashes })
	return out[:min(len(out), MaxStats)], nil
}

// centres draws hashes of a kind of which there are n, evenly over the list.
func (l *List) centres(code byte, n int) ([]centre, error) {
	wanted := max(1, min(n, maxCentres, comparisons/n))
	centres := make([]centre, 0, wanted)
	seen, next := 0, 0
	err := l.memory.Use(func() {
		for ordinal, d := range l.drafts() {
			content := readContent(d.content)
			for sig, ok := content.next(); ok; sig, ok = content.next() {
				if sig.code != code {
					continue
				}
				if seen == next {
					centres = append(centres, centre{words: wordsOf(sig.value), ordinal: ordinal})
					next = int(uint64(len(centres)) * uint64(n) / uint64(wanted))
				}
				seen++
			}
		}
	})
	return centres, err
}

// countNear sets near of each centre.
func (l *List) countNear(ctx context.Context, code byte, centres []centre, within int) error {
	var adding sync.Mutex
	return eachBucket(inUse(l), func(bucket int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := l.segments[bucket]
		var hashes [][4]uint64
		err := l.memory.Use(func() {
			for i := range s.entries {
				d := s.draft(i)
				content := readContent(d.content)
				for sig, ok := content.next(); ok; sig, ok = content.next() {
					if sig.code == code {
						hashes = append(hashes, wordsOf(sig.value))
					}
				}
			}
		})
		if err != nil {
			return err
		}
		near := make([]int, len(centres))
		for c := range centres {
			words := &centres[c].words
			for i := range hashes {
				if distance(words, &hashes[i]) <= within {
					near[c]++
				}
			}
		}
		adding.Lock()
		defer adding.Unlock()
		for c, n := range near {
			centres[c].near += n
		}
		return nil
	})
}
