package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Figures sum a group up.
type Figures struct {
	Path      Path    `json:"path"`
	Class     string  `json:"class"`
	Files     int     `json:"files"`
	Megabytes float64 `json:"mb_per_file"`
	Megapixel float64 `json:"mp_per_file"`
	Samples   int     `json:"samples"`
	Screened  float64 `json:"screened"`  // share of the samples that the reduced picture decided
	Rate      float64 `json:"images_s"`  // on one core: the inverse of the mean
	P50       float64 `json:"p50_ms"`    // of the whole
	P99       float64 `json:"p99_ms"`    // of the whole
	Read      float64 `json:"read_ms"`   // means; read has the digests in it
	Decode    float64 `json:"decode_ms"` // reduced and full
	Hash      float64 `json:"hash_ms"`   //
	Search    float64 `json:"search_ms"` //
	Allocated float64 `json:"mb_alloc"`  // an image
}

// Figures returns what the samples come to.
func (g *Group) Figures() Figures {
	n := float64(len(g.Samples))
	totals := make([]time.Duration, 0, len(g.Samples))
	var sum Sample
	for _, s := range g.Samples {
		totals = append(totals, s.Total)
		sum.Read += s.Read
		sum.Decode += s.Decode
		sum.Hash += s.Hash
		sum.Search += s.Search
		sum.Total += s.Total
		sum.Allocated += s.Allocated
	}
	slices.Sort(totals)
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	return Figures{
		Path: g.Path, Class: g.Class, Files: g.Files, Samples: len(g.Samples),
		Megabytes: float64(g.Bytes) / 1e6 / float64(g.Files), Megapixel: float64(g.Pixels) / 1e6 / float64(g.Files),
		Screened: float64(g.Decided) / n, Rate: n / sum.Total.Seconds(),
		P50: ms(totals[len(totals)/2]), P99: ms(totals[len(totals)*99/100]),
		Read: ms(sum.Read) / n, Decode: ms(sum.Decode) / n, Hash: ms(sum.Hash) / n, Search: ms(sum.Search) / n,
		Allocated: float64(sum.Allocated) / 1e6 / n,
	}
}

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%d entries (%s), %s/%s\n\nOn one core:\n\n", r.Entries, kindNames(r), runtime.GOOS, runtime.GOARCH)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "pictures\tfiles\tMP\tMB\tpath\timages/s\tp50 ms\tp99 ms\tread\tdecode\thash\tsearch\tMB alloc.\tscreened\t")
	for _, g := range r.Groups {
		f := g.Figures()
		share := "-"
		if f.Path == PathScreened {
			share = fmt.Sprintf("%.0f %%", 100*f.Screened)
		}
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%s\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%s\t\n", f.Class, f.Files, f.Megapixel,
			f.Megabytes, f.Path, f.Rate, f.P50, f.P99, f.Read, f.Decode, f.Hash, f.Search, f.Allocated, share)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nAll files, %s path: %.1f images a second from 1 worker on 1 core, %.1f from %d: %.2f times as many.\n",
		PathScreened, r.OneWorker, r.AllWorkers, r.Workers, r.AllWorkers/r.OneWorker)
	return err
}

// WriteJSON writes the result as one object.
func (r *Result) WriteJSON(w io.Writer) error {
	out := struct {
		Entries    int       `json:"entries"`
		Kinds      []string  `json:"kinds"`
		Groups     []Figures `json:"groups"`
		Skipped    []string  `json:"skipped"`
		OneWorker  float64   `json:"images_s_one_worker"`
		AllWorkers float64   `json:"images_s_all_workers"`
		Workers    int       `json:"workers"`
	}{Entries: r.Entries, Kinds: strings.Fields(kindNames(r)), Skipped: append([]string{}, r.Skipped...),
		OneWorker: r.OneWorker, AllWorkers: r.AllWorkers, Workers: r.Workers, Groups: []Figures{}}
	for _, g := range r.Groups {
		out.Groups = append(out.Groups, g.Figures())
	}
	return json.NewEncoder(w).Encode(out)
}

// WriteBenchmark writes the result as go test -bench does, for benchstat: one line for each sample's group.
func (r *Result) WriteBenchmark(w io.Writer) error {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: hashmatch\n", runtime.GOOS, runtime.GOARCH)
	for _, g := range r.Groups {
		f := g.Figures()
		name := strings.NewReplacer(" ", "-").Replace(fmt.Sprintf("class=%s/path=%s", f.Class, f.Path))
		fmt.Fprintf(w, "BenchmarkScan/%s \t%d\t%.0f ns/op\t%.2f images/s\t%.3f p50-ms\t%.3f p99-ms\t%.3f read-ms\t%.3f decode-ms\t%.3f hash-ms\t%.3f search-ms\t%.0f B/op\n",
			name, f.Samples, 1e9/f.Rate, f.Rate, f.P50, f.P99, f.Read, f.Decode, f.Hash, f.Search, f.Allocated*1e6)
	}
	_, err := fmt.Fprintf(w, "BenchmarkScan/workers=1 \t1\t%.0f ns/op\t%.2f images/s\nBenchmarkScan/workers=%d \t1\t%.0f ns/op\t%.2f images/s\n",
		1e9/r.OneWorker, r.OneWorker, r.Workers, 1e9/r.AllWorkers, r.AllWorkers)
	return err
}

func kindNames(r *Result) string {
	var names []string
	for _, kind := range r.Kinds.Kinds() {
		names = append(names, kind.String())
	}
	return strings.Join(names, " ")
}
