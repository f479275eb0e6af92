// Package clamavrest answers as clamav-rest does, the HTTP bridge to ClamAV, so that what posts uploads to it can post
// them to hashmatch.
//
//	POST /v2/scan          multipart; 200 or 406, and an array of {"Status","Description","FileName"}, one a file
//	POST /scan             the same in its older form: the objects one after another, without the names
//	POST /scanHandlerBody  the body is the upload; 200 or 406, and {STATUS DESCRIPTION FILENAME CODE}
//	GET  /version          {"Clamav","Signature","Signature_date"}
//	GET  /                 the numbers of clamd's STATS; 503 while uploads cannot be judged
//
// 200 says that there was at least one upload, that the gate allowed each, and that the request was whole. Every hold is
// 406 with the status FOUND, also those for the service's own state, and that of a form which can be read in more than
// one way (package hook says which are). What is no upload has clamav-rest's other statuses: 400, also for what is
// compressed or a piece of a file, 413, 422. /scanFile and /scanPath, which name files on the server, do not exist.
//
// A description is Hashmatch.Hold.REASON or Hashmatch.Block.Match, and tells neither list nor distance. A file's name is
// repeated to the caller who sent it, and goes nowhere else.
package clamavrest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// DefaultMaxParts is how many parts a request may have where nothing else is stated.
const DefaultMaxParts = 64

// Config is what the handler is made of. Without Checker or Surface every upload is held.
type Config struct {
	Checker hook.Checker
	// Surface returns the declared surface that the listener is bound to, or why there is none. It is asked before the
	// body is read.
	Surface func() (hashmatch.Surface, error)
	// MaxParts is how many parts a request may have, those that are no uploads among them; 0 means DefaultMaxParts.
	MaxParts int

	Caller  func(*http.Request) string // the name of the caller, for the audit; nil means none
	Version string                     // hashmatch's; "" means "unknown"
	Ready   func() error               // why uploads cannot be judged now, for GET /; nil means that they always can
	Stats   func() gate.Stats          // for GET /; nil means zeros
	Logger  *slog.Logger               // nil means silence
}

// New returns the handler. It copies config. The server around it bounds headers and times.
func New(config Config) http.Handler {
	if config.MaxParts <= 0 {
		config.MaxParts = DefaultMaxParts
	}
	if config.Caller == nil {
		config.Caller = func(*http.Request) string { return "" }
	}
	if config.Version == "" {
		config.Version = "unknown"
	}
	if config.Ready == nil {
		config.Ready = func() error { return nil }
	}
	if config.Stats == nil {
		config.Stats = func() gate.Stats { return gate.Stats{} }
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	h := &handler{config: config, made: time.Now()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/scan", h.scan)
	mux.HandleFunc("POST /scan", h.scanOld)
	mux.HandleFunc("POST /scanHandlerBody", h.scanBody)
	mux.HandleFunc("GET /version", h.version)
	mux.HandleFunc("GET /{$}", h.home)
	return hook.AsWritten(mux)
}

type handler struct {
	config Config
	made   time.Time
}

// result is the answer for one upload, as clamav-rest has it.
type result struct {
	Status      string `json:"Status"` // OK, FOUND or ERROR
	Description string `json:"Description"`
	FileName    string `json:"FileName,omitempty"`
	code        int
}

func failed(code int, description string) result {
	return result{Status: "ERROR", Description: description, code: code}
}

// scan answers POST /v2/scan.
func (h *handler) scan(w http.ResponseWriter, r *http.Request) {
	results, code := h.parts(r)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(results) // a caller that is gone has no answer
}

// scanOld answers POST /scan: no array, and no names.
func (h *handler) scanOld(w http.ResponseWriter, r *http.Request) {
	results, code := h.parts(r)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Deprecation", "version=v1")
	w.WriteHeader(code)
	for _, one := range results {
		one.FileName = ""
		text, _ := json.Marshal(one) // of strings
		_, _ = w.Write(text)
	}
}

// scanBody answers POST /scanHandlerBody.
func (h *handler) scanBody(w http.ResponseWriter, r *http.Request) {
	one, refused := h.refused()
	if !refused {
		one, refused = notRaw(r)
	}
	if !refused {
		one = h.check(r, r.Body, r.ContentLength)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(one.code)
	fmt.Fprintf(w, "{%s %s  %d}", one.Status, one.Description, one.code)
}

// parts checks each part that is a file, in order, and returns the answers and the status for all of them. There is at
// least one answer.
func (h *handler) parts(r *http.Request) ([]result, int) {
	if refusal, ok := h.refused(); ok {
		return []result{refusal}, refusal.code
	}
	if refusal, ok := notWhole(r); ok {
		return []result{refusal}, refusal.code
	}
	boundary, form, err := hook.Boundary(r.Header)
	if err != nil || !form {
		return []result{failed(http.StatusBadRequest, "not a multipart request")}, http.StatusBadRequest
	}
	parts := hook.NewParts(r.Body, boundary, h.config.MaxParts)
	var results []result
	for {
		one, err := h.next(r, parts)
		if err == io.EOF {
			break
		}
		results = append(results, one)
		if err != nil {
			break
		}
	}
	if len(results) == 0 {
		results = append(results, failed(http.StatusUnprocessableEntity, "no file"))
	}
	return results, status(results)
}

// next checks the next part; with an error there is none, or no more after it. A part that has no file name is no upload
// to clamav-rest, and is not passed over in silence. A body that can be read in two ways is held: some clients publish
// on other answers.
func (h *handler) next(r *http.Request, parts *hook.Parts) (result, error) {
	part, err := parts.Next()
	var content io.Reader
	if err == nil {
		_, content, err = part.Open()
	}
	var refused hook.MultipartError
	switch {
	case err == nil && (content == nil || part.FileName() == ""):
		return failed(http.StatusUnprocessableEntity, "MimePart FileName missing"), nil
	case err == nil:
		one := h.check(r, content, 0)
		one.FileName = path.Base(part.FileName())
		return one, nil
	case errors.Is(err, hook.ErrTooManyParts):
		return failed(http.StatusRequestEntityTooLarge, "too many parts"), err
	case errors.As(err, &refused):
		return found("Hashmatch.Hold.NotScanned"), err
	}
	return failed(http.StatusBadRequest, "the multipart request is damaged"), err
}

// notWhole returns the answer to a request whose bytes are not those of the uploads, or not all of them.
func notWhole(r *http.Request) (result, bool) {
	if err := hook.CheckWhole(r.Header); err != nil {
		return failed(http.StatusBadRequest, "the request is refused: "+err.Error()), true
	}
	return result{}, false
}

// notRaw returns the answer to a request whose body is not, as it stands, one upload.
func notRaw(r *http.Request) (result, bool) {
	if err := hook.CheckRaw(r.Header); err != nil {
		return failed(http.StatusBadRequest, "the request is refused: "+err.Error()), true
	}
	return result{}, false
}

// status returns what is answered for several results: 406 if one is, else the last that is not 200.
func status(results []result) int {
	code := http.StatusOK
	for _, one := range results {
		switch {
		case one.code == http.StatusNotAcceptable:
			return one.code
		case one.code != http.StatusOK:
			code = one.code
		}
	}
	return code
}

// refused returns the answer for a surface that is refused, before anything is read.
func (h *handler) refused() (result, bool) {
	if _, err := h.surface(); err != nil {
		return found("Hashmatch.Hold.Refused"), true
	}
	return result{}, false
}

func (h *handler) surface() (hashmatch.Surface, error) {
	if h.config.Surface == nil || h.config.Checker == nil {
		return hashmatch.Surface{}, fmt.Errorf("%w: the listener has none", hashmatch.ErrSurfaceRefused)
	}
	surface, err := h.config.Surface()
	if err != nil {
		h.config.Logger.Warn("clamav-rest: an upload was held: the surface was refused", "error", err)
	}
	return surface, err
}

func found(name string) result {
	return result{Status: "FOUND", Description: name, code: http.StatusNotAcceptable}
}

// check asks the gate about one upload. Only its allow is a 200.
func (h *handler) check(r *http.Request, content io.Reader, size int64) (one result) {
	defer func() {
		if recover() != nil {
			h.config.Logger.Error("clamav-rest: an upload was held: its check ended in a panic")
			one = found("Hashmatch.Hold.NotScanned")
		}
	}()
	surface, err := h.surface()
	if err != nil {
		return found("Hashmatch.Hold.Refused")
	}
	o, err := h.config.Checker.Check(r.Context(), gate.Upload{
		Surface: surface, Dialect: "clamav-rest", Caller: h.config.Caller(r), Content: content, Size: size,
	})
	switch {
	case err != nil:
		h.config.Logger.Warn("clamav-rest: an upload was held: it was refused", "error", err)
		return found("Hashmatch.Hold.Refused")
	case o.Action == hashmatch.Allow:
		return result{Status: "OK", code: http.StatusOK}
	}
	return found(name(o))
}

// reasonNames are the last parts of the names, the same that the dialect clamd gives.
var reasonNames = map[gate.Reason]string{
	gate.ReasonMatch:      "Match",
	gate.ReasonNotScanned: "NotScanned",
	gate.ReasonNotImage:   "NotImage",
	gate.ReasonLowQuality: "LowQuality",
	gate.ReasonOverloaded: "Overloaded",
	gate.ReasonNotReady:   "NotReady",
	gate.ReasonRecord:     "NotRecorded",
}

func name(o gate.Outcome) string {
	action, reason := "Hold", "NotScanned"
	if o.Action == hashmatch.Block {
		action = "Block"
	}
	if reasons := o.Reasons(); len(reasons) > 0 {
		if text, known := reasonNames[reasons[0]]; known {
			reason = text
		}
	}
	return "Hashmatch." + action + "." + reason
}

func (h *handler) version(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]string{
		"Clamav": "hashmatch-" + h.config.Version, "Signature": "1", "Signature_date": h.made.UTC().Format(time.ANSIC),
	})
}

func (h *handler) home(w http.ResponseWriter, _ *http.Request) {
	code, state, stats := http.StatusOK, "VALID PRIMARY", h.config.Stats()
	if h.config.Ready() != nil {
		code, state = http.StatusServiceUnavailable, "INVALID"
	}
	write(w, code, map[string]string{
		"Pools":    "1",
		"State":    "STATE: " + state,
		"Threads":  fmt.Sprintf("THREADS: live %d", stats.Scanning),
		"Memstats": fmt.Sprintf("MEMSTATS: used %.3fM", float64(stats.Bytes)/(1<<20)),
		"Queue":    fmt.Sprintf("QUEUE: %d items", stats.Waiting),
	})
}

func write(w http.ResponseWriter, code int, value map[string]string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}
