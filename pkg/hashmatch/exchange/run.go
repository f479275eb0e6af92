package exchange

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Run syncs every list at once and then each at its interval, until ctx ends; it returns nil then. A sync that fails is
// tried again sooner, after growing pauses of at most the interval; nothing else follows from it: the list that is in
// the file stays in force and grows old.
func Run(ctx context.Context, syncers []*Syncer) error {
	var all sync.WaitGroup
	for _, s := range syncers {
		all.Go(func() { s.run(ctx) })
	}
	all.Wait()
	return nil
}

func (s *Syncer) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		result, err := s.Sync(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.config.Done != nil {
			s.config.Done(result, err)
		}
		pause := s.config.Interval
		if err == nil {
			failures = 0
		} else {
			pause = min(pause, time.Minute<<min(failures, 16))
			failures++
			var busy *BusyError
			if errors.As(err, &busy) {
				pause = max(pause, min(busy.After, 24*time.Hour))
			}
		}
		// A tenth more or less, so that not every installation asks in the same second.
		pause += time.Duration((rand.Float64() - 0.5) * 0.2 * float64(pause))
		if sleep(ctx, pause) != nil {
			return
		}
	}
}
