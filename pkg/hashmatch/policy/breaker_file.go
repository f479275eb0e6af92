package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// ErrBreakerFile is wrapped by the error of a state file that cannot be read. Whoever deletes the file lifts every
// trip, without a record of it.
var ErrBreakerFile = errors.New("the breaker's file is damaged, or not one")

// A state file is this line, with the CRC-32C of the rest in hexadecimal digits, and the JSON of breakerState.
//
// History: version 1 is the only one.
const breakerMagic = "hashmatch breaker 1 crc32c %08x\n"

// maxBreakerFile is the size of the largest file that is read, in bytes: MaxBreakerEntries with long names.
const maxBreakerFile = 64 << 20

// saveEvery is how often File is written at most where nothing has tripped.
const saveEvery = time.Minute

// breakerState is what survives a restart. The counts of the present window do not.
type breakerState struct {
	Trips   []Trip       `json:"trips"`
	Lifts   []Lift       `json:"lifts"`
	Entries []entryState `json:"entries"` // the one that has matched the longest ago first
}

type entryState struct {
	List  string `json:"list"`
	Entry string `json:"entry"`
	Exact bool   `json:"exact,omitempty"`
	Most  int64  `json:"most"` // matches in a window
}

// state returns what File should hold.
func (b *Breaker) state() breakerState {
	state := breakerState{Trips: make([]Trip, 0, len(b.trips)), Lifts: append([]Lift(nil), b.lifts...), Entries: make([]entryState, 0, len(b.entries))}
	keep := func(e *entryCount) {
		state.Entries = append(state.Entries, entryState{e.key.list, e.key.entry, e.key.exact, max(e.peaks.past, e.peaks.previous, e.peaks.now)})
	}
	for element := b.recent.Back(); element != nil; element = element.Prev() {
		keep(element.Value.(*entryCount))
	}
	for _, t := range b.trips {
		state.Trips = append(state.Trips, *t)
		if e := b.entries[entryKey{t.List, t.Entry, t.Exact}]; e != nil && e.trip == t {
			keep(e)
		}
	}
	return state
}

// work sees to it that somebody writes File and tells OnTrip. The caller holds mu.
func (b *Breaker) work() {
	if b.working {
		return
	}
	b.working = true
	b.workers.Go(func() {
		for b.workOnce() {
		}
	})
}

// workOnce writes File and tells OnTrip of what is new. It returns false when there is nothing to do.
func (b *Breaker) workOnce() bool {
	b.mu.Lock()
	untold := b.untold
	b.untold = nil
	if len(untold) == 0 && (!b.dirty || b.clock.elapsed-b.saved < saveEvery) {
		b.working = false
		b.mu.Unlock()
		return false
	}
	b.mu.Unlock()
	_ = b.save() // it is logged
	for _, t := range untold {
		b.config.Logger.Warn("breaker: tripped", "trip", t.ID, "cause", string(t.Cause), "surface", t.Surface, "tenant", t.Tenant,
			"list", t.List, "entry", t.Entry, "effect", string(t.Effect), "count", t.Count, "bound", t.Bound)
		b.tell(t)
	}
	return true
}

// tell calls OnTrip. A panic in it is its own affair.
func (b *Breaker) tell(t Trip) {
	if b.config.OnTrip == nil {
		return
	}
	defer func() {
		if recover() != nil {
			b.config.Logger.Error("breaker: the alarm failed", "trip", t.ID)
		}
	}()
	b.config.OnTrip(t)
}

// Close waits until what has tripped is written and told, and writes File. Nothing may be observed any more.
func (b *Breaker) Close() error {
	b.workers.Wait()
	if err := b.save(); err != nil {
		return fmt.Errorf("breaker: %w", err)
	}
	return nil
}

// save writes File, if there is one.
func (b *Breaker) save() error {
	if b.config.File == "" {
		b.mu.Lock()
		b.saved, b.dirty = b.clock.elapsed, false
		b.mu.Unlock()
		return nil
	}
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	state := b.state()
	b.saved, b.dirty = b.clock.elapsed, false
	b.mu.Unlock()
	err := b.write(state)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsaved = err
	if err != nil {
		b.dirty = true
		b.config.Logger.Error("breaker: the file could not be written: a restart forgets what is not in it", "error", err)
	}
	return err
}

// write writes a state to File: beside it, to disk, and then in its place.
func (b *Breaker) write(state breakerState) (err error) {
	path := b.config.File
	if path == "" {
		return nil
	}
	content, err := encodeState(state, maxBreakerFile)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			file.Close() // a second Close is harmless
			os.Remove(file.Name())
		}
	}()
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // it cannot
		return nil
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// encodeState returns the content of a file. Of entries that would make it longer than limit, those are left out that
// have matched the longest ago.
func encodeState(state breakerState, limit int) ([]byte, error) {
	text, err := json.Marshal(state)
	for err == nil && len(text) > limit-len(breakerMagic) {
		if len(state.Entries) == 0 {
			return nil, fmt.Errorf("%d bytes: more than can be read again", len(text))
		}
		state.Entries = state.Entries[(len(state.Entries)+1)/2:]
		text, err = json.Marshal(state)
	}
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, breakerMagic, checksum(text)), text...), nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(text []byte) uint32 { return crc32.Checksum(text, castagnoli) }

// decodeState reads what encodeState wrote.
func decodeState(content []byte) (breakerState, error) {
	var state breakerState
	head, text, found := bytes.Cut(content, []byte("\n"))
	if !found || string(head)+"\n" != fmt.Sprintf(breakerMagic, checksum(text)) {
		return state, ErrBreakerFile
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&state); err != nil {
		return state, fmt.Errorf("%w: %w", ErrBreakerFile, err)
	}
	if len(state.Trips) > MaxTrips || len(state.Entries) > MaxBreakerEntries+MaxTrips {
		return state, fmt.Errorf("%w: more in it than a breaker holds", ErrBreakerFile)
	}
	ids, subjects := make(map[string]bool), make(map[Trip]bool)
	for _, t := range state.Trips {
		subject := Trip{Surface: t.Surface, Tenant: t.Tenant, List: t.List, Entry: t.Entry, Exact: t.Exact}
		if ids[t.ID] || subjects[subject] {
			return state, fmt.Errorf("%w: one trip twice", ErrBreakerFile)
		}
		ids[t.ID], subjects[subject] = true, true
		named := t.Cause == CauseEntry && t.Surface+t.Tenant == "" || (t.Cause == CauseShare || t.Cause == CauseCount) && t.List+t.Entry == ""
		known := t.Effect == BreakerAlarm || t.Cause == CauseEntry && !t.Exact && (t.Effect == BreakerHold || t.Effect == BreakerSuspend)
		if t.ID == "" || !named || !known {
			return state, fmt.Errorf("%w: a trip that cannot be", ErrBreakerFile)
		}
	}
	for _, e := range state.Entries {
		if e.Most < 0 {
			return state, fmt.Errorf("%w: a count below 0", ErrBreakerFile)
		}
	}
	return state, nil
}

// load goes on where File says. A file that is not there is a new one.
func (b *Breaker) load() error {
	info, err := os.Stat(b.config.File)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return b.save() // so that a folder that cannot be written to is known now
	case err != nil:
		return err
	case !info.Mode().IsRegular(): // opening a named pipe can wait for ever
		return fmt.Errorf("%w: not a regular file", ErrBreakerFile)
	}
	file, err := os.Open(b.config.File)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxBreakerFile+1))
	if err != nil {
		return err
	}
	if len(content) > maxBreakerFile {
		return fmt.Errorf("%w: longer than %d bytes", ErrBreakerFile, maxBreakerFile)
	}
	state, err := decodeState(content)
	if err != nil {
		return err
	}
	b.restore(state)
	return nil
}

// restore puts a state in force.
func (b *Breaker) restore(state breakerState) {
	b.lifts = lastLifts(state.Lifts)
	for _, s := range state.Entries {
		key := entryKey{s.List, s.Entry, s.Exact}
		if b.entries[key] != nil {
			continue
		}
		e := &entryCount{key: key, peaks: peaks{past: s.Most}}
		e.element = b.recent.PushFront(e)
		b.entries[key] = e
	}
	for _, t := range state.Trips {
		b.trips = append(b.trips, &t)
		if t.Cause != CauseEntry {
			key := surfaceKey{t.Tenant, t.Surface}
			if b.surfaces[key] == nil {
				b.surfaces[key] = new(surfaceCount)
			}
			b.surfaces[key].trip = &t
			continue
		}
		key := entryKey{t.List, t.Entry, t.Exact}
		e := b.entries[key]
		if e == nil {
			e = &entryCount{key: key}
			b.entries[key] = e
		} else if e.element != nil {
			b.recent.Remove(e.element)
			e.element = nil
		}
		e.trip = &t
	}
}
