package review

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch/gate"
)

// submission is an item on its way to the disk.
type submission struct {
	record   gate.Record
	evidence evidence
	text     []byte // evidence as JSON
	done     chan error
}

// maxGroup is how many submissions share one transaction at most.
const maxGroup = 256

// Submit records one item. When it returns nil the item is on disk. An item that is there already stays as it is, with
// what a person has decided about it, unless the new action is stricter, or a match is acted on that was not there
// before: then it is pending with what was found both times, the decision stays in its history, and is not sent if the
// caller was not told of it yet.
//
// Submissions that come while one is being written are written together after it, with one fsync for all of them. If
// ctx ends first the error is ctx's, and the item may be recorded nonetheless.
func (q *Queue) Submit(ctx context.Context, r gate.Record) error {
	switch err := gate.CheckID(r.Item); {
	case err != nil:
		return fmt.Errorf("review: %w", err)
	case r.Item == "":
		return fmt.Errorf("review: %w: it is empty", gate.ErrItemID)
	case r.Surface == "":
		return errors.New("review: an item without a surface")
	}
	if r.Time.IsZero() {
		r.Time = q.config.now()
	}
	s := &submission{record: r, evidence: newEvidence(r), done: make(chan error, 1)}
	var err error
	if s.text, err = json.Marshal(s.evidence); err != nil {
		return fmt.Errorf("review: %w", err)
	}
	q.mu.Lock()
	q.waiting = append(q.waiting, s)
	q.mu.Unlock()
	if err := q.written(ctx, s); err != nil {
		return fmt.Errorf("review: %w", err)
	}
	return nil
}

// written waits until s was written, by whoever writes what waits: this caller, if nobody else does.
func (q *Queue) written(ctx context.Context, s *submission) error {
	for {
		select {
		case err := <-s.done:
			return err
		default:
		}
		select {
		case err := <-s.done:
			return err
		case q.submissions <- struct{}{}:
			q.writeWaiting(ctx)
			<-q.submissions
		case <-ctx.Done():
			q.mu.Lock()
			q.waiting = slices.DeleteFunc(q.waiting, func(other *submission) bool { return other == s })
			q.mu.Unlock()
			return ctx.Err()
		}
	}
}

// writeWaiting writes what waits. The caller holds q.submissions.
func (q *Queue) writeWaiting(ctx context.Context) {
	q.mu.Lock()
	n := min(len(q.waiting), maxGroup)
	group := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.mu.Unlock()

	if n == 0 {
		return
	}
	// The caller that writes may go away: that must not fail the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	answer := func(group []*submission, err error) {
		for _, s := range group {
			s.done <- err
		}
	}
	err := q.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return q.record(ctx, tx, group) })
	if err == nil || len(group) == 1 {
		answer(group, err)
		return
	}
	// One that cannot be written must not fail the others either.
	for i := range group {
		one := group[i : i+1]
		answer(one, q.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return q.record(ctx, tx, one) }))
	}
}

// writeTimeout bounds the transactions of one group.
const writeTimeout = 30 * time.Second

// record inserts or updates the items of a group.
func (q *Queue) record(ctx context.Context, tx *sql.Tx, group []*submission) error {
	for _, s := range group {
		if err := q.recordOne(ctx, tx, s); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) recordOne(ctx context.Context, tx *sql.Tx, s *submission) error {
	r := &s.record
	var seq int64
	var state State
	var text []byte
	err := tx.QueryRowContext(ctx, "SELECT seq, state, record FROM items WHERE tenant = ? AND surface = ? AND item = ?",
		r.Tenant, r.Surface, r.Item).Scan(&seq, &state, &text)
	if errors.Is(err, sql.ErrNoRows) {
		_, err := tx.ExecContext(ctx, `INSERT INTO items (tenant, surface, item, version, state, action, submitted, actor, reason, record)
			VALUES (?, ?, ?, 1, 'pending', ?, ?, '', '', ?)`,
			r.Tenant, r.Surface, r.Item, r.Action.String(), r.Time.UnixMicro(), string(s.text))
		return err
	}
	if err != nil {
		return err
	}
	known, err := parseEvidence(text)
	if err != nil {
		return err
	}
	if !s.evidence.goesBeyond(known) {
		return nil
	}
	now := s.evidence.with(known)
	if text, err = json.Marshal(now); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE items SET version = version + 1, state = 'pending', action = ?, submitted = ?,
		decided = NULL, actor = '', reason = '', record = ? WHERE seq = ?`,
		now.Action.String(), r.Time.UnixMicro(), string(text), seq); err != nil {
		return err
	}
	if state == Pending {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM outbox WHERE seq = ?", seq); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO history (seq, event, time, actor, reason, previous, unaudited) VALUES (?, ?, ?, '', '', ?, 0)",
		seq, eventReopened, q.config.now().UnixMicro(), string(state))
	return err
}

const eventReopened = "reopened"
