package service

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch/audit"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// effects watches which effects of answers fail. Each makes its upload a hold: a service that cannot record what it says
// is not ready, although it could judge, and its uploads belong to another node. It is a gate.Observer, and safe for
// concurrent use.
type effects struct {
	mu     sync.Mutex
	failed map[string]time.Time // when an effect failed the last time; it has not succeeded since
}

// forgotten is how long after its last failure an effect that is not tried by itself, but by matches alone, is taken for
// mended: nothing would come by which it could show that it is, where nothing is sent to a node that is not ready.
const forgotten = 30 * time.Second

// Checked implements gate.Observer.
func (e *effects) Checked(_ gate.Upload, o gate.Outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	recorded := true
	for _, f := range o.Failed {
		if e.failed == nil {
			e.failed = make(map[string]time.Time)
		}
		e.failed[f.Effect] = time.Now()
		recorded = recorded && f.Effect != "audit"
	}
	if recorded {
		delete(e.failed, "audit") // which every answer tries
	}
}

// failing returns the names of the effects that fail now.
func (e *effects) failing() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	names := []string{}
	for _, name := range gate.Effects() {
		if at, failed := e.failed[name]; failed && (name == "audit" || time.Since(at) < forgotten) {
			names = append(names, name)
		}
	}
	return names
}

// succeeded says that an effect has happened.
func (e *effects) succeeded(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.failed, name)
}

// judging returns why uploads cannot be answered by what they are: the service is not ready, or cannot record what it
// says.
func (s *Service) judging() error {
	if err := s.ready.Ready(); err != nil {
		return err
	}
	if failing := s.effects.failing(); len(failing) > 0 {
		return errors.New("answers are held since these effects fail: " + strings.Join(failing, ", "))
	}
	return nil
}

// retryAudit tries the audit again, while it fails, at every check of readiness.
func (s *Service) retryAudit(ctx context.Context) error {
	ticker := time.NewTicker(s.checkInterval())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		s.effects.mu.Lock()
		_, failed := s.effects.failed["audit"]
		s.effects.mu.Unlock()
		if !failed {
			continue
		}
		if err := s.audit.Event(ctx, audit.Event{Type: "audit.resumed", Reason: "records could not be written"}); err == nil {
			s.effects.succeeded("audit")
			s.log.Info("the audit can be written again")
		}
	}
}

func (s *Service) checkInterval() time.Duration {
	if interval := time.Duration(s.running.Serve.CheckInterval); interval > 0 {
		return interval
	}
	return 5 * time.Second
}
