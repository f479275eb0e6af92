// Package hma speaks the HTTP API of Hasher-Matcher-Actioner (facebook/ThreatExchange), as far as uploads are hashed and
// looked up with it, for platforms that call it already:
//
//	GET, POST /h/hash         the hashes of a file
//	GET, POST /m/lookup       a hash, or a file: the lists ("banks") that hold it and are acted on
//	GET       /m/raw_lookup   a hash: every entry within reach, acted on or not
//	POST      /m/compare      the distance of two hashes
//	GET       /m/index/status what can be looked up
//	GET       /c/banks, /c/bank/NAME      the lists; they are not changed here
//	GET       /status, /status/live       whether it can be asked, whether it runs
//
// An empty answer to a lookup means "clean" to its caller. So there is none unless the lists can be trusted and were
// searched: everything else is a status from 400 up. And no error has a JSON object for a body, as HMA's have: one known
// client does not look at the status of a lookup and takes the members of whatever object it gets for banks, so that an
// error reads as a match of banks that it does not act on, and the upload passes. Errors are plain text, which that
// client cannot decode. For the same reason the Handler asks Config.Authorize itself: hook.Auth.Require, which answers
// in JSON objects, must not be wrapped around it.
//
// A lookup tells lists and distances, and asking often enough tells more. It is for the platform's own servers:
// Config.Authorize should ask for hook.ScopeLookup.
package hma
