// Package hook is the way in for uploads that come over a network: the HTTP API, its client, and a middleware for Go
// programs that take uploads themselves. The dialects that existing upload stacks speak are in the packages below it,
// each a translation between its protocol and gate.Gate:
//
//	hook/clamd       ClamAV's protocol, over TCP and unix sockets
//	hook/clamavrest  clamav-rest's HTTP API
//	hook/icap        ICAP (RFC 3507), for proxies
//	hook/pictrs      pict-rs's external validation, and any hook that posts raw bytes and looks at the status
//	hook/tusd        tusd's HTTP hooks, for resumable uploads
//	hook/hma         the lookups of Hasher-Matcher-Actioner
//
// In every dialect a hold reads as "not clean", no answer is taken for an allow, and an answer says neither which list
// nor how near unless the caller has the scope for it.
package hook
