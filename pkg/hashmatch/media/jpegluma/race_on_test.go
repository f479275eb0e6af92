//go:build race

package jpegluma

// raceDetector makes computing ten times slower, and is for other faults than wrong results: tests that compute a lot
// take a sample of their cases with it. ./test runs the packages that have this file without it, too, with every case.
const raceDetector = true
