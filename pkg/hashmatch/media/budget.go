package media

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"

	"example.org/hashmatch/pkg/hashmatch"
)

// DefaultMemory is the budget that all concurrent Decodes of one Decoder share, in bytes. It admits any one picture
// of 50 megapixels that Limits admits, but for progressive JPEGs of four full-size components.
const DefaultMemory = 768 << 20

// budget is the memory that concurrent decodings share. What is weighed are the pixel buffers that a decoding will
// allocate, by its header; a garbage collector that lets the heap grow before it collects comes on top.
type budget struct {
	size int64
	room *semaphore.Weighted
}

func newBudget(size int64) *budget {
	return &budget{size: size, room: semaphore.NewWeighted(size)}
}

// acquire waits until bytes are free or ctx is done. More than the whole budget is a TooManyPixels failure at once.
func (b *budget) acquire(ctx context.Context, bytes int64) error {
	if bytes > b.size {
		return &hashmatch.Failure{Code: hashmatch.TooManyPixels,
			Detail: fmt.Sprintf("decoding takes %d MiB, the budget is %d MiB", bytes>>20, b.size>>20)}
	}
	return b.room.Acquire(ctx, bytes)
}

// hold takes bytes of the budget for this decoding, in place of what it held before.
func (j *job) hold(bytes int64) error {
	j.release()
	if err := j.budget.acquire(j.ctx, bytes); err != nil {
		return err
	}
	j.held = bytes
	return nil
}

// release gives back what hold took.
func (j *job) release() {
	if j.held > 0 {
		j.budget.room.Release(j.held)
		j.held = 0
	}
}
