package view

import (
	"fmt"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// Hasher hashes pictures under further views than as they are. Its zero value is ready to use, by any number of
// goroutines at once.
type Hasher struct{}

// Kinds returns the kinds that it takes views for: PDQ alone.
func (Hasher) Kinds() hashmatch.KindSet { return hashmatch.SetOf(hashmatch.PDQ) }

// Views appends to dst the hashes of frame under every view of the profile but those that a plain hasher takes itself
// (the picture as it is, its turns, pdq.Doubled), and for kinds in dihedral their turns and mirrorings. View.Geometry
// names the view, View.Panel the part of the upload that was looked at; the frame's own Orientation, Background, Index
// and Time are kept. Equal hashes come once, again only with a higher quality. An image that is none of those that hashmatch.Frame promises and an unknown
// profile are errors.
func (h Hasher) Views(dst []hashmatch.FrameHash, frame *hashmatch.Frame, profile hashmatch.Profile, kinds, dihedral hashmatch.KindSet) ([]hashmatch.FrameHash, error) {
	if !profile.Valid() {
		return dst, fmt.Errorf("view: unknown profile %q", profile)
	}
	if !wanted(profile, kinds) {
		return dst, nil
	}
	src, err := pdq.LumaOf(frame.Image)
	if err != nil {
		return dst, err
	}
	one := hashmatch.FrameHash{Frame: frame.Index, Time: frame.Time, View: frame.View}
	s := newSight(dst, one, profile, dihedral)
	s.look(planeOf(src))
	return s.dst, nil
}

// ViewsReduced does the same of a reduced picture, under the orientation in which it is shown and, where that differs,
// as the file stores it. (With turns and mirrorings the one has the hashes of the other, and is enough.) A plane that
// lacks samples and an orientation out of range are errors.
func (h Hasher) ViewsReduced(dst []hashmatch.FrameHash, picture *hashmatch.Reduced, profile hashmatch.Profile, kinds, dihedral hashmatch.KindSet) ([]hashmatch.FrameHash, error) {
	if !profile.Valid() {
		return dst, fmt.Errorf("view: unknown profile %q", profile)
	}
	if !wanted(profile, kinds) {
		return dst, nil
	}
	if picture.Orientation < 1 || picture.Orientation > 8 {
		return dst, fmt.Errorf("view: orientation %d", picture.Orientation)
	}
	stored, err := reducedPlane(picture)
	if err != nil {
		return dst, err
	}
	s := newSight(dst, hashmatch.FrameHash{}, profile, dihedral)
	s.look(stored.turned(picture.Orientation))
	if picture.Orientation != 1 && !dihedral.Has(hashmatch.PDQ) {
		s.one.View.Orientation = hashmatch.StoredOrientation
		s.look(stored)
	}
	return s.dst, nil
}

func wanted(profile hashmatch.Profile, kinds hashmatch.KindSet) bool {
	return profile != "" && profile != hashmatch.Plain && kinds.Has(hashmatch.PDQ)
}

// sight is the hashes of one picture as they are taken.
type sight struct {
	dst      []hashmatch.FrameHash
	one      hashmatch.FrameHash // what all have in common
	thorough bool
	turns    bool
	taken    map[[32]byte]int // the highest quality that a hash was taken with
	upright  []seen           // of this picture, not turned
	points   pdq.Points
}

// seen is the hash of a view that was taken, and its quality.
type seen struct {
	hash    hashmatch.Hash
	quality int
}

func newSight(dst []hashmatch.FrameHash, one hashmatch.FrameHash, profile hashmatch.Profile, dihedral hashmatch.KindSet) *sight {
	return &sight{dst: dst, one: one, thorough: profile == hashmatch.Thorough, turns: dihedral.Has(hashmatch.PDQ),
		taken: make(map[[32]byte]int)}
}

// alikeBits is the distance up to which one of two views is enough: what it may lose is bounded by that.
const alikeBits = 2

// take appends the hashes of s.points under the name of a view, unless one that was taken is no more than alikeBits away
// and of no lower quality: a picture in weak contrast, which is not searched, must not hide the same one in strong contrast.
func (s *sight) take(panel, geometry string) {
	variants := s.points.Dihedral()
	one := s.one
	one.Quality = s.points.Quality()
	for _, u := range s.upright {
		if u.quality >= one.Quality && u.hash.Distance(variants[0].Hash) <= alikeBits {
			return
		}
	}
	s.upright = append(s.upright, seen{variants[0].Hash, one.Quality})
	one.View.Panel, one.View.Geometry = panel, geometry
	for i, v := range variants {
		if i > 0 && !s.turns {
			break
		}
		if quality, ok := s.taken[v.Hash.Bits]; ok && quality >= one.Quality {
			continue
		}
		s.taken[v.Hash.Bits] = one.Quality
		one.Hash, one.View.Dihedral = v.Hash, v.Dihedral
		s.dst = append(s.dst, one)
	}
}

// look takes every view of a picture.
func (s *sight) look(p *plane) {
	s.upright = s.upright[:0]
	if p.across < 16 || p.down < 16 {
		return // a picture of that few pixels is searched as it is
	}
	whole := p.whole()
	s.part(p, whole, "", "")
	trimmed := p.trimmed(whole)
	if trimmed != whole && p.fits(trimmed) {
		s.part(p, trimmed, "", "trim")
	}
	n := 6
	if s.thorough {
		n = 16
	}
	for _, r := range p.rectangles(trimmed, n) {
		if inner := p.trimmed(r); p.fits(inner) {
			s.part(p, inner, "inner", "")
		}
	}
	for _, panel := range p.panels(trimmed) {
		if inner := p.trimmed(panel.part); p.fits(inner) {
			s.part(p, inner, panel.name, "")
		}
	}
}

// part takes the views of one part of the plane: the whole, or what is left of it after what before says, or a panel.
func (s *sight) part(p *plane, r rect, panel, before string) {
	f := p.field(r)
	w, h := r.width()*float64(p.columns)/p.across, r.height()*float64(p.rows)/p.down // in pixels
	if panel != "" || before != "" {
		f.plain(&s.points)
		s.take(panel, before)
	}
	switch {
	case panel == "" && before == "" && s.thorough:
		s.crops(f, panel, before, thoroughCrops)
		s.tilts(f, w, h, panel, before, thoroughTilts)
	case panel == "" && before == "":
		s.crops(f, panel, before, standardCrops)
		s.tilts(f, w, h, panel, before, standardTilts)
	case s.thorough && panel != "inner": // an edit more
		s.crops(f, panel, before, standardCrops)
		s.tilts(f, w, h, panel, before, standardTilts)
	default:
		s.crops(f, panel, before, alike(.02, 1)) // edges that were found a little too far in
	}
}
