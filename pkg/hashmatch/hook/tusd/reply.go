package tusd

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// reply is the answer to one hook.
type reply struct {
	status      int
	contentType string
	body        []byte
}

// done lets tusd go on.
func done() reply { return reply{http.StatusOK, "application/json", []byte("{}\n")} }

// failed says that the hook did not do what it is for. The text is for tusd's log.
func failed(status int, text string) reply {
	return reply{status, "text/plain; charset=utf-8", []byte("hashmatch: " + text + "\n")}
}

// What the sender of an upload is told, and nothing more: neither why, nor which of a hold and a block it was.
const (
	notAccepted = "the upload was not accepted\n"
	notNow      = "uploads cannot be taken now, try again later\n"
)

// response is the part of tusd's hook response that is used.
type response struct {
	HTTPResponse httpResponse
	RejectUpload bool `json:",omitempty"`
}

type httpResponse struct {
	StatusCode int
	Body       string
	Header     map[string]string
}

// rejected answers a pre-finish: the sender gets a 403.
func rejected() reply {
	return toSender(response{HTTPResponse: httpResponse{StatusCode: http.StatusForbidden, Body: notAccepted}})
}

// refused answers a pre-create: the sender gets the status, and nothing is created.
func refused(status int) reply {
	r := response{RejectUpload: true, HTTPResponse: httpResponse{StatusCode: status, Body: notAccepted}}
	if status == http.StatusServiceUnavailable {
		r.HTTPResponse.Body = notNow
		r.HTTPResponse.Header = map[string]string{"Retry-After": "30"}
	}
	return toSender(r)
}

func toSender(r response) reply {
	if r.HTTPResponse.Header == nil {
		r.HTTPResponse.Header = make(map[string]string)
	}
	r.HTTPResponse.Header["Content-Type"] = "text/plain; charset=utf-8"
	body, err := json.Marshal(r)
	if err != nil { // it holds text and numbers only
		return failed(http.StatusInternalServerError, "the hook failed")
	}
	return reply{http.StatusOK, "application/json", body}
}

func (r reply) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", r.contentType)
	header.Set("Content-Length", strconv.Itoa(len(r.body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // a tusd that went away takes the hook for failed
}
