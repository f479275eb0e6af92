//go:build !race

package promotion

const raceDetector = false
