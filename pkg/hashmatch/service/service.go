// Package service puts hashmatch serve together from a configuration: one gate, the effects behind it, and any set of
// listeners in front of it.
//
//	Open    reads the configuration, the lists, the tokens and the certificates
//	Run     listens, serves, checks readiness, watches the files, and drains when it is told to stop
//	Reload  puts a changed configuration in force: all of it or nothing; tokens by themselves
//
// A service whose lists cannot be loaded starts all the same and holds every upload, since many callers publish what
// they cannot ask about; it tries again until they can be.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/audit"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/gate"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/metrics"
	"example.org/hashmatch/pkg/hashmatch/outbox"
	"example.org/hashmatch/pkg/hashmatch/policy"
	"example.org/hashmatch/pkg/hashmatch/quarantine"
	"example.org/hashmatch/pkg/hashmatch/readiness"
	"example.org/hashmatch/pkg/hashmatch/review"
)

// Options are what a Service needs beside its configuration file.
type Options struct {
	ConfigFile string
	Worker     []string     // as config.OpenOptions
	Version    string       // "" means "unknown"
	Logger     *slog.Logger // nil means silence
}

// Service is a configuration that serves. Its methods are safe for concurrent use.
type Service struct {
	options Options
	log     *slog.Logger
	running *config.Config // what the listeners, limits and effects were made from

	engine  *config.Engine
	gate    *gate.Gate
	ready   *readiness.Checker
	metrics *metrics.Metrics
	tracer  *tracer           // nil: none
	audit   *audit.Log        // nil: none
	review  *review.Queue     // nil: none
	kept    *quarantine.Store // nil: none
	breaker *policy.Breaker   // nil: none
	outbox  *outbox.Box       // nil: none
	syncers []*exchange.Syncer

	tokens       *hook.Tokens // nil: none
	auths        []*hook.Auth
	certificates []*certificate
	listeners    []*listener
	uploads      []heldUploads // those of the tusd listeners
	changes      atomic.Int64  // of the lists; clients that scan stored uploads again compare it
	changed      atomic.Int64  // when, in Unix seconds

	lastReload                  atomic.Pointer[ReloadStatus]
	reloadsDone, reloadsRefused atomic.Int64
	effects                     effects

	reload   sync.Mutex // one at a time
	loaded   bool       // the lists were loaded once; under reload
	seen     sights     // what the watched files looked like; under reload
	attempts func()     // tests are told of each look at the files
}

// Open reads everything that the configuration names, and opens no listener. Its errors are the operator's to mend:
// they say what is wrong and where.
func Open(ctx context.Context, options Options) (_ *Service, err error) {
	c, err := config.Load(options.ConfigFile)
	if err != nil {
		return nil, err
	}
	if len(c.Listeners) == 0 {
		return nil, fmt.Errorf("%s: no listener: there is nothing to serve", options.ConfigFile)
	}
	s := &Service{options: options, log: options.Logger, running: c}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.openEffects(ctx, c); err != nil {
		return nil, err
	}
	if err := s.openEngine(c); err != nil {
		return nil, err
	}
	s.metrics = metrics.New(s.sources())
	if c.Traces != nil {
		if s.tracer, err = newTracer(ctx, c.Traces, options.Version); err != nil {
			return nil, fmt.Errorf("traces: %w", err)
		}
	}
	if err := s.openGate(c); err != nil {
		return nil, err
	}
	if c.Serve.Tokens != "" {
		if s.tokens, err = hook.LoadTokens(c.Serve.Tokens); err != nil {
			return nil, fmt.Errorf("serve.tokens: %w", err)
		}
		if s.tokens.Len() == 0 {
			s.log.Warn("there is no token in the tokens file: nobody has one", "file", c.Serve.Tokens)
		}
	}
	for _, l := range c.Listeners {
		built, err := s.build(l)
		if err != nil {
			return nil, fmt.Errorf("listener %q: %w", l.Name, err)
		}
		s.listeners = append(s.listeners, built)
	}
	if s.syncers, err = c.Syncers(config.SyncOptions{Logger: s.log, Done: s.synced}); err != nil {
		return nil, err
	}
	s.loadFirst(ctx)
	return s, nil
}

// synced notes how the fetching of a list went. What it brought is put in force by watch, as any file that has changed.
func (s *Service) synced(result exchange.Result, err error) {
	detail := map[string]string{"list": result.List}
	if err != nil {
		s.record(context.Background(), audit.Event{Type: "sync", Reason: "failed: " + err.Error(), Detail: detail})
		return
	}
	detail["revision"] = result.Revision.String()
	s.record(context.Background(), audit.Event{Type: "sync", Reason: "done", Detail: detail})
}

// openEffects opens what answers are recorded in.
func (s *Service) openEffects(ctx context.Context, c *config.Config) (err error) {
	if a := c.Audit; a != nil {
		if s.audit, err = openAudit(a, s.log); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	if q := c.Quarantine; q != nil {
		s.kept, err = quarantine.Open(quarantine.Config{
			Directory: q.Directory, Recipients: q.Recipients, Expire: time.Duration(q.Expire), MaxBytes: int64(q.MaxBytes), Logger: s.log,
		})
		if err != nil {
			return err
		}
	}
	if s.outbox, err = c.Outbox(s.log); err != nil {
		return fmt.Errorf("feedback: %w", err)
	}
	if r := c.Review; r != nil {
		if s.review, err = s.openReview(ctx, r); err != nil {
			return fmt.Errorf("review: %w", err)
		}
	}
	if b := c.Breaker; b != nil {
		s.breaker, err = policy.NewBreaker(policy.BreakerConfig{
			Window: time.Duration(b.Window), MaxShare: float64(b.MaxShare) / 100, MinUploads: b.MinUploads, MaxCount: b.MaxCount,
			EntryFactor: float64(b.EntryFactor), EntryMin: b.EntryMin, Entry: policy.BreakerAction(b.Entry),
			File: b.File, OnTrip: s.tripped, Logger: s.log,
		})
		if err != nil {
			return fmt.Errorf("breaker: %w", err)
		}
	}
	return nil
}

// openEngine builds the scanner, its canary, and the check of readiness.
func (s *Service) openEngine(c *config.Config) error {
	canary, err := readiness.NewCanary()
	if err != nil {
		return err
	}
	options := config.OpenOptions{Worker: s.options.Worker, Guard: true, Logger: s.log}
	if s.breaker != nil {
		options.Wrap = s.breaker.Wrap
	}
	options.Plant = func(ctx context.Context, kinds hashmatch.KindSet) (*lookup.Served, error) {
		return canary.Plant(ctx, s.engine.Scanner, kinds)
	}
	if s.engine, err = c.Open(context.Background(), options); err != nil {
		return err
	}
	s.ready, err = readiness.New(readiness.Config{
		Canary: canary, Scanner: s.engine.Scanner, Interval: time.Duration(c.Serve.CheckInterval),
		Rules: func() (*lookup.Set, hashmatch.Policy) {
			_, p := s.engine.Rules()
			return s.engine.Lists(), p
		},
		Lists: func() []readiness.List {
			var lists []readiness.List
			for _, l := range s.engine.Config().Lists {
				lists = append(lists, readiness.List{
					Name: l.Name, MaxAge: time.Duration(l.MaxAge), Allows: s.engine.Policy().Role(l.Name) == policy.AllowList,
				})
			}
			return lists
		},
		Changed: s.readinessChanged, Logger: s.log,
	})
	return err
}

func (s *Service) openGate(c *config.Config) (err error) {
	g := gate.Config{
		Scanner: s.engine.Scanner, Ready: s.ready.Ready, Shadow: s.engine.Shadow, Observer: s.observer(), Logger: s.options.Logger,
		Concurrency: c.Serve.Concurrency, Queue: c.Serve.Queue, QueueTimeout: time.Duration(c.Serve.QueueTimeout),
		Memory: int64(c.Serve.Memory), MaxBytes: int64(c.Limits.MaxBytes),
	}
	// An interface that holds a nil pointer is not nil.
	if s.audit != nil {
		g.Audit = s.audit
	}
	if s.kept != nil {
		g.Quarantine = s.kept
	}
	if s.review != nil {
		g.Review = s.review
	}
	if s.breaker != nil {
		g.Breaker = s.breaker
	}
	s.gate, err = gate.New(g)
	return err
}

// loadFirst loads the lists and checks them. Where that fails the service is not ready, and watch goes on trying.
func (s *Service) loadFirst(ctx context.Context) {
	s.reload.Lock()
	defer s.reload.Unlock()
	s.seen = s.look()
	if err := s.engine.LoadLists(ctx); err != nil {
		s.log.Error("the lists were not loaded: everything is held", "error", err)
		s.record(ctx, audit.Event{Type: "lists", Reason: "not loaded: " + err.Error()})
		s.noteReload(err)
	} else {
		s.noteReload(nil)
		s.loaded = true
		s.listsChanged()
	}
	if err := s.ready.Check(ctx); err != nil {
		s.log.Error("not ready: everything is held", "error", err)
	}
}

func (s *Service) listsChanged() {
	s.changes.Add(1)
	s.changed.Store(time.Now().Unix())
	s.limitMemory()
}

// record writes an event into the audit, if there is one. One that cannot be written is logged: it is no upload's.
func (s *Service) record(ctx context.Context, e audit.Event) {
	if s.audit == nil {
		return
	}
	if err := s.audit.Event(ctx, e); err != nil {
		s.log.Error("the audit has no record of an event", "event", e.Type, "error", err)
	}
}

func (s *Service) readinessChanged(err error) {
	if err == nil {
		s.log.Info("ready")
		s.record(context.Background(), audit.Event{Type: "readiness", Reason: "ready"})
		return
	}
	s.log.Error("not ready: everything is held", "error", err)
	s.record(context.Background(), audit.Event{Type: "readiness", Reason: "not ready: " + err.Error()})
}

// matchesOf says which matches of an entry flood; "" where a surface is flooded.
func matchesOf(t policy.Trip) string {
	switch {
	case t.Cause != policy.CauseEntry:
		return ""
	case t.Exact:
		return "exact"
	}
	return "near"
}

func (s *Service) tripped(t policy.Trip) {
	if matches := matchesOf(t); matches != "" {
		s.log.Warn("an entry floods", "trip", t.ID, "matches", matches, "effect", string(t.Effect))
	}
	s.record(context.Background(), audit.Event{
		Type: "breaker.tripped", Surface: t.Surface, Tenant: t.Tenant, Reason: string(t.Cause),
		Detail: map[string]string{"trip": t.ID, "list": t.List, "entry": t.Entry, "matches": matchesOf(t), "effect": string(t.Effect), "count": fmt.Sprint(t.Count), "bound": fmt.Sprint(t.Bound)},
	})
}

func openAudit(a *config.Audit, log *slog.Logger) (*audit.Log, error) {
	c := audit.Config{
		Directory: a.Directory, Sync: audit.Sync(a.Sync), SegmentBytes: int64(a.SegmentBytes),
		HeadInterval: time.Duration(a.HeadInterval), Logger: log,
	}
	var err error
	if a.Key != "" {
		if c.Key, err = audit.ReadKey(a.Key); err != nil {
			return nil, err
		}
	}
	if a.HeadFile != "" {
		c.Sinks = append(c.Sinks, audit.FileSink(a.HeadFile))
	}
	if a.HeadSyslog != "" {
		sink, err := audit.SyslogSink(a.HeadSyslog)
		if err != nil {
			return nil, err
		}
		c.Sinks = append(c.Sinks, sink)
	}
	if a.HeadURL != "" {
		sink, err := audit.HTTPSink(audit.HTTP{URL: a.HeadURL})
		if err != nil {
			return nil, err
		}
		c.Sinks = append(c.Sinks, sink)
	}
	return audit.Open(c)
}

func (s *Service) openReview(ctx context.Context, r *config.Review) (*review.Queue, error) {
	c := review.Config{File: r.File, Keep: time.Duration(r.Keep), Logger: s.log}
	if r.Callback != "" {
		secret, err := readSecret(r.CallbackSecret)
		if err != nil {
			return nil, fmt.Errorf("callback_secret: %w", err)
		}
		c.Callback = &review.Callback{URL: r.Callback, Secret: secret}
	}
	if s.outbox != nil || slices.ContainsFunc(s.running.Listeners, func(l config.Listener) bool { return l.Dialect == config.DialectTusd }) {
		c.Tell = s.decided
	}
	if s.audit != nil {
		c.Audit = func(ctx context.Context, d review.Decision) error {
			return s.audit.Event(ctx, audit.Event{
				Type: "review." + string(d.State), Time: d.Time, Actor: d.Actor, Reason: d.Reason,
				Item: d.Item, Surface: d.Surface, Tenant: d.Tenant, Region: d.Region,
				Detail: map[string]string{"previous": string(d.Previous), "action": d.Action.String(), "policy": d.Policy},
			})
		}
	}
	return review.Open(ctx, c)
}

// maxSecret bounds a file with a secret.
const maxSecret = 64 << 10

// readSecret reads a file that only its owner may read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("its mode is %04o: others can read it; chmod 600 it", info.Mode().Perm())
	case info.Size() > maxSecret:
		return nil, errors.New("too long for a secret")
	}
	return os.ReadFile(path)
}

// close ends what Open opened, the audit last.
func (s *Service) close() error {
	var errs []error
	for _, l := range s.listeners {
		if l.close != nil {
			errs = append(errs, l.close())
		}
	}
	if s.tracer != nil {
		s.tracer.close()
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	if s.review != nil {
		errs = append(errs, s.review.Close())
	}
	if s.breaker != nil {
		errs = append(errs, s.breaker.Close())
	}
	if s.audit != nil {
		errs = append(errs, s.audit.Close())
	}
	return errors.Join(errs...)
}
