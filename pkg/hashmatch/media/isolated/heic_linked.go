//go:build nodynamic && heic

package isolated

import (
	"bytes"
	"image"

	"github.com/gen2brain/heic"
)

// heicLinked says whether the decoder of HEIC is part of this build. It is libheif with libde265, compiled to
// WebAssembly, and both are under the LGPL, which this project does not take into its standard build: whoever wants
// HEIC says so with the build tag heic, and then has the LGPL's duties towards those who get the binary. Version 0.4.5
// of the module is the last with these libraries; later ones embed a decoder under the AGPL.
const heicLinked = true

func heicDecode(content []byte) (image.Image, error) { return heic.Decode(bytes.NewReader(content)) }

// warmHEIC compiles the decoder.
func warmHEIC() { heic.Init() }
