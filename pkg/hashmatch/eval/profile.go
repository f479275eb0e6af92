package eval

import (
	"fmt"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/imagehash"
	"example.org/hashmatch/pkg/hashmatch/pdq"
	"example.org/hashmatch/pkg/hashmatch/view"
)

// Profile is a set of views under which uploads are hashed. It is safe for concurrent use.
type Profile interface {
	// Name is that of flags and reports.
	Name() string
	// Kinds returns the perceptual kinds that it can compute.
	Kinds() hashmatch.KindSet
	// Hash appends to dst the hashes of one kind of frame under every view of the set, the picture as it is among them,
	// with the frame's own view. It keeps nothing of frame. Hashes whose view has a Dihedral are reported apart, as those
	// that are searched only where turned and mirrored pictures are wanted.
	Hash(dst []hashmatch.FrameHash, frame *hashmatch.Frame, kind hashmatch.Kind) ([]hashmatch.FrameHash, error)
}

// Plain is the profile without any view but the turns and mirrorings, and the second hash that PDQ takes of a small
// picture.
func Plain() Profile { return hashers{"plain", []hashmatch.Hasher{pdq.Hasher{}, imagehash.Hasher{}}} }

// Viewed is a profile of package view: what Plain has, and the altered views.
func Viewed(profile hashmatch.Profile) Profile {
	return viewed{Plain(), view.Hasher{}, profile}
}

// viewed is a Profile of a plain one and the altered views of a Viewer.
type viewed struct {
	Profile
	viewer  hashmatch.Viewer
	profile hashmatch.Profile
}

func (p viewed) Name() string { return string(p.profile) }

func (p viewed) Hash(dst []hashmatch.FrameHash, frame *hashmatch.Frame, kind hashmatch.Kind) ([]hashmatch.FrameHash, error) {
	dst, err := p.Profile.Hash(dst, frame, kind)
	if err != nil {
		return dst, err
	}
	one := hashmatch.SetOf(kind)
	return p.viewer.Views(dst, frame, p.profile, one, one)
}

// hashers is a Profile of the views that hashers take by themselves.
type hashers struct {
	name  string
	under []hashmatch.Hasher
}

func (p hashers) Name() string { return p.name }

func (p hashers) Kinds() hashmatch.KindSet {
	var kinds hashmatch.KindSet
	for _, h := range p.under {
		kinds |= h.Kinds()
	}
	return kinds
}

func (p hashers) Hash(dst []hashmatch.FrameHash, frame *hashmatch.Frame, kind hashmatch.Kind) ([]hashmatch.FrameHash, error) {
	one := hashmatch.SetOf(kind)
	for _, h := range p.under {
		if h.Kinds().Has(kind) {
			return h.Hash(dst, frame, one, one)
		}
	}
	return dst, fmt.Errorf("profile %s: no %s", p.name, kind)
}
