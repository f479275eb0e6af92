// Package isolated decodes the formats whose decoders cannot be stopped or can exhaust memory: WebP, TIFF, AVIF, HEIC,
// JPEG XL, and JPEGs that stricter decoders refused. It is meant to run inside a child process (package worker): a
// decoder that never returns or runs out of memory takes its process along.
//
// Every container is walked by this package first, so that sides, pixels and pictures are held against the limits
// before a decoder takes memory, and so that pictures which a decoder would not show (other images of an AVIF or HEIC
// file, further pages of a TIFF) are decoded too, or named in a failure.
//
// What the decoders do not do, and what follows:
//
//	WebP      golang.org/x/image, frame by frame; composition is ours. Lossy pictures have their planes stretched from
//	          16..235 to 0..255, since image.YCbCr is full range.
//	TIFF      golang.org/x/image, page by page. CMYK, YCbCr, CIELab, JPEG inside, planar and floating-point samples are
//	          Unsupported by name.
//	AVIF      libavif in WebAssembly. A sequence is decoded in one go, so that one above 192 MiB of pixels is cut to
//	          its first picture (TooManyFrames).
//	HEIC      libheif in WebAssembly, every image of the file; image sequences (tracks) are Unsupported. Linked under
//	          the build tag heic only, for its licence. It conceals damage inside a coded picture without a word, so
//	          that there is no failure beside what it made of that.
//	JPEG XL   libjxl in WebAssembly. An animation is decoded in one go, after its first picture was yielded.
//	JPEG      jpegli in WebAssembly, which fills in what is missing: always with a Corrupt or Truncated failure.
//
// The WebAssembly decoders are linked under the build tag nodynamic only: without it the same modules would load
// whatever system library they find.
//
// Orientation: what belongs to the coding (irot, imir and clap of AVIF and HEIC, the header of JPEG XL) is applied; EXIF
// and the tag of TIFF are not. Colour profiles are ignored. 16-bit samples lose their low byte.
package isolated

import (
	"context"
	"errors"
	"fmt"
	"image"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

// Decode decodes content, which is of the given format ("webp", "tiff", "avif", "heic", "jxl" or "jpeg"), calls yield
// with each picture in order and returns every failure. It stops when yield returns an error, which is not reported,
// or between two pictures when ctx is done. It never panics. content is not written to and not kept.
func Decode(ctx context.Context, format string, content []byte, limits media.Limits,
	yield func(media.Picture) error) (failures []hashmatch.Failure) {
	e := &emitter{ctx: ctx, limits: limits.WithDefaults(), yield: yield}
	if len(content) == 0 {
		e.fail(hashmatch.Empty, "")
		return e.failures
	}
	if tag := missingTag(format); tag != "" {
		e.fail(hashmatch.Unsupported, format+": this build has no decoder for it, it lacks the build tag "+tag)
		return e.failures
	}
	decode, ok := decoders[format]
	if !ok {
		e.fail(hashmatch.Unsupported, fmt.Sprintf("no isolated decoder for %q", format))
		return e.failures
	}
	if err := guard(func() error { decode(e, content); return nil }); err != nil {
		e.fail(hashmatch.Panicked, format+": "+err.Error())
	}
	if e.ctx.Err() != nil {
		e.fail(hashmatch.TimedOut, "while decoding")
	}
	if e.pictures == 0 && len(e.failures) == 0 && !e.stopped {
		e.fail(hashmatch.Corrupt, format+": no picture in it")
	}
	return e.failures
}

// Formats returns the formats that this build can decode, in a fixed order.
func Formats() []string {
	var formats []string
	for _, format := range []string{"webp", "tiff", "avif", "heic", "jxl", "jpeg"} {
		if missingTag(format) == "" {
			formats = append(formats, format)
		}
	}
	return formats
}

// Warm prepares the decoder of the format: a WebAssembly decoder takes 0.3 to 1 s of compilation once per process.
// Decode does so by itself; Warm keeps that time out of a file's deadline.
func Warm(format string) {
	switch {
	case !wasmFormats[format] || missingTag(format) != "":
	case format == "heic":
		warmHEIC()
	default:
		warm(format)
	}
}

// missingTag returns the build tag without which this build has no decoder for the format; "" if it has one.
func missingTag(format string) string {
	switch {
	case wasmFormats[format] && !codecsLinked:
		return "nodynamic"
	case format == "heic" && !heicLinked:
		return "heic"
	}
	return ""
}

var decoders = map[string]func(*emitter, []byte){
	"webp": decodeWebP,
	"tiff": decodeTIFF,
	"avif": decodeAVIF,
	"heic": decodeHEIC,
	"jxl":  decodeJXL,
	"jpeg": decodeJPEG,
}

var wasmFormats = map[string]bool{"avif": true, "heic": true, "jxl": true, "jpeg": true}

// maxFailures bounds the failures of one file: ten thousand broken pages need not be told one by one.
const maxFailures = 16

// emitter hands pictures out and keeps the account of what they cost.
type emitter struct {
	ctx      context.Context
	limits   media.Limits
	yield    func(media.Picture) error
	pictures int
	pixels   int64
	failures []hashmatch.Failure
	stopped  bool // yield returned an error
}

// fail records a failure once; a code is reported at most four times.
func (e *emitter) fail(code hashmatch.FailureCode, detail string) {
	same := 0
	for _, f := range e.failures {
		if f.Code == code {
			same++
			if f.Detail == detail {
				return
			}
		}
	}
	if same < 4 && len(e.failures) < maxFailures {
		e.failures = append(e.failures, hashmatch.Failure{Code: code, Detail: detail})
	}
}

// admit reports whether a picture of this size may be decoded at all; if not, it says why in a failure.
func (e *emitter) admit(what string, width, height int) bool {
	switch {
	case width <= 0 || height <= 0:
		e.fail(hashmatch.Corrupt, fmt.Sprintf("%s: %d x %d pixels", what, width, height))
	case width > e.limits.MaxSide || height > e.limits.MaxSide:
		e.fail(hashmatch.TooManyPixels, fmt.Sprintf("%s: %d x %d pixels, longest side %d", what, width, height, e.limits.MaxSide))
	case int64(width)*int64(height) > e.limits.MaxPixels:
		e.fail(hashmatch.TooManyPixels, fmt.Sprintf("%s: %d x %d pixels, limit %d", what, width, height, e.limits.MaxPixels))
	default:
		return true
	}
	return false
}

// room reports whether one more picture of this size fits the file's account; if not, it says so in a failure.
func (e *emitter) room(width, height int) bool {
	switch {
	case e.pictures >= e.limits.MaxFrames:
		e.fail(hashmatch.TooManyFrames, fmt.Sprintf("over %d pictures", e.limits.MaxFrames))
	case e.pixels+int64(width)*int64(height) > e.limits.MaxTotalPixels:
		e.fail(hashmatch.TooManyFrames, fmt.Sprintf("over %d pixels in all: %d pictures were looked at", e.limits.MaxTotalPixels, e.pictures))
	default:
		return true
	}
	return false
}

// done reports whether decoding is to end.
func (e *emitter) done() bool { return e.stopped || e.ctx.Err() != nil }

// picture yields img, of any of the types that the decoders give. It returns false when decoding is to end.
func (e *emitter) picture(img image.Image, at time.Duration) bool {
	if e.done() {
		return false
	}
	size := img.Bounds().Size()
	if !e.admit("decoded picture", size.X, size.Y) || !e.room(size.X, size.Y) {
		return false
	}
	plain, err := normalise(img)
	if err != nil {
		e.fail(hashmatch.Panicked, err.Error())
		return true
	}
	e.pictures++
	e.pixels += int64(size.X) * int64(size.Y)
	if e.yield(media.Picture{Image: plain, Time: at}) != nil {
		e.stopped = true
	}
	return !e.done()
}

// errPanic is wrapped by what guard makes of a panic.
var errPanic = errors.New("panic")

// guard turns a panic of f into an error that wraps errPanic.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return f()
}

// failDecoder records what a decoder said of a picture: a panic of the decoder by name, else the given code.
func (e *emitter) failDecoder(code hashmatch.FailureCode, what string, err error) {
	if errors.Is(err, errPanic) {
		code = hashmatch.Panicked
	}
	text, _, _ := strings.Cut(err.Error(), "\n") // a trap in WebAssembly brings its stack along
	e.fail(code, what+": "+text)
}
