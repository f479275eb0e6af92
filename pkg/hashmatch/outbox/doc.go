// Package outbox keeps what reviewers found of listed entries until the lists' exchanges have it.
//
// Start with [Open]. [Box.Add] queues an outcome, [Box.Run] sends what is due until its context ends, [Box.Send] sends at
// once, [Box.Items] says what waits, what was given up and what was sent, and [Box.Retry] sends what was given up again.
//
//	Add -> FOLDER/pending/ID.json -> Send -> FOLDER/done/ID.json
//	                                      -> FOLDER/dead/ID.json
//
// # At least once, counted once
//
// An outcome is on disk when Add returns, and leaves pending only after its exchange has answered that it took it: killed
// in between, it is sent again. The ID is a digest of the list, the entry and the kind of hash, and goes with it each time;
// exchanges keep one opinion of a member on a hash, so that what comes twice counts once. For the same reason there is one
// outcome for each of these here: the latest decision replaces an earlier one that waits, and is sent after one that was
// sent; the same one again changes nothing.
//
// # Failures
//
// What fails is tried again after growing pauses of random length, or after as long as the exchange asks for. What the
// exchange will never take, and what could not be sent within Deadline, is given up: it stays in dead, with the reason, until
// a person has it sent again or a later decision takes its place.
//
// Several processes may use a folder at once, such as a service and a command by hand. Should both send the same, it arrives
// twice. The files are for their owner only: while an outcome waits, its file can hold the hash of a listed entry.
package outbox
