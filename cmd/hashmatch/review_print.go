package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
)

// itemWriter writes items as rows of a table or as lines of JSON.
type itemWriter struct {
	table *tabwriter.Writer // nil for JSON
	json  *json.Encoder
	rows  int
}

func (f *reviewFlags) writer(w io.Writer) *itemWriter {
	if f.output == "json" {
		return &itemWriter{json: json.NewEncoder(w)}
	}
	return &itemWriter{table: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

func (w *itemWriter) row(item hook.ReviewItem) error {
	if w.json != nil {
		return w.json.Encode(item)
	}
	if w.rows++; w.rows == 1 {
		if _, err := fmt.Fprintln(w.table, "TIME\tSTATE\tACTION\tSURFACE\tITEM\tWHY"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w.table, "%s\t%s\t%s\t%s\t%s\t%s\n", item.Time.UTC().Format(time.DateTime), printable(string(item.State)), item.Action,
		printable(item.Surface), printable(item.Item), whyItem(item))
	return err
}

func (w *itemWriter) flush() error {
	if w.table == nil {
		return nil
	}
	if err := w.table.Flush(); err != nil {
		return exit(exitUnwritten, err)
	}
	return nil
}

// whyItem says in a few words why an item is there.
func whyItem(item hook.ReviewItem) string {
	var why []string
	if len(item.Matches) > 0 {
		m := item.Matches[0]
		word := fmt.Sprintf("near (%s %d of %d)", printable(m.Kind), m.Distance, m.Threshold)
		if m.Exact {
			word = "exact (" + printable(m.Kind) + ")"
		}
		word += ": " + printable(m.List) + " " + printable(m.Entry)
		if more := len(item.Matches) + item.MatchesOmitted - 1; more > 0 {
			word += fmt.Sprintf(" and %d more", more)
		}
		why = append(why, word)
	}
	for _, f := range item.Failures {
		why = append(why, printable(string(f.Code)))
	}
	for _, n := range item.Notes {
		why = append(why, printable(string(n)))
	}
	return strings.Join(why, ", ")
}

// printItem prints everything about one item.
func printItem(w io.Writer, item hook.ReviewItem) error {
	var text strings.Builder
	line := func(key, format string, values ...any) {
		fmt.Fprintf(&text, "%-11s %s\n", key, fmt.Sprintf(format, values...))
	}
	stated := func(key, value string) {
		if value != "" {
			line(key, "%s", printable(value))
		}
	}
	stated("item", item.Item)
	stated("surface", item.Surface)
	stated("tenant", item.Tenant)
	stated("region", item.Region)
	line("came", "%s", item.Time.UTC().Format(time.RFC3339))
	stated("dialect", item.Dialect)
	stated("caller", item.Caller)
	line("state", "%s, version %d", printable(string(item.State)), item.Version)
	if item.Decided != nil {
		line("decided", "%s by %s: %s", item.Decided.UTC().Format(time.RFC3339), printable(item.Actor), printable(item.Reason))
	}
	line("answered", "%s", item.Action)
	if item.Would != item.Action {
		line("would be", "%s", item.Would)
	}
	if item.Shadow {
		line("shadow", "the surface is in shadow mode")
	}
	line("quarantine", "%s", map[bool]string{true: "has the content", false: "has nothing of it"}[item.Quarantined])
	for _, m := range item.Matches {
		how := fmt.Sprintf("near, %s at %d of %d", printable(m.Kind), m.Distance, m.Threshold)
		if m.Exact {
			how = "exact, " + printable(m.Kind)
		}
		line("match", "list %s, entry %s: %s; %s, frame %d, view %s, labels %s, %s", printable(m.List), printable(m.Entry), how, m.Action, m.Frame,
			viewText(m.View), printable(strings.Join(m.Labels, ",")), printable(m.Status))
	}
	if item.MatchesOmitted > 0 {
		line("match", "and %d more", item.MatchesOmitted)
	}
	for _, f := range item.Failures {
		line("failure", "%s", printable(f.Error()))
	}
	for _, n := range item.Notes {
		stated("note", string(n))
	}
	for _, effect := range item.EffectsFailed {
		line("failed", "%s", printable(effect))
	}
	for _, name := range slices.Sorted(mapKeys(item.Revisions)) {
		line("revision", "%s %s", printable(name), printable(item.Revisions[name]))
	}
	stated("policy", item.Policy)
	for _, e := range item.History {
		who := ""
		if e.Actor != "" {
			who = fmt.Sprintf(" by %s: %s", printable(e.Actor), printable(e.Reason))
		}
		line("history", "%s %s%s", e.Time.UTC().Format(time.RFC3339), printable(e.Event), who)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// viewText returns a view as a terminal can show it: "whole" for the picture as it is.
func viewText(v hashmatch.View) string {
	var parts []string
	for _, part := range []string{v.Orientation, v.Background, v.Panel, v.Geometry, string(v.Dihedral)} {
		if part != "" {
			parts = append(parts, printable(part))
		}
	}
	if parts == nil {
		return "whole"
	}
	return strings.Join(parts, " ")
}
