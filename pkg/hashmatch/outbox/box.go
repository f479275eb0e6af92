package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Config is what a Box is made of. What is 0 has its default.
type Config struct {
	Folder   string        // made with mode 0700 if it is not there. It must be stated.
	Deadline time.Duration // after which what cannot be sent is given up; 0 means DefaultDeadline
	Keep     time.Duration // for which it is known what was sent; 0 means DefaultKeep
	// Send makes one attempt for a list; a list without one is given up. See exchange.Reporter.
	Send map[string]func(context.Context, exchange.Feedback) error
	// Logger sees lists and IDs of items, no entry and no hash; nil means silence.
	Logger *slog.Logger

	now func() time.Time
}

// The defaults.
const (
	DefaultDeadline = 7 * 24 * time.Hour
	DefaultKeep     = 365 * 24 * time.Hour
)

// MaxPending bounds what waits: a queue that long is not drained at all.
const MaxPending = 100_000

// ErrFull says that MaxPending items wait.
var ErrFull = errors.New("the outbox is full")

// Box is an outbox. It is safe for concurrent use.
type Box struct {
	config Config
	mu     sync.Mutex // one change at a time, with the lock on the folder
	wake   chan struct{}
}

// Open opens an outbox, or makes it.
func Open(config Config) (*Box, error) {
	if config.Folder == "" || config.Deadline < 0 || config.Keep < 0 {
		return nil, errors.New("outbox: no folder, or a negative time")
	}
	if config.Deadline == 0 {
		config.Deadline = DefaultDeadline
	}
	if config.Keep == 0 {
		config.Keep = DefaultKeep
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.now == nil {
		config.now = time.Now
	}
	for _, state := range []State{Pending, Dead, Done} {
		if err := os.MkdirAll(filepath.Join(config.Folder, string(state)), 0o700); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
	}
	return &Box{config: config, wake: make(chan struct{}, 1)}, nil
}

func (b *Box) path(state State, id string) string {
	return filepath.Join(b.config.Folder, string(state), id+".json")
}

// locked runs change while no other process changes anything.
func (b *Box) locked(change func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	unlock, err := hashlist.LockFile(filepath.Join(b.config.Folder, "lock"))
	if err == nil {
		defer unlock()
		err = change()
	}
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// read returns an item; ok is false if there is none in that state. One that cannot be read is an error.
func (b *Box) read(state State, id string) (i Item, ok bool, err error) {
	path := b.path(state, id)
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return Item{}, false, nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxItemBytes) {
		err = fmt.Errorf("%w: its file", ErrItem)
	}
	if err != nil {
		return Item{}, false, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Item{}, false, nil
	}
	if err == nil {
		i, err = parseItem(text)
	}
	if err == nil && i.Feedback.ID != id {
		err = fmt.Errorf("%w: its file has the name of another one", ErrItem)
	}
	i.State = state
	return i, err == nil, err
}

func (b *Box) write(state State, i Item) error {
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return hashlist.ReplaceFile(b.path(state, i.Feedback.ID), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

func (b *Box) remove(state State, id string) error {
	if err := os.Remove(b.path(state, id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ids returns the IDs of the items in a state, sorted.
func (b *Box) ids(state State) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(b.config.Folder, string(state)))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok && !strings.HasPrefix(id, ".") {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Add queues an outcome that was decided at that time, for the exchange of a list. It is on disk when it returns nil. f.ID
// is filled in. What is known already, or was decided earlier than what is known, changes nothing.
func (b *Box) Add(list string, f exchange.Feedback, decided time.Time) error {
	f.ID = id(list, &f)
	item := Item{Version: itemVersion, List: list, Feedback: f, Decided: decided.UTC(), Queued: b.config.now().UTC()}
	if err := item.check(); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	err := b.locked(func() error {
		for _, state := range []State{Pending, Dead, Done} {
			known, ok, err := b.read(state, f.ID)
			if err != nil && !errors.Is(err, ErrItem) {
				return err
			}
			if ok && item.yields(&known) {
				return nil
			}
			if ok && state == Pending {
				break // what waits was decided after what is dead or done
			}
		}
		waiting, err := b.ids(Pending)
		if err != nil {
			return err
		}
		if len(waiting) >= MaxPending {
			return ErrFull
		}
		if err := b.write(Pending, item); err != nil {
			return err
		}
		return b.remove(Dead, f.ID)
	})
	if err == nil {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return err
}

// Items returns all items in a state, by list and ID. Those that cannot be read are joined in the error; the others are
// returned all the same.
func (b *Box) Items(state State) ([]Item, error) {
	ids, err := b.ids(state)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	var items []Item
	var failed []error
	for _, id := range ids {
		i, ok, err := b.read(state, id)
		if err != nil {
			failed = append(failed, fmt.Errorf("outbox: %s %s: %w", state, id, err))
		} else if ok {
			items = append(items, i)
		}
	}
	slices.SortStableFunc(items, func(a, b Item) int { return strings.Compare(a.List, b.List) })
	return items, errors.Join(failed...)
}

// ErrUnknown says that no item of that ID was given up.
var ErrUnknown = errors.New("no such item was given up")

// Retry has an item sent again that was given up; its deadline begins anew.
func (b *Box) Retry(id string) error {
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("outbox: %w", ErrUnknown)
	}
	return b.locked(func() error {
		i, ok, err := b.read(Dead, id)
		if err != nil {
			return err
		}
		if !ok {
			return ErrUnknown
		}
		i.Queued, i.Attempts, i.Due, i.Error = b.config.now().UTC(), 0, time.Time{}, ""
		if err := b.write(Pending, i); err != nil {
			return err
		}
		return b.remove(Dead, id)
	})
}
