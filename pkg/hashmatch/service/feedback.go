package service

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/review"
)

// decided is a review.Config.Tell: whoever is to act on a decision here has done so when it returns nil.
func (s *Service) decided(ctx context.Context, m review.Message) error {
	if err := s.returnUpload(ctx, m); err != nil {
		return err
	}
	return s.queueFeedback(ctx, m)
}

// queueFeedback queues what a decision says of the listed entries that the item matched, for the exchanges that are told.
//
// A confirmed item makes a true positive of each match that asked for an action. A released one makes a false positive of
// the exact matches only, for those are the very file that is listed; that a near match was released says that two pictures
// look alike to a hash, not that the entry is wrong.
func (s *Service) queueFeedback(ctx context.Context, m review.Message) error {
	if s.outbox == nil {
		return nil
	}
	item, err := s.review.Show(ctx, review.Ref{Item: m.Item, Surface: m.Surface, Tenant: m.Tenant})
	if errors.Is(err, review.ErrNotFound) {
		s.log.Warn("feedback: the item of a decision is not in the review queue any more", "item", m.Item, "surface", m.Surface)
		return nil
	}
	if err != nil {
		return err
	}
	told := s.running.Feedback
	for _, match := range item.Matches {
		if !slices.Contains(told.Lists, match.List) || match.Action == hashmatch.Allow {
			continue
		}
		f := exchange.Feedback{Kind: match.Kind, Outcome: exchange.TruePositive}
		if m.Decision == review.DecisionRelease {
			if !match.Exact {
				continue
			}
			f.Outcome, f.Reasons = exchange.FalsePositive, told.Reasons
		}
		if f.Entry, err = hashmatch.ParseEntryKey(match.Entry); err != nil {
			s.log.Warn("feedback: an entry's name cannot be read", "item", m.Item, "list", match.List)
			continue
		}
		if f.Hash, err = s.listedHash(match.List, f.Entry, match.Kind); err != nil {
			return err
		}
		if err := s.outbox.Add(match.List, f, m.Time); err != nil {
			return err
		}
	}
	return nil
}

// listedHash returns the hexadecimal digits of an entry's hash of a kind; "" if the list has none any more.
func (s *Service) listedHash(name string, key hashmatch.EntryKey, kind string) (string, error) {
	set := s.engine.Lists()
	if set == nil {
		return "", fmt.Errorf("feedback: list %q is not loaded yet", name)
	}
	for _, l := range set.Lists() {
		if l.Name() != name {
			continue
		}
		ordinal, ok := l.List().Find(key)
		if !ok {
			return "", nil
		}
		for _, signature := range l.List().Entry(ordinal).Signatures {
			if signature.Scheme == "" && signature.Hash.Kind.String() == kind {
				return signature.Hash.Hex(), nil
			}
		}
	}
	return "", nil
}
