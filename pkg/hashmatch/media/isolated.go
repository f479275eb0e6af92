package media

import (
	"context"
	"image"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Picture is one decoded picture as the file stores it: before orientation is applied and a background is put
// behind it.
type Picture struct {
	// Image is a *image.Gray, *image.YCbCr, opaque *image.RGBA or *image.NRGBA (where there is transparency) whose
	// bounds start at (0, 0) and whose buffers hold every pixel of them. It is valid only until yield returns.
	Image image.Image
	Time  time.Duration // since the start of an animation; 0 for stills, pages and images of one file
}

// Isolated decodes, outside of this process, what a decoder inside could not be trusted with: formats whose decoders
// cannot be stopped or can exhaust memory, and damaged files that the standard library refuses. Package worker
// implements it with child processes. It is safe for concurrent use.
type Isolated interface {
	// Decode decodes content, which Sniff says is of the given format, and calls yield with each picture in order.
	// It stops when yield returns an error or ctx is done. Every way to fail is in the failures, the death of the
	// decoder included; pictures that came before a failure were yielded. It never yields more than
	// limits.MaxFrames pictures: if there are more, that is a TooManyFrames failure.
	Decode(ctx context.Context, format string, content []byte, limits Limits, yield func(Picture) error) []hashmatch.Failure
}

// Limits bound what one file may cost. Each is checked before the memory is taken. The zero value of a field means
// its default.
type Limits struct {
	MaxPixels      int64 // of one picture, by its header; 0 means 50,000,000
	MaxSide        int   // the longer side of a picture; 0 means 16,384
	MaxFrames      int   // pictures in a file; 0 means 1,000
	MaxTotalPixels int64 // of all pictures of a file; 0 means 400,000,000
	MaxScans       int   // scans of a progressive JPEG, each of which costs a pass over the picture; 0 means 64
}

// WithDefaults returns l with every zero field replaced by its default.
func (l Limits) WithDefaults() Limits {
	if l.MaxPixels <= 0 {
		l.MaxPixels = 50_000_000
	}
	if l.MaxSide <= 0 {
		l.MaxSide = 16_384
	}
	if l.MaxFrames <= 0 {
		l.MaxFrames = 1_000
	}
	if l.MaxTotalPixels <= 0 {
		l.MaxTotalPixels = 400_000_000
	}
	if l.MaxScans <= 0 {
		l.MaxScans = 64
	}
	return l
}
