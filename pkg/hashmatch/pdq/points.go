package pdq

import (
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// Points is a picture brought to the 64 x 64 points that a hash is made of, row by row, brightness from 0 to 255. A caller
// that filters and samples pictures on its own hashes them by it; what Compute makes of a picture of 64 x 64 pixels is
// the hash of those pixels too.
type Points [side][side]float32

// Dihedral returns the hash of the points, then those of their seven turns and mirrorings in the order of
// hashmatch.Dihedral's constants.
func (p *Points) Dihedral() (variants [8]Variant) {
	coefficients := transform((*plane)(p))
	for i, d := range order {
		variants[i].Dihedral = d
	}
	for _, t := range turns {
		inPlace, transposed := t.hashes(coefficients)
		variants[slices.Index(order[:], t.inPlace)].Hash = inPlace
		variants[slices.Index(order[:], t.transposed)].Hash = transposed
	}
	return variants
}

// Hash returns the hash of the points.
func (p *Points) Hash() hashmatch.Hash {
	hash, _ := turns[0].hashes(transform((*plane)(p)))
	return hash
}

// Quality returns how much there is to see in the points, 0 to 100, as Compute does.
func (p *Points) Quality() int { return qualityOf((*plane)(p)) }
