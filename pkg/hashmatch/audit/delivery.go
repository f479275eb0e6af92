package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Sink takes heads to a place of the operator's choice: FileSink, SyslogSink and HTTPSink are some.
type Sink interface {
	// Name says for the log where heads go to, without a password.
	Name() string
	// Send takes one head there. When it returns nil the head has arrived, as far as can be known. It heeds ctx.
	Send(ctx context.Context, h Head) error
}

// The pace of sinks.
const (
	maxQueued   = 64 // heads that wait for one sink
	sendTimeout = 15 * time.Second
	firstDelay  = time.Second
	maxDelay    = time.Minute
)

// SinkStats are the numbers of one sink since Open.
type SinkStats struct {
	Name    string
	Sent    uint64
	Failed  uint64 // attempts
	Dropped uint64 // heads that gave way to newer ones, which say all that they said
	Queued  int
	Seq     uint64 // of the last head that arrived
}

// delivery takes heads to one sink, at its own pace.
type delivery struct {
	sink   Sink
	logger *slog.Logger
	wake   chan struct{}
	first  time.Duration // firstDelay, but in tests

	mu    sync.Mutex
	queue []Head
	count SinkStats
}

func newDelivery(sink Sink, logger *slog.Logger) *delivery {
	return &delivery{sink: sink, logger: logger, wake: make(chan struct{}, 1), first: firstDelay, count: SinkStats{Name: sink.Name()}}
}

// put queues a head. It does not block: the oldest one makes room.
func (d *delivery) put(h Head) {
	d.mu.Lock()
	if len(d.queue) == maxQueued {
		d.queue = append(d.queue[:0], d.queue[1:]...)
		d.count.Dropped++
	}
	d.queue = append(d.queue, h)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run sends what is queued until ctx is done, each head until it arrives or gives way.
func (d *delivery) run(ctx context.Context) {
	for attempt := 0; ; {
		h, ok := d.oldest()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-d.wake:
			}
			continue
		}
		err := d.send(ctx, h)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			attempt = 0
			continue
		}
		delay := min(d.first<<min(attempt, 10), maxDelay)
		delay = delay/2 + rand.N(delay/2) // so that many nodes do not come back at once
		attempt++
		d.logger.Error("audit: a head could not be sent", "sink", d.count.Name, "seq", h.Seq, "attempts", attempt, "next", delay, "error", err)
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// drain sends what is queued, without trying again.
func (d *delivery) drain(ctx context.Context) {
	for {
		h, ok := d.oldest()
		if !ok {
			return
		}
		if err := d.send(ctx, h); err != nil {
			d.logger.Error("audit: the last heads could not be sent", "sink", d.count.Name, "seq", h.Seq, "error", err)
			return
		}
	}
}

func (d *delivery) oldest() (Head, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return Head{}, false
	}
	return d.queue[0], true
}

// send makes one attempt, and takes a head that arrived out of the queue.
func (d *delivery) send(ctx context.Context, h Head) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := safely(ctx, d.sink, h)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.count.Failed++
		return err
	}
	d.count.Sent++
	d.count.Seq = max(d.count.Seq, h.Seq)
	if len(d.queue) > 0 && d.queue[0].Seq == h.Seq { // it may have given way meanwhile
		d.queue = append(d.queue[:0], d.queue[1:]...)
	}
	return nil
}

// safely turns a panic of a sink, which may be the host's own, into an error.
func safely(ctx context.Context, sink Sink, h Head) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if err := sink.Send(ctx, h); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("it took too long")
	}
	return nil
}

func (d *delivery) stats() SinkStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.count
	s.Queued = len(d.queue)
	return s
}
