package hashlist

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Stats is what can be said of a list without showing a hash.
type Stats struct {
	Sources         map[string]int // entries by source, tombstones included
	Members         map[string]int // by "source/member", as keys are written; "" where none is stated
	Labels          map[string]int
	Classifications map[string]int
	Updated         Ages // entries by when their source changed them
	Synced          Ages // entries by when their source last confirmed them
	Votes           VoteStats
	Bits            map[hashmatch.Kind]BitStats // of each perceptual kind
	// Overlaps are the pairs of sources that list the same hash, most of them first, at most MaxStats; a digest and a
	// perceptual hash count alike.
	Overlaps []Overlap
	// Clusters are the largest groups of near hashes, at most MaxStats; see Cluster.
	Clusters []Cluster
}

// MaxStats is the length of the longest list in Stats, and MaxStatsNames the number of names that a map in it has at
// the most: what is left is counted under Others.
const (
	MaxStats      = 20
	MaxStatsNames = 10_000
	Others        = "(others)"
)

// AgeBounds are the upper bounds of Ages.
var AgeBounds = [...]time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour, 365 * 24 * time.Hour}

// Ages counts entries by age: Counts[i] are those of at most AgeBounds[i] and more than the bound before, the last one
// those that are older than all. A time in the future is of no age.
type Ages struct {
	Counts         [len(AgeBounds) + 1]int
	Unknown        int
	Oldest, Newest time.Time // zero where all are unknown
}

func (a *Ages) add(at, now time.Time) {
	if at.IsZero() || at.Unix() <= zeroSeconds {
		a.Unknown++
		return
	}
	i := 0
	for i < len(AgeBounds) && now.Sub(at) > AgeBounds[i] {
		i++
	}
	a.Counts[i]++
	if a.Oldest.IsZero() || at.Before(a.Oldest) {
		a.Oldest = at
	}
	if at.After(a.Newest) {
		a.Newest = at
	}
}

func (a *Ages) merge(b *Ages) {
	for i, n := range b.Counts {
		a.Counts[i] += n
	}
	a.Unknown += b.Unknown
	if a.Oldest.IsZero() || !b.Oldest.IsZero() && b.Oldest.Before(a.Oldest) {
		a.Oldest = b.Oldest
	}
	if b.Newest.After(a.Newest) {
		a.Newest = b.Newest
	}
}

// VoteStats counts the signatures that have votes.
type VoteStats struct {
	Signatures         int // with a vote
	Contested          int // of these, with votes for and against
	Positive, Negative uint64
}

// BitStats says how evenly the bits of a kind's hashes are set: near a half each for hashes of many pictures. Bits that
// are nearly always the same make unlike pictures match each other.
type BitStats struct {
	Hashes         int
	Mean           float64 // share of bits that are set, 0 to 1, of all bits of all hashes
	Lowest         float64 // share of hashes in which the bit that is set most seldom is set
	Highest        float64 // and the one that is set most often
	Skewed         int     // bits that are set in less than a quarter, or more than three quarters, of the hashes
	LowBit, TopBit int     // which bits these are, from 0: the highest bit of the first byte
}

// StatsOptions say what Stats is to be of.
type StatsOptions struct {
	Now time.Time
	// Radius returns the largest distance at which two hashes of a perceptual kind are near. nil: no clusters.
	Radius func(hashmatch.Kind) int
}

// Stats counts what is in the list, on all cores. With one source it takes no memory worth naming, else 16 bytes for
// each of up to 8 million hashes at a time. A list of 10 million PDQ hashes takes some seconds, most of them for the
// clusters. A cancelled context is an error.
func (l *List) Stats(ctx context.Context, o StatsOptions) (*Stats, error) {
	var total tally
	var merging sync.Mutex
	err := eachBucket(inUse(l), func(bucket int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var t tally
		if err := l.memory.Use(func() { t.count(l.segments[bucket], o.Now) }); err != nil {
			return err
		}
		merging.Lock()
		defer merging.Unlock()
		total.merge(&t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s := &Stats{
		Sources: capped(total.sources), Members: capped(total.members), Labels: capped(total.labels),
		Classifications: capped(total.classes), Updated: total.updated, Synced: total.synced, Votes: total.votes,
		Bits: make(map[hashmatch.Kind]BitStats),
	}
	for code, counts := range total.bits {
		if counts != nil {
			s.Bits[codes[code]] = counts.stats(codes[code])
		}
	}
	if len(total.sources) > 1 {
		if s.Overlaps, err = l.overlaps(ctx); err != nil {
			return nil, err
		}
	}
	if o.Radius != nil {
		if s.Clusters, err = l.clusters(ctx, o.Radius); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// capped puts what is rarest together, so that a list with an own label for each entry has stats of a bounded size.
func capped(counts map[string]int) map[string]int {
	if len(counts) <= MaxStatsNames {
		return counts
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if n := counts[b] - counts[a]; n != 0 {
			return n
		}
		if a < b {
			return -1
		}
		return 1
	})
	out := make(map[string]int, MaxStatsNames+1)
	for i, name := range names {
		n := counts[name]
		if i >= MaxStatsNames {
			name = Others
		}
		out[name] += n
	}
	return out
}

// tally is what is counted in one bucket, or in several.
type tally struct {
	sources, members, labels, classes map[string]int
	updated, synced                   Ages
	votes                             VoteStats
	bits                              [len(codes)]*bitCounts
}

func (t *tally) init() {
	if t.sources == nil {
		t.sources, t.members = make(map[string]int), make(map[string]int)
		t.labels, t.classes = make(map[string]int), make(map[string]int)
	}
}

func (t *tally) count(s *segment, now time.Time) {
	t.init()
	uses := make([]int, s.descriptors)
	for i := range s.entries {
		c := cursor{rest: s.rawRecord(i)}
		uses[c.uvarint()]++
		c.varint() // added
		if synced := s.base - c.varint(); synced == zeroSeconds {
			t.synced.add(time.Time{}, now)
		} else {
			t.synced.add(time.Unix(synced, 0).UTC(), now)
		}
		content := readContent(c.rest)
		t.updated.add(content.updatedTime(), now)
		for sig, ok := content.next(); ok; sig, ok = content.next() {
			t.vote(sig.votes)
			if sig.code == codeOpaque || codes[sig.code].Digest() {
				continue
			}
			if t.bits[sig.code] == nil {
				t.bits[sig.code] = new(bitCounts)
			}
			t.bits[sig.code].add(sig.value)
		}
	}
	for _, counts := range t.bits {
		if counts != nil {
			counts.flush()
		}
	}
	for d, n := range uses {
		t.describe(s.descriptor(d), n)
	}
}

func (t *tally) vote(v hashmatch.Votes) {
	if v == (hashmatch.Votes{}) {
		return
	}
	t.votes.Signatures++
	if v.Positive > 0 && v.Negative > 0 {
		t.votes.Contested++
	}
	t.votes.Positive += uint64(v.Positive)
	t.votes.Negative += uint64(v.Negative)
}

// describe counts a descriptor that n entries share.
func (t *tally) describe(descriptor []byte, n int) {
	c := cursor{rest: descriptor[1:]}
	source, member := string(c.text()), string(c.text())
	t.sources[source] += n
	if member != "" {
		key := hashmatch.EntryKey{Source: source, Member: member, ID: "x"}.String()
		t.members[key[:len(key)-2]] += n
	} else {
		t.members[""] += n
	}
	if class := string(c.text()); class != "" {
		t.classes[class] += n
	}
	for range c.uvarint() {
		t.labels[string(c.text())] += n
	}
}

func (t *tally) merge(other *tally) {
	t.init()
	for _, pair := range [][2]map[string]int{{t.sources, other.sources}, {t.members, other.members}, {t.labels, other.labels}, {t.classes, other.classes}} {
		for name, n := range pair[1] {
			pair[0][name] += n
		}
	}
	t.updated.merge(&other.updated)
	t.synced.merge(&other.synced)
	t.votes.Signatures += other.votes.Signatures
	t.votes.Contested += other.votes.Contested
	t.votes.Positive += other.votes.Positive
	t.votes.Negative += other.votes.Negative
	for code, counts := range other.bits {
		switch {
		case counts == nil:
		case t.bits[code] == nil:
			t.bits[code] = counts
		default:
			t.bits[code].merge(counts)
		}
	}
}

// bitCounts counts in how many hashes each bit is set. It adds 64 bits at once: the counts of up to 255 hashes are kept
// in eight planes, of which each holds one binary digit of 64 counts.
type bitCounts struct {
	hashes  int
	pending int
	planes  [4][8]uint64
	set     [256]int
}

func (b *bitCounts) add(value []byte) {
	for word := 0; len(value) >= 8; word++ {
		carry := binary.BigEndian.Uint64(value)
		for p := 0; carry != 0; p++ {
			b.planes[word][p], carry = b.planes[word][p]^carry, b.planes[word][p]&carry
		}
		value = value[8:]
	}
	b.hashes++
	if b.pending++; b.pending == 255 {
		b.flush()
	}
}

func (b *bitCounts) flush() {
	for word := range b.planes {
		for p, plane := range b.planes[word] {
			for i := 0; plane != 0; i++ {
				if plane&(1<<63) != 0 {
					b.set[64*word+i] += 1 << p
				}
				plane <<= 1
			}
			b.planes[word][p] = 0
		}
	}
	b.pending = 0
}

func (b *bitCounts) merge(other *bitCounts) {
	b.hashes += other.hashes
	for i, n := range other.set {
		b.set[i] += n
	}
}

func (b *bitCounts) stats(kind hashmatch.Kind) BitStats {
	s := BitStats{Hashes: b.hashes, Lowest: 1}
	total := 0
	for i, n := range b.set[:kind.Bits()] {
		total += n
		share := float64(n) / float64(b.hashes)
		if share < s.Lowest {
			s.Lowest, s.LowBit = share, i
		}
		if share > s.Highest {
			s.Highest, s.TopBit = share, i
		}
		if share < 0.25 || share > 0.75 {
			s.Skewed++
		}
	}
	s.Mean = float64(total) / float64(b.hashes) / float64(kind.Bits())
	return s
}
