package promotion

import (
	"context"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// withdrawBatch bounds the changes that are held at once.
const withdrawBatch = 1 << 16

// Withdraw returns serving without what next withdraws and with what next suspends suspended, and how many entries that
// are; serving itself if there are none. Whatever else next has waits; this does not, since it can only lead to less
// being held and blocked, and who is blocked by mistake is not to wait for a person. A withdrawal that says that it is
// older than the entry does not count.
func Withdraw(ctx context.Context, serving, next *hashlist.List, now time.Time) (out *hashlist.List, n int, err error) {
	defer recovered(&err)
	out = serving
	counts := next.StatusCounts()
	if counts[hashmatch.Withdrawn]+counts[hashmatch.Suspended] == 0 {
		return out, 0, nil
	}
	var changes []hashlist.Change
	apply := func() (err error) {
		if len(changes) > 0 {
			out, _, err = out.Apply(changes, now)
			n += len(changes)
			changes = changes[:0]
		}
		return err
	}
	read := 0
	for _, e := range next.Entries() {
		if read++; read%4096 == 0 && ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if acts(&e) {
			continue
		}
		ordinal, found := serving.Find(e.Key)
		if !found {
			continue
		}
		o := serving.Entry(ordinal)
		if o.Status == hashmatch.Withdrawn || e.Status == o.Status || !e.Updated.IsZero() && e.Updated.Before(o.Updated) {
			continue
		}
		change := hashlist.Change{Op: hashlist.Withdraw, Entry: hashmatch.Entry{Key: e.Key}}
		if e.Status == hashmatch.Suspended {
			change = hashlist.Change{Op: hashlist.Upsert, Entry: o}
			change.Entry.Status = hashmatch.Suspended
		}
		if changes = append(changes, change); len(changes) == withdrawBatch {
			if err := apply(); err != nil {
				return nil, 0, err
			}
		}
	}
	if err := apply(); err != nil {
		return nil, 0, err
	}
	return out, n, nil
}
