// Package exchange fetches hash lists from exchanges, and keeps a snapshot file equal to what its exchange says: NCMEC
// hash sharing, ThreatExchange, StopNCII, and list files over HTTPS.
//
// Start with [New]: a [Config] in, a [Syncer] out. [Syncer.Sync] syncs once; [Run] syncs several lists, each at its
// interval, until its context ends. [ReadStatus] says how the last attempt went.
//
//	exchange -> client -> page -> entries -> List.Apply -> snapshot file: list + Checkpoint, in one rename
//	            retry,    decode,            newest record
//	            bounds    refuse             of a key wins
//
// # What is in the file at any moment
//
// A [Checkpoint] says up to where the exchange was heard. It is a section of the snapshot file of the list that it
// belongs to, so that one rename replaces both: whatever moment the process is killed at, the list holds all that the
// exchange said up to the checkpoint (and perhaps some newer records of it, which come again and change nothing). The
// file belongs to its exchange: what else is put into it is gone after the next whole fetch.
//
// A whole fetch (the first one, one after the exchange's settings were changed, and one after so long a pause that
// the exchange has forgotten what was deleted) goes into FILE.partial, with a checkpoint of its own, and takes the
// place of the list when it is complete: half a list never stands in for a whole one. Its result is the exchange's
// answer exactly, tombstones included.
//
// # None lost
//
// Paging by offset loses entries: one that changes while pages are fetched leaves its place, and all behind it move up
// by one, over the edge of a page. So the window of time that is asked for is made so small that its entries come in
// one answer, and made larger again where they are few. Where more entries than one answer holds carry the same second,
// the second is read until two readings one after the other agree: an entry can have slipped through a reading only if
// another one left, and then the next reading differs. StopNCII knows no end of a window; there, a reading in which no
// entry moved is complete.
//
// A window ends two seconds before now by the exchange's own clock (its Date header), so that a second that is read is
// over. Each sync begins an hour before the checkpoint, for entries that the exchange let appear late, and each window
// begins a second early, so that it does not matter which of its ends an exchange counts in.
//
// # None revived
//
// A deletion is a tombstone with its time; a record that is no later does not undo it, whatever order records come in.
//
// # Failures
//
// An answer that does not come, is cut off, too slow, malformed or holds a refused entry is asked for again, with growing
// pauses of random length, or after the time that the exchange asks for. If it stays so the sync fails with a
// [GapError], the checkpoint stays before the gap, the list stays in force, and the status file names the gap.
// Credentials go to the configured host alone, over TLS except on this machine, and appear in no error, log or file.
package exchange
