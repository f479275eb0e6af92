package index

// costs estimates what a search by tables and a sweep over the records take, in picoseconds.
type costs struct {
	record  [2]int // reading a record in a sweep: its head, or all of it
	compare [2]int // comparing that with one query

	bucket   int // looking a bucket's bounds up
	list     int // fetching the postings of one that is not empty
	posting  int // filtering one posting
	survivor int // comparing a record that passed the filter
}

// The measured costs, by kernel, between 10,000 and 10 M entries (BenchmarkRange, BenchmarkMany, BenchmarkGrowth).
var (
	costs256 = [...]costs{
		portable: {[2]int{200, 200}, [2]int{900, 1_600}, 12_000, 35_000, 1_000, 60_000},
		avx2:     {[2]int{200, 400}, [2]int{200, 350}, 4_500, 12_000, 550, 30_000},
		avx512:   {[2]int{300, 600}, [2]int{25, 30}, 4_500, 12_000, 300, 30_000},
	}
	costs64 = [...]costs{
		portable: {[2]int{100, 100}, [2]int{450, 450}, 12_000, 35_000, 1_000, 40_000},
		avx2:     {[2]int{100, 100}, [2]int{120, 120}, 4_500, 12_000, 550, 30_000},
		avx512:   {[2]int{150, 150}, [2]int{15, 15}, 4_500, 12_000, 300, 30_000},
	}
)

func (r *ranges) price() *costs {
	switch {
	case r.costs != nil:
		return r.costs
	case r.headWords == 1:
		return &costs64[using]
	}
	return &costs256[using]
}

// sweepCost returns what one sweep for so many queries takes.
func (r *ranges) sweepCost(queries, threshold int) int {
	c, columns := r.price(), 0
	if threshold > headThreshold {
		columns = 1
	}
	return r.n * (c.record[columns] + queries*c.compare[columns])
}

// tables returns what a search takes that looks that many buckets up, of which so many lists are not empty, with that
// many postings, of which so many pass the filter.
func (c *costs) tables(buckets, lists, postings, survivors int) int {
	return buckets*c.bucket + lists*c.list + postings*c.posting + survivors*c.survivor
}

// expectedCost returns what a search by plan takes when the records fill the buckets evenly.
func (r *ranges) expectedCost(p *plan) int {
	postings, survivors := 0, 0
	for i := range r.tables.chunks {
		if radius := p.radius[i]; radius >= 0 {
			inTable := ball[radius] * r.n / buckets
			postings += inTable
			survivors += inTable * within[p.pair[i]-radius] / buckets
		}
	}
	return r.price().tables(p.lists, min(p.lists, postings), postings, survivors)
}
