package hashmatch

import (
	"crypto/rand"
	"io"
)

// Item is one upload to be scanned.
type Item struct {
	// ID is the caller's name for this arrival; if it is "", Scan gives it a random one. It is never derived from
	// the content.
	ID      string
	Surface Surface
	// Content is read once, to its end or to the limit. A read that fails with a *Failure keeps its code (a file
	// that changed while it was read, for one).
	Content io.Reader
	// Held is the whole content, if the caller has it in memory: Content is then not read, and nothing is copied. The
	// slice is neither changed nor kept.
	Held []byte
	// Size is the number of bytes that Content will give, as far as the caller knows; 0 or less if it does not. It
	// saves memory and ends hopeless reads early; it is not trusted.
	Size int64
}

// NewItemID returns a random item ID.
func NewItemID() string { return rand.Text() }
