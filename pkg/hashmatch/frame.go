package hashmatch

import (
	"image"
	"time"
)

// Dihedral names one of the eight turns and mirrorings of a picture. "" is the picture as it is.
type Dihedral string

// The dihedral variants, named after PDQ's reference implementation. FlipX turns the picture upside down (top to
// bottom), FlipY mirrors it left to right; FlipPlus mirrors at the main diagonal, FlipMinus at the other one.
// Rotations are counter-clockwise.
const (
	Rotate90  Dihedral = "rotate90"
	Rotate180 Dihedral = "rotate180"
	Rotate270 Dihedral = "rotate270"
	FlipX     Dihedral = "flip_x"
	FlipY     Dihedral = "flip_y"
	FlipPlus  Dihedral = "flip_plus"
	FlipMinus Dihedral = "flip_minus"
)

// View says how the picture was looked at before it was hashed. The zero View is the picture as a viewer shows it:
// orientation applied, on white, whole, not turned. It is comparable, and its zero fields are left out of JSON.
type View struct {
	Orientation string   `json:"orientation,omitempty"` // "" applied, "stored" as the file stores it
	Background  string   `json:"background,omitempty"`  // "" white, "black"; what shows through transparency
	Panel       string   `json:"panel,omitempty"`       // which part of a collage; "" the whole
	Geometry    string   `json:"geometry,omitempty"`    // which trim, uncrop or tilt; "" none
	Dihedral    Dihedral `json:"dihedral,omitempty"`
}

// The values of View's fields other than the default.
const (
	StoredOrientation = "stored"
	BlackBackground   = "black"
	Doubled           = "doubled" // a Geometry: the picture at twice its size, which is taken of small ones
)

// Altered reports whether something was cut off, added or moved before the picture was hashed, to undo an edit.
func (v View) Altered() bool { return v.Panel != "" || v.Geometry != "" && v.Geometry != Doubled }

// Frame is one picture of an upload, ready to hash.
type Frame struct {
	Index int           // 0 for a still; the first of several equal frames stands for all
	Time  time.Duration // since the start of an animation, where the file says
	View  View          // Orientation and Background; the rest is zero
	// Image is a *image.Gray, *image.YCbCr or opaque *image.RGBA whose bounds start at (0, 0), are not empty and
	// whose buffers hold every pixel of them. It belongs to the decoder: valid only until the call that was handed
	// the frame returns.
	Image image.Image
}

// Media is what a decoder learnt of the file as a whole.
type Media struct {
	Format        string // "jpeg", "png", "apng", "gif", "webp", "bmp", "tiff", "avif", "heic", "jxl", …; "" if unknown
	Width, Height int    // as the header states, before orientation; 0 if unknown
	Frames        int    // pictures in the file, as far as they were counted; 0 if unknown
}

// FrameHash is one perceptual hash of one frame under one view.
type FrameHash struct {
	Hash    Hash
	Quality int // 0 to 100; how much there is in the picture to tell it from others
	Frame   int
	Time    time.Duration
	View    View
}
