package pdq

import "example.org/hashmatch/pkg/hashmatch"

// turn is a pair of dihedral variants whose coefficients are those of the picture with the same ones negated: in the
// one they stay where they are, in the other rows and columns are exchanged.
type turn struct {
	negate              func(i, j int) bool
	inPlace, transposed hashmatch.Dihedral
}

var turns = [...]turn{
	{func(i, j int) bool { return false }, "", hashmatch.FlipPlus},
	{func(i, j int) bool { return j%2 == 0 }, hashmatch.FlipY, hashmatch.Rotate90},
	{func(i, j int) bool { return (i+j)%2 == 1 }, hashmatch.Rotate180, hashmatch.FlipMinus},
	{func(i, j int) bool { return i%2 == 0 }, hashmatch.FlipX, hashmatch.Rotate270},
}

// hashes returns the hashes of the two variants of t. The median is the lower one of the two in the middle, and the
// same for both.
func (t turn) hashes(b *spectrum) (inPlace, transposed hashmatch.Hash) {
	var all [freqs * freqs]float32
	for i := range b {
		for j, v := range b[i] {
			if t.negate(i, j) {
				v = -v
			}
			all[freqs*i+j] = v
		}
	}
	sorted := all
	median := nth(sorted[:], len(sorted)/2-1)
	inPlace.Kind, transposed.Kind = hashmatch.PDQ, hashmatch.PDQ
	for k, v := range all {
		if v > median {
			set(&inPlace, k)
			set(&transposed, k%freqs*freqs+k/freqs)
		}
	}
	return inPlace, transposed
}

// set sets the bit of weight 2^k of the hash, read as a big-endian integer.
func set(h *hashmatch.Hash, k int) { h.Bits[len(h.Bits)-1-k/8] |= 1 << (k % 8) }

// nth returns the value that would be at index n if v were sorted; it reorders v. (Quickselect: 3 times as fast as
// sorting 256 values, and at most 256 passes over them.)
func nth(v []float32, n int) float32 {
	low, high := 0, len(v)-1
	for low < high {
		pivot := v[low+(high-low)/2]
		i, j := low, high
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case n <= j:
			high = j
		case n >= i:
			low = i
		default:
			return v[n]
		}
	}
	return v[n]
}
