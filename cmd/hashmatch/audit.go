package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/audit"
)

// exitBroken is the exit code of audit verify for a log that is not as it was written.
const exitBroken = 1

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify and read the log of answers",
		Args:  commandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return exit(exitUsage, nil)
		},
	}
	cmd.AddCommand(newAuditVerify(), newAuditShow(), newAuditKey())
	return cmd
}

func newAuditVerify() *cobra.Command {
	var heads, keys []string
	var first uint64
	var output string
	cmd := &cobra.Command{
		Use:   "verify [flags] DIRECTORY",
		Short: "Find every record that was changed, removed, inserted or cut off",
		Long: `Find every record of a log that was changed, removed, inserted, put elsewhere or cut off.

Without --head only the chain is looked at: whoever can write to the log could have written another one. With heads that
were kept elsewhere, and the public key that they were signed with, everything before the newest head is proven. Without
the key the heads are compared and their signatures are not: that proves nothing against who could write the heads too.

Exit codes: 0 the log is as it was written; 1 it is not, or there is no record in it; 2 wrong usage, or it could not be
read.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(keys) > 0 && len(heads) == 0 {
				return errors.New("audit verify: --public-key without --head: the heads are what is signed, so nothing would be verified with the key")
			}
			options := audit.Options{First: first}
			for _, path := range keys {
				public, err := audit.ReadPublicKeys(path)
				if err != nil {
					return fmt.Errorf("--public-key: %w", err)
				}
				options.PublicKeys = append(options.PublicKeys, public...)
			}
			for _, path := range heads {
				found, err := readHeads(path)
				if err != nil {
					return fmt.Errorf("--head: %w", err)
				}
				options.Heads = append(options.Heads, found...)
			}
			report, err := audit.Verify(args[0], options)
			if err != nil {
				return err
			}
			if err := printReport(cmd.OutOrStdout(), output, report); err != nil {
				return exit(exitUnwritten, err)
			}
			if len(heads) > 0 && len(keys) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "hashmatch: THE SIGNATURES OF THE HEADS WERE NOT VERIFIED: without --public-key whoever wrote the log can have written the heads")
			}
			if report.Records == 0 && report.OK() {
				return exit(exitBroken, errors.New("no record: there is no log in the folder, or nothing is left of it"))
			}
			if !report.OK() {
				return exit(exitBroken, errors.New("the log is not as it was written"))
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&heads, "head", nil, "a file of heads, one a line; may be given again")
	cmd.Flags().StringArrayVar(&keys, "public-key", nil, "a file of the public key that heads are signed with; may be given again")
	cmd.Flags().Uint64Var(&first, "first", 0, "the number of the first record, if older segments were removed on purpose")
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	fixedCompletion(cmd, "output", "text", "json")
	return cmd
}

func readHeads(path string) ([]audit.Head, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	heads, _, err := audit.ReadHeads(file)
	if err == nil && len(heads) == 0 {
		err = errors.New(printable(path) + ": no head in it")
	}
	return heads, err
}

func printReport(w io.Writer, output string, r audit.Report) error {
	switch output {
	case "json":
		return json.NewEncoder(w).Encode(r)
	case "text":
	default:
		return fmt.Errorf("--output %q: want text or json", output)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d records in %d segments, %d to %d; %d heads compared", r.Records, r.Segments, r.First, r.Last, r.Heads)
	if r.Heads > 0 {
		fmt.Fprintf(&text, ", the newest of record %d", r.HeadSeq)
	}
	text.WriteByte('\n')
	for _, f := range r.Findings {
		fmt.Fprintln(&text, printable(f.String()))
	}
	if r.Omitted > 0 {
		fmt.Fprintf(&text, "and %d more\n", r.Omitted)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func newAuditShow() *cobra.Command {
	var item, since, kind string
	cmd := &cobra.Command{
		Use:   "show [flags] DIRECTORY",
		Short: "Print records, one JSON object a line, as they are in the log",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var from time.Time
			if since != "" {
				var err error
				if from, err = time.Parse(time.RFC3339, since); err != nil {
					return fmt.Errorf("--since %q: want a time such as 2026-01-31T12:00:00Z", since)
				}
			}
			if _, err := os.Stat(args[0]); err != nil {
				return err
			}
			broken := 0
			for entry, err := range audit.Records(args[0]) {
				if err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), "hashmatch:", printable(err.Error()))
					broken++
					continue
				}
				if item != "" && entry.Item != item || kind != "" && entry.Type != kind || entry.Time.Before(from) {
					continue
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", entry.Raw); err != nil {
					return exit(exitUnwritten, err)
				}
			}
			if broken > 0 {
				return exit(exitBroken, fmt.Errorf("%d lines are no records: see hashmatch audit verify", broken))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&item, "item", "", "only records about this item")
	cmd.Flags().StringVar(&since, "since", "", "only records of this time (RFC 3339) and later")
	cmd.Flags().StringVar(&kind, "type", "", "only records of this type: upload, reload, review.released, …")
	return cmd
}

func newAuditKey() *cobra.Command {
	return &cobra.Command{
		Use:   "key FILE",
		Short: "Make the key that heads are signed with: FILE, and FILE" + audit.PublicKeySuffix + " for whoever verifies",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, key, err := audit.GenerateKey()
			if err != nil {
				return err
			}
			return audit.WriteKeyFiles(args[0], key)
		},
	}
}
