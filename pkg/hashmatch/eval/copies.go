package eval

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"image"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/edit"
)

// makeCopies edits a sample of the photos and counts how far the copies' hashes are from the photos' own.
func (r *run) makeCopies(ctx context.Context) error {
	if len(r.Edits) == 0 {
		return nil
	}
	edited := r.sample()
	failures := make([]hashmatch.FailureCode, len(edited))
	err := r.each(ctx, "copies", len(edited), func(_, i int) error {
		failures[i] = r.copiesOf(ctx, edited[i])
		return ctx.Err()
	})
	for _, failure := range failures {
		if failure == "" {
			r.result.Photos.Edited++
		} else {
			r.result.Photos.NotEdited[failure]++
		}
	}
	return err
}

// sample returns Sample photos by the order of a digest over the seed and their bytes: it does not depend on names, and
// one photo more changes at most one of them.
func (r *run) sample() []*photo {
	if r.Sample == 0 || r.Sample >= len(r.photos) {
		return r.photos
	}
	rank := func(p *photo) [32]byte {
		return sha256.Sum256(binary.LittleEndian.AppendUint64(slices.Clone(p.digest[:]), r.Seed))
	}
	chosen := slices.Clone(r.photos)
	slices.SortFunc(chosen, func(a, b *photo) int {
		left, right := rank(a), rank(b)
		return bytes.Compare(left[:], right[:])
	})
	chosen = chosen[:r.Sample]
	slices.SortFunc(chosen, func(a, b *photo) int { return cmp.Compare(a.file, b.file) })
	return chosen
}

// copiesOf makes all copies of one photo; what it counts is added once all could be made.
func (r *run) copiesOf(ctx context.Context, p *photo) hashmatch.FailureCode {
	content, failure := read(r.Photos[p.file])
	if failure != "" {
		return failure
	}
	if sha256.Sum256(content) != p.digest {
		return hashmatch.ChangedWhileRead
	}
	var picture *image.RGBA
	failure = r.decode(ctx, content, func(frame *hashmatch.Frame) error {
		if picture == nil {
			full, err := edit.Picture(frame.Image)
			if err == nil {
				picture = edit.Shrink(full, maxEdited)
			}
			if picture == frame.Image { // the decoder's
				picture = edit.Clone(picture)
			}
		}
		return nil
	})
	switch {
	case failure != "":
		return failure
	case picture == nil:
		return hashmatch.Unsupported // too long and narrow to be edited
	}
	seed := r.Seed ^ binary.LittleEndian.Uint64(p.digest[:])
	far := make([]distances, 0, len(r.Edits)*len(r.Profiles)*len(r.kinds))
	for _, e := range r.Edits {
		if ctx.Err() != nil {
			return hashmatch.TimedOut
		}
		file, err := e.JPEG(picture, seed)
		if err != nil {
			return hashmatch.TooManyPixels // the copy is: no JPEG has a side over 65,535
		}
		if far, failure = r.distancesOf(ctx, p, file, far); failure != "" {
			return failure
		}
	}
	r.count(far)
	return ""
}

// distances is how far one copy is from its photo, without turns and with them; negative if it is flat.
type distances struct {
	listed bool // else the photo itself is too flat to be listed
	near   [2]int
}

// distancesOf appends the distances of one copy, by profile and kind.
func (r *run) distancesOf(ctx context.Context, p *photo, file []byte, far []distances) ([]distances, hashmatch.FailureCode) {
	from := len(far)
	failure := r.decode(ctx, file, func(frame *hashmatch.Frame) error {
		far = far[:from]
		for i, profile := range r.Profiles {
			for k, kind := range r.kinds {
				original := &p.sights[i][k]
				d := distances{listed: original.listed, near: [2]int{-1, -1}}
				if original.listed {
					hashes, err := profile.Hash(nil, frame, kind)
					if err != nil {
						return err
					}
					var s sight
					s.add(hashes, r.QualityFloor)
					d.near[0] = nearest(s.uploads[:s.upright], original.refer)
					d.near[1] = nearest(s.uploads, original.refer)
				}
				far = append(far, d)
			}
		}
		return nil
	})
	return far, failure
}

// count adds the distances of all copies of one photo to the tally.
func (r *run) count(far []distances) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for e := range r.Edits {
		for i := range r.Profiles {
			for k := range r.kinds {
				d := far[(e*len(r.Profiles)+i)*len(r.kinds)+k]
				if !d.listed {
					continue
				}
				c := &r.tally[i][k][e]
				c.copies++
				for mode, near := range d.near {
					if near < 0 {
						c.flat[mode]++
					} else {
						c.near[mode][near]++
					}
				}
			}
		}
	}
}
