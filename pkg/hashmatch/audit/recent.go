package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
)

// recentItems is how many answers the log knows again: about 8 MB. An answer that comes once more after so many others
// is recorded once more, which does no harm.
const recentItems = 1 << 16

// recentBytes bounds what Open reads of the segments before the last one to know answers again.
const recentBytes = 64 << 20

// short is a digest that is long enough to tell items and answers apart, here in memory.
type short [16]byte

// itemKey names an item: IDs are unique within a surface of a tenant at most.
func itemKey(tenant, surface, item string) short {
	text := make([]byte, 0, 128)
	for _, part := range []string{tenant, surface, item} {
		text = binary.AppendUvarint(text, uint64(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	return short(sum[:16])
}

// answerKey names an answer: all fields of its record but the time, which comes first.
func answerKey(fields []byte) short {
	_, answer, _ := bytes.Cut(fields, []byte(`,`))
	sum := sha256.Sum256(answer)
	return short(sum[:16])
}

// recent holds the last answers of the items seen last.
type recent struct {
	answers map[short]answered
	ring    []short
	next    int
}

type answered struct {
	answer short
	seq    uint64
	slot   int
}

func newRecent(n int) *recent {
	return &recent{answers: make(map[short]answered), ring: make([]short, 0, n)}
}

// seen returns the record of the same answer for the same item; 0 if it is not known, or if another answer followed.
func (r *recent) seen(item, answer short) uint64 {
	if a, ok := r.answers[item]; ok && a.answer == answer {
		return a.seq
	}
	return 0
}

// add makes the answer the last one of its item, and forgets the one added longest ago if there are too many.
func (r *recent) add(item, answer short, seq uint64) {
	slot := r.next
	if len(r.ring) < cap(r.ring) {
		r.ring = append(r.ring, item)
	} else {
		if old := r.ring[slot]; r.answers[old].slot == slot {
			delete(r.answers, old)
		}
		r.ring[slot] = item
	}
	r.answers[item] = answered{answer, seq, slot}
	r.next = (slot + 1) % cap(r.ring)
}
