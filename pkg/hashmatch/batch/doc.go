// Package batch scans many files: Run takes them from a Source, scans them on every core, and gives each Result to a
// writer. It survives being killed.
//
//	Source --> queue --> workers --> one goroutine: results, then checkpoint
//	Paths      bounded   Scanner     JSON, CSV, Table
//	Lines
//
// What must I do if …
//
//   - a run should go on after it was killed: open a Checkpoint, hand it to Run, and write the results to a file with
//     OpenOutput at Checkpoint.Offset. Every file then has exactly one result in that file, whenever the process
//     died: results are made durable before they are recorded, each record says how long the output was by then, and
//     OpenOutput cuts off what was written after the last record. Results that go elsewhere (a pipe) are given at
//     least once: what was written in the last second before the death may come again.
//   - a list or the policy changed since: OpenCheckpoint refuses with a CheckpointChangedError that says what; Anyway
//     keeps the verdicts that were reached, Restart forgets them.
//   - the source of a run that goes on gives other files than before: everything it gives is scanned, the checkpoint
//     stays, and Run returns an UnnamedError. Files that were removed meanwhile are no such case.
//   - a file changed since its verdict (by size or modification time): it is scanned again, has a second result, and
//     only that one is counted.
//   - the run is to end early: cancel the context. No new file is begun; those in flight have Config.Grace to end,
//     what they found is written, and Run returns the context's error. Without a checkpoint the rest is lost.
//   - a result cannot be written (a full disk): Run stops with a WriteError. No file whose result was not written is
//     in the checkpoint.
//
// Everything that a Source comes upon and that cannot be read has a result too, through the Scanner and so under its
// policy: the failure is Unreadable ("symbolic link, not followed", "named pipe", "permission denied", "no such file
// or directory", "folder: permission denied", …), or ChangedWhileRead. Links, pipes, sockets and devices are never
// opened. Run never counts a file as clean that it could not read, whatever the Scanner says.
//
// Memory does not grow with the number of files, but for 16 bytes for each file that a checkpoint already holds when
// a run goes on: 160 MB for ten million. Beside the Scanner's own, a worker holds one open file.
package batch
