package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"example.org/hashmatch/pkg/hashmatch"
)

// Scanner is what a Gate scans with: a *hashmatch.Scanner.
type Scanner interface {
	Scan(ctx context.Context, item hashmatch.Item) (hashmatch.Verdict, error)
}

// Config is what a Gate is made of. Only Scanner is required.
type Config struct {
	Scanner Scanner
	// Ready returns why uploads cannot be judged now; nil if they can. While it returns an error every upload is held
	// unread. It is called for every upload: it must not block. nil means always ready.
	Ready func() error
	// Shadow says whether the surface is in shadow mode: verdicts are computed and recorded, and everything is
	// allowed. nil means none is.
	Shadow func(surface hashmatch.Surface) bool
	// Breaker is told of every verdict. nil means none.
	Breaker Breaker

	Quarantine Quarantine // nil: content is never kept
	Review     Review     // nil: held items are not recorded for a person
	Audit      Audit      // nil: verdicts are not recorded

	Concurrency  int           // uploads scanned at once; 0 means one for each core
	Queue        int           // uploads that may wait to be scanned; 0 means DefaultQueue
	QueueTimeout time.Duration // how long one may wait, for memory or to be scanned; 0 means DefaultQueueTimeout
	Memory       int64         // bytes of uploads in memory at once; 0 means DefaultMemory
	MaxBytes     int64         // longest content that is kept in memory: the Scanner's MaxBytes; 0 means hashmatch.DefaultMaxBytes
	// EffectTimeout bounds each effect; 0 means DefaultEffectTimeout. An effect that takes longer has failed.
	EffectTimeout time.Duration

	Observer Observer     // nil: nobody watches
	Logger   *slog.Logger // one line an item; nil means silence
	now      func() time.Time
}

// The defaults of Config.
const (
	DefaultQueue         = 256
	DefaultQueueTimeout  = 5 * time.Second
	DefaultMemory        = 512 << 20
	DefaultEffectTimeout = 10 * time.Second
)

// Upload is one arrival.
type Upload struct {
	// ID is the caller's name for this arrival, up to MaxIDLength printable characters; effects are idempotent by it,
	// so a caller that sends the same upload again after a failure gives the same ID. "" means a random one.
	ID      string
	Surface hashmatch.Surface
	Dialect string    // how it came: "http", "clamd", …
	Caller  string    // who sent it: the name of a token or certificate; "" if nobody had to say
	Content io.Reader // read once, to its end or to the limit
	Size    int64     // as far as the caller knows; 0 or less if it does not. It is not trusted.
}

// MaxIDLength is the length of the longest item ID, in bytes.
const MaxIDLength = 256

// ErrItemID is wrapped by the refusal of an item ID.
var ErrItemID = errors.New("item ID refused")

// CheckID returns an error that wraps ErrItemID unless id can be an item's: up to MaxIDLength bytes of printable UTF-8.
func CheckID(id string) error {
	if len(id) > MaxIDLength {
		return fmt.Errorf("%w: longer than %d bytes", ErrItemID, MaxIDLength)
	}
	if !utf8.ValidString(id) {
		return fmt.Errorf("%w: not UTF-8", ErrItemID)
	}
	for _, r := range id {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: a character that cannot be printed", ErrItemID)
		}
	}
	return nil
}

// Outcome is the answer to one upload.
type Outcome struct {
	// Action is what the caller must do: the verdict's, unless the surface is in shadow mode (allow) or an effect has
	// failed (hold at least).
	Action  hashmatch.Action
	Verdict hashmatch.Verdict
	Shadow  bool // the surface is in shadow mode: Action was not enforced
	// Scanned says that the content was looked at. If it is false, the upload was held because of the service's own
	// state (Overloaded, NotReady): the caller may send it again later, with the same ID.
	Scanned bool
	Shared  bool          // scanned together with the same bytes of another upload
	Failed  []EffectError // effects that did not happen
	Waited  time.Duration // for memory and for its turn
	Took    time.Duration // from the call to the answer
}

// Gate checks uploads. It is safe for concurrent use.
type Gate struct {
	config  Config
	memory  *semaphore.Weighted
	turns   chan struct{} // one for each scan under way
	streams chan struct{} // one for each scan of content too long for memory
	flight  singleflight.Group
	secret  [32]byte // in the keys of flight, so that they mean nothing outside of this process

	waiting  atomic.Int64
	scanning atomic.Int64
	received atomic.Int64 // bytes in memory
	shared   atomic.Int64
}

// New returns a Gate, or an error that names what config lacks.
func New(config Config) (*Gate, error) {
	if config.Scanner == nil {
		return nil, errors.New("gate: no scanner")
	}
	if config.Concurrency <= 0 {
		config.Concurrency = runtime.GOMAXPROCS(0)
	}
	if config.Queue <= 0 {
		config.Queue = DefaultQueue
	}
	if config.QueueTimeout <= 0 {
		config.QueueTimeout = DefaultQueueTimeout
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = hashmatch.DefaultMaxBytes
	}
	if config.Memory <= 0 {
		config.Memory = DefaultMemory
	}
	if needed := config.MaxBytes * growth; config.Memory < needed {
		return nil, fmt.Errorf("gate: memory of %d bytes: one upload of the longest needs %d", config.Memory, needed)
	}
	if config.EffectTimeout <= 0 {
		config.EffectTimeout = DefaultEffectTimeout
	}
	if config.now == nil {
		config.now = time.Now
	}
	g := &Gate{
		config:  config,
		memory:  semaphore.NewWeighted(config.Memory),
		turns:   make(chan struct{}, config.Concurrency),
		streams: make(chan struct{}, config.Concurrency),
	}
	newSecret(&g.secret)
	return g, nil
}

// Check answers for one upload. Its only errors wrap hashmatch.ErrSurfaceRefused or ErrItemID: the upload was refused
// before a byte was read, and the Outcome is a hold. Anything else that goes wrong is in the Outcome, which then is no
// allow.
func (g *Gate) Check(ctx context.Context, u Upload) (Outcome, error) {
	started := g.config.now()
	if !u.Surface.Declared() {
		return Outcome{}, fmt.Errorf("%w: it was not declared", hashmatch.ErrSurfaceRefused)
	}
	if err := CheckID(u.ID); err != nil {
		return Outcome{}, err
	}
	if u.ID == "" {
		u.ID = hashmatch.NewItemID()
	}

	var o Outcome
	if why := g.ready(); why != nil {
		o = g.unscanned(u, hashmatch.NotReady)
		g.enforce(u, &o)
	} else {
		o = g.judge(ctx, u)
	}
	o.Took = g.config.now().Sub(started)
	g.report(ctx, u, o)
	return o, nil
}

// judge receives and scans the upload and carries out what follows.
func (g *Gate) judge(ctx context.Context, u Upload) Outcome {
	content, err := g.receive(ctx, u)
	if err != nil {
		o := g.unscanned(u, hashmatch.Overloaded)
		g.enforce(u, &o)
		return o
	}
	defer content.release()

	o := g.scan(ctx, u, content)
	o.Waited += content.waited
	g.enforce(u, &o)
	if o.Scanned {
		g.carryOut(ctx, u, content, &o)
	}
	return o
}

// ready asks whether uploads can be judged. A panic in the answer is a no.
func (g *Gate) ready() (err error) {
	if g.config.Ready == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			err = errors.New("the check of readiness failed")
		}
	}()
	return g.config.Ready()
}

// unscanned is the outcome of an upload that was not looked at.
func (g *Gate) unscanned(u Upload, note hashmatch.Note) Outcome {
	return Outcome{
		Action: hashmatch.Hold,
		Verdict: hashmatch.Verdict{
			Item: u.ID, Surface: u.Surface.Name(), Action: hashmatch.Hold, Would: hashmatch.Hold, Notes: []hashmatch.Note{note},
		},
	}
}

// enforce turns the verdict into the action: all is allowed on a surface in shadow mode, what could not be scanned
// because of the service's own state included.
func (g *Gate) enforce(u Upload, o *Outcome) {
	o.Action = o.Verdict.Action
	if g.config.Shadow != nil && g.config.Shadow(u.Surface) {
		o.Shadow, o.Action = true, hashmatch.Allow
	}
	if g.config.Breaker != nil && o.Scanned {
		g.config.Breaker.Observe(u.Surface, o.Verdict)
	}
}

// report tells the observer and the log.
func (g *Gate) report(ctx context.Context, u Upload, o Outcome) {
	if g.config.Observer != nil {
		g.config.Observer.Checked(u, o)
	}
	if g.config.Logger == nil {
		return
	}
	level := slog.LevelInfo
	if len(o.Failed) > 0 {
		level = slog.LevelError
	}
	g.config.Logger.LogAttrs(ctx, level, "upload", attributes(u, o)...)
}

// Stats are the numbers of the moment.
type Stats struct {
	Waiting  int64 `json:"waiting"`  // uploads that wait to be scanned
	Scanning int64 `json:"scanning"` // uploads being scanned
	Bytes    int64 `json:"bytes"`    // of uploads in memory, as accounted for
	Shared   int64 `json:"shared"`   // uploads so far that were scanned together with the same bytes of another one
}

// Stats returns the numbers of the moment.
func (g *Gate) Stats() Stats {
	return Stats{g.waiting.Load(), g.scanning.Load(), g.received.Load(), g.shared.Load()}
}
