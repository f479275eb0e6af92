// Package hook is for uploads that come over a network. So far it holds what the protocols of upload stacks are built
// on, each a translation between its protocol and gate.Gate: Checker, Surfaces, the server of connections
// (StreamServer), what an API needs of the review queue and of the breaker, and the conformance suite (hook/hooktest).
// No protocol is served yet.
//
// In every protocol a hold must read as "not clean", no other answer may be taken for an allow, and an answer says
// neither which list nor how near unless the caller has the scope for it.
package hook
