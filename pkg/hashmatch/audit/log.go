package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch/gate"
)

// Sync says which records are forced to disk before Append returns. Each record is written before Append returns: a
// killed process loses none. What is not forced to disk can be lost with the power.
type Sync string

// The values of Sync.
const (
	SyncMatches Sync = "matches" // all but plain allows; those within a second, if Run runs
	SyncAll     Sync = "all"
	SyncNone    Sync = "none" // only before a head is signed, at the end of a segment, and by Close
)

// ParseSync reads "matches", "all" or "none"; "" is SyncMatches.
func ParseSync(text string) (Sync, error) {
	switch s := Sync(text); s {
	case "":
		return SyncMatches, nil
	case SyncMatches, SyncAll, SyncNone:
		return s, nil
	}
	return "", fmt.Errorf("sync %q: want matches, all or none", text)
}

// Config is what a Log is made of. Only Directory is required.
type Config struct {
	Directory    string             // made with mode 0700 if it is not there; refused if others can write to it
	Sync         Sync               // "" means SyncMatches
	SegmentBytes int64              // length from which a new segment file is begun; 0 means DefaultSegmentBytes
	Key          ed25519.PrivateKey // signs heads; nil: there are none
	HeadInterval time.Duration      // between heads, if there is something new; 0 means DefaultHeadInterval
	Sinks        []Sink             // where heads are sent to; they need a Key
	Logger       *slog.Logger       // of heads, sinks and faults; nil means silence

	now      func() time.Time
	openFile func(name string, flag int) (disk, error)
	recent   int
}

// The defaults of Config.
const (
	DefaultSegmentBytes = 64 << 20
	DefaultHeadInterval = time.Minute
)

// disk is what is used of an *os.File.
type disk interface {
	ReadAt(b []byte, offset int64) (int, error)
	WriteAt(b []byte, offset int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Stat() (os.FileInfo, error)
	Close() error
}

// Log is an open log. It is safe for concurrent use.
type Log struct {
	config Config
	id     string // of the log, random, in the first record of each segment
	lock   *os.File
	closed chan struct{}
	runs   sync.WaitGroup
	sinks  []*delivery

	mu         sync.Mutex    // guards what follows, to position
	pending    []*request    // to be written
	committing bool          // commit is at work
	waiting    []*request    // written, to be answered when they are on disk
	syncing    bool          // syncWaiting is at work
	stopped    bool          // nothing new is taken
	idle       chan struct{} // closed when stopped and neither is at work; nil before
	written    position
	synced     position
	segment    segment
	torn       bool   // bytes beyond written.size are to be cut off before the next write
	lost       error  // why nothing can be written any more
	headed     uint64 // seq of the last head
	stats      Stats

	syncMu  sync.Mutex // held while the segment is forced to disk, and while it is changed for the next
	suspect bool       // forcing it failed: what is not on disk is written again first. Guarded by syncMu.

	recent *recent // used by commit only
}

// position is a place in the log: after a record.
type position struct {
	seq  uint64
	hash digest
	size int64 // of the segment file, up to and with the record
}

// segment is the file that is written to.
type segment struct {
	file  disk
	path  string
	first uint64 // seq of its first record
}

// Stats are the numbers of the moment, and since Open.
type Stats struct {
	Seq       uint64 // of the last record
	Synced    uint64 // of the last record that is on disk for certain
	Records   uint64 // written since Open
	Repeated  uint64 // answers that were there already
	Failed    uint64 // Append and Event calls that returned an error
	Bytes     int64  // of the present segment
	Head      uint64 // seq of the last signed head; 0 if there was none since Open
	SinkStats []SinkStats
}

// Append records one answer. It is idempotent among the last 65,536 items of the log: the same answer once more for
// the same item adds nothing, another one adds a record. If it returns an error the record may be there all the same,
// if it was the disk or the time that failed; the log is sound in any case, and Append can be called again.
func (l *Log) Append(ctx context.Context, r gate.Record) error {
	if r.Item == "" {
		return l.failed(ErrNoItem)
	}
	e := newUpload(r)
	sync := l.config.Sync == SyncAll || l.config.Sync == SyncMatches && !plain(r)
	return l.failed(l.submit(ctx, e, sync))
}

// Event records anything else, each time it is called. It is forced to disk unless Config.Sync is SyncNone.
func (l *Log) Event(ctx context.Context, event Event) error {
	e, err := newEvent(event)
	if err != nil {
		return l.failed(err)
	}
	return l.failed(l.submit(ctx, e, l.config.Sync != SyncNone))
}

// failed counts errors and says whose they are.
func (l *Log) failed(err error) error {
	if err == nil {
		return nil
	}
	l.mu.Lock()
	l.stats.Failed++
	l.mu.Unlock()
	return fmt.Errorf("audit: %w", err)
}

// ID returns the random name of the log, which its segments and heads have.
func (l *Log) ID() string { return l.id }

// Stats returns the numbers of the moment.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Seq, s.Synced, s.Bytes, s.Head = l.written.seq, l.synced.seq, l.written.size, l.headed
	for _, d := range l.sinks {
		s.SinkStats = append(s.SinkStats, d.stats())
	}
	return s
}

// syncInterval is how long a plain allow can be written and not yet on disk, under SyncMatches.
const syncInterval = time.Second

// Run forces plain allows to disk every second, and signs heads and sends them, until ctx is done or the log closed;
// then it returns nil. What fails is logged and tried again. Call it once.
func (l *Log) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return nil
	}
	l.runs.Add(1)
	l.mu.Unlock()
	defer l.runs.Done()

	ctx, cancel := context.WithCancel(ctx)
	var sending sync.WaitGroup
	defer sending.Wait()
	for _, d := range l.sinks {
		sending.Go(func() { d.run(ctx) })
	}
	defer cancel()

	flush, head := time.NewTicker(syncInterval), time.NewTicker(l.config.HeadInterval)
	defer flush.Stop()
	defer head.Stop()
	l.head() // of what was there before
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.closed:
			return nil
		case <-flush.C:
			if l.config.Sync != SyncNone {
				if err := l.force(); err != nil {
					l.config.Logger.Error("audit: the log cannot be forced to disk", "error", err)
				}
			}
		case <-head.C:
			l.head()
		}
	}
}

// Close finishes what was begun, signs a last head, sends it to the sinks for at most closeTimeout, and gives the
// directory free. Appends that come later fail. It returns an error if something may not be on disk.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return nil
	}
	l.stopped = true
	idle := make(chan struct{})
	l.idle = idle
	l.checkIdle()
	l.mu.Unlock()
	<-idle
	close(l.closed)
	l.runs.Wait()

	err := l.force()
	l.head()
	l.sendLast()
	err = errors.Join(err, l.segment.file.Close(), l.lock.Close())
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
