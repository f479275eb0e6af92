package view

import "fmt"

// cut is the parts of an original's width or height that were cut off before and after what is left.
type cut struct{ before, after float64 }

// uncropped sets the points to those of the original of which the cuts were made.
func (s *sight) uncropped(f *field, x, y cut) {
	ax, ay := axisOf(x.before, x.after), axisOf(y.before, y.after)
	f.stripes(ax).points(&s.points, ay)
	around(ax, ay).fill(&s.points)
}

// crop is what was cut off an original on its four sides. Its name has the parts in percent: left, top, right, bottom.
type crop struct{ x, y cut }

func (c crop) name() string {
	return fmt.Sprintf("uncrop_%.3g_%.3g_%.3g_%.3g", 100*c.x.before, 100*c.y.before, 100*c.x.after, 100*c.y.after)
}

// divided returns the n ways to divide a cut of total, the middles of n equal ranges: none is farther from a way that is
// tried than total/2n on either side.
func divided(total float64, n int) []cut {
	cuts := make([]cut, n)
	for i := range cuts {
		before := total * (float64(i) + .5) / float64(n)
		cuts[i] = cut{before, total - before}
	}
	return cuts
}

// alike returns the crops that take the same part off both directions, however it is divided in each.
func alike(total float64, n int) []crop {
	var crops []crop
	for _, x := range divided(total, n) {
		for _, y := range divided(total, n) {
			crops = append(crops, crop{x, y})
		}
	}
	return crops
}

// oneSided returns the crops of one side.
func oneSided(part float64) []crop {
	return []crop{
		{x: cut{before: part}}, {x: cut{after: part}}, {y: cut{before: part}}, {y: cut{after: part}},
	}
}

// The crops that are tried. A shift by 1 % of a side moves some 18 of the 256 bits, so that steps of 2 to 3 % on a side
// leave no gap at a threshold of 31; wider steps leave some.
var (
	standardCrops = concat(alike(.05, 3), alike(.10, 3), oneSided(.06))
	thoroughCrops = concat(standardCrops, alike(.05, 5), alike(.10, 6), oneSided(.03), oneSided(.09), alike(.16, 1))
)

func concat(lists ...[]crop) []crop {
	var all []crop
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func (s *sight) crops(f *field, panel, before string, crops []crop) {
	for _, c := range crops {
		s.uncropped(f, c.x, c.y)
		s.take(panel, joined(before, c.name()))
	}
}

// joined names what was undone first and what then.
func joined(first, then string) string {
	if first == "" {
		return then
	}
	if then == "" {
		return first
	}
	return first + "+" + then
}
