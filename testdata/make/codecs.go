package main

import (
	"bytes"
	"image"

	"github.com/gen2brain/avif"
	"github.com/gen2brain/jpegli"
	"github.com/gen2brain/jpegxl"
	"github.com/gen2brain/webp"
)

// systemLibraries reports whether an encoder below has loaded a library of the system, as it does behind its caller's
// back unless it is built with -tags nodynamic. The WebAssembly that the binary carries writes the same bytes
// everywhere; the system's library may not.
func systemLibraries() bool {
	return webp.Dynamic() == nil || avif.Dynamic() == nil || jpegxl.Dynamic() == nil
}

func encodeWebP(m image.Image, quality int) []byte {
	var b bytes.Buffer
	must(webp.Encode(&b, m, webp.Options{Quality: quality, Method: 4}))
	return b.Bytes()
}

func losslessWebP(m image.Image) []byte {
	var b bytes.Buffer
	must(webp.Encode(&b, m, webp.Options{Lossless: true, Quality: 75, Method: 4, Exact: true}))
	return b.Bytes()
}

func encodeAVIF(m image.Image, quality int, subsampling image.YCbCrSubsampleRatio) []byte {
	var b bytes.Buffer
	must(avif.Encode(&b, m, avif.Options{Quality: quality, QualityAlpha: quality, Speed: 8, ChromaSubsampling: subsampling}))
	return b.Bytes()
}

func encodeJXL(m image.Image, quality int) []byte {
	var b bytes.Buffer
	must(jpegxl.Encode(&b, m, jpegxl.Options{Quality: quality, Effort: 5}))
	return b.Bytes()
}

// progressiveJPEG returns a progressive JPEG of several scans, which image/jpeg reads but does not write.
func progressiveJPEG(m image.Image, quality int, subsampling image.YCbCrSubsampleRatio) []byte {
	return libraryJPEG(m, quality, subsampling, 2)
}

// sequentialJPEG returns a JPEG of one scan with the chroma subsampling given.
func sequentialJPEG(m image.Image, quality int, subsampling image.YCbCrSubsampleRatio) []byte {
	return libraryJPEG(m, quality, subsampling, 0)
}

func libraryJPEG(m image.Image, quality int, subsampling image.YCbCrSubsampleRatio, level int) []byte {
	var b bytes.Buffer
	must(jpegli.Encode(&b, m, &jpegli.EncodingOptions{
		Quality: quality, ChromaSubsampling: subsampling, ProgressiveLevel: level, OptimizeCoding: true,
		AdaptiveQuantization: true, StandardQuantTables: true, DCTMethod: jpegli.DCTISlow,
	}))
	return b.Bytes()
}
