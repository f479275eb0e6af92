// Package pdq computes PDQ, the 256-bit perceptual hash of facebook/ThreatExchange, with its quality and its eight
// dihedral variants.
//
// Call Hasher.Hash for a decoded frame, or LumaOf and Compute for a picture at hand. What is promised:
//
//   - The hash of the "full" mode of the reference: nothing is resized before the filter. (The reference's
//     command-line tool resizes to 512 x 512 first; its hashes differ by up to 10 bits.)
//   - Bit for bit the reference's result on the same pixels, on every architecture: every product is rounded to
//     float32 before it is added, so that no compiler fuses the two.
//   - A picture of fewer than 5 rows or columns has the zero hash and quality 0. A flat picture has a hash of rounding
//     noise and quality 0: never list or search hashes of low quality.
//   - Memory that grows with the width and the filter's window, not with the number of pixels: about
//     4 x width x (rows/128 + 30) bytes, 0.9 MB for a picture of 4000 x 3000, kept in a pool.
//
// The work is a stream of bands of 8 rows, top to bottom:
//
//	Luma ---> rows, 1st pass ---> columns, 1st pass ---> rows, 2nd pass ---> columns, 2nd pass ---> 64 x 64
//	band      ring of bands       one running sum        sums at the 64      64 running sums        DCT, median,
//	          as high as the      per column             sampled columns                            bits
//	          window
//
// The reference filters the whole picture pass by pass instead. The order of the additions within each row and each
// column is the same here, and so is every rounding.
//
// The loops over pixels exist twice (type kernel): in Go, and in assembly for processors with AVX2, 8 values at a time.
// Both do the same additions, subtractions, multiplications and divisions in the same order, and fuse none, so that
// their results are the same bits; which one runs is decided once, at the start of the program.
package pdq
