package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"example.org/hashmatch/pkg/hashmatch/audit"
	"example.org/hashmatch/pkg/hashmatch/exchange"
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
	if len(s.syncers) > 0 {
		start("exchanges", func(ctx context.Context) error { return exchange.Run(ctx, s.syncers) })
	}
	if s.audit != nil {
		start("audit", s.audit.Run)
		start("audit, again", s.retryAudit)
	}
	if s.review != nil {
		start("review", s.review.Run)
	}
	if s.outbox != nil {
		start("feedback", s.outbox.Run)
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
		due := !s.loaded || !s.look().same(s.seen)
		s.reload.Unlock()
		if due {
			_ = s.Reload(ctx) // it is logged, and recorded
		}
		if s.attempts != nil {
			s.attempts()
		}
	}
}

// sight is what a watched file looks like; info is nil where there is none.
type sight struct {
	path string
	info os.FileInfo
}

type sights []sight

// same says whether nothing was written or put in the place of a file. That one was read, which Sys tells too, is no change.
func (a sights) same(b sights) bool {
	return slices.EqualFunc(a, b, func(a, b sight) bool {
		if a.path != b.path || a.info == nil || b.info == nil {
			return a.path == b.path && a.info == nil && b.info == nil
		}
		return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime())
	})
}

// look returns what the watched files look like.
func (s *Service) look() sights {
	files := []string{s.options.ConfigFile, s.running.Serve.Tokens}
	for _, l := range s.running.Listeners {
		files = append(files, l.Certificate, l.Key, l.ClientCA)
	}
	for _, l := range s.engine.Config().Lists {
		files = append(files, l.File, s.engine.Config().DecisionsFolder(l))
	}
	var all sights
	for _, file := range files {
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			info = nil
		}
		all = append(all, sight{file, info})
	}
	return all
}
