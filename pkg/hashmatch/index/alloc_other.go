//go:build !linux

package index

// adviseHuge does nothing: elsewhere the system decides alone.
func adviseHuge([]byte) {}
