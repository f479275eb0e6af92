//go:build !(nodynamic && heic)

package isolated

import (
	"errors"
	"image"
)

// heicLinked says whether the decoder of HEIC is part of this build; heic_linked.go says why it is left out.
const heicLinked = false

func heicDecode([]byte) (image.Image, error) {
	return nil, errors.New("this build has no decoder for it")
}

func warmHEIC() {}
