package readiness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

// PlantedList is the name of the list that holds the canary's entry. No list of a configuration can have it.
const PlantedList = "(canary)"

// Scanner is what readiness is checked with: a *hashmatch.Scanner.
type Scanner interface {
	Scan(ctx context.Context, item hashmatch.Item) (hashmatch.Verdict, error)
	Hash(ctx context.Context, item hashmatch.Item, kinds, dihedral hashmatch.KindSet) hashmatch.Hashes
}

// Canary is a synthetic picture that is drawn anew for each process, so that nobody else can send it, and its planted
// entry. It is safe for concurrent use.
type Canary struct {
	picture []byte
	surface hashmatch.Surface
	hashes  atomic.Pointer[[]hashmatch.FrameHash] // of the kinds that were planted, with their qualities
}

// NewCanary draws one.
func NewCanary() (*Canary, error) {
	picture, err := draw(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	if err != nil {
		return nil, err
	}
	surface, err := hashmatch.DeclareSurface(hashmatch.SurfaceDeclaration{
		Name: PlantedList, Visibility: hashmatch.Public, Encrypted: new(false),
	})
	if err != nil {
		return nil, err
	}
	return &Canary{picture: picture, surface: surface}, nil
}

// draw returns a PNG of overlapping waves and discs in random places: enough detail of every size for any hash.
func draw(r *rand.Rand) ([]byte, error) {
	const side = 192
	type disc struct{ x, y, radius, level float64 }
	discs := make([]disc, 14)
	for i := range discs {
		discs[i] = disc{r.Float64() * side, r.Float64() * side, 8 + 36*r.Float64(), 256 * (r.Float64() - 0.5)}
	}
	fx, fy, fd := 0.02+0.1*r.Float64(), 0.02+0.1*r.Float64(), 0.02+0.1*r.Float64()
	img := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			px, py := float64(x), float64(y)
			level := 128 + 40*math.Sin(fx*px) + 40*math.Sin(fy*py) + 40*math.Sin(fd*(px+2*py))
			for _, d := range discs {
				if math.Hypot(px-d.x, py-d.y) < d.radius {
					level += d.level
				}
			}
			img.SetGray(x, y, color.Gray{Y: uint8(min(max(level, 0), 255))})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (c *Canary) item() hashmatch.Item {
	return hashmatch.Item{ID: "canary", Surface: c.surface, Held: c.picture, Size: int64(len(c.picture))}
}

// Plant hashes the picture and returns a list with its entry, of the given kinds.
func (c *Canary) Plant(ctx context.Context, scanner Scanner, kinds hashmatch.KindSet) (*lookup.Served, error) {
	hashes := scanner.Hash(ctx, c.item(), kinds, 0)
	if len(hashes.Failures) > 0 {
		return nil, fmt.Errorf("canary: %w", &hashes.Failures[0])
	}
	planted := hashes.Frames
	for _, h := range hashes.Digests {
		planted = append(planted, hashmatch.FrameHash{Hash: h, Quality: 100})
	}
	entry := hashmatch.Entry{Key: hashmatch.EntryKey{ID: "canary"}}
	for _, h := range planted {
		entry.Signatures = append(entry.Signatures, hashmatch.Signature{Hash: h.Hash})
	}
	list, err := hashlist.New(slices.Values([]hashmatch.Entry{entry}))
	if err != nil {
		return nil, fmt.Errorf("canary: %w", err)
	}
	served, err := lookup.Serve(ctx, PlantedList, list)
	if err != nil {
		return nil, err
	}
	c.hashes.Store(&planted)
	return served, nil
}

// check sends the picture through the whole scanner: it must be found by every kind of hash that the lists in force hold
// and the policy searches.
func (c *Canary) check(ctx context.Context, scanner Scanner, held hashmatch.KindSet, policy hashmatch.Policy) error {
	planted := c.hashes.Load()
	if planted == nil {
		return errors.New("canary: not planted")
	}
	var want hashmatch.KindSet
	for _, h := range *planted {
		if held.Has(h.Hash.Kind) && policy.Reach(c.surface, PlantedList, h.Hash.Kind, h.Quality) >= 0 {
			want |= hashmatch.SetOf(h.Hash.Kind)
		}
	}
	verdict, err := scanner.Scan(ctx, c.item())
	if err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	if len(verdict.Failures) > 0 {
		return fmt.Errorf("canary: %w", &verdict.Failures[0])
	}
	for _, m := range verdict.Matches {
		if m.List == PlantedList {
			want &^= hashmatch.SetOf(m.Kind)
		}
	}
	if want != 0 {
		return fmt.Errorf("canary: not found by %v", want.Kinds())
	}
	return nil
}
