package review

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.org/hashmatch/pkg/hashmatch"
)

func TestDecisionsAreAuditedBeforeTheyCount(t *testing.T) {
	var told []Decision
	var refuse error
	var q *Queue
	q = openTest(t, Config{
		now: func() time.Time { return noon },
		Audit: func(ctx context.Context, d Decision) error {
			if got := mustShow(t, q, d.Item); got.State != d.Previous {
				t.Errorf("it counts before it is audited: %s", got.State)
			}
			told = append(told, d)
			return refuse
		},
	})
	submit(t, q, near("a", "e1"))
	before := mustShow(t, q, "a")

	refuse = errors.New("disk full")
	if err := q.Release(t.Context(), Ref{Item: "a"}, byAnn); !errors.Is(err, refuse) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, mustShow(t, q, "a")); diff != "" {
		t.Fatal(diff)
	}
	refuse = nil
	if err := q.Release(t.Context(), Ref{Item: "a"}, byAnn); err != nil {
		t.Fatal(err)
	}
	want := Decision{
		Item: "a", Surface: "posts", Tenant: "t1", Region: "eu", State: Released, Previous: Pending,
		Actor: "ann", Reason: byAnn.Reason, Time: noon, Action: hashmatch.Hold, Policy: "p1",
	}
	if diff := cmp.Diff([]Decision{want, want}, told); diff != "" {
		t.Error(diff)
	}
}

func TestAuditThatPanics(t *testing.T) {
	q := openTest(t, Config{Audit: func(context.Context, Decision) error { panic("no") }})
	submit(t, q, near("a", "e1"))
	if err := q.Release(t.Context(), Ref{Item: "a"}, byAnn); err == nil {
		t.Error("released")
	}
	if got := mustShow(t, q, "a"); got.State != Pending {
		t.Error(got.State)
	}
}

func TestDecidingTwice(t *testing.T) {
	q := openTest(t, Config{})
	submit(t, q, near("a", "e1"))
	ref := Ref{Item: "a", Surface: "posts", Tenant: "t1"}
	for i, c := range []struct {
		decide func(context.Context, Ref, By) error
		by     By
		err    error
		state  State
		events int
	}{
		{q.Release, byAnn, nil, Released, 1},
		{q.Release, By{Actor: "bob", Reason: "me too"}, nil, Released, 1},
		{q.Confirm, By{Actor: "bob", Reason: "no"}, ErrDecided, Released, 1},
		{q.Confirm, By{Actor: "bob", Reason: "no", Version: 1}, ErrChanged, Released, 1},
		{q.Confirm, By{Actor: "bob", Reason: "no", Correct: true, Version: 2}, nil, Confirmed, 2},
		{q.Confirm, By{Actor: "bob", Reason: "no", Correct: true}, nil, Confirmed, 2},
		{q.Release, byAnn, ErrDecided, Confirmed, 2},
	} {
		if err := c.decide(t.Context(), ref, c.by); !errors.Is(err, c.err) {
			t.Fatalf("%d: %v", i, err)
		}
		if got := mustShow(t, q, "a"); got.State != c.state || len(got.History) != c.events {
			t.Fatalf("%d: %+v", i, got)
		}
	}
	history := mustShow(t, q, "a").History
	if history[0].Event != "released" || history[0].Correct || history[1].Event != "confirmed" || !history[1].Correct || history[1].Actor != "bob" {
		t.Errorf("%+v", history)
	}
}

func TestDecisionsNeedActorAndReason(t *testing.T) {
	q := openTest(t, Config{Audit: func(context.Context, Decision) error { t.Error("audited"); return nil }})
	submit(t, q, near("a", "e1"))
	for _, by := range []By{
		{}, {Actor: "ann"}, {Reason: "r"}, {Actor: " \t", Reason: "r"}, {Actor: "ann", Reason: "\n"}, {Actor: "a\x00", Reason: "r"},
		{Actor: "a\xff", Reason: "r"}, {Actor: strings.Repeat("a", MaxActor+1), Reason: "r"}, {Actor: "a", Reason: strings.Repeat("a", MaxReason+1)},
	} {
		if err := q.Release(t.Context(), Ref{Item: "a"}, by); !errors.Is(err, ErrWho) {
			t.Errorf("%.20q %.20q: %v", by.Actor, by.Reason, err)
		}
	}
	if err := q.Confirm(t.Context(), Ref{Item: "none"}, byAnn); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// An item that changes while it is audited is not decided: the person has not seen what it has become.
func TestItemChangesWhileItIsDecided(t *testing.T) {
	var q *Queue
	q = openTest(t, Config{Audit: func(context.Context, Decision) error {
		return q.Submit(t.Context(), exact("a", "e1"))
	}})
	submit(t, q, near("a", "e1"))
	if err := q.Release(t.Context(), Ref{Item: "a"}, byAnn); !errors.Is(err, ErrChanged) {
		t.Fatal(err)
	}
	if got := mustShow(t, q, "a"); got.State != Pending || got.Action != hashmatch.Block {
		t.Fatalf("%+v", got)
	}
}

// What the program beside the service decides is audited by the service, and only then is the caller told.
func TestDecidedBesideTheService(t *testing.T) {
	receiver := newReceiver(t)
	path := file(t)
	beside := openTest(t, Config{File: path, Later: true})
	submit(t, beside, near("a", "e1"))
	if err := beside.Release(t.Context(), Ref{Item: "a"}, byAnn); err != nil {
		t.Fatal(err)
	}
	if err := beside.Close(); err != nil {
		t.Fatal(err)
	}
	refuse := make(chan error, 1)
	refuse <- errors.New("disk full")
	audited := make(chan Decision, 9)
	service := openTest(t, Config{File: path, Callback: receiver.callback(), Audit: func(_ context.Context, d Decision) error {
		select {
		case err := <-refuse:
			if n := len(receiver.messages()); n > 0 {
				t.Errorf("%d sent without an audit", n)
			}
			return err
		default:
		}
		audited <- d
		return nil
	}})
	if s := service.Stats(); s.Unaudited != 1 || s.Undelivered != 1 {
		t.Errorf("%+v", s)
	}
	run(t, service)
	receiver.wait(t, 1)
	if d := <-audited; d.Actor != "ann" || d.State != Released || d.Previous != Pending || d.Region != "eu" {
		t.Errorf("%+v", d)
	}
	if len(audited) != 0 {
		t.Error("audited twice")
	}
}

func TestLaterTakesNoAudit(t *testing.T) {
	if _, err := Open(t.Context(), Config{File: file(t), Later: true, Audit: func(context.Context, Decision) error { return nil }}); err == nil {
		t.Error("opened")
	}
}

func TestItemsPastTheirTimeAreDeleted(t *testing.T) {
	now := noon
	q := openTest(t, Config{Keep: time.Hour, now: func() time.Time { return now }})
	const n = 2*cleanGroup + 10
	err := q.write(t.Context(), func(ctx context.Context, tx *sql.Tx) error { // a thousand fsyncs saved
		for i := range n {
			r := near(fmt.Sprint(i), "e1")
			if err := q.recordOne(ctx, tx, &submission{record: r, evidence: newEvidence(r), text: []byte("{}")}); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "UPDATE items SET state = 'released', decided = ?", now.UnixMicro())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	submit(t, q, near("pending", "e1"), near("late", "e1"))
	now = now.Add(30 * time.Minute)
	if err := q.Release(t.Context(), Ref{Item: "late"}, byAnn); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		pass time.Duration
		left int64
	}{{0, n + 2}, {31 * time.Minute, 2}, {30 * time.Minute, 1}, {1000 * time.Hour, 1}} {
		now = now.Add(step.pass)
		if err := q.clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left, orphans int64
		if err := q.db.QueryRow("SELECT (SELECT count(*) FROM items), (SELECT count(*) FROM history WHERE seq NOT IN (SELECT seq FROM items))").Scan(&left, &orphans); err != nil {
			t.Fatal(err)
		}
		if left != step.left || orphans != 0 {
			t.Fatalf("after %s: %d items, %d events without one", step.pass, left, orphans)
		}
	}
}

// IDs of decisions grow: with the clock set back, after the last ones were deleted, and after a backup was restored.
func TestDecisionIDsGrow(t *testing.T) {
	now, path := noon, file(t)
	q := openTest(t, Config{File: path, now: func() time.Time { return now }, Callback: &Callback{URL: "http://127.0.0.1:1/", Secret: secret}})
	var last int64
	decided := func(item string) {
		t.Helper()
		submit(t, q, near(item, "e1"))
		if err := q.Release(t.Context(), Ref{Item: item}, byAnn); err != nil {
			t.Fatal(err)
		}
		var id int64
		if err := q.db.QueryRow("SELECT max(id) FROM outbox").Scan(&id); err != nil {
			t.Fatal(err)
		}
		if id <= last {
			t.Errorf("%s: %d after %d", item, id, last)
		}
		last = id
	}
	decided("a")
	now = now.AddDate(-1, 0, 0)
	decided("back")
	if _, err := q.db.Exec("DELETE FROM items"); err != nil {
		t.Fatal(err)
	}
	decided("deleted")
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	now = noon.Add(time.Hour)
	q = openTest(t, Config{now: func() time.Time { return now }, Callback: &Callback{URL: "http://127.0.0.1:1/", Secret: secret}}) // as of a backup
	decided("restored")
}
