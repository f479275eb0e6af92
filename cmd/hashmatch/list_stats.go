package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/policy"
)

type listStats struct {
	File            string               `json:"file"`
	Revision        string               `json:"revision"`
	Entries         int                  `json:"entries"`
	Kinds           map[string]int       `json:"kinds"`
	Opaque          map[string]int       `json:"opaque"`
	Statuses        map[string]int       `json:"statuses"`
	Sources         map[string]int       `json:"sources"`
	Members         map[string]int       `json:"members"`
	Labels          map[string]int       `json:"labels"`
	Classifications map[string]int       `json:"classifications"`
	Updated         statsAges            `json:"updated"`
	Synced          statsAges            `json:"synced"`
	Votes           statsVotes           `json:"votes"`
	Overlaps        []statsOverlap       `json:"overlaps"`
	Bits            map[string]statsBits `json:"bits"`
	Clusters        []statsCluster       `json:"clusters"`
}

type statsAges struct {
	Day     int        `json:"day"`
	Week    int        `json:"week"`
	Month   int        `json:"month"`
	Quarter int        `json:"quarter"`
	Year    int        `json:"year"`
	Older   int        `json:"older"`
	Unknown int        `json:"unknown"`
	Oldest  *time.Time `json:"oldest"`
	Newest  *time.Time `json:"newest"`
}

type statsVotes struct {
	Signatures int    `json:"signatures"`
	Contested  int    `json:"contested"`
	Positive   uint64 `json:"positive"`
	Negative   uint64 `json:"negative"`
}

type statsOverlap struct {
	Sources []string `json:"sources"`
	Hashes  int      `json:"hashes"`
}

type statsBits struct {
	Hashes  int     `json:"hashes"`
	Mean    float64 `json:"mean"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
	Skewed  int     `json:"skewed"`
}

type statsCluster struct {
	Kind   string `json:"kind"`
	Radius int    `json:"radius"`
	Hashes int    `json:"hashes"`
	Centre string `json:"centre"`
}

func newListStats() *cobra.Command {
	var identities identityFlags
	var output string
	var noClusters bool
	cmd := &cobra.Command{
		Use:   "stats LIST",
		Short: "Count what is in a list: kinds, sources, ages, votes, overlaps, bit balance, clusters; no hash",
		Long: `Count what is in a list, without a hash: kinds, sources and members, statuses, labels, ages, votes; how many hashes
each two sources have in common; how evenly the bits of perceptual hashes are set (near a half each, where they are of
many pictures; "skewed" are bits that are set in less than a quarter or more than three quarters); and the largest groups
of hashes that are near each other, at the default threshold of their kind. Of a large list, groups are looked for around
an even draw of its hashes: one of a hundredth of the list is found, one of a few hashes most likely not.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q: want text or json", output)
			}
			list, err := identities.read(args[0])
			if err != nil {
				return err
			}
			o := hashlist.StatsOptions{Now: time.Now(), Radius: policy.DefaultThreshold}
			if noClusters {
				o.Radius = nil
			}
			counted, err := list.Stats(cmd.Context(), o)
			if errors.Is(err, context.Canceled) {
				return exit(exitInterrupted, nil)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", printable(args[0]), err)
			}
			s := statsOf(args[0], list, counted)
			if output == "json" {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			} else {
				err = s.print(cmd.OutOrStdout())
			}
			if err != nil {
				return exit(exitUnwritten, err)
			}
			return nil
		},
	}
	identities.add(cmd)
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	cmd.Flags().BoolVar(&noClusters, "no-clusters", false, "do not look for clusters, which takes most of the time")
	fixedCompletion(cmd, "output", "text", "json")
	return cmd
}

func statsOf(file string, list *hashlist.List, counted *hashlist.Stats) *listStats {
	s := &listStats{
		File: file, Revision: list.Revision().String(), Entries: list.Len(),
		Kinds: map[string]int{}, Opaque: list.OpaqueCounts(), Statuses: map[string]int{},
		Sources: counted.Sources, Members: counted.Members, Labels: counted.Labels, Classifications: counted.Classifications,
		Updated: agesOf(counted.Updated), Synced: agesOf(counted.Synced), Votes: statsVotes(counted.Votes),
		Overlaps: []statsOverlap{}, Bits: map[string]statsBits{}, Clusters: []statsCluster{},
	}
	for kind, n := range list.Counts() {
		s.Kinds[kind.String()] = n
	}
	for status, n := range list.StatusCounts() {
		s.Statuses[status.String()] = n
	}
	for _, o := range counted.Overlaps {
		s.Overlaps = append(s.Overlaps, statsOverlap{o.Sources[:], o.Hashes})
	}
	for kind, b := range counted.Bits {
		s.Bits[kind.String()] = statsBits{b.Hashes, b.Mean, b.Lowest, b.Highest, b.Skewed}
	}
	for _, c := range counted.Clusters {
		s.Clusters = append(s.Clusters, statsCluster{c.Kind.String(), c.Radius, c.Hashes, c.Centre.String()})
	}
	return s
}

func agesOf(a hashlist.Ages) statsAges {
	out := statsAges{Day: a.Counts[0], Week: a.Counts[1], Month: a.Counts[2], Quarter: a.Counts[3], Year: a.Counts[4],
		Older: a.Counts[5], Unknown: a.Unknown}
	if !a.Oldest.IsZero() {
		out.Oldest, out.Newest = &a.Oldest, &a.Newest
	}
	return out
}

func (a *statsAges) text() string {
	if a.Oldest == nil {
		return "unknown"
	}
	return fmt.Sprintf("%s to %s; up to a day %d, a week %d, 30 days %d, 90 days %d, a year %d, older %d, unknown %d",
		a.Oldest.Format(time.DateOnly), a.Newest.Format(time.DateOnly), a.Day, a.Week, a.Month, a.Quarter, a.Year, a.Older, a.Unknown)
}

func (s *listStats) print(w io.Writer) error {
	var text strings.Builder
	row := func(name, value string) { fmt.Fprintf(&text, "%-9s %s\n", name, value) }
	named := func(counts map[string]int) string {
		counts = maps.Clone(counts)
		if n, ok := counts[""]; ok {
			delete(counts, "")
			counts["(not stated)"] += n
		}
		return commonest(counts)
	}
	row("file", printable(s.File))
	row("revision", s.Revision)
	row("entries", fmt.Sprint(s.Entries))
	row("kinds", countsText(s.Kinds))
	row("opaque", countsText(s.Opaque))
	row("statuses", countsText(s.Statuses))
	row("sources", named(s.Sources))
	row("members", named(s.Members))
	row("labels", named(s.Labels))
	row("classes", named(s.Classifications))
	row("updated", s.Updated.text())
	row("synced", s.Synced.text())
	row("votes", fmt.Sprintf("%d hashes with votes, %d of them contested; +%d -%d", s.Votes.Signatures, s.Votes.Contested, s.Votes.Positive, s.Votes.Negative))
	for _, o := range s.Overlaps {
		row("overlap", fmt.Sprintf("%q and %q: %d hashes", o.Sources[0], o.Sources[1], o.Hashes))
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Bits)) {
		b := s.Bits[kind]
		row("bits", fmt.Sprintf("%s: %.3f of all bits are set, each in %.3f to %.3f of the hashes; %d skewed", kind, b.Mean, b.Lowest, b.Highest, b.Skewed))
	}
	for _, c := range s.Clusters {
		row("cluster", fmt.Sprintf("%s: %d hashes within %d of one of %s", c.Kind, c.Hashes, c.Radius, printable(c.Centre)))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// commonest writes counts, the largest first, at most as many as a line should have.
func commonest(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if n := counts[b] - counts[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for i, name := range names {
		if i == hashlist.MaxStats {
			parts = append(parts, fmt.Sprintf("and %d more", len(names)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %d", printable(name), counts[name]))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}
