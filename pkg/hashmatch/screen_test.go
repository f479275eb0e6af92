package hashmatch

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// fakeReducer is a decoder whose pictures can be had in reduced size.
type fakeReducer struct {
	fakeDecoder
	refuses bool
	panics  bool
	decoded *int
}

func (f fakeReducer) Decode(ctx context.Context, content []byte, yield func(*Frame) error) (Media, []Failure) {
	*f.decoded++
	return f.fakeDecoder.Decode(ctx, content, yield)
}

func (f fakeReducer) Reduce(_ context.Context, _ []byte, yield func(*Reduced) error) (Media, bool) {
	if f.panics {
		panic("reducer")
	}
	err := yield(&Reduced{Pix: make([]uint8, 64), Stride: 8, Scale: 2, Width: 16, Height: 16, Orientation: 1})
	return Media{Format: "fake", Frames: 1}, err == nil && !f.refuses
}

// fakeScreener gives one hash of the reduced picture and another of the full one.
type fakeScreener struct {
	fakeHasher
	reduced Hash
	quality int
	margin  int
	not     KindSet // what it cannot screen
	err     error
}

func (f fakeScreener) Screenable() KindSet { return f.Kinds() &^ f.not }
func (f fakeScreener) Screen(dst []FrameHash, picture *Reduced, _, _ KindSet) ([]FrameHash, int, error) {
	if picture.Width != 16 {
		return dst, 0, errors.New("another picture")
	}
	return append(dst, FrameHash{Hash: f.reduced, Quality: f.quality}), f.margin, f.err
}

// An upload is spared the full picture only where the reduced one rules every entry out.
func TestScreen(t *testing.T) {
	far := fakeScreener{fakeHasher: fakeHasher{hash: unlisted, quality: 100}, reduced: unlisted, quality: 100, margin: 24}
	cases := []struct {
		name     string
		change   func(*fakeScreener, *fakeReducer, *Config)
		screened bool
		probed   bool // neither reduced nor decoded
		action   Action
	}{
		{name: "nothing near", screened: true, action: Allow},
		{name: "within the margin", change: func(h *fakeScreener, _ *fakeReducer, c *Config) {
			h.margin = 40
			c.setLists(func() Lists {
				return fakeLists{kinds: SetOf(PDQ), entries: map[Hash]string{listed: "e1"}, nearFrom: 31 + 40}
			})
		}, action: Allow},
		{name: "beyond the margin", change: func(h *fakeScreener, _ *fakeReducer, c *Config) {
			h.margin = 40
			c.setLists(func() Lists {
				return fakeLists{kinds: SetOf(PDQ), entries: map[Hash]string{listed: "e1"}, nearFrom: 31 + 41}
			})
		}, screened: true, action: Allow},
		{name: "near", change: func(h *fakeScreener, _ *fakeReducer, _ *Config) { h.reduced = listed }, action: Allow},
		{name: "near, and listed in full", change: func(h *fakeScreener, _ *fakeReducer, _ *Config) {
			h.reduced, h.hash = listed, listed
		}, action: Hold},
		{name: "quality below the floor", change: func(h *fakeScreener, _ *fakeReducer, _ *Config) { h.quality = 40 }, action: Allow},
		{name: "quality not clear of the floor", change: func(h *fakeScreener, _ *fakeReducer, _ *Config) {
			h.quality = 50 + QualityMargin - 1
		}, action: Allow},
		{name: "quality just clear of the floor", change: func(h *fakeScreener, _ *fakeReducer, _ *Config) {
			h.quality = 50 + QualityMargin
		}, screened: true, action: Allow},
		{name: "flat", change: func(h *fakeScreener, _ *fakeReducer, _ *Config) { h.reduced = Hash{Kind: PDQ} }, action: Allow},
		{name: "no hash", change: func(h *fakeScreener, _ *fakeReducer, _ *Config) { h.reduced.Kind = PHash }, action: Allow},
		{name: "a kind that cannot be screened", change: func(h *fakeScreener, _ *fakeReducer, _ *Config) { h.not = SetOf(PDQ) }, action: Allow},
		{name: "a kind without a screener", change: func(_ *fakeScreener, _ *fakeReducer, c *Config) {
			c.setLists(func() Lists { return fakeLists{kinds: SetOf(PDQ, DHash)} })
		}, action: Hold}, // no hasher either
		{name: "the screener fails", change: func(h *fakeScreener, _ *fakeReducer, _ *Config) { h.err = errors.New("no") }, action: Allow},
		{name: "the reducer refuses", change: func(_ *fakeScreener, d *fakeReducer, _ *Config) { d.refuses = true }, action: Allow},
		{name: "the reducer refuses what is corrupt", change: func(_ *fakeScreener, d *fakeReducer, _ *Config) {
			d.refuses, d.failures = true, []Failure{{Corrupt, ""}}
		}, action: Hold},
		{name: "the reducer panics", change: func(_ *fakeScreener, d *fakeReducer, _ *Config) { d.panics = true }, action: Hold},
		{name: "the policy wants full pictures", change: func(_ *fakeScreener, _ *fakeReducer, c *Config) {
			c.setPolicy(func() Policy { return fakePolicy{exact: true} })
		}, action: Allow},
		{name: "no perceptual kind", change: func(_ *fakeScreener, _ *fakeReducer, c *Config) {
			c.setLists(func() Lists { return fakeLists{kinds: SetOf(MD5)} })
		}, probed: true, action: Allow},
		{name: "the policy does not search the kind", change: func(_ *fakeScreener, _ *fakeReducer, c *Config) {
			c.setPolicy(func() Policy { return blindPolicy{} })
		}, screened: true, action: Allow},
		{name: "no lists", change: func(_ *fakeScreener, _ *fakeReducer, c *Config) { c.setLists(func() Lists { return nil }) },
			probed: true, action: Hold},
		{name: "too large to decode", change: func(_ *fakeScreener, _ *fakeReducer, c *Config) { c.MaxBytes = 4 },
			probed: true, action: Hold},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			decoded := 0
			hasher, decoder, c := far, fakeReducer{fakeDecoder: fakeDecoder{frames: 1}, decoded: &decoded}, cleanConfig()
			if tc.change != nil {
				tc.change(&hasher, &decoder, &c)
			}
			c.Decoder, c.Hashers = decoder, []Hasher{hasher}
			v := scanWith(t, c, strings.NewReader("picture"), 7)
			if v.Screened != tc.screened || v.Action != tc.action {
				t.Errorf("screened %v, %v; want %v, %v: %+v", v.Screened, v.Action, tc.screened, tc.action, v)
			}
			if want := !tc.screened && !tc.probed; want != (decoded > 0) {
				t.Errorf("decoded in full %d times", decoded)
			}
			if tc.screened && (v.Media.Format != "fake" || v.Media.Frames != 1) {
				t.Errorf("media: %+v", v.Media)
			}
		})
	}
}

// The hashes that Hash returns are never those of a reduced picture.
func TestHashIsExact(t *testing.T) {
	decoded := 0
	c := cleanConfig()
	c.Decoder = fakeReducer{fakeDecoder: fakeDecoder{frames: 1}, decoded: &decoded}
	c.Hashers = []Hasher{fakeScreener{fakeHasher: fakeHasher{hash: listed, quality: 100}, reduced: unlisted}}
	s, err := NewScanner(c)
	if err != nil {
		t.Fatal(err)
	}
	hashes := s.Hash(t.Context(), Item{Content: strings.NewReader("picture")}, SetOf(PDQ), 0)
	if len(hashes.Frames) != 1 || hashes.Frames[0].Hash != listed {
		t.Errorf("%+v", hashes)
	}
}

// blindPolicy searches no perceptual kind.
type blindPolicy struct{ fakePolicy }

func (blindPolicy) Reach(Surface, string, Kind, int) int { return -1 }
