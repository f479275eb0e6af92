package hma

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// Hasher computes the hashes of a file and compares them with nothing: a *hashmatch.Scanner.
type Hasher interface {
	Hash(ctx context.Context, item hashmatch.Item, kinds, dihedral hashmatch.KindSet) hashmatch.Hashes
}

// Config is what a Handler is made of. Checker, Surface, Hasher, Lists, Policy and Ready are required.
type Config struct {
	Checker hook.Checker // for files that are looked up: scanned like any upload, with every effect
	// Surface returns the declared surface that files and hashes are judged by. It is asked for each request.
	Surface func() (hashmatch.Surface, error)
	Hasher  Hasher
	Lists   func() *lookup.Set      // the lists in force; nil while there are none
	Policy  func() hashmatch.Policy // the policy in force
	Ready   func() error            // why nothing can be looked up now; nil if it can. It must not block.

	// Authorize returns who sent a request, or an error as hook.Auth.Authorize does: its method bound to
	// hook.ScopeLookup. nil means that everybody may ask. /status and /status/live are open.
	Authorize func(*http.Request) (hook.Caller, error)
	// FetchFrom holds the beginnings of URLs, each with scheme, host and a path that ends in "/", below which the
	// parameter url may name a file. None means that url is refused: fetching what a caller names is a way into the
	// operator's network.
	FetchFrom []string

	MaxBytes     int64         // longest file; 0 means hashmatch.DefaultMaxDigestBytes
	Timeout      time.Duration // for reading one request, and for fetching one file; 0 means DefaultTimeout
	Concurrency  int           // requests at once; 0 means four for each core
	QueueTimeout time.Duration // how long one more may wait; 0 means DefaultQueueTimeout
	Logger       *slog.Logger  // nil means silence
}

// The defaults of Config.
const (
	DefaultTimeout      = 30 * time.Second
	DefaultQueueTimeout = 5 * time.Second
)

// Handler answers HMA's requests. It is safe for concurrent use.
type Handler struct {
	config  Config
	turns   chan struct{} // one for each request
	hashing chan struct{} // one for each file that is hashed: as many as there are cores
	fetch   *fetcher
}

// New returns a Handler, or an error that names what is wrong with config.
func New(config Config) (*Handler, error) {
	switch {
	case config.Checker == nil:
		return nil, errors.New("hma: no checker")
	case config.Surface == nil:
		return nil, errors.New("hma: no surface")
	case config.Hasher == nil:
		return nil, errors.New("hma: no hasher")
	case config.Lists == nil || config.Policy == nil:
		return nil, errors.New("hma: no lists, or no policy")
	case config.Ready == nil:
		return nil, errors.New("hma: no check of readiness")
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = hashmatch.DefaultMaxDigestBytes
	}
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.QueueTimeout <= 0 {
		config.QueueTimeout = DefaultQueueTimeout
	}
	if config.Concurrency <= 0 {
		config.Concurrency = 4 * runtime.GOMAXPROCS(0)
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	fetch, err := newFetcher(config.FetchFrom, config.Timeout)
	if err != nil {
		return nil, fmt.Errorf("hma: %w", err)
	}
	return &Handler{
		config: config, fetch: fetch,
		turns: make(chan struct{}, config.Concurrency), hashing: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}, nil
}

// request is one request on its way.
type request struct {
	*http.Request
	query  url.Values
	caller hook.Caller
	rules
}

// rules are what one request is answered by.
type rules struct {
	surface hashmatch.Surface
	lists   *lookup.Set
	policy  hashmatch.Policy
}

// endpoint answers a request, or says with a *refusal why not.
type endpoint func(h *Handler, r *request) (any, error)

var endpoints = map[string]map[string]endpoint{
	"/h/hash":         {http.MethodGet: (*Handler).hashURL, http.MethodPost: (*Handler).hashFile},
	"/m/lookup":       {http.MethodGet: (*Handler).lookup, http.MethodPost: (*Handler).lookupFile},
	"/m/raw_lookup":   {http.MethodGet: (*Handler).rawLookup},
	"/m/compare":      {http.MethodPost: (*Handler).compare},
	"/m/index/status": {http.MethodGet: (*Handler).indexStatus},
	"/c/banks":        {http.MethodGet: (*Handler).banks},
}

const bankPath = "/c/bank/"

// find returns the endpoint of a request.
func find(r *http.Request) (endpoint, error) {
	methods, found := endpoints[r.URL.Path]
	if name, ok := strings.CutPrefix(r.URL.Path, bankPath); ok && name != "" {
		methods, found = map[string]endpoint{http.MethodGet: (*Handler).bank}, true
	}
	if !found {
		return nil, &refusal{http.StatusNotFound, "there is nothing here"}
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	e := methods[method]
	if e == nil {
		if strings.HasPrefix(r.URL.Path, "/c/") {
			return nil, &refusal{http.StatusMethodNotAllowed, "lists are not changed here"}
		}
		return nil, &refusal{http.StatusMethodNotAllowed, "the method is not allowed here"}
	}
	return e, nil
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if recover() != nil {
			h.config.Logger.Error("hma: a request ended in a panic")
			(&refusal{http.StatusInternalServerError, "the service failed"}).write(w)
		}
	}()
	switch r.URL.Path {
	case "/status":
		if h.ready() != nil {
			(&refusal{http.StatusServiceUnavailable, "INDEX-NOT-LOADED"}).write(w)
			return
		}
		writeText(w, http.StatusOK, "I-AM-ALIVE")
		return
	case "/status/live":
		writeText(w, http.StatusOK, "I-AM-ALIVE")
		return
	}
	answer, err := h.answer(w, r)
	if err != nil {
		var no *refusal
		if !errors.As(err, &no) {
			no = &refusal{http.StatusInternalServerError, "the service failed"}
		}
		no.write(w)
		return
	}
	writeJSON(w, answer)
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	one := &request{Request: r}
	if h.config.Authorize != nil {
		caller, err := h.config.Authorize(r)
		if err != nil {
			return nil, unauthorized(w, err)
		}
		one.caller = caller
	}
	serve, err := find(r)
	if err != nil {
		return nil, err
	}
	if one.query, err = parseQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	select {
	case h.turns <- struct{}{}:
	case <-time.After(h.config.QueueTimeout):
		return nil, errBusy
	case <-r.Context().Done():
		return nil, errBusy
	}
	defer func() { <-h.turns }()
	if err := h.rule(one); err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.config.Timeout)) // where the server can
		r.Body = http.MaxBytesReader(w, r.Body, h.config.MaxBytes+formRoom)
	}
	return serve(h, one)
}

// formRoom is what a multipart body may have beside the file.
const formRoom = 1 << 20

// rule finds what the request is answered by. While nothing can be trusted nothing is answered.
func (h *Handler) rule(r *request) error {
	if err := h.ready(); err != nil {
		return errNotReady
	}
	var err error
	if r.surface, err = h.config.Surface(); err != nil || !r.surface.Declared() {
		return &refusal{http.StatusForbidden, "the surface is not declared public and unencrypted"}
	}
	r.lists, r.policy = h.config.Lists(), h.config.Policy()
	if r.lists == nil || r.lists.Kinds() == 0 || r.policy == nil {
		return errNotReady
	}
	return nil
}

func (h *Handler) ready() error {
	if err := h.config.Ready(); err != nil {
		return err
	}
	if h.config.Lists() == nil {
		return errNotReady
	}
	return nil
}

// parseQuery refuses what two programs could read differently: a query that is none, and a parameter that comes twice.
func parseQuery(text string) (url.Values, error) {
	if len(text) > 16<<10 {
		return nil, bad("the query is too long")
	}
	query, err := url.ParseQuery(text)
	if err != nil {
		return nil, bad("the query cannot be read")
	}
	for _, values := range query {
		if len(values) > 1 {
			return nil, bad("a parameter comes twice")
		}
	}
	return query, nil
}

// drain reads what is left of a body, so that the client gets the answer.
func drain(r io.Reader) { _, _ = io.Copy(io.Discard, io.LimitReader(r, formRoom)) }
