package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"example.org/hashmatch/pkg/hashmatch/audit"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// Listen opens every listener, or none. Run does it if it was not called.
func (s *Service) Listen() error {
	for i, l := range s.listeners {
		if l.socket != nil {
			continue
		}
		if err := l.listen(); err != nil {
			for _, opened := range s.listeners[:i] {
				opened.socket.Close()
				opened.socket = nil
			}
			return fmt.Errorf("listener %q: %s: %w", l.config.Name, l.config.Address, err)
		}
	}
	return nil
}

// Addresses returns where each listener listens, by its name, after Listen.
func (s *Service) Addresses() map[string]net.Addr {
	addresses := make(map[string]net.Addr, len(s.listeners))
	for _, l := range s.listeners {
		addresses[l.config.Name] = l.socket.Addr()
	}
	return addresses
}

// Run serves until ctx is done, then finishes what was begun, for the drain timeout at most, and closes everything:
// the Service cannot be used again. It returns an error if a listener could not be opened or failed.
func (s *Service) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.Listen(); err != nil {
		return err
	}
	s.record(ctx, audit.Event{Type: "start", Detail: map[string]string{"version": s.options.Version, "policy": s.engine.Policy().Revision()}})

	// The servers stop first, what is behind them afterwards: an answer that is under way needs it.
	behind, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var background, serving errgroup.Group
	serveCtx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	start := func(what string, run func(context.Context) error) {
		background.Go(func() error {
			err := run(behind)
			if err != nil && behind.Err() == nil {
				err = fmt.Errorf("%s: %w", what, err)
				fail(err)
				return err
			}
			return nil
		})
	}
	start("readiness", s.ready.Run)
	start("watch", s.watch)
	if s.audit != nil {
		start("audit", s.audit.Run)
	}
	if s.review != nil {
		start("review", s.review.Run)
	}
	if s.kept != nil {
		start("quarantine", s.kept.Run)
	}
	for _, l := range s.listeners {
		if l.run != nil {
			start("listener "+l.config.Name, l.run)
		}
		s.log.Info("listening", "listener", l.config.Name, "dialect", string(l.config.Dialect), "address", l.socket.Addr().String())
		serving.Go(func() error {
			err := l.server.Serve(l.socket)
			if errors.Is(err, hook.ErrServerClosed) || errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			err = fmt.Errorf("listener %q: %w", l.config.Name, err)
			fail(err)
			return err
		})
	}
	<-serveCtx.Done()
	s.log.Info("stopping: what was begun is finished, nothing new is taken")
	s.shutdown()
	served := serving.Wait()
	s.record(context.WithoutCancel(ctx), audit.Event{Type: "stop"})
	stop()
	return errors.Join(served, background.Wait())
}

// shutdown ends the servers, all at once.
func (s *Service) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.running.Serve.DrainTimeout))
	defer cancel()
	var group errgroup.Group
	for _, l := range s.listeners {
		group.Go(func() error {
			if err := l.server.Shutdown(ctx); err != nil {
				s.log.Warn("a listener was cut off", "listener", l.config.Name, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait()
}

// watch reloads when a file that the configuration names has changed, and tries again to load lists that could not be
// loaded at the start.
func (s *Service) watch(ctx context.Context) error {
	interval := time.Duration(s.running.Serve.WatchInterval)
	if interval <= 0 {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		s.reload.Lock()
		due := !s.loaded || s.look() != s.seen
		s.reload.Unlock()
		if due {
			_ = s.Reload(ctx) // it is logged, and recorded
		}
		if s.attempts != nil {
			s.attempts()
		}
	}
}

// look returns what the watched files look like.
func (s *Service) look() string {
	files := []string{s.options.ConfigFile, s.running.Serve.Tokens}
	for _, l := range s.running.Listeners {
		files = append(files, l.Certificate, l.Key, l.ClientCA)
	}
	for _, l := range s.engine.Config().Lists {
		files = append(files, l.File)
	}
	var text strings.Builder
	for _, file := range files {
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintf(&text, "%q: none\n", file)
			continue
		}
		fmt.Fprintf(&text, "%q: %d %d %v\n", file, info.Size(), info.ModTime().UnixNano(), info.Sys())
	}
	return text.String()
}

// Reload reads the configuration file and everything that it names again, and puts it in force: surfaces, policy,
// lists, tokens and certificates, all of them or, with an error, none. No upload is dropped or judged by a mixture.
func (s *Service) Reload(ctx context.Context) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	s.seen = s.look() // before it is read: what changes meanwhile is seen the next time
	err := s.reloadAll(ctx)
	if err != nil {
		s.log.Error("not reloaded: what was in force stays so", "error", err)
		s.record(ctx, audit.Event{Type: "reload", Reason: "refused: " + err.Error()})
		return err
	}
	s.loaded = true
	s.listsChanged()
	s.seen = s.look() // with the lists that are in force now
	revisions := s.engine.Lists().Revisions()
	s.log.Info("reloaded", "revisions", revisions, "policy", s.engine.Policy().Revision())
	detail := map[string]string{"policy": s.engine.Policy().Revision()}
	for list, revision := range revisions {
		detail["list."+list] = revision
	}
	s.record(ctx, audit.Event{Type: "reload", Reason: "done", Detail: detail})
	_ = s.ready.Check(ctx) // a list that is too old, say, is noticed at once
	return nil
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
		{"review", s.running.Review, c.Review},
		{"audit", s.running.Audit, c.Audit}, {"breaker", s.running.Breaker, c.Breaker}, {"traces", s.running.Traces, c.Traces},
	} {
		if !reflect.DeepEqual(part.old, part.new) {
			return fmt.Errorf("%s: can only be changed by a restart", part.name)
		}
	}
	// What can fail comes first, what cannot afterwards.
	tokens := s.tokens
	if tokens != nil {
		if tokens, err = tokens.Reload(); err != nil {
			return fmt.Errorf("serve.tokens: %w", err)
		}
	}
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
	if s.tokens = tokens; tokens != nil {
		for _, auth := range s.auths {
			auth.Swap(tokens)
		}
	}
	return nil
}
