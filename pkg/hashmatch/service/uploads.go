package service

import (
	"context"
	"errors"
	"strings"

	"example.org/hashmatch/pkg/hashmatch/hook/tusd"
	"example.org/hashmatch/pkg/hashmatch/review"
)

// heldUploads are the uploads that a tusd listener keeps until they are decided on.
type heldUploads struct {
	surface string
	handler *tusd.Handler
}

// returnUpload puts an upload that a person released back to where tusd serves it from. It is a review.Config.Tell: an
// upload that is back already, or that was deleted meanwhile, is no error; one whose verdict is still being found is.
func (s *Service) returnUpload(ctx context.Context, m review.Message) error {
	if m.Decision != review.DecisionRelease || !strings.HasPrefix(m.Item, "tusd/") {
		return nil
	}
	for _, u := range s.uploads {
		if u.surface != m.Surface {
			continue
		}
		err := u.handler.Release(ctx, m.Item)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, tusd.ErrNotHeld): // another listener of the surface may have it
		default:
			return err
		}
	}
	s.log.Warn("tusd: a released upload is not held: it expired, or it was released before", "item", m.Item)
	return nil
}
