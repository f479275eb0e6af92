package hashlist

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Op says what a Change does. The zero Op is invalid.
type Op uint8

// The operations.
const (
	// Upsert puts Entry into the list, in place of the one with its key. Entry's Added and Synced do not count: an
	// entry that is there keeps the time at which it was added; else both are the time of the change.
	Upsert Op = iota + 1
	// Withdraw makes a tombstone of the entry with Entry.Key, or of a key that is not there, so that an older record
	// that arrives late does not revive it. Entry.Updated is when the source withdrew it; if that is zero, the entry
	// is withdrawn whatever its own time says. The rest of Entry does not count.
	Withdraw
	// Remove forgets the entry with Entry.Key, or its tombstone. A later Upsert of any age brings it back.
	Remove
)

// Change is one change of a list.
type Change struct {
	Op    Op
	Entry hashmatch.Entry
}

// Summary counts what changes did. Every change counts once.
type Summary struct {
	Added     int `json:"added"`     // entries that were not there before
	Changed   int `json:"changed"`   // entries with other content than before
	Unchanged int `json:"unchanged"` // entries that were confirmed: only Synced moved; or nothing to remove
	Withdrawn int `json:"withdrawn"` // entries that became tombstones, and new tombstones
	Removed   int `json:"removed"`   // entries that were forgotten
	Stale     int `json:"stale"`     // records that were older than what the list has, and dropped
}

func (s *Summary) add(other Summary) {
	s.Added += other.Added
	s.Changed += other.Changed
	s.Unchanged += other.Unchanged
	s.Withdrawn += other.Withdrawn
	s.Removed += other.Removed
	s.Stale += other.Stale
}

// Apply returns the list after changes, in their order, at the time now; which record of a key wins is said in the
// package documentation. It is all or nothing: a change that Validate refuses is an error. Its cost is that of the
// buckets that it touches; all others are shared with l. Info stays, but for Created if the revision is another one:
// after a successful sync, call WithSynced.
func (l *List) Apply(changes []Change, now time.Time) (*List, Summary, error) {
	touched := make(map[int][]int)
	digests := make([]keyDigest, len(changes))
	for i := range changes {
		c := &changes[i]
		probe := c.Entry
		switch c.Op {
		case Upsert:
		case Withdraw, Remove:
			probe = hashmatch.Entry{Key: c.Entry.Key, Updated: c.Entry.Updated, Status: hashmatch.Withdrawn}
		default:
			return nil, Summary{}, fmt.Errorf("change %d: invalid operation %d", i, c.Op)
		}
		if err := validate(&probe); err != nil {
			return nil, Summary{}, fmt.Errorf("change %d: entry %q: %w", i, c.Entry.Key, err)
		}
		digests[i] = digestKey(&c.Entry.Key)
		bucket := digests[i].bucket()
		touched[bucket] = append(touched[bucket], i)
	}
	which := slices.Sorted(maps.Keys(touched))
	return l.rewrite(which, now, func(bucket int, w *rewriter) {
		for _, i := range touched[bucket] {
			w.change(&changes[i], &digests[i])
		}
	})
}

// Merge returns the list after an Upsert of every entry of other.
func (l *List) Merge(other *List, now time.Time) (*List, Summary, error) {
	other, err := other.private()
	if err != nil {
		return nil, Summary{}, err
	}
	return l.rewrite(inUse(other), now, func(bucket int, w *rewriter) { w.merge(other.segments[bucket]) })
}

// Replace is Merge for a source that sends its whole list each time: entries that other does not have are removed.
// Tombstones stay.
func (l *List) Replace(other *List, now time.Time) (*List, Summary, error) {
	other, err := other.private()
	if err != nil {
		return nil, Summary{}, err
	}
	return l.rewrite(inUse(l, other), now, func(bucket int, w *rewriter) {
		s := other.segments[bucket]
		w.open()
		for i := range w.slots {
			d := &w.slots[i].draft
			digest := d.digest()
			if _, kept := s.find(&digest); !kept && d.status() != hashmatch.Withdrawn {
				w.remove(i)
			}
		}
		w.merge(s)
	})
}

// inUse returns the buckets in which one of the lists has an entry.
func inUse(lists ...*List) []int {
	var which []int
	for bucket := range buckets {
		if slices.ContainsFunc(lists, func(l *List) bool { return l.segments[bucket] != nil }) {
			which = append(which, bucket)
		}
	}
	return which
}

// rewrite calls edit for each of some buckets, several at a time, and returns the list of what it left.
func (l *List) rewrite(which []int, now time.Time, edit func(bucket int, w *rewriter)) (*List, Summary, error) {
	if now.Unix() <= zeroSeconds || now.Unix() > maxSeconds {
		return nil, Summary{}, errors.New("the time of the change is outside of the years 1 to 9999")
	}
	l, err := l.private() // what is edited, and shared with later lists, does not depend on a file
	if err != nil {
		return nil, Summary{}, err
	}
	segments := slices.Clone(l.segments)
	var total Summary
	var counting sync.Mutex
	err = eachBucket(which, func(bucket int) (err error) {
		w := rewriter{segment: l.segments[bucket], now: now.Unix()}
		edit(bucket, &w)
		segments[bucket], err = w.close()
		counting.Lock()
		defer counting.Unlock()
		total.add(w.summary)
		return err
	})
	if err != nil {
		return nil, Summary{}, err
	}
	out, err := newList(segments, l.info)
	if err != nil {
		return nil, Summary{}, err
	}
	if out.revision != l.revision {
		out.info.Created = normalLocal(now)
	}
	return out, total, nil
}

// rewriter edits one bucket.
type rewriter struct {
	segment *segment
	now     int64
	slots   []slot // one an entry of the segment, in its order, then the new ones; empty until the first edit
	added   map[keyDigest]int
	edited  bool
	summary Summary
}

type slot struct {
	draft
	gone bool
}

// open unpacks the segment at the first edit.
func (w *rewriter) open() {
	if w.added != nil {
		return
	}
	w.added = make(map[keyDigest]int)
	if w.segment == nil {
		return
	}
	w.slots = make([]slot, w.segment.entries)
	for i := range w.slots {
		w.slots[i].draft = w.segment.draft(i)
	}
}

// find returns the slot of a key, -1 if it has none.
func (w *rewriter) find(digest *keyDigest) int {
	w.open()
	if i, found := w.segment.find(digest); found {
		return i
	}
	if i, found := w.added[*digest]; found {
		return i
	}
	return -1
}

// set puts a record into slot i, or into a new one if i is -1.
func (w *rewriter) set(i int, digest *keyDigest, d draft) {
	w.edited = true
	if i < 0 {
		w.added[*digest] = len(w.slots)
		w.slots = append(w.slots, slot{draft: d})
		return
	}
	w.slots[i] = slot{draft: d}
}

func (w *rewriter) remove(i int) {
	w.edited = true
	w.slots[i].gone = true
	w.summary.Removed++
}

func (w *rewriter) change(c *Change, digest *keyDigest) {
	switch c.Op {
	case Upsert:
		e := c.Entry
		normalise(&e)
		d, _ := newDraft(&e)
		w.upsert(d, digest)
	case Withdraw:
		w.withdraw(c.Entry.Key, normalUpdated(c.Entry.Updated), digest)
	case Remove:
		if i := w.find(digest); i >= 0 && !w.slots[i].gone {
			w.remove(i)
		} else {
			w.summary.Unchanged++
		}
	}
}

func (w *rewriter) merge(s *segment) {
	if s == nil {
		return
	}
	for i := range s.entries {
		d := s.draft(i)
		digest := d.digest()
		w.upsert(d, &digest)
	}
}

func (w *rewriter) upsert(d draft, digest *keyDigest) {
	i := w.find(digest)
	d.added, d.synced = w.now, w.now
	withdrawn := d.status() == hashmatch.Withdrawn
	if i < 0 || w.slots[i].gone {
		if withdrawn {
			w.summary.Withdrawn++
		} else {
			w.summary.Added++
		}
		w.set(i, digest, d)
		return
	}
	old := &w.slots[i].draft
	d.added = old.added
	was := old.status() == hashmatch.Withdrawn
	if age := d.updated().Compare(old.updated()); age < 0 || age == 0 && was && !withdrawn {
		w.summary.Stale++
		return
	}
	switch {
	case bytes.Equal(d.descriptor, old.descriptor) && bytes.Equal(d.content, old.content):
		w.summary.Unchanged++
		if old.synced == d.synced {
			return
		}
	case withdrawn && !was:
		w.summary.Withdrawn++
	default:
		w.summary.Changed++
	}
	w.set(i, digest, d)
}

func (w *rewriter) withdraw(key hashmatch.EntryKey, at time.Time, digest *keyDigest) {
	tombstone := hashmatch.Entry{Key: key, Status: hashmatch.Withdrawn, Updated: at}
	if i := w.find(digest); at.IsZero() && i >= 0 && !w.slots[i].gone {
		tombstone.Updated = w.slots[i].updated()
	}
	d, _ := newDraft(&tombstone)
	w.upsert(d, digest)
}

// updated returns when the source says that the entry changed; the zero time if it does not say.
func (d *draft) updated() time.Time {
	c := readContent(d.content)
	return c.updatedTime()
}

// close returns the segment after the edits: the same one if there were none.
func (w *rewriter) close() (*segment, error) {
	if !w.edited {
		return w.segment, nil
	}
	drafts := make([]draft, 0, len(w.slots))
	for i := range w.slots {
		if !w.slots[i].gone {
			drafts = append(drafts, w.slots[i].draft)
		}
	}
	if !slices.IsSortedFunc(drafts, compareDrafts) {
		sortDrafts(drafts)
	}
	return newSegment(drafts)
}
