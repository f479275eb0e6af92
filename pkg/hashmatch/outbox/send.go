package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch/exchange"
)

// The pace of Run.
const (
	parallel   = 4
	firstDelay = 5 * time.Second
	maxDelay   = time.Hour
	idle       = time.Minute // how long Run sleeps at most
	cleanEvery = time.Hour
)

// Result counts what Send did.
type Result struct {
	Sent    int `json:"sent"`
	Failed  int `json:"failed"`  // they are tried again
	GivenUp int `json:"givenup"` // of these, what will not be tried again
}

// Run sends what is due until ctx ends, and returns nil then. What fails is logged and tried again.
func (b *Box) Run(ctx context.Context) error {
	var cleaned time.Time
	for ctx.Err() == nil {
		if now := b.config.now(); cleaned.IsZero() || now.Sub(cleaned) >= cleanEvery || now.Before(cleaned) {
			cleaned = now
			if err := b.clean(); err != nil {
				b.config.Logger.Error("feedback: what is past its time was not deleted", "error", err)
			}
		}
		if _, err := b.Send(ctx, false); err != nil && ctx.Err() == nil {
			b.config.Logger.Error("feedback: the outbox fails", "error", err)
		}
		timer := time.NewTimer(b.pause())
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-b.wake:
		}
		timer.Stop()
	}
	return nil
}

// pause returns how long nothing is due.
func (b *Box) pause() time.Duration {
	items, _ := b.Items(Pending)
	wait := idle
	for _, i := range items {
		wait = min(wait, max(i.Due.Sub(b.config.now()), time.Second))
	}
	return wait
}

// Send sends what is due or, with all, everything that waits, one attempt each. Items that cannot be read are given up. The
// error is that of the folder; what an exchange says stands with its item.
func (b *Box) Send(ctx context.Context, all bool) (Result, error) {
	items, err := b.due(all)
	if err != nil {
		return Result{}, err
	}
	var result Result
	var failed []error
	var mu sync.Mutex
	var sending sync.WaitGroup
	turns := make(chan struct{}, parallel)
	for _, i := range items {
		sending.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			if ctx.Err() != nil {
				return
			}
			err := b.attempt(ctx, i)
			if ctx.Err() != nil && err != nil {
				return // it was broken off: it is made again
			}
			givenUp, markErr := b.mark(i, err)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case markErr != nil:
				failed = append(failed, markErr)
			case err == nil:
				result.Sent++
			case givenUp:
				result.GivenUp++
			default:
				result.Failed++
			}
		})
	}
	sending.Wait()
	return result, errors.Join(failed...)
}

// attempt asks the exchange. A panic of it is a failure.
func (b *Box) attempt(ctx context.Context, i Item) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("sending failed in a way that was not foreseen")
		}
	}()
	send := b.config.Send[i.List]
	if send == nil {
		return fmt.Errorf("%w: feedback is sent to no exchange of this list", exchange.ErrFeedback)
	}
	return send(ctx, i.Feedback)
}

// due returns what is to be sent now, what waits longest first. A time further off than the longest pause is of a clock that
// was set back.
func (b *Box) due(all bool) ([]Item, error) {
	ids, err := b.ids(Pending)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	now := b.config.now()
	var due []Item
	for _, id := range ids {
		i, ok, err := b.read(Pending, id)
		switch {
		case errors.Is(err, ErrItem):
			if err := b.bury(id, err); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, fmt.Errorf("outbox: %w", err)
		case ok && (all || !i.Due.After(now) || i.Due.After(now.Add(2*maxWait))):
			due = append(due, i)
		}
	}
	slices.SortStableFunc(due, func(a, b Item) int { return a.Queued.Compare(b.Queued) })
	return due, nil
}

// bury puts a file that is no item out of the way, as it is.
func (b *Box) bury(id string, why error) error {
	b.config.Logger.Error("feedback: a file that cannot be read is given up", "id", id, "error", why)
	return b.locked(func() error {
		err := os.Rename(b.path(Pending, id), b.path(Dead, id))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

// mark notes what came of an attempt, unless another outcome took the item's place meanwhile. givenUp says that it is not
// tried again.
func (b *Box) mark(sent Item, failure error) (givenUp bool, err error) {
	now := b.config.now().UTC()
	err = b.locked(func() error {
		i, ok, err := b.read(Pending, sent.Feedback.ID)
		if err != nil {
			return err
		}
		if failure == nil {
			// Done before it is taken out of pending: killed in between, it is sent once more, and never forgotten.
			done := sent
			done.Feedback.Hash, done.Error, done.Due, done.Sent = "", "", time.Time{}, now
			later, known, err := b.read(Done, done.Feedback.ID)
			if err != nil && !errors.Is(err, ErrItem) {
				return err
			}
			if !known || !later.Decided.After(done.Decided) { // else another process was faster with a later one
				if err := b.write(Done, done); err != nil {
					return err
				}
			}
		}
		if !ok || !i.Decided.Equal(sent.Decided) || !i.same(&sent) {
			return nil
		}
		if failure == nil {
			return b.remove(Pending, i.Feedback.ID)
		}
		i.Attempts++
		i.Error = bounded(failure.Error())
		i.Due = now.Add(backOff(i.Attempts, failure))
		if givenUp = errors.Is(failure, exchange.ErrFeedback) || now.Sub(i.Queued) > b.config.Deadline; givenUp {
			if err := b.write(Dead, i); err != nil {
				return err
			}
			return b.remove(Pending, i.Feedback.ID)
		}
		return b.write(Pending, i)
	})
	if failure != nil && err == nil {
		b.config.Logger.Warn("feedback was not sent", "list", sent.List, "id", sent.Feedback.ID, "given_up", givenUp, "error", failure)
	}
	return givenUp, err
}

// maxWait is how long an exchange may ask to wait.
const maxWait = 24 * time.Hour

// backOff returns how long to wait after so many failures: twice as long each time, and a random part of it less than half;
// longer if the exchange asks for it.
func backOff(attempts int, failure error) time.Duration {
	delay := min(firstDelay<<min(attempts-1, 20), maxDelay)
	delay = delay/2 + rand.N(delay/2)
	var busy *exchange.BusyError
	if errors.As(failure, &busy) {
		delay = max(delay, min(busy.After, maxWait)+rand.N(firstDelay))
	}
	return delay
}

func bounded(text string) string {
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return strings.ToValidUTF8(text, "?")
}

// clean forgets what was sent longer than Keep ago.
func (b *Box) clean() error {
	before := b.config.now().Add(-b.config.Keep)
	items, err := b.Items(Done)
	for _, i := range items {
		if i.Sent.Before(before) {
			err = errors.Join(err, b.locked(func() error { return b.remove(Done, i.Feedback.ID) }))
		}
	}
	return err
}
