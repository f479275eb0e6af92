package hashlist

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
)

// vouchSection is the name of the section in which what vouches for a snapshot stands.
const vouchSection = "SIGN"

// maxVouch is the length of the longest of it.
const maxVouch = 8 << 10

// Voucher makes what vouches for a snapshot while it is written: the section SIGN. Package seal has one that signs.
type Voucher struct {
	Length int // bytes of it, 1 to 8,192
	// Vouch returns that many bytes about the head with this digest.
	Vouch func(head [32]byte) ([]byte, error)
}

// Vouched is the head of a snapshot as a check sees it, and what vouches for it. Nothing else of the file was looked
// at but that it has the length that the head states and zeros between its sections.
type Vouched struct {
	// Head is the SHA-256 of the head without its own checksum and with zeros for the checksum of SIGN. It depends on
	// every byte of the file but those of SIGN, by way of the checksums of the other sections, which are compared
	// before anything of those is used.
	Head [32]byte
	// Voucher is the content of SIGN; nil if there is none. It is a copy.
	Voucher []byte
}

// WriteVouched is Write with the section that voucher makes.
func WriteVouched(w io.Writer, l *List, voucher Voucher, extras ...Extra) error {
	if voucher.Length < 1 || voucher.Length > maxVouch {
		return fmt.Errorf("snapshot: section %q of %d bytes", vouchSection, voucher.Length)
	}
	return writeWith(w, l, &voucher, extras)
}

// fill sets body and checksum of SIGN, given the head with zeros for that checksum.
func (v *Voucher) fill(s *section, head []byte) error {
	text, err := v.Vouch(sha256.Sum256(head))
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if len(text) != v.Length {
		return fmt.Errorf("snapshot: section %q has %d bytes, not the %d that were announced", s.name, len(text), v.Length)
	}
	s.body = [][]byte{text}
	s.sum = sumOf(s.body)
	return nil
}

// vouchedBy returns what a check of data sees, whose head ends at end with its checksum and whose sections lie within
// it. A SIGN that is not the last section, or too long, is none.
func vouchedBy(data []byte, end uint64, sections []section) Vouched {
	head := bytes.Clone(data[:end-sha256.Size])
	if len(sections) == 0 {
		return Vouched{Head: sha256.Sum256(head)}
	}
	last := &sections[len(sections)-1]
	var v Vouched
	if last.name == vouchSection && last.length > 0 && last.length <= maxVouch {
		v.Voucher = bytes.Clone(data[last.offset : last.offset+last.length])
		clear(head[len(head)-sha256.Size:]) // the checksum is what a row of the table ends with
	}
	v.Head = sha256.Sum256(head)
	return v
}
