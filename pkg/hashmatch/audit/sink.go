package audit

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// FileSink returns a sink that appends each head as a line to a file, made with mode 0600 if it is not there, and
// forces it to disk. The file is opened for each head, so that it can be moved away.
func FileSink(path string) Sink { return fileSink{path} }

type fileSink struct{ path string }

func (s fileSink) Name() string { return "file " + s.path }

func (s fileSink) Send(_ context.Context, h Head) error {
	// Before it is opened: opening a named pipe can wait for ever.
	if info, err := os.Stat(s.path); err == nil && !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	text := h.String() + "\n"
	if info, err := file.Stat(); err != nil {
		return err
	} else if size := info.Size(); size > 0 {
		end := make([]byte, 1)
		if _, err := file.ReadAt(end, size-1); err != nil {
			return err
		}
		if end[0] != '\n' { // a crash or a full disk cut off the last one
			text = "\n" + text
		}
	}
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	return file.Sync()
}

// SyslogSink returns a sink that sends each head to a syslog, as RFC 5424 has it, with facility authpriv and severity
// notice. The address is "unix:PATH" (a socket of datagrams or, if there is none, of a stream) or "HOST:PORT" (UDP,
// over which heads can get lost unnoticed).
func SyslogSink(address string) (Sink, error) {
	path, unix := strings.CutPrefix(address, "unix:")
	if unix {
		if path == "" {
			return nil, errors.New("audit: syslog: unix: which socket?")
		}
		return syslogSink{address, [][2]string{{"unixgram", path}, {"unix", path}}}, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("audit: syslog %q: want HOST:PORT or unix:PATH", address)
	}
	return syslogSink{address, [][2]string{{"udp", address}}}, nil
}

type syslogSink struct {
	address string
	ways    [][2]string // network and address, tried in turn
}

func (s syslogSink) Name() string { return "syslog " + s.address }

// priority is that of facility authpriv (10) and severity notice (5).
const priority = 10*8 + 5

func (s syslogSink) Send(ctx context.Context, h Head) error {
	var conn net.Conn
	var failures []error
	for _, way := range s.ways {
		var err error
		if conn, err = (&net.Dialer{}).DialContext(ctx, way[0], way[1]); err == nil {
			break
		}
		failures = append(failures, err)
	}
	if conn == nil {
		return errors.Join(failures...)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	host, err := os.Hostname()
	if err != nil || host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		host = "-"
	}
	text := fmt.Sprintf("<%d>1 %s %s hashmatch %d audit-head - %s", priority, h.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), host, os.Getpid(), h)
	if conn.RemoteAddr().Network() == "unix" {
		text += "\n"
	}
	_, err = io.WriteString(conn, text)
	return err
}

// HTTP is where HTTPSink posts heads to. Only URL is required.
type HTTP struct {
	URL     string         // http or https; redirects are not followed
	Header  http.Header    // added to each request: an Authorization, for one
	Timeout time.Duration  // of one attempt; 0 means 10 seconds
	Roots   *x509.CertPool // whom to believe that the receiver is who it says; nil means the system's
}

// HTTPSink returns a sink that posts each head as JSON. It has arrived when the answer has a status of 200 to 299.
func HTTPSink(to HTTP) (Sink, error) {
	u, err := url.Parse(to.URL)
	switch {
	case err != nil:
		return nil, errors.New("audit: head URL: it cannot be read")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("audit: head URL: want one of http or https with a host")
	case u.User != nil:
		return nil, errors.New("audit: head URL: it holds a password, which belongs into a header")
	case to.Timeout < 0:
		return nil, fmt.Errorf("audit: head URL: a timeout of %s", to.Timeout)
	}
	if to.Timeout == 0 {
		to.Timeout = 10 * time.Second
	}
	to.Header = to.Header.Clone()
	if to.Header == nil {
		to.Header = make(http.Header)
	}
	to.Header.Set("Content-Type", "application/json")
	to.Header.Set("User-Agent", "hashmatch")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: to.Roots, MinVersion: tls.VersionTLS12}
	transport.MaxResponseHeaderBytes = maxAnswer
	return &httpSink{to, u.Scheme + "://" + u.Host, &http.Client{
		Transport:     transport,
		Timeout:       to.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

type httpSink struct {
	to     HTTP
	name   string // without path and query, which can hold a password
	client *http.Client
}

// maxAnswer bounds what is read of an answer; nothing but its status is used.
const maxAnswer = 64 << 10

func (s *httpSink) Name() string { return s.name }

func (s *httpSink) Send(ctx context.Context, h Head) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.to.URL, bytes.NewReader([]byte(h.String())))
	if err != nil {
		return errors.New("the request cannot be made")
	}
	request.Header = s.to.Header.Clone()
	response, err := s.client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL
		}
		return err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // so that the connection can be used again
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	return nil
}
