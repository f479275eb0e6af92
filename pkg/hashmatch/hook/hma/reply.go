package hma

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"example.org/hashmatch/pkg/hashmatch/hook"
)

// refusal is why a request has no answer: a status from 400 up and a text that no JSON decoder takes.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

func bad(text string) error { return &refusal{http.StatusBadRequest, text} }

var (
	errNotReady = &refusal{http.StatusServiceUnavailable, "index not yet ready: nothing was looked up"}
	errBusy     = &refusal{http.StatusServiceUnavailable, "too many requests at once: nothing was looked up"}
)

func (e *refusal) write(w http.ResponseWriter) {
	if e.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	text := e.text
	if text != "INDEX-NOT-LOADED" {
		text = "hashmatch: " + text + "\n"
	}
	writeText(w, e.status, text)
}

// unauthorized turns a refusal of hook.Auth into one of this package.
func unauthorized(w http.ResponseWriter, err error) error {
	var limited *hook.RateError
	switch {
	case errors.As(err, &limited):
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(min(limited.RetryAfter.Seconds(), 3600))))))
		return &refusal{http.StatusTooManyRequests, "the caller asks too often"}
	case errors.Is(err, hook.ErrForbidden):
		return &refusal{http.StatusForbidden, "the caller may not do this"}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="hashmatch"`)
	return &refusal{http.StatusUnauthorized, "a valid token or client certificate is needed"}
}

func writeText(w http.ResponseWriter, status int, text string) {
	write(w, status, "text/plain; charset=utf-8", []byte(text))
}

func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil || string(body) == "null" { // null reads as "no bank" to some
		(&refusal{http.StatusInternalServerError, "the service failed"}).write(w)
		return
	}
	write(w, http.StatusOK, "application/json", append(body, '\n'))
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that went away has no answer
}
