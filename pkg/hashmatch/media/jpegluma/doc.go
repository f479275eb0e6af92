// Package jpegluma decodes the luma of a JPEG alone, at 1/1, 1/2, 1/4 or 1/8 of its size: what a perceptual hash of a
// photo needs, in a fraction of the time of a full decoding.
//
// Call Decode, and Release the plane when it was read. What is promised:
//
//   - It is at least as strict as image/jpeg of the standard library: whatever that refuses is refused here too. The
//     other way round it is not: whatever is unusual, damaged or unknown here (CMYK, RGB, arithmetic coding, …) is an
//     error, and the caller takes the standard library's decoder then.
//   - At 1/1 the plane equals the Y of image/jpeg, byte for byte, but for what follows.
//   - At a smaller scale a sample is the mean of the pixels that it stands for, within a rounding and 2 levels. The mean
//     of a block's pixels is a sum of its coefficients only as long as no pixel leaves 0 to 255: for the blocks where
//     clipping could move the mean by more, every pixel is computed and clipped. So a picture whose viewers see
//     something else than its low frequencies does not exist here.
//   - The luma that viewers see is that of red, green and blue after clipping, which is not Y where colours are out of
//     range. How far it can be from Y is bounded by the mean and the variance of each block, and where that is over 4
//     levels it is computed pixel by pixel, at 1/1 too.
//   - No panic on any input. The memory is known from the header, by Header.Memory, before any is taken. The time grows
//     with the pixels, the length of the file and the number of scans, which is limited; the context is asked once a
//     row of blocks.
//
// The story of a decoding:
//
//	markers ---> scans ---> blocks of a unit ---> luma: inverse transform, or means ---> plane
//	                                              colours out of range? the unit again, every pixel of it
//
// A sequential picture is decoded as it is read; a progressive one when all of its scans were read.
package jpegluma
