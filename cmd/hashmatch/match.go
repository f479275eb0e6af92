package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/batch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

// defaultThreshold asks for the threshold of each kind that policies have unless they say otherwise.
const defaultThreshold = -1

func newMatch() *cobra.Command {
	var lists []string
	var threshold int
	var output string
	cmd := &cobra.Command{
		Use:   "match --list [NAME=]FILE [flags] KIND:HEX...",
		Short: "Search lists for hashes that were computed elsewhere",
		Long: `Search lists for hashes that were computed elsewhere, within a distance in bits.

Digests (md5, sha1, sha256) are searched exactly. No policy decides here: every entry within the threshold is printed,
withdrawn ones excepted.

A hash of a kind that no list holds is wrong usage: there is nothing to search.

Exit codes: 0 no match; 1 a match; 2 wrong usage or list; 5 the output could not be written; 130 interrupted.`,
		Args: someArgs("match: no hash: name hashes as KIND:HEX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q: want text or json", output)
			}
			if len(lists) == 0 {
				return errors.New("match: no --list: there is nothing to compare with")
			}
			var queries []hashmatch.Hash
			for _, arg := range args {
				query, err := hashmatch.ParseHash(arg)
				if err != nil {
					return fmt.Errorf("%s: %w", printable(arg), err)
				}
				if query.Zero() {
					return fmt.Errorf("%s: an all-zero hash stands for no picture", printable(arg))
				}
				if widest := policy.MaxThreshold(query.Kind); threshold != defaultThreshold && (threshold < 0 || threshold > widest) {
					return fmt.Errorf("--threshold %d: want 0 to %d for %s", threshold, widest, query.Kind)
				}
				queries = append(queries, query)
			}
			conf := config.Public(hashmatch.Hold)
			for _, text := range lists {
				list, err := listFlag(text)
				if err != nil {
					return err
				}
				if err := conf.AddList(list); err != nil {
					return err
				}
			}
			engine, err := conf.Open(cmd.Context(), config.OpenOptions{})
			if err != nil {
				return err
			}
			defer engine.Close()
			if err := engine.LoadLists(cmd.Context()); err != nil {
				if cmd.Context().Err() != nil {
					return exit(exitInterrupted, nil)
				}
				return err
			}
			surface, err := conf.Surface(conf.Declarations[0].Name)
			if err != nil {
				return err
			}
			for _, query := range queries {
				if !engine.Lists().Kinds().Has(query.Kind) {
					return fmt.Errorf("no list holds %s hashes: nothing was searched", query.Kind)
				}
			}
			matched := false
			for _, query := range queries {
				matches, err := findMatches(engine, surface, query, threshold)
				if err != nil {
					return err
				}
				matched = matched || len(matches) > 0
				if err := printMatches(cmd, output, query, matches); err != nil {
					return exit(exitUnwritten, fmt.Errorf("writing results: %w", err))
				}
			}
			if matched {
				return exit(exitMatched, nil)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&lists, "list", nil, "a list to search, as FILE or NAME=FILE; may be given again")
	cmd.Flags().IntVar(&threshold, "threshold", defaultThreshold, "widest distance in bits (default: that of the kind: 31 for pdq)")
	cmd.Flags().StringVar(&output, "output", "text", "text or json (one object a hash)")
	fixedCompletion(cmd, "output", "text", "json")
	return cmd
}

// findMatches returns an error if a list's file was changed while it was searched: what was found is worth nothing then.
func findMatches(engine *config.Engine, surface hashmatch.Surface, query hashmatch.Hash, threshold int) (matches []hashmatch.Match, err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		changed, ok := r.(error)
		if !ok || !errors.Is(changed, hashlist.ErrChanged) {
			panic(r)
		}
		matches, err = nil, changed
	}()
	matches = []hashmatch.Match{}
	reach := func(list string) int {
		if threshold == defaultThreshold {
			return engine.Policy().Reach(surface, list, query.Kind, 100)
		}
		return threshold
	}
	engine.Lists().Search(query, reach, func(m hashmatch.Match) {
		if m.Labels == nil {
			m.Labels = []string{}
		}
		matches = append(matches, m)
	})
	slices.SortStableFunc(matches, func(a, b hashmatch.Match) int { return a.Distance - b.Distance })
	return matches, nil
}

type jsonMatch struct {
	List      string           `json:"list"`
	Entry     string           `json:"entry"`
	Kind      hashmatch.Kind   `json:"kind"`
	Distance  int              `json:"distance"`
	Threshold int              `json:"threshold"`
	Labels    []string         `json:"labels"`
	Status    hashmatch.Status `json:"status"`
}

func printMatches(cmd *cobra.Command, output string, query hashmatch.Hash, matches []hashmatch.Match) error {
	w := cmd.OutOrStdout()
	if output == "json" {
		record := struct {
			Query   hashmatch.Hash `json:"query"`
			Matches []jsonMatch    `json:"matches"`
		}{query, []jsonMatch{}}
		for _, m := range matches {
			record.Matches = append(record.Matches, jsonMatch{m.List, m.Entry, m.Kind, m.Distance, m.Threshold, m.Labels, m.Status})
		}
		return json.NewEncoder(w).Encode(record)
	}
	var text strings.Builder
	if len(matches) == 0 {
		fmt.Fprintf(&text, "%s no match\n", query)
	}
	for _, m := range matches {
		fmt.Fprintf(&text, "%s list=%s entry=%s distance=%d threshold=%d status=%s", query, printable(m.List), printable(m.Entry),
			m.Distance, m.Threshold, m.Status)
		if len(m.Labels) > 0 {
			fmt.Fprintf(&text, " labels=%s", printable(strings.Join(m.Labels, ",")))
		}
		text.WriteByte('\n')
	}
	_, err := fmt.Fprint(w, text.String())
	return err
}

// printable returns text as a terminal can show it.
func printable(text string) string { return batch.Printable(text) }
