package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// ClientConfig is what a Client is made of. Only URL is required.
type ClientConfig struct {
	// URL is where the service listens: http://HOST:PORT, https://HOST:PORT or unix:PATH.
	URL     string
	Token   string        // "" where the service wants none, or a client certificate
	Timeout time.Duration // for one try, the upload included; 0 means DefaultClientTimeout
	// Tries is how often a request is sent at most, while the service cannot be reached or says that it cannot judge
	// now; 0 means DefaultTries. What cannot be sent twice (an upload that is no io.Seeker) is sent once.
	Tries int
	// HTTPClient sends the requests; nil means one of the Client's own, which uses no proxy. Redirects are errors.
	HTTPClient *http.Client
}

// The defaults of ClientConfig.
const (
	DefaultClientTimeout = time.Minute
	DefaultTries         = 3
	maxClientPause       = 10 * time.Second
	maxClientAnswer      = 32 << 20
)

// Client asks a service over the HTTP API. It is safe for concurrent use. Whatever goes wrong is an error, and no
// error is an allow: publish only what Answer.Allowed says yes to.
type Client struct {
	config  ClientConfig
	base    string
	http    *http.Client
	longest int64 // answer that is read, in bytes
	pause   func(ctx context.Context, d time.Duration) error
}

// NewClient returns a Client. It does not connect.
func NewClient(config ClientConfig) (*Client, error) {
	if config.Timeout <= 0 {
		config.Timeout = DefaultClientTimeout
	}
	if config.Tries <= 0 {
		config.Tries = DefaultTries
	}
	c := &Client{config: config, base: strings.TrimSuffix(config.URL, "/"), longest: maxClientAnswer, pause: pause}
	var dial func(ctx context.Context, network, address string) (net.Conn, error)
	if path, found := strings.CutPrefix(config.URL, "unix:"); found {
		c.base = "http://hashmatch"
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		if config.HTTPClient != nil || path == "" {
			return nil, errors.New("client: a unix socket wants a path, and no HTTP client of the caller's own")
		}
	} else if u, err := url.Parse(config.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("client: the URL is none of http://HOST:PORT, https://HOST:PORT and unix:PATH")
	}
	own := &http.Client{Transport: &http.Transport{
		DialContext: dial, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, ExpectContinueTimeout: time.Second,
	}}
	if config.HTTPClient != nil {
		copied := *config.HTTPClient
		own = &copied
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = own
	return c, nil
}

// Upload is one upload to be scanned.
type Upload struct {
	// Item is the caller's name for this arrival: the same for the same upload if it is sent again. "" means a random
	// one; it is the same for every try of one Scan.
	Item        string
	Surface     string    // "" where the listener is bound to one
	Content     io.Reader // an io.Seeker can be sent again
	ContentType string    // "" means application/octet-stream; multipart bodies go in their parts
	Detail      bool      // ask for what explains the answer; needs the scope lookup or admin
}

// ErrAnswer is wrapped by the refusal of an answer that is none to what was asked.
var ErrAnswer = errors.New("the answer is not one to what was asked")

// Allowed reports whether the service said that the upload may be published. It is false for any Answer that did not
// come out of Client.Scan.
func (a Answer) Allowed() bool {
	if a.asked == "" || a.Item != a.asked || a.Action != hashmatch.Allow || len(a.Results) != 1 {
		return false
	}
	return a.Results[0].Action == hashmatch.Allow && a.Results[0].Item == a.asked
}

// Scan sends one upload and returns what the service says of it: also where that is that it cannot judge now
// (Answer.Retry). An answer that is none is an error; a problem is an error that wraps a Problem.
func (c *Client) Scan(ctx context.Context, u Upload) (Answer, error) {
	if u.Item == "" {
		u.Item = hashmatch.NewItemID()
	}
	if err := gate.CheckID(u.Item); err != nil {
		return Answer{}, fmt.Errorf("scan: %w", err)
	}
	contentType := u.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	if kind, _, err := mime.ParseMediaType(contentType); err != nil || strings.HasPrefix(kind, "multipart/") {
		return Answer{}, errors.New("scan: a content type that cannot be sent: the bytes of one upload are wanted")
	}
	query := url.Values{}
	if u.Detail {
		query.Set("detail", "1")
	}
	header := http.Header{"Content-Type": {contentType}, HeaderItem: {u.Item}}
	if u.Surface != "" {
		header.Set(HeaderSurface, u.Surface)
	}
	var answer Answer
	err := c.do(ctx, call{
		method: http.MethodPost, path: "/v1/scan", query: query, header: header, body: u.Content, answer: &answer,
		// Hold and block may come as 403, if the listener is set so, and "not now" as 503: both with an answer.
		statuses: []int{http.StatusOK, http.StatusForbidden, http.StatusServiceUnavailable},
		again:    func() bool { return answer.Retry },
	})
	if err != nil {
		return Answer{}, fmt.Errorf("scan: %w", err)
	}
	if answer.Item != u.Item || u.Surface != "" && answer.Surface != u.Surface || len(answer.Results) != 1 || answer.Results[0].Item != u.Item {
		return Answer{}, fmt.Errorf("scan: %w", ErrAnswer)
	}
	answer.asked = u.Item
	return answer, nil
}

// MatchQuery asks for hashes that the caller computed.
type MatchQuery struct {
	Surface    string                 `json:"surface,omitempty"` // "" where the listener is bound to one
	Hashes     []hashmatch.Hash       `json:"hashes"`
	Thresholds map[hashmatch.Kind]int `json:"thresholds,omitempty"` // narrower than the policy's; nil for the policy's
}

// Match searches hashes. The results are in the order of the hashes.
func (c *Client) Match(ctx context.Context, q MatchQuery) (MatchAnswer, error) {
	var answer MatchAnswer
	if err := c.json(ctx, http.MethodPost, "/v1/match", nil, q, &answer); err != nil {
		return MatchAnswer{}, fmt.Errorf("match: %w", err)
	}
	if len(answer.Results) != len(q.Hashes) {
		return MatchAnswer{}, fmt.Errorf("match: %w", ErrAnswer)
	}
	for i, result := range answer.Results {
		if result.Query != q.Hashes[i] {
			return MatchAnswer{}, fmt.Errorf("match: %w", ErrAnswer)
		}
	}
	return answer, nil
}

// Lists returns what the service says of its lists.
func (c *Client) Lists(ctx context.Context) ([]ListStatus, error) {
	var answer struct {
		Lists []ListStatus `json:"lists"`
	}
	if err := c.json(ctx, http.MethodGet, "/v1/lists", nil, nil, &answer); err != nil {
		return nil, fmt.Errorf("lists: %w", err)
	}
	return answer.Lists, nil
}

// ReviewList returns items of the review queue, and the cursor to go on from: "" after the last.
func (c *Client) ReviewList(ctx context.Context, f ReviewFilter) (items []ReviewItem, next string, err error) {
	query := url.Values{}
	for key, value := range map[string]string{"state": string(f.State), "surface": f.Surface, "tenant": f.Tenant, "cursor": f.Cursor} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	var page reviewPage
	if err := c.json(ctx, http.MethodGet, "/v1/review", query, nil, &page); err != nil {
		return nil, "", fmt.Errorf("review: %w", err)
	}
	return page.Items, page.Next, nil
}

// ReviewShow returns one item with its history.
func (c *Client) ReviewShow(ctx context.Context, ref ReviewRef) (ReviewItem, error) {
	var item ReviewItem
	if err := c.json(ctx, http.MethodGet, "/v1/review/"+segment(ref.Item), ref.query(), nil, &item); err != nil {
		return ReviewItem{}, fmt.Errorf("review: %w", err)
	}
	return item, nil
}

// ReviewDecide records a decision. When it returns nil the decision counts; with an error it may count, if the answer
// was lost: the same decision can be sent again.
func (c *Client) ReviewDecide(ctx context.Context, d ReviewDecision) error {
	verb := "/confirm"
	if d.Release {
		verb = "/release"
	}
	request := decisionRequest{Actor: d.Actor, Reason: d.Reason, Correct: d.Correct, Version: d.Version}
	if err := c.json(ctx, http.MethodPost, "/v1/review/"+segment(d.Item)+verb, d.query(), request, nil); err != nil {
		return fmt.Errorf("review: %w", err)
	}
	return nil
}

func (r ReviewRef) query() url.Values {
	query := url.Values{}
	if r.Surface != "" {
		query.Set("surface", r.Surface)
	}
	if r.Tenant != "" {
		query.Set("tenant", r.Tenant)
	}
	return query
}

// segment escapes an item ID as one segment of a path: dots too, since "." and ".." mean something else there.
func segment(id string) string { return strings.ReplaceAll(url.PathEscape(id), ".", "%2E") }

// json sends a JSON request (none if body is nil) and reads a JSON answer (none if answer is nil).
func (c *Client) json(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	one := call{method: method, path: path, query: query, header: http.Header{}, answer: answer, statuses: []int{http.StatusOK}}
	if answer == nil {
		one.statuses = []int{http.StatusNoContent}
	}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		one.body = bytes.NewReader(text)
		one.header.Set("Content-Type", "application/json")
	}
	return c.do(ctx, one)
}

// call is one request, which may be sent more than once.
type call struct {
	method, path string
	query        url.Values
	header       http.Header
	body         io.Reader
	length       int64       // of body in bytes; -1 if it is not known
	answer       any         // where the answer is decoded to; nil for none
	statuses     []int       // those that come with an answer
	again        func() bool // whether an answer that was decoded is worth another try; nil: never
}

// do sends a request until it is answered, at most Tries times.
func (c *Client) do(ctx context.Context, one call) error {
	one.length = -1
	var start int64
	seeker, again := one.body.(io.Seeker)
	if again {
		var err error
		if start, one.length, err = extent(seeker); err != nil {
			again = false // a pipe
		}
	}
	again = again || one.body == nil
	for try := 1; ; try++ {
		wait, worth, err := c.try(ctx, one)
		if !worth || !again || try >= c.config.Tries || ctx.Err() != nil {
			return err
		}
		if wait <= 0 {
			wait = 100 * time.Millisecond << min(try, 6)
		}
		if failed := c.pause(ctx, min(wait, maxClientPause)); failed != nil {
			return errors.Join(failed, err)
		}
		if seeker != nil { // the try before has let go of it, or try said that another is not worth it
			if _, failed := seeker.Seek(start, io.SeekStart); failed != nil {
				return failed
			}
		}
	}
}

// extent returns where a seeker stands and how much is left.
func extent(s io.Seeker) (start, length int64, err error) {
	if start, err = s.Seek(0, io.SeekCurrent); err != nil {
		return 0, -1, err
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, -1, err
	}
	_, err = s.Seek(start, io.SeekStart)
	return start, max(end-start, 0), err
}

// lentBody is a caller's reader as net/http gets it, which reads on after it has returned an answer and says by Close
// that it does no more. It does not close the caller's.
type lentBody struct {
	io.Reader
	once     sync.Once
	returned chan struct{}
}

func (b *lentBody) Close() error {
	b.once.Do(func() { close(b.returned) })
	return nil
}

// try sends a request once. It returns whether another try is worth it, and after how long (0: as the client thinks
// right).
func (c *Client) try(ctx context.Context, one call) (wait time.Duration, worth bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	target := c.base + one.path
	if len(one.query) > 0 {
		target += "?" + one.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, one.method, target, nil)
	if err != nil {
		return 0, false, err
	}
	if one.body != nil && one.length != 0 {
		lent := &lentBody{Reader: one.body, returned: make(chan struct{})}
		request.Body, request.ContentLength = lent, one.length
		defer func() {
			if !worth {
				return
			}
			cancel()
			select {
			case <-lent.returned:
			case <-time.After(time.Second): // its Read hangs: it cannot be sent again
				worth = false
			}
		}()
	}
	request.Header = one.header.Clone()
	if c.config.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.config.Token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, true, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, c.longest+1))
	switch {
	case err != nil:
		return 0, true, err
	case int64(len(text)) > c.longest:
		return 0, false, fmt.Errorf("%w: longer than %d bytes", ErrAnswer, c.longest)
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		wait = time.Duration(min(seconds, 3600)) * time.Second
	}
	err = one.read(response, text)
	worth = response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500
	if err == nil {
		worth = one.again != nil && one.again()
	}
	return wait, worth, err
}

// read decodes an answer, or returns the problem that came instead.
func (one call) read(response *http.Response, text []byte) error {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind == "application/problem+json" {
		var p Problem
		if err := json.Unmarshal(text, &p); err == nil && p.Type != "" {
			p.Status = response.StatusCode
			return p
		}
	}
	for _, status := range one.statuses {
		if response.StatusCode != status {
			continue
		}
		if one.answer == nil {
			return nil
		}
		if kind != "application/json" {
			break
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		if scanned, ok := one.answer.(*Answer); ok {
			*scanned = Answer{} // nothing of an earlier try
		}
		if err := decoder.Decode(one.answer); err != nil {
			return fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		if scanned, ok := one.answer.(*Answer); ok && status != http.StatusOK && scanned.Action == hashmatch.Allow {
			return fmt.Errorf("%w: an allow with status %d", ErrAnswer, status)
		}
		return nil
	}
	return fmt.Errorf("%w: status %d", ErrAnswer, response.StatusCode)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
