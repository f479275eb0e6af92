package readiness

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// withStatus returns a list with the entries of another, each with the status.
func withStatus(t *testing.T, list *hashlist.List, status func(ordinal uint32) hashmatch.Status) *hashlist.List {
	t.Helper()
	var b hashlist.Builder
	for ordinal, e := range list.Entries() {
		if e.Status != hashmatch.Withdrawn {
			e.Status = status(ordinal)
		}
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	out, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A list that finds everything and acts on nothing is as good as none.
func TestSuspendedListIsNotReady(t *testing.T) {
	r := newRig(t, hashmatch.PDQ)
	c := r.checker(t)
	all := randomList(t, 50, hashmatch.PDQ)
	last := uint32(0)
	for ordinal, e := range all.Entries() {
		if e.Status != hashmatch.Withdrawn {
			last = ordinal
		}
	}
	suspended := withStatus(t, all, func(uint32) hashmatch.Status { return hashmatch.Suspended })
	for name, tc := range map[string]struct {
		list   *hashlist.List
		allows bool
		ready  bool
	}{
		"suspended":                {suspended, false, false},
		"suspended, an allow-list": {suspended, true, true},
		"active":                   {all, false, true},
		"disputed":                 {withStatus(t, all, func(uint32) hashmatch.Status { return hashmatch.Disputed }), false, true},
		"the last one is active": {withStatus(t, all, func(o uint32) hashmatch.Status {
			if o == last {
				return hashmatch.Active
			}
			return hashmatch.Suspended
		}), false, true},
	} {
		r.serve(t, tc.list)
		r.bounds[0].Allows = tc.allows
		for range 2 { // the second time it is known
			err := c.Check(t.Context())
			if (err == nil) != tc.ready || err != nil && !strings.Contains(err.Error(), `list "demo": every entry of it is suspended`) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A list from the future grows old all the same.
func TestListFromTheFuture(t *testing.T) {
	r := newRig(t, hashmatch.PDQ)
	r.bounds[0].MaxAge = time.Hour
	var log bytes.Buffer
	c := r.checker(t)
	c.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	r.serve(t, randomList(t, 50, hashmatch.PDQ).WithSynced(r.clock.Add(1000*time.Hour)))
	for range 3 {
		if err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.clock = r.clock.Add(25 * time.Minute)
	}
	if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "its last sync was 1h15m") {
		t.Errorf("75 minutes later: %v", err)
	}
	if n := strings.Count(log.String(), "in the future"); n != 1 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	r.serve(t, randomList(t, 50, hashmatch.PDQ).WithSynced(r.clock)) // a sync mends it
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
