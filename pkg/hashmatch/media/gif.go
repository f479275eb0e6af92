package media

import (
	"compress/lzw"
	"context"
	"errors"
	"image"
	"io"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// GIF's disposal methods. 4 is written by some encoders for 3.
const (
	gifDisposeBackground = 2
	gifDisposePrevious   = 3
	gifDisposePrevious4  = 4
)

// gifSurvey is what one walk over the blocks says of all frames.
type gifSurvey struct {
	screen   image.Rectangle
	count    int
	previous bool // some frame is disposed of to the previous one
	outside  bool // some frame reaches past the screen
	walk     *gifWalk
}

// surveyGIF counts the frames. The first frame widens the screen if it reaches past it, as in browsers.
func surveyGIF(content []byte, head gifScreenInfo) gifSurvey {
	s := gifSurvey{screen: image.Rect(0, 0, head.width, head.height), walk: newGIFWalk(content, head)}
	for s.walk.next() {
		f := &s.walk.frame
		if !f.rect.In(s.screen) {
			s.outside = true
			if s.count == 0 {
				s.screen.Max.X = max(s.screen.Max.X, f.rect.Max.X)
				s.screen.Max.Y = max(s.screen.Max.Y, f.rect.Max.Y)
			}
		}
		s.count++
		s.previous = s.previous || f.dispose == gifDisposePrevious || f.dispose == gifDisposePrevious4
	}
	return s
}

// gif decodes frame by frame on one canvas, which starts out transparent as in browsers: the background colour of
// the header is shown by no viewer.
func (j *job) gif() error {
	head, ok := gifScreen(j.content)
	if !ok {
		return &hashmatch.Failure{Code: hashmatch.Truncated, Detail: "no screen descriptor"}
	}
	survey := surveyGIF(j.content, head)
	j.media.Width, j.media.Height, j.media.Frames = head.width, head.height, survey.count
	switch end := survey.walk; {
	case head.truncated || end.truncated:
		j.fail(hashmatch.Truncated, "no trailer")
	case end.unknown:
		j.fail(hashmatch.Corrupt, "a block of no known type")
	}
	if survey.count == 0 {
		if len(j.failures) == 0 {
			j.fail(hashmatch.Corrupt, "no frame")
		}
		return nil
	}
	width, height := survey.screen.Dx(), survey.screen.Dy()
	if err := j.fits(width, height); err != nil {
		return err
	}
	if survey.outside {
		j.fail(hashmatch.Corrupt, "a frame outside the screen")
	}
	bytes := int64(4 + 4) // the canvas, and the canvas on its background
	if survey.previous {
		bytes += 4
	}
	if err := j.hold(bytes * int64(width) * int64(height)); err != nil {
		return err
	}
	player := &gifPlayer{job: j, canvas: image.NewNRGBA(survey.screen), several: survey.count > 1}
	walk := newGIFWalk(j.content, head)
	at := time.Duration(0)
	for index := 0; walk.next(); index++ {
		f := &walk.frame
		size := f.rect.Size()
		if f.rect.Empty() {
			j.fail(hashmatch.Corrupt, "an empty frame")
		} else if err := j.fits(size.X, size.Y); err != nil {
			return err
		}
		if err := j.admit(max(int64(width)*int64(height), int64(size.X)*int64(size.Y))); err != nil {
			return err
		}
		if err := player.show(f, index, at); err != nil {
			return err
		}
		at += f.delay
	}
	return nil
}

// gifPlayer composes the frames.
type gifPlayer struct {
	*job
	canvas  *image.NRGBA
	saved   []byte // the canvas under a frame that is disposed of to the previous one
	several bool

	lzw     lzw.Reader
	row     []byte
	reached []bool // rows of an interlaced frame that were decoded
}

// show draws a frame, yields the canvas and disposes of the frame.
func (p *gifPlayer) show(f *gifFrame, index int, at time.Duration) error {
	rect := f.rect.Intersect(p.canvas.Rect)
	previous := f.dispose == gifDisposePrevious || f.dispose == gifDisposePrevious4
	if previous {
		p.saved = p.saved[:0]
		p.rows(rect, func(row []byte) { p.saved = append(p.saved, row...) })
	}
	drawn, err := p.draw(f)
	if err != nil {
		return err
	}
	if drawn {
		if err := p.emit(index, at, p.canvas, 1, p.several); err != nil {
			return err
		}
	}
	switch {
	case previous:
		rest := p.saved
		p.rows(rect, func(row []byte) { rest = rest[copy(row, rest):] })
	case f.dispose == gifDisposeBackground:
		p.rows(rect, func(row []byte) { clear(row) })
	}
	return nil
}

// rows calls do with each row of a part of the canvas.
func (p *gifPlayer) rows(rect image.Rectangle, do func(row []byte)) {
	for y := rect.Min.Y; y < rect.Max.Y; y++ {
		do(p.canvas.Pix[y*p.canvas.Stride+4*rect.Min.X:][:4*rect.Dx()])
	}
}

// gifPasses are the rows of an interlaced frame: where each pass starts, and how far its rows are apart.
var gifPasses = [4]struct{ start, step int }{{0, 8}, {4, 8}, {2, 4}, {1, 2}}

// draw decodes a frame onto the canvas. What it lacks is recorded and left as it was on the canvas. It reports
// whether anything could be decoded, or nothing is wrong with the frame.
func (p *gifPlayer) draw(f *gifFrame) (drawn bool, err error) {
	switch {
	case f.rect.Empty():
		return true, nil
	case f.palette == nil:
		p.fail(hashmatch.Corrupt, "a frame without a palette")
		return false, nil
	case f.litWidth < 2 || f.litWidth > 8:
		p.fail(hashmatch.Corrupt, "LZW codes of %d bits", f.litWidth)
		return false, nil
	}
	p.lzw.Reset(&subBlocks{ctx: p.ctx, rest: p.content[f.data:]}, lzw.LSB, int(f.litWidth))
	width, height := f.rect.Dx(), f.rect.Dy()
	if cap(p.row) < width {
		p.row = make([]byte, width)
	}
	p.row = p.row[:width]
	colours := gifColours(f)
	if f.interlaced {
		p.reached = append(p.reached[:0], make([]bool, height)...)
	}
	passes := gifPasses[:]
	if !f.interlaced {
		passes = []struct{ start, step int }{{0, 1}}
	}
	for _, pass := range passes {
		for y := pass.start; y < height; y += pass.step {
			n, err := io.ReadFull(&p.lzw, p.row)
			p.paint(f, f.rect.Min.Y+y, p.row[:n], &colours)
			drawn = drawn || n > 0
			if err != nil {
				return drawn, p.short(f, err)
			}
			if f.interlaced {
				p.reached[y] = true
			}
			if y&63 == 0 && p.ctx.Err() != nil {
				return drawn, p.ctx.Err()
			}
		}
	}
	return true, nil
}

// short records why a frame ends early. Rows of an interlaced frame that were not reached become what is above
// them, as in viewers that show a picture while it loads.
func (p *gifPlayer) short(f *gifFrame, err error) error {
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		p.fail(hashmatch.Truncated, "not enough data for a frame")
	} else {
		p.fail(hashmatch.Corrupt, "%s", err)
	}
	if f.interlaced {
		rect := f.rect.Intersect(p.canvas.Rect)
		var above []byte
		y := rect.Min.Y
		p.rows(rect, func(row []byte) {
			if above != nil && !p.reached[y-f.rect.Min.Y] {
				copy(row, above)
			}
			above = row
			y++
		})
	}
	return nil
}

// gifColour is one entry of a palette: what to paint.
type gifColour struct {
	rgba  [4]byte
	known bool // in the palette, or transparent
}

// gifColours looks up a frame's palette; the zero colour leaves the canvas as it is.
func gifColours(f *gifFrame) (colours [256]gifColour) {
	for i := 0; 3*i+2 < len(f.palette); i++ {
		c := f.palette[3*i:]
		colours[i] = gifColour{[4]byte{c[0], c[1], c[2], 255}, true}
	}
	if f.transparent >= 0 { // as the standard library does, and browsers: up to it, a short palette is transparent
		for i := len(f.palette) / 3; i < f.transparent; i++ {
			colours[i].known = true
		}
		colours[f.transparent] = gifColour{known: true}
	}
	return colours
}

// paint paints the indices of a row, or of its beginning, onto row y of the canvas as far as it reaches.
func (p *gifPlayer) paint(f *gifFrame, y int, indices []byte, colours *[256]gifColour) {
	if y >= p.canvas.Rect.Max.Y || f.rect.Min.X >= p.canvas.Rect.Max.X {
		return
	}
	n := min(len(indices), p.canvas.Rect.Max.X-f.rect.Min.X)
	row := p.canvas.Pix[y*p.canvas.Stride+4*f.rect.Min.X:][:4*n]
	known := true
	for x, index := range indices[:n] {
		c := &colours[index]
		if c.rgba[3] != 0 {
			copy(row[4*x:4*x+4], c.rgba[:])
		}
		known = known && c.known
	}
	if !known {
		p.fail(hashmatch.Corrupt, "a colour that the palette does not have")
	}
}

// subBlocks reads the bytes of a row of sub-blocks, up to its end. It stops when the context is done.
type subBlocks struct {
	ctx  context.Context
	rest []byte
	left int // in this sub-block
	read int
}

func (b *subBlocks) ReadByte() (byte, error) {
	if b.left == 0 {
		if len(b.rest) == 0 || b.rest[0] == 0 {
			return 0, io.EOF
		}
		b.left = int(b.rest[0])
		b.rest = b.rest[1:]
	}
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if b.read++; b.read&0xfff == 0 && b.ctx.Err() != nil {
		return 0, b.ctx.Err()
	}
	c := b.rest[0]
	b.rest = b.rest[1:]
	b.left--
	return c, nil
}

// Read reads one byte: lzw wants an io.Reader and uses ReadByte alone.
func (b *subBlocks) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := b.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}
