package hma

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// fetcher fetches the files that the parameter url names, from where the operator allows it and nowhere else.
type fetcher struct {
	from    []*url.URL
	timeout time.Duration
	client  *http.Client
}

func newFetcher(from []string, timeout time.Duration) (*fetcher, error) {
	f := &fetcher{timeout: timeout, client: &http.Client{
		Transport: &http.Transport{ // no proxy of the environment, and no compression: the bytes are what is scanned
			DisableCompression: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, text := range from {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" ||
			u.Fragment != "" || !strings.HasSuffix(u.Path, "/") || path.Clean(u.Path)+"/" != u.Path && u.Path != "/" {
			return nil, fmt.Errorf("fetch from %q: want scheme, host and a path that ends in /", text)
		}
		f.from = append(f.from, u)
	}
	return f, nil
}

// errURL is the refusal of a url that is not allowed; it says nothing of what is.
var errURL = &refusal{http.StatusForbidden, "files are not fetched from there: send the file itself"}

// allowed returns the URL if it is one below those that are allowed.
func (f *fetcher) allowed(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Opaque != "" || u.RawPath != "" || strings.ContainsAny(text, "\\\r\n\t ") {
		return nil, errURL
	}
	if clean := path.Clean(u.Path); clean != u.Path && clean+"/" != u.Path {
		return nil, errURL
	}
	for _, from := range f.from {
		if u.Scheme == from.Scheme && u.Host == from.Host && strings.HasPrefix(u.Path, from.Path) {
			return u, nil
		}
	}
	return nil, errURL
}

// fetched fetches the file that a request names. done must be called when the file was read.
func (h *Handler) fetched(r *request) (f *file, done func(), err error) {
	if r.query.Get("url") == "" {
		return nil, nil, bad("url is required")
	}
	u, err := h.fetch.allowed(r.query.Get("url"))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.fetch.timeout)
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, nil, errURL
	}
	answer, err := h.fetch.client.Do(get)
	if err != nil {
		cancel()
		return nil, nil, errNotFetched
	}
	done = func() { answer.Body.Close(); cancel() }
	f = &file{content: answer.Body, size: answer.ContentLength, end: func() error { return nil }}
	f.contentType, err = fetchedType(r.query.Get("content_type"), answer.Header.Get("Content-Type"))
	switch {
	case answer.StatusCode != http.StatusOK:
		err = errNotFetched
	case answer.ContentLength > h.config.MaxBytes:
		err = &refusal{http.StatusRequestEntityTooLarge, "the file is too long"}
	case answer.Header.Get("Content-Encoding") != "":
		err = errNotFetched
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return f, done, nil
}

var errNotFetched = &refusal{http.StatusBadGateway, "the file could not be fetched"}

func fetchedType(stated, header string) (string, error) {
	switch {
	case stated == photo || stated == video:
		return stated, nil
	case stated != "":
		return "", bad("no such content type")
	case strings.HasPrefix(strings.ToLower(header), "image"):
		return photo, nil
	case strings.HasPrefix(strings.ToLower(header), "video"):
		return video, nil
	}
	return "", bad("the file's content type is neither an image nor a video: state content_type")
}
