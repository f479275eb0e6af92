package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/policy"
	"example.org/hashmatch/pkg/hashmatch/promotion"
)

// aside says of a list that something else is served than what its file holds.
type aside struct {
	promotion.Aside
	decisions int // how many there were when it was set aside
}

// SetAside returns the revisions that are set aside, in the order of the lists: what their files hold is not in force.
func (e *Engine) SetAside() []promotion.Aside { return e.state.Load().aside }

// promoting is the way of one list from its file into service.
type promoting struct {
	*Engine
	c     *Config
	list  List
	store promotion.Store

	decided promotion.Decisions
	pin     *promotion.Decision // the roll-back in force; nil: none
	state   promotion.State
	old     loaded // what is in force; its served is nil if nothing is
	usable  bool   // old can go on serving
}

// promote returns what is to be served of a list: what its file holds or, if a guard, the proof or a person is against
// it, what was in force, without what the file's revision withdraws. It changes nothing on disk: settle does.
func (e *Engine) promote(ctx context.Context, c *Config, l List) (loaded, error) {
	if !e.options.Guard {
		return e.load(ctx, c, l)
	}
	p := promoting{Engine: e, c: c, list: l, store: c.Revisions(l)}
	file, err := p.run(ctx)
	if err != nil && !strings.HasPrefix(err.Error(), "list ") {
		err = fmt.Errorf("list %q: %w", l.Name, err)
	}
	return file, err
}

func (p *promoting) run(ctx context.Context) (file loaded, err error) {
	if p.decided, err = p.store.Decisions(); err != nil {
		return loaded{}, fmt.Errorf("decisions: %w", err)
	}
	if pin, pinned := p.decided.Pinned(); pinned {
		p.pin = &pin
	}
	if p.state, err = p.store.State(); err != nil {
		return loaded{}, fmt.Errorf("accepted revisions: %w", err)
	}
	reading, err := p.c.Reading(p.list, time.Now())
	if err != nil {
		return loaded{}, err
	}
	if old, known := p.files[p.list.Name]; known {
		p.old = old
		p.usable = old.served.Err() == nil && old.trust == string(reading.Trust.Text())
	}
	if p.settled() {
		return p.old, nil
	}
	candidate, failed := p.load(ctx, p.c, p.list)
	if ctx.Err() != nil {
		return loaded{}, ctx.Err()
	}
	if failed != nil {
		return p.unreadable(ctx, failed)
	}
	revision := candidate.served.List().Revision()
	a := promotion.Aside{List: p.list.Name, Revision: revision, Entries: candidate.served.List().Len()}
	changes, err := p.judge(ctx, candidate, &a)
	if err == nil && len(a.Reasons) == 0 {
		err = p.prove(ctx, candidate.served, changes, &a)
	}
	if err != nil {
		return loaded{}, err
	}
	if len(a.Reasons) == 0 {
		candidate.aside, candidate.accepted = nil, revision
		return candidate, nil
	}
	return p.setAside(ctx, candidate, a)
}

// settled says whether what is set aside is what was set aside before, and nobody decided on it since.
func (p *promoting) settled() bool {
	info, err := os.Stat(p.list.File)
	return err == nil && p.usable && p.old.aside != nil && p.old.path == p.list.File && p.old.info != nil &&
		sameFile(p.old.info, info) && p.old.aside.decisions == len(p.decided)
}

// judge finds the reasons against a revision. It returns what changes by it, if that is few.
func (p *promoting) judge(ctx context.Context, candidate loaded, a *promotion.Aside) ([]promotion.Change, error) {
	refuse := func(g promotion.Guard, d promotion.Decision) {
		a.Reasons = append(a.Reasons, promotion.Reason{Guard: g, Text: fmt.Sprintf("by %s at %s: %s", d.By, d.Time.Format(time.RFC3339), d.Reason)})
	}
	if p.pin != nil {
		if p.pin.Revision != a.Revision {
			refuse(promotion.GuardRollback, *p.pin)
		}
		return nil, nil
	}
	decision, decided := p.decided.On(a.Revision)
	if decided && decision.Act == promotion.Refuse {
		refuse(promotion.GuardRefused, decision)
		return nil, nil
	}
	before, err := p.before(ctx, a.Revision)
	if err != nil {
		return nil, err
	}
	if before != nil && before.Revision() == a.Revision {
		return nil, nil
	}
	var harmless []hashmatch.Hash
	if p.list.Role != policy.AllowList { // that is what harmless pictures are listed in
		if harmless, err = p.harmless(ctx, p.c, candidate.served.Index().Kinds()); err != nil {
			return nil, fmt.Errorf("guards.clean: %w", err)
		}
	}
	report, err := promotion.Examine(ctx, before, candidate.served, p.c.Guards.withDefaults().bounds(),
		promotion.Harmless{Hashes: harmless, Thresholds: p.c.reaches(p.list)})
	if err != nil {
		return nil, err
	}
	a.Difference, a.Matching, a.Looked, a.Overlapping = report.Difference, report.Matching, report.Looked, report.Overlapping
	if before != nil && !decided {
		a.Reasons = report.Reasons
	} else if len(report.Reasons) > 0 {
		p.log().Warn("a revision trips guards and is served, since "+why(decided), "list", p.list.Name, "revision", a.Revision.Short(),
			"reasons", texts(report.Reasons))
	}
	return report.Few, nil
}

func why(decided bool) string {
	if decided {
		return "a person accepted it"
	}
	return "nothing is known that was in force before"
}

// before returns the list that a revision is compared with: the one in force or, after a start, the one that was
// accepted last; nil if there is none.
func (p *promoting) before(ctx context.Context, revision hashlist.Revision) (*hashlist.List, error) {
	if p.old.served != nil && p.old.served.List().Err() == nil {
		return p.old.served.List(), nil
	}
	if len(p.state.Kept) == 0 || p.state.Kept[0].Revision == revision {
		return nil, nil
	}
	kept, err := p.recall(ctx, p.state.Kept[0].Revision)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		// Were it an error, a lost copy would keep every revision out.
		p.log().Warn("the revision that was accepted last cannot be compared with", "list", p.list.Name, "error", err)
		return nil, nil
	}
	p.old, p.usable = kept, true
	return kept.served.List(), nil
}

// recall loads a kept revision. Its serial is not asked for: it was in force here.
func (p *promoting) recall(ctx context.Context, revision hashlist.Revision) (loaded, error) {
	l := p.list
	l.File = p.store.Path(revision)
	kept, err := p.read(ctx, p.c, l, func(r *seal.Reading) { r.Last = seal.Serial{} })
	if err != nil {
		return loaded{}, fmt.Errorf("kept revision %s: %w", revision.Short(), err)
	}
	if kept.served.List().Revision() != revision {
		return loaded{}, fmt.Errorf("kept revision %s: its file holds another one", revision.Short())
	}
	kept.accepted = revision
	return kept, nil
}

// prove adds a reason if a list cannot be proven to be searched in full. What was proven before is not again.
func (p *promoting) prove(ctx context.Context, served *lookup.Served, changes []promotion.Change, a *promotion.Aside) error {
	if p.old.served != nil && p.old.served.Index() == served.Index() {
		return nil
	}
	proof := promotion.Proof{Thresholds: p.c.reaches(p.list)}
	err := proof.Prove(ctx, served)
	if err == nil {
		err = proof.ProveChanges(ctx, served, changes)
	}
	if errors.Is(err, promotion.ErrProof) {
		a.Reasons = append(a.Reasons, promotion.Reason{Guard: promotion.GuardProof, Text: err.Error()})
		return nil
	}
	return err
}

// unreadable is what follows from a file that cannot be read, or may not be used. While something is in force the reload
// fails as a whole; after a start, what was accepted last is better than nothing.
func (p *promoting) unreadable(ctx context.Context, failed error) (loaded, error) {
	rolled := p.pin != nil && p.old.accepted != p.pin.Revision
	if !rolled && (p.usable || p.pin == nil && len(p.state.Kept) == 0) {
		return loaded{}, failed
	}
	a := promotion.Aside{List: p.list.Name, Reasons: []promotion.Reason{{Guard: promotion.GuardUnreadable, Text: bounded(failed.Error())}}}
	file, err := p.setAside(ctx, loaded{path: p.list.File}, a)
	if err != nil {
		return loaded{}, errors.Join(failed, err)
	}
	return file, nil
}

// bounded cuts a text off.
func bounded(text string) string {
	const most = 500
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// setAside returns what serves in the place of a candidate. Of a candidate that could not be read only path is there.
func (p *promoting) setAside(ctx context.Context, candidate loaded, a promotion.Aside) (loaded, error) {
	serving, err := p.inPlace(ctx)
	if err != nil {
		return loaded{}, fmt.Errorf("set aside (%s), and nothing can serve in its place: %w", texts(a.Reasons), err)
	}
	a.Serving, a.Since = serving.accepted, time.Now().UTC().Truncate(time.Second)
	if candidate.served != nil {
		next := candidate.served.List()
		candidate.served = nil // two revisions in memory at most
		if serving.served, a.Applied, err = p.withdraw(ctx, serving.served, next); err != nil {
			return loaded{}, err
		}
	}
	serving.path, serving.info, serving.holds = candidate.path, candidate.info, candidate.holds
	serving.aside = &aside{Aside: a, decisions: len(p.decided)}
	p.log().Warn("a revision of a list is set aside, and another one serves", "list", a.List, "revision", a.Revision.Short(),
		"reasons", texts(a.Reasons), "serving", a.Serving.Short(), "withdrawn", a.Applied)
	return serving, nil
}

// inPlace returns the list that serves when the candidate must not: the one that a person rolled back to, the one in
// force, or the one that was accepted last.
func (p *promoting) inPlace(ctx context.Context) (loaded, error) {
	if p.usable && (p.pin == nil || p.old.accepted == p.pin.Revision) {
		return p.old, nil
	}
	var revision hashlist.Revision
	switch {
	case p.pin != nil:
		revision = p.pin.Revision
	case len(p.state.Kept) > 0:
		revision = p.state.Kept[0].Revision
	default:
		return loaded{}, errors.New("no revision is kept")
	}
	kept, err := p.recall(ctx, revision)
	if err != nil {
		return loaded{}, err
	}
	var against promotion.Aside
	if err := p.prove(ctx, kept.served, nil, &against); err != nil {
		return loaded{}, err
	}
	if len(against.Reasons) > 0 {
		return loaded{}, errors.New(texts(against.Reasons))
	}
	return kept, nil
}

// withdraw returns served without what next withdraws. A list of which nothing would be left stays as it is: matching
// against nothing would call everything clean.
func (p *promoting) withdraw(ctx context.Context, served *lookup.Served, next *hashlist.List) (*lookup.Served, int, error) {
	list, n, err := promotion.Withdraw(ctx, served.List(), next, time.Now())
	if err != nil || n == 0 {
		return served, 0, err
	}
	less, err := lookup.Serve(ctx, p.list.Name, list.WithSynced(served.List().Synced()))
	if errors.Is(err, lookup.ErrEmptyList) {
		p.log().Warn("withdrawals are not applied: nothing of the list would be left", "list", p.list.Name, "withdrawn", n)
		return served, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var against promotion.Aside
	if err := p.prove(ctx, less, nil, &against); err != nil {
		return nil, 0, err
	}
	if len(against.Reasons) > 0 {
		return nil, 0, fmt.Errorf("withdrawing %d entries: %s", n, texts(against.Reasons))
	}
	return less, n, nil
}

// settle records what was put in force. What cannot be recorded is logged: it is in force all the same, and a restart
// then compares with what was recorded before.
func (e *Engine) settle(c *Config, files map[string]loaded) {
	if !e.options.Guard {
		return
	}
	for _, l := range c.Lists {
		file, store := files[l.Name], c.Revisions(l)
		var err error
		if file.aside != nil {
			err = store.SetAside(file.aside.Aside)
		} else {
			kept := promotion.Kept{
				Revision: file.accepted, Entries: file.served.List().Len(), Accepted: time.Now().UTC().Truncate(time.Second),
			}
			err = store.Accept(kept, l.File, func(now os.FileInfo) bool { return sameFile(file.info, now) })
		}
		if err != nil {
			e.log().Warn("what is in force was not recorded: after a restart it is not known, and it cannot be rolled back to",
				"list", l.Name, "error", err)
		}
	}
}

func texts(reasons []promotion.Reason) string {
	var parts []string
	for _, r := range reasons {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, "; ")
}
