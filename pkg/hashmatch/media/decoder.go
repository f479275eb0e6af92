package media

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Config is what a Decoder is made of. The zero Config is useful: default limits, and the formats that need an
// isolated decoder are unsupported.
type Config struct {
	Limits   Limits   // zero fields mean their defaults
	Isolated Isolated // decodes WebP, TIFF, AVIF, HEIC, JPEG XL and damaged JPEGs; nil: those are unsupported, by name
	Memory   int64    // bytes of pixel buffers that all concurrent Decodes share; 0 means DefaultMemory
}

// Decoder turns the bytes of an upload into frames. JPEG, PNG, APNG, GIF and BMP are decoded in this process,
// everything else by Config.Isolated. The format is told by content alone. It is safe for concurrent use.
type Decoder struct {
	limits   Limits
	isolated Isolated
	budget   *budget
	seeds    [2]maphash.Seed // of the digests that tell equal frames
}

var _ hashmatch.Decoder = (*Decoder)(nil)

// New returns a Decoder. It starts nothing.
func New(config Config) *Decoder {
	if config.Memory <= 0 {
		config.Memory = DefaultMemory
	}
	return &Decoder{
		limits:   config.Limits.WithDefaults(),
		isolated: config.Isolated,
		budget:   newBudget(config.Memory),
		seeds:    [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// errStopped ends a decoding whose frames nobody wants any more.
var errStopped = errors.New("stopped by the receiver")

// job is one decoding.
type job struct {
	*Decoder
	ctx     context.Context
	content []byte
	yield   func(*hashmatch.Frame) error

	media    hashmatch.Media
	failures []hashmatch.Failure
	stage    string // what is at work: the detail of a panic
	held     int64  // bytes of the budget

	pictures int   // that were admitted
	area     int64 // their pixels, summed
	seen     map[[2]uint64]struct{}
	flat     []byte // scratch: a frame on its background
	turned   scratch
}

// Decode implements hashmatch.Decoder. Frames come in the order of the file; for each, the views come in the order
// white, white as stored, black, black as stored, those left out that do not differ.
func (d *Decoder) Decode(ctx context.Context, content []byte, yield func(*hashmatch.Frame) error) (hashmatch.Media, []hashmatch.Failure) {
	j := &job{Decoder: d, ctx: ctx, content: content, yield: yield, stage: "sniff"}
	defer j.release()
	err := j.guarded()
	switch {
	case err == nil:
	case ctx.Err() != nil:
		j.fail(hashmatch.TimedOut, "while decoding: %s", j.stage)
	case errors.Is(err, errStopped):
	default:
		f := hashmatch.AsFailure(err, hashmatch.Corrupt)
		j.fail(f.Code, "%s", f.Detail)
	}
	return j.media, j.failures
}

// guarded runs the decoding and turns a panic into a failure.
func (j *job) guarded() (err error) {
	defer func() {
		if r := recover(); r != nil { // r may quote content: it stays out of the detail
			err = &hashmatch.Failure{Code: hashmatch.Panicked, Detail: j.stage}
		}
	}()
	return j.run()
}

// run decodes by format.
func (j *job) run() error {
	if len(j.content) == 0 {
		return &hashmatch.Failure{Code: hashmatch.Empty}
	}
	format := Sniff(j.content)
	j.media.Format = format
	j.stage = format
	switch format {
	case "":
		return &hashmatch.Failure{Code: hashmatch.NotImage}
	case "jpeg":
		return j.jpeg()
	case "png":
		return j.png()
	case "apng":
		return j.apng()
	case "gif":
		return j.gif()
	case "bmp":
		return j.bmp()
	case "webp", "tiff", "avif", "heic", "jxl":
		return j.handOver()
	}
	return unsupported(format)
}

func unsupported(format string) error {
	return &hashmatch.Failure{Code: hashmatch.Unsupported, Detail: "format " + format}
}

// Probe implements hashmatch.Decoder. Width and Height are set where head holds them.
func (d *Decoder) Probe(head []byte) (media hashmatch.Media, failures []hashmatch.Failure) {
	defer func() {
		if r := recover(); r != nil {
			failures = []hashmatch.Failure{{Code: hashmatch.Panicked, Detail: "probe"}}
		}
	}()
	if len(head) == 0 {
		return media, []hashmatch.Failure{{Code: hashmatch.Empty}}
	}
	media.Format = Sniff(head)
	known := true
	switch media.Format {
	case "":
		return media, []hashmatch.Failure{{Code: hashmatch.NotImage}}
	case "jpeg":
		f := walkJPEG(head, d.limits.MaxScans)
		media.Width, media.Height = f.width, f.height
	case "png", "apng":
		if f, ok := pngHeader(head); ok {
			media.Width, media.Height = f.width, f.height
		}
	case "gif":
		if f, ok := gifScreen(head); ok {
			media.Width, media.Height = f.width, f.height
		}
	case "bmp":
		if f, err := bmpHeader(head); err == nil {
			media.Width, media.Height = f.width, f.height
		}
	case "webp", "tiff", "avif", "heic", "jxl":
		f := readHeader(media.Format, head)
		media.Width, media.Height = f.width, f.height
		known = d.isolated != nil
	default:
		known = false
	}
	if !known {
		failures = []hashmatch.Failure{hashmatch.AsFailure(unsupported(media.Format), hashmatch.Unsupported)}
	}
	return media, failures
}

// fail records a failure: the first of each code, since a file can be damaged in a thousand places.
func (j *job) fail(code hashmatch.FailureCode, format string, args ...any) {
	for _, f := range j.failures {
		if f.Code == code {
			return
		}
	}
	j.failures = append(j.failures, hashmatch.Failure{Code: code, Detail: fmt.Sprintf(format, args...)})
}

// fits returns a failure unless a picture of this size is within the limits. Call it before memory is taken.
func (j *job) fits(width, height int) error {
	return fits(j.limits, int64(width), int64(height))
}

func fits(limits Limits, width, height int64) error {
	switch {
	case width <= 0 || height <= 0:
		return &hashmatch.Failure{Code: hashmatch.Corrupt, Detail: fmt.Sprintf("%d x %d pixels", width, height)}
	case max(width, height) > int64(limits.MaxSide):
		return &hashmatch.Failure{Code: hashmatch.TooManyPixels,
			Detail: fmt.Sprintf("%d x %d pixels, the limit of a side is %d", width, height, limits.MaxSide)}
	case width*height > limits.MaxPixels:
		return &hashmatch.Failure{Code: hashmatch.TooManyPixels,
			Detail: fmt.Sprintf("%d x %d pixels, the limit is %d", width, height, limits.MaxPixels)}
	}
	return nil
}

// admit counts one more picture of so many pixels. It returns a TooManyFrames failure if that is one too many.
func (j *job) admit(pixels int64) error {
	if j.pictures >= j.limits.MaxFrames {
		return &hashmatch.Failure{Code: hashmatch.TooManyFrames,
			Detail: fmt.Sprintf("over %d frames: the rest was not decoded", j.limits.MaxFrames)}
	}
	if j.area+pixels > j.limits.MaxTotalPixels && j.pictures > 0 {
		return &hashmatch.Failure{Code: hashmatch.TooManyFrames,
			Detail: fmt.Sprintf("over %d pixels in all frames: %d were decoded", j.limits.MaxTotalPixels, j.pictures)}
	}
	if pixels > j.limits.MaxTotalPixels {
		return &hashmatch.Failure{Code: hashmatch.TooManyPixels,
			Detail: fmt.Sprintf("%d pixels, the limit of a file is %d", pixels, j.limits.MaxTotalPixels)}
	}
	j.pictures++
	j.area += pixels
	return nil
}

// reader reads content and stops when the context is done. It hands out few bytes at a time, because a decoder can
// be kept busy for long with little: 75 bytes make a scan of a progressive JPEG, which costs 58 ms at 49 megapixels.
type reader struct {
	ctx  context.Context
	rest []byte
	tail []byte // comes after rest
}

const readSize = 256

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(r.rest) == 0 {
		r.rest, r.tail = r.tail, nil
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), readSize)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// centiseconds is the unit of GIF's delays.
const centiseconds = 10 * time.Millisecond
