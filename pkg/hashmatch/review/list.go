package review

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// The errors of Show, Release and Confirm that name no item.
var (
	ErrNotFound  = errors.New("no such item in the review queue")
	ErrAmbiguous = errors.New("several surfaces have an item of this ID: name the surface, and the tenant")
)

// ErrFilter is wrapped by the refusal of a Filter.
var ErrFilter = errors.New("filter refused")

const itemColumns = "seq, tenant, surface, item, version, state, action, submitted, decided, actor, reason, record"

// List returns the items that the filter chooses in the order in which they first came, and where to go on: "" after
// the last. Items that come in between are found at the end; none is returned twice.
func (q *Queue) List(ctx context.Context, f Filter) (items []Item, next string, err error) {
	where, values, err := f.where()
	if err != nil {
		return nil, "", fmt.Errorf("review: %w", err)
	}
	limit := f.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	limit = min(limit, MaxLimit)
	rows, err := q.db.QueryContext(ctx, "SELECT "+itemColumns+" FROM items WHERE "+where+" ORDER BY seq LIMIT ?", append(values, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("review: %w", named(err))
	}
	defer rows.Close()
	var last int64
	for rows.Next() {
		item, seq, err := scanItem(rows)
		if err != nil {
			return nil, "", fmt.Errorf("review: %w", named(err))
		}
		if len(items) == limit {
			return items, formatCursor(last), nil
		}
		items, last = append(items, item), seq
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("review: %w", named(err))
	}
	return items, "", nil
}

// where returns the filter as a condition and its values.
func (f Filter) where() (string, []any, error) {
	after, err := parseCursor(f.Cursor)
	if err != nil {
		return "", nil, err
	}
	conditions, values := []string{"seq > ?"}, []any{after}
	add := func(condition string, value any) {
		conditions, values = append(conditions, condition), append(values, value)
	}
	if f.State != "" {
		if !slices.Contains(States(), f.State) {
			return "", nil, fmt.Errorf("%w: state %q: want pending, released or confirmed", ErrFilter, f.State)
		}
		add("state = ?", string(f.State))
	}
	if f.Surface != "" {
		add("surface = ?", f.Surface)
	}
	if f.Tenant != "" {
		add("tenant = ?", f.Tenant)
	}
	if f.Action != nil {
		add("action = ?", f.Action.String())
	}
	if !f.After.IsZero() {
		add("submitted >= ?", f.After.UnixMicro())
	}
	if !f.Before.IsZero() {
		add("submitted < ?", f.Before.UnixMicro())
	}
	if f.Limit < 0 {
		return "", nil, fmt.Errorf("%w: limit %d", ErrFilter, f.Limit)
	}
	return strings.Join(conditions, " AND "), values, nil
}

// A cursor is the number of the last item that was returned, after a letter that says what it is.
func formatCursor(seq int64) string { return "s" + strconv.FormatInt(seq, 36) }

func parseCursor(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	digits, found := strings.CutPrefix(text, "s")
	seq, err := strconv.ParseInt(digits, 36, 64)
	if !found || err != nil || formatCursor(seq) != text {
		return 0, fmt.Errorf("%w: a cursor that List did not return", ErrFilter)
	}
	return seq, nil
}

// Show returns one item with its history.
func (q *Queue) Show(ctx context.Context, ref Ref) (Item, error) {
	item, _, err := show(ctx, q.db, ref)
	if err != nil {
		return Item{}, fmt.Errorf("review: %w", named(err))
	}
	return item, nil
}

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func show(ctx context.Context, db queryer, ref Ref) (Item, int64, error) {
	item, seq, err := find(ctx, db, ref)
	if err != nil {
		return Item{}, 0, err
	}
	rows, err := db.QueryContext(ctx, "SELECT event, time, actor, reason, previous FROM history WHERE seq = ? ORDER BY id", seq)
	if err != nil {
		return Item{}, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Event
		var at int64
		var previous State
		if err := rows.Scan(&e.Event, &at, &e.Actor, &e.Reason, &previous); err != nil {
			return Item{}, 0, err
		}
		e.Time = micro(at)
		e.Correct = e.Event != eventReopened && previous != Pending
		item.History = append(item.History, e)
	}
	return item, seq, rows.Err()
}

// find returns the item that ref names, and its number.
func find(ctx context.Context, db queryer, ref Ref) (Item, int64, error) {
	query, values := "SELECT "+itemColumns+" FROM items WHERE item = ?", []any{ref.Item}
	if ref.Surface != "" {
		query, values = query+" AND surface = ?", append(values, ref.Surface)
	}
	if ref.Tenant != "" {
		query, values = query+" AND tenant = ?", append(values, ref.Tenant)
	}
	rows, err := db.QueryContext(ctx, query+" ORDER BY tenant LIMIT 2", values...)
	if err != nil {
		return Item{}, 0, err
	}
	defer rows.Close()
	var found []Item
	var seqs []int64
	for rows.Next() {
		item, seq, err := scanItem(rows)
		if err != nil {
			return Item{}, 0, err
		}
		found, seqs = append(found, item), append(seqs, seq)
	}
	if err := rows.Err(); err != nil {
		return Item{}, 0, err
	}
	switch {
	case len(found) == 0:
		return Item{}, 0, ErrNotFound
	case len(found) > 1 && (ref.Surface == "" || found[0].Tenant != ref.Tenant): // the surface's item without a tenant is named in full
		return Item{}, 0, ErrAmbiguous
	}
	return found[0], seqs[0], nil
}

func scanItem(rows *sql.Rows) (Item, int64, error) {
	var i Item
	var seq, submitted int64
	var decided sql.NullInt64
	var action string
	var record []byte
	if err := rows.Scan(&seq, &i.Tenant, &i.Surface, &i.Item, &i.Version, &i.State, &action, &submitted, &decided, &i.Actor, &i.Reason, &record); err != nil {
		return i, 0, err
	}
	e, err := parseEvidence(record)
	if err != nil {
		return i, 0, err
	}
	if i.Action, err = hashmatch.ParseAction(action); err != nil {
		return i, 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	i.Time = micro(submitted)
	if decided.Valid {
		at := micro(decided.Int64)
		i.Decided = &at
	}
	i.Region, i.Dialect, i.Caller = e.Region, e.Dialect, e.Caller
	i.Would, i.Shadow, i.Quarantined = e.Would, e.Shadow, e.Quarantined
	i.Matches, i.MatchesOmitted, i.Failures, i.Notes = e.Matches, e.MatchesOmitted, e.Failures, e.Notes
	i.Revisions, i.Policy, i.EffectsFailed = e.Revisions, e.Policy, e.EffectsFailed
	return i, seq, nil
}

// micro returns a time as it is stored.
func micro(at int64) time.Time { return time.UnixMicro(at).UTC() }
