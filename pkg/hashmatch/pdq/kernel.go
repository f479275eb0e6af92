package pdq

// kernel is a way to do the loops over pixels. All give the same bits; portable is the one that the others are held
// against.
type kernel uint8

const (
	portable kernel = iota
	avx2
)

func (k kernel) String() string { return [...]string{"portable", "avx2"}[k] }

// kernels are those that this machine has, the fastest last. using is the one that hashes are made with; tests change
// it.
var (
	kernels = available()
	using   = kernels[len(kernels)-1]
)

// lanes is the number of rows that are filtered together: a running sum waits for its own last addition, eight of
// them do not wait for each other.
const lanes = 8

// A band is lanes rows, stored column by column: the values of column x are band[x*lanes:][:lanes].
type band []float32

// interleavePortable writes n columns of rows, of which there is one every stride, to out. n is a positive
// multiple of lanes.
func interleavePortable(out band, rows []float32, stride, n int) {
	for half := 0; half < lanes; half += 4 { // four rows leave enough registers for the rest
		r0, r1, r2, r3 := rows[half*stride:][:n], rows[(half+1)*stride:][:n], rows[(half+2)*stride:][:n], rows[(half+3)*stride:][:n]
		to := out[half : n*lanes]
		for x, v := range r0 {
			o := (*[4]float32)(to[x*lanes:])
			o[0], o[1], o[2], o[3] = v, r1[x], r2[x], r3[x]
		}
	}
}

// dealPortable writes the rows of 64 columns.
func dealPortable(rows *[lanes][side]float32, points *[side][lanes]float32) {
	for x := range points {
		for k, v := range points[x] {
			rows[k][x] = v
		}
	}
}

// rowsPortable does len(by) steps, a positive multiple of lanes, of the rows of a band whose sums are given. At step i column
// window + i of in comes and column i goes; by[i] is what the sum is divided by, and out[k*stride+i] the output of row k.
func rowsPortable(out []float32, stride int, in band, window int, by []float32, sums *[lanes]float32) {
	n := len(by)
	for half := 0; half < lanes; half += 4 { // four rows leave enough registers for the rest
		s0, s1, s2, s3 := sums[half], sums[half+1], sums[half+2], sums[half+3]
		o0, o1, o2, o3 := out[half*stride:][:n], out[(half+1)*stride:][:n], out[(half+2)*stride:][:n], out[(half+3)*stride:][:n]
		sub := in[half : n*lanes]
		add := in[window*lanes+half : (window+n)*lanes]
		for i, count := range by {
			a, z := (*[4]float32)(add[i*lanes:]), (*[4]float32)(sub[i*lanes:])
			s0 += a[0]
			s0 -= z[0]
			o0[i] = s0 / count
			s1 += a[1]
			s1 -= z[1]
			o1[i] = s1 / count
			s2 += a[2]
			s2 -= z[2]
			o2[i] = s2 / count
			s3 += a[3]
			s3 -= z[3]
			o3[i] = s3 / count
		}
		sums[half], sums[half+1], sums[half+2], sums[half+3] = s0, s1, s2, s3
	}
}

// columnsPortable does lanes steps of len(sums) columns, a positive multiple of lanes, whose sums are given. At step k values x
// and on of in[k] come, those of old[k] go, and the sums are divided by by[k].
func columnsPortable(out band, sums []float32, in, old *[lanes][]float32, x int, by *[lanes]float32) {
	n := len(sums)
	for k := 0; k < lanes; k += 2 {
		add, sub, add1, sub1, to := in[k][x:][:n], old[k][x:][:n], in[k+1][x:][:n], old[k+1][x:][:n], out[k:n*lanes]
		count, count1 := by[k], by[k+1]
		for i, s := range sums {
			s += add[i]
			s -= sub[i]
			o := (*[2]float32)(to[i*lanes:])
			o[0] = s / count
			s += add1[i]
			s -= sub1[i]
			o[1] = s / count1
			sums[i] = s
		}
	}
}

// samplePortable does steps of the rows of a band whose sums are given, and writes only the outputs after ends[i] of
// them, ascending, divided by by[i]. from steps were done before; then column window + from of in comes, and column from goes.
func samplePortable(points [][lanes]float32, in band, window, from int, ends []int, by []float32, sums *[lanes]float32) {
	s0, s1, s2, s3, s4, s5, s6, s7 := sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]
	for i, end := range ends {
		add := in[(window+from)*lanes : (window+end)*lanes]
		sub := in[from*lanes:][:len(add)]
		for j := 0; j+lanes <= len(add); j += lanes {
			a, z := (*[lanes]float32)(add[j:j+lanes]), (*[lanes]float32)(sub[j:j+lanes])
			s0 += a[0]
			s0 -= z[0]
			s1 += a[1]
			s1 -= z[1]
			s2 += a[2]
			s2 -= z[2]
			s3 += a[3]
			s3 -= z[3]
			s4 += a[4]
			s4 -= z[4]
			s5 += a[5]
			s5 -= z[5]
			s6 += a[6]
			s6 -= z[6]
			s7 += a[7]
			s7 -= z[7]
		}
		from = end
		*sums = [lanes]float32{s0, s1, s2, s3, s4, s5, s6, s7}
		for k, s := range sums {
			points[i][k] = s / by[i]
		}
	}
}
