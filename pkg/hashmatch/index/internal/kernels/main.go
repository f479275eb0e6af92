// Command kernels writes the assembly of package index for amd64. It is a module of its own, so that who builds
// hashmatch needs neither it nor what it is made with. Run it with go generate in package index.
package main

import (
	. "github.com/mmcloughlin/avo/build"
)

func main() {
	fetchBounds()
	filter512()
	filter256()
	lookUp()
	nearHeads()
	for _, words := range []int{1, 2, 3, 4} {
		scan512(words)
		scan256(words)
	}
	Generate()
}
