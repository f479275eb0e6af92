package review

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"sync"
	"time"
)

// The pace of Run.
const (
	parallel   = 8 // callbacks under way at once, of different items
	firstDelay = time.Second
	maxDelay   = 10 * time.Minute
	idle       = time.Minute // how long Run sleeps at most
	cleanEvery = time.Hour
	cleanGroup = 500 // items deleted in one transaction, so that submissions need not wait long
)

// Run audits what was decided beside the service, tells the caller of decisions and deletes decided items that are past
// Keep, until ctx is done; then it returns nil. What fails is logged and tried again. Call it once.
func (q *Queue) Run(ctx context.Context) error {
	var cleaned time.Time
	failures := 0 // in a row
	for ctx.Err() == nil {
		if now := q.config.now(); cleaned.IsZero() || now.Sub(cleaned) >= cleanEvery || now.Before(cleaned) {
			cleaned = now
			q.try(ctx, "deleting what is past its time", q.clean(ctx))
		}
		failed := false
		if !q.config.Later {
			failed = !q.try(ctx, "auditing what was decided beside the service", q.auditLate(ctx))
		}
		wait := idle
		if q.sender != nil || q.config.Tell != nil {
			var err error
			wait, err = q.deliver(ctx)
			failed = !q.try(ctx, "callbacks", err) || failed
		}
		if failed {
			wait = min(backOff(failures), idle)
			failures++
		} else {
			failures = 0
		}
		q.sleep(ctx, wait, failed)
	}
	return nil
}

// try logs an error and returns whether there was none.
func (q *Queue) try(ctx context.Context, what string, err error) bool {
	if err != nil && ctx.Err() == nil {
		q.config.Logger.ErrorContext(ctx, "review: "+what+" failed", "error", err)
	}
	return err == nil
}

// sleep waits for the given time or a decision, whichever comes first; after a failure for the time.
func (q *Queue) sleep(ctx context.Context, wait time.Duration, failed bool) {
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	wake := q.wake
	if failed {
		wake = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}

// delivery is one row of the outbox.
type delivery struct {
	message  Message
	attempts int
	err      error
}

// deliver sends what is due, a few at once, and returns how long there is nothing to do. No item has two rows in the
// outbox, so that no two decisions on one item are under way at once.
func (q *Queue) deliver(ctx context.Context) (time.Duration, error) {
	now := q.config.now()
	due, err := q.due(ctx, now)
	if err != nil {
		return firstDelay, err
	}
	if len(due) == 0 {
		return q.untilDue(ctx, now)
	}
	var sending sync.WaitGroup
	for i := range due {
		sending.Go(func() { due[i].err = q.tell(ctx, due[i].message) })
	}
	sending.Wait()
	if ctx.Err() != nil {
		return 0, nil // the last attempts may have been broken off: they are made again
	}
	return 0, q.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, d := range due {
			if err := q.recordDelivery(ctx, tx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// tell passes a decision on. nil means that everyone who is told of decisions has it.
func (q *Queue) tell(ctx context.Context, m Message) error {
	if q.config.Tell != nil {
		if err := q.config.Tell(ctx, m); err != nil {
			return err
		}
	}
	if q.sender == nil {
		return nil
	}
	return q.sender.send(ctx, m)
}

func (q *Queue) recordDelivery(ctx context.Context, tx *sql.Tx, d delivery) error {
	if d.err == nil {
		_, err := tx.ExecContext(ctx, "DELETE FROM outbox WHERE id = ?", d.message.ID)
		return err
	}
	delay := backOff(d.attempts)
	q.config.Logger.WarnContext(ctx, "review: telling of a decision failed", "item", d.message.Item, "surface", d.message.Surface,
		"attempts", d.attempts+1, "next", delay, "error", d.err)
	_, err := tx.ExecContext(ctx, "UPDATE outbox SET attempts = attempts + 1, due = ? WHERE id = ?",
		q.config.now().Add(delay).UnixMicro(), d.message.ID)
	return err
}

// backOff returns how long to wait after a number of failed attempts: twice as long each time, up to maxDelay, and a
// random part of it less than half, so that what failed together is not tried together.
func backOff(attempts int) time.Duration {
	delay := min(firstDelay<<min(attempts, 20), maxDelay)
	return delay/2 + rand.N(delay/2)
}

// isDue is when a row is to be sent. A time further off than the longest delay is of a clock that was set back.
const isDue = "h.unaudited = 0 AND (o.due <= ?1 OR o.due > ?2)"

func (q *Queue) due(ctx context.Context, now time.Time) ([]delivery, error) {
	rows, err := q.db.QueryContext(ctx, `SELECT o.id, o.attempts, i.item, i.surface, i.tenant, h.event, h.actor, h.reason, h.time
		FROM outbox o JOIN history h ON h.id = o.id JOIN items i ON i.seq = o.seq
		WHERE `+isDue+` ORDER BY o.due, o.id LIMIT ?3`, now.UnixMicro(), now.Add(maxDelay).UnixMicro(), parallel)
	if err != nil {
		return nil, named(err)
	}
	defer rows.Close()
	var due []delivery
	for rows.Next() {
		var d delivery
		var event State
		var at int64
		m := &d.message
		if err := rows.Scan(&m.ID, &d.attempts, &m.Item, &m.Surface, &m.Tenant, &event, &m.Actor, &m.Reason, &at); err != nil {
			return nil, named(err)
		}
		m.Time, m.Decision = micro(at), DecisionConfirm
		if event == Released {
			m.Decision = DecisionRelease
		}
		due = append(due, d)
	}
	return due, named(rows.Err())
}

// untilDue returns the time until the next row is due, and idle if there is none.
func (q *Queue) untilDue(ctx context.Context, now time.Time) (time.Duration, error) {
	var next sql.NullInt64
	if err := q.db.QueryRowContext(ctx, "SELECT min(o.due) FROM outbox o JOIN history h ON h.id = o.id WHERE h.unaudited = 0").Scan(&next); err != nil {
		return firstDelay, named(err)
	}
	if !next.Valid {
		return idle, nil
	}
	return min(max(micro(next.Int64).Sub(now), time.Millisecond), idle), nil
}

// clean deletes what was decided longer than Keep ago, with its history.
func (q *Queue) clean(ctx context.Context) error {
	before := q.config.now().Add(-q.config.Keep).UnixMicro()
	for {
		var deleted, untold int64
		err := q.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			const past = "SELECT seq FROM items WHERE decided IS NOT NULL AND decided < ?1 ORDER BY decided LIMIT ?2"
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM outbox WHERE seq IN ("+past+")", before, cleanGroup).Scan(&untold); err != nil {
				return err
			}
			result, err := tx.ExecContext(ctx, "DELETE FROM items WHERE seq IN ("+past+")", before, cleanGroup)
			if err != nil {
				return err
			}
			deleted, err = result.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
		if untold > 0 {
			q.config.Logger.ErrorContext(ctx, "review: items past their time were deleted although the caller could never be told", "items", untold)
		}
		if deleted > 0 {
			q.config.Logger.InfoContext(ctx, "review: items past their time were deleted", "items", deleted)
		}
		if deleted < cleanGroup {
			return nil
		}
	}
}
