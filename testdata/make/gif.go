package main

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
)

// ditherStrength is about half the distance between two neighbouring colours of the cube.
const ditherStrength = 22

func encodeGIF(m *image.RGBA) []byte {
	return encodeFrames(&gif.GIF{Image: []*image.Paletted{dithered(m, cube, ditherStrength)}, Delay: []int{0}})
}

func encodeFrames(g *gif.GIF) []byte {
	g.Config.ColorModel = g.Image[0].Palette // one global colour table
	if g.Config.Width == 0 {
		g.Config.Width, g.Config.Height = g.Image[0].Rect.Dx(), g.Image[0].Rect.Dy()
	}
	var b bytes.Buffer
	must(gif.EncodeAll(&b, g))
	return b.Bytes()
}

// animatedGIF returns an animation of whole frames.
func animatedGIF(frames []*image.RGBA) []byte {
	g := &gif.GIF{}
	for _, frame := range frames {
		g.Image = append(g.Image, dithered(frame, cube, ditherStrength))
		g.Delay = append(g.Delay, 40)
		g.Disposal = append(g.Disposal, gif.DisposalNone)
	}
	return encodeFrames(g)
}

// stripesGIF returns an animation that shows m only at its end: every frame adds one stripe of it to those before.
func stripesGIF(m *image.RGBA, stripes int) []byte {
	whole := dithered(m, cube, ditherStrength)
	g := &gif.GIF{Config: image.Config{Width: m.Rect.Dx(), Height: m.Rect.Dy()}}
	for i := range stripes {
		part := m.Rect
		part.Min.Y, part.Max.Y = m.Rect.Dy()*i/stripes, m.Rect.Dy()*(i+1)/stripes
		g.Image = append(g.Image, whole.SubImage(part).(*image.Paletted))
		g.Delay = append(g.Delay, 10)
		g.Disposal = append(g.Disposal, gif.DisposalNone)
	}
	return encodeFrames(g)
}

// transparentGIF returns a still whose brightest places are transparent, so that it looks the same on white.
func transparentGIF(m *image.RGBA) []byte {
	p := dithered(m, cube, ditherStrength)
	p.Palette = append(append(color.Palette{}, cube...), color.RGBA{})
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			if c := m.RGBAAt(x, y); min(c.R, c.G, c.B) > 180 {
				p.SetColorIndex(x, y, uint8(len(cube)))
			}
		}
	}
	return encodeFrames(&gif.GIF{Image: []*image.Paletted{p}, Delay: []int{0}})
}

// interlacedGIF returns a still whose rows are stored in the four passes of an interlaced GIF, which image/gif reads
// but does not write: the rows are put in that order, and the flag is set in the finished file.
func interlacedGIF(m *image.RGBA) []byte {
	p := dithered(m, cube, ditherStrength)
	ordered := image.NewPaletted(p.Rect, p.Palette)
	row := 0
	for _, pass := range [...]struct{ first, step int }{{0, 8}, {4, 8}, {2, 4}, {1, 2}} {
		for y := pass.first; y < p.Rect.Dy(); y += pass.step {
			copy(ordered.Pix[row*p.Stride:][:p.Stride], p.Pix[y*p.Stride:])
			row++
		}
	}
	file := encodeFrames(&gif.GIF{Image: []*image.Paletted{ordered}, Delay: []int{0}})
	const (
		flags     = 10   // in the header: bits 0-2 tell the size of the colour table
		interlace = 0x40 // in the image descriptor's flags
	)
	descriptor := 13 + 3<<(file[flags]&7+1)
	if file[descriptor] != ',' {
		panic("interlaced GIF: no image descriptor behind the colour table")
	}
	file[descriptor+9] |= interlace
	return file
}
