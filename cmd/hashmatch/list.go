package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/hashlist/format"
	"example.org/hashmatch/pkg/hashmatch/hashlist/seal"
	"example.org/hashmatch/pkg/hashmatch/lookup"
)

func newList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Import, export, look at and verify hash lists",
		Args:  commandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return exit(exitUsage, nil)
		},
	}
	cmd.AddCommand(newListImport(), newListExport(), newListInfo(), newListVerify(), newListSync(), newListShow(), newListDiff(), newListStats(), newListKey(), newListSign())
	cmd.AddCommand(newListPending(), newListPromote(), newListRefuse(), newListRollback(), newListFeedback())
	return cmd
}

func newListImport() *cobra.Command {
	var snapshot, formatName, name string
	var reading readingFlags
	var sealed sealFlags
	var skip, replace, noIndex bool
	cmd := &cobra.Command{
		Use:   "import --into SNAPSHOT FILE...",
		Short: "Read list files into a snapshot, made if it is not there",
		Long: `Read list files into a snapshot, which loads faster than text and keeps what was imported before. Formats, told by
their content unless --format is given:

` + formatsHelp + `

A line that cannot be read fails the import, and the snapshot stays as it was, unless --skip-bad-lines is given: then
each such line is reported and left out. Importing a file again changes nothing.

With --sign or --encrypt, or with --config as its keys say, the snapshot is signed and encrypted (docs/lists.md); what is
in it before must be signed as well. One that was stays so, unless --plain is given.

The snapshot of a list of 100,000 hashes or more has its index with it, so that it is loaded at once (unless --no-index).`,
		Args: someArgs("list import: no file: name list files to read"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if snapshot == "" {
				return errors.New("list import: --into: which snapshot?")
			}
			refused := refusals{w: cmd.ErrOrStderr(), skip: skip}
			options := format.Options{List: name, AllowSkips: skip, Now: time.Now().UTC(), Report: refused.take}
			if formatName != "" {
				var err error
				if options.Format, err = format.ParseFormat(formatName); err != nil {
					return err
				}
			}
			if err := reading.set(&options); err != nil {
				return err
			}
			how, err := sealed.open(snapshot, name)
			if err != nil {
				return err
			}
			list, err := how.existing(snapshot)
			if errors.Is(err, os.ErrNotExist) {
				list, err = hashlist.New(func(func(hashmatch.Entry) bool) {})
			}
			if err != nil {
				return fmt.Errorf("%s: %w", printable(snapshot), err)
			}
			for _, path := range args {
				if err := cmd.Context().Err(); err != nil {
					return exit(exitInterrupted, nil)
				}
				imported, result, err := importFile(path, options)
				err = refused.failed(flagFor(err))
				if err == nil {
					list, err = admit(list, imported, result, replace)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", printable(path), err)
				}
				merge := list.Merge
				if replace {
					merge = list.Replace
				}
				var summary hashlist.Summary
				if list, summary, err = merge(imported, options.Now); err != nil {
					return fmt.Errorf("%s: %w", printable(path), err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %d lines, %d skipped, %d of other lists; %d entries added, %d changed, %d unchanged, %d withdrawn, %d removed\n",
					printable(path), result.Format, result.Lines, result.Skipped, result.OtherLists,
					summary.Added, summary.Changed, summary.Unchanged, summary.Withdrawn, summary.Removed)
				reportReading(cmd.ErrOrStderr(), printable(path), result)
				if dropped := result.Superseded + summary.Stale; dropped > 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d records left out: a later one of the same entry stands in their place\n",
						printable(path), dropped)
				}
			}
			info := list.Info()
			info.Synced = options.Now
			if name != "" {
				info.Name = name
			}
			list = list.WithInfo(info)
			var extras []hashlist.Extra
			if !noIndex && lookup.Hashes(list) >= lookup.ImageFrom {
				extra, ok, err := lookup.Image(cmd.Context(), list)
				if errors.Is(err, context.Canceled) {
					return exit(exitInterrupted, nil)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", printable(snapshot), err)
				}
				if ok {
					extras = append(extras, extra)
				}
			}
			if err := how.write(snapshot, list, extras...); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d entries, revision %s\n", printable(snapshot), list.Len(), list.Revision())
			return err
		},
	}
	cmd.Flags().StringVar(&snapshot, "into", "", "the snapshot")
	cmd.Flags().StringVar(&formatName, "format", "", strings.Join(format.Names(), ", ")+" (default: told by the content)")
	reading.add(cmd)
	sealed.add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "of a csv of several lists, the list to read")
	cmd.Flags().BoolVar(&skip, "skip-bad-lines", false, "report lines that cannot be read and leave them out")
	cmd.Flags().BoolVar(&replace, "replace", false, "the files are the whole list: remove entries that they do not have")
	cmd.Flags().BoolVar(&noIndex, "no-index", false, "leave the index of a large list out of the snapshot: smaller, and slower to load")
	fixedCompletion(cmd, "format", format.Names()...)
	return cmd
}

func importFile(path string, options format.Options) (*hashlist.List, format.Result, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, format.Result{}, err
	}
	defer file.Close()
	return format.Import(file, options)
}

func newListExport() *cobra.Command {
	var formatName, outputFile string
	var mapping map[string]string
	var identities identityFlags
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "export [flags] LIST",
		Short: "Write a list as text",
		Long:  "Write a list as text. What the format cannot carry is counted on standard error.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := format.ParseFormat(formatName)
			if err == nil {
				err = format.CheckExport(f, mapping)
			}
			if err != nil {
				return err
			}
			if outputFile != "" {
				if err := checkOutput("--output-file", outputFile, overwrite, input{"the list", args[0]}); err != nil {
					return err
				}
			}
			list, err := identities.read(args[0])
			if err != nil {
				return err
			}
			var w io.Writer = cmd.OutOrStdout()
			var file *os.File
			if outputFile != "" {
				if file, err = os.OpenFile(outputFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
					return exit(exitUnwritten, err)
				}
				w = file
			}
			exported, err := format.ExportMapped(w, list, f, mapping)
			if file != nil {
				err = errors.Join(err, file.Sync(), file.Close())
			}
			if err != nil {
				return exit(exitUnwritten, fmt.Errorf("writing the list: %w", err))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d entries, %d lines\n", exported.Entries, exported.Lines)
			for _, what := range slices.Sorted(mapKeys(exported.Omitted)) {
				fmt.Fprintf(cmd.ErrOrStderr(), "  not carried by %s: %s, %d\n", f, what, exported.Omitted[what])
			}
			return nil
		},
	}
	identities.add(cmd)
	cmd.Flags().StringVar(&formatName, "format", "csv", strings.Join(format.Exports(), ", "))
	cmd.Flags().StringToStringVar(&mapping, "map", nil, "vics: the category of each classification, as in list import: category:1=A1")
	cmd.Flags().StringVar(&outputFile, "output-file", "", "write to this file, made readable for you only, in place of standard output")
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "with --output-file, replace a file that holds something")
	fixedCompletion(cmd, "format", format.Exports()...)
	return cmd
}

type listInfo struct {
	File     string         `json:"file"`
	Name     string         `json:"name"`
	Source   string         `json:"source"`
	Revision string         `json:"revision"`
	Entries  int            `json:"entries"`
	Kinds    map[string]int `json:"kinds"`  // searchable signatures
	Opaque   map[string]int `json:"opaque"` // signatures of schemes that hashmatch does not compute
	Statuses map[string]int `json:"statuses"`
	Synced   *time.Time     `json:"synced"`
}

func newListInfo() *cobra.Command {
	var identities identityFlags
	var output string
	cmd := &cobra.Command{
		Use:   "info LIST",
		Short: "Say what is in a list: revision, entries, kinds, statuses, age; no hash",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q: want text or json", output)
			}
			list, err := identities.read(args[0])
			if err != nil {
				return err
			}
			info := listInfo{File: args[0], Name: list.Info().Name, Source: list.Info().Source, Revision: list.Revision().String(),
				Entries: list.Len(), Kinds: map[string]int{}, Opaque: list.OpaqueCounts(), Statuses: map[string]int{}}
			for kind, n := range list.Counts() {
				info.Kinds[kind.String()] = n
			}
			for status, n := range list.StatusCounts() {
				info.Statuses[status.String()] = n
			}
			if synced := list.Synced(); !synced.IsZero() {
				info.Synced = &synced
			}
			if output == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(info)
			}
			return printListInfo(cmd.OutOrStdout(), info)
		},
	}
	identities.add(cmd)
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	fixedCompletion(cmd, "output", "text", "json")
	return cmd
}

func printListInfo(w io.Writer, info listInfo) error {
	synced, name := "unknown", "not stated"
	if info.Name != "" {
		name = printable(info.Name)
	}
	if info.Synced != nil {
		synced = info.Synced.Format(time.RFC3339)
	}
	_, err := fmt.Fprintf(w, "file      %s\nname      %s\nrevision  %s\nentries   %d\nkinds     %s\nopaque    %s\nstatuses  %s\nsynced    %s\n",
		printable(info.File), name, info.Revision, info.Entries,
		countsText(info.Kinds), countsText(info.Opaque), countsText(info.Statuses), synced)
	return err
}

func countsText(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(mapKeys(counts)) {
		if counts[name] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", printable(name), counts[name]))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func newListVerify() *cobra.Command {
	var identities identityFlags
	cmd := &cobra.Command{
		Use:   "verify LIST",
		Short: "Check that a list is whole and that every one of its hashes is found",
		Long: `Check that a list is whole (checksums and revision of a snapshot, every line of a text) and that the index built from
it finds every one of its hashes with the entry that has it; of a snapshot that has its index with it, that index.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := identities.read(args[0])
			if err != nil {
				return err
			}
			served, err := serveVerified(cmd.Context(), args[0], list, &identities)
			if err != nil {
				return err
			}
			n, err := verifyFound(cmd.Context(), served)
			if errors.Is(err, context.Canceled) {
				return exit(exitInterrupted, nil)
			}
			if err != nil {
				return err
			}
			how := "in the index that it has with it"
			if reason := served.Built(); reason != "" {
				how = "in an index that was built: " + reason
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: whole, %d entries, revision %s; each of its %d hashes was found, %s\n",
				printable(args[0]), list.Len(), list.Revision(), n, how)
			return err
		},
	}
	identities.add(cmd)
	return cmd
}

// serveVerified makes a list that was read in full ready to be searched as a scan would.
func serveVerified(ctx context.Context, path string, list *hashlist.List, flags *identityFlags) (*lookup.Served, error) {
	identities, err := seal.ReadIdentities(flags.files...)
	if err != nil {
		return nil, err
	}
	snapshot, _, err := seal.Open(path, seal.Reading{Identities: identities})
	if errors.Is(err, hashlist.ErrNotSnapshot) {
		return lookup.Serve(ctx, path, list)
	}
	if err != nil {
		return nil, err
	}
	if snapshot.List().Revision() != list.Revision() {
		return nil, hashlist.ErrChanged
	}
	served, err := lookup.ServeSnapshot(ctx, path, snapshot)
	if err != nil {
		return nil, err
	}
	if served = served.Refresh(list); served == nil {
		return nil, hashlist.ErrChanged
	}
	return served, nil
}

// verifyFound searches every signature of a list in the index that was built from it.
func verifyFound(ctx context.Context, served *lookup.Served) (n int, err error) {
	defer func() {
		if served.Err() != nil { // the file was changed meanwhile: a search panics with it
			_ = recover()
			err = served.Err()
		}
	}()
	for h, ordinal := range served.List().Signatures() {
		if n%4096 == 0 && ctx.Err() != nil {
			return n, ctx.Err()
		}
		n++
		hits := served.Index().Search(nil, h, 0)
		if len(hits) != 1 || !slices.Contains(hits[0].Entries, ordinal) {
			return n, fmt.Errorf("the index does not find a %s hash of entry %s", h.Kind, printable(served.List().Key(ordinal).String()))
		}
	}
	return n, nil
}
