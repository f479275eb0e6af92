// Package eval measures, on an operator's own harmless photos, which copies of a picture a hash finds and how often
// unrelated pictures match: the figures that thresholds are chosen by.
//
// Run does all of it:
//
//	every photo -----> hashes ------> all pairs of photos: distances, false matches
//	                     |
//	                     '----------> the operator's lists: the nearest entry to each photo
//	a sample of them -> package edit -> decode -> hashes under a Profile's views -> distance to the photo's own hash
//
// A photo is taken as a list would hold it: the hash of the picture as a viewer shows it. Its copies are taken as
// uploads: decoded like any other, hashed under every view of the profile, and found if the nearest of those hashes is
// within the threshold. What lies below the quality floor is not searched, as in a scan.
//
// Kept in memory are hashes, some 0.3 kB a photo and kind, and counts. A Result has nothing that tells one photo from
// another. It is the same for any number of workers, but for Measure.Cost.
package eval
