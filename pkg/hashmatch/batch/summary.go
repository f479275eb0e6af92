package batch

import (
	"maps"
	"slices"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Result is what a run says of one file.
type Result struct {
	Path    string // as the Source names it: any bytes, control characters and invalid UTF-8 among them
	Bytes   int64  // read; 0 if it could not be opened
	Verdict hashmatch.Verdict
}

// Summary counts the results that were written, those of the runs that a checkpoint continues among them. A file that
// changed and was scanned again is counted once, as it was found last.
type Summary struct {
	Files   int64 // results
	Bytes   int64 // read
	Allowed int64
	Held    int64
	Blocked int64
	// Matched counts the files with a match, of a suspended entry too, but not one that an allow-list entry overruled.
	Matched int64
	// NotScanned counts the files that could not be scanned in full: those with a failure other than NotImage, which
	// is an answer, and those that no list was in force for (NotReady).
	NotScanned int64
	// HeldOtherwise counts the files that were held or blocked although nothing matched and they were scanned in full:
	// what is not an image, a remark that the policy holds.
	HeldOtherwise int64
	Failures      map[hashmatch.FailureCode]int64 // files by failure; a file with two kinds counts for each
	Resumed       int64                           // of Files: taken over from the checkpoint
	Interrupted   bool                            // ended before the Source did, because the context was done
	Started       time.Time                       // of this run
	Ended         time.Time
}

// AnyMatched reports whether something matched: bit 0 of scan's exit code.
func (s Summary) AnyMatched() bool { return s.Matched > 0 }

// AnyNotCleared reports whether something could not be scanned, or is not allowed although nothing matched: exit code
// 3, or 4 if something matched too. If neither this nor AnyMatched is so, every file was scanned in full and allowed.
func (s Summary) AnyNotCleared() bool { return s.NotScanned > 0 || s.HeldOtherwise > 0 }

// tally is what one result adds to a Summary, and what a checkpoint keeps of it.
type tally struct {
	bytes      int64
	action     hashmatch.Action
	matched    bool
	notScanned bool
	codes      []hashmatch.FailureCode // sorted, without doubles
}

func tallyOf(r Result) tally {
	t := tally{bytes: r.Bytes, action: r.Verdict.Action, matched: matched(r.Verdict)}
	for _, failure := range r.Verdict.Failures {
		t.codes = append(t.codes, failure.Code)
		t.notScanned = t.notScanned || failure.Code != hashmatch.NotImage
	}
	slices.Sort(t.codes)
	t.codes = slices.Compact(t.codes)
	t.notScanned = t.notScanned || slices.Contains(r.Verdict.Notes, hashmatch.NotReady)
	return t
}

func matched(v hashmatch.Verdict) bool {
	if v.MatchesOmitted > 0 {
		return true
	}
	for _, m := range v.Matches {
		overruled := v.AllowedBy != nil && m.Action == hashmatch.Allow
		if !overruled {
			return true
		}
	}
	return false
}

// add counts t times times: 1, or -1 to take it back.
func (s *Summary) add(t tally, times int64) {
	s.Files += times
	s.Bytes += times * t.bytes
	switch t.action {
	case hashmatch.Allow:
		s.Allowed += times
	case hashmatch.Block:
		s.Blocked += times
	default:
		s.Held += times
	}
	if t.matched {
		s.Matched += times
	}
	if t.notScanned {
		s.NotScanned += times
	}
	if t.action != hashmatch.Allow && !t.matched && !t.notScanned {
		s.HeldOtherwise += times
	}
	if s.Failures == nil {
		s.Failures = map[hashmatch.FailureCode]int64{}
	}
	for _, code := range t.codes {
		if s.Failures[code] += times; s.Failures[code] == 0 {
			delete(s.Failures, code)
		}
	}
}

func (s Summary) clone() Summary {
	s.Failures = maps.Clone(s.Failures)
	if s.Failures == nil {
		s.Failures = map[hashmatch.FailureCode]int64{}
	}
	return s
}
