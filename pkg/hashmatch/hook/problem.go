package hook

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Problem is an error of the HTTP API (RFC 9457, application/problem+json). Type is stable: clients branch on it. None
// says anything of the service's inside.
type Problem struct {
	Type   string `json:"type"` // "urn:hashmatch:problem:" and a name
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Action is always "hold", so that a client that looks for nothing else does not take a problem for an allow.
	Action string `json:"action"`
}

func (p Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// problemPrefix is what the type of every problem begins with.
const problemPrefix = "urn:hashmatch:problem:"

func problem(status int, name, title string) Problem {
	return Problem{Type: problemPrefix + name, Title: title, Status: status, Action: "hold"}
}

// with returns the same problem with a detail, which is for the caller.
func (p Problem) with(detail string) Problem {
	p.Detail = detail
	return p
}

// The problems. docs/http-api.md and the OpenAPI document name each.
var (
	problemRequest         = problem(400, "bad-request", "the request cannot be read")
	problemItem            = problem(400, "item-refused", "the item ID cannot be used")
	problemMultipart       = problem(400, "bad-multipart", "the multipart body is refused")
	problemNoUpload        = problem(400, "no-upload", "there is no upload in the multipart body")
	problemHash            = problem(400, "bad-hash", "a hash cannot be searched")
	problemUnauthenticated = problem(401, "unauthenticated", "a valid token or client certificate is needed")
	problemForbidden       = problem(403, "forbidden", "the caller may not do this")
	problemSurface         = problem(403, "surface-refused", "the surface is not declared public and unencrypted, or not open to the caller")
	problemHeld            = problem(403, "upload-held", "the upload was not accepted")
	problemNotFound        = problem(404, "not-found", "there is nothing here")
	problemMethod          = problem(405, "method-not-allowed", "the method is not allowed here")
	problemTimeout         = problem(408, "timed-out", "the body did not arrive in time")
	problemDecided         = problem(409, "already-decided", "the opposite was decided already")
	problemChanged         = problem(409, "changed", "the item has changed since it was shown")
	problemAmbiguous       = problem(409, "ambiguous", "several surfaces have an item of this ID")
	problemTooLong         = problem(413, "body-too-long", "the body is longer than the limit")
	problemTooManyParts    = problem(413, "too-many-parts", "the multipart body has more parts than the limit")
	problemMedia           = problem(415, "content-refused", "a body of this kind is not taken")
	problemRate            = problem(429, "too-many-requests", "the caller asks too often")
	problemInternal        = problem(500, "internal", "the service failed")
	problemOverloaded      = problem(503, "overloaded", "there is no room now")
	problemNotReady        = problem(503, "not-ready", "the service cannot judge now")
)

// WriteProblem answers a request with a problem. Nothing of the answer must have been written before.
func WriteProblem(w http.ResponseWriter, p Problem) {
	body, err := json.Marshal(p)
	if err != nil { // it holds text and a number only
		body = []byte(`{"action":"hold"}`)
	}
	writeBody(w, p.Status, "application/problem+json", append(body, '\n'))
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // a status of the service's own that cannot be written
		WriteProblem(w, problemInternal)
		return
	}
	writeBody(w, status, "application/json", append(body, '\n'))
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that went away has no answer, which is no allow
}
