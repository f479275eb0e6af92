// Package review holds the uploads that a person decides on, in one SQLite file.
//
//	gate -> Submit -> pending -> Release or Confirm -> audited -> released or confirmed -> the caller is told -> deleted
//
// Open a Queue, hand it to a gate.Gate as its Review, and call Run in a goroutine of its own: it tells the caller of
// decisions and deletes what is past its time. One process has the file open at a time; what it keeps survives
// kill -9 and power cuts.
//
// What it promises: when Submit returns nil the item is on disk, once. A decision has an actor and a reason, was
// audited before it counts, and the caller is told of it at least once. An item that comes again with something
// that the person who decided had not seen is pending again.
//
// What it keeps of an upload: its item ID and the verdict. Never its bytes, hashes or name.
package review
