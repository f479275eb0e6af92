// Package gate takes one upload from its arrival to the answer: it receives the content, scans it, and carries out
// what follows, in this order and in this one place.
//
//	receive -> scan -> enforce -> quarantine, review, audit -> answer
//
// Every way in for uploads that are not published yet is to call Gate.Check and to translate its Outcome.
//
// What it promises: the answer is an allow only if the whole content was scanned, the policy allows it and every effect
// that was due has happened; there is no error that could be taken for one. Uploads that arrive when there is no room
// are held at once, with the note Overloaded; uploads that arrive while the lists cannot be trusted are held unread,
// with the note NotReady. What is held in memory is bounded by Config.Memory, what is scanned at once by
// Config.Concurrency, what waits by Config.Queue and Config.QueueTimeout.
//
// What it keeps: of an upload that did not match, its item ID, verdict and the names of its failures. Never its bytes,
// hashes or name. The content of matches goes to the Quarantine, if there is one.
package gate
