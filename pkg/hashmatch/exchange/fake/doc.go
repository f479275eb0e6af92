// Package fake is an exchange that is made up: its entries are computed from a seed, its manners are as bad as it is
// told. It speaks the dialects of package exchange over HTTP, for rehearsals and tests. Nothing in it stands for a
// picture of anyone.
//
//	New -> Server, an http.Handler     the exchange
//	    -> Server.Change, Server.Burst   what happens at it meanwhile
//	    -> Server.Misbehave              how it fails
//	    -> Server.Truth                  what a list of it must hold
//
// The same is asked for over HTTP below /fake/: GET /fake/truth, POST /fake/change?n=N, POST /fake/burst?n=N,
// POST /fake/misbehave with the manners as body. These need no credentials: never let strangers reach it.
package fake
