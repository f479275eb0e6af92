package tusd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/gate"
)

// preFinish takes the upload out of reach, has it scanned, and puts it back if it was allowed. The work goes on when
// the request ends: its place, which release gives back, is the work's from here.
func (h *Handler) preFinish(ctx context.Context, e event, caller string, release *func()) reply {
	if e.Upload.IsPartial {
		return done() // a piece, of which a final upload is made: that one is scanned
	}
	log := h.config.Logger.With("item", itemID(e.Upload.ID))
	if err := e.Upload.check(h.folders.names); err != nil {
		if checkID(e.Upload.ID) != nil {
			log = h.config.Logger // it is nothing to be logged
		}
		log.Error("tusd: an upload was not taken", "reason", err.Error())
		return failed(http.StatusForbidden, err.Error())
	}
	place := *release
	*release = func() {}
	answer := make(chan reply, 1)
	go func() {
		defer place()
		answer <- h.finish(ctx, e, caller)
	}()
	select {
	case r := <-answer:
		return r
	case <-ctx.Done():
		log.Warn("tusd: no verdict in time: the upload is held until there is one")
		return rejected()
	}
}

// patience bounds the wait for a scan of the same upload: one that takes longer than the gate's own limits is stuck.
const patience = 2 * time.Minute

// finish is preFinish without its deadline. ctx gives values only.
func (h *Handler) finish(ctx context.Context, e event, caller string) (r reply) {
	id := e.Upload.ID
	log := h.config.Logger.With("item", itemID(id))
	defer func() {
		if recover() != nil {
			log.Error("tusd: a pre-finish ended in a panic: the upload stays held")
			r = failed(http.StatusInternalServerError, "the hook failed")
		}
	}()
	ctx = context.WithoutCancel(ctx) // a sender that hangs up must not save the upload from being taken
	turn, cancel := context.WithTimeout(ctx, patience)
	unlock, ok := h.locks.take(turn, id)
	cancel()
	if !ok {
		log.Error("tusd: an upload was not taken: something else is at it")
		return failed(http.StatusServiceUnavailable, "something else is at the upload")
	}
	defer unlock()
	j, err := h.take(&journal{ID: id, Size: e.Upload.Size, Caller: caller, Upload: e.Raw})
	switch {
	case errors.Is(err, errKept):
		return rejected()
	case errors.Is(err, errGone) || errors.Is(err, errNotRegular):
		log.Error("tusd: an upload was not taken", "reason", err.Error())
		return failed(http.StatusForbidden, err.Error())
	case err != nil:
		log.Error("tusd: an upload could not be taken out of reach", "reason", err.Error())
		return failed(http.StatusInternalServerError, "the upload could not be taken out of reach")
	}
	action, _, err := h.settle(ctx, j)
	switch {
	case err != nil:
		log.Error("tusd: an upload is held: its verdict could not be carried out", "reason", err.Error())
		return failed(http.StatusInternalServerError, "the verdict could not be carried out")
	case action == hashmatch.Allow:
		return done()
	}
	return rejected()
}

var (
	errKept = errors.New("it was not allowed before")
	errGone = errors.New("the upload's file is not in the store")
)

// take brings the upload of a pre-finish into Held, whatever state it was in. It returns the journal at step taking.
func (h *Handler) take(j *journal) (*journal, error) {
	old, broken := h.folders.load(j.ID)
	if broken == nil && old != nil && old.Step == returning { // the process died while it put it back
		if err := h.putBack(old); errors.Is(err, fs.ErrExist) {
			return nil, h.divert(j.ID)
		} else if err != nil {
			return nil, err
		}
	}
	there, err := has(h.folders.store, j.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case broken != nil || old != nil && old.Step == kept:
		// tusd has another file under the ID of an upload that is held. It must not stay, and cannot have the name.
		if there {
			return nil, h.divert(j.ID)
		}
		return nil, errKept
	case !there && (old == nil || old.Step != taking):
		return nil, errGone
	}
	// A file that is back already is taken again: only a scan can say that it is the one that was allowed.
	saved := h.save(j, taking)
	if err := h.moveOut(j.ID); errors.Is(err, fs.ErrExist) {
		return nil, h.divert(j.ID)
	} else if err != nil {
		return nil, err
	}
	return j, saved // without a journal it is held all the same
}

// save writes the next step of the journal, and tells Run of it.
func (h *Handler) save(j *journal, next step) error {
	j.Version, j.Step, j.Time = journalVersion, next, h.config.now().UTC()
	if err := h.folders.save(j); err != nil {
		h.note(j.ID, true) // what is on disk may be either
		return fmt.Errorf("journal: %w", err)
	}
	h.note(j.ID, next != kept)
	h.config.at("journal " + string(next))
	return nil
}

// moveOut moves both files of an upload into Held, the content first. What is there already is not moved again.
func (h *Handler) moveOut(id string) error {
	f := h.folders
	for _, name := range []string{id, id + infoSuffix} {
		there, err := has(f.store, name)
		if err != nil {
			return err
		}
		if there {
			if err := rename(f.storeDir, f.heldDir, name, name); err != nil {
				return fmt.Errorf("move: %w", bare(err))
			}
			h.config.at("out " + name[len(id):])
		}
	}
	if err := f.sync(); err != nil {
		return err
	}
	if there, err := has(f.held, id); err != nil || !there {
		return errors.Join(errGone, err)
	}
	return nil
}

// divert moves an upload into Held under a name of no upload, where it stays until it expires. It returns errKept when
// that was done.
func (h *Handler) divert(id string) error {
	f := h.folders
	for n := 2; n < 100; n++ {
		name := fmt.Sprintf("%s~%d", id, n)
		err := rename(f.storeDir, f.heldDir, id, name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = rename(f.storeDir, f.heldDir, id+infoSuffix, name+infoSuffix)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		if err = errors.Join(bare(err), f.sync()); err != nil {
			return fmt.Errorf("an ID that is used again: %w", err)
		}
		return errKept
	}
	return errors.New("too many uploads under one ID")
}

// settle has the upload in Held scanned and does what the verdict says. scanned is false if there is none yet: the
// upload stays as it is, for Run.
func (h *Handler) settle(ctx context.Context, j *journal) (action hashmatch.Action, scanned bool, err error) {
	o, err := h.check(ctx, j)
	h.config.at("scanned")
	switch {
	case err != nil:
		return hashmatch.Hold, false, err
	case o.Action == hashmatch.Allow:
		j.Action = o.Action
		return o.Action, true, h.returnIt(j)
	case !o.Scanned || len(o.Failed) > 0: // what could not be recorded is in nobody's queue
		return hashmatch.Hold, false, nil
	}
	j.Action = o.Action
	return o.Action, true, h.save(j, kept)
}

// check scans the upload in Held.
func (h *Handler) check(ctx context.Context, j *journal) (gate.Outcome, error) {
	surface, err := h.config.Surface()
	if err != nil {
		return gate.Outcome{}, err
	}
	file, err := h.open(j.ID)
	if err != nil {
		return gate.Outcome{}, err
	}
	defer file.Close()
	return h.config.Checker.Check(ctx, gate.Upload{
		ID: itemID(j.ID), Surface: surface, Dialect: "tusd", Caller: j.Caller,
		Content: &wholeReader{file: file, left: j.Size}, Size: j.Size,
	})
}

// open opens the content in Held: the regular file of that name, not what a link leads to.
func (h *Handler) open(id string) (*os.File, error) {
	named, err := h.folders.held.Lstat(id)
	if err != nil {
		return nil, bare(err)
	}
	if !named.Mode().IsRegular() {
		return nil, errNotRegular
	}
	file, err := h.folders.held.Open(id)
	if err != nil {
		return nil, bare(err)
	}
	if opened, err := file.Stat(); err != nil || !os.SameFile(named, opened) {
		file.Close()
		return nil, errNotRegular
	}
	return file, nil
}

// wholeReader reads a file that must be exactly as long as tusd says.
type wholeReader struct {
	file *os.File
	left int64
}

func (r *wholeReader) Read(b []byte) (int, error) {
	n, err := r.file.Read(b)
	r.left -= int64(n)
	switch {
	case r.left < 0 || err == io.EOF && r.left > 0:
		return n, &hashmatch.Failure{Code: hashmatch.ChangedWhileRead, Detail: "the upload is not as long as tusd states"}
	case err != nil && err != io.EOF:
		return n, &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: "the upload's file cannot be read"}
	}
	return n, err
}

// returnIt puts an upload that was allowed or released back into the store.
func (h *Handler) returnIt(j *journal) error {
	if err := h.save(j, returning); err != nil {
		return err
	}
	return h.putBack(j)
}

// putBack moves both files back into the store, the description last: without it tusd knows no upload. What is there
// already is not moved again, and nothing there is replaced.
func (h *Handler) putBack(j *journal) error {
	f := h.folders
	for _, name := range []string{j.ID, j.ID + infoSuffix} {
		there, err := has(f.held, name)
		if err != nil {
			return err
		}
		if there {
			if err := rename(f.heldDir, f.storeDir, name, name); err != nil {
				return fmt.Errorf("move back: %w", bare(err))
			}
			h.config.at("back " + name[len(j.ID):])
		}
	}
	if err := f.sync(); err != nil {
		return err
	}
	return h.save(j, returned)
}

// postFinish passes the event on if the upload was put back, and forgets the upload when the application has taken it.
// The application learns nothing of any other upload.
func (h *Handler) postFinish(ctx context.Context, e event, body []byte, header http.Header) reply {
	id := e.Upload.ID
	if checkID(id) != nil {
		h.config.Logger.Error("tusd: a post-finish was withheld", "reason", errID.Error())
		return done()
	}
	log := h.config.Logger.With("item", itemID(id))
	unlock, ok := h.locks.take(ctx, id)
	if !ok {
		log.Info("tusd: a post-finish was withheld: there is no verdict yet")
		return done()
	}
	defer unlock()
	j, err := h.folders.load(id)
	switch {
	case err != nil:
		log.Error("tusd: a post-finish was withheld", "reason", err.Error())
		return done()
	case j == nil || j.Step != returned:
		log.Info("tusd: a post-finish was withheld: the upload was not allowed, is a piece of one, or was announced before")
		return done()
	}
	r := h.pass(ctx, body, header)
	if r.took() {
		h.forget(j)
	}
	return r // otherwise tusd logs it, and Run announces the upload later
}

// forget ends the story of an upload that was put back and announced.
func (h *Handler) forget(j *journal) {
	h.config.at("told")
	if err := h.folders.forget(j.ID); err != nil {
		h.config.Logger.Error("tusd: a journal stays: the upload will be announced again", "item", itemID(j.ID), "reason", err.Error())
		return
	}
	h.note(j.ID, false)
}
