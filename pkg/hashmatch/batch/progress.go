package batch

import (
	"sync"
	"time"
)

// Progress follows a Run. The zero Progress is ready; hand its address to one Run. It is safe for concurrent use:
// whoever draws it calls Snapshot as often as it likes.
type Progress struct {
	mu       sync.Mutex
	summary  Summary // without Failures
	resumed  Summary // what summary began with
	files    int64   // counted
	bytes    int64
	counted  bool
	finished bool
}

// Snapshot is how far a run has come.
type Snapshot struct {
	Files, Bytes           int64 // done; bytes read
	Allowed, Held, Blocked int64
	Matched, NotScanned    int64
	Resumed                int64 // of Files: taken over from a checkpoint
	KnownFiles, KnownBytes int64 // found so far, those done included; 0 if the Source cannot count
	Counted                bool  // KnownFiles and KnownBytes are all there is
	Finished               bool  // Run has returned, or is about to
	Elapsed                time.Duration
	FilesPerSecond         float64 // of this run, on average
	BytesPerSecond         float64
	Remaining              time.Duration // at that rate; negative while it is unknown
}

// Snapshot returns how far the run has come.
func (p *Progress) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Snapshot{
		Files: p.summary.Files, Bytes: p.summary.Bytes,
		Allowed: p.summary.Allowed, Held: p.summary.Held, Blocked: p.summary.Blocked,
		Matched: p.summary.Matched, NotScanned: p.summary.NotScanned, Resumed: p.resumed.Files,
		KnownFiles: p.files, KnownBytes: p.bytes, Counted: p.counted, Finished: p.finished,
		Remaining: -1,
	}
	if p.summary.Started.IsZero() {
		return s
	}
	now := p.summary.Ended
	if now.IsZero() {
		now = time.Now()
	}
	s.Elapsed = now.Sub(p.summary.Started)
	if seconds := s.Elapsed.Seconds(); seconds > 0 {
		s.FilesPerSecond = max(0, float64(s.Files-s.Resumed)/seconds)
		s.BytesPerSecond = max(0, float64(s.Bytes-p.resumed.Bytes)/seconds)
	}
	if s.Counted && s.FilesPerSecond > 0 {
		left := max(0, s.KnownFiles-s.Files)
		s.Remaining = time.Duration(float64(left) / s.FilesPerSecond * float64(time.Second))
	}
	return s
}

// set takes over the summary as it stands. A nil Progress takes nothing.
func (p *Progress) set(s Summary) {
	if p == nil {
		return
	}
	s.Failures = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.summary.Started.IsZero() {
		p.resumed = s
	}
	p.summary, p.finished = s, !s.Ended.IsZero()
}

func (p *Progress) count(files, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files += files
	p.bytes += bytes
}

func (p *Progress) countedAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counted = true
}
