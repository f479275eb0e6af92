package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"time"

	"example.org/hashmatch/pkg/hashmatch/audit"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/metrics"
)

// ReloadStatus is how the last reading of the configuration, and of all that it names, went: that at the start, or the
// reload after it.
type ReloadStatus struct {
	Time  time.Time `json:"time"`
	OK    bool      `json:"ok"`    // what the files say is in force
	Error string    `json:"error"` // why not; "" if it is
}

// Reload reads the configuration file and everything that it names again, and puts it in force: surfaces, policy, lists
// and certificates, all of them or, with an error, none. No upload is dropped or judged by a mixture. Tokens are read
// and put in force by themselves, whatever is wrong with the rest: one that was revoked is not to wait for that.
func (s *Service) Reload(ctx context.Context) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	// Before it is read, and not after: what changes meanwhile is seen the next time.
	s.seen = s.look()
	tokensErr := s.reloadTokens()
	err := s.reloadAll(ctx)
	if err == nil {
		s.loaded = true
		s.listsChanged()
	}
	if err := errors.Join(tokensErr, err); err != nil {
		s.noteReload(err)
		s.log.Error("not reloaded, or not all of it: what was in force stays so", "error", err)
		s.record(ctx, audit.Event{Type: "reload", Reason: "refused: " + err.Error()})
		return err
	}
	s.noteReload(nil)
	revisions := s.engine.Lists().Revisions()
	s.log.Info("reloaded", "revisions", revisions, "policy", s.engine.Policy().Revision())
	detail := map[string]string{"policy": s.engine.Policy().Revision()}
	for list, revision := range revisions {
		detail["list."+list] = revision
	}
	for _, a := range s.engine.SetAside() {
		detail["aside."+a.List] = a.Revision.String()
	}
	s.record(ctx, audit.Event{Type: "reload", Reason: "done", Detail: detail})
	_ = s.ready.Check(ctx) // a list that is too old, say, is noticed at once
	return nil
}

// userInfo finds what an address can hold before its host: a password, or a token.
var userInfo = regexp.MustCompile(`//[^/\s"']*@`)

// maxReason bounds the text of an error in a status, in bytes.
const maxReason = 1000

// noteReload remembers how a reading of the configuration went.
func (s *Service) noteReload(err error) {
	status := ReloadStatus{Time: time.Now().UTC(), OK: err == nil}
	if err == nil {
		s.reloadsDone.Add(1)
	} else {
		s.reloadsRefused.Add(1)
		status.Error = userInfo.ReplaceAllString(err.Error(), "//…@")
		status.Error = status.Error[:min(len(status.Error), maxReason)]
	}
	s.lastReload.Store(&status)
}

func (s *Service) reloads() metrics.Reloads {
	last := s.lastReload.Load()
	return metrics.Reloads{OK: last != nil && last.OK, Done: s.reloadsDone.Load(), Refused: s.reloadsRefused.Load(), Aside: len(s.engine.SetAside())}
}

// reloadTokens puts in force what the tokens file says now. In a file that is gone nobody has a token; one that cannot be
// read, or is damaged, may have been half written, and changes nothing.
func (s *Service) reloadTokens() error {
	if s.tokens == nil {
		return nil
	}
	tokens, err := s.tokens.Reload()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		tokens, err = s.tokens.None(), fmt.Errorf("serve.tokens: %w: no token is valid", err)
	case err != nil:
		return fmt.Errorf("serve.tokens: the tokens that were in force stay so: %w", err)
	case tokens.Len() == 0:
		s.log.Warn("there is no token in the tokens file: nobody has one", "file", s.running.Serve.Tokens)
	}
	s.tokens = tokens
	for _, auth := range s.auths {
		auth.Swap(tokens)
	}
	return err
}

func (s *Service) reloadAll(ctx context.Context) error {
	c, err := config.Load(s.options.ConfigFile)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name     string
		old, new any
	}{
		{"listeners", s.running.Listeners, c.Listeners}, {"serve", s.running.Serve, c.Serve}, {"quarantine", s.running.Quarantine, c.Quarantine},
		{"review", s.running.Review, c.Review}, {"exchanges", s.running.Exchanges, c.Exchanges}, {"feedback", s.running.Feedback, c.Feedback},
		{"audit", s.running.Audit, c.Audit}, {"breaker", s.running.Breaker, c.Breaker}, {"traces", s.running.Traces, c.Traces},
	} {
		if !reflect.DeepEqual(part.old, part.new) {
			return fmt.Errorf("%s: can only be changed by a restart", part.name)
		}
	}
	// What can fail comes first, what cannot afterwards.
	fresh := make([]*tls.Config, len(s.certificates))
	for i, c := range s.certificates {
		if fresh[i], err = c.load(); err != nil {
			return fmt.Errorf("listener %q: %w", c.files.Name, err)
		}
	}
	if err := s.engine.Reload(ctx, c); err != nil {
		return err
	}
	for i, c := range s.certificates {
		c.config.Store(fresh[i])
	}
	return nil
}
