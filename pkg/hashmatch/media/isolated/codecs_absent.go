//go:build !nodynamic

package isolated

import (
	"errors"
	"image"
)

// codecsLinked says whether the WebAssembly decoders are part of this build. Without the build tag nodynamic their
// modules would load system libraries, so that they are left out.
const codecsLinked = false

var errNoCodec = errors.New("this build has no decoder for it")

func avifConfig([]byte) (image.Config, error) { return image.Config{}, errNoCodec }

func avifDecode([]byte) ([]image.Image, []float64, error) { return nil, nil, errNoCodec }

func avifFirst([]byte) (image.Image, error) { return nil, errNoCodec }

func jxlDecode([]byte, bool) ([]image.Image, []int, error) { return nil, nil, errNoCodec }

func jpegDecode([]byte) (image.Image, error) { return nil, errNoCodec }

func warm(string) {}
