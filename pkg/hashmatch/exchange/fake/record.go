package fake

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Record is an entry of the exchange as it stands now.
type Record struct {
	ID      string    `json:"id"` // stopncii: what a list calls an entry that has no name but its hash
	Member  string    `json:"member,omitempty"`
	Deleted bool      `json:"deleted,omitempty"`
	Updated time.Time `json:"updated"`
	// Signatures are KIND:HEX, or photodna: and base64, in ascending order; none of a deleted entry.
	Signatures []string `json:"signatures,omitempty"`

	number, version int
	place           uint64 // in the order of an exchange that does not sort by time
}

// digest is the source of everything that is made up: 32 bytes for a purpose.
func (s *Server) digest(purpose string, number, version int) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "fake %d %s %d %d", s.config.Seed, purpose, number, version))
}

// record makes a version of an entry.
func (s *Server) record(number, version int, updated time.Time) Record {
	place := s.digest("place", number, 0)
	r := Record{number: number, version: version, Updated: updated.UTC().Truncate(time.Second), place: binary.BigEndian.Uint64(place[:])}
	id := s.digest("id", number, 0)
	r.ID = "e" + hex.EncodeToString(id[:8])
	content := version
	if s.config.Dialect == "stopncii" { // there, an entry is its hash
		content = 0
	}
	sum := s.digest("hash", number, content)
	// The hash of an entry never changes its kind, and has no zero bytes at both ends.
	sum[0] |= 1
	switch s.config.Dialect {
	case "ncmec":
		r.Member = fmt.Sprint(40 + number%5)
		r.Signatures = append(r.Signatures, "md5:"+hex.EncodeToString(sum[:16]), "sha1:"+hex.EncodeToString(append(sum[4:16:16], sum[16:24]...)))
		if number%3 == 0 {
			r.Signatures = append(r.Signatures, "pdq:"+hex.EncodeToString(sum[:]))
		}
		if number%7 == 0 {
			r.Signatures = append(r.Signatures, "photodna:"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(sum[:]), 5)[:144])))
		}
	default:
		r.Signatures = append(r.Signatures, "pdq:"+hex.EncodeToString(sum[:]))
	}
	slices.Sort(r.Signatures)
	if s.config.Dialect == "stopncii" {
		h, err := hashmatch.NewHash(hashmatch.PDQ, sum[:])
		if err != nil {
			panic(err) // 32 bytes
		}
		r.ID = hashlist.DeriveID(h)
	}
	return r
}

// deleted returns the tombstone that takes the place of an entry.
func (r Record) deleted(at time.Time) Record {
	r.Deleted, r.Signatures, r.Updated = true, nil, at.UTC().Truncate(time.Second)
	r.version++
	return r
}

// order sorts as the exchange hands its entries out: by time, or in an order that has nothing to do with it.
func (s *Server) order(records []Record) {
	slices.SortFunc(records, func(a, b Record) int {
		if s.config.Dialect != "ncmec" {
			if c := a.Updated.Compare(b.Updated); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.number, b.number))
	})
}
