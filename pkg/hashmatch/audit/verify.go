package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Verify reads a log from its first record to its last and reports all that is not as it was written. It can be called
// while the log is written to. Its error is one of reading: the report is then of what could be read.
//
// Without heads it finds every change that was not carried on to the end of the chain. With a head, it finds every one
// before that head.
func Verify(dir string, options Options) (Report, error) {
	v := &verifier{dir: dir, from: max(options.First, 1)}
	v.next = v.from
	v.report.Findings = []Finding{}
	v.takeHeads(options)
	names, err := segmentNames(dir)
	if err != nil {
		return v.report, fmt.Errorf("audit: %w", err)
	}
	for i, name := range names {
		if err := v.segment(name, i == len(names)-1); err != nil {
			return v.report, fmt.Errorf("audit: %s: %w", name, err)
		}
	}
	v.finish()
	return v.report, nil
}

// verifier is the state of one walk through a log.
type verifier struct {
	dir    string
	report Report
	heads  []Head // those still to come, by seq

	from    uint64 // seq at which the log may begin at the latest
	started bool   // a sound record was read
	next    uint64 // seq that is expected
	prev    digest // hash of the last sound record
	doubt   uint64 // lines since then that are none: as many records, or put there
	name    string // of the segment
}

// takeHeads sorts out the heads that the log is compared with.
func (v *verifier) takeHeads(options Options) {
	for _, h := range options.Heads {
		if options.Log != "" && h.Log != options.Log {
			v.report.HeadsOther++
			continue
		}
		if len(options.PublicKeys) > 0 && !slices.ContainsFunc(options.PublicKeys, h.SignedBy) {
			v.report.add(Finding{Problem: Unsigned, Seq: h.Seq, Detail: fmt.Sprintf("the head of %s has no signature of the given keys", h.Time.UTC().Format(time.RFC3339))})
			continue
		}
		v.heads = append(v.heads, h)
	}
	slices.SortStableFunc(v.heads, func(a, b Head) int {
		switch {
		case a.Seq < b.Seq:
			return -1
		case a.Seq > b.Seq:
			return 1
		}
		return 0
	})
	if v.report.Log = options.Log; v.report.Log == "" && len(v.heads) > 0 {
		v.report.Log = v.heads[len(v.heads)-1].Log
	}
}

// segment reads one segment.
func (v *verifier) segment(name string, last bool) error {
	v.name = name
	v.report.Segments++
	file, err := openSegment(v.dir, name)
	if err != nil {
		return err
	}
	defer file.Close()
	if last {
		if err := settle(file); err != nil {
			return err
		}
	}
	for lines := newLineReader(file); ; {
		l, err := lines.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !l.whole && last {
			v.report.add(v.at(l, v.next, Torn, fmt.Sprintf("%d bytes without an end", l.end-l.offset)))
			return nil
		}
		v.line(l)
	}
}

// settle waits for a moment if the last line has no end, since it may just be being written.
func settle(file *os.File) error {
	for range 4 {
		info, err := file.Stat()
		if err != nil || info.Size() == 0 {
			return err
		}
		end := make([]byte, 1)
		if _, err := file.ReadAt(end, info.Size()-1); err != nil && !errors.Is(err, io.EOF) || end[0] == '\n' {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func (v *verifier) at(l line, seq uint64, problem Problem, detail string) Finding {
	return Finding{Problem: problem, Segment: v.name, Line: l.number, Seq: seq, Detail: detail}
}

// line checks one line and says what is expected of the one after it.
func (v *verifier) line(l line) {
	p, err := parseLine(l.text)
	var e Entry
	if err == nil && p.sound && l.whole {
		e, err = p.entry()
	}
	switch {
	case err != nil || !l.whole:
		v.report.add(v.at(l, v.next, Changed, "this line is not a record"))
		v.next, v.doubt = v.next+1, v.doubt+1
		return
	case !p.sound:
		v.report.add(v.at(l, v.next, Changed, "its hash is not that of its bytes"))
		v.next, v.doubt = v.next+1, v.doubt+1
		return
	}
	if !v.started {
		v.begin(l, p)
	}
	if l.number == 1 {
		v.firstLine(l, p, e)
	}
	v.place(l, p)
	v.account(p, e)
}

// begin takes the first sound record.
func (v *verifier) begin(l line, p parsed) {
	v.started = true
	if v.doubt == 0 {
		v.prev = p.prev
	}
	if p.seq == 1 && p.prev != (digest{}) {
		v.report.add(v.at(l, p.seq, Changed, "the first record of a log follows none"))
	}
	if p.seq <= v.from && v.doubt == 0 {
		v.next = p.seq
	}
	vouched := len(v.heads) == 0 || p.seq == 1
	for len(v.heads) > 0 && v.heads[0].Seq < p.seq {
		h := v.heads[0]
		v.heads = v.heads[1:]
		if h.Seq == p.seq-1 && v.ours(h) {
			v.compare(l, h, p.prev)
			vouched = true
		} else {
			v.report.HeadsOther++
		}
	}
	if !vouched {
		v.report.add(v.at(l, p.seq, Unvouched, "the log begins here, and no head tells of the record before"))
	}
}

// firstLine checks what the first record of a segment says of it.
func (v *verifier) firstLine(l line, p parsed, e Entry) {
	if seq, _ := segmentSeq(v.name); seq != p.seq {
		v.report.add(v.at(l, p.seq, Reordered, "the file has the name of another segment"))
	}
	switch {
	case e.Type != TypeSegment || e.Log == "":
		v.report.add(v.at(l, p.seq, Changed, "the first record of a segment is not of type "+TypeSegment))
	case v.report.Log == "":
		v.report.Log = e.Log
	case e.Log != v.report.Log:
		v.report.add(v.at(l, p.seq, Foreign, fmt.Sprintf("a segment of log %.40q, want %.40q", e.Log, v.report.Log)))
	}
}

// place checks whether a sound record is where it belongs.
func (v *verifier) place(l line, p parsed) {
	switch after := v.next - v.doubt; { // the last sound one
	case p.seq < after && v.report.found(p.seq):
		v.report.add(v.at(l, p.seq, Reordered, "it stands behind later ones"))
		return
	case p.seq < after:
		v.report.add(v.at(l, p.seq, Inserted, "there is one with its number, or a later one, before it"))
		return
	case p.seq > v.next:
		v.report.add(removed(v.at(l, 0, Removed, ""), v.next, p.seq-1))
	case p.seq == after && p.prev != v.prev:
		v.report.add(v.at(l, p.seq, Changed, "it does not follow the record before it: one of the two was changed or put there"))
	}
	v.compareHeads(l, p)
	v.next, v.prev, v.doubt = p.seq+1, p.hash, 0
}

// compareHeads compares a record with the heads that tell of it.
func (v *verifier) compareHeads(l line, p parsed) {
	for len(v.heads) > 0 && v.heads[0].Seq <= p.seq {
		h := v.heads[0]
		v.heads = v.heads[1:]
		if h.Seq == p.seq && v.ours(h) {
			v.compare(l, h, p.hash)
		}
	}
}

// ours reports a head of another log.
func (v *verifier) ours(h Head) bool {
	if v.report.Log == "" || h.Log == v.report.Log {
		return true
	}
	v.report.add(Finding{Problem: Foreign, Seq: h.Seq, Detail: fmt.Sprintf("a head of log %.40q, want %.40q", h.Log, v.report.Log)})
	return false
}

func (v *verifier) compare(l line, h Head, hash digest) {
	v.report.Heads++
	v.report.HeadSeq = max(v.report.HeadSeq, h.Seq)
	if h.Hash != hash.String() {
		v.report.add(v.at(l, h.Seq, Rewritten, fmt.Sprintf("it is not what the head of %s tells of: it, or any before it, was changed", h.Time.UTC().Format(time.RFC3339))))
	}
}

// account counts a sound record.
func (v *verifier) account(p parsed, e Entry) {
	r := &v.report
	r.Records++
	if r.First == 0 {
		r.First = p.seq
	}
	if p.seq > r.Last {
		r.Last, r.Hash = p.seq, p.hash.String()
	}
	if r.From.IsZero() || e.Time.Before(r.From) {
		r.From = e.Time
	}
	if e.Time.After(r.To) {
		r.To = e.Time
	}
	if e.Type == TypeTorn {
		r.TornCuts++
	}
}

// finish compares the end with what heads tell of.
func (v *verifier) finish() {
	var newest *Head
	for i, h := range v.heads {
		if h.Seq >= v.next && v.ours(h) {
			newest = &v.heads[i]
		}
	}
	if newest != nil {
		v.report.add(Finding{Problem: CutOff, Segment: v.name, Seq: v.next, Detail: fmt.Sprintf(
			"missing at the end, with all up to %d, which the head of %s tells of", newest.Seq, newest.Time.UTC().Format(time.RFC3339))})
	}
}
