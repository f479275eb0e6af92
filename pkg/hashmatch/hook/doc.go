// Package hook is for uploads that come over a network: the HTTP API (NewAPI), its client (NewClient), a middleware for Go
// programs that take uploads themselves (Middleware), and what every protocol of upload stacks is built on, each a
// translation between its protocol and gate.Gate: Checker and Surfaces, who may ask (Auth, Tokens), where (Listen), the
// servers of connections (Server for HTTP, StreamServer for the others) and the conformance suite (hook/hooktest).
//
//	Listen -> Server -> Auth.Require -> surface -> Checker -> answer
//
// In every protocol a hold must read as "not clean", no other answer may be taken for an allow, and an answer says
// neither which list nor how near unless the caller has the scope for it. A surface that is not declared is refused
// before a byte of the body is read.
package hook
