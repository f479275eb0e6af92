package promotion

import (
	"context"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Since returns the entries of next that can match what they could not match in old: those that came into force, and
// those in force that have another hash than before. What is already published is to be compared with these only, once it
// was compared with old. The list is empty if there are none.
func Since(ctx context.Context, old, next *hashlist.List) (*hashlist.List, error) {
	var b hashlist.Builder
	var failed error
	err := each(ctx, old, next, func(o, n *hashmatch.Entry) {
		if failed == nil && acts(n) && (!acts(o) || hasOther(n, o)) {
			failed = b.Add(*n)
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	list, err := b.List()
	if err != nil {
		return nil, err
	}
	return list.WithInfo(next.Info()), nil
}

// each is walk, with a panic of a mapped list as an error.
func each(ctx context.Context, old, next *hashlist.List, pair func(o, n *hashmatch.Entry)) (err error) {
	defer recovered(&err)
	return walk(ctx, old, next, pair)
}

// hasOther says whether an entry has a hash to search for that another one has not.
func hasOther(e, other *hashmatch.Entry) bool {
	for _, s := range e.Signatures {
		if s.Scheme == "" && !has(other, s.Hash) {
			return true
		}
	}
	return false
}
