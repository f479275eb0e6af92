package view

import "example.org/hashmatch/pkg/hashmatch/pdq"

// outside lists the points of a view that the upload does not show: 64 times the row and the column of each, ascending.
type outside []uint16

const (
	// sweeps is how often each of these points is set to the mean of its neighbours. What is missing is seldom deeper than
	// ten of the 64 points; under the overrelaxation an error of that length is down to a hundredth after so many.
	sweeps    = 12
	overshoot = 1.6
)

// fill sets the points that are not shown to what is to be expected there: the surface that is as flat as it can be, free
// at the outer edge. What is coarse along the edge of the picture goes on into it and what is fine dies out, each wave over
// its own length; that is the best guess for pictures that have as much energy at one scale as at any other. To go on with
// the mirror image would be to guess details, and a wrong detail costs twice what a missing one does. The points have to
// be near it already.
func (o outside) fill(p *pdq.Points) {
	for n := range sweeps {
		if n%2 == 0 {
			for _, k := range o {
				relax(p, int(k)/side, int(k)%side)
			}
			continue
		}
		for i := len(o) - 1; i >= 0; i-- {
			relax(p, int(o[i])/side, int(o[i])%side)
		}
	}
}

func relax(p *pdq.Points, i, j int) {
	row := &p[i]
	sum := p[max(i-1, 0)][j] + p[min(i+1, side-1)][j] + row[max(j-1, 0)] + row[min(j+1, side-1)]
	row[j] += overshoot * (sum/4 - row[j])
}

// around returns the points outside of the columns and rows that the axes show.
func around(x, y *axis) outside {
	var o outside
	for i := range y {
		for j := range x {
			if !y[i].shown || !x[j].shown {
				o = append(o, uint16(side*i+j))
			}
		}
	}
	return o
}
