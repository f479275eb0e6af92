package isolated

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/draw"
	"io"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"golang.org/x/image/webp"
)

// webpImage is one coded picture: a VP8 or VP8L chunk, with the ALPH chunk before it if there is one.
type webpImage struct {
	lossless bool
	data     []byte // what the file has of the chunk
	declared int64  // what the chunk's header says; more than len(data) where the file is cut off
	alpha    []byte // nil where there is none
	alphaCut bool
}

// webpFrame is one frame of an animation.
type webpFrame struct {
	image    webpImage
	present  bool // there is a coded picture in the frame
	rect     image.Rectangle
	duration time.Duration
	dispose  bool // clear the frame's rectangle after it was shown
	blend    bool // over the canvas, else instead of it
}

// webpFile is what the walk over the chunks finds.
type webpFile struct {
	still     webpImage
	hasStill  bool
	canvas    image.Point // of VP8X; zero without one
	animated  bool
	frames    []webpFrame // at most the limit
	total     int         // frames in the file
	truncated bool
	corrupt   string // "" or what is wrong with the container
}

// walkWebP reads the chunks of content without decoding any. It keeps at most maxFrames frames and counts the rest.
func walkWebP(content []byte, maxFrames int) webpFile {
	var f webpFile
	if len(content) < 12 || string(content[:4]) != "RIFF" || string(content[8:12]) != "WEBP" {
		f.truncated = len(content) < 12
		f.corrupt = "no RIFF WEBP header"
		return f
	}
	end := len(content)
	switch declared := int64(binary.LittleEndian.Uint32(content[4:])) + 8; {
	case declared > int64(end)+1: // an odd last chunk may lack its padding
		f.truncated = true
	case declared < 12+8:
		f.corrupt = fmt.Sprintf("RIFF size %d", declared-8) // the chunks may still be good
	default:
		end = min(end, int(declared)) // what follows belongs to no picture
	}
	var pending webpImage
	walkRIFF(content[12:end], &f.truncated, func(id string, data []byte, declared int64) bool {
		switch id {
		case "VP8X":
			if len(data) < 10 {
				f.corrupt = "short VP8X chunk"
				return true
			}
			f.animated = data[0]&2 != 0
			f.canvas = image.Pt(1+int(uint24(data[4:])), 1+int(uint24(data[7:])))
		case "ALPH":
			pending.alpha, pending.alphaCut = data, declared > int64(len(data))
		case "VP8 ", "VP8L":
			if !f.hasStill {
				f.hasStill = true
				f.still = webpImage{id == "VP8L", data, declared, pending.alpha, pending.alphaCut}
			}
		case "ANMF":
			f.total++
			if len(f.frames) < maxFrames {
				f.frames = append(f.frames, walkANMF(data, &f))
			}
		}
		return true
	})
	return f
}

// walkANMF reads one frame of an animation.
func walkANMF(data []byte, f *webpFile) webpFrame {
	var frame webpFrame
	if len(data) < 16 {
		return frame
	}
	at := image.Pt(2*int(uint24(data)), 2*int(uint24(data[3:])))
	frame.rect = image.Rectangle{Min: at, Max: at.Add(image.Pt(1+int(uint24(data[6:])), 1+int(uint24(data[9:]))))}
	frame.duration = time.Duration(uint24(data[12:])) * time.Millisecond
	frame.dispose = data[15]&1 != 0
	frame.blend = data[15]&2 == 0
	var pending webpImage
	walkRIFF(data[16:], &f.truncated, func(id string, data []byte, declared int64) bool {
		switch id {
		case "ALPH":
			pending.alpha, pending.alphaCut = data, declared > int64(len(data))
		case "VP8 ", "VP8L":
			frame.present = true
			frame.image = webpImage{id == "VP8L", data, declared, pending.alpha, pending.alphaCut}
			return false
		}
		return true
	})
	return frame
}

// walkRIFF calls chunk with each chunk of data; declared is the size that its header states, which is more than
// len(data) for a chunk that is cut off.
func walkRIFF(data []byte, truncated *bool, chunk func(id string, data []byte, declared int64) bool) {
	for len(data) >= 8 {
		id, declared := string(data[:4]), int64(binary.LittleEndian.Uint32(data[4:]))
		data = data[8:]
		have := min(declared, int64(len(data)))
		if declared > have {
			*truncated = true
		}
		if !chunk(id, data[:have], declared) {
			return
		}
		data = data[min(have+have&1, int64(len(data))):]
	}
}

func uint24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// size returns the dimensions in the picture's own header.
func (w *webpImage) size() (width, height int, err error) {
	if w.lossless {
		if len(w.data) < 5 || w.data[0] != 0x2f {
			return 0, 0, fmt.Errorf("no VP8L header")
		}
		bits := binary.LittleEndian.Uint32(w.data[1:])
		return 1 + int(bits&0x3fff), 1 + int(bits>>14&0x3fff), nil
	}
	if len(w.data) < 10 || w.data[3] != 0x9d || w.data[4] != 0x01 || w.data[5] != 0x2a {
		return 0, 0, fmt.Errorf("no VP8 key frame header")
	}
	return int(binary.LittleEndian.Uint16(w.data[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(w.data[8:]) & 0x3fff), nil
}

// decode decodes the picture. Where data is cut off, zeros stand in for the rest.
func (w *webpImage) decode(width, height int) (image.Image, error) {
	missing := int64(0)
	if cut := w.declared - int64(len(w.data)); cut > 0 {
		missing = min(cut, 4*int64(width)*int64(height)+1<<16) // no picture needs more than its raw size
	}
	var header bytes.Buffer
	chunk := func(id string, size int64) {
		header.WriteString(id)
		_ = binary.Write(&header, binary.LittleEndian, uint32(size)) // a bytes.Buffer takes all
	}
	header.WriteString("RIFF\x00\x00\x00\x00WEBP")
	if w.alpha != nil && !w.lossless {
		chunk("VP8X", 10)
		header.Write([]byte{1 << 4, 0, 0, 0})
		for _, side := range []int{width - 1, height - 1} {
			header.Write([]byte{byte(side), byte(side >> 8), byte(side >> 16)})
		}
		chunk("ALPH", int64(len(w.alpha)))
		header.Write(w.alpha)
		if len(w.alpha)%2 == 1 {
			header.WriteByte(0)
		}
	}
	size := int64(len(w.data)) + missing
	chunk(map[bool]string{false: "VP8 ", true: "VP8L"}[w.lossless], size)
	binary.LittleEndian.PutUint32(header.Bytes()[4:], uint32(int64(header.Len())-8+size+size&1))
	padded := io.MultiReader(&header, bytes.NewReader(w.data), io.LimitReader(zeros{}, missing+size&1))
	var img image.Image
	err := guard(func() (err error) {
		img, err = webp.Decode(padded)
		return err
	})
	if err != nil {
		return nil, err
	}
	switch img := img.(type) { // VP8 codes video range
	case *image.YCbCr:
		fullRange(img)
	case *image.NYCbCrA:
		fullRange(&img.YCbCr)
	}
	return img, nil
}

// zeros is an endless reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func decodeWebP(e *emitter, content []byte) {
	f := walkWebP(content, e.limits.MaxFrames)
	if f.truncated {
		e.fail(hashmatch.Truncated, "webp: the file ends inside a chunk")
	}
	if f.corrupt != "" {
		e.fail(hashmatch.Corrupt, "webp: "+f.corrupt)
	}
	if f.hasStill {
		if img := e.webpPicture(&f.still, "webp"); img != nil {
			e.picture(img, 0)
		}
	}
	if len(f.frames) > 0 {
		e.webpAnimation(&f)
	} else if !f.hasStill && len(e.failures) == 0 {
		e.fail(hashmatch.Corrupt, "webp: no picture in it")
	}
}

// webpPicture decodes one coded picture within the limits; nil if that failed, and then the failures say why.
func (e *emitter) webpPicture(w *webpImage, what string) image.Image {
	width, height, err := w.size()
	if err != nil {
		if w.declared > int64(len(w.data)) {
			return nil // truncated, which was said
		}
		e.fail(hashmatch.Corrupt, what+": "+err.Error())
		return nil
	}
	if !e.admit(what, width, height) || !e.room(width, height) {
		return nil
	}
	img, err := w.decode(width, height)
	if err != nil && w.alpha != nil {
		e.failDecoder(hashmatch.Corrupt, what+": with its alpha", err)
		opaque := *w
		opaque.alpha = nil
		img, err = opaque.decode(width, height)
	}
	if err != nil {
		if len(e.failures) == 0 || w.declared <= int64(len(w.data)) {
			e.failDecoder(hashmatch.Corrupt, what, err)
		}
		return nil
	}
	return img
}

// webpAnimation composes the frames on the canvas and yields it after each.
func (e *emitter) webpAnimation(f *webpFile) {
	if f.canvas == (image.Point{}) {
		e.fail(hashmatch.Corrupt, "webp: an animation without a canvas")
		return
	}
	if !e.admit("webp canvas", f.canvas.X, f.canvas.Y) || !e.room(f.canvas.X, f.canvas.Y) {
		return
	}
	canvas := image.NewNRGBA(image.Rectangle{Max: f.canvas})
	shown := image.NewNRGBA(canvas.Rect) // yield's receiver must not see the next frame, nor may we see its changes
	var at time.Duration
	for i := range f.frames {
		frame := &f.frames[i]
		what := fmt.Sprintf("webp frame %d", i)
		switch {
		case !frame.present:
			if !f.truncated {
				e.fail(hashmatch.Corrupt, what+": no picture in it")
			}
			continue
		case !frame.rect.In(canvas.Rect):
			e.fail(hashmatch.Corrupt, what+": outside of the canvas")
		}
		if !e.room(f.canvas.X, f.canvas.Y) {
			return
		}
		img := e.webpPicture(&frame.image, what)
		if img == nil {
			at += frame.duration
			continue
		}
		compose(canvas, frame, img)
		copy(shown.Pix, canvas.Pix)
		if !e.picture(shown, at) {
			return
		}
		at += frame.duration
		if frame.dispose {
			draw.Draw(canvas, frame.rect.Intersect(canvas.Rect), image.Transparent, image.Point{}, draw.Src)
		}
	}
	if f.total > len(f.frames) {
		e.fail(hashmatch.TooManyFrames, fmt.Sprintf("webp: %d frames, limit %d", f.total, e.limits.MaxFrames))
	}
}

// compose draws the frame's picture onto the canvas: instead of what is there, or over it with straight alpha.
func compose(canvas *image.NRGBA, frame *webpFrame, img image.Image) {
	var source *image.NRGBA
	switch img := img.(type) {
	case *image.NRGBA:
		source = img
	case *image.NYCbCrA:
		source = withAlpha(&img.YCbCr, img.A, img.AStride)
	case *image.YCbCr:
		rgba := image.NewRGBA(img.Rect)
		draw.Draw(rgba, rgba.Rect, img, image.Point{}, draw.Src)
		source = &image.NRGBA{Pix: rgba.Pix, Stride: rgba.Stride, Rect: rgba.Rect}
	default:
		return
	}
	target := frame.rect.Intersect(canvas.Rect).Intersect(source.Rect.Add(frame.rect.Min))
	for y := target.Min.Y; y < target.Max.Y; y++ {
		src := source.Pix[source.PixOffset(target.Min.X-frame.rect.Min.X, y-frame.rect.Min.Y):][:4*target.Dx()]
		dst := canvas.Pix[canvas.PixOffset(target.Min.X, y):][:4*target.Dx()]
		if !frame.blend {
			copy(dst, src)
			continue
		}
		for i := 0; i < len(src); i += 4 {
			over(dst[i:i+4:i+4], src[i:i+4:i+4])
		}
	}
}

// over puts src over dst, both of straight alpha.
func over(dst, src []byte) {
	switch {
	case src[3] == 255 || dst[3] == 0:
		copy(dst, src)
	case src[3] != 0:
		sa, da := uint32(src[3])*255, uint32(dst[3])*(255-uint32(src[3])) // in 1/255²
		a := sa + da
		for c := range 3 {
			dst[c] = uint8((uint32(src[c])*sa + uint32(dst[c])*da + a/2) / a)
		}
		dst[3] = uint8((a + 127) / 255)
	}
}
