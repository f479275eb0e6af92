package promotion

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/index"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// ErrProof is wrapped by the failure of a proof: the index does not find what it must, or finds what it must not.
var ErrProof = errors.New("not proven")

// Proof says how much a list that was made ready is searched before it is put in force. The zero Proof looks at exact
// distances only.
type Proof struct {
	// Thresholds are the widest distances that are searched in service, by kind; 0 where none is stated.
	Thresholds map[hashmatch.Kind]int
	// Hashes is how many of the list's hashes of each kind are looked for; 0 means 64.
	Hashes int
	// Queries is how many queries of each kind are compared with brute force; 0 means 16. Each reads every hash.
	Queries int
	// Random is where the choice comes from; nil means another one each time, so that who makes a list cannot know it.
	Random *rand.Rand
}

// Prove looks for hashes of the list, each with 0, 1, … and up to as many of its bits flipped as its threshold, and
// compares the answers to random queries with those of brute force. Of an index that misses a share m of the searches at
// some distance, it overlooks all at that distance with a probability of (1-m)^64: 0.1 % for one that misses a tenth. Damage
// that makes nearly no search miss anything, such as that of one table of sixteen, is overlooked.
//
// Its errors wrap ErrProof, hashlist.ErrChanged or ctx's.
func (p Proof) Prove(ctx context.Context, served *lookup.Served) error {
	return p.prove(ctx, served.Index(), served.List())
}

func (p Proof) prove(ctx context.Context, x *index.Index, list *hashlist.List) (err error) {
	defer recovered(&err)
	p = p.complete()
	if x.Kinds() != list.Kinds() {
		return fmt.Errorf("%w: its index holds %v, and the list %v", ErrProof, x.Kinds().Kinds(), list.Kinds().Kinds())
	}
	sample, err := p.sample(ctx, list)
	if err != nil {
		return err
	}
	for _, kind := range list.Kinds().Kinds() {
		for _, s := range sample[kind] {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := p.found(x, s); err != nil {
				return err
			}
		}
		for range p.Queries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := p.agrees(x, p.query(sample[kind])); err != nil {
				return err
			}
		}
	}
	return nil
}

// ProveChanges looks for every hash of every change: those of the new entries are found with them, at a distance of 0
// and at the threshold, and those that an entry no longer has are not found with it.
func (p Proof) ProveChanges(ctx context.Context, served *lookup.Served, changes []Change) (err error) {
	defer recovered(&err)
	p = p.complete()
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.New != nil && c.New.Status != hashmatch.Withdrawn {
			if err := p.present(served, c.New); err != nil {
				return err
			}
		}
		if c.Old != nil {
			if err := absent(served, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p Proof) complete() Proof {
	if p.Hashes <= 0 {
		p.Hashes = 64
	}
	if p.Queries <= 0 {
		p.Queries = 16
	}
	if p.Random == nil {
		p.Random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return p
}

type drawn struct {
	hash    hashmatch.Hash
	ordinal uint32
}

// sample draws hashes of each kind, every one as likely as the others, in one pass over the list.
func (p Proof) sample(ctx context.Context, list *hashlist.List) (map[hashmatch.Kind][]drawn, error) {
	var seen [32]int
	sample := make(map[hashmatch.Kind][]drawn)
	n := 0
	for h, ordinal := range list.Signatures() {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			break
		}
		of := sample[h.Kind]
		seen[h.Kind]++
		if len(of) < p.Hashes {
			sample[h.Kind] = append(of, drawn{h, ordinal})
		} else if at := p.Random.IntN(seen[h.Kind]); at < p.Hashes {
			of[at] = drawn{h, ordinal}
		}
	}
	return sample, ctx.Err()
}

// found looks for one hash at every distance.
func (p Proof) found(x *index.Index, s drawn) error {
	threshold := p.threshold(s.hash.Kind)
	for distance := range threshold + 1 {
		if err := findAt(x, p.flipped(s.hash, distance), s, distance, threshold); err != nil {
			return err
		}
	}
	return nil
}

func (p Proof) threshold(kind hashmatch.Kind) int {
	if kind.Digest() {
		return 0
	}
	return max(0, min(p.Thresholds[kind], kind.Bits()))
}

func findAt(x *index.Index, query hashmatch.Hash, s drawn, distance, threshold int) error {
	for _, hit := range x.Search(nil, query, threshold) {
		if hit.Hash == s.hash && hit.Distance == distance && slices.Contains(hit.Entries, s.ordinal) {
			return nil
		}
	}
	return fmt.Errorf("%w: one of its %s hashes is not found at a distance of %d", ErrProof, s.hash.Kind, distance)
}

// flipped returns h with n of its bits changed, drawn at random.
func (p Proof) flipped(h hashmatch.Hash, n int) hashmatch.Hash {
	for _, bit := range p.Random.Perm(h.Kind.Bits())[:n] {
		h.Bits[bit/8] ^= 1 << (bit % 8)
	}
	return h
}

// query returns a hash near to one of the sample, within the threshold or a little beyond, or one time in four one that is
// near to nothing.
func (p Proof) query(sample []drawn) hashmatch.Hash {
	h := sample[p.Random.IntN(len(sample))].hash
	if p.Random.IntN(4) > 0 {
		return p.flipped(h, p.Random.IntN(min(h.Kind.Bits(), p.threshold(h.Kind)+8)))
	}
	for i := range h.Kind.Bits() / 8 {
		h.Bits[i] = byte(p.Random.Uint32())
	}
	return h
}

// agrees compares a search with brute force.
func (p Proof) agrees(x *index.Index, query hashmatch.Hash) error {
	threshold := p.threshold(query.Kind)
	found := make(map[hashmatch.Hash]index.Hit)
	for _, hit := range x.Search(nil, query, threshold) {
		found[hit.Hash] = hit
	}
	want := x.Scan(nil, query, threshold)
	for _, hit := range want {
		got, ok := found[hit.Hash]
		if !ok || got.Distance != hit.Distance || !slices.Equal(got.Entries, hit.Entries) {
			return fmt.Errorf("%w: a search for a %s hash misses what brute force finds at a distance of %d", ErrProof, query.Kind, hit.Distance)
		}
	}
	if len(found) != len(want) {
		return fmt.Errorf("%w: a search for a %s hash finds what brute force does not", ErrProof, query.Kind)
	}
	return nil
}

// present looks for every hash of an entry.
func (p Proof) present(served *lookup.Served, e *hashmatch.Entry) error {
	ordinal, listed := served.List().Find(e.Key)
	if !listed {
		return fmt.Errorf("%w: a new entry is not in the list", ErrProof)
	}
	for _, s := range e.Signatures {
		if s.Scheme != "" {
			continue
		}
		threshold := p.threshold(s.Hash.Kind)
		for _, distance := range []int{0, threshold} {
			if err := findAt(served.Index(), p.flipped(s.Hash, distance), drawn{s.Hash, ordinal}, distance, threshold); err != nil {
				return err
			}
		}
	}
	return nil
}

// absent looks for every hash that an entry no longer has.
func absent(served *lookup.Served, c Change) error {
	for _, s := range c.Old.Signatures {
		if s.Scheme != "" || c.New != nil && c.New.Status != hashmatch.Withdrawn && has(c.New, s.Hash) ||
			!served.Index().Kinds().Has(s.Hash.Kind) {
			continue
		}
		for _, hit := range served.Index().Search(nil, s.Hash, 0) {
			for _, ordinal := range hit.Entries {
				if served.List().Key(ordinal) == c.Old.Key {
					return fmt.Errorf("%w: a %s hash that an entry no longer has is found with it", ErrProof, s.Hash.Kind)
				}
			}
		}
	}
	return nil
}
