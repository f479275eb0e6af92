package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
)

// Dialect names what an exchange speaks.
type Dialect string

// The dialects.
const (
	NCMEC          Dialect = "ncmec"          // NCMEC hash sharing, version 2
	ThreatExchange Dialect = "threatexchange" // ThreatExchange's threat_updates
	StopNCII       Dialect = "stopncii"       // StopNCII's FetchHashes
	File           Dialect = "file"           // a list file in a format that package format knows
)

// Dialects returns every dialect, in a fixed order.
func Dialects() []Dialect { return []Dialect{NCMEC, ThreatExchange, StopNCII, File} }

// Config says what is fetched, from where and into which file. What is 0 or "" has its default.
type Config struct {
	List    string // the list's name, for logs, the snapshot and the status. It must be stated.
	File    string // the snapshot file: made if it is not there, else this exchange's. It must be stated.
	Dialect Dialect
	// Address is where the exchange is: https://HOST/…, the part before /v2, /v1 or the group; for a file, the file. http
	// is allowed to this machine itself only.
	Address     string
	Credentials Credentials
	Group       string        // threatexchange: the privacy group. It must be stated there.
	Format      format.Format // file: Unknown is told by the content
	Part        string        // file: of a csv of several lists, the list to read
	AllowList   bool          // file: the list is an allow-list, and may hold known files
	PageSize    int           // threatexchange, stopncii: entries in an answer; 0 means 1,000

	Interval time.Duration // Run: from one sync to the next; 0 means an hour
	Timeout  time.Duration // of one request; 0 means 5 minutes, and an hour for a file
	Stall    time.Duration // without a byte; 0 means a minute
	Attempts int           // for one answer; 0 means 5
	Backoff  time.Duration // the first pause between two attempts; 0 means a second

	MaxPageBytes int64 // of a page; 0 means 64 MiB
	MaxFileBytes int64 // of a file; 0 means 16 GiB

	// SkipBadEntries leaves records out that no list may hold, and counts them. Without it such a page is malformed.
	SkipBadEntries bool
	// SaveEvery is how often a sync that goes on is saved; 0 means a minute, less than 0 after every answer.
	SaveEvery time.Duration

	// Open opens a snapshot file that Write wrote, of the list or, with partial, of a whole fetch under way; nil means
	// hashlist.Map. An error that wraps ErrUnvouched has the list fetched anew; any other one keeps it as it is.
	Open func(path string, partial bool) (*hashlist.Snapshot, error)
	// Write replaces a snapshot file in one step; nil means hashlist.WriteFile.
	Write func(path string, partial bool, list *hashlist.List, extras ...hashlist.Extra) error
	// Extras returns sections that are written beside the list, such as its index; nil for none.
	Extras func(ctx context.Context, l *hashlist.List) ([]hashlist.Extra, error)
	// Accept is asked before a list takes the place of another in the file, of a whole fetch and of what an incremental
	// one has brought so far; its error fails the sync, and keeps the old list with its checkpoint. nil accepts all. old is
	// nil the first time.
	Accept func(old, next *hashlist.List) error
	// Done is called after each sync of Run; nil for nobody.
	Done func(Result, error)
	// Logger is silent if nil. It sees no entry, hash or credential.
	Logger *slog.Logger
}

// Result counts what a sync did.
type Result struct {
	List     string            `json:"list"`
	Revision hashlist.Revision `json:"revision"`
	Entries  int               `json:"entries"`
	Whole    bool              `json:"whole"` // the list was fetched anew
	hashlist.Summary
	Requests int `json:"requests"`
	Retries  int `json:"retries"`
	Refused  int `json:"refused"` // records that were left out
	// Uncomputed counts the hashes of schemes that are not computed here and were not kept.
	Uncomputed int           `json:"uncomputed"`
	Through    time.Time     `json:"through,omitzero"`
	Skew       time.Duration `json:"-"` // the exchange's clock less the one here
}

// GapError is a sync that could not go on. What lies after the gap is not in the list, and the checkpoint is before it.
type GapError struct {
	From, To time.Time // entries that changed after From and up to To; To is zero where the gap has no end
	Attempts int
	Err      error
}

// Error tells from when on entries are missing, and why.
func (e *GapError) Error() string {
	text := "entries that changed"
	if !e.From.IsZero() {
		text += " after " + e.From.UTC().Format(time.RFC3339)
	}
	if !e.To.IsZero() {
		text += " up to " + e.To.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s are missing: %d attempts: %v", text, e.Attempts, e.Err)
}

// Unwrap returns why.
func (e *GapError) Unwrap() error { return e.Err }

// ErrEmptied keeps a list in force of which the exchange has nothing left: that is more likely a fault than the truth.
var ErrEmptied = errors.New("the exchange sends no entry in force, and the list here has some: remove its file to accept that")

// ErrUnvouched says of a snapshot file that it is sound, and that nobody vouches for what it says: nothing of it is used.
var ErrUnvouched = errors.New("nobody vouches for the snapshot")

// Syncer keeps one list equal to what its exchange says. Its methods may be called at the same time: they wait for
// each other.
type Syncer struct {
	config   Config
	client   *client
	identity string
	log      *slog.Logger
	now      func() time.Time

	mu sync.Mutex
	// Of the sync that is under way.
	date       time.Time     // the exchange's clock, when it last answered
	skew       time.Duration // of the exchange's clock against the one here
	requests   int
	retries    int
	refused    int
	uncomputed int
	summary    hashlist.Summary
	full       int // entries of an answer that was not the last of its window
}

// New checks a configuration.
func New(config Config) (*Syncer, error) {
	fail := func(format string, values ...any) (*Syncer, error) {
		return nil, fmt.Errorf("exchange of list %q: %w", config.List, fmt.Errorf(format, values...))
	}
	if config.List == "" || config.File == "" {
		return fail("no name or no file of the list")
	}
	known := false
	for _, d := range Dialects() {
		known = known || d == config.Dialect
	}
	if !known {
		return fail("dialect %q: want one of %v", config.Dialect, Dialects())
	}
	base, err := checkBase(config.Address)
	if err != nil {
		return fail("address: %w", err)
	}
	if err := config.Credentials.check(); err != nil {
		return fail("credentials: %w", err)
	}
	if err := config.Credentials.need(config.Dialect); err != nil {
		return fail("%w", err)
	}
	if (config.Group == "") == (config.Dialect == ThreatExchange) || strings.ContainsAny(config.Group, "/?#%") {
		return fail("group: threatexchange needs one, the others have none")
	}
	if config.Dialect != File && base.RawQuery != "" {
		return fail("address: a query")
	}
	config = config.withDefaults()
	s := &Syncer{config: config, log: config.Logger, now: time.Now, identity: config.identity()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("list", config.List)
	s.client = &client{
		base: base, secrets: config.Credentials.secrets(), authorise: authorise(config.Dialect, config.Credentials),
		timeout: config.Timeout, stall: config.Stall, attempts: config.Attempts,
		backoff: config.Backoff, longest: max(time.Minute, config.Backoff), maxAfter: 2 * time.Minute, wait: sleep,
	}
	s.client.http = &http.Client{Transport: newTransport(), CheckRedirect: s.client.redirect}
	return s, nil
}

func (c Config) withDefaults() Config {
	duration := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	duration(&c.Interval, time.Hour)
	if c.Dialect == File {
		duration(&c.Timeout, time.Hour)
	}
	duration(&c.Timeout, 5*time.Minute)
	duration(&c.Stall, time.Minute)
	duration(&c.Backoff, time.Second)
	if c.Attempts <= 0 {
		c.Attempts = 5
	}
	if c.PageSize <= 0 {
		c.PageSize = 1000
	}
	if c.MaxPageBytes <= 0 {
		c.MaxPageBytes = 64 << 20
	}
	if c.MaxFileBytes <= 0 {
		c.MaxFileBytes = 16 << 30
	}
	if c.SaveEvery == 0 {
		c.SaveEvery = time.Minute
	}
	if c.Open == nil {
		c.Open = func(path string, _ bool) (*hashlist.Snapshot, error) { return hashlist.Map(path) }
	}
	if c.Write == nil {
		c.Write = func(path string, _ bool, list *hashlist.List, extras ...hashlist.Extra) error {
			return hashlist.WriteFile(path, list, extras...)
		}
	}
	return c
}

// identity digests what was asked of whom: a checkpoint of something else is of no use. Credentials may change.
func (c Config) identity() string {
	text := fmt.Sprintf("hashmatch exchange 1\n%q\n%q\n%q\n%q\n%q\n%v\n", c.Dialect, strings.TrimSuffix(c.Address, "/"), c.Group,
		c.Format, c.Part, c.SkipBadEntries)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// authorise puts the credentials into a request, in the way of the dialect.
func authorise(dialect Dialect, c Credentials) func(*http.Request) {
	return func(r *http.Request) {
		switch {
		case dialect == ThreatExchange:
			query := r.URL.Query()
			query.Set("access_token", c.Token)
			r.URL.RawQuery = query.Encode()
		case dialect == StopNCII:
			r.Header.Set("x-functions-key", c.FunctionKey)
			r.Header.Set("Ocp-Apim-Subscription-Key", c.SubscriptionKey)
		case c.Token != "":
			r.Header.Set("Authorization", "Bearer "+c.Token)
		case c.User != "":
			r.SetBasicAuth(c.User, c.Password)
		}
	}
}

// Name returns the name of the list.
func (s *Syncer) Name() string { return s.config.List }

// Sync makes the list's file equal to what the exchange says now. With an error the file holds a list that is true up to
// its checkpoint, the one that was there or a later one; the next call goes on from there. The status file beside it
// tells of each call that was not told to stop. A context that ends, ends it at once.
func (s *Syncer) Sync(ctx context.Context) (Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unlock, err := lockFile(s.config.File + ".lock")
	if err != nil {
		return Result{List: s.config.List}, fmt.Errorf("list %q: %w", s.config.List, err)
	}
	defer unlock()
	s.requests, s.retries, s.refused, s.uncomputed, s.summary, s.full = 0, 0, 0, 0, hashlist.Summary{}, 0
	s.date, s.skew = time.Time{}, 0
	begun := s.now()
	bounded, cancel := context.WithTimeoutCause(ctx, longestSync, errTooLong)
	defer cancel()
	result, err := s.sync(bounded, begun)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		err = errTooLong
	}
	result.List, result.Requests, result.Retries, result.Skew = s.config.List, s.requests, s.retries, s.skew
	result.Refused, result.Uncomputed, result.Summary = s.refused, s.uncomputed, s.summary
	if err != nil {
		err = fmt.Errorf("list %q: %w", s.config.List, err)
	}
	if err == nil || ctx.Err() == nil { // one that was told to stop has not failed
		if told := s.tell(begun, result, err); told != nil {
			err = errors.Join(err, told)
		}
	}
	switch {
	case err == nil:
		s.log.Info("synced", "revision", result.Revision.Short(), "entries", result.Entries, "whole", result.Whole, "added", result.Added,
			"changed", result.Changed, "withdrawn", result.Withdrawn, "removed", result.Removed, "requests", result.Requests, "retries", result.Retries)
	case ctx.Err() == nil:
		s.log.Error("not synced: the list stays as it was", "error", err)
	}
	return result, err
}

// longestSync bounds a sync, whatever its exchange keeps sending. The next one goes on from what was saved.
const longestSync = 24 * time.Hour

var errTooLong = fmt.Errorf("not done in %s", longestSync)

// forgets is for how long after a sync the exchange still tells of all that was deleted since.
func (c Config) forgets() time.Duration {
	switch c.Dialect {
	case ThreatExchange:
		return 85 * 24 * time.Hour // deletions are told of for 90 days
	case StopNCII:
		return 30 * 24 * time.Hour
	}
	return 100 * 365 * 24 * time.Hour
}

func (s *Syncer) sync(ctx context.Context, begun time.Time) (Result, error) {
	s.sweep(begun)
	current, err := s.load(s.config.File)
	if err != nil {
		return Result{}, err
	}
	result := func(w *work, whole bool) Result {
		return Result{Revision: w.list.Revision(), Entries: w.list.Len(), Whole: whole, Through: w.checkpoint.Through}
	}
	if s.config.Dialect == File {
		err := s.syncFile(ctx, current, begun)
		return result(current, true), err
	}
	whole := s.wholeNeeded(current, begun)
	w := current
	if whole {
		if w, err = s.loadPartial(current, begun); err != nil {
			return result(current, true), err
		}
	} else {
		s.removePartial() // of a whole fetch that was killed just when it was complete
	}
	if s.config.Dialect == StopNCII {
		err = s.readSet(ctx, w)
	} else {
		err = s.readWindows(ctx, w)
	}
	if err != nil {
		if ctx.Err() == nil { // else it ends at once: what was not saved comes again
			err = errors.Join(err, s.save(ctx, w))
		}
		return result(current, whole), err
	}
	if whole {
		err = s.replace(ctx, current, w, begun)
	} else {
		current.checkpoint.Synced = begun
		current.list = current.list.WithSynced(begun)
		err = s.write(ctx, current)
	}
	return result(current, whole), err
}

// wholeNeeded says whether a list must be fetched anew.
func (s *Syncer) wholeNeeded(w *work, now time.Time) bool {
	reason := ""
	switch c := w.checkpoint; {
	case c.Version == 0:
		reason = "it was never synced"
	case c.Exchange != s.identity:
		reason = "the exchange's settings are others than before"
	case c.Synced.IsZero() || c.Through.IsZero():
		reason = "it was never synced to the end"
	case now.Sub(c.Synced) > s.config.forgets():
		reason = "the exchange has forgotten what was deleted since the last sync"
	default:
		return false
	}
	s.log.Info("the whole list is fetched", "because", reason)
	return true
}
