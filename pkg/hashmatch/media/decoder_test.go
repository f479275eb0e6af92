package media

import (
	"bytes"
	"context"
	"errors"
	"image"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

func TestNoImage(t *testing.T) {
	for content, want := range map[string]hashmatch.FailureCode{
		"": hashmatch.Empty, "some text": hashmatch.NotImage, "%PDF-1.4\n": hashmatch.NotImage,
		"8BPS\x00\x01": hashmatch.Unsupported, "<svg/>": hashmatch.Unsupported,
	} {
		d := New(Config{})
		shots, media, failures := decode(t, d, []byte(content))
		wantCodes(t, failures, want)
		probed, probeFailures := d.Probe([]byte(content))
		wantCodes(t, probeFailures, want)
		if len(shots) != 0 || media != probed {
			t.Errorf("%q: %d frames, media %+v, probed %+v", content, len(shots), media, probed)
		}
		if want == hashmatch.Unsupported && !strings.Contains(failures[0].Detail, media.Format) {
			t.Errorf("%q: the detail %q does not name the format", content, failures[0].Detail)
		}
	}
}

func TestProbe(t *testing.T) {
	apng := (&apngBuilder{}).control(image.Rect(0, 0, 4, 5), 1, 0, 0).data(t, block(4, 5, red), true).file(4, 5, 1)
	files := map[string][]byte{
		"jpeg": jpegOf(t, smooth(4, 5)), "png": pngOf(t, scene(4, 5)), "apng": apng,
		"gif": rawGIF(4, 5), "bmp": rawBMP(4, -5, 24, 0, nil, nil), "webp": webpFile(4, 5, 1),
	}
	for format, file := range files {
		media, failures := New(Config{Isolated: &fake{}}).Probe(file)
		wantCodes(t, failures)
		if media != (hashmatch.Media{Format: format, Width: 4, Height: 5}) {
			t.Errorf("%s: %+v", format, media)
		}
		for cut := range file { // no beginning may panic
			if _, failures := New(Config{}).Probe(file[:cut]); len(failures) > 0 && failures[0].Code == hashmatch.Panicked {
				t.Fatalf("%s, %d bytes: %v", format, cut, failures)
			}
		}
	}
	_, failures := New(Config{}).Probe(files["webp"])
	wantCodes(t, failures, hashmatch.Unsupported)
}

// TestLimitsBeforeMemory has headers that would take gigabytes.
func TestLimitsBeforeMemory(t *testing.T) {
	small := jpegOf(t, smooth(16, 16))
	sof, _ := segmentOf(t, small, 0xc0)
	huge := bytes.Clone(small)
	copy(huge[sof+5:], []byte{0xff, 0xff, 0xff, 0xff})
	area := bytes.Clone(small)
	copy(area[sof+5:], []byte{0x3f, 0xff, 0x3f, 0xff}) // 16383: the side is within the limit, the area not
	files := map[string][]byte{
		"jpeg": huge, "jpeg area": area,
		"png":       rawPNG(chunk("IHDR", ihdr(65535, 65535, 8, 6, 0)), chunk("IDAT", nil), chunk("IEND", nil)),
		"png 2^32":  rawPNG(chunk("IHDR", ihdr(1<<32-1, 1<<32-1, 16, 6, 1)), chunk("IDAT", nil), chunk("IEND", nil)),
		"apng":      rawPNG(chunk("IHDR", ihdr(65535, 65535, 8, 6, 0)), chunk("acTL", make([]byte, 8)), chunk("IEND", nil)),
		"gif":       rawGIF(65535, 65535, gifImage(image.Rect(0, 0, 1, 1), 0, 0, 0, -1, nil, []byte{1})),
		"gif frame": rawGIF(4, 4, gifImage(image.Rect(0, 0, 65535, 65535), 0, 0, 0, -1, nil, []byte{1})),
		"bmp":       rawBMP(1<<31-1, 1<<31-1, 32, 0, nil, nil),
		"webp":      webpFile(1<<24, 1<<24, 1),
	}
	d := New(Config{Isolated: &fake{}})
	for name, file := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		shots, media, failures := decode(t, d, file)
		runtime.ReadMemStats(&after)
		wantCodes(t, failures, hashmatch.TooManyPixels)
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%s: %d bytes were taken", name, took)
		}
		if len(shots) != 0 || media.Format == "" {
			t.Errorf("%s: %d frames of %+v", name, len(shots), media)
		}
	}
}

// TestBudgetTooSmall has pictures within the limits that do not fit in the whole budget.
func TestBudgetTooSmall(t *testing.T) {
	d := New(Config{Memory: 1000})
	for name, file := range map[string][]byte{
		"jpeg": jpegOf(t, smooth(64, 64)), "png": pngOf(t, scene(64, 64)), "bmp": rawBMP(64, 64, 24, 0, nil, make([]byte, 64*64*3)),
		"gif":  rawGIF(64, 64, gifImage(image.Rect(0, 0, 64, 64), 0, 0, 0, -1, nil, fill(64*64, 1))),
		"apng": (&apngBuilder{}).control(image.Rect(0, 0, 64, 64), 1, 0, 0).data(t, block(64, 64, red), true).file(64, 64, 1),
	} {
		shots, _, failures := decode(t, d, file)
		wantCodes(t, failures, hashmatch.TooManyPixels)
		if len(shots) != 0 {
			t.Errorf("%s: %d frames", name, len(shots))
		}
	}
}

// TestBudgetIsShared lets one decoding through at a time, and gives everything back.
func TestBudgetIsShared(t *testing.T) {
	file := pngOf(t, scene(64, 64))
	d := New(Config{Memory: 64*64*4 + 100})
	var inside, most atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			_, failures := d.Decode(context.Background(), file, func(*hashmatch.Frame) error {
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(time.Millisecond)
				inside.Add(-1)
				return nil
			})
			wantCodes(t, failures)
		}()
	}
	group.Wait()
	if most.Load() != 1 {
		t.Errorf("%d decodings held a frame at once", most.Load())
	}
	if !d.budget.room.TryAcquire(d.budget.size) {
		t.Error("the budget was not given back")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	_, failures := d.Decode(ctx, file, func(*hashmatch.Frame) error { return nil }) // the budget is taken: by this test
	wantCodes(t, failures, hashmatch.TimedOut)
}

func frameFiles(t *testing.T, n int) map[string][]byte {
	all := image.Rect(0, 0, 4, 4)
	var images [][]byte
	var b apngBuilder
	for i := range n {
		images = append(images, gifImage(all, 0, 0, 1, -1, nil, append(fill(16-i, 2), fill(i, 3)...)))
		m := block(4, 4, red)
		m.Pix[4*i] = 9
		b.control(all, 1, 0, 0).data(t, m, i == 0)
	}
	return map[string][]byte{"gif": rawGIF(4, 4, images...), "apng": b.file(4, 4, uint32(n))}
}

func TestFrameLimits(t *testing.T) {
	for format, file := range frameFiles(t, 5) {
		for name, c := range map[string]struct {
			limits Limits
			frames int
			code   []hashmatch.FailureCode
		}{
			"five of five": {Limits{MaxFrames: 5}, 5, nil},
			"four of five": {Limits{MaxFrames: 4}, 4, []hashmatch.FailureCode{hashmatch.TooManyFrames}},
			"pixels of 3":  {Limits{MaxTotalPixels: 3*16 + 15}, 3, []hashmatch.FailureCode{hashmatch.TooManyFrames}},
			"pixels of 0":  {Limits{MaxTotalPixels: 15}, 0, []hashmatch.FailureCode{hashmatch.TooManyPixels}},
		} {
			indices := map[int]bool{}
			media, failures := New(Config{Limits: c.limits}).Decode(context.Background(), file, func(f *hashmatch.Frame) error {
				indices[f.Index] = true
				return nil
			})
			wantCodes(t, failures, c.code...)
			if len(indices) != c.frames || media.Frames != 5 || media.Format != format {
				t.Errorf("%s, %s: %d frames, want %d; %+v", format, name, len(indices), c.frames, media)
			}
		}
	}
}

// TestReceiverStops wants no further call after an error, and no failure of it.
func TestReceiverStops(t *testing.T) {
	files := frameFiles(t, 3)
	files["jpeg"] = withJPEGOrientation(jpegOf(t, smooth(8, 8)), 6)
	files["png"] = pngOf(t, veiled(scene(8, 8)))
	for name, file := range files {
		calls := 0
		_, failures := New(Config{}).Decode(context.Background(), file, func(*hashmatch.Frame) error {
			calls++
			return errors.New("a hasher's error")
		})
		wantCodes(t, failures)
		if calls != 1 {
			t.Errorf("%s: %d calls, want 1", name, calls)
		}
	}
}

func TestReceiverPanics(t *testing.T) {
	d := New(Config{})
	_, failures := d.Decode(context.Background(), pngOf(t, scene(8, 8)), func(*hashmatch.Frame) error { panic("secret") })
	wantCodes(t, failures, hashmatch.Panicked)
	if strings.Contains(failures[0].Detail, "secret") || failures[0].Detail == "" {
		t.Errorf("detail %q", failures[0].Detail)
	}
	if !d.budget.room.TryAcquire(d.budget.size) {
		t.Error("the budget was not given back")
	}
}

// countdown is a context that is done after so many looks at it: inside of a decoder.
type countdown struct {
	context.Context
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// TestTimeout stops each decoder at its first and second look at the context, and amid its work.
func TestTimeout(t *testing.T) {
	noise := scene(200, 200)
	for i := range noise.Pix {
		if i%4 != 3 {
			noise.Pix[i] = byte(i * i >> 3)
		}
	}
	damaged := pngOf(t, noise)
	damaged[len(damaged)-1] ^= 1
	var b apngBuilder
	b.control(image.Rect(0, 0, 200, 200), 1, 0, 0).data(t, veiled(noise), true)
	files := map[string][]byte{
		"jpeg": jpegOf(t, noise), "png": pngOf(t, noise), "png, damaged": damaged, "apng": b.file(200, 200, 1),
		"gif": rawGIF(200, 200, gifImage(image.Rect(0, 0, 200, 200), 0, 0, 0, -1, nil, fill(40000, 2))),
		"bmp": rawBMP(200, 200, 24, 0, nil, make([]byte, 120000)), "webp": webpFile(8, 8, 1),
		"bmp, runs": rawBMP(200, 200, 8, 1, paletteOf(4), bytes.Repeat([]byte{1, 1}, 5000)),
	}
	for name, file := range files {
		for looks := range int64(3) {
			ctx := &countdown{Context: context.Background()}
			ctx.left.Store(looks)
			frames := 0
			d := New(Config{Isolated: &fake{pictures: []Picture{{Image: noise}}}})
			_, failures := d.Decode(ctx, file, func(*hashmatch.Frame) error { frames++; return nil })
			if frames > 0 && looks == 0 {
				t.Errorf("%s: %d frames of a context that was done", name, frames)
			}
			found := false
			for _, f := range failures {
				found = found || f.Code == hashmatch.TimedOut
			}
			if !found && frames == 0 {
				t.Errorf("%s after %d looks: failures %v", name, looks, failures)
			}
		}
	}
}

// TestStopsSoon cancels large decodings midway and wants them to end within a bounded number of further looks.
func TestStopsSoon(t *testing.T) {
	file := flatProgressive(2048, 2048, 64)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	started := time.Now()
	_, failures := New(Config{}).Decode(ctx, file, func(*hashmatch.Frame) error { return nil })
	wantCodes(t, failures, hashmatch.TimedOut)
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("it went on for %v", took)
	}
}

// TestConcurrent decodes everything at once with one Decoder.
func TestConcurrent(t *testing.T) {
	files := frameFiles(t, 4)
	files["jpeg"], files["png"] = jpegOf(t, smooth(50, 50)), pngOf(t, veiled(scene(50, 50)))
	d := New(Config{})
	var group sync.WaitGroup
	var decoded atomic.Int32
	for range 4 {
		for _, file := range files {
			group.Add(1)
			go func() {
				defer group.Done()
				_, failures := d.Decode(context.Background(), file, func(*hashmatch.Frame) error { decoded.Add(1); return nil })
				wantCodes(t, failures)
			}()
		}
	}
	group.Wait()
	if decoded.Load() != 4*(4+8+1+2) {
		t.Errorf("%d frames", decoded.Load())
	}
}

func TestLimitsDefaults(t *testing.T) {
	if got := (Limits{MaxFrames: 7}).WithDefaults(); got.MaxFrames != 7 || got.MaxPixels != 50_000_000 || got.MaxSide != 16_384 ||
		got.MaxTotalPixels != 400_000_000 || got.MaxScans != 64 {
		t.Errorf("%+v", got)
	}
}
