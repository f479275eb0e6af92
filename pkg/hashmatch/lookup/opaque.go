package lookup

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"

	"example.org/hashmatch/pkg/hashmatch"
)

// SearchOpaque calls found with every entry of every list that has an opaque signature of the scheme which distance
// accepts: for who computes such signatures under a licence of his own and knows how near two of them are. distance
// is called with every signature, which it must neither keep nor change, and returns how far it is away and whether that
// is a match. Nothing is indexed: it looks at all of them.
//
// The matches have the Kind 0 and the Threshold 0: a policy takes them for near ones, holds at least, and never lets an
// allow-list win by them. An entry with several signatures that match is found once for each. Withdrawn entries are not
// found. It panics as Search does.
func (s *Set) SearchOpaque(scheme string, distance func(signature []byte) (distance int, ok bool), found func(hashmatch.Match)) {
	var buffer []byte
	for _, l := range s.lists {
		if l.entries.OpaqueCounts()[scheme] == 0 {
			continue
		}
		for signature, ordinal := range l.entries.OpaqueSignatures() {
			if signature.Scheme != scheme {
				continue
			}
			buffer = append(buffer[:0], signature.Opaque...)
			if d, ok := distance(buffer); ok {
				l.foundOpaque(ordinal, d, signature.Votes, found)
			}
		}
	}
}

// FindOpaque calls found with every entry of every list that has exactly this opaque signature, as SearchOpaque does, by
// an index: the first call after a list was loaded builds it, with 16 bytes a signature.
func (s *Set) FindOpaque(scheme, signature string, found func(hashmatch.Match)) {
	for _, l := range s.lists {
		l.opaque.find(l, scheme, signature, found)
	}
}

// HoldsOpaque says whether the list holds an opaque signature of the scheme.
func (s *Served) HoldsOpaque(scheme string) bool { return s.entries.OpaqueCounts()[scheme] > 0 }

func (s *Served) foundOpaque(ordinal uint32, distance int, votes hashmatch.Votes, found func(hashmatch.Match)) {
	e := s.entries.Entry(ordinal)
	if e.Status == hashmatch.Withdrawn {
		return
	}
	found(hashmatch.Match{
		List: s.name, Key: e.Key, Entry: e.Key.String(), Distance: distance, Labels: e.Labels, Status: e.Status, Votes: votes, Quality: 100,
	})
}

// opaqueIndex finds opaque signatures by a digest of them. It is shared by all that Refresh returns.
type opaqueIndex struct {
	once sync.Once
	seed maphash.Seed
	at   []opaqueAt // in the order of sum
}

type opaqueAt struct {
	sum     uint64
	ordinal uint32
}

func (x *opaqueIndex) sum(scheme, signature string) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	_, _ = h.WriteString(scheme)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(signature)
	return h.Sum64()
}

func (x *opaqueIndex) build(l *Served) {
	x.seed = maphash.MakeSeed()
	for s, ordinal := range l.entries.OpaqueSignatures() {
		x.at = append(x.at, opaqueAt{x.sum(s.Scheme, s.Opaque), ordinal})
	}
	x.at = slices.Clip(x.at)
	slices.SortFunc(x.at, func(a, b opaqueAt) int { return cmp.Or(cmp.Compare(a.sum, b.sum), cmp.Compare(a.ordinal, b.ordinal)) })
}

func (x *opaqueIndex) find(l *Served, scheme, signature string, found func(hashmatch.Match)) {
	if !l.HoldsOpaque(scheme) {
		return
	}
	if l.Err() != nil {
		// The list's own refusal is what a caller must see, not an index of what it was.
		l.entries.Entry(0)
	}
	x.once.Do(func() { x.build(l) })
	sum := x.sum(scheme, signature)
	i, _ := slices.BinarySearchFunc(x.at, sum, func(a opaqueAt, sum uint64) int { return cmp.Compare(a.sum, sum) })
	for ; i < len(x.at) && x.at[i].sum == sum; i++ {
		for _, s := range l.entries.Entry(x.at[i].ordinal).Signatures {
			if s.Scheme == scheme && s.Opaque == signature {
				l.foundOpaque(x.at[i].ordinal, 0, s.Votes, found)
				break
			}
		}
	}
}
