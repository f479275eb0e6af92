package hook

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// Hasher computes the hashes of an upload without comparing them: a *hashmatch.Scanner.
type Hasher interface {
	Hash(ctx context.Context, item hashmatch.Item, kinds, dihedral hashmatch.KindSet) hashmatch.Hashes
}

// APIConfig is what the HTTP API is made of. Checker, Surfaces and Auth are required.
type APIConfig struct {
	Checker  Checker
	Surfaces Surfaces
	Auth     *Auth
	// Surface is the surface that the listener is bound to: a request may name no other. "" means that each request
	// names one.
	Surface string

	Hasher Hasher                  // nil: /v1/hash is not there
	Lists  func() *lookup.Set      // nil: /v1/lists and /v1/match are not there. It may return nil: not ready.
	Policy func() hashmatch.Policy // required with Lists
	Ready  func() error            // why uploads cannot be judged now; nil means always ready. It must not block.
	Status func() any              // what /v1/status says beside "ready"; nil means nothing
	Review Review                  // nil: /v1/review is not there
	// Breaker is shown and lifted under /v1/breaker; nil means that it is not there.
	Breaker Breaker

	// MaxBytes is the length of the longest body that is read, multipart or not; 0 means DefaultMaxBody. It is a bound
	// on the network's use: what is decoded, and of what digests are taken, is the scanner's limit, and a longer
	// upload is held.
	MaxBytes int64
	MaxParts int // of a multipart body; 0 means DefaultMaxParts
	// StatusByVerdict answers hold and block with 403 instead of 200, for clients that look at the status only. A
	// request can ask for it with status=1.
	StatusByVerdict bool
	Logger          *slog.Logger // failures of the service's own; nil means silence

	now func() time.Time
}

// DefaultMaxBody is the length of the longest body that is read where nothing else is stated: the longest upload of
// which digests are taken by default, and some room for the rest of a multipart body.
const DefaultMaxBody = hashmatch.DefaultMaxDigestBytes + 1<<20

// api is the handler that NewAPI returns.
type api struct {
	APIConfig
	hashing chan struct{} // one for each upload that /v1/hash is at
	paths   []string      // those that are served, as the OpenAPI document writes them
}

//go:embed openapi.json
var openAPI []byte

// NewAPI returns the HTTP API, or an error that names what config lacks. Serve it with a Server, which sets the
// deadlines of requests.
func NewAPI(config APIConfig) (http.Handler, error) {
	switch {
	case config.Checker == nil:
		return nil, errors.New("api: no checker")
	case config.Surfaces == nil:
		return nil, errors.New("api: no surfaces")
	case config.Auth == nil:
		return nil, errors.New("api: no auth")
	case config.Lists != nil && config.Policy == nil:
		return nil, errors.New("api: lists without a policy")
	}
	if config.Surface != "" {
		if surface, err := config.Surfaces(config.Surface); err != nil {
			return nil, err
		} else if !surface.Declared() {
			return nil, hashmatch.ErrSurfaceRefused
		}
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = DefaultMaxBody
	}
	if config.MaxParts <= 0 {
		config.MaxParts = DefaultMaxParts
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.now == nil {
		config.now = time.Now
	}
	a := &api{APIConfig: config, hashing: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	return a.routes(), nil
}

// endpoint answers one kind of request. A Problem that it returns is the answer; any other error is logged, and the
// answer is that the service failed.
type endpoint func(w http.ResponseWriter, r *http.Request) error

func (a *api) routes() http.Handler {
	mux := http.NewServeMux()
	add := func(path, method string, e endpoint, scopes ...Scope) {
		a.paths = append(a.paths, path)
		mux.Handle(path, a.only(method, a.Auth.Require(a.answered(e), scopes...)))
	}
	open := func(path string, e endpoint) {
		a.paths = append(a.paths, path)
		mux.Handle(path, a.only(http.MethodGet, a.answered(e)))
	}

	add("/v1/scan", http.MethodPost, a.scan, ScopeScan)
	if a.Hasher != nil {
		add("/v1/hash", http.MethodPost, a.hash, ScopeLookup)
	}
	if a.Lists != nil {
		add("/v1/match", http.MethodPost, a.match, ScopeLookup)
		add("/v1/lists", http.MethodGet, a.lists, ScopeLookup)
	}
	add("/v1/status", http.MethodGet, a.status, ScopeLookup)
	if a.Review != nil {
		add("/v1/review", http.MethodGet, a.reviewList, ScopeAdmin)
		add("/v1/review/{id}", http.MethodGet, a.reviewShow, ScopeAdmin, ScopeLookup)
		add("/v1/review/{id}/release", http.MethodPost, a.reviewDecide(true), ScopeAdmin)
		add("/v1/review/{id}/confirm", http.MethodPost, a.reviewDecide(false), ScopeAdmin)
	}
	if a.Breaker != nil {
		add("/v1/breaker", http.MethodGet, a.breakerTrips, ScopeAdmin)
		add("/v1/breaker/{id}/lift", http.MethodPost, a.breakerLift, ScopeAdmin)
	}
	open("/healthz", func(w http.ResponseWriter, _ *http.Request) error {
		writeJSON(w, http.StatusOK, health{Status: "alive"})
		return nil
	})
	open("/readyz", a.readyz)
	open("/v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) error {
		writeBody(w, http.StatusOK, "application/json", openAPI)
		return nil
	})
	mux.Handle("/", a.answered(func(http.ResponseWriter, *http.Request) error { return problemNotFound }))
	return AsWritten(mux)
}

// AsWritten passes requests on whose path is written as it is looked up, and answers 404 to others: a ServeMux redirects
// "/v1//lists", and a client that follows may send an upload as a GET, or nowhere.
func AsWritten(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		written := r.URL.EscapedPath() // an escaped slash is part of a name
		if clean := path.Clean(written); clean != written && clean+"/" != written {
			WriteProblem(w, problemNotFound)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// only passes requests of one method on; HEAD counts as GET.
func (a *api) only(method string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			WriteProblem(w, problemMethod)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) answered(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := e(w, r)
		if err == nil {
			return
		}
		var p Problem
		if !errors.As(err, &p) {
			a.Logger.Error("a request could not be answered", "path", r.Pattern, "error", err)
			p = problemInternal
		}
		if p.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfter)
		}
		WriteProblem(w, p)
	})
}

// retryAfter is how many seconds a client should wait before it sends an upload again that could not be judged.
const retryAfter = "5"

type health struct {
	Status string `json:"status"` // "alive", "ready" or "not ready"
}

// ready asks whether the service can judge. A panic in the answer is a no.
func (a *api) ready() (err error) {
	if a.Ready == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			err = errors.New("the check of readiness failed")
		}
	}()
	return a.Ready()
}

// readyz says no more than whether: callers need no token for it.
func (a *api) readyz(w http.ResponseWriter, _ *http.Request) error {
	if a.ready() != nil {
		return problemNotReady
	}
	writeJSON(w, http.StatusOK, health{Status: "ready"})
	return nil
}

func (a *api) status(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	answer := struct {
		Ready  bool   `json:"ready"`
		Reason string `json:"reason,omitempty"` // why it is not; for callers with a token or certificate
		Status any    `json:"status,omitempty"`
	}{Ready: true}
	if err := a.ready(); err != nil {
		answer.Ready = false
		if CallerOf(r.Context()).Name != "" { // it can name lists and files
			answer.Reason = err.Error()
		}
	}
	if a.Status != nil {
		answer.Status = a.Status()
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// query returns the request's query. It refuses a parameter that is not among the known ones, or comes twice: one
// that is misspelt would be ignored otherwise, and so would be what the caller relies on.
func query(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problemRequest.with("the query cannot be read")
	}
	for key, list := range values {
		if !slices.Contains(known, key) || len(list) > 1 {
			return nil, problemRequest.with("query: an unknown parameter, or one that comes twice; known here: " + strings.Join(known, ", "))
		}
	}
	return values, nil
}

// flag reads a parameter that is 1 or 0; absent is 0.
func flag(values url.Values, key string) (bool, error) {
	switch values.Get(key) {
	case "1":
		return true, nil
	case "", "0":
		return false, nil
	}
	return false, problemRequest.with(key + ": want 1 or 0")
}

// stated returns what a request says in a header or in its query.
func stated(r *http.Request, values url.Values, header, key string) (string, error) {
	inHeader := r.Header.Values(header)
	inQuery := values.Get(key)
	switch {
	case len(inHeader) > 1, len(inHeader) == 1 && values.Has(key) && inHeader[0] != inQuery:
		return "", problemRequest.with(header + " and " + key + ": stated twice, and not the same")
	case len(inHeader) == 1:
		return inHeader[0], nil
	}
	return inQuery, nil
}

// surface returns the surface that a request is for. It has read nothing of the body.
func (a *api) surface(r *http.Request, name string) (hashmatch.Surface, error) {
	if a.Surface != "" {
		if name != "" && name != a.Surface {
			return hashmatch.Surface{}, problemSurface
		}
		name = a.Surface
	}
	if name == "" {
		return hashmatch.Surface{}, problemSurface.with("the request names no surface")
	}
	if !CallerOf(r.Context()).MayUse(name) {
		return hashmatch.Surface{}, problemSurface
	}
	surface, err := a.Surfaces(name)
	if err != nil || !surface.Declared() {
		return hashmatch.Surface{}, problemSurface
	}
	return surface, nil
}

// whole refuses a body that is compressed, since nobody has looked at what is in it, and one that is a piece of a file.
func whole(r *http.Request) error {
	if err := CheckWhole(r.Header); err != nil {
		return problemMedia.with(err.Error())
	}
	return nil
}

// maxJSON is the length of the longest JSON body.
const maxJSON = 1 << 20

// readJSON reads a JSON object into value. It refuses what it does not know.
func readJSON(w http.ResponseWriter, r *http.Request, value any) error {
	if err := whole(r); err != nil {
		return err
	}
	if stated := r.Header.Get("Content-Type"); stated != "" {
		if kind, _, err := mime.ParseMediaType(stated); err != nil || kind != "application/json" {
			return problemMedia.with("want application/json")
		}
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJSON))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(value)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return nil
		}
		err = errors.Join(errors.New("something follows the object"), err)
	}
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return problemTooLong
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problemTimeout
	}
	return problemRequest.with("the body is not the JSON object that is wanted")
}
