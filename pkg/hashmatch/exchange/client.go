package exchange

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Errors of asking an exchange.
var (
	// ErrRefused: the exchange does not accept the credentials (401, 403).
	ErrRefused = errors.New("the exchange refuses these credentials")
	// ErrTooLarge: an answer is longer than the bound.
	ErrTooLarge = errors.New("the answer is longer than is allowed")
	// ErrRedirected: the exchange sends to another host, or to one without TLS.
	ErrRedirected = errors.New("redirected to where credentials are not sent")
	// ErrMalformed: an answer was not understood.
	ErrMalformed = errors.New("the answer is malformed")

	errStalled = errors.New("nothing came for too long")
	errCutOff  = errors.New("the answer's end cannot be told: neither a length nor chunks")
)

// statusError is an answer that is not 200.
type statusError struct {
	status int
	after  time.Duration // what Retry-After asks for; 0 if nothing
}

func (e *statusError) Error() string {
	text := http.StatusText(e.status)
	if text == "" {
		text = "unknown status"
	}
	return fmt.Sprintf("%d %s", e.status, text)
}

// BusyError says that the exchange asks to wait longer than a sync does.
type BusyError struct{ After time.Duration }

// Error tells how long.
func (e *BusyError) Error() string {
	return fmt.Sprintf("the exchange asks to wait %s", e.After.Round(time.Second))
}

// client asks one exchange.
type client struct {
	base      *url.URL
	authorise func(*http.Request) // puts the credentials into a request
	secrets   []string
	http      *http.Client

	timeout  time.Duration // of one request with its answer
	stall    time.Duration // without a byte
	attempts int
	backoff  time.Duration // the first pause; each one after it is twice as long
	longest  time.Duration // pause
	maxAfter time.Duration // that Retry-After is waited for

	wait func(context.Context, time.Duration) error
}

// CheckAddress says what is wrong with the address of an exchange; nil if nothing is.
func CheckAddress(address string) error {
	_, err := checkBase(address)
	return err
}

// checkBase wants TLS unless the host is this machine.
func checkBase(address string) (*url.URL, error) {
	base, err := url.Parse(address)
	switch {
	case err != nil || base.Host == "" || base.Opaque != "":
		return nil, errors.New("want https://HOST/…") // the text may hold a password
	case base.User != nil:
		return nil, errors.New("credentials do not belong into it")
	case base.Fragment != "":
		return nil, errors.New("a fragment")
	case !safe(base):
		return nil, fmt.Errorf("%s://%s: want https, but for this machine itself", base.Scheme, base.Host)
	}
	return base, nil
}

// safe reports whether nobody between here and there can read along.
func safe(u *url.URL) bool {
	switch u.Scheme {
	case "https":
		return true
	case "http":
		host := u.Hostname()
		ip, err := netip.ParseAddr(host)
		return host == "localhost" || err == nil && ip.IsLoopback()
	}
	return false
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host) }

// newTransport has a bound for everything that can take time or memory.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    15 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           2,
		IdleConnTimeout:        30 * time.Second,
	}
}

// redirect follows to the same origin, and to another one only if it gets no credentials.
func (c *client) redirect(r *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("redirected too often")
	}
	if !safe(r.URL) || len(c.secrets) > 0 && !sameOrigin(r.URL, c.base) {
		return ErrRedirected
	}
	return nil
}

// resolve returns the address that an answer refers to: of the same origin, below the base's path.
func (c *client) resolve(reference string) (*url.URL, error) {
	u, err := c.base.Parse(reference)
	if err != nil {
		return nil, fmt.Errorf("%w: an address that cannot be read", ErrMalformed)
	}
	if !sameOrigin(u, c.base) || u.User != nil {
		return nil, ErrRedirected
	}
	return u, nil
}

// answer is what came back with 200 or 304.
type answer struct {
	status int
	header http.Header
	date   time.Time // by the server's clock; zero if it does not say
}

// once asks once and calls read with the body, bounded in bytes and time.
func (c *client) once(ctx context.Context, u *url.URL, header http.Header, limit int64, read func(answer, io.Reader) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errors.New("not done in time"))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watchdog := time.AfterFunc(c.stall, func() { stop(errStalled) })
	defer watchdog.Stop()

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return errors.New("the address cannot be asked")
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", "hashmatch")
	c.authorise(r)
	resp, err := c.http.Do(r)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer resp.Body.Close()
	watchdog.Reset(c.stall)
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.date, _ = http.ParseTime(resp.Header.Get("Date"))
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return read(a, http.NoBody)
	default:
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		return &statusError{resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), a.date)}
	}
	if resp.ContentLength < 0 && resp.ProtoMajor == 1 && len(resp.TransferEncoding) == 0 && !resp.Uncompressed {
		return errCutOff
	}
	if resp.ContentLength > limit {
		return ErrTooLarge
	}
	body := &bounded{r: resp.Body, left: limit, progress: func() { watchdog.Reset(c.stall) }}
	err = read(a, body)
	if body.err != nil && body.err != io.EOF { // what read made of it says less
		err = body.err
	}
	if err == nil { // whoever stopped reading before the end has not seen whether there is one
		if _, err = io.Copy(io.Discard, body); err == nil && body.err != nil && body.err != io.EOF {
			err = body.err
		}
	}
	if err != nil {
		return c.explain(ctx, err)
	}
	return nil
}

// bounded reads at most so many bytes, tells of each reading, and keeps its error.
type bounded struct {
	r        io.Reader
	left     int64
	progress func()
	err      error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if n > 0 {
		b.progress()
	}
	if b.left < 0 {
		n, err = 0, ErrTooLarge
	}
	b.err = err
	return n, err
}

// explain takes addresses and credentials out of an error, and says which bound ended the request.
func (c *client) explain(ctx context.Context, err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		err = cause
	}
	for _, secret := range c.secrets {
		if strings.Contains(err.Error(), secret) {
			return errors.New("an error that repeats the credentials")
		}
	}
	return err
}

// retryAfter reads the header: seconds, or a time that is compared with the server's own clock. 0 means that it says
// nothing.
func retryAfter(text string, date time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date.IsZero() {
		date = time.Now()
	}
	return max(0, at.Sub(date))
}

// again reports whether asking again can help.
func again(err error) bool {
	var status *statusError
	switch {
	case errors.As(err, &status):
		return status.status >= 500 || status.status == http.StatusTooManyRequests || status.status == http.StatusRequestTimeout
	case errors.Is(err, ErrRedirected), errors.Is(err, ErrTooLarge):
		return false
	}
	return true // a connection that broke, a body that was cut off, an answer that was not understood
}

// get asks until the answer is understood, for so many attempts. It returns how many it made.
func (c *client) get(ctx context.Context, u *url.URL, header http.Header, limit int64, read func(answer, io.Reader) error) (attempts int, err error) {
	for {
		attempts++
		err = c.once(ctx, u, header, limit, read)
		if err == nil {
			return attempts, nil
		}
		if ctx.Err() != nil {
			return attempts, ctx.Err()
		}
		var status *statusError
		if errors.As(err, &status) && (status.status == http.StatusUnauthorized || status.status == http.StatusForbidden) {
			return attempts, fmt.Errorf("%w: %w", ErrRefused, status)
		}
		if !again(err) || attempts >= c.attempts {
			return attempts, err
		}
		pause := min(c.longest, c.backoff<<min(attempts-1, 20))
		pause = pause/2 + rand.N(pause/2+1)
		if status != nil && status.after > 0 {
			if status.after > c.maxAfter {
				return attempts, &BusyError{status.after}
			}
			pause = max(pause, status.after+rand.N(c.backoff+1))
		}
		if err := c.wait(ctx, pause); err != nil {
			return attempts, err
		}
	}
}

// sleep waits, or returns the context's error at once when it ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
