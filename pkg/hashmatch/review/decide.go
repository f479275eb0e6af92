package review

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"example.org/hashmatch/pkg/hashmatch"
)

// The errors of Release and Confirm, besides those of Show.
var (
	ErrWho     = errors.New("a decision needs an actor and a reason")
	ErrDecided = errors.New("the opposite was decided already: a correction says so")
	ErrChanged = errors.New("the item has changed since it was shown: look at it again")
)

// Release records that a person found that the item may be published. The same decision again changes nothing and is
// no error; the opposite one is ErrDecided unless by.Correct says that it replaces it.
//
// The decision counts when it returns nil: it is audited, on disk, and the caller will be told. If it returns an error
// nothing has changed, though an audit may tell of the attempt.
func (q *Queue) Release(ctx context.Context, ref Ref, by By) error {
	return q.decide(ctx, ref, by, Released)
}

// Confirm records that a person found that the item may not be published. Otherwise it is as Release.
func (q *Queue) Confirm(ctx context.Context, ref Ref, by By) error {
	return q.decide(ctx, ref, by, Confirmed)
}

func (q *Queue) decide(ctx context.Context, ref Ref, by By, state State) error {
	if err := by.check(); err != nil {
		return fmt.Errorf("review: %w", err)
	}
	// One decision at a time; submissions go on, however long the audit takes.
	select {
	case q.deciding <- struct{}{}:
		defer func() { <-q.deciding }()
	case <-ctx.Done():
		return fmt.Errorf("review: %w", ctx.Err())
	}
	item, seq, err := find(ctx, q.db, ref)
	switch {
	case err != nil:
		return fmt.Errorf("review: %w", named(err))
	case by.Version != 0 && by.Version != item.Version:
		return fmt.Errorf("review: %w", ErrChanged)
	case item.State == state:
		return nil
	case item.State != Pending && !by.Correct:
		return fmt.Errorf("review: %w: %s", ErrDecided, item.State)
	}
	d := Decision{
		Item: item.Item, Surface: item.Surface, Tenant: item.Tenant, Region: item.Region,
		State: state, Previous: item.State, Actor: by.Actor, Reason: by.Reason, Time: q.config.now().UTC(),
		Action: item.Action, Policy: item.Policy,
	}
	if err := q.audit(ctx, d); err != nil {
		return fmt.Errorf("review: audit: %w", err)
	}
	// What is audited is written too, even if the person's connection has just ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	err = q.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return q.recordDecision(ctx, tx, seq, item.Version, d) })
	if err != nil {
		return fmt.Errorf("review: %w", err)
	}
	q.config.Logger.InfoContext(ctx, "review: decided", "item", d.Item, "surface", d.Surface, "state", string(d.State), "actor", d.Actor)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// check returns an error unless by says who and why.
func (by By) check() error {
	switch {
	case strings.TrimSpace(by.Actor) == "" || strings.TrimSpace(by.Reason) == "":
		return ErrWho
	case len(by.Actor) > MaxActor:
		return fmt.Errorf("%w: the actor is longer than %d bytes", ErrWho, MaxActor)
	case len(by.Reason) > MaxReason:
		return fmt.Errorf("%w: the reason is longer than %d bytes", ErrWho, MaxReason)
	case !utf8.ValidString(by.Actor) || !utf8.ValidString(by.Reason) || strings.ContainsRune(by.Actor+by.Reason, 0):
		return fmt.Errorf("%w: in UTF-8", ErrWho)
	}
	return nil
}

// audit tells the audit of a decision, if it is this Queue's to tell. A panic of it is a no.
func (q *Queue) audit(ctx context.Context, d Decision) (err error) {
	if q.config.Audit == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			err = errors.New("it failed")
		}
	}()
	return q.config.Audit(ctx, d)
}

// recordDecision writes the decision, unless the item has changed since it was looked at.
func (q *Queue) recordDecision(ctx context.Context, tx *sql.Tx, seq, version int64, d Decision) error {
	result, err := tx.ExecContext(ctx, `UPDATE items SET version = version + 1, state = ?, decided = ?, actor = ?, reason = ?
		WHERE seq = ? AND version = ?`, string(d.State), d.Time.UnixMicro(), d.Actor, d.Reason, seq, version)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(ErrChanged, err)
	}
	// The ID is the time, or one more than the last: so it grows even if a backup took the place of the database, and
	// receivers of callbacks do not take new decisions for old ones.
	if result, err = tx.ExecContext(ctx, `INSERT INTO history (id, seq, event, time, actor, reason, previous, unaudited)
		VALUES (max(?, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'history'), 0) + 1), ?, ?, ?, ?, ?, ?, ?)`,
		d.Time.UnixMicro(), seq, string(d.State), d.Time.UnixMicro(), d.Actor, d.Reason, string(d.Previous), q.config.Later); err != nil {
		return err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM outbox WHERE seq = ?", seq); err != nil {
		return err
	}
	if q.sender == nil && q.config.Tell == nil && !q.config.Later {
		return nil // nobody is to be told
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO outbox (id, seq, due, attempts) VALUES (?, ?, 0, 0)", id, seq)
	return err
}

// auditLate audits what was decided beside the service, oldest first. What it cannot audit stays, and the caller is
// not told of it.
func (q *Queue) auditLate(ctx context.Context) error {
	for {
		id, d, err := q.unaudited(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return named(err)
		}
		if err := q.audit(ctx, d); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		if err := q.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE history SET unaudited = 0 WHERE id = ?", id)
			return err
		}); err != nil {
			return err
		}
	}
}

// unaudited returns the oldest decision that is not audited; sql.ErrNoRows if there is none.
func (q *Queue) unaudited(ctx context.Context) (int64, Decision, error) {
	rows, err := q.db.QueryContext(ctx, `SELECT h.id, h.event, h.time, h.actor, h.reason, h.previous, i.tenant, i.surface, i.item, i.action, i.record
		FROM history h JOIN items i ON i.seq = h.seq WHERE h.unaudited = 1 ORDER BY h.id LIMIT 1`)
	if err != nil {
		return 0, Decision{}, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return 0, Decision{}, err
		}
		return 0, Decision{}, sql.ErrNoRows
	}
	var id, at int64
	var d Decision
	var action string
	var record []byte
	if err := rows.Scan(&id, &d.State, &at, &d.Actor, &d.Reason, &d.Previous, &d.Tenant, &d.Surface, &d.Item, &action, &record); err != nil {
		return 0, d, err
	}
	e, err := parseEvidence(record)
	if err != nil {
		return 0, d, err
	}
	d.Time, d.Region, d.Policy = micro(at), e.Region, e.Policy
	d.Action, err = hashmatch.ParseAction(action)
	return id, d, err
}
