// Package worker runs decoders that cannot be trusted in child processes of the same program: a Pool on the parent's
// side, which implements media.Isolated, and Main on the child's.
//
// A child limits its own memory before it reads anything, decodes one file at a time and is kept warm for the next.
// Running out of memory is fatal in Go and cannot be recovered from; here it ends a child, and the file that did it
// has a failure. So has one that is at work when its deadline passes: the child is killed. The next file gets a new
// child. The parent trusts nothing that a child sends: sizes are held against the limits before memory is taken.
//
// The limit on memory is one on data (RLIMIT_DATA), not on address space: a WebAssembly runtime reserves far more
// address space than it uses. It exists on Linux only; elsewhere a child has a soft limit (the collector works
// harder near it) and its deadline.
package worker
