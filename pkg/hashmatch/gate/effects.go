package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Record is what the effects are told of one item: everything that explains the answer, and nothing of the content.
type Record struct {
	Item        string
	Surface     string
	Tenant      string
	Region      string
	Dialect     string
	Caller      string
	Time        time.Time
	Action      hashmatch.Action // what the caller was told
	Verdict     hashmatch.Verdict
	Shadow      bool
	Quarantined bool
	Failed      []EffectError // effects before this one that did not happen
}

// Quarantine keeps the content of matches. Package quarantine implements it. It is safe for concurrent use.
type Quarantine interface {
	// Store keeps the content of one item until it expires. It is idempotent: the same item again replaces what was
	// kept of it. When it returns nil the content is on disk. It does not keep the slice.
	Store(ctx context.Context, r Record, content []byte) error
}

// Review holds the items that a person decides on. Package review implements it. It is safe for concurrent use.
type Review interface {
	// Submit records one item. It is idempotent: an item that is there already stays as it is, with what a person has
	// decided about it, unless the new action is stricter. When it returns nil the item is on disk.
	Submit(ctx context.Context, r Record) error
}

// Audit records every answer. Package audit implements it. It is safe for concurrent use.
type Audit interface {
	// Append records one answer. It is idempotent: the same answer for the same item again adds nothing.
	Append(ctx context.Context, r Record) error
}

// Breaker watches for floods. Package policy implements it. It is safe for concurrent use and does not block.
type Breaker interface {
	Observe(surface hashmatch.Surface, v hashmatch.Verdict)
}

// Observer watches every answer, for metrics. It is safe for concurrent use and does not block.
type Observer interface {
	Checked(u Upload, o Outcome)
}

// Effects returns the names of every effect, as EffectError has them.
func Effects() []string { return []string{"quarantine", "review", "audit"} }

// EffectError says which effect did not happen, and why.
type EffectError struct {
	Effect string // "quarantine", "review" or "audit"
	Err    error
}

func (e EffectError) Error() string { return e.Effect + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e EffectError) Unwrap() error { return e.Err }

// errNotHeld is why content was not quarantined that did not fit into memory.
var errNotHeld = errors.New("the content was too long to be kept, or did not arrive whole")

// carryOut makes happen what follows from the verdict: quarantine and review first, audit last, so that it tells of
// them. Each that fails makes the action a hold at least. A caller that went away changes nothing.
func (g *Gate) carryOut(ctx context.Context, u Upload, c *content, o *Outcome) {
	ctx = context.WithoutCancel(ctx)
	r := Record{
		Item: u.ID, Surface: u.Surface.Name(), Tenant: u.Surface.Tenant(), Region: u.Surface.Region(),
		Dialect: u.Dialect, Caller: u.Caller, Time: g.config.now().UTC(),
		Action: o.Action, Verdict: o.Verdict, Shadow: o.Shadow,
	}
	if g.config.Quarantine != nil && Matched(o.Verdict) {
		r.Quarantined = g.effect(ctx, o, "quarantine", func(ctx context.Context) error {
			if !c.whole() {
				return errNotHeld
			}
			return g.config.Quarantine.Store(ctx, r, c.held)
		})
		r.Action, r.Failed = o.Action, slices.Clone(o.Failed)
	}
	// An upload that its sender broke off is nothing for a person to decide on, unless what came matched.
	if g.config.Review != nil && o.Verdict.Would != hashmatch.Allow && (c.err == nil || Matched(o.Verdict)) {
		g.effect(ctx, o, "review", func(ctx context.Context) error { return g.config.Review.Submit(ctx, r) })
		r.Action, r.Failed = o.Action, slices.Clone(o.Failed)
	}
	if g.config.Audit != nil {
		g.effect(ctx, o, "audit", func(ctx context.Context) error { return g.config.Audit.Append(ctx, r) })
	}
}

// effect makes one effect happen and returns whether it did. One that fails, panics or takes too long makes the action
// a hold at least.
func (g *Gate) effect(ctx context.Context, o *Outcome, name string, run func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, g.config.EffectTimeout)
	defer cancel()
	err := safely(ctx, run)
	if err == nil {
		return true
	}
	o.Failed = append(o.Failed, EffectError{name, err})
	if !o.Shadow {
		o.Action = o.Action.Stricter(hashmatch.Hold)
	}
	return false
}

func safely(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return run(ctx)
}

// Matched says whether an entry of a list that is acted on, or would be if it were not in shadow mode, was found.
func Matched(v hashmatch.Verdict) bool {
	return slices.ContainsFunc(v.Matches, func(m hashmatch.Match) bool { return m.Action != hashmatch.Allow })
}

// Reason is the coarse reason for an answer: all that an uploader, or a caller without the scope for more, may learn.
type Reason string

// The reasons. There is none for an allow.
const (
	ReasonMatch      Reason = "match"       // an entry of a list
	ReasonNotScanned Reason = "not_scanned" // it could not be scanned in full
	ReasonNotImage   Reason = "not_image"   // it is not an image, and the surface takes none else
	ReasonLowQuality Reason = "low_quality" // too flat or too small to be searched, and the policy says hold
	ReasonOverloaded Reason = "overloaded"  // no room: send it again later
	ReasonNotReady   Reason = "not_ready"   // the service cannot judge now: send it again later
	ReasonRecord     Reason = "record"      // the verdict could not be recorded as it must be
)

// Reasons returns why the answer is no allow, strongest first; none for an allow.
func (o Outcome) Reasons() []Reason {
	if o.Action == hashmatch.Allow {
		return nil
	}
	var reasons []Reason
	if slices.ContainsFunc(o.Verdict.Matches, func(m hashmatch.Match) bool { return m.Action != hashmatch.Allow && !m.Shadow }) {
		reasons = append(reasons, ReasonMatch)
	}
	scanned, image := true, true
	for _, f := range o.Verdict.Failures {
		if f.Code == hashmatch.NotImage {
			image = false
		} else {
			scanned = false
		}
	}
	if !scanned {
		reasons = append(reasons, ReasonNotScanned)
	}
	if !image {
		reasons = append(reasons, ReasonNotImage)
	}
	for _, note := range o.Verdict.Notes {
		switch note {
		case hashmatch.LowQuality:
			if len(reasons) == 0 {
				reasons = append(reasons, ReasonLowQuality)
			}
		case hashmatch.Overloaded:
			reasons = append(reasons, ReasonOverloaded)
		default:
			reasons = append(reasons, ReasonNotReady)
		}
	}
	if len(o.Failed) > 0 {
		reasons = append(reasons, ReasonRecord)
	}
	return reasons
}

// attributes are those of the one log line of an item: no hash, no name, no byte of content.
func attributes(u Upload, o Outcome) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("item", u.ID), slog.String("surface", u.Surface.Name()), slog.String("dialect", u.Dialect),
		slog.String("action", o.Action.String()), slog.String("verdict", o.Verdict.Action.String()),
		slog.String("took", o.Took.Round(10*time.Microsecond).String()),
	}
	if u.Caller != "" {
		attrs = append(attrs, slog.String("caller", u.Caller))
	}
	if tenant := u.Surface.Tenant(); tenant != "" {
		attrs = append(attrs, slog.String("tenant", tenant))
	}
	if reasons := o.Reasons(); len(reasons) > 0 {
		attrs = append(attrs, slog.String("reasons", joined(reasons)))
	}
	if failures := o.Verdict.Failures; len(failures) > 0 {
		codes := make([]hashmatch.FailureCode, len(failures))
		for i, f := range failures {
			codes[i] = f.Code
		}
		slices.Sort(codes)
		attrs = append(attrs, slog.String("failures", joined(slices.Compact(codes))))
	}
	if len(o.Verdict.Matches) > 0 {
		m := o.Verdict.Matches[0]
		attrs = append(attrs, slog.String("list", m.List), slog.String("entry", m.Entry), slog.Int("matches", len(o.Verdict.Matches)+o.Verdict.MatchesOmitted))
	}
	if o.Scanned {
		attrs = append(attrs, slog.Any("revisions", o.Verdict.Revisions), slog.String("policy", o.Verdict.Policy))
	}
	if o.Shadow {
		attrs = append(attrs, slog.Bool("shadow", true))
	}
	for _, failed := range o.Failed {
		attrs = append(attrs, slog.String(failed.Effect+"_failed", failed.Err.Error()))
	}
	return attrs
}

func joined[T ~string](words []T) string {
	var text strings.Builder
	for i, word := range words {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(string(word))
	}
	return text.String()
}
