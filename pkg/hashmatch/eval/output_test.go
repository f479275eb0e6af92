package eval

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/edit"
)

// page returns the report over the uploads, of two kinds.
func page(t *testing.T, c Config) string {
	t.Helper()
	c.Kinds = hashmatch.SetOf(hashmatch.PDQ, hashmatch.DHash)
	var b bytes.Buffer
	if err := mustRun(t, c).WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// elements reads a page as a sequence of elements that are closed in order, and calls f with each.
func elements(t *testing.T, page string, f func(xml.StartElement)) (text string) {
	t.Helper()
	_, body, ok := strings.Cut(page, "<!doctype html>\n")
	if !ok {
		t.Fatal("no document type")
	}
	d := xml.NewDecoder(strings.NewReader(body))
	d.Entity = xml.HTMLEntity
	var words strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return words.String()
		}
		if err != nil {
			t.Fatalf("line %d of\n%s\n%v", strings.Count(body[:d.InputOffset()], "\n")+1, body, err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			f(token)
		case xml.CharData:
			words.Write(token)
		}
	}
}

// TestReport parses the page: it is whole, needs nothing from elsewhere, every number in a plot is one, and what it says
// is there.
func TestReport(t *testing.T) {
	c := withEdits(t, "jpeg50", "crop2-left", "crop5-each", "mirror")
	c.Sample = 6
	if raceDetector {
		c.Sample = 2
	}
	made := page(t, c)
	for _, forbidden := range []string{"http", "src=", "href", "url(", "@import", "<script", "<link", "ZgotmplZ", "NaN", "Inf", "-clean", ".jpg"} {
		if strings.Contains(made, forbidden) {
			t.Errorf("the report has %q in it", forbidden)
		}
	}
	count := make(map[string]int)
	numbers := 0
	text := elements(t, made, func(e xml.StartElement) {
		count[e.Name.Local]++
		for _, a := range e.Attr {
			switch a.Name.Local {
			case "x", "y", "width", "height", "cx", "cy", "r":
				v, err := strconv.ParseFloat(a.Value, 64)
				if err != nil || math.IsNaN(v) || v < 0 || v > 2000 {
					t.Errorf("%s %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
				numbers++
			case "d":
				if !regexp.MustCompile(`^([MLHV]-?[0-9.]+( -?[0-9.]+)?)+$`).MatchString(a.Value) {
					t.Errorf("path %q", a.Value)
				}
			}
		}
	})
	// Two kinds: recall, three families and the unrelated photos, ROC.
	if count["svg"] != 2*(1+3+1+1) || count["h2"] != 2 || numbers < 100 {
		t.Errorf("elements: %v, %d numbers", count, numbers)
	}
	for _, words := range []string{"pdq, profile plain", "dhash, profile plain", "crop5-each", "at most one false hold in 100 uploads", "With turns: "} {
		if !strings.Contains(text, words) {
			t.Errorf("the report does not say %q", words)
		}
	}
	// A row for every fourth threshold of PDQ's 65, for 31, and for each of dHash's 11; 4 edits and a heading, twice.
	if rows := count["tr"]; rows != (17+1+1)+(11+1)+2*(4+1) {
		t.Errorf("%d rows", rows)
	}
}

// TestReportOfLittle has no copies, and one photo alone: nothing to draw, and still a page.
func TestReportOfLittle(t *testing.T) {
	c := settings(t)
	c.Photos = []string{"../../../testdata/uploads/clean-landscape.jpg"}
	made := page(t, c)
	count := 0
	text := elements(t, made, func(e xml.StartElement) {
		if e.Name.Local == "svg" {
			count++
		}
	})
	if count != 2 || !strings.Contains(text, "nothing to tell it by") || strings.Contains(made, "NaN") || strings.Contains(made, "Inf") {
		t.Errorf("%d plots in\n%s", count, made)
	}
	c.Edits, _ = edit.Select([]string{"jpeg50"})
	if made = page(t, c); strings.Contains(made, "NaN") || strings.Contains(made, "Inf") {
		t.Errorf("copies without pairs:\n%s", made)
	}
}

// TestText holds the answer to what is known: the words follow from the numbers.
func TestText(t *testing.T) {
	m := Measure{Kind: hashmatch.PDQ, Threshold: 31, Widest: 64}
	for _, c := range []struct {
		near   Histogram
		trials int64
		want   string
	}{
		{nil, 0, "nothing to tell it by"},
		{nil, 574, "threshold 64 or more by what was seen, but 574 photos prove none (95 %: none to 64 or more); 30000 would be needed"},
		{nil, 40_000, "threshold 64 or more (95 %: 64 or more to 64 or more)"},
		{Histogram{40: 3, 50: 3}, 40_000, "threshold 49 (95 %: 39 to 64 or more)"},
		{Histogram{10: 9}, 10, "threshold 9 by what was seen, but 10 photos prove none (95 %: none to 9); 30000 would be needed"},
		{Histogram{0: 9}, 10, "no threshold"},
		{Histogram{0: 6}, 40_000, "none by what was seen (95 %: none to 64 or more)"},
	} {
		m.Among = Against{Photos: c.trials, Hashes: 9, Choice: choose(c.near, c.trials, 10_000, 1e-4, 64)}
		if got, want := m.choices()[0], "at most one false hold in 10000 uploads, against the other 9 photos: "+c.want; got != want {
			t.Errorf("%v of %d:\n%s\nwant\n%s", c.near, c.trials, got, want)
		}
	}
}
