//go:build nodynamic

package isolated

import (
	"bytes"
	"image"

	"github.com/gen2brain/avif"
	"github.com/gen2brain/jpegli"
	"github.com/gen2brain/jpegxl"
)

// codecsLinked says whether the WebAssembly decoders, but for that of HEIC, are part of this build.
const codecsLinked = true

func avifConfig(content []byte) (image.Config, error) {
	return avif.DecodeConfig(bytes.NewReader(content))
}

func avifDecode(content []byte) ([]image.Image, []float64, error) {
	decoded, err := avif.DecodeAll(bytes.NewReader(content))
	if err != nil {
		return nil, nil, err
	}
	return decoded.Image, decoded.Delay, nil
}

func avifFirst(content []byte) (image.Image, error) { return avif.Decode(bytes.NewReader(content)) }

func jxlDecode(content []byte, all bool) ([]image.Image, []int, error) {
	if !all {
		img, err := jpegxl.Decode(bytes.NewReader(content))
		return []image.Image{img}, nil, err
	}
	decoded, err := jpegxl.DecodeAll(bytes.NewReader(content))
	if err != nil {
		return nil, nil, err
	}
	return decoded.Image, decoded.Delay, nil
}

func jpegDecode(content []byte) (image.Image, error) { return jpegli.Decode(bytes.NewReader(content)) }

// warm compiles the decoder of the format.
func warm(format string) {
	switch format {
	case "avif":
		avif.InitDecoder()
	case "jxl":
		jpegxl.InitDecoder()
	case "jpeg":
		jpegli.Init()
	}
}
