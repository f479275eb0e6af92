package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/image/tiff"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/media/isolated"
)

// The test binary is its own child: this variable says how the child behaves.
const behaviour = "WORKER_TEST_BEHAVIOUR"

func TestMain(m *testing.M) {
	switch os.Getenv(behaviour) {
	case "":
		os.Exit(m.Run())
	case "decode":
		os.Exit(Main(os.Stdin, os.Stdout))
	case "exhaust": // takes memory without end once it has a file
		if err := limit(256 << 20); err != nil {
			os.Exit(1)
		}
		mustRead()
		var kept [][]byte
		for {
			b := make([]byte, 16<<20)
			for i := range b {
				b[i] = 1
			}
			kept = append(kept, b)
			if len(kept) > 1<<16 {
				os.Exit(0)
			}
		}
	case "slow to warm": // then decodes as it should
		time.Sleep(time.Second)
		os.Exit(Main(os.Stdin, os.Stdout))
	case "spin": // decodes without end
		decode = func(context.Context, string, []byte, media.Limits, func(media.Picture) error) []hashmatch.Failure {
			for {
				spun++
			}
		}
		os.Exit(Main(os.Stdin, os.Stdout))
	case "spin on demand": // decodes, and then or at once goes on without end where the file's last bytes say so
		decode = func(ctx context.Context, format string, content []byte, limits media.Limits, yield func(media.Picture) error) []hashmatch.Failure {
			var failures []hashmatch.Failure
			if !bytes.HasSuffix(content, spinAtOnce) {
				failures = isolated.Decode(ctx, format, content, limits, yield)
			}
			for bytes.HasSuffix(content, spinAtOnce) || bytes.HasSuffix(content, spinAfterwards) {
				spun++
			}
			return failures
		}
		os.Exit(Main(os.Stdin, os.Stdout))
	case "parent of a spinner":
		parentOfASpinner()
	case "chatty": // prints where it must not
		decode = func(ctx context.Context, format string, content []byte, limits media.Limits, yield func(media.Picture) error) []hashmatch.Failure {
			for range 1000 {
				fmt.Println("Skipped 31 bytes before marker 0xda")
				fmt.Fprintln(os.Stderr, "Skipped 31 bytes before marker 0xda")
			}
			return isolated.Decode(ctx, format, content, limits, yield)
		}
		os.Exit(Main(os.Stdin, os.Stdout))
	case "flood": // prints 64 MiB past what keeps decoders quiet
		stderr := os.Stderr
		decode = func(ctx context.Context, format string, content []byte, limits media.Limits, yield func(media.Picture) error) []hashmatch.Failure {
			line := bytes.Repeat([]byte("Corrupt JPEG data: premature end of data segment\n"), 1<<10)
			for n := 0; n < 64<<20; n += len(line) {
				if _, err := stderr.Write(line); err != nil {
					panic(err)
				}
			}
			return isolated.Decode(ctx, format, content, limits, yield)
		}
		os.Exit(Main(os.Stdin, os.Stdout))
	case "worn out by one file": // dies of the second
		files := 0
		decode = func(ctx context.Context, format string, content []byte, limits media.Limits, yield func(media.Picture) error) []hashmatch.Failure {
			if files++; files > 1 {
				panic("fragmented")
			}
			return isolated.Decode(ctx, format, content, limits, yield)
		}
		os.Exit(Main(os.Stdin, os.Stdout))
	case "an unknown failure":
		mustRead()
		_, _ = os.Stdout.Write([]byte{tagFailures, 1, 5, 'a', 'l', 'l', 'o', 'w', 0, 0})
		time.Sleep(time.Hour)
	case "hang":
		mustRead()
		time.Sleep(time.Hour)
	case "crash":
		mustRead()
		panic("decoder")
	case "picture then crash":
		mustRead()
		out := bufio.NewWriter(os.Stdout)
		_ = writePicture(out, media.Picture{Image: image.NewGray(image.Rect(0, 0, 3, 2))})
		panic("decoder")
	case "garbage":
		mustRead()
		fmt.Print("HTTP/1.1 200 OK\r\n\r\n")
		time.Sleep(time.Hour)
	case "huge picture":
		mustRead()
		_, _ = os.Stdout.Write([]byte{tagPicture, kindNRGBA, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0})
		time.Sleep(time.Hour)
	case "pictures without end":
		mustRead()
		out := bufio.NewWriter(os.Stdout)
		for range 1 << 20 {
			if writePicture(out, media.Picture{Image: image.NewGray(image.Rect(0, 0, 1, 1))}) != nil {
				os.Exit(1)
			}
		}
	}
	os.Exit(7)
}

var spun int

// The ends of files for "spin on demand".
var spinAtOnce, spinAfterwards = []byte("spin at once"), []byte("spin afterwards")

func mustRead() {
	if _, err := readRequest(bufio.NewReader(os.Stdin)); err != nil {
		os.Exit(1)
	}
	_, _ = os.Stdout.Write([]byte{tagWarm})
}

func testPool(t testing.TB, how string, change func(*Config)) *Pool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The race detector has a process that ends sleep for a second.
	env := []string{behaviour + "=" + how, "GORACE=atexit_sleep_ms=0"}
	c := Config{Command: []string{self}, Env: env, Size: 1, Deadline: time.Minute}
	if change != nil {
		change(&c)
	}
	p := NewPool(c)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// tiffFile returns a TIFF whose pixels depend on seed, and the picture in it.
func tiffFile(t testing.TB, w, h, seed int) ([]byte, *image.Gray) {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = byte(i*7 + seed)
	}
	var b bytes.Buffer
	if err := tiff.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), img
}

// decodeGray returns the pixels of the only picture, copied.
func decodeGray(p *Pool, ctx context.Context, content []byte) (pix []byte, count int, failures []hashmatch.Failure) {
	failures = p.Decode(ctx, "tiff", content, media.Limits{}, func(picture media.Picture) error {
		count++
		if gray, ok := picture.Image.(*image.Gray); ok {
			pix = bytes.Clone(gray.Pix)
		}
		return nil
	})
	return pix, count, failures
}

func TestPoolDecodesAndKeepsItsChildWarm(t *testing.T) {
	p := testPool(t, "decode", nil)
	var first int
	for i := range 3 {
		content, want := tiffFile(t, 40, 30, i)
		pix, count, failures := decodeGray(p, t.Context(), content)
		if count != 1 || len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
			t.Fatalf("file %d: %d pictures, failures %v, equal %v", i, count, failures, bytes.Equal(pix, want.Pix))
		}
		c := <-p.free
		if i == 0 {
			first = c.cmd.Process.Pid
		} else if c.cmd.Process.Pid != first {
			t.Errorf("file %d was decoded by another child", i)
		}
		p.free <- c
	}
	_, _, failures := decodeGray(p, t.Context(), []byte("II*\x00nonsense"))
	if len(failures) == 0 {
		t.Error("nonsense has no failure")
	}
}

func TestEveryDeathIsOneFilesFailure(t *testing.T) {
	for _, tc := range []struct {
		how    string
		code   hashmatch.FailureCode
		detail string
		count  int
	}{
		{how: "crash", code: hashmatch.Panicked, detail: "died"},
		{how: "picture then crash", code: hashmatch.Panicked, detail: "died", count: 1},
		{how: "garbage", code: hashmatch.Panicked, detail: "makes no sense"},
		{how: "huge picture", code: hashmatch.Panicked, detail: "a picture of 4294967295 x 4294967295"},
		{how: "pictures without end", code: hashmatch.Panicked, detail: "more than 1000 pictures", count: 1000},
		{how: "an unknown failure", code: hashmatch.Panicked, detail: "makes no sense"},
		{how: "hang", code: hashmatch.TimedOut}, // stopped, or not ready on a busy machine
		{how: "no such behaviour", code: hashmatch.Panicked, detail: "died"},
	} {
		t.Run(tc.how, func(t *testing.T) {
			p := testPool(t, tc.how, func(c *Config) {
				if tc.code == hashmatch.TimedOut {
					c.Deadline = 300 * time.Millisecond
				}
			})
			content, _ := tiffFile(t, 4, 4, 0)
			for range 2 { // the second file has a child of its own
				_, count, failures := decodeGray(p, t.Context(), content)
				if len(failures) != 1 || failures[0].Code != tc.code || !strings.Contains(failures[0].Detail, tc.detail) || count != tc.count {
					t.Fatalf("%d pictures, failures %v; want %d, %s with %q", count, failures, tc.count, tc.code, tc.detail)
				}
			}
		})
	}
}

func TestRunningOutOfMemoryIsOneFilesFailure(t *testing.T) {
	if !limitsData {
		t.Log("no limit on data on this system: not tested")
		return
	}
	p := testPool(t, "exhaust", nil)
	content, _ := tiffFile(t, 4, 4, 0)
	_, _, failures := decodeGray(p, t.Context(), content)
	if len(failures) != 1 || failures[0].Code != hashmatch.Panicked || !strings.Contains(failures[0].Detail, "ran out of memory") {
		t.Errorf("failures %v", failures)
	}
}

func TestAChildKilledBetweenFilesIsReplaced(t *testing.T) {
	p := testPool(t, "decode", nil)
	content, want := tiffFile(t, 40, 30, 1)
	for range 3 {
		pix, count, failures := decodeGray(p, t.Context(), content)
		if count != 1 || len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
			t.Fatalf("%d pictures, failures %v", count, failures)
		}
		c := <-p.free
		if err := c.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.free <- c
	}
}

// A used child can fail where a fresh one does not: the file is tried once more.
func TestAFileThatKillsAUsedChildGetsAFreshOne(t *testing.T) {
	p := testPool(t, "worn out by one file", nil)
	children := map[int]bool{}
	for i := range 4 {
		content, want := tiffFile(t, 40, 30, i)
		pix, count, failures := decodeGray(p, t.Context(), content)
		if count != 1 || len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
			t.Fatalf("file %d: %d pictures, failures %v", i, count, failures)
		}
		c := <-p.free
		children[c.cmd.Process.Pid] = true
		p.free <- c
	}
	if len(children) != 4 {
		t.Errorf("%d children for 4 files", len(children))
	}
}

func TestADecoderThatPrintsDoesNoHarm(t *testing.T) {
	p := testPool(t, "chatty", nil)
	for i := range 2 {
		content, want := tiffFile(t, 40, 30, i)
		pix, count, failures := decodeGray(p, t.Context(), content)
		if count != 1 || len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
			t.Fatalf("file %d: %d pictures, failures %v", i, count, failures)
		}
	}
	c := <-p.free
	defer func() { p.free <- c }()
	if text := c.stderr.String(); text != "" {
		t.Errorf("%d bytes on stderr: no room for the runtime's last words", len(text))
	}
}

// What a child prints is read on and thrown away: it neither waits for room in the pipe nor costs the parent memory.
func TestAFloodOnStandardErrorIsDropped(t *testing.T) {
	p := testPool(t, "flood", nil)
	content, want := tiffFile(t, 40, 30, 1)
	pix, count, failures := decodeGray(p, t.Context(), content)
	if count != 1 || len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
		t.Fatalf("%d pictures, failures %v", count, failures)
	}
	c := <-p.free
	defer func() { p.free <- c }()
	if kept := len(c.stderr.String()); kept == 0 || kept > 4<<10 {
		t.Errorf("%d bytes kept", kept)
	}
}

// The decoder of damaged JPEGs prints a line for each piece of damage, to the standard error of the process that it
// believes to be its own.
func TestTheDecoderOfDamagedJPEGsIsQuiet(t *testing.T) {
	if !slices.Contains(isolated.Formats(), "jpeg") {
		t.Log("this build does not decode damaged JPEGs: not tested")
		return
	}
	content, err := os.ReadFile("../../../testdata/damaged/cut-baseline.jpg")
	if err != nil {
		t.Fatal(err)
	}
	p := testPool(t, "decode", nil)
	pictures := 0
	failures := p.Decode(t.Context(), "jpeg", content, media.Limits{}, func(media.Picture) error { pictures++; return nil })
	if pictures != 1 || len(failures) == 0 {
		t.Fatalf("%d pictures, failures %v", pictures, failures)
	}
	c := <-p.free
	defer func() { p.free <- c }()
	if c == nil {
		t.Fatal("the child died")
	}
	if text := c.stderr.String(); text != "" {
		t.Errorf("%d bytes on stderr: %.200q", len(text), text)
	}
}

func TestALargeBufferIsGivenBack(t *testing.T) {
	p := testPool(t, "decode", nil)
	for _, tc := range []struct {
		side int
		kept bool
	}{{100, true}, {4200, false}} {
		content, _ := tiffFile(t, tc.side, tc.side, 0)
		if _, count, failures := decodeGray(p, t.Context(), content); count != 1 {
			t.Fatal(failures)
		}
		c := <-p.free
		if kept := c.buffer != nil; kept != tc.kept {
			t.Errorf("side %d: %d bytes kept", tc.side, cap(c.buffer))
		}
		p.free <- c
	}
}

func TestAProgramThatCannotBeStarted(t *testing.T) {
	for _, command := range [][]string{nil, {"/nonexistent/decoder"}} {
		p := NewPool(Config{Command: command, Size: 1})
		_, _, failures := decodeGray(p, t.Context(), []byte("x"))
		if len(failures) != 1 || failures[0].Code != hashmatch.Panicked || strings.Contains(failures[0].Detail, "/") {
			t.Errorf("%v: failures %v", command, failures)
		}
		_ = p.Close()
	}
}

func TestContextStopsTheChild(t *testing.T) {
	p := testPool(t, "spin on demand", nil)
	content, want := tiffFile(t, 40, 30, 1)
	for range 2 {
		pix, _, failures := decodeGray(p, t.Context(), content) // so that a child is ready
		if len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
			t.Fatalf("failures %v", failures)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		started := time.Now()
		_, _, failures = decodeGray(p, ctx, slices.Concat(content, spinAtOnce))
		cancel()
		if len(failures) != 1 || failures[0].Code != hashmatch.TimedOut || !strings.Contains(failures[0].Detail, "stopped") {
			t.Errorf("after %v: %v", time.Since(started), failures)
		}
	}
}

// A child that is not ready at a file's deadline is not killed for it: else none would ever be ready.
func TestADecoderThatIsSlowToWarmComesToDecode(t *testing.T) {
	p := testPool(t, "slow to warm", func(c *Config) { c.Deadline = 300 * time.Millisecond })
	content, want := tiffFile(t, 4, 4, 0)
	if _, _, failures := decodeGray(p, t.Context(), content); len(failures) != 1 || failures[0].Code != hashmatch.TimedOut || !strings.Contains(failures[0].Detail, "not ready") {
		t.Fatalf("failures %v", failures)
	}
	c := <-p.free // given back when it is ready
	if c == nil {
		t.Fatal("it was killed")
	}
	p.free <- c
	if pix, _, failures := decodeGray(p, t.Context(), content); len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
		t.Errorf("failures %v", failures)
	}
}

func TestAReceiverThatRefusesEndsTheFile(t *testing.T) {
	p := testPool(t, "decode", nil)
	content, want := tiffFile(t, 40, 30, 1)
	if f := p.Decode(t.Context(), "tiff", content, media.Limits{}, func(media.Picture) error { return errors.New("enough") }); len(f) != 0 {
		t.Errorf("failures %v", f)
	}
	if pix, _, failures := decodeGray(p, t.Context(), content); len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
		t.Errorf("the next file: failures %v", failures)
	}
}

func TestConcurrentFilesDoNotMix(t *testing.T) {
	p := testPool(t, "decode", func(c *Config) { c.Size = 2 })
	var group sync.WaitGroup
	for i := range 6 {
		content, want := tiffFile(t, 60+i, 50, i)
		group.Go(func() {
			for range 5 {
				pix, count, failures := decodeGray(p, t.Context(), content)
				if count != 1 || len(failures) != 0 || !bytes.Equal(pix, want.Pix) {
					t.Errorf("file %d: %d pictures, failures %v", i, count, failures)
				}
			}
		})
	}
	group.Wait()
}

func TestCloseLeavesNoProcess(t *testing.T) {
	p := testPool(t, "decode", nil)
	content, _ := tiffFile(t, 4, 4, 0)
	if _, count, failures := decodeGray(p, t.Context(), content); count != 1 {
		t.Fatal(failures)
	}
	c := <-p.free
	p.free <- c
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if c.cmd.ProcessState == nil {
		t.Error("the child's end was not waited for")
	}
	if _, _, failures := decodeGray(p, t.Context(), content); len(failures) != 1 || failures[0].Detail != ErrClosed.Error() {
		t.Errorf("after Close: %v", failures)
	}
	_ = p.Close() // again does nothing
}

func TestProtocolRoundTrip(t *testing.T) {
	limits := media.Limits{}.WithDefaults()
	bounds := image.Rect(0, 0, 7, 5)
	pictures := []image.Image{image.NewGray(bounds), image.NewRGBA(bounds), image.NewNRGBA(bounds)}
	for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
		pictures = append(pictures, image.NewYCbCr(bounds, ratio))
	}
	for i, img := range pictures {
		_, _, parts, err := planes(img)
		if err != nil {
			t.Fatal(err)
		}
		for n, part := range parts {
			for j := range part.pix {
				part.pix[j] = byte(i + n + j)
			}
		}
		var b bytes.Buffer
		if err := writePicture(bufio.NewWriter(&b), media.Picture{Image: img, Time: time.Second}); err != nil {
			t.Fatal(err)
		}
		if tag, _ := b.ReadByte(); tag != tagPicture {
			t.Fatalf("tag %q", tag)
		}
		var buffer []byte
		got, err := readPicture(&b, limits, &buffer)
		if err != nil || got.Time != time.Second || b.Len() != 0 {
			t.Fatalf("%T: %v, %d bytes left", img, err, b.Len())
		}
		for y := range 5 {
			for x := range 7 {
				if got.Image.At(x, y) != img.At(x, y) {
					t.Fatalf("%T: pixel (%d, %d) is %v, want %v", img, x, y, got.Image.At(x, y), img.At(x, y))
				}
			}
		}
	}
	if len(pictures) != 9 {
		t.Fatalf("%d pictures", len(pictures))
	}
	want := []hashmatch.Failure{{Code: hashmatch.Corrupt, Detail: "a"}, {Code: hashmatch.TooManyFrames, Detail: strings.Repeat("x", 2*maxDetail)}}
	var b bytes.Buffer
	if err := writeFailures(bufio.NewWriter(&b), want); err != nil {
		t.Fatal(err)
	}
	_, _ = b.ReadByte()
	got, err := readFailures(&b)
	want[1].Detail = want[1].Detail[:maxDetail]
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("failures %v, %v", got, err)
	}
}

// Whatever a child sends, the parent takes no more memory than the limits admit and does not panic.
func FuzzAnswer(f *testing.F) {
	var b bytes.Buffer
	out := bufio.NewWriter(&b)
	b.WriteByte(tagWarm)
	for _, img := range []image.Image{image.NewGray(image.Rect(0, 0, 3, 2)), image.NewYCbCr(image.Rect(0, 0, 5, 5), image.YCbCrSubsampleRatio420), image.NewNRGBA(image.Rect(0, 0, 2, 2))} {
		_ = writePicture(out, media.Picture{Image: img})
	}
	_ = writeFailures(out, []hashmatch.Failure{{Code: hashmatch.Corrupt, Detail: "x"}})
	f.Add(b.Bytes())
	f.Add([]byte{tagWarm, tagPicture, kindYCbCr, 9, 0, 0, 0, 1, 0, 0, 0, 1})
	limits := media.Limits{MaxPixels: 1 << 16, MaxSide: 1 << 10, MaxFrames: 8}.WithDefaults()
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &child{stdin: nopCloser{io.Discard}, stdout: bufio.NewReader(bytes.NewReader(data))}
		_, _, err := c.decode(context.Background(), request{limits: limits}, func(p media.Picture) error {
			if _, _, parts, err := planes(p.Image); err != nil {
				t.Fatal(err)
			} else {
				for _, part := range parts {
					if len(part.pix) < (part.rows-1)*part.stride+part.width {
						t.Fatal("a plane is too short")
					}
				}
			}
			return nil
		})
		if cap(c.buffer) > 4<<16 {
			t.Fatalf("%d bytes taken", cap(c.buffer))
		}
		_ = err
	})
}

// A request from a parent of another version, or from nobody, ends the child with an error.
func FuzzRequest(f *testing.F) {
	var b bytes.Buffer
	_ = writeRequest(&b, request{format: "tiff", content: []byte("II*\x00")})
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := readRequest(bufio.NewReader(bytes.NewReader(data)))
		if err == nil && len(q.content) > len(data) {
			t.Fatal("more content than was sent")
		}
	})
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// BenchmarkPool measures what the way through a child adds: a picture of 4 megapixels.
func BenchmarkPool(b *testing.B) {
	content, _ := tiffFile(b, 2000, 2000, 0)
	p := testPool(b, "decode", nil)
	b.SetBytes(4_000_000)
	for b.Loop() {
		if _, count, failures := decodeGray(p, b.Context(), content); count != 1 {
			b.Fatal(failures)
		}
	}
}
