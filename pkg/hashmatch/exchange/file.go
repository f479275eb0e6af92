package exchange

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
)

// syncFile makes the list equal to a file, unless the server says that it is the one that was read the last time.
func (s *Syncer) syncFile(ctx context.Context, current *work, begun time.Time) error {
	header := make(http.Header)
	c := current.checkpoint
	if c.Exchange == s.identity && !c.Synced.IsZero() {
		if c.ETag != "" {
			header.Set("If-None-Match", c.ETag)
		}
		if c.Modified != "" {
			header.Set("If-Modified-Since", c.Modified)
		}
	}
	var list *hashlist.List
	next := Checkpoint{Version: checkpointVersion, Exchange: s.identity, Begun: begun}
	attempts, err := s.client.get(ctx, s.client.base, header, s.config.MaxFileBytes, func(a answer, body io.Reader) error {
		s.heard(a)
		list = nil
		if a.status == http.StatusNotModified {
			if len(header) == 0 {
				return fmt.Errorf("%w: not modified, and nobody asked", ErrMalformed)
			}
			return nil
		}
		options := format.Options{Format: s.config.Format, List: s.config.Part, AllowSkips: s.config.SkipBadEntries, AllowList: s.config.AllowList, Now: begun}
		read, result, err := format.Import(body, options)
		if err != nil {
			return err
		}
		if result.More {
			return fmt.Errorf("%w: one page of several, not a whole list", ErrMalformed)
		}
		list, s.refused, s.uncomputed = read, result.Skipped, 0
		for _, n := range result.Uncomputed {
			s.uncomputed += n
		}
		next.ETag, next.Modified = tag(a.header.Get("ETag")), tag(a.header.Get("Last-Modified"))
		return nil
	})
	s.requests++
	s.retries += attempts - 1
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &GapError{From: c.Synced, Attempts: attempts, Err: err}
	}
	if list == nil {
		current.checkpoint.Synced = begun
		current.list = current.list.WithSynced(begun)
		return s.write(ctx, current)
	}
	return s.replace(ctx, current, &work{path: s.partial(), list: list, checkpoint: next}, begun)
}

// tag returns a header's text if a checkpoint can hold it: without one, the file is fetched anew each time.
func tag(text string) string {
	if plainTag(text) {
		return text
	}
	return ""
}
