package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
)

const formatsHelp = `  csv             entry,kind,hash,list,label,status, and updated if the list says when entries change
  pytx-text       "pdq HEX" a line (also: pytx)
  pytx-csv        signal_type,signal_str,collab,category,tags
  ncmec           NCMEC hash sharing v2, XML
  vics            Project VIC 2.0, JSON; say what its categories mean: --map category:1=A1,category:2=-
  threatexchange  pages of threat_updates, JSON
  stopncii        pages of FetchHashes, JSON
  icse            ICSE, columns between semicolons
  nsrl            NSRLFile.txt: known files, for an allow-list only: --allow-list
  hma             signals as sent to a bank, JSON
  columns         any other CSV; say which column holds what, and --format columns:
                  --column entry=ID,md5=MD5,sha256=SHA-256,labels=Grade,status=State --map status:Live=active
                  or, with a column that names the kind: --column kind=Algorithm,hash=Hash

Hashes that hashmatch does not compute are counted by their scheme; PhotoDNA values are kept with their entries.`

// readingFlags are the flags that say how a list file is to be read.
type readingFlags struct {
	source, delimiter string
	allowList         bool
	mapping, columns  map[string]string
}

func (f *readingFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringToStringVar(&f.mapping, "map", nil, `what values stand for, as FIELD:VALUE=MEANING ("-" to leave such records out): category for vics; kind, labels, classification, status for columns`)
	cmd.Flags().StringToStringVar(&f.columns, "column", nil, "for columns, as ROLE=NAME; roles: "+strings.Join(format.Roles, ", ")+", or the kind of the hashes in it")
	cmd.Flags().StringVar(&f.delimiter, "delimiter", "", `for columns: what stands between them, a character or "tab" (default ",")`)
	cmd.Flags().StringVar(&f.source, "source", "", "the source of the entries, where the file does not state it (default: the format)")
	cmd.Flags().BoolVar(&f.allowList, "allow-list", false, "the snapshot is for a list with the role allow")
}

func (f *readingFlags) set(options *format.Options) error {
	options.Source, options.AllowList, options.Map = f.source, f.allowList, f.mapping
	for role, column := range f.columns {
		if err := options.Columns.Set(role, column); err != nil {
			return fmt.Errorf("--column: %w", err)
		}
	}
	switch {
	case f.delimiter == "tab" || f.delimiter == `\t`:
		options.Columns.Delimiter = '\t'
	case len(f.delimiter) == 1:
		options.Columns.Delimiter = f.delimiter[0]
	case f.delimiter != "":
		return fmt.Errorf(`--delimiter %q: want one character, or "tab"`, f.delimiter)
	}
	return nil
}

// flagFor names the flag that an error of reading asks for.
func flagFor(err error) error {
	if errors.Is(err, format.ErrAllowList) {
		return fmt.Errorf("%w; if it is to be one, say --allow-list", err)
	}
	return err
}

// admit refuses what must not go into a snapshot, and notes in it what it was imported from: by that, a list of known
// files is told from all others for as long as it exists.
func admit(list, imported *hashlist.List, result format.Result, replace bool) (*hashlist.List, error) {
	info := list.Info()
	source := imported.Info().Source
	switch {
	case replace && result.More:
		return nil, errors.New("its last page says that more follow: it is not the whole list, and --replace would remove the rest")
	case list.Len() == 0:
		info.Source = source
	case format.AllowListOnly(info) != format.AllowListOnly(imported.Info()):
		return nil, errors.New("known files (nsrl) and listed ones do not go into one snapshot")
	case info.Source != source && info.Source != "":
		info.Source = "several formats"
	}
	return list.WithInfo(info), nil
}

// reportReading says what was not taken over as it stands in the file.
func reportReading(w io.Writer, path string, result format.Result) {
	for _, name := range slices.Sorted(mapKeys(result.Uncomputed)) {
		fmt.Fprintf(w, "%s: %d hashes of %s: not computed here, not kept\n", path, result.Uncomputed[name], printable(name))
	}
	for _, text := range slices.Sorted(mapKeys(result.Remarks)) {
		fmt.Fprintf(w, "%s: %s: %d\n", path, text, result.Remarks[text])
	}
	if result.Opaque > 0 {
		fmt.Fprintf(w, "%s: %d records with a signature that is kept and not searched for uploads\n", path, result.Opaque)
	}
	if result.More {
		fmt.Fprintf(w, "%s: its last page says that more follow: it is not the whole list\n", path)
	}
}
