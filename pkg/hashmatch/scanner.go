package hashmatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Config is what a Scanner is made of. All fields without a stated zero value are required.
type Config struct {
	Digester Digester
	Decoder  Decoder
	Hashers  []Hasher
	Viewer   Viewer // nil: uploads are searched as they are, whatever the policy's profile
	// Rules returns the lists and the policy in force. It is called once per item, so that one verdict names one
	// revision of each list and the policy that goes with them; nil lists, or lists without an entry, make every
	// verdict a hold with the note NotReady. The policy must not be nil.
	Rules func() (Lists, Policy)

	MaxBytes       int64         // longest file that is decoded; 0 means DefaultMaxBytes
	MaxDigestBytes int64         // longest file whose digests are searched; 0 means DefaultMaxDigestBytes
	Timeout        time.Duration // for one item, reading included; 0 means DefaultTimeout
	now            func() time.Time
}

// The defaults of Config. A photo of 50 megapixels at the best JPEG quality has about 25 MB.
const (
	DefaultMaxBytes       = 64 << 20
	DefaultMaxDigestBytes = 512 << 20
	DefaultTimeout        = 10 * time.Second
)

// Scanner scans one item at a time: read, decode, hash, match, decide. It has no effects. It is safe for concurrent
// use.
type Scanner struct {
	config     Config
	computable KindSet   // by the hashers
	buffers    sync.Pool // *bytes.Buffer: the contents of items
}

// NewScanner returns a Scanner, or an error that names what config lacks.
func NewScanner(config Config) (*Scanner, error) {
	switch {
	case config.Digester == nil:
		return nil, errors.New("scanner: no digester")
	case config.Decoder == nil:
		return nil, errors.New("scanner: no decoder")
	case len(config.Hashers) == 0:
		return nil, errors.New("scanner: no hasher")
	case config.Rules == nil:
		return nil, errors.New("scanner: no rules")
	}
	config.Hashers = slices.Clone(config.Hashers)
	if config.MaxBytes <= 0 {
		config.MaxBytes = DefaultMaxBytes
	}
	if config.MaxDigestBytes <= 0 {
		config.MaxDigestBytes = DefaultMaxDigestBytes
	}
	config.MaxDigestBytes = max(config.MaxDigestBytes, config.MaxBytes)
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.now == nil {
		config.now = time.Now
	}
	s := &Scanner{config: config}
	for _, hasher := range config.Hashers {
		s.computable |= hasher.Kinds()
	}
	return s, nil
}

// Scan returns the verdict on one item. It never panics and never returns an allow that the policy did not give to
// everything that was found and everything that failed. A surface that was not declared public and unencrypted is
// refused with an error that wraps ErrSurfaceRefused before a byte is read; there is no other error.
func (s *Scanner) Scan(ctx context.Context, item Item) (Verdict, error) {
	if !item.Surface.Declared() {
		return Verdict{Action: Hold}, fmt.Errorf("%w: it was not declared", ErrSurfaceRefused)
	}
	if item.ID == "" {
		item.ID = NewItemID()
	}
	started := s.config.now()
	ctx, cancel := context.WithDeadline(ctx, started.Add(s.config.Timeout))
	defer cancel()

	one := &scan{Scanner: s, item: item}
	defer one.release()
	one.guard("lists and policy", func() {
		one.lists, one.policy = s.config.Rules()
		if one.lists != nil { // only what can match is computed
			one.dihedral, one.kinds = one.policy.Dihedral(item.Surface), one.lists.Kinds()
			one.profile = one.policy.Profile(item.Surface)
		}
	})
	one.guard("read", func() { one.read(ctx) })
	one.guard("screen", func() { one.screen(ctx) })
	if !one.screened {
		one.guard("decode", func() { one.decode(ctx) }) // and hash, frame by frame
	}
	one.guard("match", func() { one.match() })
	if !one.searched { // no policy can make "nothing was searched" an allow
		one.note(NotReady)
	}
	verdict := Verdict{Action: Hold}
	one.guard("decide", func() { verdict = one.decide() })
	if verdict.Item == "" { // the policy itself failed
		verdict = Verdict{Item: item.ID, Surface: item.Surface.Name(), Action: Hold, Failures: one.failures}
	}
	one.times.Total = s.config.now().Sub(started)
	verdict.Timings = one.times
	return verdict, nil
}

// Hashes is all that can be computed of one item, compared with nothing.
type Hashes struct {
	Media    Media
	Digests  []Hash
	Frames   []FrameHash
	Notes    []Note
	Failures []Failure
}

// DefaultQualityFloor is the quality below which a perceptual hash is not matched, after PDQ's reference: under it,
// pictures that have nothing in common have hashes that do.
const DefaultQualityFloor = 50

// Hash reads, decodes and hashes one item as Scan does and returns the hashes of the given kinds, those of turned
// and mirrored pictures too for the kinds in dihedral. It searches no list; the surface is the caller's affair.
func (s *Scanner) Hash(ctx context.Context, item Item, kinds, dihedral KindSet) Hashes {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	one := &scan{Scanner: s, item: item, kinds: kinds, dihedral: dihedral}
	defer one.release()
	one.guard("read", func() { one.read(ctx) })
	one.guard("decode", func() { one.decode(ctx) })
	for _, h := range one.hashes {
		if h.Quality < DefaultQualityFloor {
			one.note(LowQuality)
		}
	}
	return Hashes{one.media, one.digests, one.hashes, one.notes, one.failures}
}

// scan is one item on its way through the stages.
type scan struct {
	*Scanner
	item     Item
	lists    Lists  // nil for Hash
	policy   Policy // nil for Hash
	kinds    KindSet
	dihedral KindSet
	profile  Profile // "" for Hash

	buffer   *bytes.Buffer // of the content, where it was read; nil if the item held it
	content  []byte        // up to MaxBytes
	size     int64         // bytes read
	complete bool          // the whole content was read: the digests are true
	decoded  bool          // content is the whole of it
	screened bool          // nothing is near the reduced picture: the full one is not decoded
	searched bool          // the lists answered to the end

	media    Media
	digests  []Hash
	hashes   []FrameHash
	views    []FrameHash // hashes of altered views
	viewed   bool        // views holds those of the reduced picture: none are taken of the full one
	matches  []Match
	failures []Failure
	notes    []Note
	times    Timings
}

// guard runs one stage and turns a panic in it into a failure.
func (s *scan) guard(stage string, run func()) {
	defer func() {
		if r := recover(); r != nil {
			s.fail(Failure{Panicked, stage})
		}
	}()
	run()
}

func (s *scan) fail(f Failure) { s.failures = append(s.failures, f) }

func (s *scan) note(n Note) {
	if !slices.Contains(s.notes, n) {
		s.notes = append(s.notes, n)
	}
}

// read reads the content once, up to the limits, and takes its digests on the way.
func (s *scan) read(ctx context.Context) {
	defer s.clock(&s.times.Read)()
	sink := s.sink()
	limit := s.config.MaxDigestBytes
	if s.item.Size > limit { // hopeless: the head only, to know what it is
		limit = 1 << 16
	}
	content := &contextReader{ctx: ctx, r: s.item.Content}
	if s.item.Held != nil {
		content.r = bytes.NewReader(s.item.Held)
	}
	digests, n, err := s.config.Digester.Digest(io.LimitReader(content, limit), sink, s.kinds.Digests())
	s.size = n
	if s.buffer != nil {
		s.content = s.buffer.Bytes()
	}
	if err == nil && n == limit { // is there more?
		var probe [1]byte
		var more int
		more, err = io.ReadFull(content, probe[:])
		s.size += int64(more)
		if err == io.EOF {
			err = nil
		}
	}
	switch {
	case ctx.Err() != nil:
		s.fail(Failure{TimedOut, "while reading"})
	case err != nil:
		s.fail(AsFailure(err, Unreadable))
	case s.size > limit:
		s.fail(Failure{TooLarge, fmt.Sprintf("over %d bytes: neither decoded nor digested", s.config.MaxDigestBytes)})
	default:
		s.complete = true
		s.digests = digests
		s.decoded = s.size <= s.config.MaxBytes
	}
}

// sink returns where the content is written to while it is read: a pooled buffer, or nowhere if the item holds it.
func (s *scan) sink() io.Writer {
	if held := s.item.Held; held != nil {
		s.content = held[:min(int64(len(held)), s.config.MaxBytes)]
		return io.Discard
	}
	s.buffer, _ = s.buffers.Get().(*bytes.Buffer)
	if s.buffer == nil {
		s.buffer = new(bytes.Buffer)
	}
	s.buffer.Reset()
	if s.item.Size > 0 && s.item.Size <= s.config.MaxBytes {
		s.buffer.Grow(int(s.item.Size) + bytes.MinRead)
	}
	return &headWriter{buffer: s.buffer, room: s.config.MaxBytes}
}

// decode turns the content into frames and hashes each, so that no more than one frame is held.
func (s *scan) decode(ctx context.Context) {
	if !s.complete {
		return // the failure says why
	}
	perceptual := s.kinds.Perceptual()
	if perceptual == 0 || !s.decoded {
		stop := s.clock(&s.times.Decode)
		media, failures := s.config.Decoder.Probe(s.content)
		stop()
		s.media = media
		s.failures = append(s.failures, failures...)
		if len(failures) == 0 && !s.decoded {
			s.fail(Failure{TooLarge, fmt.Sprintf("over %d bytes: digested, not decoded", s.config.MaxBytes)})
		}
		return
	}
	if missing := perceptual &^ s.computable; missing != 0 {
		s.fail(Failure{Unsupported, fmt.Sprintf("no hasher for the listed kinds %v", missing.Kinds())})
	}
	started, hashing := s.config.now(), s.times.Hash
	frames := 0
	media, failures := s.config.Decoder.Decode(ctx, s.content, func(frame *Frame) error {
		frames++
		return s.hash(ctx, frame, perceptual, s.dihedral)
	})
	s.times.Decode += s.config.now().Sub(started) - (s.times.Hash - hashing)
	s.media = media
	s.failures = append(s.failures, failures...)
	// What a decoder left unsaid is not taken for "clean", nor for the failure that it did name: the policy may allow
	// that one.
	if ctx.Err() != nil && !slices.ContainsFunc(s.failures, func(f Failure) bool { return f.Code == TimedOut }) {
		s.fail(Failure{TimedOut, "while decoding"})
	}
	if frames == 0 && len(s.failures) == 0 {
		s.fail(Failure{Corrupt, "no picture in it"})
	}
}

// hash takes the hashes of one frame. Its error ends the decoding.
func (s *scan) hash(ctx context.Context, frame *Frame, kinds, dihedral KindSet) error {
	defer s.clock(&s.times.Hash)()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, hasher := range s.config.Hashers {
		var err error
		if s.hashes, err = hasher.Hash(s.hashes, frame, kinds, dihedral); err != nil {
			failure := AsFailure(err, Panicked)
			s.fail(failure)
			return &failure
		}
	}
	if s.wantsViews() && !s.viewed {
		var err error
		if s.views, err = s.config.Viewer.Views(s.views, frame, s.profile, kinds, dihedral); err != nil {
			failure := AsFailure(err, Panicked)
			s.fail(failure)
			return &failure
		}
	}
	return nil
}

// match searches every list for every hash that the policy takes an interest in.
func (s *scan) match() {
	defer s.clock(&s.times.Search)()
	if s.kinds == 0 {
		return
	}
	for _, h := range s.digests {
		s.search([]FrameHash{{Hash: h, Quality: 100}})
	}
	// Frames and views often have the same hash: it is searched once, and found in each of them. They need not have the
	// same quality: the same picture in weaker contrast has the same hash.
	first := make(map[Hash]int, len(s.hashes)+len(s.views)) // hash -> its place in groups
	var groups [][]FrameHash
	group := func(hashes []FrameHash) {
		for _, h := range hashes {
			at, known := first[h.Hash]
			if !known {
				at = len(groups)
				first[h.Hash] = at
				groups = append(groups, nil)
			}
			groups[at] = append(groups[at], h)
		}
	}
	group(s.hashes)
	plain := len(groups)
	group(s.views) // behind those of the picture as it is, so that a match is said to be in that where it is in both
	if !s.nearView() {
		groups = groups[:plain]
	}
	for _, same := range groups {
		s.search(same)
	}
	s.weigh()
	s.searched = true
}

// search searches for one hash, which was taken of at least one frame and view. A match is said to be in the first of
// those whose quality is enough for the list, with the others beside it.
func (s *scan) search(same []FrameHash) {
	h := same[0].Hash
	var list string
	var fit []FrameHash // those of same that are searched in the list
	reach := func(name string) int {
		list, fit = name, nil
		widest := -1
		for _, one := range same {
			r := s.reach(name, one, one.Quality)
			switch {
			case r >= 0 && !h.Zero():
				fit, widest = append(fit, one), max(widest, r)
			case !one.View.Altered() && s.reach(name, one, 100) >= 0:
				s.note(LowQuality)
			}
		}
		return widest
	}
	s.lists.Search(h, reach, func(m Match) {
		if m.List != list {
			reach(m.List)
		}
		m.Quality, m.View, m.Frame, m.Time = fit[0].Quality, fit[0].View, fit[0].Frame, fit[0].Time
		m.Others = fit[1:]
		s.matches = append(s.matches, m)
	})
}

// reach is the policy's for a hash of the given quality.
func (s *scan) reach(list string, h FrameHash, quality int) int {
	if h.View.Altered() {
		return s.policy.ViewReach(s.item.Surface, list, h.Hash.Kind, quality)
	}
	return s.policy.Reach(s.item.Surface, list, h.Hash.Kind, quality)
}

// decide asks the policy and writes the verdict.
func (s *scan) decide() Verdict {
	findings := Findings{Surface: s.item.Surface, Matches: s.matches, Failures: s.failures, Notes: s.notes}
	decision := s.policy.Decide(findings)
	if slices.Contains(s.notes, NotReady) { // no policy can make "nothing was searched" an allow
		decision.Action, decision.Would = decision.Action.Stricter(Hold), decision.Would.Stricter(Hold)
	}
	verdict := Verdict{
		Item: s.item.ID, Surface: s.item.Surface.Name(), Action: decision.Action, Would: decision.Would,
		Matches: decision.Matches, AllowedBy: decision.AllowedBy,
		Failures: s.failures, Notes: s.notes, Media: s.media, Policy: s.policy.Revision(), Screened: s.screened,
	}
	if s.lists != nil {
		verdict.Revisions = s.lists.Revisions()
	}
	if n := len(verdict.Matches); n > MaxReportedMatches {
		verdict.Matches = slices.Clone(verdict.Matches[:MaxReportedMatches])
		verdict.MatchesOmitted = n - MaxReportedMatches
	}
	return verdict
}

// release gives the content's buffer back, unless it is so large that it would only waste memory.
func (s *scan) release() {
	if s.buffer != nil && s.buffer.Cap() <= 8<<20 {
		s.buffers.Put(s.buffer)
	}
	s.buffer, s.content = nil, nil
}

// clock adds the time until the function that it returns is called.
func (s *scan) clock(total *time.Duration) func() {
	started := s.config.now()
	return func() { *total += s.config.now().Sub(started) }
}

// contextReader stops reading when the context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// headWriter keeps the first bytes and drops the rest.
type headWriter struct {
	buffer *bytes.Buffer
	room   int64
}

func (w *headWriter) Write(p []byte) (int, error) {
	n := len(p)
	if int64(n) > w.room {
		p = p[:w.room]
	}
	w.room -= int64(len(p))
	w.buffer.Write(p)
	return n, nil
}
