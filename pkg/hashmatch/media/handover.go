package media

import (
	"fmt"

	"example.org/hashmatch/pkg/hashmatch"
)

// handOver gives a file to the isolated decoder, whose format no decoder in this process is trusted with.
func (j *job) handOver() error {
	head := readHeader(j.media.Format, j.content)
	j.media.Width, j.media.Height, j.media.Frames = head.width, head.height, head.frames
	if j.isolated == nil {
		return unsupported(j.media.Format)
	}
	if head.width > 0 && head.height > 0 {
		if err := j.fits(head.width, head.height); err != nil {
			return err
		}
	}
	count, failures, err := j.handOverAs(j.media.Format, head)
	for _, f := range failures {
		j.fail(f.Code, "%s", f.Detail)
	}
	if err == nil && count == 0 && len(j.failures) == 0 {
		return &hashmatch.Failure{Code: hashmatch.Corrupt, Detail: "no picture in it"}
	}
	j.media.Frames = max(j.media.Frames, count)
	return err
}

// handOverAs yields what the isolated decoder makes of the content. It returns how many pictures came, what the
// decoder says went wrong, and an error of this side: a limit, a malformed picture, the receiver or the context.
func (j *job) handOverAs(format string, head header) (count int, failures []hashmatch.Failure, err error) {
	pixels := int64(head.width) * int64(head.height)
	if pixels <= 0 {
		pixels = j.limits.MaxPixels // unknown: any that the limits admit
	}
	perPixel := int64(4 + 4) // as received, and flattened
	if head.orientation(0) != 1 {
		perPixel += 4
	}
	if format == "jpeg" {
		perPixel -= 4 // opaque
	}
	if err := j.hold(pixels * perPixel); err != nil {
		return 0, nil, err
	}
	defer j.release()
	j.stage = format + ", isolated"
	failures = j.isolated.Decode(j.ctx, format, j.content, j.limits, func(p Picture) error {
		if err = j.receive(p, count, head.orientation(count), format != "jpeg"); err == nil {
			count++
		}
		return err
	})
	if err == nil {
		err = j.ctx.Err()
	}
	return count, failures, err
}

// receive checks a picture that came from elsewhere before it is passed on: it is as little trusted as the file.
func (j *job) receive(p Picture, index, orientation int, several bool) error {
	if p.Image == nil || check(p.Image) != nil {
		return fmt.Errorf("isolated decoder: %w", errMalformed)
	}
	size := p.Image.Bounds().Size()
	if err := j.fits(size.X, size.Y); err != nil {
		return err
	}
	if err := j.admit(int64(size.X) * int64(size.Y)); err != nil {
		return err
	}
	if j.media.Width == 0 {
		j.media.Width, j.media.Height = size.X, size.Y
	}
	return j.emit(index, p.Time, p.Image, orientation, several)
}
