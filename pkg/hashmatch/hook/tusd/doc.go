// Package tusd answers the HTTP hooks of tusd, the server of resumable uploads (github.com/tus/tusd, seen with 2.9.1), so
// that nothing is published that was not scanned.
//
// tusd serves a finished upload whatever its pre-finish hook answers. So the hook moves the upload's two files out of
// tusd's folder (Config.Store) into one that is not served (Config.Held) before anything else, and puts them back only
// when the verdict is an allow:
//
//	pre-finish ── taking ──┬── allow ── returning ── returned ── post-finish, passed on ── forgotten
//	                       └── hold, block ── kept ──┬── Release ── returning …
//	                                                 └── Config.Keep has passed ── deleted
//
// The words are the steps of the upload's journal, a file in Held that is on disk before what it speaks of begins. A
// hook that is killed at any point leaves nothing in Store that was not allowed, and Run carries on from where it was:
// what was not scanned to the end is scanned again, what was allowed is put back, and what was put back is announced.
//
// tusd has one hook handler. The application's own one is Config.Forward: it gets the other events as they are, and the
// post-finish of an upload if, and only if, its verdict was an allow or a person released it; once at least, also after
// it was down. A post-finish whose hook call tusd gave up, or that nothing announces because the upload was allowed
// later, is sent by Run.
//
// Held belongs to the caller, as Store does: it holds uploads that did not match beside those that did (the ones that
// could not be scanned), with the names that their senders gave them, for Config.Keep. Only the owner may read it.
package tusd
