package batch

import (
	"encoding/csv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

// csvColumns are the columns of CSV. Those from list to status are of the first match, which is the strictest and
// nearest, and empty without one.
var csvColumns = []string{
	"path", "surface", "verdict", "matches",
	"list", "entry", "kind", "distance", "threshold", "view", "frame", "labels", "status",
	"failures", "notes", "allowed_by", "revisions", "policy", "ms_total",
}

// CSV writes a line of column names, if nothing was written to o yet, and one record for each file (RFC 4180):
//
//	path         as it is, line breaks and bytes that are no UTF-8 included, but with "./" before a relative path
//	             whose first character would make a formula of it in a spreadsheet (= + - @, tab, carriage return)
//	surface, verdict
//	matches      how many there are
//	list entry kind distance threshold view frame labels status
//	             of the first match, the strictest and nearest; view in words, "" for the picture as it is; labels
//	             separated by spaces
//	failures     "code: detail", separated by "; "
//	notes        separated by spaces
//	allowed_by   "list entry kind" of the allow-list entry that won over near matches
//	revisions    "list=revision" of each list, separated by spaces
//	policy       its revision
//	ms_total     milliseconds
func CSV(o *Output) Results {
	return &csvResults{Output: o, csv: csv.NewWriter(o), begun: o.Offset() > 0}
}

type csvResults struct {
	*Output
	csv   *csv.Writer
	begun bool
}

// Write writes one record.
func (c *csvResults) Write(r Result) error {
	if !c.begun {
		c.begun = true
		if err := c.csv.Write(csvColumns); err != nil {
			return err
		}
	}
	v := r.Verdict
	record := []string{inert(r.Path), v.Surface, v.Action.String(), strconv.Itoa(len(v.Matches) + v.MatchesOmitted)}
	if len(v.Matches) > 0 {
		m := v.Matches[0]
		record = append(record, m.List, m.Entry, m.Kind.String(), strconv.Itoa(m.Distance), strconv.Itoa(m.Threshold),
			strings.Join(viewWords(m.View), ", "), strconv.Itoa(m.Frame), strings.Join(m.Labels, " "), m.Status.String())
	} else {
		record = append(record, make([]string, 9)...)
	}
	var failures, notes, revisions []string
	for _, f := range v.Failures {
		failures = append(failures, f.Error())
	}
	for _, n := range v.Notes {
		notes = append(notes, string(n))
	}
	for _, list := range slices.Sorted(maps.Keys(v.Revisions)) {
		revisions = append(revisions, list+"="+v.Revisions[list])
	}
	allowedBy := ""
	if a := v.AllowedBy; a != nil {
		allowedBy = a.List + " " + a.Entry + " " + a.Kind.String()
	}
	record = append(record, strings.Join(failures, "; "), strings.Join(notes, " "), allowedBy,
		strings.Join(revisions, " "), v.Policy,
		strconv.FormatFloat(milliseconds(v.Timings.Total), 'f', -1, 64))
	if err := c.csv.Write(record); err != nil {
		return err
	}
	c.csv.Flush() // into the Output, so that its offset counts this record
	return c.csv.Error()
}

// inert returns path in a form that no spreadsheet computes.
func inert(path string) string {
	if path != "" && strings.ContainsRune("=+-@\t\r", rune(path[0])) {
		return "./" + path
	}
	return path
}

// viewWords says how the picture was looked at; nil for the picture as it is.
func viewWords(v hashmatch.View) []string {
	var words []string
	if v.Orientation != "" {
		words = append(words, v.Orientation+" orientation")
	}
	if v.Background != "" {
		words = append(words, "on "+v.Background)
	}
	if v.Panel != "" {
		words = append(words, "panel "+v.Panel)
	}
	if v.Geometry != "" {
		words = append(words, v.Geometry)
	}
	if v.Dihedral != "" {
		words = append(words, string(v.Dihedral))
	}
	return words
}
