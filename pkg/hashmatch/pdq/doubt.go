package pdq

// doubtful returns how many bits of a hash, and of each of its turns and mirrorings, would be others if a coefficient
// were off by so much, at most: those whose coefficients are no farther from the median.
func (b *spectrum) doubtful(off float32) int {
	most := 0
	for _, t := range turns {
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
		n := 0
		for _, v := range all {
			if max(v-median, median-v) <= off {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
