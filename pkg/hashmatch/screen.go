package hashmatch

import "context"

// Reduced is the brightness of a still picture at a part of its size, as the file stores it.
type Reduced struct {
	// Pix holds the samples row by row, Stride bytes from one to the next. Each is the mean of Scale x Scale pixels, and
	// at the right and lower edge of what is left of them. It belongs to the decoder: valid only until the call that was
	// handed it returns.
	Pix           []uint8
	Stride, Scale int
	Width, Height int // of the picture, in pixels
	Orientation   int // 1 to 8, as the file's EXIF says that the picture is to be shown
}

// Reducer is implemented by a Decoder that can show some files at a part of their size for a part of the time.
type Reducer interface {
	// Reduce calls yield with the picture of content, reduced, and returns what Decode would of the file, and true; or
	// false if the file has to be decoded in full, because of its format or of anything that is wrong with it. False is
	// no verdict, and what was yielded before does not count. It is true only where Decode would yield this one picture
	// and find no failure. It bounds memory and time as Decode does, and returns false if yield returns an error.
	Reduce(ctx context.Context, content []byte, yield func(*Reduced) error) (Media, bool)
}

// Screener is implemented by a Hasher that can hash reduced pictures.
type Screener interface {
	Hasher
	// Screenable returns those of its kinds that it can screen.
	Screenable() KindSet
	// Screen appends to dst the hashes that Hash would of the full picture, by the reduced one and under each orientation
	// that is hashed: they differ from those of the full picture by at most margin bits, and their qualities by at most
	// QualityMargin. Where the picture does not allow to say so it returns an error.
	Screen(dst []FrameHash, picture *Reduced, kinds, dihedral KindSet) (hashes []FrameHash, margin int, err error)
}

// QualityMargin is how far the quality of a reduced picture may lie from that of the full one.
const QualityMargin = 20

// screen looks at a reduced picture first. It returns true if nothing in the lists is near: nothing within reach of the
// full picture's hashes then, since what is searched is wider than the policy's reach by as much as the hashes may
// differ. Everything else is decided on the full picture.
func (s *scan) screen(ctx context.Context) bool {
	perceptual := s.kinds.Perceptual()
	if !s.complete || !s.decoded || perceptual == 0 || s.policy.Exact(s.item.Surface) {
		return false
	}
	reducer, ok := s.config.Decoder.(Reducer)
	if !ok {
		return false
	}
	screeners := s.screeners(perceptual)
	if screeners == nil {
		return false
	}
	started := s.config.now()
	hashing := s.times.Hash
	var hashes, views []FrameHash
	margin := 0
	media, ok := reducer.Reduce(ctx, s.content, func(picture *Reduced) error {
		defer s.clock(&s.times.Hash)()
		for _, screener := range screeners {
			more, wider, err := screener.Screen(hashes, picture, perceptual, s.dihedral)
			if err != nil {
				return err
			}
			hashes, margin = more, max(margin, wider)
		}
		if s.wantsViews() {
			var err error
			views, err = s.config.Viewer.ViewsReduced(views, picture, s.profile, perceptual, s.dihedral)
			return err
		}
		return nil
	})
	s.times.Decode += s.config.now().Sub(started) - (s.times.Hash - hashing)
	if !ok || len(hashes) == 0 || ctx.Err() != nil {
		return false
	}
	// The hashes of altered views are those of the reduced picture, whatever the full one is searched for: there is no
	// other that they could differ from.
	s.views, s.viewed = views, s.wantsViews()
	defer s.clock(&s.times.Search)()
	if s.nearView() {
		return false
	}
	for _, kind := range perceptual.Kinds() {
		if s.near(hashes, kind, margin) {
			return false
		}
	}
	s.media, s.screened = media, true
	return true
}

// screeners returns the hashers that screen all of the kinds; nil if a kind cannot be screened.
func (s *scan) screeners(kinds KindSet) []Screener {
	var screeners []Screener
	for _, hasher := range s.config.Hashers {
		if screener, ok := hasher.(Screener); ok && screener.Screenable()&kinds != 0 {
			screeners, kinds = append(screeners, screener), kinds&^screener.Screenable()
		}
	}
	if kinds != 0 {
		return nil
	}
	return screeners
}

// near reports whether an entry has a hash near one of the hashes of a kind, or whether a quality is so near to a
// floor that only the full picture's can tell.
func (s *scan) near(hashes []FrameHash, kind Kind, margin int) bool {
	var queries []Hash
	lowest := 100
	for _, h := range hashes {
		if h.Hash.Kind != kind {
			continue
		}
		if h.Hash.Zero() {
			return true
		}
		queries = append(queries, h.Hash)
		lowest = min(lowest, h.Quality)
	}
	doubtful := false
	found := s.lists.Near(queries, func(list string) int {
		reach := s.policy.Reach(s.item.Surface, list, kind, 100)
		if reach < 0 {
			return reach
		}
		if s.policy.Reach(s.item.Surface, list, kind, lowest-QualityMargin) != reach {
			doubtful = true
		}
		return reach + margin
	})
	return found || doubtful || len(queries) == 0
}
