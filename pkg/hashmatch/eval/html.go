package eval

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

//go:embed report.html
var reportText string

var reportTemplate = template.Must(template.New("report").Parse(reportText))

// WriteHTML writes the result as one page, with plots, that needs nothing else: no script, and nothing from elsewhere.
func (r *Result) WriteHTML(w io.Writer) error {
	page := htmlPage{Photos: r.Photos.words(r.Seed), Lists: r.Lists}
	for _, s := range r.sections() {
		page.Sections = append(page.Sections, r.html(s))
	}
	var b strings.Builder
	if err := reportTemplate.Execute(&b, page); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type htmlPage struct {
	Photos   string
	Lists    []List
	Sections []htmlSection
}

type htmlSection struct {
	Kind, Profile, Title, Against string
	Threshold                     int
	Bars                          []htmlBar
	BarsHeight                    int
	Histograms                    []htmlHistogram
	ROC                           *htmlROC
	Choices                       []string
	Rows                          []htmlRow
}

// htmlBar is one edit.
type htmlBar struct {
	Name, Parameters, Label, Interval, UprightLabel, UprightInterval, Median string
	Y, TextY, Copies, Flat                                                   int64
	Middle, Upright, Turned, Low, High                                       pixels
}

// pixels is a length or a place in a plot.
type pixels float64

// String writes tenths of a pixel.
func (p pixels) String() string { return fmt.Sprintf("%.1f", float64(p)) }

type htmlHistogram struct {
	Name, Class, Count, End string
	Bars                    []htmlRect
	Mark                    pixels
}

type htmlRect struct{ X, Y, Width, Height pixels }

type htmlROC struct {
	Widest                               int
	Grid, Levels                         []htmlTick
	Upright, Turned                      string
	UprightX, UprightY, TurnedX, TurnedY pixels
}

type htmlTick struct {
	X     pixels
	Label string
}

type htmlRow struct {
	Threshold                                   int
	Chosen                                      bool
	Upright, Turned, Pairs, Photos, Rate, OneIn string
}

func (r *Result) html(s section) htmlSection {
	m := s.turned
	out := htmlSection{Kind: m.Kind.String(), Profile: m.Profile, Title: s.title(r.QualityFloor), Threshold: m.Threshold,
		BarsHeight: 16*len(m.Recall) + 4, ROC: roc(s), Against: "another photo"}
	if m.List != nil {
		out.Against = "the lists"
	}
	for _, measure := range []*Measure{s.upright, s.turned} {
		for _, line := range measure.choices() {
			if measure.Dihedral {
				line = "With turns: " + line
			} else {
				line = "Without turns: " + line
			}
			out.Choices = append(out.Choices, line)
		}
	}
	var families []string
	byFamily := make(map[string]Histogram)
	for i, turned := range m.Recall {
		upright, y := s.upright.Recall[i], int64(16*i+2)
		across := func(share float64) pixels { return pixels(500 * share) }
		out.Bars = append(out.Bars, htmlBar{
			Name: turned.Edit, Parameters: r.Edits[i].Parameters, Label: percent(turned.Interval.Rate), Interval: between(turned.Interval),
			UprightLabel: percent(upright.Interval.Rate), UprightInterval: between(upright.Interval), Median: distance(turned.Median),
			Y: y, TextY: y + 10, Middle: pixels(y) + 8.5, Copies: turned.Copies, Flat: turned.Flat, Upright: across(upright.Interval.Rate),
			Turned: across(turned.Interval.Rate), Low: 160 + across(turned.Interval.Low), High: 160 + across(turned.Interval.High),
		})
		family := r.Edits[i].Family
		if byFamily[family] == nil {
			families = append(families, family)
			byFamily[family] = make(Histogram, m.Kind.Bits()+1)
		}
		for d, n := range turned.Distances {
			byFamily[family][d] += n
		}
	}
	for _, family := range families {
		out.Histograms = append(out.Histograms, histogram(family, "turned", byFamily[family], m))
	}
	out.Histograms = append(out.Histograms, histogram("unrelated photos", "others", m.Pairs.Distances, m))
	out.Rows = rows(s)
	return out
}

// columns of a histogram cover five eighths of a hash's bits: unrelated hashes differ in half of them.
const columns = 40

func histogram(name, class string, h Histogram, m *Measure) htmlHistogram {
	width := max(m.Kind.Bits()/64, 1) // bits a column
	var counts [columns]int64
	var highest int64
	for d, n := range h {
		at := min(d/width, columns-1)
		counts[at] += n
		highest = max(highest, counts[at])
	}
	out := htmlHistogram{Name: name, Class: class, Count: fmt.Sprint(h.Total()), End: fmt.Sprint(columns * width),
		Mark: 5 + pixels(m.Threshold+1)*240/pixels(columns*width)}
	for i, n := range counts {
		if n > 0 {
			height := pixels(max(80*float64(n)/float64(highest), .5))
			out.Bars = append(out.Bars, htmlRect{5 + 6*pixels(i), 100 - height, 5, height})
		}
	}
	return out
}

// roc draws both curves; nil if there is nothing to draw.
func roc(s section) *htmlROC {
	upright, turned := s.upright.ROC(), s.turned.ROC()
	if len(upright) == 0 || len(turned) == 0 {
		return nil
	}
	// The axis goes from the first power of ten below one pair of all, where zero is drawn, to 1.
	decades := int(math.Floor(math.Log10(float64(s.turned.Pairs.Pairs)))) + 1
	x := func(p ROC) pixels {
		if p.False <= 0 {
			return 50
		}
		return pixels(max(50+450*(1+math.Log10(p.False)/float64(decades)), 50))
	}
	y := func(p ROC) pixels { return pixels(250 - 240*p.Recall) }
	path := func(points []ROC) string {
		var b strings.Builder
		for i, p := range points {
			command := "L"
			if i == 0 {
				command = "M"
			}
			fmt.Fprintf(&b, "%s%s %s", command, x(p), y(p))
		}
		return b.String()
	}
	t := s.turned.Threshold
	out := &htmlROC{Widest: s.turned.Widest, Upright: path(upright), Turned: path(turned),
		UprightX: x(upright[t]), UprightY: y(upright[t]), TurnedX: x(turned[t]), TurnedY: y(turned[t])}
	for d := range decades + 1 {
		label := "1"
		if d == 0 {
			label = "0"
		} else if d < decades {
			label = fmt.Sprintf("1e-%d", decades-d)
		}
		out.Grid = append(out.Grid, htmlTick{pixels(50 + 450*float64(d)/float64(decades)), label})
	}
	for _, level := range []float64{0, .25, .5, .75, 1} {
		out.Levels = append(out.Levels, htmlTick{pixels(250 - 240*level), fmt.Sprintf("%.0f %%", 100*level)})
	}
	return out
}

// rows are the thresholds to choose from.
func rows(s section) []htmlRow {
	against := s.turned.Among
	if s.turned.List != nil {
		against = *s.turned.List
	}
	step := max(s.turned.Widest/16, 1)
	var out []htmlRow
	for t := 0; t <= s.turned.Widest; t++ {
		if t%step != 0 && t != s.turned.Threshold && t != s.turned.Widest {
			continue
		}
		share := func(m *Measure) string {
			if m.CopiesMade() == 0 {
				return "-"
			}
			return percent(float64(m.Copies.Within(t)) / float64(m.CopiesMade()))
		}
		matched := against.Nearest.Within(t)
		rate := Estimate(matched, against.Photos)
		row := htmlRow{Threshold: t, Chosen: t == s.turned.Threshold, Upright: share(s.upright), Turned: share(s.turned),
			Pairs:  fmt.Sprintf("%d of %d", s.turned.Pairs.Distances.Within(t), s.turned.Pairs.Pairs),
			Photos: fmt.Sprintf("%d of %d", matched, against.Photos), Rate: ends(rate), OneIn: fmt.Sprintf("%.0f uploads", math.Floor(1/rate.High))}
		out = append(out, row)
	}
	return out
}
