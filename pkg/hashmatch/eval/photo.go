package eval

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// maxEdited is the number of pixels that a photo is shrunk to before it is edited, so that a worker needs some 100 MB
// for a copy whatever the photos are, and chains of borders more. People's editors do the same; the photo's own hash is that of all its pixels.
const maxEdited = 4_000_000

// bits is a hash as it is compared.
type bits [4]uint64

func bitsOf(h hashmatch.Hash) bits {
	var b bits
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(h.Bits[8*i:])
	}
	return b
}

// sight is a photo as one profile's hashes of one kind see it.
type sight struct {
	listed  bool   // the quality of reference is that of a hash to be listed
	refer   bits   // the picture as it is: what a list would hold
	uploads []bits // of the quality to be searched; those without a turn first
	upright int    // how many have no turn
	took    time.Duration
}

// photo is what is kept of one file: nothing but hashes, and where it is.
type photo struct {
	file    int
	digest  [32]byte
	pixels  int64
	sights  [][]sight // by profile and kind
	failure hashmatch.FailureCode
}

// hashPhotos fills photos with those that are sound and not doubles.
func (r *run) hashPhotos(ctx context.Context) error {
	all := make([]*photo, len(r.Photos))
	err := r.each(ctx, "photos", len(all), func(_, i int) error {
		all[i] = &photo{file: i}
		return r.hashPhoto(ctx, all[i])
	})
	if err != nil {
		return err
	}
	r.result.Photos = Photos{Files: len(all), LeftOut: make(map[hashmatch.FailureCode]int),
		NotEdited: make(map[hashmatch.FailureCode]int)}
	seen := make(map[[32]byte]bool)
	for _, p := range all {
		switch {
		case p.failure != "":
			r.result.Photos.LeftOut[p.failure]++
		case seen[p.digest]:
			r.result.Photos.Doubles++
		default:
			seen[p.digest] = true
			r.photos = append(r.photos, p)
		}
	}
	r.result.Photos.Used = len(r.photos)
	return nil
}

// hashPhoto hashes one file as it is.
func (r *run) hashPhoto(ctx context.Context, p *photo) error {
	content, failure := read(r.Photos[p.file])
	if p.failure = failure; failure != "" {
		return nil
	}
	p.digest = sha256.Sum256(content)
	p.sights = make([][]sight, len(r.Profiles))
	for i := range p.sights {
		p.sights[i] = make([]sight, len(r.kinds))
	}
	p.failure = r.decode(ctx, content, func(frame *hashmatch.Frame) error {
		if frame.View == (hashmatch.View{}) {
			size := frame.Image.Bounds().Size()
			p.pixels = int64(size.X) * int64(size.Y)
		}
		for i, profile := range r.Profiles {
			for k, kind := range r.kinds {
				started := time.Now()
				hashes, err := profile.Hash(nil, frame, kind)
				if err != nil {
					return err
				}
				p.sights[i][k].took += time.Since(started)
				p.sights[i][k].add(hashes, r.QualityFloor)
			}
		}
		return nil
	})
	return ctx.Err()
}

// add takes hashes in.
func (s *sight) add(hashes []hashmatch.FrameHash, floor int) {
	for _, h := range hashes {
		if h.Hash.Zero() || h.Quality < floor {
			continue
		}
		if h.View == (hashmatch.View{}) {
			s.listed, s.refer = true, bitsOf(h.Hash)
		}
		if h.View.Dihedral == "" {
			s.uploads = slices.Insert(s.uploads, s.upright, bitsOf(h.Hash))
			s.upright++
		} else {
			s.uploads = append(s.uploads, bitsOf(h.Hash))
		}
	}
}

// read returns the bytes of a file, or why it cannot.
func read(path string) ([]byte, hashmatch.FailureCode) {
	file, err := os.Open(path)
	if err != nil {
		return nil, hashmatch.Unreadable
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, hashmatch.DefaultMaxBytes+1))
	switch {
	case err != nil:
		return nil, hashmatch.Unreadable
	case len(content) > hashmatch.DefaultMaxBytes:
		return nil, hashmatch.TooLarge
	}
	return content, ""
}

// patience is how long one file may take to decode. It is longer than a scan's, so that what is measured does not depend on
// how busy the machine is.
const patience = 5 * time.Minute

// errEnough ends decoding after the first picture.
var errEnough = errors.New("enough")

// decode calls yield with every view of the first picture of content, and returns why it could not.
func (r *run) decode(ctx context.Context, content []byte, yield func(*hashmatch.Frame) error) hashmatch.FailureCode {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var failed error
	yielded := false
	_, failures := r.Decoder.Decode(ctx, content, func(frame *hashmatch.Frame) error {
		if frame.Index > 0 {
			return errEnough
		}
		yielded = true
		failed = yield(frame)
		return failed
	})
	switch {
	case failed != nil:
		return hashmatch.Panicked
	case len(failures) > 0:
		return failures[0].Code
	case !yielded:
		return hashmatch.Corrupt
	}
	return ""
}
