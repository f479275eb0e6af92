package review

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Callback is where decisions are sent to: one POST each, until it is answered with a status of 200 to 299.
//
// Every decision is sent at least once, those on one item in order, unless another one on the item takes its place
// first. ID is the same each time that one decision is sent and grows from decision to decision, so that a receiver
// can leave out what it has had, and what is older.
type Callback struct {
	URL string // http or https; redirects are not followed
	// Secret is the key of the signature, MinSecret bytes at least: see Sign.
	Secret  []byte
	Timeout time.Duration  // for one attempt; 0 means DefaultCallbackTimeout
	Roots   *x509.CertPool // whom to believe that the receiver is who it says; nil means the system's
}

// DefaultCallbackTimeout bounds one attempt where nothing else is stated. MinSecret is the length of the shortest
// secret, in bytes.
const (
	DefaultCallbackTimeout = 10 * time.Second
	MinSecret              = 16
)

// SignatureHeader is the header of a callback that holds what Sign returns for its body.
const SignatureHeader = "Hashmatch-Signature"

// Sign returns "sha256=" and the HMAC-SHA256 of the body under the secret in lower-case hexadecimal digits.
func Sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Message is the body of a callback, as JSON.
type Message struct {
	ID       int64     `json:"id"`
	Item     string    `json:"item"`
	Surface  string    `json:"surface"`
	Tenant   string    `json:"tenant,omitempty"`
	Decision string    `json:"decision"` // "release" or "confirm"
	Actor    string    `json:"actor"`
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
}

// The words of Message.Decision.
const (
	DecisionRelease = "release"
	DecisionConfirm = "confirm"
)

// The limits of an answer: nothing in it is used but the status.
const (
	maxAnswerHeader = 64 << 10
	maxAnswer       = 64 << 10
)

// sender sends messages.
type sender struct {
	callback Callback
	client   *http.Client
}

func newSender(c Callback) (*sender, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be read")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("want a URL of http or https with a host")
	case u.User != nil:
		return nil, errors.New("the URL holds a password: the signature says who sends")
	case len(c.Secret) < MinSecret:
		return nil, fmt.Errorf("a secret of %d bytes: want %d at least", len(c.Secret), MinSecret)
	case c.Timeout < 0:
		return nil, fmt.Errorf("a timeout of %s", c.Timeout)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultCallbackTimeout
	}
	c.Secret = bytes.Clone(c.Secret)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}
	transport.MaxResponseHeaderBytes = maxAnswerHeader
	transport.MaxConnsPerHost = parallel
	return &sender{c, &http.Client{
		Transport:     transport,
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// send makes one attempt. nil means that the receiver has the message.
func (s *sender) send(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.callback.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the request cannot be made")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "hashmatch")
	request.Header.Set(SignatureHeader, Sign(s.callback.Secret, body))
	response, err := s.client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, whose query can hold a password
		}
		return err
	}
	defer response.Body.Close()
	// Read, so that the connection can be used again; the status is the answer, whatever becomes of the rest.
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("answered %s", strings.ToValidUTF8(response.Status, "?"))
	}
	return nil
}
