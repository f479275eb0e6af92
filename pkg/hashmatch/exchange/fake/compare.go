package fake

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Differences compares a list, entry by entry, with what the exchange holds: every entry in force must be in force in
// it with the same hashes and time, no other one may be. nil means that they are equal. It names entries, no hashes.
func Differences(l *hashlist.List, truth []Record) []string {
	var found []string
	known := make(map[string]hashmatch.Entry, l.Len())
	for _, e := range l.Entries() {
		if _, twice := known[e.Key.ID]; twice {
			found = append(found, fmt.Sprintf("%s: two entries", e.Key.ID))
		}
		known[e.Key.ID] = e
	}
	for _, r := range truth {
		e, listed := known[r.ID]
		delete(known, r.ID)
		inForce := listed && e.Status != hashmatch.Withdrawn
		switch {
		case r.Deleted && inForce:
			found = append(found, fmt.Sprintf("%s: revived: deleted at %s, in the list of %s", r.ID, r.Updated, e.Updated))
		case r.Deleted:
		case !inForce:
			found = append(found, fmt.Sprintf("%s: lost: changed at %s", r.ID, r.Updated))
		case r.Member != "" && r.Member != e.Key.Member:
			found = append(found, fmt.Sprintf("%s: of member %q, want %q", r.ID, e.Key.Member, r.Member))
		case !e.Updated.Equal(r.Updated):
			found = append(found, fmt.Sprintf("%s: of %s, want %s", r.ID, e.Updated, r.Updated))
		case !slices.Equal(signaturesOf(e), r.Signatures):
			found = append(found, fmt.Sprintf("%s: other hashes", r.ID))
		}
	}
	for id, e := range known {
		if e.Status != hashmatch.Withdrawn {
			found = append(found, fmt.Sprintf("%s: the exchange has no such entry", id))
		}
	}
	slices.SortFunc(found, strings.Compare)
	return found
}

// signaturesOf writes an entry's signatures as a Record has them.
func signaturesOf(e hashmatch.Entry) []string {
	var list []string
	for _, s := range e.Signatures {
		if s.Scheme != "" {
			list = append(list, s.Scheme+":"+base64.StdEncoding.EncodeToString([]byte(s.Opaque)))
			continue
		}
		list = append(list, s.Hash.String())
	}
	slices.Sort(list)
	return list
}
