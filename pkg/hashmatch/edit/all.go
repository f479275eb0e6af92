package edit

import (
	"fmt"
	"image/color"
)

// The colours that borders and bars are made of.
var (
	white = color.RGBA{255, 255, 255, 255}
	black = color.RGBA{0, 0, 0, 255}
	gray  = color.RGBA{128, 128, 128, 255}
	red   = color.RGBA{200, 30, 40, 255}
)

// All returns the published set, families together and milder edits first. The caller may change the slice.
func All() []Edit {
	var all []Edit
	add := func(family, name, parameters string, apply operation) {
		all = append(all, Edit{Name: name, Family: family, Parameters: parameters, apply: apply})
	}
	for _, quality := range []int{90, 70, 50, 30} {
		all = append(all, Edit{Name: fmt.Sprintf("jpeg%d", quality), Family: "encode", Quality: quality,
			Parameters: fmt.Sprintf("encoded as JPEG at quality %d", quality)})
	}
	for _, percent := range []int{75, 50, 25} {
		add("size", fmt.Sprintf("resize%d", percent), fmt.Sprintf("%d %% of each side", percent), resize(percent))
	}
	addTones(add)
	for _, t := range []struct{ name, words string }{
		{"mirror", "left and right exchanged"}, {"flip", "top and bottom exchanged"},
		{"turn90", "turned by 90 degrees counter-clockwise"}, {"turn180", "turned by 180 degrees"},
		{"turn270", "turned by 270 degrees counter-clockwise"},
	} {
		add("turn", t.name, t.words, turn(t.name))
	}
	addCrops(add)
	addPads(add)
	for _, degrees := range []int{2, 4, 5, 10} {
		add("tilt", fmt.Sprintf("tilt%d-kept", degrees),
			fmt.Sprintf("turned by %d degrees, either way by chance, in the same frame; black corners", degrees), tilt(degrees, false))
		add("tilt", fmt.Sprintf("tilt%d-grown", degrees),
			fmt.Sprintf("turned by %d degrees, either way by chance, the frame grown around it; black corners", degrees), tilt(degrees, true))
	}
	add("shape", "stretch15", "the width grown by 15 %", stretch(115))
	add("shape", "squeeze15", "the width shrunk by 15 %", stretch(85))
	add("shape", "perspective3", "each corner moved inwards by up to 3 % of each side, by chance; the rest black", perspective(.03))
	addOverlays(add)
	addScreens(add)
	return all
}

type adder func(family, name, parameters string, apply operation)

func addTones(add adder) {
	add("tone", "gray", "without colours", desaturate)
	add("tone", "bright10", "every value times 1.1", tone(func(v float64) float64 { return v * 1.1 }))
	add("tone", "dark20", "every value times 0.8", tone(func(v float64) float64 { return v * .8 }))
	add("tone", "contrast15", "distance from middle gray times 1.15", tone(func(v float64) float64 { return (v-.5)*1.15 + .5 }))
	add("tone", "fade50", "distance from middle gray times 0.5", tone(func(v float64) float64 { return (v-.5)*.5 + .5 }))
	add("tone", "gamma85", "values to the power of 0.85", gamma(.85))
	add("tone", "gamma130", "values to the power of 1.3", gamma(1.3))
	add("tone", "vignette", "darker with the square of the distance from the centre, by 60 % in the corners", vignette)
	add("filter", "blur1", "Gaussian blur, sigma 1 pixel", blur(1))
	add("filter", "blur3", "Gaussian blur, sigma 3 pixels", blur(3))
	add("filter", "sharpen", "unsharp mask: once the difference to a Gaussian blur of sigma 1 pixel", sharpen)
	add("filter", "noise8", "independent Gaussian noise in each channel, standard deviation 8 of 255", noise(8))
}

func addCrops(add adder) {
	for _, percent := range []int{2, 5, 10} {
		share := float64(percent) / 100
		for _, side := range []struct {
			name                     string
			left, top, right, bottom float64
		}{
			{"left", share, 0, 0, 0}, {"right", 0, 0, share, 0}, {"top", 0, share, 0, 0}, {"bottom", 0, 0, 0, share},
		} {
			add("crop", fmt.Sprintf("crop%d-%s", percent, side.name), fmt.Sprintf("%d %% cut off, %s", percent, side.name),
				crop(side.left, side.top, side.right, side.bottom))
		}
		add("crop", fmt.Sprintf("crop%d-total", percent),
			fmt.Sprintf("%d %% of the width and of the height cut off, split over the opposite sides by chance", percent), cropSplit(share))
		add("crop", fmt.Sprintf("crop%d-each", percent), fmt.Sprintf("%d %% cut off each of the four sides", percent),
			crop(share, share, share, share))
	}
}

func addPads(add adder) {
	for _, c := range []struct {
		name  string
		value color.RGBA
	}{{"black", black}, {"white", white}, {"gray", gray}, {"red", red}} {
		add("pad", "pad5-"+c.name, "a "+c.name+" border of 5 % of each side", pad(.05, .05, c.value))
		add("pad", "pad20-"+c.name, "a "+c.name+" border of 20 % of each side", pad(.2, .2, c.value))
	}
	add("pad", "letterbox25-black", "black bars above and below, each of 25 % of the height", pad(0, .25, black))
	add("pad", "letterbox25-white", "white bars above and below, each of 25 % of the height", pad(0, .25, white))
	add("pad", "pillarbox25-black", "black bars left and right, each of 25 % of the width", pad(.25, 0, black))
	add("pad", "pad-blurred", "in a frame with sides exchanged (16:9 for a square), before its own enlarged and blurred self", padBlurred)
	add("pad", "rounded", "corners rounded, radius 8 % of the shorter side, in a white border of 4 %", rounded)
}

func addOverlays(add adder) {
	add("overlay", "caption-above", "a white bar of 15 % of the height above, with two lines of black text", caption(true, white, black))
	add("overlay", "caption-below", "a black bar of 15 % of the height below, with two lines of white text", caption(false, black, white))
	add("overlay", "text", "one line of white text with a black outline over the lower part, 80 % of the width", textOver)
	add("overlay", "sticker", "an opaque disc with a face, across 20 % of the shorter side, at a place by chance", sticker)
	add("overlay", "watermark", "a half transparent white sign and text at the lower right, 30 % of the width", watermark)
}

func addScreens(add adder) {
	add("screen", "phone", "screenshot of a phone, 540 x 1170: status bar, name of the app, the picture in full width, buttons, text", phone)
	add("screen", "browser", "screenshot of a browser, 1366 x 768: tabs, address bar, page, the picture in the middle", browser)
	add("compose", "pip25", "small in another picture of the same size: a quarter of its width, lower right", inPicture(.25))
	add("compose", "pip50", "small in another picture of the same size: half of its width, lower right", inPicture(.5))
	add("compose", "side-by-side", "beside another picture of the same size, left or right by chance", sideBySide)
	add("compose", "collage2x2", "one of four panels of equal size, at a place by chance, white lines between them", collage)
}
