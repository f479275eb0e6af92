package format

import (
	"bufio"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

// Exported counts what was written, and what the format could not carry.
type Exported struct {
	Entries int // of which something was written
	Lines   int // with the header
	// Omitted counts by name what was left out: "votes", "classification", "update time" and "label" by entry,
	// signatures of an opaque scheme by the scheme, and entries whose status has no place in the format by the
	// status. Empty means that an import gives the same revision, but for the IDs of pytx text and CSV.
	Omitted map[string]int
}

// ErrNoExport is returned for the formats that are read only.
var ErrNoExport = errors.New("lists are read from this format, not written to it")

// Exports returns the names of the formats that Export writes.
func Exports() []string {
	return []string{CSV.String(), PytxText.String(), PytxCSV.String(), NCMEC.String(), VICS.String(), HMA.String()}
}

// CheckExport says why ExportMapped cannot write that format with that mapping, or returns nil.
func CheckExport(f Format, mapping map[string]string) error {
	switch {
	case f == Unknown || f >= formatEnd:
		return fmt.Errorf("%w: format %d", ErrFormat, f)
	case !slices.Contains(Exports(), f.String()):
		return fmt.Errorf("%s: %w", f, ErrNoExport)
	case f == VICS && len(categoriesOf(mapping)) == 0:
		return fmt.Errorf("%w: vics: which category is each classification? State it as in category:1=A1", ErrOptions)
	}
	return nil
}

// Export is ExportMapped without a mapping.
func Export(w io.Writer, l *hashlist.List, f Format) (Exported, error) {
	return ExportMapped(w, l, f, nil)
}

// ExportMapped writes the list in a format; mapping is what Options.Map was or will be when it is read: VICS needs it.
// Some formats say of what is in them that it is listed, and nothing else: the pytx formats, VICS and HMA get none of
// suspended or withdrawn entries, and all but pytx CSV none of disputed ones; NCMEC has withdrawals. Lines are in
// the order of the list: the same list gives the same bytes.
func ExportMapped(w io.Writer, l *hashlist.List, f Format, mapping map[string]string) (Exported, error) {
	x := exporter{list: l.Info().Name, done: Exported{Omitted: make(map[string]int)}}
	if err := CheckExport(f, mapping); err != nil {
		return x.done, err
	}
	buffered := bufio.NewWriterSize(w, 1<<16)
	x.csv = csv.NewWriter(buffered)
	x.text = buffered
	var write func(*hashmatch.Entry)
	switch f {
	case CSV:
		write = x.csvRows
		x.line("entry", "kind", "hash", "list", "label", "status", "updated")
	case PytxText:
		write = x.pytxText
	case PytxCSV:
		write = x.pytxRows
		x.line("signal_type", "signal_str", "collab", "category", "tags")
	case NCMEC:
		x.ncmec(l)
	case VICS:
		x.categories = categoriesOf(mapping)
		write = x.vicsMedia
		x.print("{\"@odata.context\":\"http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/Default/$metadata#Media\",\n\"value\":[")
	case HMA:
		write = x.hmaSignal
	}
	if write != nil {
		x.each(l, write)
	}
	if f == VICS {
		x.print("\n]}\n")
	}
	if x.err == nil {
		x.csv.Flush()
		x.err = x.csv.Error()
	}
	if x.err == nil {
		x.err = buffered.Flush()
	}
	return x.done, x.err
}

type exporter struct {
	list       string
	csv        *csv.Writer
	text       *bufio.Writer
	categories map[string]string // VICS: by classification
	done       Exported
	err        error
}

// each writes every entry, until an error.
func (x *exporter) each(l *hashlist.List, write func(*hashmatch.Entry)) {
	for _, e := range l.Entries() {
		before := x.done.Lines
		write(&e)
		if x.done.Lines > before {
			x.done.Entries++
		}
		if x.err != nil {
			return
		}
	}
}

// print writes a line, or a part of one; its end is counted by the caller.
func (x *exporter) print(text string) {
	if x.err == nil {
		_, x.err = x.text.WriteString(text)
		x.done.Lines += strings.Count(text, "\n")
	}
}

func (x *exporter) line(fields ...string) {
	if x.err == nil {
		x.err = x.csv.Write(fields)
		x.done.Lines++
	}
}

func (x *exporter) omit(what string, missing bool) {
	if missing {
		x.done.Omitted[what]++
	}
}

// word returns the kind and the text of a signature; false if these formats have none for it.
func (x *exporter) word(s *hashmatch.Signature) (kind, text string, ok bool) {
	switch {
	case s.Scheme == "":
		return s.Hash.Kind.String(), s.Hash.Hex(), true
	case s.Scheme == photoDNA && len(s.Opaque) == photoDNABytes:
		return photoDNA, base64.StdEncoding.EncodeToString([]byte(s.Opaque)), true
	}
	x.omit(s.Scheme, true)
	return "", "", false
}

// losses counts what no format here carries.
func (x *exporter) losses(e *hashmatch.Entry) {
	for _, s := range e.Signatures {
		if s.Votes != (hashmatch.Votes{}) {
			x.omit("votes", true)
			break
		}
	}
}

var labelEscape = strings.NewReplacer("%", "%25", ";", "%3B")

func (x *exporter) csvRows(e *hashmatch.Entry) {
	x.losses(e)
	x.omit("classification", e.Classification != "")
	var labels strings.Builder
	for i, label := range e.Labels {
		if i > 0 {
			labels.WriteByte(';')
		}
		labelEscape.WriteString(&labels, label)
	}
	key, updated := e.Key.String(), ""
	if !e.Updated.IsZero() {
		updated = e.Updated.UTC().Format(time.RFC3339Nano)
	}
	if len(e.Signatures) == 0 {
		x.line(key, "", "", x.list, labels.String(), e.Status.String(), updated)
	}
	for i := range e.Signatures {
		if kind, text, ok := x.word(&e.Signatures[i]); ok {
			x.line(key, kind, text, x.list, labels.String(), e.Status.String(), updated)
		}
	}
}

func (x *exporter) pytxText(e *hashmatch.Entry) {
	if e.Status != hashmatch.Active {
		x.omit(e.Status.String(), true)
		return
	}
	x.losses(e)
	x.omit("update time", !e.Updated.IsZero())
	x.omit("classification", e.Classification != "")
	x.omit("label", len(e.Labels) > 0)
	for i := range e.Signatures {
		if kind, text, ok := x.word(&e.Signatures[i]); ok && x.err == nil {
			_, x.err = fmt.Fprintf(x.text, "%s %s\n", kind, text)
			x.done.Lines++
		}
	}
}

func (x *exporter) pytxRows(e *hashmatch.Entry) {
	if e.Status > hashmatch.Disputed {
		x.omit(e.Status.String(), true)
		return
	}
	x.losses(e)
	x.omit("update time", !e.Updated.IsZero())
	category := e.Classification
	if e.Status == hashmatch.Disputed && !disputedCategories[strings.ToUpper(category)] {
		x.omit("classification", category != "")
		category = "DISPUTED"
	}
	var tags []string
	spaced := false
	for _, label := range e.Labels {
		switch {
		case label == category:
		case strings.ContainsFunc(label, unicode.IsSpace):
			spaced = true
		default:
			tags = append(tags, label)
		}
	}
	x.omit("label", spaced)
	for i := range e.Signatures {
		if kind, text, ok := x.word(&e.Signatures[i]); ok {
			x.line(kind, text, e.Key.Source, category, strings.Join(tags, " "))
		}
	}
}
