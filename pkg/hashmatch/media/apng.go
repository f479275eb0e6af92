package media

import (
	"encoding/binary"
	"fmt"
	"image"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// apngFrame is one fcTL chunk and where the data of its frame starts.
type apngFrame struct {
	rect           image.Rectangle
	delay          time.Duration
	dispose, blend byte
	kind           string // of the chunks that hold its data: "IDAT", "fdAT" or "" if there are none
	data           int    // offset of the first of them
}

// The dispose and blend operations of APNG.
const (
	disposeBackground = 1
	disposePrevious   = 2
	blendOver         = 1
)

// apngInfo is what the chunks of an APNG say of its animation.
type apngInfo struct {
	frames       []apngFrame // as many as can be decoded under the limits
	count        int         // of fcTL chunks
	defaultFirst bool        // the default image is no part of the animation
	previous     bool        // some frame is disposed of to the previous one
	damage       string      // "" if nothing is wrong
}

// walkAPNG reads the animation's chunks, and keeps at most limit frames of them.
func walkAPNG(content []byte, limit int) apngInfo {
	var a apngInfo
	stated, sequence := int64(-1), uint32(0)
	c := chunks{data: content, at: len(pngMagic)}
	order := func() { // fcTL and fdAT share one sequence
		if binary.BigEndian.Uint32(c.body) != sequence {
			a.damage = "a gap in the sequence of frames"
		}
		sequence++
	}
	seen := false // an IDAT chunk
	for c.next() {
		var last *apngFrame
		if a.count > 0 && a.count == len(a.frames) {
			last = &a.frames[a.count-1]
		}
		switch c.kind {
		case "IHDR", "PLTE", "tRNS", "acTL", "fcTL": // those of IDAT and fdAT are checked as they are read
			if !c.intact() {
				a.damage = "invalid checksum"
			}
		}
		switch {
		case c.kind == "acTL" && len(c.body) >= 8 && stated < 0:
			stated = int64(binary.BigEndian.Uint32(c.body))
		case c.kind == "fcTL" && len(c.body) >= 26:
			order()
			a.count++
			if len(a.frames) < limit {
				a.frames = append(a.frames, readFrame(c.body))
				a.previous = a.previous || a.frames[len(a.frames)-1].dispose == disposePrevious
			}
		case c.kind == "fcTL", c.kind == "fdAT" && len(c.body) < 4:
			a.damage = "a chunk of a frame is too short"
		case c.kind == "fdAT":
			order()
			if last != nil && last.kind == "" {
				last.kind, last.data = "fdAT", c.start
			}
			if !seen {
				a.damage = "a frame before the picture"
			}
		case c.kind == "IDAT":
			if a.defaultFirst = a.defaultFirst || !seen && a.count == 0; last != nil && last.kind == "" {
				last.kind, last.data = "IDAT", c.start
			}
			seen = true
		}
		if c.kind == "IEND" {
			break
		}
	}
	if c.truncated && len(a.frames) > 0 && len(a.frames) == a.count && a.frames[a.count-1].kind == "" &&
		(c.kind == "IDAT" || c.kind == "fdAT") { // what there is of the last frame
		a.frames[a.count-1].kind, a.frames[a.count-1].data = c.kind, c.start
	}
	if stated != int64(a.count) || stated == 0 {
		a.damage = fmt.Sprintf("%d frames stated, %d found", max(stated, 0), a.count)
	}
	return a
}

// readFrame reads an fcTL chunk.
func readFrame(b []byte) apngFrame {
	at := func(i int) int { return int(min(binary.BigEndian.Uint32(b[i:]), maxHeaderSide/2)) }
	f := apngFrame{dispose: b[24], blend: b[25]}
	f.rect = image.Rect(0, 0, at(4), at(8)).Add(image.Pt(at(12), at(16)))
	delay, unit := binary.BigEndian.Uint16(b[20:]), binary.BigEndian.Uint16(b[22:])
	if unit == 0 {
		unit = 100
	}
	f.delay = time.Duration(delay) * time.Second / time.Duration(unit)
	return f
}

// apng decodes an animation frame by frame on one canvas. The default image, which viewers show that know no
// animation, is yielded too if it is no frame of the animation, and if nothing else can be.
func (j *job) apng() error {
	f, err := j.pngHeader()
	if err != nil {
		return err
	}
	a := walkAPNG(j.content, j.limits.MaxFrames)
	j.media.Frames = a.count
	if a.defaultFirst || a.count == 0 {
		j.media.Frames++
	}
	area := int64(f.width) * int64(f.height)
	bytes := 4 + 4 + f.memory(f.tRNS != nil, f.orientation) // the canvas, a frame as NRGBA, the standard library's
	if a.previous {
		bytes += 4
	}
	if err := j.hold(area * bytes); err != nil {
		return err
	}
	if !f.complete {
		j.fail(hashmatch.Truncated, "no IEND chunk")
	} else if a.damage != "" {
		j.fail(hashmatch.Corrupt, "%s", a.damage)
	}
	index := 0
	if a.defaultFirst || a.count == 0 {
		if err := j.defaultImage(f); err != nil {
			return err
		}
		index++
	}
	player := &apngPlayer{job: j, f: f, canvas: image.NewNRGBA(image.Rect(0, 0, f.width, f.height))}
	at := time.Duration(0)
	for i := range a.frames {
		if err := j.admit(area); err != nil {
			return err
		}
		if err := player.show(&a.frames[i], index, at); err != nil {
			return err
		}
		at += a.frames[i].delay
		index++
	}
	if a.count > len(a.frames) {
		return j.admit(area) // one too many
	}
	return nil
}

// defaultImage yields the picture that viewers show that know no animation.
func (j *job) defaultImage(f *pngInfo) error {
	if err := j.admit(int64(f.width) * int64(f.height)); err != nil {
		return err
	}
	picture, err := j.apngPicture(f, "IDAT", f.first)
	if err != nil || picture == nil {
		return err
	}
	return j.emit(0, 0, picture, f.orientation, true)
}

// apngPicture decodes the data of one frame, of the size that f states. What it lacks is recorded; nil if nothing
// could be decoded.
func (j *job) apngPicture(f *pngInfo, kind string, at int) (image.Image, error) {
	if at == 0 {
		j.fail(hashmatch.Corrupt, "a frame without data")
		return nil, nil
	}
	if f.colour == pngPalette && f.palette == nil {
		j.fail(hashmatch.Corrupt, "no palette")
		return nil, nil
	}
	r := &chunkReader{ctx: j.ctx, kind: kind, walk: chunks{data: j.content, at: at}}
	w := newRewrap(f, r)
	picture, err := w.decode()
	if j.ctx.Err() != nil {
		return nil, j.ctx.Err()
	}
	if err != nil {
		j.fail(hashmatch.Corrupt, "%s", err)
		return nil, nil
	}
	if failure := w.failure(r.bad); failure != nil {
		j.fail(failure.Code, "%s", failure.Detail)
	}
	if picture == nil {
		return nil, nil
	}
	return to8bit(picture), nil
}

// apngPlayer composes the frames.
type apngPlayer struct {
	*job
	f      *pngInfo
	canvas *image.NRGBA
	saved  []byte // the canvas under a frame that is disposed of to the previous one
	drawn  bool   // some frame was
}

// show draws a frame, yields the canvas and disposes of the frame.
func (p *apngPlayer) show(frame *apngFrame, index int, at time.Duration) error {
	if frame.kind == "IDAT" && frame.rect != p.canvas.Rect {
		p.fail(hashmatch.Corrupt, "a frame that is not of the picture's size")
		frame.rect = p.canvas.Rect
	}
	if frame.rect.Empty() || !frame.rect.In(p.canvas.Rect) {
		p.fail(hashmatch.Corrupt, "a frame outside the picture")
		return nil
	}
	f := *p.f
	f.width, f.height = frame.rect.Dx(), frame.rect.Dy()
	picture, err := p.apngPicture(&f, frame.kind, frame.data)
	if err != nil || picture == nil {
		return err
	}
	dispose := frame.dispose
	if dispose == disposePrevious && !p.drawn { // as the specification says of the first frame
		dispose = disposeBackground
	}
	if dispose == disposePrevious {
		p.saved = p.saved[:0]
		p.rows(frame.rect, func(row []byte) { p.saved = append(p.saved, row...) })
	}
	p.draw(picture, frame)
	p.drawn = true
	if err := p.emit(index, at, p.canvas, f.orientation, true); err != nil {
		return err
	}
	switch dispose {
	case disposeBackground:
		p.rows(frame.rect, func(row []byte) { clear(row) })
	case disposePrevious:
		rest := p.saved
		p.rows(frame.rect, func(row []byte) { rest = rest[copy(row, rest):] })
	}
	return nil
}

// rows calls do with each row of a part of the canvas.
func (p *apngPlayer) rows(rect image.Rectangle, do func(row []byte)) {
	for y := rect.Min.Y; y < rect.Max.Y; y++ {
		do(p.canvas.Pix[y*p.canvas.Stride+4*rect.Min.X:][:4*rect.Dx()])
	}
}

// draw puts a frame on the canvas.
func (p *apngPlayer) draw(picture image.Image, frame *apngFrame) {
	y, width := 0, frame.rect.Dx()
	p.rows(frame.rect, func(row []byte) {
		switch m := picture.(type) {
		case *image.Gray:
			for x, v := range m.Pix[y*m.Stride:][:width] {
				row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = v, v, v, 255
			}
		case *image.RGBA:
			copy(row, m.Pix[y*m.Stride:])
		case *image.NRGBA:
			src := m.Pix[y*m.Stride:][:4*width]
			if frame.blend == blendOver {
				over(row, src)
			} else {
				copy(row, src)
			}
		}
		y++
	})
}

// over draws a row of straight alpha over another: the formula of the PNG specification, rounded down.
func over(dst, src []byte) {
	for x := 0; x+3 < len(src); x += 4 {
		s, d := src[x:x+4:x+4], dst[x:x+4:x+4]
		switch s[3] {
		case 255:
			copy(d, s)
		case 0:
		default:
			above := uint32(s[3]) * 255
			below := uint32(255-s[3]) * uint32(d[3])
			alpha := above + below
			for i := range 3 {
				d[i] = uint8((uint32(s[i])*above + uint32(d[i])*below) / alpha)
			}
			d[3] = uint8(alpha / 255)
		}
	}
}
