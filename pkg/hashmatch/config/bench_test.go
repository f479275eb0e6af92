package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/digest"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/lookup"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// BenchmarkScan measures the whole of a scan, from reading to the verdict, stage by stage, on one core: as it goes by
// default (screened), with every picture decided in full (exact), and the same work done with the standard library's
// decoder (standard): digests, decoding, RGBA, PDQ with its variants, search.
func BenchmarkScan(b *testing.B) {
	engine := scanningEngine(b)
	paths := []struct {
		name string
		scan func(content []byte) (hashmatch.Timings, bool, error)
	}{
		{"screened", scanOn(b, engine, "public")}, {"exact", scanOn(b, engine, "exact")}, {"standard", scanStandard(engine)},
	}
	run := func(b *testing.B, files [][]byte) {
		for _, path := range paths {
			b.Run(path.name, func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				b.ReportAllocs()
				var times hashmatch.Timings
				size, screened := 0, 0
				for i := 0; b.Loop(); i++ {
					content := files[i%len(files)]
					size += len(content)
					t, reduced, err := path.scan(content)
					if err != nil {
						b.Fatal(err)
					}
					if reduced {
						screened++
					}
					times.Read += t.Read
					times.Decode += t.Decode
					times.Hash += t.Hash
					times.Search += t.Search
				}
				perItem := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
				b.ReportMetric(float64(size)/1e6/float64(b.N), "MB/image")
				b.ReportMetric(float64(screened)/float64(b.N), "screened")
				b.ReportMetric(perItem(times.Read), "read-ms")
				b.ReportMetric(perItem(times.Decode), "decode-ms")
				b.ReportMetric(perItem(times.Hash), "hash-ms")
				b.ReportMetric(perItem(times.Search), "search-ms")
			})
		}
	}
	for _, size := range []image.Point{{577, 433}, {1152, 868}, {2304, 1736}, {4000, 3000}} {
		b.Run(fmt.Sprintf("%.2fMP", float64(size.X*size.Y)/1e6), func(b *testing.B) {
			if size.X > 2000 && testing.Short() {
				b.Skip("large pictures: not with -short")
			}
			run(b, [][]byte{photoLike(b, size.X, size.Y)})
		})
	}
	for _, folder := range []string{"photos", "hires"} {
		b.Run(folder, func(b *testing.B) {
			paths, err := filepath.Glob(filepath.Join("..", "..", "..", "..", "shared", "corpus", folder, "*.jpg"))
			if err != nil || len(paths) == 0 || testing.Short() {
				b.Skip("photos are in ../shared, and not for -short")
			}
			var files [][]byte
			for i := 0; i < len(paths); i += max(1, len(paths)/64) {
				content, err := os.ReadFile(paths[i])
				if err != nil {
					b.Fatal(err)
				}
				files = append(files, content)
			}
			run(b, files)
		})
	}
}

// scanOn returns the scan of a file on a surface. A verdict other than allow is an error.
func scanOn(b *testing.B, engine *Engine, name string) func([]byte) (hashmatch.Timings, bool, error) {
	surface, err := engine.Surface(name)
	if err != nil {
		b.Fatal(err)
	}
	return func(content []byte) (hashmatch.Timings, bool, error) {
		item := hashmatch.Item{Surface: surface, Content: bytes.NewReader(content), Size: int64(len(content))}
		v, err := engine.Scanner.Scan(context.Background(), item)
		if err == nil && (v.Action != hashmatch.Allow || len(v.Failures) > 0) {
			err = fmt.Errorf("%v, %v", v.Action, v.Failures)
		}
		return v.Timings, v.Screened, err
	}
}

// scanStandard returns what a program does that is made of the standard library's decoder.
func scanStandard(engine *Engine) func([]byte) (hashmatch.Timings, bool, error) {
	var buffer bytes.Buffer
	return func(content []byte) (t hashmatch.Timings, _ bool, err error) {
		at := time.Now()
		lap := func() time.Duration {
			now := time.Now()
			defer func() { at = now }()
			return now.Sub(at)
		}
		lists := engine.Lists()
		buffer.Reset()
		digests, _, err := digest.Digester{}.Digest(bytes.NewReader(content), &buffer, lists.Kinds().Digests())
		if err != nil {
			return t, false, err
		}
		t.Read = lap()
		picture, _, err := image.Decode(bytes.NewReader(buffer.Bytes()))
		if err != nil {
			return t, false, err
		}
		rgba := image.NewRGBA(picture.Bounds())
		draw.Draw(rgba, rgba.Rect, picture, image.Point{}, draw.Src)
		t.Decode = lap()
		luma, err := pdq.LumaOf(rgba)
		if err != nil {
			return t, false, err
		}
		variants, _ := pdq.Dihedral(luma)
		t.Hash = lap()
		found := 0
		for _, h := range digests {
			lists.Search(h, func(string) int { return 0 }, func(hashmatch.Match) { found++ })
		}
		for _, v := range variants {
			lists.Search(v.Hash, func(string) int { return 31 }, func(hashmatch.Match) { found++ })
		}
		t.Search = lap()
		if found > 0 {
			err = errors.New("a match")
		}
		return t, false, err
	}
}

// scanning is the engine of BenchmarkScan, made once.
var scanning struct {
	sync.Once
	*Engine
	err error
}

func scanningEngine(b *testing.B) *Engine {
	scanning.Do(func() {
		conf := Public(hashmatch.Hold)
		exact := conf.Declarations[0]
		exact.Name, exact.Exact = "exact", new(true)
		conf.Declarations = append(conf.Declarations, exact)
		scanning.Engine, scanning.err = conf.Open(b.Context(), OpenOptions{})
		if scanning.err != nil {
			return
		}
		entries := 1_000_000
		if testing.Short() {
			entries = 10_000
		}
		random := rand.New(rand.NewPCG(1, 2))
		var builder hashlist.Builder
		for i := range entries + entries/1000 {
			h := hashmatch.Hash{Kind: hashmatch.PDQ}
			if i >= entries { // so that MD5 is computed
				h.Kind = hashmatch.MD5
			}
			for i := range h.Kind.Bits() / 8 {
				h.Bits[i] = byte(random.Uint32())
			}
			e := hashmatch.Entry{Key: hashmatch.EntryKey{ID: hashlist.DeriveID(h)}, Signatures: []hashmatch.Signature{{Hash: h}}}
			if scanning.err = builder.Add(e); scanning.err != nil {
				return
			}
		}
		list, err := builder.List()
		if err != nil {
			scanning.err = err
			return
		}
		served, err := lookup.Serve(b.Context(), "random", list)
		if err != nil {
			scanning.err = err
			return
		}
		set, err := lookup.NewSet(served)
		if err != nil {
			scanning.err = err
			return
		}
		next := *scanning.state.Load()
		next.lists = set
		scanning.state.Store(&next)
		runtime.GC()
	})
	if scanning.err != nil {
		b.Fatal(scanning.err)
	}
	return scanning.Engine
}

// photoLike returns a JPEG of detail of every size, the finer the weaker, in colour: of about as many bytes a pixel as
// a photo of a camera.
func photoLike(b *testing.B, width, height int) []byte {
	b.Helper()
	random := rand.New(rand.NewPCG(uint64(width), uint64(height)))
	m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for _, plane := range []struct {
		pix                   []uint8
		stride, width, height int
		span                  float64
	}{
		{m.Y, m.YStride, width, height, 90}, {m.Cb, m.CStride, (width + 1) / 2, (height + 1) / 2, 30},
		{m.Cr, m.CStride, (width + 1) / 2, (height + 1) / 2, 30},
	} {
		sum := make([]float32, plane.width*plane.height)
		strength := plane.span
		for cell := max(plane.width, plane.height) / 3; cell > 0; cell /= 2 {
			columns := plane.width/cell + 2
			lattice := make([]float32, columns*(plane.height/cell+2))
			for i := range lattice {
				lattice[i] = float32((random.Float64()*2 - 1) * strength)
			}
			for y := range plane.height {
				down := float32(y%cell) / float32(cell)
				row := lattice[y/cell*columns:]
				for x := range plane.width {
					right := float32(x%cell) / float32(cell)
					at := row[x/cell:]
					top := at[0] + (at[1]-at[0])*right
					bottom := at[columns] + (at[columns+1]-at[columns])*right
					sum[y*plane.width+x] += top + (bottom-top)*down
				}
			}
			strength *= 0.8
		}
		for y := range plane.height {
			for x := range plane.width {
				plane.pix[y*plane.stride+x] = uint8(min(max(128+sum[y*plane.width+x], 0), 255))
			}
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
