// Package digest computes MD5, SHA-1 and SHA-256 of a file's bytes in one pass while they are read.
package digest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"example.org/hashmatch/pkg/hashmatch"
)

// BufferSize is how many bytes are read at a time: few enough that each piece goes through every digest while it is
// in a processor's second-level cache (256 KiB and up).
const BufferSize = 128 << 10

// maxEmptyReads is how many reads in a row may bring neither bytes nor an error before the reader is given up, as
// many as in package bufio.
const maxEmptyReads = 100

// Digester implements hashmatch.Digester. Its zero value is ready to use, by any number of goroutines at once. One
// call holds BufferSize bytes.
type Digester struct{}

var _ hashmatch.Digester = Digester{}

var buffers = sync.Pool{New: func() any { return new([BufferSize]byte) }}

// Digest reads r to its end and returns the digests of those of kinds that are MD5, SHA-1 or SHA-256, in this order,
// and the number of bytes read. What it reads it also writes to w, unless w is nil.
//
// The digests are of the whole content or not at all: with an error of r, which is returned as it is, there are none,
// and n says how far it came. io.EOF is no error; a reader that keeps giving nothing is io.ErrNoProgress. An error of
// w, which hashmatch.Digester rules out, ends the reading too.
func (Digester) Digest(r io.Reader, w io.Writer, kinds hashmatch.KindSet) (digests []hashmatch.Hash, n int64, err error) {
	states := statesOf(kinds)
	buffer := buffers.Get().(*[BufferSize]byte)
	defer func() {
		clear(buffer[:min(n, BufferSize)]) // the content of an upload is kept nowhere
		buffers.Put(buffer)
	}()
	for empty := 0; ; {
		count, err := r.Read(buffer[:])
		if count < 0 || count > len(buffer) {
			return nil, n, errors.New("digest: the reader returned an impossible count")
		}
		n += int64(count)
		for _, s := range states {
			s.Write(buffer[:count]) // never fails
		}
		if w != nil && count > 0 {
			if _, err := w.Write(buffer[:count]); err != nil {
				return nil, n, fmt.Errorf("digest: writing the content: %w", err)
			}
		}
		switch {
		case err == io.EOF:
			return sums(states), n, nil
		case err != nil:
			return nil, n, err
		case count > 0:
			empty = 0
		default:
			if empty++; empty == maxEmptyReads {
				return nil, n, io.ErrNoProgress
			}
		}
	}
}

// state is a digest in the making.
type state struct {
	kind hashmatch.Kind
	hash.Hash
}

func statesOf(kinds hashmatch.KindSet) []state {
	var states []state
	if kinds.Has(hashmatch.MD5) {
		states = append(states, state{hashmatch.MD5, md5.New()})
	}
	if kinds.Has(hashmatch.SHA1) {
		states = append(states, state{hashmatch.SHA1, sha1.New()})
	}
	if kinds.Has(hashmatch.SHA256) {
		states = append(states, state{hashmatch.SHA256, sha256.New()})
	}
	return states
}

func sums(states []state) []hashmatch.Hash {
	var digests []hashmatch.Hash
	for _, s := range states {
		digest := hashmatch.Hash{Kind: s.kind}
		s.Sum(digest.Bits[:0])
		digests = append(digests, digest)
	}
	return digests
}
