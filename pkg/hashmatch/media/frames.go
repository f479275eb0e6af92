package media

import (
	"errors"
	"hash/maphash"
	"image"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// emit hands one decoded picture to the receiver under every view that differs. The picture is a *image.Gray,
// *image.YCbCr, *image.RGBA (opaque) or *image.NRGBA, and is passed on without a copy where nothing has to be
// changed. several says that the file may hold more pictures, so that equal ones are to be told.
func (j *job) emit(index int, at time.Duration, picture image.Image, orientation int, several bool) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	if err := check(picture); err != nil {
		return err
	}
	if several && j.seen == nil {
		j.seen = make(map[[2]uint64]struct{})
	}
	see := j.see
	if !several {
		see = func(image.Image) bool { return true }
	}
	frame := hashmatch.Frame{Index: index, Time: at}
	transparent, ok := picture.(*image.NRGBA)
	if ok && opaque(transparent) {
		picture = &image.RGBA{Pix: transparent.Pix, Stride: transparent.Stride, Rect: transparent.Rect}
		ok = false
	}
	if !ok {
		return j.orient(frame, picture, orientation, see)
	}
	if err := j.orient(frame, j.flatten(transparent, 255), orientation, see); err != nil {
		return err
	}
	frame.View.Background = hashmatch.BlackBackground
	return j.orient(frame, j.flatten(transparent, 0), orientation, see)
}

// orient yields the picture turned as it is to be shown and, if that changes anything, as it is stored.
func (j *job) orient(frame hashmatch.Frame, picture image.Image, orientation int, see func(image.Image) bool) error {
	if orientation > 1 && orientation <= 8 {
		shown := frame
		shown.Image = j.turned.turn(picture, orientation)
		if err := j.give(shown, see); err != nil {
			return err
		}
		frame.View.Orientation = hashmatch.StoredOrientation
	}
	frame.Image = picture
	return j.give(frame, see)
}

func (j *job) give(frame hashmatch.Frame, see func(image.Image) bool) error {
	if !see(frame.Image) {
		return nil
	}
	stage := j.stage
	j.stage = "receiver of frames"
	err := j.yield(&frame)
	j.stage = stage
	if err != nil {
		return errStopped
	}
	return j.ctx.Err()
}

// see reports whether no earlier frame of the file had these pixels. It compares 128 bits of two hashes whose seeds
// nobody outside of the process knows, so that no file can be made to hide a frame behind another.
func (j *job) see(picture image.Image) bool {
	var key [2]uint64
	for i, seed := range j.seeds {
		var h maphash.Hash
		h.SetSeed(seed)
		digest(&h, picture)
		key[i] = h.Sum64()
	}
	if _, found := j.seen[key]; found {
		return false
	}
	j.seen[key] = struct{}{}
	return true
}

// digest writes the kind, the size and the pixels of a checked picture.
func digest(h *maphash.Hash, picture image.Image) {
	size := picture.Bounds().Size()
	plane := func(kind byte, pix []byte, stride, width, height int) {
		h.WriteByte(kind)
		for _, n := range [...]int{width, height} {
			h.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
		}
		for y := range height {
			h.Write(pix[y*stride : y*stride+width])
		}
	}
	switch m := picture.(type) {
	case *image.Gray:
		plane(1, m.Pix, m.Stride, size.X, size.Y)
	case *image.RGBA:
		plane(2, m.Pix, m.Stride, 4*size.X, size.Y)
	case *image.YCbCr:
		width, height, _ := ChromaSize(m.SubsampleRatio, size.X, size.Y)
		plane(3, m.Y, m.YStride, size.X, size.Y)
		plane(16+byte(m.SubsampleRatio), m.Cb, m.CStride, width, height)
		plane(0, m.Cr, m.CStride, width, height)
	}
}

var errMalformed = errors.New("the decoder's picture is malformed")

// check returns an error unless the picture is of a known type, starts at (0, 0), is not empty and its buffers hold
// every pixel: what follows indexes them without looking.
func check(picture image.Image) error {
	var pix []byte
	var rect image.Rectangle
	stride, bytes := 0, 1
	switch m := picture.(type) {
	case *image.Gray:
		pix, stride, rect = m.Pix, m.Stride, m.Rect
	case *image.RGBA:
		pix, stride, rect, bytes = m.Pix, m.Stride, m.Rect, 4
	case *image.NRGBA:
		pix, stride, rect, bytes = m.Pix, m.Stride, m.Rect, 4
	case *image.YCbCr:
		pix, stride, rect = m.Y, m.YStride, m.Rect
		width, height, ok := ChromaSize(m.SubsampleRatio, rect.Dx(), rect.Dy())
		if !ok || !holds(m.Cb, m.CStride, width, height) || !holds(m.Cr, m.CStride, width, height) {
			return errMalformed
		}
	default:
		return errMalformed
	}
	if rect.Min != (image.Point{}) || rect.Empty() || !holds(pix, stride, rect.Dx()*bytes, rect.Dy()) {
		return errMalformed
	}
	return nil
}

// holds reports whether a plane of height rows of width bytes fits in pix. Sides are below 1<<31 on every path, so
// that the products do not overflow 64 bits; on 32-bit platforms no buffer of such a size can exist.
func holds(pix []byte, stride, width, height int) bool {
	return stride >= width && int64(stride)*int64(height-1)+int64(width) <= int64(len(pix))
}

// ChromaSize returns the sides of the chroma planes of a picture of w x h pixels that starts at (0, 0); ok is false for
// an unknown ratio.
func ChromaSize(ratio image.YCbCrSubsampleRatio, w, h int) (width, height int, ok bool) {
	across, down := subsampling(ratio)
	if across == 0 {
		return 0, 0, false
	}
	return (w + across - 1) / across, (h + down - 1) / down, true
}

// subsampling returns how many pixels share one chroma sample across and down; 0, 0 for an unknown ratio.
func subsampling(ratio image.YCbCrSubsampleRatio) (across, down int) {
	switch ratio {
	case image.YCbCrSubsampleRatio444:
		return 1, 1
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 0, 0
}
