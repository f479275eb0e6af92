// Package audit is the log of every answer and of every decision about them: append-only, each record chained to the
// one before, in a directory of segment files.
//
//	gate -> Append ┐
//	                ├-> one writer: chain, write -> fsync, shared by all that wait -> the answer
//	others -> Event┘                      └-> signed heads, at intervals -> Sinks: a file, syslog, HTTP
//
//	Verify: segments + heads -> what was changed, removed, inserted, moved or cut off
//
// Open a Log, hand it to a gate.Gate as its Audit, call Run in a goroutine of its own, and Close it at the end. One
// process has a directory open at a time; Verify and Records read beside it.
//
// What it promises: when Append or Event returns nil the record is written, and on disk if Config.Sync says so for it;
// the same answer for the same item is there once. A record that could not be written whole is cut back, so that the
// log is never damaged by a full disk or a crash, and what a crash has left of one is kept in a file beside the segment.
//
// What the chain shows: any change that its author did not carry on to the end of the log. Whoever can write to the
// directory can make up a whole new chain; that, and a log that was cut off at the end of a record, shows only against
// a head that was signed before and is kept where that person cannot write. So send heads elsewhere.
//
// What is kept of an upload: its item ID, where it came from, the answer, and what explains it. Never its bytes, hashes
// or name; of failures and failed effects the names alone.
//
// # Format
//
// A segment is a file NNNNNNNNNNNNNNNNNNNN.jsonl, named after the sequence number of its first record, with one JSON
// object a line:
//
//	{"seq":2,"prev":"…","time":"…","type":"upload",…,"hash":"…"}
//
// seq counts from 1 without gaps through all segments. prev is the hash of the line before, 64 zeros in the first one.
// hash is the SHA-256 of the 32 bytes that prev stands for, followed by the bytes of the line up to and without
// `,"hash":`, in lower-case hexadecimal digits. The order of the first two members and the place of the last one are
// part of the format. The first record of a segment is of type "segment": it names the log and the version of the
// format, 1.
package audit
