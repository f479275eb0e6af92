//go:build !race

package jpegluma

const raceDetector = false
