package service

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"example.org/hashmatch/pkg/hashmatch/audit"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/metrics"
	"example.org/hashmatch/pkg/hashmatch/policy"
	"example.org/hashmatch/pkg/hashmatch/review"
)

// queue is a review.Queue in the words of hook.
type queue struct{ q *review.Queue }

func (a queue) List(ctx context.Context, f hook.ReviewFilter) ([]hook.ReviewItem, string, error) {
	items, next, err := a.q.List(ctx, review.Filter{
		State: review.State(f.State), Surface: f.Surface, Tenant: f.Tenant, Limit: f.Limit, Cursor: f.Cursor,
	})
	if err != nil {
		return nil, "", asHook(err)
	}
	shown := make([]hook.ReviewItem, len(items))
	for i, item := range items {
		shown[i] = shownItem(item)
	}
	return shown, next, nil
}

func (a queue) Show(ctx context.Context, ref hook.ReviewRef) (hook.ReviewItem, error) {
	item, err := a.q.Show(ctx, review.Ref(ref))
	if err != nil {
		return hook.ReviewItem{}, asHook(err)
	}
	return shownItem(item), nil
}

func (a queue) Decide(ctx context.Context, d hook.ReviewDecision) error {
	decide := a.q.Confirm
	if d.Release {
		decide = a.q.Release
	}
	return asHook(decide(ctx, review.Ref(d.ReviewRef), review.By{Actor: d.Actor, Reason: d.Reason, Correct: d.Correct, Version: d.Version}))
}

// asHook gives an error of the queue the sentinel by which hook knows what its caller can do about it.
func asHook(err error) error {
	for _, pair := range []struct{ ours, theirs error }{
		{review.ErrNotFound, hook.ErrReviewNotFound}, {review.ErrAmbiguous, hook.ErrReviewAmbiguous},
		{review.ErrDecided, hook.ErrReviewDecided}, {review.ErrChanged, hook.ErrReviewChanged},
		{review.ErrWho, hook.ErrReviewRefused}, {review.ErrFilter, hook.ErrReviewRefused},
	} {
		if errors.Is(err, pair.ours) {
			return errors.Join(pair.theirs, err)
		}
	}
	return err
}

func shownItem(i review.Item) hook.ReviewItem {
	shown := hook.ReviewItem{
		Item: i.Item, Surface: i.Surface, Tenant: i.Tenant, Region: i.Region, Version: i.Version, Dialect: i.Dialect, Caller: i.Caller,
		Time: i.Time, Action: i.Action, Would: i.Would, Shadow: i.Shadow, Quarantined: i.Quarantined,
		MatchesOmitted: i.MatchesOmitted, Failures: i.Failures, Notes: i.Notes, Revisions: i.Revisions, Policy: i.Policy,
		EffectsFailed: i.EffectsFailed, State: hook.ReviewState(i.State), Actor: i.Actor, Reason: i.Reason, Decided: i.Decided,
	}
	for _, m := range i.Matches {
		shown.Matches = append(shown.Matches, hook.ReviewMatch(m))
	}
	for _, e := range i.History {
		shown.History = append(shown.History, hook.ReviewEvent(e))
	}
	return shown
}

// breaker is the policy's Breaker in the words of hook. A lift is recorded before it counts.
type breaker struct{ s *Service }

func (a breaker) Trips(context.Context) ([]hook.Trip, error) {
	var trips []hook.Trip
	for _, t := range a.s.breaker.Trips() {
		trips = append(trips, hook.Trip{
			ID: t.ID, Cause: string(t.Cause), Surface: t.Surface, Tenant: t.Tenant, List: t.List, Entry: t.Entry, Exact: t.Exact,
			Effect: string(t.Effect), Since: t.Since, Count: t.Count, Bound: t.Bound,
		})
	}
	return trips, nil
}

func (a breaker) Lift(ctx context.Context, l hook.Lift) error {
	if a.s.audit != nil {
		event := audit.Event{Type: "breaker.lifted", Actor: l.Actor, Reason: l.Reason, Detail: map[string]string{"trip": l.Trip}}
		if err := a.s.audit.Event(ctx, event); err != nil {
			return err
		}
	}
	err := a.s.breaker.Lift(l.Trip, l.Actor, l.Reason)
	if errors.Is(err, policy.ErrTripNotFound) {
		return errors.Join(hook.ErrTripNotFound, err)
	}
	return err
}

// Status is what /v1/status says.
type Status struct {
	Version string       `json:"version"`
	Policy  string       `json:"policy"`
	Error   string       `json:"error"` // why it is not ready; "" if it is
	Checked time.Time    `json:"checked"`
	Canary  bool         `json:"canary"`
	Lists   []ListStatus `json:"lists"`
	Aside   []ListAside  `json:"aside"` // revisions of lists that wait for a person, or were refused: others are served
	Gate    gate.Stats   `json:"gate"`
	Tripped int          `json:"tripped"` // floods that nobody has lifted
	Pending int64        `json:"pending"` // items that wait for a person
	Reload  ReloadStatus `json:"reload"`  // the last reading of the configuration and all that it names
	Effects []string     `json:"effects"` // those that failed when they were last tried; the service is not ready then
}

// ListStatus is one list in Status.
type ListStatus struct {
	Name     string    `json:"name"`
	Revision string    `json:"revision"`
	Entries  int       `json:"entries"`
	Synced   time.Time `json:"synced"`
	Age      float64   `json:"age_seconds"`
	Error    string    `json:"error"`
}

// ListAside is one revision in Status that is set aside.
type ListAside struct {
	List     string    `json:"list"`
	Revision string    `json:"revision"` // zeros if its file cannot be read
	Serving  string    `json:"serving"`  // the revision in its place, before what the other withdraws
	Since    time.Time `json:"since"`
	Reasons  []string  `json:"reasons"`
}

// aside returns the revisions that are set aside.
func (s *Service) aside() []ListAside {
	out := []ListAside{}
	for _, a := range s.engine.SetAside() {
		shown := ListAside{List: a.List, Revision: a.Revision.String(), Serving: a.Serving.String(), Since: a.Since}
		for _, reason := range a.Reasons {
			shown.Reasons = append(shown.Reasons, string(reason.Guard))
		}
		out = append(out, shown)
	}
	return out
}

func (s *Service) status() any {
	checked := s.ready.Status()
	out := Status{
		Version: s.options.Version, Policy: s.engine.Policy().Revision(), Checked: checked.Checked, Canary: checked.Canary,
		Lists: []ListStatus{}, Aside: s.aside(), Gate: s.gate.Stats(), Effects: s.effects.failing(),
	}
	if last := s.lastReload.Load(); last != nil {
		out.Reload = *last
	}
	if err := s.judging(); err != nil {
		out.Error = err.Error()
	}
	for _, l := range checked.Lists {
		status := ListStatus{Name: l.Name, Revision: l.Revision, Entries: l.Entries, Synced: l.Synced, Age: l.Age.Seconds()}
		if l.Err != nil {
			status.Error = l.Err.Error()
		}
		out.Lists = append(out.Lists, status)
	}
	if s.breaker != nil {
		out.Tripped = len(s.breaker.Trips())
	}
	if s.review != nil {
		out.Pending = s.review.Stats().Pending
	}
	return out
}

// sources are what the metrics read when they are asked.
func (s *Service) sources() metrics.Sources {
	return metrics.Sources{
		Gate: func() gate.Stats { return s.gate.Stats() }, Readiness: s.ready.Status, Ready: s.judging,
		Reloads: s.reloads,
		Surfaces: func() []string {
			var names []string
			for _, d := range s.engine.Config().Declarations {
				names = append(names, d.Name)
			}
			return names
		},
		Trips: func() int {
			if s.breaker == nil {
				return 0
			}
			return len(s.breaker.Trips())
		},
		Pending: func() metrics.Pending {
			if s.review == nil {
				return metrics.Pending{}
			}
			stats := s.review.Stats()
			return metrics.Pending{Held: stats.Held, Blocked: stats.Blocked}
		},
		Undelivered: func() int64 {
			if s.review == nil {
				return 0
			}
			return s.review.Stats().Undelivered
		},
	}
}

// watching is what a listener of the dialect metrics answers.
func (s *Service) watching() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.judging() != nil {
			answer(w, http.StatusServiceUnavailable, "not ready")
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": text})
}
