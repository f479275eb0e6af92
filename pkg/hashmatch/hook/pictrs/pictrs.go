// Package pictrs answers pict-rs's external validation, and any other hook that sends an upload's bytes as they are and
// looks at the status: Traefik's forwardAuth with forwardBody, a script behind ModSecurity's @inspectFile, an application's own.
//
//	204  publish: the gate allowed the upload, and the whole of it had come
//	403  do not publish; what it is about is not told
//	503  do not publish; the service has no room or cannot judge now: Retry-After says when to try again
//	415  do not publish; the body is no upload as it stands: a form, a part of an upload, or compressed on its way
//
// 204 is the only answer of 200 to 299. Any path will do. POST, PUT and PATCH are taken, and so is a GET that has a body,
// which is how Traefik sends one unless it is told to preserve the method.
package pictrs

import (
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// RetryAfter is when a caller that was told 503 may try again.
const RetryAfter = 5 * time.Second

// Config is what the handler is made of. Without Checker or Surface every upload is held.
type Config struct {
	Checker hook.Checker
	// Surface returns the declared surface that the listener is bound to, or why there is none. It is asked before the
	// body is read.
	Surface func() (hashmatch.Surface, error)
	Caller  func(*http.Request) string // the name of the caller, for the audit; nil means none
	Logger  *slog.Logger               // nil means silence
}

// New returns the handler. It copies config. The server around it bounds headers and times.
func New(config Config) http.Handler {
	if config.Caller == nil {
		config.Caller = func(*http.Request) string { return "" }
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &handler{config}
}

type handler struct{ config Config }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !uploads(r):
		w.Header().Set("Allow", "POST, PUT, PATCH")
		refuse(w, http.StatusMethodNotAllowed)
	case !raw(r.Header):
		refuse(w, http.StatusUnsupportedMediaType)
	default:
		h.answer(w, r)
	}
}

// uploads says whether the request can carry an upload.
func uploads(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	case http.MethodGet:
		return r.ContentLength != 0
	}
	return false
}

// raw says whether the body is the upload, and the whole of it. Inside a form a listed picture would be no picture, and
// a surface that lets other files pass would let it pass.
func raw(header http.Header) bool {
	if hook.CheckRaw(header) != nil {
		return false
	}
	kind, _, _ := strings.Cut(strings.ToLower(header.Get("Content-Type")), ";") // it is strictly one media type
	return strings.TrimSpace(kind) != "application/x-www-form-urlencoded"
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request) {
	o, refused := h.check(r)
	switch {
	case !refused && o.Action == hashmatch.Allow:
		w.WriteHeader(http.StatusNoContent)
	case !refused && later(o):
		w.Header().Set("Retry-After", strconv.Itoa(int(RetryAfter.Seconds())))
		refuse(w, http.StatusServiceUnavailable)
	default:
		refuse(w, http.StatusForbidden)
	}
}

// check asks the gate, and returns whether the upload was refused before it was looked at, or its check failed.
func (h *handler) check(r *http.Request) (o gate.Outcome, refused bool) {
	defer func() {
		if recover() != nil {
			h.config.Logger.Error("pictrs: an upload was held: its check ended in a panic")
			o, refused = gate.Outcome{}, true
		}
	}()
	if h.config.Checker == nil || h.config.Surface == nil {
		return gate.Outcome{}, true
	}
	surface, err := h.config.Surface()
	if err == nil {
		o, err = h.config.Checker.Check(r.Context(), gate.Upload{
			Surface: surface, Dialect: "pictrs", Caller: h.config.Caller(r), Content: r.Body, Size: r.ContentLength,
		})
	}
	if err != nil {
		h.config.Logger.Warn("pictrs: an upload was refused", "error", err)
		return gate.Outcome{}, true
	}
	return o, false
}

// later says whether the same upload may fare better in a while.
func later(o gate.Outcome) bool {
	reasons := o.Reasons()
	return !o.Scanned && (slices.Contains(reasons, gate.ReasonOverloaded) || slices.Contains(reasons, gate.ReasonNotReady))
}

// refuse answers with a status that is not to be taken for a pass, and its name.
func refuse(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, http.StatusText(code)+"\n")
}
