package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
	"example.org/hashmatch/pkg/hashmatch/promotion"
)

// deciding are the flags of the commands by which a person decides on a revision.
type deciding struct{ file, by, reason string }

func (d *deciding) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.file, "config", "", "configuration file (see: hashmatch config doc)")
	cmd.Flags().StringVar(&d.reason, "reason", "", "why, for the record")
	cmd.Flags().StringVar(&d.by, "by", "", "who decides (default: the user of this system)")
}

// open returns what is remembered of the list in the arguments.
func (d *deciding) open(command string, args []string) (store promotion.Store, state promotion.State, err error) {
	switch {
	case d.file == "":
		return store, state, fmt.Errorf("list %s: --config: name the configuration file", command)
	case strings.TrimSpace(d.reason) == "":
		return store, state, fmt.Errorf("list %s: --reason: say why", command)
	}
	if d.by == "" {
		who, err := user.Current()
		if err != nil {
			return store, state, fmt.Errorf("list %s: --by: say who decides: %w", command, err)
		}
		d.by = who.Username
	}
	c, err := config.Load(d.file)
	if err != nil {
		return store, state, err
	}
	l, err := c.List(args[0])
	if err != nil {
		return store, state, fmt.Errorf("list %s: %w", command, err)
	}
	store = c.Revisions(l)
	if state, err = store.State(); err != nil {
		err = fmt.Errorf("list %s: %w", command, err)
	}
	return store, state, err
}

func (d *deciding) decide(cmd *cobra.Command, list string, store promotion.Store, act promotion.Act, revision hashlist.Revision, done string) error {
	err := store.Decide(promotion.Decision{Act: act, Revision: revision, By: d.by, Reason: d.reason, Time: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return exit(exitUnwritten, fmt.Errorf("list %s: %w", printable(list), err))
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: revision %s %s\n", printable(list), revision, done)
	return err
}

// thatOne finds the one of some revisions that a text is the beginning of.
func thatOne(text string, revisions []hashlist.Revision) (found hashlist.Revision, err error) {
	if len(text) < 8 {
		return found, fmt.Errorf("revision %q: give 8 digits at least", text)
	}
	for _, r := range revisions {
		if strings.HasPrefix(r.String(), text) {
			if !found.IsZero() && found != r {
				return found, fmt.Errorf("revision %q: several begin so", text)
			}
			found = r
		}
	}
	if found.IsZero() {
		return found, fmt.Errorf("revision %q: it is not there", text)
	}
	return found, nil
}

// pendingRevision returns the revision that is set aside, which args may name.
func pendingRevision(state promotion.State, args []string) (hashlist.Revision, error) {
	switch {
	case state.Aside == nil:
		return hashlist.Revision{}, fmt.Errorf("list %q: no revision is set aside", args[0])
	case state.Aside.Revision.IsZero():
		return hashlist.Revision{}, fmt.Errorf("list %q: its file cannot be read: there is no revision to decide on", args[0])
	case len(args) < 2:
		return state.Aside.Revision, nil
	}
	return thatOne(args[1], []hashlist.Revision{state.Aside.Revision})
}

func newListPromote() *cobra.Command {
	var d deciding
	cmd := &cobra.Command{
		Use:   "promote --config FILE --reason TEXT LIST [REVISION]",
		Short: "Accept the revision of a list that hashmatch serve set aside",
		Long: `Accept the revision of a list that hashmatch serve set aside (see: hashmatch list pending). It is served at the next
look at the files, once it is proven that it can be searched. Another revision that comes meanwhile is not accepted by
it. It ends a roll-back.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, state, err := d.open("promote", args)
			if err != nil {
				return err
			}
			revision, err := pendingRevision(state, args)
			if err != nil {
				return fmt.Errorf("list promote: %w", err)
			}
			return d.decide(cmd, args[0], store, promotion.Accept, revision, "is accepted")
		},
	}
	d.add(cmd)
	return cmd
}

func newListRefuse() *cobra.Command {
	var d deciding
	cmd := &cobra.Command{
		Use:   "refuse --config FILE --reason TEXT LIST [REVISION]",
		Short: "Refuse the revision of a list that hashmatch serve set aside",
		Long: `Refuse the revision of a list that hashmatch serve set aside: the one in force goes on serving, and later revisions are
compared with that. What the refused one withdraws stays withdrawn.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, state, err := d.open("refuse", args)
			if err != nil {
				return err
			}
			revision, err := pendingRevision(state, args)
			if err != nil {
				return fmt.Errorf("list refuse: %w", err)
			}
			return d.decide(cmd, args[0], store, promotion.Refuse, revision, "is refused")
		},
	}
	d.add(cmd)
	return cmd
}

func newListRollback() *cobra.Command {
	var d deciding
	cmd := &cobra.Command{
		Use:   "rollback --config FILE --reason TEXT LIST [REVISION]",
		Short: "Serve a revision of a list that was in force before",
		Long: `Serve a revision of a list that was in force before: the one before that in force, or the one that is named, of those
that hashmatch list pending shows as kept. From then on every revision in the list's file is set aside until one is
accepted (hashmatch list promote); what they withdraw is withdrawn at once. The file stays as it is.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, state, err := d.open("rollback", args)
			if err != nil {
				return err
			}
			revision, err := earlier(state, args)
			if err != nil {
				return fmt.Errorf("list rollback: %w", err)
			}
			return d.decide(cmd, args[0], store, promotion.Rollback, revision, "is served from now on, whatever the file holds")
		},
	}
	d.add(cmd)
	return cmd
}

// earlier returns the revision to roll back to.
func earlier(state promotion.State, args []string) (hashlist.Revision, error) {
	var kept []hashlist.Revision
	for _, k := range state.Kept {
		kept = append(kept, k.Revision)
	}
	if len(args) > 1 {
		return thatOne(args[1], kept)
	}
	for i, r := range kept {
		if r == inForce(state) && i+1 < len(kept) {
			return kept[i+1], nil
		}
	}
	return hashlist.Revision{}, fmt.Errorf("list %q: no earlier revision is kept", args[0])
}

// inForce returns the revision in force, as far as it was recorded.
func inForce(state promotion.State) (r hashlist.Revision) {
	switch {
	case state.Aside != nil:
		return state.Aside.Serving
	case len(state.Kept) > 0:
		return state.Kept[0].Revision
	}
	return r
}

// pendingList is what list pending says of one list.
type pendingList struct {
	List      string               `json:"list"`
	Serving   string               `json:"serving"` // "" if nothing was served yet
	Aside     *promotion.Aside     `json:"aside"`   // null: nothing is set aside
	Kept      []promotion.Kept     `json:"kept"`
	Decisions []promotion.Decision `json:"decisions"`
}

func newListPending() *cobra.Command {
	var file, output string
	cmd := &cobra.Command{
		Use:   "pending --config FILE [LIST]",
		Short: "Show which revisions of lists are set aside, and why",
		Long: `Show which revisions of lists hashmatch serve has set aside, and why; what serves in their place; which revisions are
kept, and what was decided. It reads what the service recorded beside the lists.

Exit codes: 0 nothing is set aside; 1 something is; 2 wrong usage or configuration.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return errors.New("list pending: --config: name the configuration file")
			}
			if output != "text" && output != "json" {
				return fmt.Errorf("list pending: --output %q: want text or json", output)
			}
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			lists := c.Lists
			if len(args) > 0 {
				l, err := c.List(args[0])
				if err != nil {
					return fmt.Errorf("list pending: %w", err)
				}
				lists = []config.List{l}
			}
			waiting := false
			for _, l := range lists {
				shown, err := readPending(c.Revisions(l), l.Name)
				if err != nil {
					return fmt.Errorf("list pending: %w", err)
				}
				waiting = waiting || shown.Aside != nil
				if output == "json" {
					err = json.NewEncoder(cmd.OutOrStdout()).Encode(shown)
				} else {
					err = printPending(cmd.OutOrStdout(), shown)
				}
				if err != nil {
					return exit(exitUnwritten, err)
				}
			}
			if waiting {
				return exit(exitMatched, nil)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (see: hashmatch config doc)")
	cmd.Flags().StringVar(&output, "output", "text", "text or json (one object a list)")
	fixedCompletion(cmd, "output", "text", "json")
	return cmd
}

func readPending(store promotion.Store, name string) (pendingList, error) {
	state, err := store.State()
	if err != nil {
		return pendingList{}, err
	}
	decisions, err := store.Decisions()
	if err != nil {
		return pendingList{}, err
	}
	shown := pendingList{List: name, Aside: state.Aside, Kept: append([]promotion.Kept{}, state.Kept...), Decisions: append([]promotion.Decision{}, decisions...)}
	if r := inForce(state); !r.IsZero() {
		shown.Serving = r.String()
	}
	return shown, nil
}

func printPending(out io.Writer, p pendingList) error {
	var text strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&text, format+"\n", values...) }
	switch a := p.Aside; {
	case a == nil && p.Serving == "":
		line("%s: nothing is known to be served", printable(p.List))
	case a == nil:
		line("%s: serving %s; nothing is set aside", printable(p.List), p.Serving)
	default:
		line("%s: serving %s; set aside since %s: %s, %d entries", printable(p.List), p.Serving, a.Since.Format(time.RFC3339), a.Revision, a.Entries)
		for _, r := range a.Reasons {
			line("  %s: %s", r.Guard, printable(r.Text))
		}
		d := a.Difference
		line("  in force %d, would be %d: %d come, %d go, %d change; withdrawn already: %d", d.Before, d.After, d.Added, d.Gone, d.Changed, a.Applied)
		if a.Looked > 0 {
			line("  of %d new entries looked at, %d are listed by another source too", a.Looked, a.Overlapping)
		}
		for _, key := range a.Matching {
			line("  matches a harmless picture: %s", printable(key))
		}
	}
	for _, k := range p.Kept {
		line("  kept %s, %d entries, accepted %s", k.Revision, k.Entries, k.Accepted.Format(time.RFC3339))
	}
	for _, d := range p.Decisions {
		line("  %s %s %s, by %s: %s", d.Time.Format(time.RFC3339), d.Act, d.Revision.Short(), printable(d.By), printable(d.Reason))
	}
	_, err := io.WriteString(out, text.String())
	return err
}
