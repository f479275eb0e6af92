package hashmatch

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// fakeViewer sees a picture of one hash in each of some views.
type fakeViewer struct {
	views  map[string]Hash // geometry -> hash
	err    error
	calls  *int // of Views
	onlyIn Profile
}

func (f fakeViewer) Views(dst []FrameHash, frame *Frame, profile Profile, kinds, _ KindSet) ([]FrameHash, error) {
	*f.calls++
	if profile != f.onlyIn || !kinds.Has(PDQ) {
		panic("another profile")
	}
	for geometry, h := range f.views {
		dst = append(dst, FrameHash{Hash: h, Quality: 100, Frame: frame.Index, View: View{Geometry: geometry}})
	}
	return dst, f.err
}

func (f fakeViewer) ViewsReduced(dst []FrameHash, _ *Reduced, profile Profile, kinds, dihedral KindSet) ([]FrameHash, error) {
	*f.calls--
	dst, err := f.Views(dst, &Frame{}, profile, kinds, dihedral)
	return dst, err
}

func TestViewsAreSearched(t *testing.T) {
	other := Hash{Kind: PDQ, Bits: [32]byte{9}}
	for name, tc := range map[string]struct {
		profile  Profile
		views    map[string]Hash
		err      error
		want     Action
		evidence int
		failure  bool
	}{
		"plain":            {Plain, map[string]Hash{"trim": listed}, nil, Allow, 0, false},
		"no profile":       {"", map[string]Hash{"trim": listed}, nil, Allow, 0, false},
		"in one view":      {Standard, map[string]Hash{"trim": listed, "uncrop": other}, nil, Hold, 1, false},
		"in two views":     {Standard, map[string]Hash{"trim": listed, "uncrop": listed}, nil, Hold, 2, false},
		"in none":          {Standard, map[string]Hash{"trim": other}, nil, Allow, 0, false},
		"no view":          {Standard, nil, nil, Allow, 0, false},
		"views that fail":  {Standard, nil, errors.New("no"), Hold, 0, true},
		"with another one": {Thorough, map[string]Hash{"tilt": listed}, nil, Hold, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := cleanConfig()
			calls := 0
			c.Viewer = fakeViewer{views: tc.views, err: tc.err, calls: &calls, onlyIn: tc.profile}
			c.setPolicy(func() Policy { return fakePolicy{views: tc.profile} })
			v := scanWith(t, c, bytes.NewReader([]byte("picture")), 7)
			if v.Action != tc.want || (len(v.Failures) > 0) != tc.failure {
				t.Fatalf("%s %v, want %s", v.Action, v.Failures, tc.want)
			}
			if tc.evidence > 0 && (len(v.Matches) != 1 || v.Matches[0].Evidence != tc.evidence || !v.Matches[0].View.Altered()) {
				t.Errorf("%+v, want evidence %d", v.Matches, tc.evidence)
			}
			if wanted := tc.profile == Standard || tc.profile == Thorough; wanted != (calls > 0) {
				t.Errorf("%d looks under the profile %q", calls, tc.profile)
			}
		})
	}
}

// A match in the picture as it is is said to be in that, and the views only add evidence.
func TestViewOfTheSameHash(t *testing.T) {
	c := cleanConfig()
	c.Hashers = []Hasher{fakeHasher{hash: listed, quality: 100}}
	calls := 0
	c.Viewer = fakeViewer{views: map[string]Hash{"trim": listed}, calls: &calls, onlyIn: Standard}
	c.setPolicy(func() Policy { return fakePolicy{views: Standard} })
	v := scanWith(t, c, bytes.NewReader([]byte("picture")), 7)
	if len(v.Matches) != 1 || v.Matches[0].View != (View{}) || v.Matches[0].Evidence != 2 {
		t.Errorf("%+v", v.Matches)
	}
}

// A view of the reduced picture is enough for a match, and is not looked at twice; where nothing is near any, the full
// picture is not decoded.
func TestViewsOfAReducedPicture(t *testing.T) {
	for name, tc := range map[string]struct {
		hash     Hash
		want     Action
		screened bool
	}{"near": {listed, Hold, false}, "far": {unlisted, Allow, true}} {
		c := cleanConfig()
		decoder := &viewedDecoder{}
		c.Decoder = decoder
		c.Hashers = []Hasher{viewedScreener{fakeHasher{hash: unlisted, quality: 100}}}
		calls := 0
		c.Viewer = fakeViewer{views: map[string]Hash{"trim": tc.hash}, calls: &calls, onlyIn: Standard}
		c.setPolicy(func() Policy { return fakePolicy{views: Standard} })
		v := scanWith(t, c, bytes.NewReader([]byte("picture")), 7)
		if v.Action != tc.want || v.Screened != tc.screened || decoder.decoded == tc.screened || calls != 0 {
			t.Errorf("%s: %s, screened %t, decoded %t, %d looks at the full picture", name, v.Action, v.Screened, decoder.decoded, calls)
		}
		if tc.want == Hold && (len(v.Matches) != 1 || v.Matches[0].View.Geometry != "trim") {
			t.Errorf("%s: %+v", name, v.Matches)
		}
	}
}

type viewedDecoder struct{ decoded bool }

func (d *viewedDecoder) Decode(_ context.Context, _ []byte, yield func(*Frame) error) (Media, []Failure) {
	d.decoded = true
	_ = yield(&Frame{})
	return Media{Format: "fake", Frames: 1}, nil
}

func (d *viewedDecoder) Probe([]byte) (Media, []Failure) { return Media{Format: "fake"}, nil }

func (d *viewedDecoder) Reduce(_ context.Context, _ []byte, yield func(*Reduced) error) (Media, bool) {
	return Media{Format: "fake", Frames: 1}, yield(&Reduced{Orientation: 1}) == nil
}

type viewedScreener struct{ fakeHasher }

func (s viewedScreener) Screenable() KindSet { return SetOf(PDQ) }

func (s viewedScreener) Screen(dst []FrameHash, _ *Reduced, _, _ KindSet) ([]FrameHash, int, error) {
	return append(dst, FrameHash{Hash: s.hash, Quality: 100}), 5, nil
}
