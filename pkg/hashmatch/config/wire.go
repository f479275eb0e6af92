package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/digest"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
	"example.org/hashmatch/pkg/hashmatch/imagehash"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/pdq"
	"example.org/hashmatch/pkg/hashmatch/policy"
	"example.org/hashmatch/pkg/hashmatch/promotion"
	"example.org/hashmatch/pkg/hashmatch/view"
	"example.org/hashmatch/pkg/hashmatch/worker"
)

// Engine is a configuration put to work. It is safe for concurrent use.
type Engine struct {
	Scanner *hashmatch.Scanner

	options OpenOptions
	pool    *worker.Pool
	state   atomic.Pointer[state]
	change  sync.Mutex // one change of state at a time
	files   map[string]loaded
	clean   sample // under change
}

// state is everything that a reload changes, in one step.
type state struct {
	config   *Config
	policy   *policy.Policy
	rules    hashmatch.Policy // policy, as OpenOptions.Wrap made it
	surfaces map[string]hashmatch.Surface
	lists    *lookup.Set // nil until LoadLists
	aside    []promotion.Aside
}

// OpenOptions are what an Engine needs beside the configuration.
type OpenOptions struct {
	// Worker is the command line that starts a decoder: a program that calls worker.Main. Without one, the formats
	// whose decoders need a process of their own are unsupported.
	Worker []string
	// Wrap returns the policy that uploads are decided by: p, or one that asks p. nil means p.
	Wrap func(p hashmatch.Policy) hashmatch.Policy
	// Plant returns a list that is searched beside those of the configuration and named in no verdict's revisions: the
	// canary, of the kinds that the lists hold. nil means none.
	Plant func(ctx context.Context, kinds hashmatch.KindSet) (*lookup.Served, error)
	// Guard says that a revision of a list is examined and proven before it is put in force, and set aside if a guard, the
	// proof or a person is against it, and that accepted ones are kept beside the list: for who serves, not who looks once.
	Guard bool
	// Since leaves of the lists named only what is new since a revision that is kept: see Config.Since.
	Since map[string]hashlist.Revision
	// Logger is told of revisions that are set aside; nil means silence.
	Logger *slog.Logger
}

// Open builds the Scanner that c describes. It loads no list: until LoadLists was called, every verdict is a hold.
// Close it when no scan is under way any more.
func (c *Config) Open(_ context.Context, options OpenOptions) (*Engine, error) {
	e := &Engine{options: options, files: make(map[string]loaded)}
	first, err := e.newState(c)
	if err != nil {
		return nil, err
	}
	e.state.Store(first)
	limits := c.Limits.withDefaults()
	decoder := media.Config{Limits: limits.Media(), Memory: int64(limits.Memory)}
	if len(options.Worker) > 0 {
		e.pool = worker.NewPool(worker.Config{
			Command: options.Worker, Size: c.Workers.Processes, Memory: int64(c.Workers.Memory),
			Deadline: time.Duration(limits.Timeout),
		})
		decoder.Isolated = e.pool
	}
	e.Scanner, err = hashmatch.NewScanner(hashmatch.Config{
		Digester: digest.Digester{},
		Decoder:  media.New(decoder),
		Hashers:  []hashmatch.Hasher{pdq.Hasher{}, imagehash.Hasher{}},
		Viewer:   view.Hasher{},
		Rules:    e.Rules,
		MaxBytes: int64(limits.MaxBytes), MaxDigestBytes: int64(limits.MaxDigestBytes),
		Timeout: time.Duration(limits.Timeout),
	})
	if err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// newState returns what c states, without lists.
func (e *Engine) newState(c *Config) (*state, error) {
	rules, err := c.Policy()
	if err != nil {
		return nil, err
	}
	s := &state{config: c, policy: rules, rules: rules, surfaces: make(map[string]hashmatch.Surface)}
	if e.options.Wrap != nil {
		s.rules = e.options.Wrap(rules)
	}
	surfaces, err := c.Surfaces()
	if err != nil {
		return nil, err
	}
	for _, surface := range surfaces {
		s.surfaces[surface.Name()] = surface
	}
	return s, nil
}

// Rules returns the lists and the policy in force, as a Scanner takes them.
func (e *Engine) Rules() (hashmatch.Lists, hashmatch.Policy) {
	s := e.state.Load()
	if s.lists == nil {
		return nil, s.rules
	}
	return s.lists, s.rules
}

// Lists returns the lists in force; nil until LoadLists has put some in force.
func (e *Engine) Lists() *lookup.Set { return e.state.Load().lists }

// Policy returns the policy in force, without what OpenOptions.Wrap adds.
func (e *Engine) Policy() *policy.Policy { return e.state.Load().policy }

// Config returns the configuration in force. It is not to be changed.
func (e *Engine) Config() *Config { return e.state.Load().config }

// Surface returns a surface of the configuration in force, or an error that wraps hashmatch.ErrSurfaceRefused.
func (e *Engine) Surface(name string) (hashmatch.Surface, error) {
	if surface, ok := e.state.Load().surfaces[name]; ok {
		return surface, nil
	}
	return hashmatch.Surface{}, fmt.Errorf("%w: %q is not declared in the configuration", hashmatch.ErrSurfaceRefused, name)
}

// Shadow says whether a surface is in shadow mode in the configuration in force.
func (e *Engine) Shadow(surface hashmatch.Surface) bool {
	for _, d := range e.state.Load().config.Declarations {
		if d.Name == surface.Name() {
			return d.Shadow
		}
	}
	return false
}

// LoadLists reads every list of the configuration and puts them in force together. A list that cannot be read, that
// holds nothing to search, or of whose kinds the policy searches none is an error, and so are lists that are all
// allow-lists: each would call everything clean. What was in force stays so.
func (e *Engine) LoadLists(ctx context.Context) error { return e.Reload(ctx, e.Config()) }

// Reload puts another configuration in force: its surfaces, its policy and its lists, all of them in one step or, with
// an error, none. Uploads under way end by what they began with. A list whose file has not changed is not read again.
// The limits and workers of c must be those that the Engine was opened with.
func (e *Engine) Reload(ctx context.Context, c *Config) error {
	e.change.Lock()
	defer e.change.Unlock()
	if old := e.Config(); old.Limits != c.Limits || old.Workers != c.Workers {
		return ErrRestart
	}
	next, err := e.newState(c)
	if err != nil {
		return err
	}
	if len(c.Lists) == 0 {
		return errors.New("no list: there is nothing to compare with")
	}
	files := make(map[string]loaded, len(c.Lists))
	var served []*lookup.Served
	for _, l := range c.Lists {
		file, err := e.promote(ctx, c, l)
		if err != nil {
			return err
		}
		files[l.Name] = file
		if file.aside != nil {
			next.aside = append(next.aside, file.aside.Aside)
		}
		served = append(served, file.served)
	}
	if err := checkTaken(c.Lists, files); err != nil {
		return err
	}
	if next.lists, err = lookup.NewSet(served...); err != nil {
		return err
	}
	if err := next.canMatch(); err != nil {
		return err
	}
	if e.options.Plant != nil {
		planted, err := e.options.Plant(ctx, next.lists.Kinds())
		if err != nil {
			return err
		}
		next.lists = next.lists.WithPlanted(planted)
	}
	if err := c.record(files); err != nil {
		return err
	}
	e.files = files
	e.state.Store(next)
	e.settle(c, files)
	return nil
}

// ErrRestart is returned by a reload of what can only be changed by a restart.
var ErrRestart = errors.New("limits and workers can only be changed by a restart")

// loaded is a list that was read, and what its file looked like then.
type loaded struct {
	path   string
	info   os.FileInfo
	served *lookup.Served
	holds  []string // of text that holds several lists, the names of all
	signed seal.Statement
	trust  string // the keys by which signed was judged; "" if by none

	accepted hashlist.Revision // the revision that served is, before withdrawals; zero without OpenOptions.Guard
	aside    *aside            // nil: served is what the file holds
}

// load reads and indexes one list, unless its file is the one that is loaded already.
func (e *Engine) load(ctx context.Context, c *Config, l List) (loaded, error) {
	return e.read(ctx, c, l, func(*seal.Reading) {})
}

// read is load with something else wanted of a snapshot.
func (e *Engine) read(ctx context.Context, c *Config, l List, want func(*seal.Reading)) (loaded, error) {
	before, err := os.Stat(l.File)
	if err != nil {
		return loaded{}, fmt.Errorf("list %q: %w", l.Name, err)
	}
	old, known := e.files[l.Name]
	reading, err := c.Reading(l, time.Now())
	if err != nil {
		return loaded{}, fmt.Errorf("list %q: %w", l.Name, err)
	}
	want(&reading)
	trust := string(reading.Trust.Text())
	if known && old.aside == nil && old.path == l.File && sameFile(old.info, before) && old.served.Err() == nil && old.trust == trust {
		return old, nil
	}
	// A snapshot is mapped, or decrypted, and takes its index from its file; text is read.
	snapshot, signed, err := seal.Open(l.File, reading)
	var entries *hashlist.List
	var holds []string
	switch {
	case err == nil:
		entries = snapshot.List()
	case errors.Is(err, hashlist.ErrNotSnapshot) && trust == "":
		entries, holds, err = readList(l.File, l.Name, reading)
	}
	if err != nil {
		return loaded{}, fmt.Errorf("list %q: %w", l.Name, notSnapshot(reading, err))
	}
	if since, narrowed := e.options.Since[l.Name]; narrowed {
		if entries, err = c.newSince(ctx, l, since, entries); err != nil {
			return loaded{}, fmt.Errorf("list %q: %w", l.Name, err)
		}
		snapshot, holds = nil, nil // its index is that of the whole list, and other lists in its file may have been left out
	}
	dated := entries
	if entries.Synced().IsZero() { // text does not say; nor does a snapshot that was imported once
		dated = entries.WithSynced(before.ModTime())
	}
	if known {
		if served := old.served.Refresh(dated); served != nil {
			return loaded{path: l.File, info: before, served: served, holds: holds, signed: signed, trust: trust}, nil
		}
	}
	var served *lookup.Served
	if snapshot != nil {
		served, err = lookup.ServeSnapshot(ctx, l.Name, snapshot)
	} else {
		served, err = lookup.Serve(ctx, l.Name, entries)
	}
	if err != nil {
		return loaded{}, err
	}
	if served = served.Refresh(dated); served == nil {
		return loaded{}, fmt.Errorf("list %q: %w", l.Name, hashlist.ErrChanged)
	}
	return loaded{path: l.File, info: before, served: served, holds: holds, signed: signed, trust: trust}, nil
}

// sameFile says whether nothing was written to a file since. Lists are replaced, not written to; should one be, its
// modification time tells.
func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// canMatch returns an error if a list can never match on a surface, or if no list is one to match against.
func (s *state) canMatch() error {
	blocking := 0
	for _, l := range s.lists.Lists() {
		held := l.Index().Kinds()
		for _, d := range s.config.Declarations {
			surface := s.surfaces[d.Name]
			if searched := s.policy.Kinds(surface, l.Name()); searched&held == 0 {
				return fmt.Errorf("list %q: it holds %v, and the policy searches %v: it can never match on surface %q",
					l.Name(), held.Kinds(), searched.Kinds(), surface.Name())
			}
		}
		if s.policy.Role(l.Name()) == policy.AllowList {
			continue
		}
		blocking++
		if err := actedOn(s.policy, l.Name(), l.List()); err != nil {
			return err
		}
		if format.AllowListOnly(l.List().Info()) {
			return fmt.Errorf("list %q: it holds known files of everyone's (%s): its role can only be allow",
				l.Name(), l.List().Info().Source)
		}
		statuses := l.List().StatusCounts()
		if n := statuses[hashmatch.Suspended]; n > 0 && statuses[hashmatch.Active]+statuses[hashmatch.Disputed] == 0 {
			return fmt.Errorf("list %q: all of its %d entries in force are suspended: nothing that matches would be acted on",
				l.Name(), n)
		}
	}
	if blocking == 0 {
		return errors.New("every list is an allow-list: there is nothing to compare with")
	}
	return nil
}

// Close ends the decoders' processes.
func (e *Engine) Close() error {
	if e.pool == nil {
		return nil
	}
	return e.pool.Close()
}
