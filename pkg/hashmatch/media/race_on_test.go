//go:build race

package media

// raceDetector makes decoding ten times slower.
const raceDetector = true
