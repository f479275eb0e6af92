package eval

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"example.org/hashmatch/pkg/hashmatch"
)

// WriteJSON writes the result as one JSON object.
func (r *Result) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteText writes the result as tables.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintln(&b, r.Photos.words(r.Seed))
	for _, l := range r.Lists {
		fmt.Fprintf(&b, "list %s: %d entries, revision %s\n", l.Name, l.Entries, l.Revision)
	}
	for _, s := range r.sections() {
		fmt.Fprintf(&b, "\n%s\n\n", s.title(r.QualityFloor))
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		if len(s.upright.Recall) > 0 {
			fmt.Fprintln(table, "edit\tcopies\tflat\tfound\t95 %\twith turns\t95 %\tmedian distance")
		}
		for i, turned := range s.turned.Recall {
			upright := s.upright.Recall[i]
			fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", turned.Edit, turned.Copies, turned.Flat, percent(upright.Interval.Rate),
				between(upright.Interval), percent(turned.Interval.Rate), between(turned.Interval), distance(turned.Median))
		}
		table.Flush()
		if len(s.upright.Recall) > 0 {
			b.WriteByte('\n')
		}
		for _, line := range s.lines() {
			fmt.Fprintln(&b, line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// section is one profile and kind, without and with turns.
type section struct{ upright, turned *Measure }

func (r *Result) sections() []section {
	var out []section
	for i := 0; i+1 < len(r.Measures); i += 2 {
		out = append(out, section{&r.Measures[i], &r.Measures[i+1]})
	}
	return out
}

func (s section) title(floor int) string {
	m := s.turned
	return fmt.Sprintf("%s, profile %s, threshold %d: %d photos of quality %d or more; hashing with turns %.2f ms a photo (median), %.1f ns a pixel",
		m.Kind, m.Profile, m.Threshold, m.Photos, floor, m.Cost.MedianMS, m.Cost.NanosAPixel)
}

// lines says how often unrelated pictures match, and what follows for the threshold.
func (s section) lines() []string {
	var out []string
	for _, m := range []*Measure{s.upright, s.turned} {
		with := "without turns"
		if m.Dihedral {
			with = "with turns"
		}
		out = append(out, fmt.Sprintf("%s: pairs of photos within %d: %d of %d, rate %s (95 %%: %s, taking pairs as independent); nearest pair: %s",
			with, m.Threshold, m.Pairs.Matched, m.Pairs.Pairs, small(m.Pairs.Interval.Rate), ends(m.Pairs.Interval), distance(m.Pairs.Nearest)),
			fmt.Sprintf("%s: photos that match another photo: %d of %d, rate %s (95 %%: %s)",
				with, m.Among.Matched, m.Among.Photos, small(m.Among.Interval.Rate), ends(m.Among.Interval)))
		if m.List != nil {
			out = append(out, fmt.Sprintf("%s: photos that match the lists' %d hashes: %d of %d, rate %s (95 %%: %s)",
				with, m.List.Hashes, m.List.Matched, m.List.Photos, small(m.List.Interval.Rate), ends(m.List.Interval)))
		}
		for _, line := range m.choices() {
			out = append(out, with+": "+line)
		}
	}
	return out
}

// choices answers the question for the threshold, from each kind of evidence.
func (m *Measure) choices() []string {
	var out []string
	answer := func(against string, c Choice, trials string) {
		text := fmt.Sprintf("at most one false hold in %d uploads, against %s: ", c.Uploads, against)
		switch {
		case c.Trials == 0:
			out = append(out, text+"nothing to tell it by")
			return
		case c.Proven >= 0:
			text += fmt.Sprintf("threshold %s (95 %%: %s to %s)", c.at(c.Seen), c.at(c.Proven), c.at(c.Possible))
		case c.Seen >= 0:
			text += fmt.Sprintf("threshold %s by what was seen, but %d %s prove none (95 %%: none to %s); %d would be needed",
				c.at(c.Seen), c.Trials, trials, c.at(c.Possible), c.Needed)
		case c.Possible >= 0:
			text += fmt.Sprintf("none by what was seen (95 %%: none to %s)", c.at(c.Possible))
		default:
			text += "no threshold"
		}
		out = append(out, text)
	}
	if m.List != nil {
		answer(fmt.Sprintf("the lists' %d hashes", m.List.Hashes), m.List.Choice, "photos")
	}
	answer(fmt.Sprintf("the other %d photos", m.Among.Hashes), m.Among.Choice, "photos")
	answer(fmt.Sprintf("%d hashes, reckoned from pairs", m.Pairs.Entries), m.Pairs.Choice, "pairs")
	return out
}

// at writes a threshold of the choice.
func (c Choice) at(t int) string {
	switch {
	case t < 0:
		return "none"
	case t == c.Widest:
		return fmt.Sprintf("%d or more", t)
	}
	return fmt.Sprint(t)
}

func (p Photos) words(seed uint64) string {
	text := fmt.Sprintf("%d files: %d photos compared, %d of them edited (seed %d); %d doubles", p.Files, p.Used, p.Edited, seed, p.Doubles)
	for _, part := range []struct {
		what  string
		codes map[hashmatch.FailureCode]int
	}{{"left out", p.LeftOut}, {"not edited", p.NotEdited}} {
		for _, code := range slices.Sorted(maps.Keys(part.codes)) {
			text += fmt.Sprintf("; %s, %s: %d", part.what, code, part.codes[code])
		}
	}
	return text
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func between(i Interval) string { return fmt.Sprintf("%.1f to %.1f", 100*i.Low, 100*i.High) }

// small writes a rate that may be far below a percent.
func small(rate float64) string {
	if rate == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2g", rate)
}

func ends(i Interval) string { return small(i.Low) + " to " + small(i.High) }

func distance(d int) string {
	if d < 0 {
		return "-"
	}
	return fmt.Sprint(d)
}
