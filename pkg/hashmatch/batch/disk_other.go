//go:build !unix

package batch

// Systems without these flags: what is opened is looked at before and after.
const (
	openNoFollow = 0
	openFlags    = 0
)
