package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/digest"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
	"example.org/hashmatch/pkg/hashmatch/imagehash"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/pdq"
	"example.org/hashmatch/pkg/hashmatch/policy"
	"example.org/hashmatch/pkg/hashmatch/worker"
)

// Engine is a configuration put to work. It is safe for concurrent use.
type Engine struct {
	Scanner *hashmatch.Scanner
	Policy  *policy.Policy
	Lists   *lookup.Live // empty until LoadLists
	config  *Config
	pool    *worker.Pool
}

// OpenOptions are what an Engine needs beside the configuration.
type OpenOptions struct {
	// Worker is the command line that starts a decoder: a program that calls worker.Main. Without one, the formats
	// whose decoders need a process of their own are unsupported.
	Worker []string
}

// Open builds the Scanner that c describes. It loads no list: until LoadLists was called, every verdict is a hold.
// Close it when no scan is under way any more.
func (c *Config) Open(_ context.Context, options OpenOptions) (*Engine, error) {
	rules, err := c.Policy()
	if err != nil {
		return nil, err
	}
	e := &Engine{Policy: rules, Lists: new(lookup.Live), config: c}
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
		Rules:    func() (hashmatch.Lists, hashmatch.Policy) { return e.Lists.Lists(), e.Policy },
		MaxBytes: int64(limits.MaxBytes), MaxDigestBytes: int64(limits.MaxDigestBytes),
		Timeout: time.Duration(limits.Timeout),
	})
	if err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// LoadLists reads every list of the configuration and puts them in force together. A list that cannot be read, that
// holds nothing to search, or of whose kinds the policy searches none is an error, and so are lists that are all
// allow-lists: each would call everything clean. What was in force stays so.
func (e *Engine) LoadLists(ctx context.Context) error {
	if len(e.config.Lists) == 0 {
		return errors.New("no list: there is nothing to compare with")
	}
	var served []*lookup.Served
	for _, l := range e.config.Lists {
		entries, err := ReadList(l.File, l.Name)
		if err != nil {
			return fmt.Errorf("list %q: %w", l.Name, err)
		}
		ready, err := lookup.Serve(ctx, l.Name, entries)
		if err != nil {
			return err
		}
		served = append(served, ready)
	}
	set, err := lookup.NewSet(served...)
	if err != nil {
		return err
	}
	if err := e.canMatch(set); err != nil {
		return err
	}
	e.Lists.Swap(set)
	return nil
}

// canMatch returns an error if a list can never match on a surface, or if no list is one to match against.
func (e *Engine) canMatch(set *lookup.Set) error {
	surfaces, err := e.config.Surfaces()
	if err != nil {
		return err
	}
	blocking := 0
	for _, l := range set.Lists() {
		held := l.Index().Kinds()
		for _, s := range surfaces {
			if searched := e.Policy.Kinds(s, l.Name()); searched&held == 0 {
				return fmt.Errorf("list %q: it holds %v, and the policy searches %v: it can never match on surface %q",
					l.Name(), held.Kinds(), searched.Kinds(), s.Name())
			}
		}
		if e.Policy.Role(l.Name()) != policy.AllowList {
			blocking++
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

// AddList adds a list to those of the configuration, with the rules that it states and the defaults for the rest. An
// error names what is wrong and leaves c as it was.
func (c *Config) AddList(l List) error {
	extended := *c
	extended.Lists = append(slices.Clone(c.Lists), l)
	if failure := extended.complete(); failure != nil {
		return failure
	}
	*c = extended
	return nil
}

// ReadList reads the list of the given name from a file: a snapshot, or text in one of the formats that package
// format tells apart. The name matters for text that holds several lists only. A bad line is an error.
func ReadList(path, name string) (*hashlist.List, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, err
	}
	list, err := hashlist.Open(path)
	if !errors.Is(err, hashlist.ErrNotSnapshot) {
		return list, err
	}
	list, err = readText(path, "")
	if errors.Is(err, format.ErrSeveralLists) {
		list, err = readText(path, name)
	}
	return list, err
}

func readText(path, name string) (*hashlist.List, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	list, _, err := format.Import(file, format.Options{List: name})
	return list, err
}
