package eval

import "example.org/hashmatch/pkg/hashmatch"

// Result is what Run found out.
type Result struct {
	Photos       Photos    `json:"photos"`
	Seed         uint64    `json:"seed"`
	QualityFloor int       `json:"quality_floor"`
	Edits        []Edit    `json:"edits"`
	Lists        []List    `json:"lists"`
	Measures     []Measure `json:"measures"` // by profile, then kind, without turns before with them
}

// Photos counts the files that were given.
type Photos struct {
	Files   int                           `json:"files"`
	Doubles int                           `json:"doubles"`  // of which an earlier one has the same bytes
	LeftOut map[hashmatch.FailureCode]int `json:"left_out"` // not read or decoded without a failure, by the first one
	Used    int                           `json:"used"`     // compared with each other and with the lists
	Edited  int                           `json:"edited"`   // of which copies were made
	// NotEdited were chosen for copies, and not every copy could be made (unsupported: too long and narrow a shape).
	NotEdited map[hashmatch.FailureCode]int `json:"not_edited"`
}

// Edit names an edit and says what it does, see package edit.
type Edit struct {
	Name       string `json:"name"`
	Family     string `json:"family"`
	Parameters string `json:"parameters"`
	Quality    int    `json:"jpeg_quality"`
}

// List is one list that photos were compared with.
type List struct {
	Name     string `json:"name"`
	Revision string `json:"revision"`
	Entries  int    `json:"entries"`
}

// Measure is everything about one kind under the views of one profile.
type Measure struct {
	Profile   string         `json:"profile"`
	Kind      hashmatch.Kind `json:"kind"`
	Dihedral  bool           `json:"dihedral"` // turns and mirrorings are searched too
	Threshold int            `json:"threshold"`
	Widest    int            `json:"widest"` // that a policy can state
	// Photos have the quality to be matched, and so take part in Pairs and List; the others would not be in a list.
	Photos int      `json:"photos"`
	Recall []Recall `json:"recall"` // in the order of Result.Edits
	// Copies are the distances of all copies together, of every edit.
	Copies Histogram `json:"copies"`
	Pairs  Pairs     `json:"pairs"`
	// Among is how many photos have another one among the photos within the threshold: each photo an upload, the others
	// the list.
	Among Against `json:"among"`
	// List is how many photos have an entry of the lists within the threshold; nil where there are no lists, or none with
	// hashes of this kind.
	List *Against `json:"list"`
	Cost Cost     `json:"cost"`
}

// Recall is what became of the copies that one edit made.
type Recall struct {
	Edit   string `json:"edit"`
	Copies int64  `json:"copies"`
	Found  int64  `json:"found"` // within the threshold
	// Flat copies are below the quality floor: they are not searched, and not found.
	Flat      int64     `json:"flat"`
	Interval  Interval  `json:"interval"`  // Found of Copies
	Median    int       `json:"median"`    // of Distances; -1 if there is none
	Distances Histogram `json:"distances"` // of each copy that is not flat to its photo
}

// Pairs is how near unrelated photos come, all of them with each other. The pairs share photos: that they are counted as
// if they were independent makes Interval too narrow. Against has the interval over photos.
type Pairs struct {
	Pairs     int64     `json:"pairs"`
	Matched   int64     `json:"matched"` // within the threshold
	Interval  Interval  `json:"interval"`
	Nearest   int       `json:"nearest"` // -1 if there is no pair
	Distances Histogram `json:"distances"`
	// Choice takes an upload for as many pairs as a list has hashes, of which Entries says how many.
	Entries int64  `json:"entries"`
	Choice  Choice `json:"choice"`
}

// Against is how many photos match something that they should not: a photo is one trial.
type Against struct {
	Photos   int64    `json:"photos"`
	Matched  int64    `json:"matched"` // have a match within the threshold
	Interval Interval `json:"interval"`
	// Hashes is the number of distinct hashes of this kind that each was compared with.
	Hashes int64 `json:"hashes"`
	// Nearest counts the distance from each photo to what is nearest to it; those beyond reach are in none.
	Nearest Histogram `json:"nearest"`
	Choice  Choice    `json:"choice"`
}

// Cost is the time that hashing took: wall time on one core, so that it means something on a machine without other work
// only. It is that of all views, with turns, whatever Measure.Dihedral says.
type Cost struct {
	MedianMS     float64 `json:"median_ms"`      // a photo
	NanosAPixel  float64 `json:"nanos_a_pixel"`  // over all photos
	MegapixelsIn float64 `json:"megapixels_all"` // of all photos
}

// ROC is one point: at a threshold, the share of pairs that match and the share of copies that are found.
type ROC struct {
	Threshold     int
	False, Recall float64
}

// ROC returns a point for each threshold from 0 to Widest.
func (m *Measure) ROC() []ROC {
	var points []ROC
	copies := m.CopiesMade()
	if copies == 0 || m.Pairs.Pairs == 0 {
		return nil
	}
	var found, matched int64
	for t := 0; t <= m.Widest; t++ {
		if t < len(m.Copies) {
			found += m.Copies[t]
		}
		if t < len(m.Pairs.Distances) {
			matched += m.Pairs.Distances[t]
		}
		points = append(points, ROC{t, float64(matched) / float64(m.Pairs.Pairs), float64(found) / float64(copies)})
	}
	return points
}

// CopiesMade returns the number of copies of every edit, flat ones included.
func (m *Measure) CopiesMade() int64 {
	var n int64
	for _, r := range m.Recall {
		n += r.Copies
	}
	return n
}
