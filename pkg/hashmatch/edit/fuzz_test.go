package edit

import (
	"strings"
	"testing"
)

// FuzzFind reads names: what is found has the name that was asked for, can be found again, and edits any picture.
func FuzzFind(f *testing.F) {
	for _, seed := range []string{"mirror", "mirror+crop5-each", "jpeg30+jpeg90+phone+collage2x2", "+", "", "mirror+", "turn90 + flip", "pad20-red+tilt10-grown"} {
		f.Add(seed)
	}
	src := painted(24, 16)
	f.Fuzz(func(t *testing.T, name string) {
		e, err := Find(name)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("the error for %q breaks a line", name)
			}
			return
		}
		if e.Name != name || e.Family == "" || strings.Count(name, "+") >= MaxChain {
			t.Errorf("%q: %+v", name, e)
		}
		file, err := e.JPEG(src, 1)
		if err != nil || len(file) == 0 {
			t.Errorf("%q: %d bytes, %v", name, len(file), err)
		}
	})
}
