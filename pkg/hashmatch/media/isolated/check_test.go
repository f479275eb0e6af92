package isolated

import (
	"fmt"
	"image"

	"example.org/hashmatch/pkg/hashmatch/media"
)

// checkPicture reports what a picture does not keep of the promises of media.Picture.
func checkPicture(p media.Picture) error {
	switch img := p.Image.(type) {
	case *image.Gray, *image.YCbCr:
	case *image.RGBA:
		if !img.Opaque() {
			return fmt.Errorf("RGBA that is not opaque")
		}
	case *image.NRGBA:
		if img.Opaque() {
			return fmt.Errorf("NRGBA that is opaque")
		}
	default:
		return fmt.Errorf("a %T", img)
	}
	if b := p.Image.Bounds(); b.Empty() || b.Min != (image.Point{}) {
		return fmt.Errorf("bounds %v", b)
	}
	if !whole(p.Image) {
		return fmt.Errorf("too little data")
	}
	if p.Time < 0 {
		return fmt.Errorf("time %v", p.Time)
	}
	return nil
}
