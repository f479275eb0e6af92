package review

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The errors of Open.
var (
	ErrCorrupt     = errors.New("the review database is damaged")
	ErrNotReview   = errors.New("not a review database")
	ErrNewerSchema = errors.New("the review database was written by a newer version of hashmatch")
	ErrInUse       = errors.New("another process has the review database open")
)

// applicationID is in the header of every review database: "hmrv".
const applicationID = 0x686d7276

// schema holds the steps from each version to the next: version n is what the first n steps make. A step is never
// changed once it was released; Open runs those that a file lacks, all or none.
var schema = []string{
	// 1
	`CREATE TABLE items (
		seq       INTEGER PRIMARY KEY AUTOINCREMENT,
		tenant    TEXT NOT NULL,
		surface   TEXT NOT NULL,
		item      TEXT NOT NULL,
		version   INTEGER NOT NULL,
		state     TEXT NOT NULL CHECK (state IN ('pending', 'released', 'confirmed')),
		action    TEXT NOT NULL CHECK (action IN ('allow', 'hold', 'block')),
		submitted INTEGER NOT NULL, -- this and every time: microseconds since 1970 UTC
		decided   INTEGER,          -- NULL while pending
		actor     TEXT NOT NULL,
		reason    TEXT NOT NULL,
		record    TEXT NOT NULL,    -- JSON: evidence
		UNIQUE (tenant, surface, item)
	) STRICT;
	CREATE INDEX items_item ON items (item);
	CREATE INDEX items_state ON items (state, action, submitted);
	CREATE INDEX items_decided ON items (decided) WHERE decided IS NOT NULL;
	CREATE TABLE history (
		id        INTEGER PRIMARY KEY AUTOINCREMENT,
		seq       INTEGER NOT NULL REFERENCES items ON DELETE CASCADE,
		event     TEXT NOT NULL,
		time      INTEGER NOT NULL,
		actor     TEXT NOT NULL,
		reason    TEXT NOT NULL,
		previous  TEXT NOT NULL,    -- the state before
		unaudited INTEGER NOT NULL  -- 1: to be audited before the caller is told
	) STRICT;
	CREATE INDEX history_seq ON history (seq);
	CREATE INDEX history_unaudited ON history (id) WHERE unaudited = 1;
	CREATE TABLE outbox (           -- at most one row an item: a decision that was replaced is not sent any more
		id        INTEGER PRIMARY KEY REFERENCES history ON DELETE CASCADE,
		seq       INTEGER NOT NULL UNIQUE REFERENCES items ON DELETE CASCADE,
		due       INTEGER NOT NULL,
		attempts  INTEGER NOT NULL
	) STRICT;
	CREATE INDEX outbox_due ON outbox (due);`,
}

// lockWait is how long Open waits for another process that is just ending.
const lockWait = time.Second

// openDatabase opens the file, or makes it with mode 0600, takes it for this process and brings it to the last version
// of steps. maxPages bounds its size; 0 means the disk does.
func openDatabase(ctx context.Context, path string, steps []string, maxPages int) (_ *sql.DB, _ os.FileInfo, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := prepareFile(path)
	if err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, maxPages))
	if err != nil {
		return nil, nil, err
	}
	// One connection: it holds the lock on the file, and every use of the database waits for its turn at it.
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	version, err := identify(ctx, db, len(steps)) // before anything is changed
	if err != nil {
		return nil, nil, named(err)
	}
	// Nobody else may read it. SQLite gives the files beside it the same mode.
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			return nil, nil, err
		}
	}
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&verdict); err != nil || verdict != "wal" {
		return nil, nil, errors.Join(errors.New("there can be no write-ahead log"), named(err))
	}
	if err := migrate(ctx, db, steps, version); err != nil {
		return nil, nil, named(err)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return nil, nil, named(err)
	}
	if verdict != "ok" {
		return nil, nil, fmt.Errorf("%w: %s", ErrCorrupt, verdict)
	}
	return db, info, nil
}

// minPage is the size of the smallest page of SQLite, which would take a shorter file for an empty one.
const minPage = 512

// prepareFile makes the file if it is not there, and refuses what cannot be a database.
func prepareFile(path string) (os.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	info, err := os.Stat(path) // not opened before it is known what it is: a named pipe would wait for ever
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", ErrNotReview)
	}
	if size := info.Size(); size > 0 && size < minPage {
		return nil, fmt.Errorf("%w: %d bytes", ErrNotReview, size)
	}
	return info, nil
}

// dsn returns what the driver is to open, and how.
func dsn(path string, maxPages int) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // C:/…
	}
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", lockWait.Milliseconds()),
		"locking_mode(EXCLUSIVE)", // before the first access, so that no shared memory is needed
		"synchronous(FULL)",
		"foreign_keys(ON)",
		"secure_delete(ON)", // what is deleted cannot be read from the file any more
		"trusted_schema(OFF)",
		"cell_size_check(ON)",
		"journal_size_limit(67108864)",
	}
	if maxPages > 0 {
		pragmas = append(pragmas, fmt.Sprintf("max_page_count(%d)", maxPages))
	}
	query := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	location := url.URL{Scheme: "file", Path: slashed, RawQuery: query.Encode()}
	return location.String()
}

// identify returns the version of the database's schema, 0 for a new one.
func identify(ctx context.Context, db *sql.DB, newest int) (version int, err error) {
	var id, tables int
	for query, into := range map[string]*int{
		"PRAGMA application_id": &id, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := db.QueryRowContext(ctx, query).Scan(into); err != nil {
			return 0, err
		}
	}
	switch {
	case id == 0 && version == 0 && tables == 0:
		return 0, nil
	case id != applicationID:
		return 0, fmt.Errorf("%w: it belongs to another program", ErrNotReview)
	case version > newest:
		return 0, fmt.Errorf("%w: schema %d, this one knows up to %d", ErrNewerSchema, version, newest)
	case version < 1:
		return 0, fmt.Errorf("%w: schema %d", ErrCorrupt, version)
	}
	return version, nil
}

// migrate brings the database from its version to the last one of steps.
func migrate(ctx context.Context, db *sql.DB, steps []string, version int) error {
	if version == len(steps) {
		return nil
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for i, step := range steps[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return fmt.Errorf("to schema %d: %w", version+i+1, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(steps))); err != nil {
		return err
	}
	return tx.Commit()
}

// named gives the errors of SQLite that a caller can do something about their names.
func named(err error) error {
	var failure *sqlite.Error
	if err == nil || !errors.As(err, &failure) {
		return err
	}
	switch failure.Code() & 0xff { // the rest says more of the same
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrNotReview, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return err
}
