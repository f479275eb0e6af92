// Package hashlist holds a hash list in memory and on disk: List, the changes to one, its Revision and the snapshot
// file.
//
// Start with [New] or a [Builder] (entries in, List out), [List.Apply] and [List.Merge] (a List and what changed in,
// the next List out), [WriteFile] and [Open]. A List never changes; each of these returns another one.
//
// # Layout
//
// The key of an entry is digested, and the first 12 bits of that digest choose one of 4,096 buckets. A bucket's
// entries stand in the order of their digests in one block of bytes (block.go); a List is 4,096 pointers to such
// segments. From that follow:
//
//   - No pointer per entry: the collector looks at 4,096 blocks, not at millions of strings.
//   - A change rewrites the blocks that it touches and shares all others with the List that it came from. One change
//     in 10 million entries rewrites about 2,400 of them.
//   - The snapshot file is the blocks one after the other. Loading it reads and checks; it builds nothing.
//   - A revision is a digest over bucket digests, so a change digests only the buckets that it touched.
//
// An entry costs 8 bytes (4 of key digest, 4 of offset) + 5 (one each of descriptor number, time added, time synced,
// flags, number of signatures) + its ID with a byte of length, none for an ID that was derived from the hash
// ([DeriveID]) + per signature a byte and the hash. A PDQ entry with a derived ID costs 46 bytes, with an ID of 8
// characters 55. An update time adds 5, a vote 2. Source, member, labels, classification and status are written once
// a segment for all its entries that share them.
//
// # Which record wins
//
// Records of one key are compared by their time of update, "not stated" being the oldest of all. A later record
// replaces an earlier one. Of two records with the same time the one that arrives later replaces, but a withdrawal is
// never undone by a record that is no later than it. Within one [Builder], where there is no earlier and later,
// records of the same key and time are joined instead: all signatures and labels, the highest status. So the order
// in which a file's lines or an exchange's records arrive makes no difference to the revision.
package hashlist
