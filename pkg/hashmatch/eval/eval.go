package eval

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/edit"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/media"
)

// MaxPhotos bounds the photos of one Run: the pairs of so many take minutes a kind on one core.
const MaxPhotos = 100_000

// DefaultEntries is the size of the list that false matches are reckoned for where there is none.
const DefaultEntries = 1_000_000

// Config says what is measured. Photos, Kinds and Thresholds are required.
type Config struct {
	Photos     []string          // files; of an animation, the first picture counts
	Kinds      hashmatch.KindSet // perceptual ones
	Thresholds map[hashmatch.Kind]int
	Widest     map[hashmatch.Kind]int // thresholds that are looked at; 0 means a quarter of the kind's bits
	// QualityFloor is the quality below which a hash is neither listed nor searched. 0 means none.
	QualityFloor int

	Profiles []Profile         // nil means Plain
	Decoder  hashmatch.Decoder // nil means a media.Decoder without isolated formats
	Edits    []edit.Edit       // none means that only false matches are measured
	Lists    *lookup.Set       // nil means none
	// Sample is the number of photos that copies are made of, chosen by Seed and the photos' bytes; 0 means all.
	Sample int
	Seed   uint64
	// Uploads is the number in which one false match is allowed, for the choice of a threshold; 0 means 10,000.
	Uploads int64
	// Entries is the size of the list that pairs are reckoned up to; 0 means that of Lists, or DefaultEntries.
	Entries int64
	Workers int // 0 means runtime.GOMAXPROCS
	// Progress is told, by any goroutine, how many steps of a stage are done. nil: nobody.
	Progress func(stage string, done, total int)
}

// Run measures. It stops with ctx's error. A photo that cannot be read or decoded is counted and left out; an error is
// something that makes the whole worthless: nothing to measure, or a list whose file was changed meanwhile.
func Run(ctx context.Context, config Config) (*Result, error) {
	c, err := config.complete()
	if err != nil {
		return nil, err
	}
	r := &run{Config: c, kinds: c.Kinds.Kinds()}
	if err := r.hashPhotos(ctx); err != nil {
		return nil, err
	}
	if len(r.photos) == 0 {
		return nil, fmt.Errorf("none of the %d files is a sound picture", len(c.Photos))
	}
	r.begin()
	if err := r.makeCopies(ctx); err != nil {
		return nil, err
	}
	if err := r.comparePairs(ctx); err != nil {
		return nil, err
	}
	if err := r.compareLists(ctx); err != nil {
		return nil, err
	}
	return r.finish(), nil
}

func (c Config) complete() (Config, error) {
	switch {
	case len(c.Photos) == 0:
		return c, errors.New("no photo")
	case len(c.Photos) > MaxPhotos:
		return c, fmt.Errorf("%d files: at most %d", len(c.Photos), MaxPhotos)
	case c.Kinds == 0 || c.Kinds.Perceptual() != c.Kinds:
		return c, errors.New("no kind, or a digest among them")
	case c.Sample < 0 || c.Uploads < 0 || c.Entries < 0 || c.Workers < 0:
		return c, errors.New("a negative number")
	case c.QualityFloor < 0 || c.QualityFloor > 100:
		return c, fmt.Errorf("quality floor %d: want 0 to 100", c.QualityFloor)
	}
	if len(c.Profiles) == 0 {
		c.Profiles = []Profile{Plain()}
	}
	names := make(map[string]bool)
	for _, p := range c.Profiles {
		if names[p.Name()] {
			return c, fmt.Errorf("profile %s: twice", p.Name())
		}
		names[p.Name()] = true
		if missing := c.Kinds &^ p.Kinds(); missing != 0 {
			return c, fmt.Errorf("profile %s: cannot compute %s", p.Name(), missing.Kinds()[0])
		}
	}
	widest := make(map[hashmatch.Kind]int)
	for _, kind := range c.Kinds.Kinds() {
		widest[kind] = kind.Bits() / 4
		if w := c.Widest[kind]; w > 0 {
			widest[kind] = min(w, kind.Bits())
		}
		if t, stated := c.Thresholds[kind]; !stated || t < 0 || t > widest[kind] {
			return c, fmt.Errorf("no threshold for %s from 0 to %d", kind, widest[kind])
		}
	}
	c.Widest = widest
	if c.Decoder == nil {
		c.Decoder = media.New(media.Config{})
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Uploads == 0 {
		c.Uploads = 10_000
	}
	return c, nil
}

// run is one Run.
type run struct {
	Config
	kinds  []hashmatch.Kind
	photos []*photo // those that are used, in the order of their files
	result Result
	// tally counts copies: by profile, kind, and edit. It is added to under the lock.
	lock  sync.Mutex
	tally [][][]counts
	pairs [][]pairCounts
	lists [][]listCounts
}

// counts is what became of the copies of one edit, without turns and with them.
type counts struct {
	copies int64
	flat   [2]int64
	near   [2]Histogram
}

// begin makes room for what is counted.
func (r *run) begin() {
	for range r.Profiles {
		var ofKinds [][]counts
		for _, kind := range r.kinds {
			ofEdits := make([]counts, len(r.Edits))
			for e := range ofEdits {
				for mode := range ofEdits[e].near {
					ofEdits[e].near[mode] = make(Histogram, kind.Bits()+1)
				}
			}
			ofKinds = append(ofKinds, ofEdits)
		}
		r.tally = append(r.tally, ofKinds)
	}
}

// each calls f for every number below n from all workers. It stops at the first error, at a panic, which it returns as
// an error, and with ctx's error.
func (r *run) each(ctx context.Context, stage string, n int, f func(worker, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var group sync.WaitGroup
	step := func(worker, i int) (err error) {
		defer func() {
			switch p := recover().(type) {
			case nil:
			case error: // a list whose file was changed says so in this way
				err = p
			default:
				err = fmt.Errorf("%s: %v", stage, p)
			}
		}()
		return f(worker, i)
	}
	for worker := range min(r.Workers, n) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= n {
					return
				}
				if err := step(worker, i); err != nil {
					cancel(err)
					return
				}
				if finished := int(done.Add(1)); r.Progress != nil {
					r.Progress(stage, finished, n)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
