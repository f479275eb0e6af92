package jpegluma

// natural gives the place of a coefficient in a block by its place in the zigzag of a scan.
var natural = func() (order [64]uint8) {
	x, y := 0, 0
	for k := range order {
		order[k] = uint8(8*y + x)
		switch {
		case (x+y)%2 == 0 && x == 7, (x+y)%2 == 1 && y < 7 && x == 0:
			y++
		case (x+y)%2 == 0 && y == 0, (x+y)%2 == 1 && y == 7:
			x++
		case (x+y)%2 == 0:
			x, y = x+1, y-1
		default:
			x, y = x-1, y+1
		}
	}
	return order
}()

// lastRow gives the last row that a coefficient up to a place in the zigzag can be in.
var lastRow = func() (last [64]uint8) {
	for k := 1; k < 64; k++ {
		last[k] = max(last[k-1], natural[k]/8)
	}
	return last
}()
