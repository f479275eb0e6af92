package batch

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.org/hashmatch/pkg/hashmatch"
)

// Table writes a table for people: verdict, path, and why, one line for each reason. Width is that of the terminal in
// characters; 0 means 100. A path (or another text that comes from outside) with control characters, with characters
// that cannot be seen or that turn the direction of writing, or with bytes that are no UTF-8 is written as a quoted
// Go string, so that no name can drive the terminal or pass for another line.
func Table(o *Output, width int) Results {
	if width <= 0 {
		width = 100
	}
	return &tableResults{Output: o, path: max(20, width*2/5), begun: o.Offset() > 0}
}

type tableResults struct {
	*Output
	path  int // width of the column
	begun bool
}

// tableMatches is how many matches a table tells of one file; JSON has them all.
const tableMatches = 3

// Write writes the lines of one result.
func (t *tableResults) Write(r Result) error {
	if !t.begun {
		t.begun = true
		if err := t.line("VERDICT", "PATH", "WHY"); err != nil {
			return err
		}
	}
	verdict, path := r.Verdict.Action.String(), Printable(r.Path)
	reasons := reasons(r.Verdict)
	if len(reasons) == 0 || utf8.RuneCountInString(path) > t.path {
		if err := t.line(verdict, path, ""); err != nil {
			return err
		}
		verdict, path = "", ""
	}
	for _, reason := range reasons {
		if err := t.line(verdict, path, reason); err != nil {
			return err
		}
		verdict, path = "", ""
	}
	return nil
}

func (t *tableResults) line(verdict, path, reason string) error {
	line := strings.TrimRight(fmt.Sprintf("%-7s  %-*s  %s", verdict, t.path, path, reason), " ")
	_, err := t.Output.Write([]byte(line + "\n"))
	return err
}

// reasons says in words what led to the verdict.
func reasons(v hashmatch.Verdict) []string {
	var lines []string
	if a := v.AllowedBy; a != nil {
		lines = append(lines, fmt.Sprintf("allowed by list %s, entry %s (%s)", Printable(a.List), Printable(a.Entry), a.Kind))
	}
	for _, m := range v.Matches[:min(len(v.Matches), tableMatches)] {
		lines = append(lines, matchWords(m))
	}
	if more := len(v.Matches) + v.MatchesOmitted - tableMatches; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	for _, f := range v.Failures {
		words := "not scanned in full: "
		if f.Code == hashmatch.NotImage {
			words = ""
		}
		lines = append(lines, words+Printable(f.Error()))
	}
	for _, n := range v.Notes {
		lines = append(lines, Printable(string(n)))
	}
	return lines
}

// matchWords says of one match what was found, where, and how near it is.
func matchWords(m hashmatch.Match) string {
	how := []string{m.Kind.String()}
	what := "exact match"
	if !m.Exact() {
		what = "near match"
		how = append(how, fmt.Sprintf("distance %d of %d", m.Distance, m.Threshold))
	}
	if m.Frame > 0 {
		how = append(how, fmt.Sprintf("frame %d", m.Frame))
	}
	how = append(how, viewWords(m.View)...)
	if m.Status != hashmatch.Active {
		how = append(how, m.Status.String())
	}
	words := fmt.Sprintf("%s: list %s, entry %s (%s)", what, Printable(m.List), Printable(m.Entry), strings.Join(how, ", "))
	for _, label := range m.Labels {
		words += " " + Printable(label)
	}
	return words
}

// Printable returns text if a terminal shows it as it is, else as a quoted Go string.
func Printable(text string) string {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
