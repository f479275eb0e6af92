// Package index finds every hash of a list within a Hamming distance of a query, and looks digests up.
//
// Build makes an Index of a list's signatures; Index.Search asks it. An Index is immutable: a change to a list builds
// another one, and whoever holds the lists swaps them. Search is exact: it never leaves a hash within the threshold
// out, however the list is made, and Index.Scan, which compares every hash, is there to show it. Index.SearchMany
// answers several queries at once, and Index.Any says whether they would find anything.
//
//	kind             how                                              memory an entry   at thresholds
//	256 bits         16 tables over chunks of 16 bits                 116 bytes         0 to 79
//	64 bits          4 tables over chunks of 16 bits                  32 bytes          0 to 19
//	either           scan                                             (none of its own) the others
//	MD5, SHA1, SHA256  sorted, with a directory of the leading bits   21, 29, 37 bytes  exact only
//
// The memory is that of a large list of different hashes, the hash and the ordinal of its entry included: for 256
// bits 32 of hash, 4 of ordinal and 16 times 2 + 3 of postings. A list with equal hashes takes 4 bytes more for each
// distinct hash. From 16,777,217 distinct hashes of a kind up each posting takes 1 byte more. The tables of a kind take
// 4 MiB (1 MiB for 64 bits) beside that, and are left out for lists below 4,096 distinct hashes.
//
// # The search
//
// The bits of a hash are put into a fixed order (see permute256 in the source) and cut into m chunks of 16 bits, which
// form a ring: chunk m-1 is followed by chunk 0. Table i lists every record in the bucket of its chunk i and keeps,
// beside the posting, the record's chunk i+1. Let d_i be the distance between query and record in chunk i, and T the
// threshold. Choose whole numbers t_i >= -1 with
//
//	(t_0 + 1) + (t_1 + 1) + ... + (t_(m-1) + 1) = T + 1
//
// (for T = 31 of 256 bits, every t_i is 1). The search of table i looks at the buckets within t_i bits of the query's
// chunk i (17 of 65,536 for t_i = 1; none for -1), and of their postings keeps those for which
//
//	d_i <= t_i  and  d_i + d_(i+1) <= t_i + t_(i+1) + 1        (C_i)
//
// Both distances are known without looking at the record. What is kept is compared in full.
//
// # Why nothing is missed
//
// Claim: if d_0 + ... + d_(m-1) <= T, then C_i holds for some i.
//
// Let x_i = d_i - (t_i + 1). The x_i are whole numbers, and their sum over the ring is at most T - (T + 1) = -1. Let
// S_k = x_0 + ... + x_(k-1), with S_0 = 0 and S_m <= -1. Among S_0, ..., S_(m-1) take the greatest, and of equal ones
// the last, S_a. Then every sum of consecutive x that starts at a and does not go round more than once is negative:
//
//   - up to S_k with a < k < m: it is S_k - S_a < 0, since S_a is the last of the greatest;
//   - past the end, up to index j - 1 with 0 <= j <= a: it is S_m - S_a + S_j <= S_m <= -1, since S_j <= S_a.
//
// (This is the cycle lemma; the search literature knows its use here as the pigeonring principle.) The first such sum
// is x_a < 0, that is d_a <= t_a. The second is x_a + x_(a+1) < 0, that is d_a + d_(a+1) <= t_a + t_(a+1) + 1. So C_a
// holds. The bucket of the record's chunk a lies d_a <= t_a bits from the query's, so it is one that is looked at, and
// the record is kept. The claim needs nothing of how the t_i are chosen but their sum, so it covers every T; the
// plan for a threshold spreads T + 1 as evenly as it goes. Above 79 of 256 bits (19 of 64) some t_i would exceed 4, and
// its thousands of buckets cost more than a scan: there, every search is a scan.
//
// # Why a hit is reported once without a set of those seen
//
// A table holds a record once, and the search looks at a bucket once. So table i yields a record once if C_i holds,
// and otherwise not at all. C_i depends on the d_i only, which the full comparison gives for all i. The hit is reported
// from table i if C_i holds and C_j holds for no j < i: from exactly one table, if it is within T.
//
// # Costs
//
// For T = 31 a search looks at 272 buckets: 272/65,536 = 0.4 % of the list, of which the filter keeps 0.3 %: of 10 M
// entries 41,500 postings and 107 records. That holds for hashes that fill the buckets evenly. For those that do not
// (a cluster of edits of one image around the query, a list made to share buckets), the lengths of the lists are added
// up before they are read, and what passes the filter is counted: where either shows that it costs more than half a
// sweep, a pass over all records, the search becomes one. Tables are not tried where they are expected to cost more
// than a sweep, and no search spends more than 1.25 of one on them. Hits are never capped: writing 100,000 of them out
// costs more than finding them.
//
// SearchMany answers up to 64 queries with one sweep where that costs less than their searches by tables: 8 at T = 55
// do up to some million entries. A sweep compares a lower bound of the distance first (see internal/kernels), for which
// it reads one half of each record up to T = 33.
//
// # Kernels
//
// The innermost loops are there in Go, and for amd64 in assembly that uses AVX2 or AVX-512, chosen when the program
// starts. It is written by internal/kernels, a module of its own: go generate runs it. All kernels give
// the same hits, and the tests run all that the machine has. A search by tables waits for memory more than for
// anything else, so the kernels fetch what will be read: the buckets' bounds before the first is looked at, the postings
// 32 lists ahead, the record IDs and the records of what passes the filter before the first is compared.
package index
