package audit

import (
	"crypto/ed25519"
	"fmt"
	"time"
)

// Options say against what a log is verified, besides its own chain.
type Options struct {
	// Heads are those that were kept elsewhere, in any order. Read them before calling Verify if the log is being
	// written to.
	Heads []Head
	// PublicKeys are those that heads must be signed with, one of them each. With none, signatures are not looked at:
	// then Heads must come from a place that nobody else can write to.
	PublicKeys []ed25519.PublicKey
	// Log is the ID of the log, if Heads holds those of other logs too: these are then left out. "" means that there
	// is one log, and any other head is a finding.
	Log string
	// First is the seq at which the log may begin, because older segments were removed on purpose; 0 means 1. If there
	// are heads, one of them must be of the record before it: each segment ends with one.
	First uint64
}

// Problem is what is wrong at one place.
type Problem string

// The problems.
const (
	Changed   Problem = "changed"   // a record that is not as it was written
	Removed   Problem = "removed"   // records that are missing
	Inserted  Problem = "inserted"  // a record that does not belong there
	Reordered Problem = "reordered" // a record in another place than its own
	CutOff    Problem = "cut_off"   // records that a head tells of are missing at the end
	Torn      Problem = "torn"      // the last record is not whole: a crash, or someone cut it; Open mends it
	Rewritten Problem = "rewritten" // the record is not the one that the head tells of
	Foreign   Problem = "foreign"   // a head or a segment of another log
	Unsigned  Problem = "unsigned"  // a head whose signature is not of any of the keys
	Unvouched Problem = "unvouched" // no head tells of the record before the first one
)

// Finding is one problem at one place.
type Finding struct {
	Problem Problem `json:"problem"`
	Segment string  `json:"segment,omitempty"` // the file; "" where it is about no file
	Line    int     `json:"line,omitempty"`    // from 1
	Seq     uint64  `json:"seq,omitempty"`     // of the record, as far as can be told
	Detail  string  `json:"detail"`

	last uint64 // of a range of removed records
}

// String returns the finding as one line.
func (f Finding) String() string {
	text := string(f.Problem)
	if f.Line > 0 {
		text += fmt.Sprintf(": %s line %d", f.Segment, f.Line)
	} else if f.Segment != "" {
		text += ": " + f.Segment
	}
	if f.Seq > 0 {
		text += fmt.Sprintf(": record %d", f.Seq)
	}
	return text + ": " + f.Detail
}

// maxFindings bounds the findings of one report.
const maxFindings = 100

// Report is what Verify found. The log is sound if there are no findings.
type Report struct {
	Log      string    `json:"log"` // its ID; "" if there is no segment that tells it
	Segments int       `json:"segments"`
	Records  uint64    `json:"records"`
	First    uint64    `json:"first"` // seq of the first record; 0 if there is none
	Last     uint64    `json:"last"`  // and of the last
	Hash     string    `json:"hash"`  // of the last record
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`

	Heads      int    `json:"heads"`       // heads that were compared with their record
	HeadSeq    uint64 `json:"head_seq"`    // of the newest one: what came later is vouched for by the chain alone
	HeadsOther int    `json:"heads_other"` // heads that were left out: of other logs, or of records before the first one
	TornCuts   int    `json:"torn_cuts"`   // records that say that a crash left a part of one

	Findings []Finding `json:"findings"`
	Omitted  int       `json:"omitted"` // further findings
}

// OK says whether nothing was found.
func (r Report) OK() bool { return len(r.Findings) == 0 }

// Is says whether a problem was found.
func (r Report) Is(problem Problem) bool {
	for _, f := range r.Findings {
		if f.Problem == problem {
			return true
		}
	}
	return false
}

func (r *Report) add(f Finding) {
	if len(r.Findings) == maxFindings {
		r.Omitted++
		return
	}
	r.Findings = append(r.Findings, f)
}

// found takes a record that turns up out of its place out of those that are missing.
func (r *Report) found(seq uint64) bool {
	for i, f := range r.Findings {
		if f.Problem != Removed || seq < f.Seq || seq > f.last {
			continue
		}
		r.Findings = append(r.Findings[:i:i], r.Findings[i+1:]...)
		if f.Seq < seq {
			r.add(removed(f, f.Seq, seq-1))
		}
		if seq < f.last {
			r.add(removed(f, seq+1, f.last))
		}
		return true
	}
	return false
}

// removed returns the finding that records are missing before a place.
func removed(at Finding, from, to uint64) Finding {
	at.Problem, at.Seq, at.last = Removed, from, to
	if at.Detail = "missing before this line"; from < to {
		at.Detail = fmt.Sprintf("missing before this line, with all up to %d", to)
	}
	return at
}
