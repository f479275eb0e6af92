package hook

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"example.org/hashmatch/pkg/hashmatch/gate"
)

// reviewPage is what /v1/review returns at once.
type reviewPage struct {
	Items []ReviewItem `json:"items"`
	Next  string       `json:"next"` // the cursor to go on from; "" after the last
}

// maxReviewPage bounds one page: an item can carry MaxReportedMatches matches.
const maxReviewPage = 1000

func (a *api) reviewList(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "state", "surface", "tenant", "limit", "cursor")
	if err != nil {
		return err
	}
	filter := ReviewFilter{
		State: ReviewState(values.Get("state")), Tenant: values.Get("tenant"), Cursor: values.Get("cursor"),
	}
	if filter.Surface, err = a.ownSurface(r, values); err != nil {
		return err
	}
	if text := values.Get("limit"); text != "" {
		if filter.Limit, err = strconv.Atoi(text); err != nil || filter.Limit < 1 || filter.Limit > maxReviewPage {
			return problemRequest.with("limit: want 1 to " + strconv.Itoa(maxReviewPage))
		}
	}
	items, next, err := a.Review.List(r.Context(), filter)
	if err != nil {
		return reviewProblem(err)
	}
	page := reviewPage{Items: []ReviewItem{}, Next: next}
	for _, item := range items {
		page.Items = append(page.Items, complete(item))
	}
	writeJSON(w, http.StatusOK, page)
	return nil
}

// ownSurface returns the surface whose items the caller asks for: "" for all of them, which is not open to a caller
// whose token, or a listener that, is for some.
func (a *api) ownSurface(r *http.Request, values url.Values) (string, error) {
	name := values.Get("surface")
	caller := CallerOf(r.Context())
	if name == "" {
		switch {
		case a.Surface != "":
			name = a.Surface
		case len(caller.surfaces) == 1:
			name = caller.surfaces[0]
		case len(caller.surfaces) > 1:
			return "", problemSurface.with("the token is for some surfaces: name one")
		}
	}
	if a.Surface != "" && name != a.Surface || name != "" && !caller.MayUse(name) {
		return "", problemSurface
	}
	return name, nil
}

// reviewRef returns the item that the path names. An ID may hold slashes: they are escaped there.
func (a *api) reviewRef(r *http.Request) (ReviewRef, error) {
	values, err := query(r, "surface", "tenant")
	if err != nil {
		return ReviewRef{}, err
	}
	ref := ReviewRef{Item: r.PathValue("id"), Tenant: values.Get("tenant")}
	if ref.Surface, err = a.ownSurface(r, values); err != nil {
		return ReviewRef{}, err
	}
	if ref.Item == "" || gate.CheckID(ref.Item) != nil {
		return ReviewRef{}, problemItem
	}
	return ref, nil
}

func (a *api) reviewShow(w http.ResponseWriter, r *http.Request) error {
	ref, err := a.reviewRef(r)
	if err != nil {
		return err
	}
	caller := CallerOf(r.Context())
	if caller.Name == "" {
		return problemUnauthenticated
	}
	item, err := a.Review.Show(r.Context(), ref)
	if err != nil {
		return reviewProblem(err)
	}
	if !caller.May(ScopeAdmin) { // the application, which asks what was decided; not by whom
		item.Caller, item.Actor, item.Reason, item.History = "", "", "", nil
	}
	writeJSON(w, http.StatusOK, complete(item))
	return nil
}

type decisionRequest struct {
	Actor   string `json:"actor"` // the person, where the token is a program's
	Reason  string `json:"reason"`
	Correct bool   `json:"correct"`
	Version int64  `json:"version"`
}

// The lengths of the longest actor and reason, in bytes.
const (
	maxActor  = 128
	maxReason = 4096
)

func (a *api) reviewDecide(release bool) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		ref, err := a.reviewRef(r)
		if err != nil {
			return err
		}
		var request decisionRequest
		if err := readJSON(w, r, &request); err != nil {
			return err
		}
		actor, err := actorOf(r, request.Actor, request.Reason)
		if err != nil {
			return err
		}
		if request.Version < 0 {
			return problemRequest.with("version: want 0 or more")
		}
		if err := a.Review.Decide(r.Context(), ReviewDecision{
			ReviewRef: ref, Release: release, Actor: actor, Reason: request.Reason, Correct: request.Correct, Version: request.Version,
		}); err != nil {
			return reviewProblem(err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// actorOf names who acts: the person that the request states, as vouched for by the token's holder. Nobody can act in
// another token's name.
func actorOf(r *http.Request, person, reason string) (string, error) {
	if reason == "" || len(reason) > maxReason {
		return "", problemRequest.with("reason: want 1 to " + strconv.Itoa(maxReason) + " bytes")
	}
	if len(person) > maxActor || gate.CheckID(person) != nil {
		return "", problemRequest.with("actor: want up to " + strconv.Itoa(maxActor) + " bytes of printable UTF-8")
	}
	holder := CallerOf(r.Context()).Name
	if person == "" {
		return holder, nil
	}
	return person + " (by " + holder + ")", nil
}

// complete makes JSON say [] and {} where there is nothing.
func complete(item ReviewItem) ReviewItem {
	item.Matches = append([]ReviewMatch{}, item.Matches...)
	for i := range item.Matches {
		item.Matches[i].Labels = notNil(item.Matches[i].Labels)
	}
	item.Failures, item.Notes = notNil(item.Failures), notNil(item.Notes)
	item.EffectsFailed, item.History = notNil(item.EffectsFailed), notNil(item.History)
	if item.Revisions == nil {
		item.Revisions = map[string]string{}
	}
	return item
}

func reviewProblem(err error) error {
	switch {
	case errors.Is(err, ErrReviewNotFound):
		return problemNotFound
	case errors.Is(err, ErrReviewAmbiguous):
		return problemAmbiguous
	case errors.Is(err, ErrReviewDecided):
		return problemDecided
	case errors.Is(err, ErrReviewChanged):
		return problemChanged
	case errors.Is(err, ErrReviewRefused):
		return problemRequest.with("the review queue does not take this filter, actor or reason")
	}
	return err
}

func (a *api) breakerTrips(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	if err := a.everySurface(r); err != nil {
		return err
	}
	trips, err := a.Breaker.Trips(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Trips []Trip `json:"trips"`
	}{notNil(trips)})
	return nil
}

func (a *api) breakerLift(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	if err := a.everySurface(r); err != nil {
		return err
	}
	var request struct {
		Actor  string `json:"actor"`
		Reason string `json:"reason"`
	}
	if err := readJSON(w, r, &request); err != nil {
		return err
	}
	actor, err := actorOf(r, request.Actor, request.Reason)
	if err != nil {
		return err
	}
	err = a.Breaker.Lift(r.Context(), Lift{Trip: r.PathValue("id"), Actor: actor, Reason: request.Reason})
	if errors.Is(err, ErrTripNotFound) {
		return problemNotFound
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// everySurface refuses a token that is for some surfaces only: a list's entry is every surface's.
func (a *api) everySurface(r *http.Request) error {
	if len(CallerOf(r.Context()).surfaces) > 0 {
		return problemSurface.with("the token is for some surfaces only")
	}
	return nil
}
