package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxPending bounds the records that wait to be written, which are more than callers only if the disk hangs.
const maxPending = 4096

// request is a record on its way.
type request struct {
	ctx    context.Context
	upload bool // item and answer are set
	item   short
	answer short
	fields []byte
	sync   bool // to be answered when it is on disk
	done   chan error
}

// submit has the entry written and, if sync, forced to disk. The writing is done by one goroutine at a time, which
// lives while there is something to write, so that a caller can give up when its time is over although the disk hangs.
func (l *Log) submit(ctx context.Context, e Entry, sync bool) error {
	if e.Time.IsZero() {
		e.Time = l.config.now()
	}
	fields, err := e.fields()
	if err != nil {
		return err
	}
	if len(fields) > maxLine-512 { // room for what is around them
		return ErrTooLong
	}
	r := &request{ctx: ctx, fields: fields, sync: sync, done: make(chan error, 1)}
	if e.Type == TypeUpload {
		r.upload, r.item, r.answer = true, itemKey(e.Tenant, e.Surface, e.Item), answerKey(fields)
	}
	l.mu.Lock()
	switch {
	case l.stopped:
		err = ErrClosed
	case len(l.pending) >= maxPending || len(l.waiting) >= maxPending:
		err = ErrBusy
	default:
		l.pending = append(l.pending, r)
		if !l.committing {
			l.committing = true
			go l.commit()
		}
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commit writes what waits until nothing does.
func (l *Log) commit() {
	for {
		l.mu.Lock()
		batch := l.pending
		l.pending = nil
		if len(batch) == 0 {
			l.committing = false
			l.checkIdle()
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()

		var written []*request
		gone := l.present()
		for _, r := range batch {
			seq, err := uint64(0), gone
			if gone == nil {
				seq, err = l.record(r)
			}
			if err != nil || !r.sync || l.isSynced(seq) {
				r.done <- err
				continue
			}
			written = append(written, r)
		}
		if len(written) == 0 {
			continue
		}
		l.mu.Lock()
		l.waiting = append(l.waiting, written...)
		if !l.syncing {
			l.syncing = true
			go l.syncWaiting()
		}
		l.mu.Unlock()
	}
}

// syncWaiting forces the log to disk, once for all that wait for it, until none does.
func (l *Log) syncWaiting() {
	for {
		l.mu.Lock()
		batch := l.waiting
		l.waiting = nil
		if len(batch) == 0 {
			l.syncing = false
			l.checkIdle()
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		err := l.force()
		for _, r := range batch {
			r.done <- err
		}
	}
}

// checkIdle tells Close that nothing is at work any more. mu is held.
func (l *Log) checkIdle() {
	if l.idle != nil && !l.committing && !l.syncing && len(l.pending) == 0 && len(l.waiting) == 0 {
		close(l.idle)
		l.idle = nil
	}
}

// record writes one record and returns its seq, or that of the same answer if it is there already.
func (l *Log) record(r *request) (uint64, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err // nobody waits for it any more
	}
	if r.upload {
		if seq := l.recent.seen(r.item, r.answer); seq > 0 {
			l.mu.Lock()
			l.stats.Repeated++
			l.mu.Unlock()
			return seq, nil
		}
	}
	at := l.position()
	line, hash := appendLine(nil, at.seq+1, at.hash, r.fields)
	if at.size+int64(len(line)) > l.config.SegmentBytes && l.segment.first < at.seq {
		if err := l.rotate(); err != nil {
			return 0, err
		}
		at = l.position()
		line, hash = appendLine(line[:0], at.seq+1, at.hash, r.fields)
	}
	if err := l.write(line, position{at.seq + 1, hash, at.size + int64(len(line))}); err != nil {
		return 0, err
	}
	if r.upload {
		l.recent.add(r.item, r.answer, at.seq+1)
	}
	return at.seq + 1, nil
}

// write writes one line at the end of the segment, whole or not at all, and makes next the position.
func (l *Log) write(line []byte, next position) error {
	l.mu.Lock()
	at, torn, lost, file := l.written, l.torn, l.lost, l.segment.file
	l.mu.Unlock()
	if lost != nil {
		return lost
	}
	if torn {
		if err := file.Truncate(at.size); err != nil {
			return fmt.Errorf("cutting off a part of a record: %w", bare(err))
		}
	}
	n, err := file.WriteAt(line, at.size)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	torn = err != nil && file.Truncate(at.size) != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	l.torn = torn
	if err != nil {
		return bare(err)
	}
	l.written = next
	l.stats.Records++
	return nil
}

// force forces all that is written to disk. After a failure the system may have forgotten that it still owes the disk
// something, and say yes the next time: so what is not on disk for certain is written again before.
func (l *Log) force() error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	return l.forceHeld()
}

// forceHeld is force while syncMu is held.
func (l *Log) forceHeld() error {
	l.mu.Lock()
	at, from, s, lost := l.written, l.synced, l.segment, l.lost
	l.mu.Unlock()
	if lost != nil {
		return lost
	}
	if err := s.check(at.size, false); err != nil {
		if errors.Is(err, ErrLost) {
			l.lose(err)
		}
		return err
	}
	if at.size == from.size && !l.suspect {
		return nil
	}
	if l.suspect {
		if err := rewrite(s.file, from.size, at.size); err != nil {
			return bare(err)
		}
	}
	if err := s.file.Sync(); err != nil {
		l.suspect = true
		return bare(err)
	}
	l.suspect = false
	l.mu.Lock()
	l.synced = at
	l.mu.Unlock()
	return nil
}

// present returns an error that is ErrLost, from then on for every record, if what would be written now would be written
// into a file that is not the one at the segment's path, or not as long as it was left: that was removed, replaced, cut
// off or written to by someone else. A record in it would be found by nobody. It costs two looks at the file system for
// all records that are written together; commit calls it, which is the only one that writes.
func (l *Log) present() error {
	l.mu.Lock()
	at, torn, s, lost := l.written, l.torn, l.segment, l.lost
	l.mu.Unlock()
	if lost != nil {
		return lost
	}
	err := s.check(at.size, !torn)
	if errors.Is(err, ErrLost) {
		l.lose(err)
	}
	return err
}

// lose makes err the answer to every record from now on.
func (l *Log) lose(err error) {
	l.mu.Lock()
	first := l.lost == nil
	l.lost = err
	l.mu.Unlock()
	if first {
		l.config.Logger.Error("audit: nothing can be recorded any more: verify the log, and start again", "error", err)
	}
}

// check returns an error that is ErrLost if what has the name of the segment is not the file that is written to, or has not
// the size, or less than it where that need not be exact.
func (s segment) check(size int64, exact bool) error {
	open, err := s.file.Stat()
	if err != nil {
		return bare(err)
	}
	named, err := os.Lstat(s.path)
	if errors.Is(err, os.ErrNotExist) || err == nil && (!os.SameFile(open, named) || named.Size() < size || exact && named.Size() > size) {
		return ErrLost
	}
	return bare(err)
}

// rewrite writes a part of the file again as it is.
func rewrite(file disk, from, to int64) error {
	b := make([]byte, 64<<10)
	for from < to {
		n, err := file.ReadAt(b[:min(int64(len(b)), to-from)], from)
		if n == 0 {
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
		if _, err := file.WriteAt(b[:n], from); err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// rotate begins the next segment. Before that, the present one is forced to disk. If it fails, the present one goes on.
func (l *Log) rotate() error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if err := l.forceHeld(); err != nil {
		return err
	}
	at := l.position()
	s, first, err := l.begin(at)
	if err != nil {
		return fmt.Errorf("beginning a segment: %w", err)
	}
	l.mu.Lock()
	old := l.segment
	l.segment, l.written, l.synced, l.torn = s, first, first, false
	l.stats.Records++
	l.mu.Unlock()
	if err := old.file.Close(); err != nil {
		l.config.Logger.Warn("audit: closing a segment", "error", err)
	}
	l.sign(at)
	return nil
}

// begin makes the segment that follows a position, with its first record, on disk, and returns the position after it.
func (l *Log) begin(at position) (s segment, first position, err error) {
	s.first = at.seq + 1
	s.path = filepath.Join(l.config.Directory, segmentName(s.first))
	if s.file, err = l.config.openFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL); err != nil {
		return s, first, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(bare(err), s.file.Close(), os.Remove(s.path))
		}
	}()
	line, first, err := l.firstLine(at)
	if err != nil {
		return s, first, err
	}
	if _, err := s.file.WriteAt(line, 0); err != nil {
		return s, first, err
	}
	if err := s.file.Sync(); err != nil {
		return s, first, err
	}
	return s, first, syncDir(l.config.Directory)
}

// firstLine returns the first line of the segment that follows a position, and the position after it.
func (l *Log) firstLine(at position) ([]byte, position, error) {
	fields, err := Entry{Time: l.config.now(), Type: TypeSegment, Log: l.id, Format: formatVersion}.fields()
	if err != nil {
		return nil, position{}, err
	}
	line, hash := appendLine(nil, at.seq+1, at.hash, fields)
	return line, position{at.seq + 1, hash, int64(len(line))}, nil
}

func (l *Log) position() position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// isSynced says whether a record is on disk for certain.
func (l *Log) isSynced(seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return seq <= l.synced.seq
}

// bare returns an error of the file system without the path.
func bare(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	return err
}
