package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/review"
)

// The exit codes of review besides the common ones.
const (
	exitNoItem      = 1 // no such item
	exitUnreachable = 3 // the service or the database cannot be asked now
	exitConflict    = 4 // decided otherwise, changed, or several items of this ID
)

func newReview() *cobra.Command {
	var f reviewFlags
	cmd := &cobra.Command{
		Use:   "review",
		Short: "Look at the uploads that wait for a person, and decide on them",
		Long: `Look at the uploads that wait for a person, and decide on them: of a running service (--url, and a token with the
scope admin in --token-file), or in the database of one that is stopped (--database). No content is shown, ever.

HASHMATCH_URL and HASHMATCH_TOKEN_FILE stand in for --url and --token-file.

Exit codes: 0 done; 1 no such item; 2 wrong usage, or refused; 3 the service or the database cannot be asked now;
4 decided otherwise already, changed since it was shown, or several surfaces have an item of this ID; 5 the output
could not be written; 130 interrupted.`,
		Args: commandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return exit(exitUsage, nil)
		},
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.url, "url", "", "the service: https://HOST:PORT, unix:PATH, or http://HOST:PORT on this machine")
	flags.StringVar(&f.tokenFile, "token-file", "", "the file of the token")
	flags.BoolVar(&f.insecure, "insecure", false, "send the token over http:// to another machine all the same")
	flags.StringVar(&f.database, "database", "", "the database of a service that is stopped")
	flags.StringVar(&f.output, "output", "table", "table or json")
	flags.StringVar(&f.surface, "surface", "", "only items of this surface")
	flags.StringVar(&f.tenant, "tenant", "", "only items of this tenant")
	fixedCompletion(cmd, "output", "table", "json")
	cmd.AddCommand(newReviewList(&f), newReviewShow(&f), newReviewDecide(&f, true), newReviewDecide(&f, false))
	return cmd
}

// reviewFlags are the flags that all review commands have.
type reviewFlags struct {
	url, tokenFile, database, output, surface, tenant string
	insecure                                          bool
}

func newReviewList(f *reviewFlags) *cobra.Command {
	var state, action string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List items in the order in which they came",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if state != "all" && !slices.Contains(review.States(), review.State(state)) {
				return fmt.Errorf("--state %q: want pending, released, confirmed or all", state)
			}
			if _, err := hashmatch.ParseAction(action); action != "" && err != nil {
				return fmt.Errorf("--action: %w", err)
			}
			if limit < 0 {
				return fmt.Errorf("--limit %d: want 0 or more", limit)
			}
			filter := hook.ReviewFilter{State: hook.ReviewState(state), Surface: f.surface, Tenant: f.tenant}
			if state == "all" {
				filter.State = ""
			}
			return f.with(cmd.Context(), func(q reviewQueue) error {
				w := f.writer(cmd.OutOrStdout())
				err := listItems(cmd.Context(), q, filter, action, limit, w)
				return errors.Join(err, w.flush())
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "pending", "pending, released, confirmed or all")
	cmd.Flags().StringVar(&action, "action", "", "only items that were answered with allow (in shadow mode), hold or block")
	cmd.Flags().IntVar(&limit, "limit", 100, "items at most; 0 means all")
	fixedCompletion(cmd, "state", "pending", "released", "confirmed", "all")
	fixedCompletion(cmd, "action", "allow", "hold", "block")
	return cmd
}

// listItems writes the items that the filter and the action choose, page by page, up to limit; 0 means all.
func listItems(ctx context.Context, q reviewQueue, filter hook.ReviewFilter, action string, limit int, w *itemWriter) error {
	for n := 0; ; {
		filter.Limit = review.DefaultLimit
		items, next, err := q.ReviewList(ctx, filter)
		if err != nil {
			return reviewError(ctx, err)
		}
		for _, item := range items {
			if action != "" && item.Action.String() != action {
				continue
			}
			if err := w.row(item); err != nil {
				return exit(exitUnwritten, err)
			}
			if n++; n == limit {
				return nil
			}
		}
		if next == "" {
			return nil
		}
		if next == filter.Cursor {
			return exit(exitUnreachable, errors.New("review: the service goes round in circles"))
		}
		filter.Cursor = next
	}
}

func newReviewShow(f *reviewFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show ITEM",
		Short: "Show everything that explains why an item is there, and its history",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), func(q reviewQueue) error {
				item, err := q.ReviewShow(cmd.Context(), f.ref(args[0]))
				if err != nil {
					return reviewError(cmd.Context(), err)
				}
				if f.output == "json" {
					err = json.NewEncoder(cmd.OutOrStdout()).Encode(item)
				} else {
					err = printItem(cmd.OutOrStdout(), item)
				}
				if err != nil {
					return exit(exitUnwritten, err)
				}
				return nil
			})
		},
	}
}

func newReviewDecide(f *reviewFlags, release bool) *cobra.Command {
	d := hook.ReviewDecision{Release: release}
	verb, done, what := "confirm", "confirmed", "Decide that items may not be published"
	if release {
		verb, done, what = "release", "released", "Decide that items may be published"
	}
	cmd := &cobra.Command{
		Use:   verb + " --reason TEXT ITEM...",
		Short: what,
		Long: what + `. The decision is recorded with who made it and why. It ends at the first item that
cannot be decided on; the same decision again is no error.

Over --url the actor is the token's, and --actor names the person who uses it. With --database the actor must be
stated, and the service audits the decision and tells the caller of it when it runs again.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case strings.TrimSpace(d.Reason) == "":
				return fmt.Errorf("%s: --reason: say why", verb)
			case f.database != "" && strings.TrimSpace(d.Actor) == "":
				return fmt.Errorf("%s: --actor: say who decides", verb)
			case d.Version < 0:
				return fmt.Errorf("--version %d: want what show says", d.Version)
			case d.Version != 0 && len(args) > 1:
				return errors.New("--version is one item's: name that alone")
			}
			return f.with(cmd.Context(), func(q reviewQueue) error {
				for _, id := range args {
					one := d
					one.ReviewRef = f.ref(id)
					if err := q.ReviewDecide(cmd.Context(), one); err != nil {
						return reviewError(cmd.Context(), fmt.Errorf("%s: %w", printable(id), err))
					}
					var err error
					if f.output == "json" {
						err = json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
							Item  string `json:"item"`
							State string `json:"state"`
						}{id, done})
					} else {
						_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", printable(id), done)
					}
					if err != nil {
						return exit(exitUnwritten, err)
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&d.Reason, "reason", "", "why (required)")
	cmd.Flags().StringVar(&d.Actor, "actor", "", "who decides")
	cmd.Flags().BoolVar(&d.Correct, "correct", false, "replace the opposite decision")
	cmd.Flags().Int64Var(&d.Version, "version", 0, "decide only if the item is still of this version, as show says it; 0 means any")
	return cmd
}

func (f *reviewFlags) ref(id string) hook.ReviewRef {
	return hook.ReviewRef{Item: id, Surface: f.surface, Tenant: f.tenant}
}
