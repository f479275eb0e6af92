// Package bench measures what a scan of the operator's own files takes, stage by stage, on the machine that it is to
// run on, beside a program that is made of the standard library's decoders.
package bench

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif" // decoders of the path that is compared with
	_ "image/jpeg"
	_ "image/png"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/digest"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// The names of the surfaces that Measure scans on: the one looks at reduced pictures first, the other never does.
const (
	Screened = "screened"
	Exact    = "exact"
)

// Config says what is measured.
type Config struct {
	Engine *config.Engine // with lists, and the surfaces Screened and Exact
	Files  []string       // at least one
	Time   time.Duration  // of each of the two parts: one core, then all of them
	// Workers is the number of files that are scanned at a time in the second part.
	Workers int
}

// Path is one way from a file to a verdict.
type Path string

// The paths that are measured.
const (
	PathScreened Path = "screened"         // as a scan goes by default
	PathExact    Path = "exact"            // every picture in full
	PathStandard Path = "standard library" // the standard library's decoder, RGBA, PDQ with its variants, digests, search
)

// Class is a range of picture sizes.
type Class struct {
	Name      string
	MaxPixels int // exclusive
}

// Classes are the ranges that are reported apart.
var Classes = []Class{
	{"below 0.5 MP", 500_000}, {"0.5 to 2 MP", 2_000_000}, {"2 to 8 MP", 8_000_000}, {"from 8 MP", 1 << 62},
}

// Sample is one file's way along one path.
type Sample struct {
	Read, Decode, Hash, Search, Total time.Duration // Read has the digests in it
	Allocated                         uint64        // bytes
}

// Group is all samples of one path and class.
type Group struct {
	Path    Path
	Class   string
	Files   int // distinct
	Bytes   int64
	Pixels  int64
	Samples []Sample
	// Decided counts the samples that were decided on a reduced picture.
	Decided int
}

// Result is what Measure found.
type Result struct {
	Groups  []*Group // classes in order, paths in order within; empty ones left out
	Skipped []string // files that the scan could not read or decode: they are not measured
	// OneWorker and AllWorkers are images a second over all files, along PathScreened.
	OneWorker, AllWorkers float64
	Workers               int
	Entries               int
	Kinds                 hashmatch.KindSet
}

// Measure scans the files over and over: on one core along each path in turn, file by file, so that whatever else the
// machine does falls on all paths alike; then along the first path from all workers at once. Files are read from disk
// each time. It stops with ctx's error.
func Measure(ctx context.Context, c Config) (*Result, error) {
	m := &measurement{Config: c, result: &Result{Workers: c.Workers}, groups: make(map[groupKey]*Group)}
	for _, list := range c.Engine.Lists().Lists() {
		m.result.Entries += list.List().Len()
	}
	m.result.Kinds = c.Engine.Lists().Kinds()
	for _, name := range []string{Screened, Exact} {
		surface, err := c.Engine.Surface(name)
		if err != nil {
			return nil, err
		}
		m.surfaces = append(m.surfaces, surface)
	}
	if err := m.oneCore(ctx); err != nil {
		return nil, err
	}
	for _, class := range Classes {
		for _, path := range []Path{PathScreened, PathExact, PathStandard} {
			if g := m.groups[groupKey{path, class.Name}]; g != nil {
				m.result.Groups = append(m.result.Groups, g)
			}
		}
	}
	if len(m.result.Groups) == 0 {
		return m.result, nil
	}
	var err error
	if m.result.OneWorker, err = m.throughput(ctx, 1); err != nil {
		return nil, err
	}
	m.result.AllWorkers, err = m.throughput(ctx, c.Workers)
	return m.result, err
}

type groupKey struct {
	path  Path
	class string
}

type measurement struct {
	Config
	result   *Result
	surfaces []hashmatch.Surface
	groups   map[groupKey]*Group
	usable   []string
}

// oneCore fills the groups.
func (m *measurement) oneCore(ctx context.Context) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	// Each file once, unmeasured: for the pools and the page cache, and to see which can be scanned at all.
	sizes := make(map[string]hashmatch.Media)
	for _, path := range m.Files {
		verdict, _, err := m.scan(ctx, path, m.surfaces[1])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || len(verdict.Failures) > 0 {
			m.result.Skipped = append(m.result.Skipped, path)
			continue
		}
		sizes[path] = verdict.Media
		m.usable = append(m.usable, path)
	}
	started := time.Now()
	for round := 0; len(m.usable) > 0 && (round == 0 || time.Since(started) < m.Time); round++ {
		for _, path := range m.usable {
			if round > 0 && time.Since(started) >= m.Time {
				break
			}
			if err := m.sample(ctx, path, sizes[path], round == 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// sample sends one file along each path.
func (m *measurement) sample(ctx context.Context, path string, media hashmatch.Media, first bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	pixels := media.Width * media.Height
	class := Classes[slices.IndexFunc(Classes, func(c Class) bool { return pixels < c.MaxPixels })].Name
	add := func(which Path, s Sample, decided bool) {
		g := m.groups[groupKey{which, class}]
		if g == nil {
			g = &Group{Path: which, Class: class}
			m.groups[groupKey{which, class}] = g
		}
		if first {
			g.Files++
			g.Bytes += info.Size()
			g.Pixels += int64(pixels)
		}
		if decided {
			g.Decided++
		}
		g.Samples = append(g.Samples, s)
	}
	for i, which := range []Path{PathScreened, PathExact} {
		verdict, s, err := m.scan(ctx, path, m.surfaces[i])
		if err != nil {
			return err
		}
		add(which, s, verdict.Screened)
	}
	s, ok, err := m.standard(path)
	if err != nil {
		return err
	}
	if ok {
		add(PathStandard, s, false)
	}
	return ctx.Err()
}

// scan is the path of hashmatch scan.
func (m *measurement) scan(ctx context.Context, path string, surface hashmatch.Surface) (hashmatch.Verdict, Sample, error) {
	before, started := allocated(), time.Now()
	file, err := os.Open(path)
	if err != nil {
		return hashmatch.Verdict{}, Sample{}, err
	}
	defer file.Close()
	item := hashmatch.Item{Surface: surface, Content: file}
	if info, err := file.Stat(); err == nil {
		item.Size = info.Size()
	}
	verdict, err := m.Engine.Scanner.Scan(ctx, item)
	t := verdict.Timings
	return verdict, Sample{t.Read, t.Decode, t.Hash, t.Search, time.Since(started), allocated() - before}, err
}

// standard is what a program does that is made of the standard library's decoders. ok is false for what they do not
// decode.
func (m *measurement) standard(path string) (s Sample, ok bool, err error) {
	before, started := allocated(), time.Now()
	var content bytes.Buffer
	file, err := os.Open(path)
	if err != nil {
		return s, false, err
	}
	digests, _, err := digest.Digester{}.Digest(file, &content, m.result.Kinds.Digests())
	file.Close()
	if err != nil {
		return s, false, err
	}
	s.Read = time.Since(started)
	at := time.Now()
	picture, _, err := image.Decode(bytes.NewReader(content.Bytes()))
	if err != nil {
		return s, false, nil
	}
	bounds := picture.Bounds()
	rgba := image.NewRGBA(image.Rectangle{Max: bounds.Size()})
	draw.Draw(rgba, rgba.Rect, picture, bounds.Min, draw.Src)
	s.Decode = time.Since(at)
	at = time.Now()
	luma, err := pdq.LumaOf(rgba)
	if err != nil {
		return s, false, err
	}
	variants, _ := pdq.Dihedral(luma)
	s.Hash = time.Since(at)
	at = time.Now()
	search(m.Engine.Lists(), digests, variants[:])
	s.Search = time.Since(at)
	s.Total, s.Allocated = time.Since(started), allocated()-before
	return s, true, nil
}

func search(lists *lookup.Set, digests []hashmatch.Hash, variants []pdq.Variant) {
	none := func(hashmatch.Match) {}
	for _, h := range digests {
		lists.Search(h, func(string) int { return 0 }, none)
	}
	for _, v := range variants {
		lists.Search(v.Hash, func(string) int { return 31 }, none)
	}
}

// throughput returns images a second along the first path from so many workers.
func (m *measurement) throughput(ctx context.Context, workers int) (float64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(workers))
	runtime.GC()
	var next, done atomic.Int64
	var failed error
	var once sync.Once
	var all sync.WaitGroup
	started := time.Now()
	for range workers {
		all.Go(func() {
			for time.Since(started) < m.Time {
				path := m.usable[int(next.Add(1)-1)%len(m.usable)]
				if _, _, err := m.scan(ctx, path, m.surfaces[0]); err != nil || ctx.Err() != nil {
					once.Do(func() { failed = err })
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if failed == nil {
		failed = ctx.Err()
	}
	return float64(done.Load()) / time.Since(started).Seconds(), failed
}

// allocated returns how many bytes the process has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Find returns the regular files below the paths, up to limit of them, at even distances in the order of their names.
func Find(paths []string, limit int) ([]string, error) {
	var files []string
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.Type().IsRegular() {
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no file in %s", strings.Join(paths, ", "))
	}
	if limit <= 0 || len(files) <= limit {
		return files, nil
	}
	picked := make([]string, limit)
	for i := range picked {
		picked[i] = files[i*len(files)/limit]
	}
	return picked, nil
}
