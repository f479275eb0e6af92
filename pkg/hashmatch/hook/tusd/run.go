package tusd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// note tells Run whether there is something to do for an upload.
func (h *Handler) note(id string, due bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if due {
		h.due[id] = true
	} else {
		delete(h.due, id)
	}
}

// Run carries on with what an earlier process left behind, and from then on with what could not be finished in its
// hook: it scans what has no verdict, puts back what was allowed, announces what was put back, and deletes what was held
// for longer than Config.Keep. It returns nil when ctx is done. It must run once, beside the server.
func (h *Handler) Run(ctx context.Context) error {
	if !h.begin() {
		return nil
	}
	defer h.running.Done()
	h.survey()
	ticker := time.NewTicker(h.config.every)
	defer ticker.Stop()
	expired := h.config.now()
	h.expire(ctx)
	for {
		h.carryOn(ctx)
		if now := h.config.now(); now.Sub(expired) >= time.Hour || now.Before(expired) {
			expired = now
			h.survey()
			h.expire(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-h.wake:
		}
	}
}

// survey finds the uploads in Held for which there is something to do, and adopts those without a journal: one that
// died between two steps never has none, but a disk that was full can leave one.
func (h *Handler) survey() {
	known, unknown, err := h.folders.uploads()
	if err != nil {
		h.config.Logger.Error("tusd: the folder of what is held cannot be read", "reason", err.Error())
		return
	}
	for _, id := range unknown {
		h.adopt(id)
	}
	for _, id := range known {
		if j, err := h.folders.load(id); err != nil {
			h.config.Logger.Error("tusd: an upload stays held", "item", itemID(id), "reason", err.Error())
		} else if j != nil && j.Step != kept {
			h.note(id, true)
		}
	}
}

// adopt writes the journal of an upload in Held that has none: it is scanned like one that has just arrived.
func (h *Handler) adopt(id string) {
	unlock, ok := h.tryLock(id)
	if !ok {
		return
	}
	defer unlock()
	if j, err := h.folders.load(id); j != nil || err != nil {
		return
	}
	if there, err := has(h.folders.held, id); err != nil || !there {
		return
	}
	if there, err := has(h.folders.store, id); err != nil || there {
		return // an upload of its own, under the same ID
	}
	file, err := h.folders.held.Open(id + infoSuffix)
	if err != nil {
		return
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxBody))
	if err != nil {
		return
	}
	u, err := parseUpload(text)
	if err != nil || u.ID != id || u.Size < 0 || u.SizeIsDeferred || u.IsPartial {
		return
	}
	j := &journal{ID: id, Size: u.Size, Upload: json.RawMessage(text), Late: true}
	if err := h.save(j, taking); err != nil {
		h.config.Logger.Error("tusd: an upload stays held", "item", itemID(id), "reason", err.Error())
	}
}

func (h *Handler) tryLock(id string) (unlock func(), ok bool) {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	return h.locks.take(done, id)
}

// carryOn takes each upload that is due one step further. The first that cannot be scanned, or announced, ends that
// kind of work for now: the others would fare no better.
func (h *Handler) carryOn(ctx context.Context) {
	h.mu.Lock()
	ids := make([]string, 0, len(h.due))
	for id := range h.due {
		ids = append(ids, id)
	}
	h.mu.Unlock()
	slices.Sort(ids)
	work := work{scan: h.config.Ready() == nil, announce: true}
	for _, id := range ids {
		if ctx.Err() != nil {
			return
		}
		h.carryOnOne(ctx, id, &work)
	}
}

// work says which kinds of work are worth a try.
type work struct{ scan, announce bool }

func (h *Handler) carryOnOne(ctx context.Context, id string, w *work) {
	log := h.config.Logger.With("item", itemID(id))
	defer func() {
		if recover() != nil {
			log.Error("tusd: carrying on with an upload ended in a panic: it stays as it is")
		}
	}()
	unlock, ok := h.tryLock(id)
	if !ok {
		return // a hook is at it
	}
	defer unlock()
	j, err := h.folders.load(id)
	if err != nil || j == nil || j.Step == kept {
		h.note(id, false)
		return
	}
	switch j.Step {
	case taking:
		if !w.scan {
			return
		}
		err = h.resume(ctx, j, w)
	case returning:
		if j.Late = true; !h.lost(id) {
			err = h.putBack(j)
		} else if err = h.folders.forget(id); err == nil {
			h.note(id, false)
			err = errGone
		}
	case returned:
		err = h.announce(ctx, j, w)
	}
	if err != nil {
		log.Error("tusd: an upload stays as it is", "step", string(j.Step), "reason", err.Error())
	}
}

// resume takes an upload into Held, as far as it is not there, and scans it.
func (h *Handler) resume(ctx context.Context, j *journal, w *work) error {
	j.Late = true
	err := h.moveOut(j.ID)
	switch {
	case errors.Is(err, fs.ErrExist):
		return h.divert(j.ID) // what is in Held already is scanned next time
	case errors.Is(err, errGone): // deleted by somebody before it was taken
		if err := h.folders.forget(j.ID); err != nil {
			return err
		}
		h.note(j.ID, false)
		return errGone
	case err != nil:
		return err
	}
	_, scanned, err := h.settle(context.WithoutCancel(ctx), j)
	w.scan = scanned || err != nil
	h.again(j)
	return err
}

// again wakes Run if the upload can be announced.
func (h *Handler) again(j *journal) {
	if j.Step != returned {
		return
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// lost reports whether the content is in neither folder.
func (h *Handler) lost(id string) bool {
	inStore, err := has(h.folders.store, id)
	inHeld, err2 := has(h.folders.held, id)
	return err == nil && err2 == nil && !inStore && !inHeld
}

// announce sends the post-finish of an upload that was put back, unless tusd may still do so itself.
func (h *Handler) announce(ctx context.Context, j *journal, w *work) error {
	age := h.config.now().Sub(j.Time)
	if !j.Late && age >= 0 && age < h.config.grace {
		return nil
	}
	if h.forward == nil {
		h.forget(j)
		return nil
	}
	if !w.announce {
		return nil
	}
	err := h.forward.announce(ctx, j.Upload)
	switch {
	case err == nil:
		h.forget(j)
	case age > h.config.Keep:
		h.config.Logger.Error("tusd: an upload in the store was never announced", "item", itemID(j.ID))
		h.forget(j)
	default:
		w.announce = false
	}
	return err
}

// The refusals of Release.
var (
	ErrNotHeld   = errors.New("tusd: no such upload is held")
	ErrUndecided = errors.New("tusd: the upload has no verdict yet")
)

// Release puts an upload that was not allowed back into the store, because a person has decided so, and has Run announce
// it. id is the item's or tusd's. The error wraps ErrNotHeld if there is no such upload, or it has expired, and
// ErrUndecided if it is not scanned yet: ask again later. Releasing what was released already is no error until it was
// announced.
func (h *Handler) Release(ctx context.Context, id string) error {
	id = uploadID(id)
	if checkID(id) != nil {
		return ErrNotHeld
	}
	unlock, ok := h.locks.take(ctx, id)
	if !ok {
		return ErrUndecided
	}
	defer unlock()
	j, err := h.folders.load(id)
	switch {
	case err != nil:
		return err
	case j == nil:
		return ErrNotHeld
	case j.Step == taking:
		return ErrUndecided
	case j.Step == returned:
		return nil
	}
	if h.lost(id) {
		return ErrNotHeld
	}
	j.Late = true
	if err := h.returnIt(j); err != nil {
		return err
	}
	h.config.Logger.Info("tusd: an upload was released", "item", itemID(id))
	h.again(j)
	return nil
}

// expire deletes what was held for longer than Config.Keep: uploads that were not allowed, by the time of the verdict,
// and files that belong to no upload, by their own. What has no verdict yet does not expire.
func (h *Handler) expire(ctx context.Context) {
	dir, err := h.folders.held.Open(".")
	if err != nil {
		return
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return
	}
	known := make(map[string]bool)
	for _, name := range names {
		if id, ok := strings.CutSuffix(name, journalSuffix); ok {
			known[id] = true
		}
	}
	for _, name := range names {
		id, ok := strings.CutSuffix(name, journalSuffix)
		switch {
		case ctx.Err() != nil:
			return
		case ok:
			h.expireOne(id)
		case !known[strings.TrimSuffix(name, infoSuffix)] && name != lockName:
			h.expireFile(name)
		}
	}
}

func (h *Handler) expireOne(id string) {
	unlock, ok := h.tryLock(id)
	if !ok {
		return
	}
	defer unlock()
	j, err := h.folders.load(id)
	if err != nil || j == nil || j.Step != kept || h.config.now().Sub(j.Time) <= h.config.Keep {
		return
	}
	for _, name := range []string{id, id + infoSuffix} { // the journal last
		if err := h.folders.held.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.config.Logger.Error("tusd: an upload cannot be deleted", "item", itemID(id), "reason", bare(err).Error())
			return
		}
	}
	if err := h.folders.forget(id); err != nil {
		h.config.Logger.Error("tusd: an upload cannot be deleted", "item", itemID(id), "reason", err.Error())
		return
	}
	h.config.Logger.Info("tusd: an upload that was held has expired", "item", itemID(id))
}

func (h *Handler) expireFile(name string) {
	info, err := h.folders.held.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || h.config.now().Sub(info.ModTime()) <= h.config.Keep {
		return
	}
	if err := h.folders.held.Remove(name); err != nil {
		h.config.Logger.Error("tusd: a file that was held cannot be deleted", "reason", bare(err).Error())
	}
}
