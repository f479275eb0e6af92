package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/exchange"
	"example.org/hashmatch/pkg/hashmatch/outbox"
)

// outcomes are the words of --outcome.
var outcomes = map[string]exchange.Outcome{"seen": exchange.Seen, "true": exchange.TruePositive, "false": exchange.FalsePositive}

func newListFeedback() *cobra.Command {
	var file, output, outcome string
	var send bool
	var retry []string
	cmd := &cobra.Command{
		Use:   "feedback --config FILE [--outcome seen|true|false LIST ENTRY KIND] [--retry ID] [--send]",
		Short: "Show, and send, what reviewers found to the exchanges that lists come from",
		Long: `Show what waits to be sent to exchanges, and what was given up and why (configuration: feedback). hashmatch serve queues
what reviewers decide, and sends it; this works beside it, and without it.

--outcome queues an outcome for ENTRY of LIST (SOURCE/MEMBER/ID, as in verdicts) and the KIND of its hash that matched
(pdq, md5, sha1, photodna): seen, true (a true positive) or false (a false positive). --retry has an outcome sent again that
was given up. --send sends everything that waits now, one attempt each. No hash is shown.

Exit codes: 0 nothing waits and nothing was given up; 1 something does; 2 wrong usage or configuration.`,
		Args: cobra.MaximumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case file == "":
				return errors.New("list feedback: --config: name the configuration file")
			case output != "text" && output != "json":
				return fmt.Errorf("list feedback: --output %q: want text or json", output)
			case (outcome == "") != (len(args) == 0) || outcome != "" && len(args) != 3:
				return errors.New("list feedback: --outcome goes with LIST ENTRY KIND")
			}
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			box, err := c.Outbox(slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
			if err != nil {
				return fmt.Errorf("list feedback: %w", err)
			}
			if box == nil {
				return fmt.Errorf("list feedback: %s: feedback is not stated", printable(file))
			}
			if outcome != "" {
				if err := queueOutcome(c, box, outcome, args[0], args[1], args[2]); err != nil {
					return fmt.Errorf("list feedback: %w", err)
				}
			}
			for _, id := range retry {
				if err := box.Retry(id); err != nil {
					return fmt.Errorf("list feedback: %s: %w", printable(id), err)
				}
			}
			if send {
				if err := sendFeedback(cmd.Context(), box, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			return showFeedback(box, cmd.OutOrStdout(), output)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (see: hashmatch config doc)")
	cmd.Flags().StringVar(&outcome, "outcome", "", "queue this for an entry: seen, true or false")
	cmd.Flags().StringSliceVar(&retry, "retry", nil, "send what was given up again, by its ID")
	cmd.Flags().BoolVar(&send, "send", false, "send what waits now")
	cmd.Flags().StringVar(&output, "output", "text", "text or json (one object an outcome)")
	fixedCompletion(cmd, "output", "text", "json")
	fixedCompletion(cmd, "outcome", "seen", "true", "false")
	return cmd
}

// queueOutcome queues an outcome that a person states by hand.
func queueOutcome(c *config.Config, box *outbox.Box, outcome, list, entry, kind string) error {
	f := exchange.Feedback{Kind: kind, Outcome: outcomes[outcome]}
	if f.Outcome == "" {
		return fmt.Errorf("--outcome %q: want seen, true or false", outcome)
	}
	if !slices.Contains(c.Feedback.Lists, list) {
		return fmt.Errorf("%s is not among the configuration's feedback.lists", printable(list))
	}
	var err error
	if f.Entry, err = hashmatch.ParseEntryKey(entry); err != nil {
		return err
	}
	l, err := c.List(list)
	if err != nil {
		return err
	}
	reading, err := c.Reading(l, time.Now())
	if err != nil {
		return err
	}
	held, err := config.ReadSealedList(l.File, l.Name, reading)
	if err != nil {
		return fmt.Errorf("list %s: %w", printable(list), err)
	}
	ordinal, ok := held.Find(f.Entry)
	if !ok {
		return fmt.Errorf("list %s has no entry %s", printable(list), printable(entry))
	}
	has := false
	for _, s := range held.Entry(ordinal).Signatures {
		switch {
		case s.Scheme == kind:
			has = true
		case s.Scheme == "" && s.Hash.Kind.String() == kind:
			has, f.Hash = true, s.Hash.Hex()
		}
	}
	if !has {
		return fmt.Errorf("entry %s has no hash of the kind %s", printable(entry), printable(kind))
	}
	if f.Outcome == exchange.FalsePositive {
		f.Reasons = c.Feedback.Reasons
	}
	return box.Add(list, f, time.Now())
}

func sendFeedback(ctx context.Context, box *outbox.Box, log io.Writer) error {
	result, err := box.Send(ctx, true)
	if ctx.Err() != nil {
		return exit(exitInterrupted, nil)
	}
	if err != nil {
		return exit(exitUnwritten, err)
	}
	_, err = fmt.Fprintf(log, "%d sent, %d failed, %d given up\n", result.Sent, result.Failed, result.GivenUp)
	return err
}

// shownFeedback is what list feedback says of an outcome.
type shownFeedback struct {
	ID       string           `json:"id"`
	State    outbox.State     `json:"state"`
	List     string           `json:"list"`
	Entry    string           `json:"entry"`
	Kind     string           `json:"kind"`
	Outcome  exchange.Outcome `json:"outcome"`
	Decided  time.Time        `json:"decided"`
	Attempts int              `json:"attempts"`
	Error    string           `json:"error"`
}

// showFeedback prints what waits and what was given up. It fails with exit code 1 if there is any.
func showFeedback(box *outbox.Box, out io.Writer, output string) error {
	left := 0
	var damaged error
	for _, state := range []outbox.State{outbox.Pending, outbox.Dead} {
		items, err := box.Items(state)
		damaged = errors.Join(damaged, err)
		left += len(items)
		for _, i := range items {
			shown := shownFeedback{i.Feedback.ID, state, i.List, i.Feedback.Entry.String(), i.Feedback.Kind, i.Feedback.Outcome, i.Decided, i.Attempts, i.Error}
			if output == "json" {
				err = json.NewEncoder(out).Encode(shown)
			} else {
				_, err = fmt.Fprintf(out, "%s %s: %s %s: %s, decided %s, %d attempts", state, shown.ID, printable(shown.List),
					printable(shown.Entry+" "+shown.Kind), shown.Outcome, shown.Decided.Format(time.RFC3339), shown.Attempts)
				if err == nil && shown.Error != "" {
					_, err = fmt.Fprintf(out, ": %s", printable(shown.Error))
				}
				if err == nil {
					_, err = fmt.Fprintln(out)
				}
			}
			if err != nil {
				return exit(exitUnwritten, err)
			}
		}
	}
	if left > 0 || damaged != nil {
		return exit(exitMatched, damaged)
	}
	return nil
}
