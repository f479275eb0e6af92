//go:build !(nodynamic && heic)

package isolated

import (
	"os"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/media"
)

// Without its decoder a sound HEIC file is unsupported by name, and the failure says which build would decode it.
func TestHEICWithoutItsDecoder(t *testing.T) {
	content, err := os.ReadFile("../../../../testdata/formats/lossy.heic")
	if err != nil {
		t.Fatal(err)
	}
	pictures, failures := collect(t, "heic", content, media.Limits{})
	wantCodes(t, failures, hashmatch.Unsupported)
	tag := "heic"
	if !codecsLinked {
		tag = "nodynamic" // first
	}
	if len(pictures) != 0 || !strings.HasSuffix(failures[0].Detail, "it lacks the build tag "+tag) {
		t.Errorf("%d pictures, %v", len(pictures), failures)
	}
}
