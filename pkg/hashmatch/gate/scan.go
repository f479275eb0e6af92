package gate

import (
	"context"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// scan returns the outcome of scanning the content, once for equal uploads that are here at the same time. It does
// not end before the scan has, whatever becomes of the caller: others may wait for the same scan, and it uses memory
// that the caller is to give back. The scanner's own deadline bounds it.
func (g *Gate) scan(ctx context.Context, u Upload, c *content) Outcome {
	ctx = context.WithoutCancel(ctx)
	if !c.whole() {
		turns := g.turns
		if c.rest != nil {
			turns = g.streams // a slow sender of a long upload must not take the turn of others
		}
		return g.scanOne(ctx, u, c, turns)
	}
	result, _, shared := g.flight.Do(g.key(u, c), func() (any, error) {
		return g.scanOne(ctx, u, c, g.turns), nil
	})
	o := result.(Outcome)
	if shared && o.Verdict.Item != u.ID {
		o.Verdict.Item = u.ID
		o.Shared = true
		g.shared.Add(1)
	}
	return o
}

// scanOne waits for its turn and scans.
func (g *Gate) scanOne(ctx context.Context, u Upload, c *content, turns chan struct{}) Outcome {
	waited, ok := g.wait(turns)
	if !ok {
		o := g.unscanned(u, hashmatch.Overloaded)
		o.Waited = waited
		return o
	}
	defer func() { <-turns }()
	g.scanning.Add(1)
	defer g.scanning.Add(-1)
	verdict, err := g.scanSafely(ctx, c.item(u))
	if err != nil { // refused: the surface is checked before, so this is a fault of ours
		verdict.Item, verdict.Surface, verdict.Action = u.ID, u.Surface.Name(), hashmatch.Hold
		verdict.Failures = append(verdict.Failures, hashmatch.Failure{Code: hashmatch.Panicked, Detail: "scanner"})
	}
	return Outcome{
		Verdict: verdict, Waited: waited,
		Scanned: !slices.Contains(verdict.Notes, hashmatch.NotReady),
	}
}

// scanSafely turns a panic of the scanner, which promises none, into a failure: one that got away here would be every
// waiting upload's.
func (g *Gate) scanSafely(ctx context.Context, item hashmatch.Item) (v hashmatch.Verdict, err error) {
	defer func() {
		if recover() != nil {
			v = hashmatch.Verdict{
				Item: item.ID, Surface: item.Surface.Name(), Action: hashmatch.Hold, Would: hashmatch.Hold,
				Failures: []hashmatch.Failure{{Code: hashmatch.Panicked, Detail: "scanner"}},
			}
			err = nil
		}
	}()
	return g.config.Scanner.Scan(ctx, item)
}

// wait takes a turn. It returns false if too many wait already, or if none was free in time.
func (g *Gate) wait(turns chan struct{}) (time.Duration, bool) {
	select {
	case turns <- struct{}{}:
		return 0, true
	default:
	}
	if g.waiting.Add(1) > int64(g.config.Queue) {
		g.waiting.Add(-1)
		return 0, false
	}
	defer g.waiting.Add(-1)
	started := time.Now()
	timer := time.NewTimer(g.config.QueueTimeout)
	defer timer.Stop()
	select {
	case turns <- struct{}{}:
		return time.Since(started), true
	case <-timer.C:
		return time.Since(started), false
	}
}
