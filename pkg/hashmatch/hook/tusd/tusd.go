package tusd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// Config is what a Handler is made of. Checker, Surface, Store and Held are required.
type Config struct {
	Checker hook.Checker
	// Surface returns the declared surface of the uploads. It is asked for each of them; while it returns an error new
	// uploads are refused and finished ones are held.
	Surface func() (hashmatch.Surface, error)
	// Ready returns why uploads cannot be judged now: new ones are then refused before their sender has sent them. nil
	// means never. It must not block.
	Ready func() error

	Store string // tusd's -upload-dir; nothing outside of it and Held is touched
	// StoreAs is the store's path as tusd names it, where that is another one (in a container). "" means Store.
	StoreAs string
	// Held is the folder of what was not allowed, outside of Store and on the same file system: created with mode 0700
	// where it is missing, refused where others have access. No other process may use it.
	Held string
	Keep time.Duration // what is held is deleted after this long; 0 means DefaultKeep

	// Forward is the URL of the application's own hook, http or https; "" where it has none. ForwardTimeout bounds each
	// call of it; 0 means DefaultForwardTimeout.
	Forward        string
	ForwardTimeout time.Duration
	// Timeout is how long tusd waits for the answer to one hook at most, forwarding included; 0 means DefaultTimeout,
	// and the longest is MaxTimeout. An upload whose verdict takes longer is held for now; Run finishes it.
	Timeout time.Duration
	// MaxUploads bounds the requests, and the scans that outlast theirs, at once; 0 means DefaultMaxUploads. Each can take
	// MaxBody of memory beside the scan, though few take more than some kilobytes.
	MaxUploads int

	Logger *slog.Logger // nil means silence

	every, grace time.Duration
	now          func() time.Time
	at           func(point string) // in tests: where to be killed
}

// The defaults and limits of Config. tusd waits 15 s for a hook (-hooks-http-timeout).
const (
	DefaultTimeout        = 10 * time.Second
	MaxTimeout            = 14 * time.Second
	DefaultForwardTimeout = 5 * time.Second
	DefaultMaxUploads     = 32
	DefaultKeep           = 30 * 24 * time.Hour
)

// MaxBody is the length of the longest hook request that is read, in bytes. The sender of an upload chooses most of what
// is in it, and must not be able to make it too long for the hook that takes the upload out of reach: tusd reads up to
// 1 MiB of headers for each of two requests, and their characters grow sixfold in JSON at most.
const MaxBody = 16 << 20

// itemPrefix is put before tusd's upload ID to make the item's.
const itemPrefix = "tusd/"

// Handler answers tusd's hooks. It is safe for concurrent use. Run must run beside it; Close ends it.
type Handler struct {
	config  Config
	folders *folders
	forward *forwarder // nil if there is nothing to forward to
	slots   chan struct{}
	locks   locks
	running sync.WaitGroup
	wake    chan struct{} // to Run: there is something to do

	mu     sync.Mutex
	due    map[string]bool // uploads that Run has to see to
	closed bool
}

// New returns a Handler, or an error that names what is wrong with config. It opens both folders, moves nothing, and
// starts nothing.
func New(config Config) (*Handler, error) {
	switch {
	case config.Checker == nil:
		return nil, errors.New("tusd: no checker")
	case config.Surface == nil:
		return nil, errors.New("tusd: no surface")
	case config.Store == "":
		return nil, errors.New("tusd: no store")
	case config.Held == "":
		return nil, errors.New("tusd: no folder for what is held")
	case config.Timeout > MaxTimeout:
		return nil, fmt.Errorf("tusd: timeout of %v: tusd waits 15 s, want %v at most", config.Timeout, MaxTimeout)
	}
	setDefaults(&config)
	h := &Handler{
		config: config, slots: make(chan struct{}, config.MaxUploads), wake: make(chan struct{}, 1),
		due: make(map[string]bool), locks: locks{held: make(map[string]*lock)},
	}
	var err error
	if h.forward, err = newForwarder(config.Forward, config.ForwardTimeout); err != nil {
		return nil, fmt.Errorf("tusd: %w", err)
	}
	if h.folders, err = openFolders(config); err != nil {
		return nil, fmt.Errorf("tusd: %w", err)
	}
	return h, nil
}

func setDefaults(c *Config) {
	for _, d := range []struct {
		value *time.Duration
		unset time.Duration
	}{
		{&c.Timeout, DefaultTimeout}, {&c.ForwardTimeout, DefaultForwardTimeout}, {&c.Keep, DefaultKeep},
		{&c.every, 30 * time.Second}, {&c.grace, time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.unset
		}
	}
	c.ForwardTimeout = min(c.ForwardTimeout, c.Timeout)
	if c.MaxUploads <= 0 {
		c.MaxUploads = DefaultMaxUploads
	}
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.at == nil {
		c.at = func(string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Close waits for the scans under way and lets go of the folders. The server must have shut down and Run ended before.
func (h *Handler) Close() error {
	h.mu.Lock()
	first := !h.closed
	h.closed = true
	h.mu.Unlock()
	h.running.Wait()
	if first {
		h.folders.close()
	}
	return nil
}

// ServeHTTP answers one hook. An answer of 200 with a JSON body is tusd's to act on; any other status means that the
// hook failed: tusd answers its client with a 500 then, and sends no post-finish.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if recover() != nil {
			h.config.Logger.Error("tusd: a hook ended in a panic")
			failed(http.StatusInternalServerError, "the hook failed").write(w)
		}
	}()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		failed(http.StatusMethodNotAllowed, "want POST").write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.config.Timeout)
	defer cancel()
	release, ok := h.slot(ctx)
	if !ok {
		failed(http.StatusServiceUnavailable, "too many hooks at once").write(w)
		return
	}
	defer func() { release() }()

	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.config.Timeout)) // where the server can
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			failed(http.StatusRequestEntityTooLarge, "the body is too long").write(w)
			return
		}
		failed(http.StatusBadRequest, "the body did not arrive").write(w)
		return
	}
	e, err := parseEvent(body)
	if err != nil {
		h.config.Logger.Error("tusd: a hook that cannot be read", "reason", err.Error())
		failed(http.StatusBadRequest, "the body is no hook of tusd: "+err.Error()).write(w)
		return
	}
	switch e.Type {
	case preFinish:
		caller := hook.CallerOf(r.Context()).Name
		body = nil
		h.preFinish(ctx, e, caller, &release).write(w)
	case postFinish:
		h.postFinish(ctx, e, body, r.Header).write(w)
	case preCreate:
		h.preCreate(ctx, body, r.Header).write(w)
	case postCreate, postReceive, preTerminate, postTerminate:
		h.pass(ctx, body, r.Header).write(w)
	default:
		h.config.Logger.Error("tusd: a hook of an unknown type")
		failed(http.StatusBadRequest, "an unknown type of hook").write(w)
	}
}

// slot takes a place, or returns false when ctx is done or the Handler closed. The place is given back once.
func (h *Handler) slot(ctx context.Context) (release func(), ok bool) {
	select {
	case h.slots <- struct{}{}: // a free one also for a sender who has hung up: the upload is there
	default:
		select {
		case h.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, false
		}
	}
	if !h.begin() {
		<-h.slots
		return nil, false
	}
	return sync.OnceFunc(func() { <-h.slots; h.running.Done() }), true
}

// begin reports whether work may begin, and makes Close wait for its end.
func (h *Handler) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.running.Add(1)
	return true
}

// locks are one lock for each upload that somebody is at.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	turn  chan struct{} // of one
	users int           // who have or want it
}

// take waits for the lock of an upload. ok is false if ctx was done before.
func (l *locks) take(ctx context.Context, id string) (unlock func(), ok bool) {
	l.mu.Lock()
	one := l.held[id]
	if one == nil {
		one = &lock{turn: make(chan struct{}, 1)}
		l.held[id] = one
	}
	one.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.held, id)
		}
	}
	select {
	case one.turn <- struct{}{}:
		return func() { <-one.turn; leave() }, true
	default:
	}
	select {
	case one.turn <- struct{}{}:
		return func() { <-one.turn; leave() }, true
	case <-ctx.Done():
		leave()
		return nil, false
	}
}
