package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

type listDiff struct {
	Before    diffSide `json:"before"`
	After     diffSide `json:"after"`
	Added     int      `json:"added"`
	Removed   int      `json:"removed"`
	Changed   int      `json:"changed"`
	Withdrawn int      `json:"withdrawn"`
}

type diffSide struct {
	File     string `json:"file"`
	Revision string `json:"revision"`
	Entries  int    `json:"entries"`
}

func (d *listDiff) count(what hashlist.Difference) {
	switch what {
	case hashlist.Added:
		d.Added++
	case hashlist.Removed:
		d.Removed++
	case hashlist.Changed:
		d.Changed++
	case hashlist.Withdrawn:
		d.Withdrawn++
	}
}

// diffLine is a line of --verbose in JSON.
type diffLine struct {
	Difference hashlist.Difference `json:"difference"`
	Entry      string              `json:"entry"`
	Before     *shownEntry         `json:"before"`
	After      *shownEntry         `json:"after"`
}

func newListDiff() *cobra.Command {
	var identities identityFlags
	var output string
	var verbose, hashes bool
	cmd := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "Say in which entries two lists differ: added, removed, changed, withdrawn",
		Long: `Say in which entries two lists differ: those that were added, removed, changed or withdrawn, counted, and each of them
with --verbose. When an entry was added here or last confirmed is no part of it. In JSON each entry is a line, and the
counts are the last one.

Exit codes: 0 they do not differ, 1 they differ, 2 wrong usage or list.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q: want text or json", output)
			}
			before, err := identities.read(args[0])
			if err != nil {
				return err
			}
			after, err := identities.read(args[1])
			if err != nil {
				return err
			}
			d := listDiff{
				Before: diffSide{args[0], before.Revision().String(), before.Len()},
				After:  diffSide{args[1], after.Revision().String(), after.Len()},
			}
			out := cmd.OutOrStdout()
			for one := range hashlist.Diff(before, after) {
				if d.count(one.Difference); verbose {
					if err := printDiffering(out, &one, output, hashes); err != nil {
						return exit(exitUnwritten, err)
					}
				}
				if cmd.Context().Err() != nil {
					return exit(exitInterrupted, nil)
				}
			}
			if output == "json" {
				err = json.NewEncoder(out).Encode(d)
			} else {
				_, err = fmt.Fprintf(out, "%s, %d entries, revision %s\n%s, %d entries, revision %s\n%d added, %d removed, %d changed, %d withdrawn\n",
					printable(d.Before.File), d.Before.Entries, d.Before.Revision, printable(d.After.File), d.After.Entries, d.After.Revision,
					d.Added, d.Removed, d.Changed, d.Withdrawn)
			}
			if err != nil {
				return exit(exitUnwritten, err)
			}
			if d.Added+d.Removed+d.Changed+d.Withdrawn > 0 {
				return exit(exitMatched, nil)
			}
			return nil
		},
	}
	identities.add(cmd)
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "show each entry, before and after")
	cmd.Flags().BoolVar(&hashes, "hashes", false, "with --verbose, show hashes")
	fixedCompletion(cmd, "output", "text", "json")
	return cmd
}

func printDiffering(w io.Writer, one *hashlist.Differing, output string, hashes bool) error {
	line := diffLine{Difference: one.Difference, Entry: one.Key().String()}
	if one.Before.Key.ID != "" {
		shown := showEntry(&one.Before, hashes)
		line.Before = &shown
	}
	if one.After.Key.ID != "" {
		shown := showEntry(&one.After, hashes)
		line.After = &shown
	}
	if output == "json" {
		return json.NewEncoder(w).Encode(line)
	}
	if _, err := fmt.Fprintf(w, "%s %s\n", line.Difference, printable(line.Entry)); err != nil {
		return err
	}
	for _, side := range []struct {
		indent string
		entry  *shownEntry
	}{{"  - ", line.Before}, {"  + ", line.After}} {
		if side.entry != nil {
			if err := side.entry.print(w, side.indent); err != nil {
				return err
			}
		}
	}
	return nil
}
