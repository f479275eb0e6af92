package isolated

import "image"

// turn returns the picture, an RGBA or NRGBA, as the item's irot and imir properties ask for (ISO/IEC 23008-12,
// 6.5.10 and 6.5.12): turned counter-clockwise first, then mirrored.
func (f *heif) turn(it *item, img image.Image) image.Image {
	quarters, mirror := 0, -1
	if r := f.property(it, "irot"); r != nil {
		quarters = r.u8() & 3
	}
	if r := f.property(it, "imir"); r != nil {
		mirror = r.u8() & 1 // 0 exchanges top and bottom, 1 left and right
	}
	if quarters == 0 && mirror < 0 {
		return img
	}
	pix, stride, straight, ok := fourBytes(img)
	if !ok {
		return img
	}
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	outW, outH := w, h
	if quarters&1 == 1 {
		outW, outH = h, w
	}
	out := make([]byte, 4*outW*outH)
	for y := range outH {
		for x := range outW {
			u, v := x, y // where the pixel was before mirroring
			switch mirror {
			case 0:
				v = outH - 1 - y
			case 1:
				u = outW - 1 - x
			}
			switch quarters { // where it was before turning
			case 1:
				u, v = w-1-v, u
			case 2:
				u, v = w-1-u, h-1-v
			case 3:
				u, v = v, h-1-u
			}
			copy(out[4*(y*outW+x):][:4], pix[v*stride+4*u:][:4])
		}
	}
	return fromBytes(out, 4*outW, outW, outH, straight)
}

// crop returns the rectangle of the item's clean aperture (ISO/IEC 14496-12, 12.1.4.1); ok is false where there is
// none, where it is the whole picture, and where it is malformed, since viewers then show the whole.
func (f *heif) crop(it *item, w, h int) (image.Rectangle, bool) {
	r := f.property(it, "clap")
	if r == nil {
		return image.Rectangle{}, false
	}
	var terms [8]int64 // width, height, horizontal and vertical offset of the centre, each as a fraction
	for i := range terms {
		terms[i] = int64(r.u32())
		if i == 4 || i == 6 {
			terms[i] = int64(int32(terms[i]))
		}
	}
	if r.err != nil || terms[1] == 0 || terms[3] == 0 || terms[5] == 0 || terms[7] == 0 {
		return image.Rectangle{}, false
	}
	cw, ch := terms[0]/terms[1], terms[2]/terms[3]
	x := (int64(w)-cw)/2 + terms[4]/terms[5]
	y := (int64(h)-ch)/2 + terms[6]/terms[7]
	whole := image.Rect(0, 0, w, h)
	if cw <= 0 || ch <= 0 || cw > int64(w) || ch > int64(h) || x < 0 || y < 0 || x > int64(w)-cw || y > int64(h)-ch {
		return image.Rectangle{}, false
	}
	rect := image.Rect(int(x), int(y), int(x+cw), int(y+ch))
	return rect, rect != whole
}

// cropped copies a part of the picture, an RGBA or NRGBA.
func cropped(img image.Image, rect image.Rectangle) image.Image {
	pix, stride, straight, ok := fourBytes(img)
	if !ok {
		return img
	}
	out := make([]byte, 0, 4*rect.Dx()*rect.Dy())
	for y := rect.Min.Y; y < rect.Max.Y; y++ {
		out = append(out, pix[y*stride+4*rect.Min.X:][:4*rect.Dx()]...)
	}
	return fromBytes(out, 4*rect.Dx(), rect.Dx(), rect.Dy(), straight)
}

// fourBytes returns the pixels of an RGBA or NRGBA picture.
func fourBytes(img image.Image) (pix []byte, stride int, straight, ok bool) {
	switch img := img.(type) {
	case *image.RGBA:
		return img.Pix, img.Stride, false, true
	case *image.NRGBA:
		return img.Pix, img.Stride, true, true
	}
	return nil, 0, false, false
}

func fromBytes(pix []byte, stride, w, h int, straight bool) image.Image {
	if straight {
		return &image.NRGBA{Pix: pix, Stride: stride, Rect: image.Rect(0, 0, w, h)}
	}
	return &image.RGBA{Pix: pix, Stride: stride, Rect: image.Rect(0, 0, w, h)}
}
