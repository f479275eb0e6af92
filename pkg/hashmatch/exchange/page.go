package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
)

// page is one answer of an exchange that sends its entries in pages.
type page struct {
	entries    []hashmatch.Entry
	count      int    // records, those that were left out too
	refused    int    // records that no list may hold, left out
	uncomputed int    // hashes of schemes that are not computed here, and not kept
	next       string // the address, or token, of what goes on from here; "" if nothing does
	through    int64  // stopncii: where to go on the next time, Unix seconds; 0 if it does not say
}

// dialect is what pages of a dialect look like.
type dialect struct {
	format   format.Format
	envelope func(body []byte) (page, error) // everything but the entries; an error if it is no answer of the dialect
}

// errExpired says that a page's address is not good any more.
var errExpired = errors.New("the address of the next page has expired")

// fetch gets a page. follow says that u came from an earlier page, and may have expired.
func (s *Syncer) fetch(ctx context.Context, u *url.URL, d dialect, follow bool) (page, error) {
	var p page
	attempts, err := s.client.get(ctx, u, nil, s.config.MaxPageBytes, func(a answer, body io.Reader) error {
		text, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		p, err = s.decode(text, d)
		s.heard(a)
		return err
	})
	s.requests++
	s.retries += attempts - 1
	var status *statusError
	switch {
	case err == nil:
		s.refused += p.refused
		s.uncomputed += p.uncomputed
		return p, nil
	case follow && errors.As(err, &status) && slices.Contains([]int{400, 404, 410}, status.status):
		return page{}, errExpired
	}
	return page{}, &pageError{attempts, err}
}

// pageError is a page that could not be had.
type pageError struct {
	attempts int
	err      error
}

func (e *pageError) Error() string { return e.err.Error() }
func (e *pageError) Unwrap() error { return e.err }

// decode reads a page and refuses one with a record that no list may hold, unless such records are to be left out.
func (s *Syncer) decode(text []byte, d dialect) (page, error) {
	p, err := d.envelope(text)
	if err != nil {
		return page{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	result, err := format.Parse(bytes.NewReader(text), format.Options{Format: d.format, AllowSkips: s.config.SkipBadEntries, Now: s.now()},
		func(e hashmatch.Entry) error {
			e.Signatures, e.Labels = slices.Clone(e.Signatures), slices.Clone(e.Labels)
			p.entries = append(p.entries, e)
			return nil
		})
	if err != nil && !errors.Is(err, format.ErrEmpty) {
		return page{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	p.refused, p.count = result.Skipped, len(p.entries)+result.Skipped
	for scheme, n := range result.Uncomputed {
		p.uncomputed += n
		s.log.Debug("hashes that are not computed here were left out", "scheme", scheme, "count", n)
	}
	return p, nil
}

// heard notes the exchange's clock.
func (s *Syncer) heard(a answer) {
	if !a.date.IsZero() {
		s.skew = a.date.Sub(s.now()).Round(time.Second)
		s.date = a.date
	}
}

// trimText takes away what some writers put before and after a document.
func trimText(body []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
}
