package main

import (
	"encoding/binary"
	"fmt"
	"image"
	"strings"

	"golang.org/x/image/tiff"
)

// small is the size of the pictures in formats/: large enough for a PDQ hash of good quality, and no square, so that a
// turn shows.
var small = image.Pt(128, 96)

// formatFiles returns one scene, harbour, in every format and encoding that is to be read. Files of several frames
// show other scenes too; which, the name says.
func formatFiles(heic func(name string, p heicPicture) ([]byte, error)) ([]file, error) {
	m := scaled(named("harbour").draw(), small.X, small.Y)
	frames := []*image.RGBA{
		scaled(named("valley").draw(), small.X, small.Y), scaled(named("orchard").draw(), small.X, small.Y), m,
		scaled(named("atoll").draw(), small.X, small.Y),
	}
	gray := grayscale(m)
	const q = 88
	webps := make([][]byte, len(frames))
	for i, frame := range frames {
		webps[i] = encodeWebP(frame, q)
	}
	files := []file{
		{"baseline.jpg", encodeJPEG(m, q)},
		{"gray.jpg", encodeJPEG(gray, q)},
		{"444.jpg", sequentialJPEG(m, q, image.YCbCrSubsampleRatio444)},
		{"422.jpg", sequentialJPEG(m, q, image.YCbCrSubsampleRatio422)},
		{"440.jpg", sequentialJPEG(m, q, image.YCbCrSubsampleRatio440)},
		{"progressive.jpg", progressiveJPEG(m, q, image.YCbCrSubsampleRatio420)},
		{"progressive-444.jpg", progressiveJPEG(m, q, image.YCbCrSubsampleRatio444)},
		{"progressive-gray.jpg", progressiveJPEG(gray, q, image.YCbCrSubsampleRatio444)},
		{"scan-per-channel.jpg", yccJPEG(m, q)},
		{"rgb.jpg", rgbJPEG(m, q)},
		{"cmyk.jpg", cmykJPEG(m, q)},
		{"ycck.jpg", ycckJPEG(m, q)},
		{"trailing-data.jpg", concat(encodeJPEG(m, q), []byte(strings.Repeat("not a part of the picture ", 20)))},
		{"long-comment.jpg", afterSOI(encodeJPEG(m, q), segment(0xfe, []byte(strings.Repeat("comment ", 2500))...))},
		{"rgb8.png", encodePNG(m)},
		{"rgb16.png", encodePNG(deep(m))},
		{"gray8.png", encodePNG(gray)},
		{"gray16.png", encodePNG(deepGray(gray))},
		{"palette.png", encodePNG(dithered(m, cube, ditherStrength))},
		{"bilevel.png", bilevelPNG(m)},
		{"interlaced.png", interlacedPNG(m)},
		{"alpha-vignette.png", encodePNG(vignette(m))},
		{"alpha-on-white.png", encodePNG(overWhite(m))},
		{"alpha-invisible.png", encodePNG(invisible(m))},
		{"frame3of4-apng.png", encodeAPNG(frames)},
		{"still.gif", encodeGIF(m)},
		{"interlaced.gif", interlacedGIF(m)},
		{"transparent.gif", transparentGIF(m)},
		{"frame3of4.gif", animatedGIF(frames)},
		{"stripes.gif", stripesGIF(m, 6)},
		{"lossy.webp", encodeWebP(m, q)},
		{"lossless.webp", losslessWebP(m)},
		{"lossy-alpha.webp", encodeWebP(vignette(m), q)},
		{"lossless-alpha.webp", losslessWebP(vignette(m))},
		{"frame3of4.webp", animatedWebP(webps, m.Rect)},
		{"orientation-6.webp", orientedWebP(encodeWebP(stored(m, 6), q), image.Rect(0, 0, small.Y, small.X), 6)},
		{"rgb24.bmp", encodeBMP(m)},
		{"palette.bmp", encodeBMP(dithered(m, cube, ditherStrength))},
		{"gray.bmp", encodeBMP(gray)},
		{"rgb8.tif", encodeTIFF(m, tiff.Uncompressed)},
		{"rgb8-deflate.tif", encodeTIFF(m, tiff.Deflate)},
		{"rgb16-deflate.tif", encodeTIFF(deep(m), tiff.Deflate)},
		{"gray-deflate.tif", encodeTIFF(gray, tiff.Deflate)},
		{"palette-deflate.tif", encodeTIFF(dithered(m, cube, ditherStrength), tiff.Deflate)},
		{"orientation-6-big-endian.tif", pagesTIFF(binary.BigEndian, 6, stored(m, 6))},
		{"page2of3.tif", pagesTIFF(binary.LittleEndian, 1, frames[0], m, frames[3])},
		{"420.avif", encodeAVIF(m, 75, image.YCbCrSubsampleRatio420)},
		{"444.avif", encodeAVIF(m, 75, image.YCbCrSubsampleRatio444)},
		{"alpha.avif", encodeAVIF(vignette(m), 75, image.YCbCrSubsampleRatio420)},
		{"lossy.jxl", encodeJXL(m, 85)},
		{"lossless.jxl", encodeJXL(m, 100)},
		{"alpha.jxl", encodeJXL(vignette(m), 85)},
	}
	for orientation := 1; orientation <= 8; orientation++ {
		turned := encodeJPEG(stored(m, orientation), q)
		files = append(files, file{fmt.Sprintf("orientation-%d.jpg", orientation), orientedJPEG(turned, orientation)})
	}
	files = append(files, file{"orientation-6.png", afterIHDR(encodePNG(stored(m, 6)), chunk("eXIf", exif(6)...))})
	for i := range files {
		files[i].name = "formats/" + files[i].name
	}
	for _, p := range []struct {
		name string
		heicPicture
	}{
		{"formats/lossy.heic", heicPicture{m, []string{"-q", "80"}}},
		{"formats/alpha.heic", heicPicture{vignette(m), []string{"-q", "80"}}},
	} {
		content, err := heic(p.name, p.heicPicture)
		if err != nil {
			return nil, err
		}
		files = append(files, file{p.name, content})
	}
	return files, nil
}

// named returns the scene of that name.
func named(name string) scene {
	for _, group := range [][]scene{listed, clean} {
		for _, s := range group {
			if s.name == name {
				return s
			}
		}
	}
	panic("no scene " + name)
}
