// Package seal signs the snapshots of hash lists, encrypts them, and opens those that it can vouch for.
//
// Start with [WriteFile] (a list in, a signed and encrypted file out) and [Open] (a file in, its list out, or the reason
// why not). Around them: [Key] signs; [Trust] is what a public key file holds, the keys that are accepted, from when to
// when, and those that were revoked; [Seen] remembers the highest serial of each list, so that nobody can put an older
// snapshot in the place of a newer one.
//
// # What is signed
//
// The signature is Ed25519 over the digest of the snapshot's head, which holds the checksums of all its sections, and a
// [Statement]: the list's name, its revision, a serial that only grows, the time, and the key. It stands in the snapshot
// itself, so that one renaming replaces both, and a program that requires no signature reads the file as any other.
//
// # In which order a file is opened
//
//	decrypt     if it is encrypted: age, into memory of the process's own, never to disk
//	head        its length and its own checksum
//	signature   by a key that is accepted and was not revoked; for this list; not from the future
//	checksums   of all sections
//	content     the list, whose revision must be the one that was signed
//	serial      not lower than the highest one that was in force; the same one only for the same revision
//
// Encryption hides what a list holds; it vouches for nothing, since everyone who knows a recipient can encrypt to it. The
// signature is inside of it.
package seal
