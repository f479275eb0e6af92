package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// The errors of Open, besides those of the disk.
var (
	ErrLocked  = errors.New("another process has the log open")
	ErrDamaged = errors.New("the log is damaged: verify it, and move it aside as evidence")
	ErrFormat  = errors.New("the log was written by a newer version")
)

// Open opens the log in a directory, or begins one. It reads the last segment and, to know answers again, as much as
// 64 MiB before it. What a crash left of a record is moved to a file beside the segment, whose name is that of the
// segment with ".torn" and a number, and a record says so. A log that is damaged before its end is not touched:
// ErrDamaged.
func Open(config Config) (*Log, error) {
	l, err := open(config)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return l, nil
}

func open(config Config) (_ *Log, err error) {
	if err := complete(&config); err != nil {
		return nil, err
	}
	lock, err := openDirectory(config.Directory)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	l := &Log{config: config, lock: lock, closed: make(chan struct{}), recent: newRecent(config.recent)}
	for _, sink := range config.Sinks {
		l.sinks = append(l.sinks, newDelivery(sink, config.Logger))
	}
	names, err := segmentNames(config.Directory)
	if err != nil {
		return nil, bare(err)
	}
	if len(names) == 0 {
		return l, l.create()
	}
	return l, l.resume(names)
}

// complete checks the configuration and fills in its defaults.
func complete(c *Config) (err error) {
	if c.Directory == "" {
		return errors.New("no directory")
	}
	if c.Sync, err = ParseSync(string(c.Sync)); err != nil {
		return err
	}
	switch {
	case c.SegmentBytes < 0:
		return fmt.Errorf("segments of %d bytes", c.SegmentBytes)
	case c.HeadInterval < 0:
		return fmt.Errorf("a head interval of %s", c.HeadInterval)
	case c.Key != nil && len(c.Key) != ed25519.PrivateKeySize:
		return errors.New("the key is no Ed25519 private key")
	case c.Key == nil && len(c.Sinks) > 0:
		return errors.New("heads are to be sent, and there is no key to sign them")
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = DefaultSegmentBytes
	}
	if c.HeadInterval == 0 {
		c.HeadInterval = DefaultHeadInterval
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.openFile == nil {
		c.openFile = func(name string, flag int) (disk, error) { return os.OpenFile(name, flag, 0o600) }
	}
	if c.recent == 0 {
		c.recent = recentItems
	}
	return nil
}

// create begins a new log.
func (l *Log) create() error {
	l.config.Logger.Warn("audit: there is no log in the folder: a new one is begun, which is as it should be the first time only", "directory", l.config.Directory)
	l.id = rand.Text()
	s, first, err := l.begin(position{})
	if err != nil {
		return err
	}
	l.segment, l.written, l.synced = s, first, first
	return nil
}

// scanned is what a segment file was found to hold.
type scanned struct {
	first position // after the record before it, as its first record says; size is 0
	last  position // after its last sound record; seq is 0 if it has none
	log   string
	size  int64 // of the file
}

// resume goes on with the log that is there.
func (l *Log) resume(names []string) error {
	from, err := l.oldestToRead(names)
	if err != nil {
		return err
	}
	var before, last scanned
	for i := from; i < len(names); i++ {
		before = last
		if last, err = l.scan(names[i]); err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		switch {
		case i < len(names)-1 && (last.last.seq == 0 || last.last.size != last.size):
			return fmt.Errorf("%s: %w", names[i], ErrDamaged)
		case i > from && last.last.seq > 0 && (last.first.seq != before.last.seq || last.first.hash != before.last.hash || last.log != before.log):
			return fmt.Errorf("%s: %w: it does not follow the segment before", names[i], ErrDamaged)
		}
	}
	name := names[len(names)-1]
	if last.last.seq == 0 { // not even its first record was written whole
		first, _ := segmentSeq(name)
		if first != before.last.seq+1 {
			return fmt.Errorf("%s: %w", name, ErrDamaged)
		}
		last.first = position{seq: before.last.seq, hash: before.last.hash}
		last.log = before.log
	}
	if l.id = last.log; l.id == "" {
		l.id = rand.Text() // nothing of the log was ever written
	}
	return l.repair(name, last)
}

// oldestToRead returns the index of the segment from which on answers are read: the last, the one before it, and those
// before as long as they are not too much.
func (l *Log) oldestToRead(names []string) (int, error) {
	from, total := len(names)-1, int64(0)
	for from > 0 {
		info, err := os.Lstat(filepath.Join(l.config.Directory, names[from-1]))
		if err != nil {
			return 0, bare(err)
		}
		if total += info.Size(); total > recentBytes && from < len(names)-1 {
			break
		}
		from--
	}
	return from, nil
}

// scan reads a segment, up to the last record of an unbroken chain. It returns ErrDamaged if a sound record follows
// something that does not belong there: what a crash leaves is at the end.
func (l *Log) scan(name string) (s scanned, err error) {
	file, err := openSegment(l.config.Directory, name)
	if err != nil {
		return s, bare(err)
	}
	defer file.Close()
	start, _ := segmentSeq(name)
	broken := false
	for lines := newLineReader(file); ; {
		text, err := lines.read()
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return s, bare(err)
		}
		s.size = text.end
		p, err := parseLine(text.text)
		if err != nil || !p.sound || !text.whole {
			broken = true
			continue
		}
		if broken {
			return s, fmt.Errorf("%w: before line %d", ErrDamaged, text.number)
		}
		e, err := p.entry()
		if err != nil {
			return s, fmt.Errorf("%w: line %d", ErrDamaged, text.number)
		}
		if s.last.seq == 0 {
			switch {
			case e.Type == TypeSegment && e.Format > formatVersion:
				return s, ErrFormat
			case p.seq != start || e.Type != TypeSegment || e.Log == "":
				return s, fmt.Errorf("%w: line 1", ErrDamaged)
			}
			s.first, s.log = position{seq: p.seq - 1, hash: p.prev}, e.Log
		} else if p.seq != s.last.seq+1 || p.prev != s.last.hash {
			return s, fmt.Errorf("%w: line %d", ErrDamaged, text.number)
		}
		s.last = position{p.seq, p.hash, text.end}
		if e.Type == TypeUpload {
			l.recent.add(itemKey(e.Tenant, e.Surface, e.Item), answerKey(p.fields), p.seq)
		}
	}
}

// repair opens the last segment to be written to. What is behind its last record is kept in a file, then the record
// that says so is written over it: at no moment is there less on disk than both tell.
func (l *Log) repair(name string, s scanned) (err error) {
	path := filepath.Join(l.config.Directory, name)
	file, err := l.config.openFile(path, os.O_RDWR)
	if err != nil {
		return bare(err)
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	l.segment = segment{file, path, s.first.seq + 1}
	l.written = s.last
	var lines []byte
	if s.last.seq == 0 {
		if lines, l.written, err = l.firstLine(s.first); err != nil {
			return err
		}
	}
	offset := s.last.size
	if s.size > offset {
		kept, err := l.keepTorn(file, name, offset, s.size)
		if err != nil {
			return fmt.Errorf("keeping what a crash left: %w", bare(err))
		}
		l.config.Logger.Warn("audit: a record was not written whole: cut off", "segment", name, "offset", offset, "bytes", s.size-offset, "kept", kept)
		fields, err := Entry{Time: l.config.now(), Type: TypeTorn, Detail: map[string]string{
			"segment": name, "offset": strconv.FormatInt(offset, 10), "bytes": strconv.FormatInt(s.size-offset, 10), "file": kept,
		}}.fields()
		if err != nil {
			return err
		}
		before := len(lines)
		lines, l.written.hash = appendLine(lines, l.written.seq+1, l.written.hash, fields)
		l.written.seq, l.written.size = l.written.seq+1, l.written.size+int64(len(lines)-before)
	}
	if len(lines) > 0 {
		if _, err := file.WriteAt(lines, offset); err != nil {
			return bare(err)
		}
		if err := file.Truncate(l.written.size); err != nil {
			return bare(err)
		}
	}
	// Also what a process that was killed had written and not forced to disk.
	if err := errors.Join(file.Sync(), syncDir(l.config.Directory)); err != nil {
		return bare(err)
	}
	l.synced = l.written
	return nil
}

// keepTorn copies a part of the segment to a new file beside it and returns its name.
func (l *Log) keepTorn(file disk, name string, from, to int64) (string, error) {
	for n := 1; ; n++ {
		kept := name + ".torn" + strconv.Itoa(n)
		copied, err := l.config.openFile(filepath.Join(l.config.Directory, kept), os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if errors.Is(err, os.ErrExist) && n < 10000 {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = io.Copy(io.NewOffsetWriter(copied, 0), io.NewSectionReader(file, from, to-from))
		return kept, errors.Join(err, copied.Sync(), copied.Close())
	}
}
