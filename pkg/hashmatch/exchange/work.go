package exchange

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// work is a list with its checkpoint, as they stand in one file.
type work struct {
	path       string
	list       *hashlist.List
	onDisk     *hashlist.List // what the file holds, which shares what is the same with list; nil: there is none
	checkpoint Checkpoint
	pending    []hashlist.Change // not yet in list, nor is checkpoint.Through beyond what is: see advance
	through    time.Time         // of the checkpoint once pending is in list
	saved      time.Time
	dirty      bool
}

// maxPending bounds the entries that wait to be put into the list: each Apply rewrites the blocks that it touches, so
// that many entries at once cost hardly more than a few.
const maxPending = 50_000

func (s *Syncer) partial() string { return s.config.File + ".partial" }

// load opens the file of a list. One that is not there is an empty list.
func (s *Syncer) load(path string) (*work, error) {
	w := &work{path: path, saved: s.now()}
	snapshot, err := s.config.Open(path, path == s.partial())
	switch {
	case err == nil:
		if w.checkpoint, err = ReadCheckpoint(snapshot); errors.Is(err, ErrCheckpoint) {
			s.log.Warn("a checkpoint that cannot be read is left out", "error", err)
			err = nil
		}
		if err == nil { // a change of nothing: the list that comes out does not depend on the file any more
			w.list, _, err = snapshot.List().Apply(nil, s.now())
			w.onDisk = w.list
		}
	case errors.Is(err, os.ErrNotExist):
		w.list, err = emptyList()
	case errors.Is(err, ErrUnvouched):
		s.log.Warn("what the list's file says is not used", "error", err)
		w.list, err = emptyList()
	case errors.Is(err, hashlist.ErrNotSnapshot):
		err = fmt.Errorf("%w: what is synced must be one, or not be there yet", err)
	}
	if err != nil {
		return nil, err
	}
	w.through = w.checkpoint.Through
	return w, nil
}

func emptyList() (*hashlist.List, error) {
	return hashlist.New(func(func(hashmatch.Entry) bool) {})
}

// loadPartial opens the whole fetch that is under way, or begins one.
func (s *Syncer) loadPartial(current *work, now time.Time) (*work, error) {
	w, err := s.load(s.partial())
	if err == nil && w.onDisk != nil {
		c := w.checkpoint
		age := now.Sub(c.Begun)
		if c.Version != 0 && c.Exchange == s.identity && !c.Begun.Equal(current.checkpoint.Begun) && age >= 0 && age < s.config.forgets() {
			s.log.Info("the fetch of the whole list goes on", "through", w.checkpoint.Through)
			return w, nil
		}
	} else if err != nil && errors.Is(err, os.ErrPermission) {
		return nil, err
	}
	list, err := emptyList()
	if err != nil {
		return nil, err
	}
	return &work{path: s.partial(), list: list, saved: now,
		checkpoint: Checkpoint{Version: checkpointVersion, Exchange: s.identity, Begun: now.UTC().Truncate(time.Microsecond)}}, nil
}

// take adds entries to what is pending.
func (s *Syncer) take(w *work, entries []hashmatch.Entry) error {
	for _, e := range entries {
		w.pending = append(w.pending, hashlist.Change{Op: hashlist.Upsert, Entry: e})
	}
	w.dirty = w.dirty || len(entries) > 0
	if len(w.pending) >= maxPending {
		return s.flush(w)
	}
	return nil
}

// advance says that everything up to and including through was taken, and saves if it is time to.
func (s *Syncer) advance(ctx context.Context, w *work, through time.Time) error {
	if through.After(w.through) {
		w.through, w.dirty = through, true
	}
	if s.config.SaveEvery < 0 || s.now().Sub(w.saved) >= s.config.SaveEvery {
		s.log.Info("syncing", "through", w.through, "requests", s.requests)
		return s.save(ctx, w)
	}
	return nil
}

// flush puts what is pending into the list.
func (s *Syncer) flush(w *work) error {
	if len(w.pending) > 0 {
		list, summary, err := w.list.Apply(w.pending, s.now())
		if err != nil {
			return err
		}
		w.list, w.pending = list, w.pending[:0]
		s.count(summary)
	}
	w.checkpoint.Through = w.through
	return nil
}

func (s *Syncer) count(more hashlist.Summary) {
	s.summary.Added += more.Added
	s.summary.Changed += more.Changed
	s.summary.Unchanged += more.Unchanged
	s.summary.Withdrawn += more.Withdrawn
	s.summary.Removed += more.Removed
	s.summary.Stale += more.Stale
}

// save writes what was taken so far, if it is more than the file has.
func (s *Syncer) save(ctx context.Context, w *work) error {
	if !w.dirty {
		return nil
	}
	return s.write(ctx, w)
}

// write puts the list and its checkpoint into the file, in one rename.
func (s *Syncer) write(ctx context.Context, w *work) error {
	if err := s.flush(w); err != nil {
		return err
	}
	if w.path == s.config.File {
		info := w.list.Info()
		info.Name, info.Source = s.config.List, string(s.config.Dialect)
		w.list = w.list.WithInfo(info)
	}
	if err := s.accept(w); err != nil {
		w.dirty = false // it is not asked again for the same
		return err
	}
	section, err := w.checkpoint.section()
	if err != nil {
		return err
	}
	extras := []hashlist.Extra{section}
	if w.path == s.config.File && s.config.Extras != nil {
		more, err := s.config.Extras(ctx, w.list)
		if err != nil {
			return err
		}
		extras = append(extras, more...)
	}
	if err := s.config.Write(w.path, w.path == s.partial(), w.list, extras...); err != nil {
		return err
	}
	w.dirty, w.saved, w.onDisk = false, s.now(), w.list
	return nil
}

// accept asks whether the list may take the place of the one in its file, if it is another one.
func (s *Syncer) accept(w *work) error {
	if s.config.Accept == nil || w.path != s.config.File || w.onDisk != nil && w.onDisk.Revision() == w.list.Revision() {
		return nil
	}
	if err := s.config.Accept(w.onDisk, w.list); err != nil {
		return fmt.Errorf("not accepted: %w", err)
	}
	return nil
}

// replace puts a list that was fetched as a whole in the place of the current one. After it, current is what is in the
// file.
func (s *Syncer) replace(ctx context.Context, current, next *work, begun time.Time) error {
	if err := s.flush(next); err != nil {
		return err
	}
	list, summary, err := settle(current.list, next.list, s.now())
	if err != nil {
		return err
	}
	if inForce(list) == 0 && inForce(current.list) > 0 {
		return ErrEmptied
	}
	s.summary = summary
	w := *current
	w.list, w.checkpoint, w.through, w.pending = list.WithSynced(begun), next.checkpoint, next.checkpoint.Through, nil
	w.checkpoint.Synced = begun
	if err := s.write(ctx, &w); err != nil {
		return err
	}
	*current = w
	s.removePartial()
	return nil
}

func (s *Syncer) removePartial() {
	if err := os.Remove(s.partial()); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("the file of a fetch that is complete is left behind", "error", err)
	}
}

func inForce(l *hashlist.List) int { return l.Len() - l.StatusCounts()[hashmatch.Withdrawn] }

// settle returns next with the times at which entries came into old: what was there and is not in next is gone, and
// where a record of old would win over that of next, next's holds all the same.
func settle(old, next *hashlist.List, now time.Time) (*hashlist.List, hashlist.Summary, error) {
	var removals []hashlist.Change
	for _, e := range old.Entries() {
		ordinal, kept := next.Find(e.Key)
		if kept {
			n := next.Entry(ordinal)
			older := n.Updated.Before(e.Updated)
			revived := e.Status == hashmatch.Withdrawn && n.Status != hashmatch.Withdrawn && !n.Updated.After(e.Updated)
			kept = !older && !revived
		}
		if !kept {
			removals = append(removals, hashlist.Change{Op: hashlist.Remove, Entry: hashmatch.Entry{Key: e.Key}})
		}
	}
	cleared, removed, err := old.Apply(removals, now)
	if err != nil {
		return nil, hashlist.Summary{}, err
	}
	list, summary, err := cleared.Merge(next, now)
	if err != nil {
		return nil, hashlist.Summary{}, err
	}
	if list.Revision() != next.Revision() { // it is next, or nothing of this can be trusted
		return nil, hashlist.Summary{}, errors.New("the list that was put together is not the one that was fetched")
	}
	summary.Removed += removed.Removed
	return list, summary, nil
}

// sweep removes what writes that were killed left behind; young files may belong to a write that is under way.
func (s *Syncer) sweep(now time.Time) {
	folder, name := filepath.Split(s.config.File)
	for _, pattern := range []string{"." + name + ".*.tmp", "." + name + ".partial.*.tmp"} {
		left, _ := filepath.Glob(filepath.Join(globEscape(folder), globEscape(pattern[:len(pattern)-len("*.tmp")])+"*.tmp"))
		for _, path := range left {
			if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > time.Hour {
				_ = os.Remove(path)
			}
		}
	}
}

func globEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(text)
}
