package tusd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxReply is the length of the longest answer of the application that is passed on; tusd takes 5 KiB.
const maxReply = 64 << 10

// forwarder calls the application's own hook.
type forwarder struct {
	url     string
	timeout time.Duration
	client  *http.Client
}

// newForwarder returns nil for "".
func newForwarder(address string, timeout time.Duration) (*forwarder, error) {
	if address == "" {
		return nil, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("forward: want an http or https URL") // the URL itself may hold a password
	}
	return &forwarder{url: address, timeout: timeout, client: &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, // and no proxy of the environment
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// unforwarded are the headers of a hook request that are not passed on: those of the connection, and the credentials
// that tusd states to this hook. What the sender of the upload stated is in the body.
var unforwarded = []string{
	"Authorization", "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Accept-Encoding", "Expect",
}

// send passes a hook on and returns the application's answer, whatever its status. An error is without the address.
func (f *forwarder) send(ctx context.Context, body []byte, header http.Header) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return reply{}, errors.New("its URL cannot be called")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	for _, name := range unforwarded {
		request.Header.Del(name)
	}
	if request.URL.User != nil {
		password, _ := request.URL.User.Password()
		request.SetBasicAuth(request.URL.User.Username(), password)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := f.client.Do(request)
	if err != nil {
		var in *url.Error
		if errors.As(err, &in) {
			err = in.Err
		}
		return reply{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReply+1))
	switch {
	case err != nil:
		return reply{}, errors.New("its answer did not arrive")
	case len(text) > maxReply:
		return reply{}, fmt.Errorf("its answer is longer than %d bytes", maxReply)
	case answer.StatusCode < 200 || answer.StatusCode >= 300 && answer.StatusCode < 400: // tusd would follow a redirect
		return reply{}, fmt.Errorf("it answered with status %d", answer.StatusCode)
	}
	return reply{answer.StatusCode, answer.Header.Get("Content-Type"), text}, nil
}

// announce sends the post-finish of an upload that tusd does not send (any more).
func (f *forwarder) announce(ctx context.Context, upload json.RawMessage) error {
	type request struct {
		Method, URI, RemoteAddr string
		Header                  http.Header
	}
	type content struct {
		Upload      json.RawMessage
		HTTPRequest request
	}
	body, err := json.Marshal(struct {
		Type  eventType
		Event content
	}{postFinish, content{upload, request{Header: http.Header{}}}})
	if err != nil {
		return errors.New("its post-finish cannot be written")
	}
	r, err := f.send(ctx, body, nil)
	if err == nil && !r.took() {
		err = fmt.Errorf("it answered with status %d", r.status)
	}
	return err
}

// took reports whether the application took the event.
func (r reply) took() bool { return r.status >= 200 && r.status < 300 }

// pass passes an event on as it is. Without an application there is nothing to say; one that cannot be reached is an
// error, which makes tusd refuse what the pre- hooks are asked about and log the post- hooks.
func (h *Handler) pass(ctx context.Context, body []byte, header http.Header) reply {
	if h.forward == nil {
		return done()
	}
	r, err := h.forward.send(ctx, body, header)
	if err != nil {
		h.config.Logger.Error("tusd: the application's hook failed", "reason", err.Error())
		return failed(http.StatusBadGateway, "the application's hook failed")
	}
	return r
}

// preCreate refuses an upload at once that could not be judged, so that nobody sends it in vain, and asks the
// application otherwise.
func (h *Handler) preCreate(ctx context.Context, body []byte, header http.Header) reply {
	if _, err := h.config.Surface(); err != nil {
		h.config.Logger.Error("tusd: an upload was refused", "reason", err.Error())
		return refused(http.StatusForbidden)
	}
	if err := h.config.Ready(); err != nil {
		h.config.Logger.Warn("tusd: an upload was refused: not ready", "reason", err.Error())
		return refused(http.StatusServiceUnavailable)
	}
	if h.forward == nil {
		return done()
	}
	r, err := h.forward.send(ctx, body, header)
	if err != nil {
		h.config.Logger.Error("tusd: an upload was refused: the application's hook failed", "reason", err.Error())
		return refused(http.StatusServiceUnavailable)
	}
	if r.took() {
		if err := h.checkChanges(r.body); err != nil {
			h.config.Logger.Error("tusd: an upload was refused for what the application would change of it", "reason", err.Error())
			return failed(http.StatusBadGateway, err.Error())
		}
	}
	return r
}

// checkChanges refuses an answer of the application to pre-create after which the finished upload could not be taken
// out of reach.
func (h *Handler) checkChanges(answer []byte) error {
	var changes struct {
		ChangeFileInfo struct {
			ID      string
			Storage map[string]string
		}
	}
	if len(bytes.TrimSpace(answer)) == 0 || json.Unmarshal(answer, &changes) != nil {
		return errors.New("the application's answer to pre-create is no JSON of tusd's form")
	}
	if len(changes.ChangeFileInfo.Storage) > 0 {
		return errors.New("the application's answer to pre-create names another place to store the upload")
	}
	id := changes.ChangeFileInfo.ID
	if id == "" {
		return nil
	}
	if err := checkID(id); err != nil {
		return fmt.Errorf("the application's answer to pre-create: %w", err)
	}
	// An ID that is used again would replace the file of the first upload, and come under its verdict.
	if j, err := h.folders.load(id); j != nil || err != nil {
		return errors.New("the application's answer to pre-create gives the upload an ID that is in use")
	}
	return nil
}

// itemID returns the item ID of an upload, and uploadID what it was made from.
func itemID(id string) string   { return itemPrefix + id }
func uploadID(id string) string { return strings.TrimPrefix(id, itemPrefix) }
