package review

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// DefaultKeep is how long decided items are kept where nothing else is stated: 90 days.
const DefaultKeep = 90 * 24 * time.Hour

// Config is what a Queue is made of. Only File is required.
type Config struct {
	// File is the database, made with mode 0600 if it is not there. SQLite keeps FILE-wal beside it.
	File string
	// Tell is called with each decision, before Callback is told: until it returns nil, and maybe again after that. It is
	// called for several decisions at once, not for two on one item. nil: none.
	Tell func(ctx context.Context, m Message) error
	// Callback is told of decisions. nil means nobody is.
	Callback *Callback
	// Keep is how long an item is kept after it was decided; 0 means DefaultKeep. One that is pending stays.
	Keep time.Duration
	// Audit records a decision. It is called before the decision counts: its error is the decision's, and nothing has
	// changed. It may be called twice for one decision, if the disk fails between the two records. nil: none.
	Audit func(ctx context.Context, d Decision) error
	// Later is for a program that works on the file in the place of the service that it belongs to: its decisions are
	// written down, and it is left to the service's Queue to audit them and then to tell the caller, once it runs
	// again. Audit, Tell and Callback must be nil.
	Later bool
	// Logger is told of callbacks that fail and items that are deleted: item IDs and states only. nil means silence.
	Logger *slog.Logger

	now      func() time.Time
	maxPages int
}

// Queue is the items that a person decides on. It implements gate.Review. It is safe for concurrent use.
type Queue struct {
	config   Config
	db       *sql.DB
	path     string
	file     os.FileInfo // the database, as it was opened
	sender   *sender     // nil without Callback
	deciding chan struct{}
	wake     chan struct{} // a decision was made: there is something to send

	submissions chan struct{} // held by the one that writes what waits
	mu          sync.Mutex
	waiting     []*submission

	statsMu sync.Mutex
	stats   Stats
	statsAt time.Time
}

var _ gate.Review = (*Queue)(nil)

// Open opens the database, or makes it. Its errors wrap ErrCorrupt, ErrNotReview, ErrNewerSchema or ErrInUse where they
// are that. It reads the whole file once, to find damage before it is relied on: some 100 MB a second.
func Open(ctx context.Context, config Config) (*Queue, error) { return open(ctx, config, schema) }

func open(ctx context.Context, config Config, steps []string) (*Queue, error) {
	switch {
	case config.File == "":
		return nil, errors.New("review: no file")
	case config.Keep < 0:
		return nil, fmt.Errorf("review: items kept for %s", config.Keep)
	case config.Later && (config.Audit != nil || config.Callback != nil || config.Tell != nil):
		return nil, errors.New("review: decisions are left for later, and an audit or a callback is stated")
	}
	if config.Keep == 0 {
		config.Keep = DefaultKeep
	}
	if config.now == nil {
		config.now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	path, err := filepath.Abs(config.File)
	if err != nil {
		return nil, fmt.Errorf("review: %w", err)
	}
	q := &Queue{
		config: config, path: path, deciding: make(chan struct{}, 1), wake: make(chan struct{}, 1), submissions: make(chan struct{}, 1),
	}
	if config.Callback != nil {
		if q.sender, err = newSender(*config.Callback); err != nil {
			return nil, fmt.Errorf("review: callback: %w", err)
		}
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		config.Logger.Warn("review: there is no database: a new one is made, which is as it should be the first time only", "file", config.File)
	}
	if q.db, q.file, err = openDatabase(ctx, path, steps, config.maxPages); err != nil {
		return nil, fmt.Errorf("review: %s: %w", config.File, err)
	}
	return q, nil
}

// Close closes the database. Nothing may be under way; end Run first.
func (q *Queue) Close() error {
	if q.sender != nil {
		q.sender.client.CloseIdleConnections()
	}
	return q.db.Close()
}

// ErrReplaced says that the file at the database's path is not the one that was opened: what is written would be lost.
var ErrReplaced = errors.New("the review database was moved or deleted while it was open")

// checkFile returns an error if what is written now would not be found again.
func (q *Queue) checkFile() error {
	info, err := os.Stat(q.path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(info, q.file) {
		return ErrReplaced
	}
	return err
}

// write runs one transaction: all of it is on disk when it returns nil, and none of it counts when it does not.
func (q *Queue) write(ctx context.Context, run func(ctx context.Context, tx *sql.Tx) error) error {
	if err := q.checkFile(); err != nil {
		return err
	}
	tx, err := q.db.BeginTx(ctx, nil)
	if err != nil {
		return named(err)
	}
	defer tx.Rollback()
	if err := run(ctx, tx); err != nil {
		return named(err)
	}
	return named(tx.Commit())
}

// statsAge is how old the numbers of Stats can be, and statsTimeout how long counting may take.
const (
	statsAge     = 2 * time.Second
	statsTimeout = time.Second
)

// Stats returns the numbers of the moment. It is meant for a metrics collector: it counts at most every two seconds,
// and returns the last numbers if the database is too busy.
func (q *Queue) Stats() Stats {
	q.statsMu.Lock()
	defer q.statsMu.Unlock()
	if now := q.config.now(); q.statsAt.IsZero() || now.Sub(q.statsAt) > statsAge || now.Before(q.statsAt) {
		q.statsAt = now
		ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
		defer cancel()
		if stats, err := q.count(ctx); err == nil {
			q.stats = stats
		} else {
			q.config.Logger.WarnContext(ctx, "review: the numbers could not be counted", "error", err)
		}
	}
	return q.stats
}

func (q *Queue) count(ctx context.Context) (Stats, error) {
	var s Stats
	rows, err := q.db.QueryContext(ctx, "SELECT action, count(*), min(submitted) FROM items WHERE state = 'pending' GROUP BY action")
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var action string
		var n, oldest int64
		if err := rows.Scan(&action, &n, &oldest); err != nil {
			return s, err
		}
		s.Pending += n
		switch action {
		case hashmatch.Hold.String():
			s.Held, s.Oldest = n, time.UnixMicro(oldest).UTC()
		case hashmatch.Block.String():
			s.Blocked = n
		}
	}
	if err := rows.Err(); err != nil {
		return s, err
	}
	rows.Close() // gives the connection back
	err = q.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM history WHERE unaudited = 1)`).
		Scan(&s.Undelivered, &s.Unaudited)
	return s, err
}
